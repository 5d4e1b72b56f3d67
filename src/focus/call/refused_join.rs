//! Log lines about refused joins. Strangers can cause them, so their rate is limited.

use crate::focus::Focus;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::face::{Incoming, identity, shortened};
use crate::focus::sip::rejection::Refusal;
use crate::log::Level;
use crate::time::Moment;
use crate::wire::sip::{Method, NameAddr};

/// Most lines per second.
const A_SECOND: u32 = 5;

/// Counts the recently refused joins.
#[derive(Debug, Default)]
pub(in crate::focus) struct RefusedJoins {
    /// Start of the present second.
    since: Moment,
    in_log: u32,
    left_out: u64,
}

impl RefusedJoins {
    /// Number of lines left out since the last one; `None` if this one is left out, too.
    fn next_line(&mut self, now: Moment) -> Option<u64> {
        if now.saturating_since(self.since).as_secs() > 0 {
            (self.since, self.in_log) = (now, 0);
        }
        if self.in_log == A_SECOND {
            self.left_out += 1;
            return None;
        }
        self.in_log += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Focus {
    /// Logs a refused join and its reason.
    pub(in crate::focus) fn log_refused_join(
        &mut self,
        now: Moment,
        incoming: &Incoming,
        refusal: &Refusal,
    ) {
        let request = &incoming.request;
        let to = request.headers.first("To").and_then(|it| it.parse().ok());
        let begins = to.is_none_or(|to: NameAddr| to.tag().is_none());
        if request.method != Method::Invite || !begins || refusal.cause == Cause::Cancelled {
            return;
        }
        let Some(left_out) = self.refused_joins.next_line(now) else {
            return;
        };
        let who = identity(&incoming.arrival);
        let who = who.map_or_else(
            |_| "a caller without identity".into(),
            |it| shortened(it.to_string()),
        );
        let why = refusal.why();
        let before = match left_out {
            0 => String::new(),
            count => format!(" ({count} refusals before it are not in the log)"),
        };
        let room = shortened(incoming.arrival.request_uri.clone());
        let code = refusal.cause.code();
        self.out.log(
            Level::Info,
            format_args!("{who} was not let into {room}: {code} {why}{before}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_of_refusals_is_a_few_lines() {
        let start = Moment::from_epoch(Duration::from_secs(7));
        let mut refused = RefusedJoins::default();
        let lines = |refused: &mut RefusedJoins, at| -> Vec<u64> {
            let each = (0..100).filter_map(|_| refused.next_line(at));
            each.collect()
        };
        assert_eq!(lines(&mut refused, start), [0; 5]);
        let later = start + Duration::from_secs(1);
        assert_eq!(lines(&mut refused, later), [95, 0, 0, 0, 0]);
    }
}
