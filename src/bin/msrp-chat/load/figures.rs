//! The counts of a load run, and their output.

use super::histogram::Histogram;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Columns of the longest bar of the histogram.
const BAR: usize = 30;
/// Columns of the progress bar: the live line should fit into 80.
const LIVE_BAR: usize = 10;
/// Different reasons to report; nobody would read more.
const MAX_REASONS: usize = 10;

/// All counts of a run.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) participants: u32,
    pub(super) joined: u32,
    pub(super) refused: u32,
    /// Calls or connections that ended before their time.
    pub(super) lost: u32,
    pub(super) sent: u64,
    pub(super) accepted: u64,
    pub(super) not_sent: u64,
    /// Expected copies, and those that have arrived.
    pub(super) expected: u64,
    pub(super) delivered: u64,
    pub(super) rosters: u64,
    pub(super) joins: Histogram,
    pub(super) latency: Histogram,
    reasons: BTreeMap<String, u32>,
    /// Participants in each room now.
    present: Vec<u32>,
}

impl Figures {
    pub(super) fn new(participants: u32, rooms: u32) -> Self {
        Self {
            participants,
            joined: 0,
            refused: 0,
            lost: 0,
            sent: 0,
            accepted: 0,
            not_sent: 0,
            expected: 0,
            delivered: 0,
            rosters: 0,
            joins: Histogram::new(),
            latency: Histogram::new(),
            reasons: BTreeMap::new(),
            present: vec![0; rooms as usize],
        }
    }

    /// A participant is in.
    pub(super) fn bound(&mut self, room: usize, took: Duration) {
        self.joined += 1;
        self.present[room] += 1;
        self.joins.add(took);
    }

    /// A participant is out, or lost.
    pub(super) fn gone(&mut self, room: usize) {
        self.present[room] = self.present[room].saturating_sub(1);
    }

    /// A message is on its way to everybody else in the room.
    pub(super) fn said(&mut self, room: usize) {
        self.sent += 1;
        self.expected += u64::from(self.present[room].saturating_sub(1));
    }

    /// A copy has arrived.
    pub(super) fn heard(&mut self, latency: Duration) {
        self.delivered += 1;
        self.latency.add(latency);
    }

    /// Counts the reason for a failure.
    pub(super) fn reason(&mut self, reason: String) {
        if self.reasons.len() < MAX_REASONS || self.reasons.contains_key(&reason) {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    /// Whether every join has ended, well or not.
    pub(super) fn all_answered(&self) -> bool {
        self.joined + self.refused >= self.participants
    }

    /// Whether no copy is on its way any more.
    pub(super) fn all_delivered(&self) -> bool {
        self.delivered >= self.expected && self.accepted + self.not_sent >= self.sent
    }

    /// Whether everybody joined and every message reached everybody.
    pub(super) fn good(&self) -> bool {
        self.joined == self.participants
            && self.lost == 0
            && self.not_sent == 0
            && self.all_delivered()
    }

    /// The live line: progress of the run (0 to 1) and present rates; `span` is the time since
    /// `before` was counted.
    pub(super) fn line(&self, share: f64, before: (u64, u64), span: Duration) -> String {
        let filled = ((share * LIVE_BAR as f64) as usize).min(LIVE_BAR);
        let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / span.as_secs_f64();
        format!(
            "[{}{}] {:3.0} %  {}/{} in  {:.0} msg/s  {:.0} copies/s  50 % {}  99 % {}",
            "#".repeat(filled),
            "-".repeat(LIVE_BAR - filled),
            share * 100.0,
            self.present.iter().sum::<u32>(),
            self.participants,
            per_second(self.sent, before.0),
            per_second(self.delivered, before.1),
            short(self.latency.quantile(0.5)),
            short(self.latency.quantile(0.99)),
        )
    }

    /// The result, for people.
    pub(super) fn summary(&self, took: Duration) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "Joins:     {} of {} in, {} refused, {} lost; median {}, 99 % {}",
            self.joined,
            self.participants,
            self.refused,
            self.lost,
            short(self.joins.quantile(0.5)),
            short(self.joins.quantile(0.99)),
        );
        let _ = writeln!(
            text,
            "Messages:  {} sent in {}, {} accepted, {} not",
            self.sent,
            short(took),
            self.accepted,
            self.not_sent,
        );
        let _ = writeln!(
            text,
            "Copies:    {} of {} came, {:.0}/s",
            self.delivered,
            self.expected,
            self.delivered as f64 / took.as_secs_f64().max(0.001),
        );
        self.draw(&mut text);
        for (reason, count) in &self.reasons {
            let _ = writeln!(text, "{count} × {reason}");
        }
        text
    }

    fn draw(&self, text: &mut String) {
        let latency = &self.latency;
        if latency.count() == 0 {
            return;
        }
        let _ = writeln!(
            text,
            "Latency:   shortest {}, median {}, 90 % {}, 99 % {}, 99.9 % {}, longest {}",
            short(latency.shortest()),
            short(latency.quantile(0.5)),
            short(latency.quantile(0.9)),
            short(latency.quantile(0.99)),
            short(latency.quantile(0.999)),
            short(latency.longest()),
        );
        let rows = latency.rows();
        let most = rows.iter().map(|row| row.count).max().unwrap_or(1);
        for row in rows {
            let bar = (row.count as f64 / most as f64 * BAR as f64).ceil() as usize;
            let _ = writeln!(
                text,
                "{:>9} – {:<8} {:<BAR$} {}",
                short(row.from),
                short(row.to),
                "#".repeat(bar),
                row.count
            );
        }
    }

    /// The result, for programs; spans in microseconds.
    pub(super) fn object(&self, event: &str, took: Duration) -> Value {
        let spans = |histogram: &Histogram| {
            let micros = |span: Duration| span.as_micros() as u64;
            json!({
                "count": histogram.count(),
                "min": micros(histogram.shortest()),
                "p50": micros(histogram.quantile(0.5)),
                "p90": micros(histogram.quantile(0.9)),
                "p99": micros(histogram.quantile(0.99)),
                "p999": micros(histogram.quantile(0.999)),
                "max": micros(histogram.longest()),
            })
        };
        json!({
            "event": event,
            "seconds": took.as_secs_f64(),
            "participants": self.participants,
            "joined": self.joined,
            "refused": self.refused,
            "lost": self.lost,
            "sent": self.sent,
            "accepted": self.accepted,
            "not_sent": self.not_sent,
            "expected": self.expected,
            "delivered": self.delivered,
            "rosters": self.rosters,
            "join_microseconds": spans(&self.joins),
            "latency_microseconds": spans(&self.latency),
            "reasons": self.reasons,
        })
    }
}

/// A span in the unit that fits.
fn short(span: Duration) -> String {
    match span.as_micros() {
        micros @ ..1_000 => format!("{micros} µs"),
        micros @ ..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        micros @ ..1_000_000 => format!("{:.0} ms", micros as f64 / 1e3),
        micros => format!("{:.1} s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Figures {
        let mut figures = Figures::new(3, 1);
        (0..3).for_each(|_| figures.bound(0, Duration::from_millis(2)));
        figures.said(0);
        figures.accepted += 1;
        figures.heard(Duration::from_micros(300));
        figures
    }

    #[test]
    fn a_copy_is_expected_by_everybody_else() {
        let mut figures = run();
        assert!(!figures.good() && figures.expected == 2);
        figures.heard(Duration::from_micros(900));
        assert!(figures.good());
    }

    #[test]
    fn what_people_see() {
        let figures = run();
        insta::assert_snapshot!(figures.summary(Duration::from_secs(2)), @r"
        Joins:     3 of 3 in, 0 refused, 0 lost; median 2.0 ms, 99 % 2.0 ms
        Messages:  1 sent in 2.0 s, 1 accepted, 0 not
        Copies:    1 of 2 came, 0/s
        Latency:   shortest 300 µs, median 300 µs, 90 % 300 µs, 99 % 300 µs, 99.9 % 300 µs, longest 300 µs
           256 µs – 512 µs   ############################## 1
        ");
        let line = figures.line(0.5, (0, 0), Duration::from_secs(1));
        let shown = "[#####-----]  50 %  3/3 in  1 msg/s  1 copies/s  50 % 300 µs  99 % 300 µs";
        assert_eq!(line, shown);
    }

    #[test]
    fn reasons_are_bounded() {
        let mut figures = run();
        (0..100).for_each(|number| figures.reason(format!("reason {number}")));
        assert_eq!(figures.reasons.len(), MAX_REASONS);
    }
}
