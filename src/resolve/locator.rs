//! Look-ups under way, the queue behind them, and their results for as long as they are valid.
//!
//! Limits bound everything a peer can make grow: look-ups in flight, in all and per user; names in
//! the queue; names remembered. Requests that wait for the same name share one look-up.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::target::Target;
use super::{Failure, LIMIT, Located};
use crate::counters::Totals;
use crate::time::Moment;

/// Look-ups in flight: each sends up to twenty questions to a name server at a time.
pub const MAX_LOOKUPS: usize = 64;
/// Look-ups in flight for one user: a list of names that do not resolve delays nobody else.
pub const MAX_LOOKUPS_OF_A_USER: usize = 4;
/// Queued names, which wait within [`LIMIT`].
const MAX_LINE: usize = 1_000;
/// Queued names of one user: as many as a list may name (`max_list_size`, by default).
const MAX_LINE_OF_A_USER: usize = 100;
/// Remembered names, some 300 octets each.
const MAX_NAMES: usize = 10_000;
/// Longest validity of a result, whatever its zone says.
const MAX_TTL: Duration = Duration::from_secs(3600);
/// Longest validity of a negative result (RFC 2308 §5 suggests one to three hours for resolvers;
/// those cache too).
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(300);
/// How long name servers that failed get no further question about the same name (RFC 9520 §3.2).
const FAILURE_TTL: Duration = Duration::from_secs(5);

/// The state of the name that a request goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookedUp {
    /// It is known.
    Now(Result<Arc<Located>, Failure>),
    /// It waits: [`Locator::poll`] will return its number.
    Later,
}

/// The result of a look-up.
type Found = Result<Arc<Located>, Failure>;

/// Number of a waiting request, chosen by its owner.
type Waiter = u64;

#[derive(Debug)]
struct LookUp {
    target: Target,
    user: String,
    since: Moment,
    waiting: Vec<Waiter>,
}

#[derive(Debug)]
struct Known {
    found: Found,
    until: Moment,
}

/// The look-ups of this process.
#[derive(Debug, Default)]
pub struct Locator {
    known: HashMap<Target, Known>,
    flying: Vec<LookUp>,
    line: VecDeque<LookUp>,
    /// Targets of started look-ups, to be sent to the name servers.
    questions: VecDeque<Target>,
    landed: VecDeque<(Waiter, Found)>,
    totals: Totals,
}

impl Locator {
    /// The servers of `target`, now or later. `user` is the user on whose behalf the request is
    /// sent.
    pub fn locate(&mut self, now: Moment, target: &Target, user: &str, waiter: Waiter) -> LookedUp {
        if let Some(known) = self.known.get(target).filter(|known| known.until > now) {
            return LookedUp::Now(known.found.clone());
        }
        let under_way = self.flying.iter_mut().chain(&mut self.line);
        if let Some(under_way) = under_way.into_iter().find(|it| it.target == *target) {
            under_way.waiting.push(waiter);
            return LookedUp::Later;
        }
        let of_user = self.line.iter().filter(|it| it.user == user).count();
        if self.line.len() >= MAX_LINE || of_user >= MAX_LINE_OF_A_USER {
            self.totals.look_ups_refused += 1;
            return LookedUp::Now(Err(Failure::Refused));
        }
        self.line.push_back(LookUp {
            target: target.clone(),
            user: user.to_owned(),
            since: now,
            waiting: vec![waiter],
        });
        self.take_off();
        LookedUp::Later
    }

    /// The next name to ask the name servers for.
    pub fn poll_question(&mut self) -> Option<Target> {
        self.questions.pop_front()
    }

    /// Takes the answer of the name servers and its validity.
    pub fn answer(
        &mut self,
        now: Moment,
        target: &Target,
        found: Result<Located, Failure>,
        ttl: Duration,
    ) {
        let found = found.map(Arc::new);
        let ttl = match &found {
            Ok(_) => ttl.min(MAX_TTL),
            Err(Failure::NoAddress | Failure::NoService) => ttl.min(MAX_NEGATIVE_TTL),
            Err(_) => FAILURE_TTL,
        };
        self.remember(now, target, &found, ttl);
        if let Some(place) = self.flying.iter().position(|it| it.target == *target) {
            let look_up = self.flying.swap_remove(place);
            self.land(look_up, &found);
        }
        self.take_off();
    }

    /// Ends look-ups that have taken too long.
    pub fn expire(&mut self, now: Moment) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let late = |it: &LookUp| it.since + LIMIT <= now;
        let found = Err(Failure::TimedOut);
        let flying = std::mem::take(&mut self.flying).into_iter();
        let (over, flying): (Vec<_>, Vec<_>) = flying.partition(late);
        let line = std::mem::take(&mut self.line).into_iter();
        let (given_up, line): (VecDeque<_>, VecDeque<_>) = line.partition(late);
        (self.line, self.flying) = (line, flying);
        for look_up in over {
            self.remember(now, &look_up.target, &found, FAILURE_TTL);
            self.land(look_up, &found);
        }
        // No name server got these questions: the next request may be luckier.
        for look_up in given_up {
            self.land(look_up, &found);
        }
        self.take_off();
    }

    /// The next request whose wait is over, and the result.
    pub fn poll(&mut self) -> Option<(Waiter, Found)> {
        self.landed.pop_front()
    }

    /// The request no longer waits. Its look-up goes on, as the answer is worth remembering.
    pub fn forget(&mut self, waiter: Waiter) {
        for look_up in self.flying.iter_mut().chain(&mut self.line) {
            look_up.waiting.retain(|it| *it != waiter);
        }
        self.line.retain(|it| !it.waiting.is_empty());
        self.landed.retain(|(it, _)| *it != waiter);
    }

    /// When [`Locator::expire`] must be called at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        let all = self.flying.iter().chain(&self.line);
        all.map(|look_up| look_up.since + LIMIT).min()
    }

    /// Names being looked up or queued, and look-ups refused and failed since the start.
    pub fn totals(&self) -> Totals {
        Totals {
            look_ups: (self.flying.len() + self.line.len()) as u64,
            ..self.totals
        }
    }

    /// Starts queued look-ups: the first of each user that has a free place.
    fn take_off(&mut self) {
        let mut place = 0;
        while self.flying.len() < MAX_LOOKUPS
            && let Some(next) = self.line.get(place)
        {
            let of_user = self.flying.iter().filter(|it| it.user == next.user);
            if of_user.count() >= MAX_LOOKUPS_OF_A_USER {
                place += 1;
                continue;
            }
            if let Some(look_up) = self.line.remove(place) {
                self.questions.push_back(look_up.target.clone());
                self.flying.push(look_up);
            }
        }
    }

    fn land(&mut self, look_up: LookUp, found: &Found) {
        self.totals.look_ups_failed += u64::from(found.is_err());
        let waiting = look_up.waiting.into_iter();
        self.landed.extend(waiting.map(|it| (it, found.clone())));
    }

    fn remember(&mut self, now: Moment, target: &Target, found: &Found, ttl: Duration) {
        if ttl.is_zero() {
            self.known.remove(target);
            return;
        }
        if self.known.len() >= MAX_NAMES && !self.known.contains_key(target) {
            self.known.retain(|_, known| known.until > now);
        }
        if self.known.len() >= MAX_NAMES
            && let Some(any) = self.known.keys().next().cloned()
        {
            self.known.remove(&any);
        }
        let known = Known {
            found: found.clone(),
            until: now + ttl,
        };
        self.known.insert(target.clone(), known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_epoch(Duration::from_secs(1_000));
    const TTL: Duration = Duration::from_secs(60);

    fn target(name: impl std::fmt::Display) -> Target {
        Target::of_uri(&format!("sip:{name}.test")).expect("a target")
    }

    fn nowhere() -> Result<Located, Failure> {
        Ok(Located::new(Vec::new()))
    }

    /// The requests whose wait is over, and the failure if nothing was found.
    fn landed(locator: &mut Locator) -> Vec<(Waiter, Option<Failure>)> {
        let each = std::iter::from_fn(|| locator.poll());
        each.map(|(waiter, found)| (waiter, found.err())).collect()
    }

    fn asked(locator: &mut Locator) -> usize {
        std::iter::from_fn(|| locator.poll_question()).count()
    }

    #[test]
    fn requests_to_one_name_share_a_look_up_and_then_its_result() {
        let mut locator = Locator::default();
        for waiter in 0..3 {
            let located = locator.locate(NOW, &target("a"), "sip:u", waiter);
            assert_eq!(located, LookedUp::Later);
        }
        assert_eq!((asked(&mut locator), locator.totals().look_ups), (1, 1));
        locator.answer(NOW, &target("a"), nowhere(), TTL);
        assert_eq!(landed(&mut locator), [(0, None), (1, None), (2, None)]);
        let known = |locator: &mut Locator, after| {
            matches!(
                locator.locate(NOW + after, &target("a"), "sip:u", 9),
                LookedUp::Now(Ok(_))
            )
        };
        assert!(known(&mut locator, TTL - Duration::from_millis(1)));
        assert!(!known(&mut locator, TTL), "asked for anew");
    }

    #[test]
    fn a_name_that_does_not_exist_is_remembered_too() {
        let mut locator = Locator::default();
        let remembered = |locator: &mut Locator, failure, ttl, after| {
            locator.locate(NOW, &target("a"), "sip:u", 1);
            locator.answer(NOW, &target("a"), Err(failure), ttl);
            let located = locator.locate(NOW + after, &target("a"), "sip:u", 2);
            locator.forget(2);
            located == LookedUp::Now(Err(failure))
        };
        let day = Duration::from_secs(86_400);
        let second = Duration::from_secs(1);
        let gone = Failure::NoAddress;
        assert!(remembered(&mut locator, gone, TTL, TTL - second));
        let mut locator = Locator::default();
        assert!(!remembered(&mut locator, gone, day, MAX_NEGATIVE_TTL));
        let mut locator = Locator::default();
        let down = Failure::Unavailable;
        assert!(remembered(&mut locator, down, day, FAILURE_TTL - second));
        let mut locator = Locator::default();
        assert!(!remembered(&mut locator, down, day, FAILURE_TTL));
        let mut locator = Locator::default();
        assert!(!remembered(&mut locator, gone, Duration::ZERO, second));
    }

    #[test]
    fn a_user_has_four_look_ups_in_flight_and_the_others_theirs() {
        let mut locator = Locator::default();
        for number in 0..20 {
            locator.locate(
                NOW,
                &target(format_args!("m{number}")),
                "sip:mallory",
                number,
            );
        }
        assert_eq!(asked(&mut locator), MAX_LOOKUPS_OF_A_USER);
        locator.locate(NOW, &target("a"), "sip:alice", 100);
        assert_eq!(asked(&mut locator), 1, "alice does not wait for mallory");
        locator.answer(NOW, &target("m0"), nowhere(), TTL);
        assert_eq!(asked(&mut locator), 1, "the next of mallory's");
    }

    #[test]
    fn sixty_four_look_ups_are_in_flight_and_the_line_is_bounded() {
        let mut locator = Locator::default();
        let mut refused = 0;
        for number in 0..2_000 {
            let user = format!("sip:u{number}");
            let located = locator.locate(NOW, &target(number), &user, number);
            refused += usize::from(located == LookedUp::Now(Err(Failure::Refused)));
        }
        assert_eq!(asked(&mut locator), MAX_LOOKUPS);
        assert_eq!(locator.totals().look_ups as usize, MAX_LOOKUPS + MAX_LINE);
        assert_eq!(refused, 2_000 - MAX_LOOKUPS - MAX_LINE);
        assert_eq!(locator.totals().look_ups_refused, refused as u64);
        // A request for a name already being looked up waits with the others.
        assert_eq!(locator.locate(NOW, &target(0), "sip:x", 1), LookedUp::Later);
    }

    #[test]
    fn a_users_line_is_bounded_too() {
        let mut locator = Locator::default();
        let most = MAX_LOOKUPS_OF_A_USER + MAX_LINE_OF_A_USER;
        for number in 0..most + 5 {
            let located = locator.locate(NOW, &target(number), "sip:m", number as u64);
            let refused = located == LookedUp::Now(Err(Failure::Refused));
            assert_eq!(refused, number >= most, "{number}");
        }
        let other = locator.locate(NOW, &target("a"), "sip:alice", 1);
        assert_eq!(other, LookedUp::Later);
    }

    #[test]
    fn four_seconds_are_the_limit_in_the_line_too() {
        let mut locator = Locator::default();
        for number in 0..6 {
            locator.locate(NOW, &target(number), "sip:m", number);
        }
        assert_eq!(locator.deadline(), Some(NOW + LIMIT));
        locator.expire(NOW + LIMIT - Duration::from_millis(1));
        assert_eq!(landed(&mut locator), []);
        locator.expire(NOW + LIMIT);
        let late = landed(&mut locator);
        assert_eq!(late.len(), 6);
        assert!(late.iter().all(|(_, why)| *why == Some(Failure::TimedOut)));
        assert_eq!((locator.deadline(), locator.totals().look_ups), (None, 0));
        // A name that was looked up is not looked up again at once; one that only waited in the
        // queue is.
        let again = |locator: &mut Locator, number| {
            locator.locate(NOW + LIMIT, &target(number), "sip:m", 50)
        };
        assert_eq!(
            again(&mut locator, 0),
            LookedUp::Now(Err(Failure::TimedOut))
        );
        assert_eq!(again(&mut locator, 5), LookedUp::Later);
        // A late answer serves later requests.
        locator.answer(NOW + LIMIT, &target(0), nowhere(), TTL);
        assert!(matches!(again(&mut locator, 0), LookedUp::Now(Ok(_))));
    }

    #[test]
    fn who_no_longer_waits_is_not_named() {
        let mut locator = Locator::default();
        for number in 0..6 {
            locator.locate(NOW, &target(number), "sip:m", number);
        }
        locator.forget(0);
        locator.forget(5);
        assert_eq!(locator.totals().look_ups, 5, "its name left the line");
        for number in 0..5 {
            locator.answer(NOW, &target(number), nowhere(), TTL);
        }
        let named: Vec<_> = landed(&mut locator).iter().map(|it| it.0).collect();
        assert_eq!(named, [1, 2, 3, 4]);
    }

    #[test]
    fn so_many_names_are_remembered_at_most() {
        let mut locator = Locator::default();
        for number in 0..MAX_NAMES + 100 {
            locator.answer(NOW, &target(number), nowhere(), TTL);
        }
        assert_eq!(locator.known.len(), MAX_NAMES);
        locator.answer(NOW + TTL, &target("new"), nowhere(), TTL);
        assert_eq!(locator.known.len(), 1, "those that are over go first");
    }
}
