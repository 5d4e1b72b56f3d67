//! Event rates of a subscriber (RFC 6446): the maximum and minimum rates of NOTIFYs.

use std::time::Duration;

use crate::time::Moment;
use crate::wire::sip::Params;

/// Number of NOTIFYs in the history of the adaptive minimum rate (RFC 6446 §7.4: several times the
/// reciprocal of the rate).
const PERIOD_IN_NOTIFIES: f64 = 10.0;

/// The rates agreed with one subscriber; few subscribers ask for rates.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::focus) struct EventRates(Option<Box<Agreed>>);

/// Rates in NOTIFYs per second.
#[derive(Clone, Debug, Default, PartialEq)]
struct Agreed {
    max: Option<f64>,
    min: Option<f64>,
    adaptive: Option<Adaptive>,
}

#[derive(Clone, Debug, PartialEq)]
struct Adaptive {
    rate: f64,
    /// NOTIFYs of the last period, fading with time.
    count: f64,
    counted: Option<Moment>,
}

impl EventRates {
    /// Reads the parameters of an Event header. The time between two NOTIFYs is never below `pace`
    /// (§5.2, §6.3), and at least one NOTIFY comes before the subscription expires (§5.3).
    pub(in crate::focus) fn agree(event: &Params, pace: Duration, expires: Duration) -> Self {
        let fastest = rate_of(pace);
        let rate = |name| positive(event.value(name)?).map(|rate| rate.min(fastest));
        let max = rate("max-rate").map(|max| max.max(rate_of(expires).min(fastest)));
        let within = |rate: f64| rate.min(max.unwrap_or(fastest));
        let agreed = Agreed {
            max,
            min: rate("min-rate").map(within),
            adaptive: rate("adaptive-min-rate").map(within).map(|rate| Adaptive {
                rate,
                count: PERIOD_IN_NOTIFIES,
                counted: None,
            }),
        };
        Self((agreed != Agreed::default()).then(|| Box::new(agreed)))
    }

    /// The shortest time between two NOTIFYs (§5.2).
    pub(in crate::focus) fn shortest(&self) -> Duration {
        let max = self.0.as_ref().and_then(|it| it.max);
        max.map_or(Duration::ZERO, span)
    }

    /// The longest time between two NOTIFYs (§6.2, §7.4).
    pub(in crate::focus) fn longest(&self) -> Option<Duration> {
        let agreed = self.0.as_ref()?;
        let adaptive = agreed.adaptive.as_ref().map(|adaptive| {
            // §7.4 (1): count / (rate² · period), with period = PERIOD_IN_NOTIFIES / rate.
            let timeout = adaptive.count / (adaptive.rate * PERIOD_IN_NOTIFIES);
            Duration::from_secs_f64(timeout).max(self.shortest())
        });
        [agreed.min.map(span), adaptive].into_iter().flatten().min()
    }

    /// Notes that a NOTIFY went out.
    pub(in crate::focus) fn sent(&mut self, now: Moment) {
        if let Some(adaptive) = self.0.as_mut().and_then(|it| it.adaptive.as_mut()) {
            let period = PERIOD_IN_NOTIFIES / adaptive.rate;
            let passed = adaptive
                .counted
                .map_or(0.0, |at| now.saturating_since(at).as_secs_f64());
            adaptive.count = adaptive.count * (1.0 - passed / period).max(0.0) + 1.0;
            adaptive.counted = Some(now);
        }
    }

    /// The parameters for Subscription-State (§9.2).
    pub(in crate::focus) fn params(&self) -> String {
        let Some(agreed) = &self.0 else {
            return String::new();
        };
        let adaptive = agreed.adaptive.as_ref().map(|adaptive| adaptive.rate);
        [
            ("max-rate", agreed.max),
            ("min-rate", agreed.min),
            ("adaptive-min-rate", adaptive),
        ]
        .into_iter()
        .filter_map(|(name, rate)| Some(format!(";{name}={}", decimal(rate?))))
        .collect()
    }
}

/// `1*2DIGIT ["." 1*10DIGIT]`, more than zero (§9.2); other values are ignored.
fn positive(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str, most| {
        (1..=most).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit())
    };
    if !digits(whole, 2) || !digits(fraction, 10) {
        return None;
    }
    text.parse().ok().filter(|rate| *rate > 0.0)
}

fn rate_of(span: Duration) -> f64 {
    // 99.9999999999 is the largest value of the grammar.
    (1.0 / span.as_secs_f64()).min(99.0)
}

fn span(rate: f64) -> Duration {
    Duration::from_secs_f64(1.0 / rate)
}

fn decimal(rate: f64) -> String {
    let text = format!("{rate:.10}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "0" => "0.0000000001".to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(event: &str) -> EventRates {
        let seconds = Duration::from_secs;
        EventRates::agree(&Params::parse(event), seconds(5), seconds(100))
    }

    #[test]
    fn e11_rates_are_adjusted_and_reflected() {
        for (asked, agreed) in [
            ("", ""),
            ("max-rate=0.1", ";max-rate=0.1"),
            ("max-rate=10", ";max-rate=0.2"),
            ("max-rate=0.001", ";max-rate=0.01"),
            ("min-rate=99;max-rate=0.1", ";max-rate=0.1;min-rate=0.1"),
            ("adaptive-min-rate=0.05", ";adaptive-min-rate=0.05"),
            ("max-rate=0;min-rate=-1", ""),
            ("max-rate=1e1;min-rate=100;adaptive-min-rate=.5", ""),
            ("min-rate=0.0000000001", ";min-rate=0.0000000001"),
        ] {
            assert_eq!(agree(asked).params(), agreed, "{asked}");
        }
    }

    #[test]
    fn e11_adaptive_rate_waits_longer_after_a_burst() {
        let mut rates = agree("adaptive-min-rate=0.1");
        let now = Moment::from_epoch(Duration::from_secs(1000));
        assert_eq!(rates.longest(), Some(Duration::from_secs(10)));
        for _ in 0..5 {
            rates.sent(now);
        }
        assert_eq!(rates.longest(), Some(Duration::from_secs(15)));
        rates.sent(now + Duration::from_secs(1000));
        assert_eq!(rates.longest(), Some(Duration::from_secs(1)));
    }
}
