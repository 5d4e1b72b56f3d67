//! Limit on the parties each user may invite per minute. We do not ask the parties for their
//! consent (RFC 5360, wanted by RFC 5363 §5.2), so the limit keeps users from sending our calls to
//! the world at large.

use std::collections::HashMap;
use std::time::Duration;

use crate::control::UserUri;
use crate::focus::Focus;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::rejection::Verdict;
use crate::time::Moment;

/// Time in which a user's full allowance comes back, evenly.
const PERIOD: Duration = Duration::from_secs(60);
/// Least number of parties per period, however short lists must be.
const LEAST: usize = 20;
/// Users remembered before those with a full allowance are dropped: a megabyte.
const MANY: usize = 10_000;

/// Number of parties that users have invited recently.
#[derive(Debug, Default)]
pub(in crate::focus) struct InvitationLimit(HashMap<UserUri, Spent>);

#[derive(Clone, Copy, Debug)]
struct Spent {
    parties: f64,
    at: Moment,
}

impl Spent {
    fn left_at(self, now: Moment, most: usize) -> f64 {
        let passed = now.saturating_since(self.at).as_secs_f64() / PERIOD.as_secs_f64();
        (self.parties - passed * most as f64).max(0.0)
    }
}

impl InvitationLimit {
    /// Spends this number of parties out of `most` per period; `false` if the allowance is too
    /// small.
    fn spend(&mut self, now: Moment, user: &UserUri, parties: usize, most: usize) -> bool {
        let spent = self.0.get(user).map_or(0.0, |it| it.left_at(now, most));
        let parties = spent + parties as f64;
        if parties > most as f64 {
            return false;
        }
        if self.0.len() >= MANY {
            self.0.retain(|_, it| it.left_at(now, most) > 0.0);
        }
        self.0.insert(user.clone(), Spent { parties, at: now });
        true
    }
}

impl Focus {
    /// Whether a user may invite this number of parties now (row L04): two of the longest lists a
    /// minute.
    pub(in crate::focus) fn spend_invitations(
        &mut self,
        now: Moment,
        user: &UserUri,
        parties: usize,
    ) -> Verdict<()> {
        let most = (2 * self.config.max_list_size).max(LEAST);
        if parties == 0 || self.invites.limit.spend(now, user, parties, most) {
            return Ok(());
        }
        Err(Cause::TooManyInvitations.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l04_what_is_spent_comes_back() {
        let start = Moment::from_epoch(Duration::from_secs(1));
        let (alice, bob) = (UserUri::new("sip:alice@a"), UserUri::new("sip:bob@a"));
        let mut invitation_limit = InvitationLimit::default();
        assert!(invitation_limit.spend(start, &alice, 10, 12));
        assert!(!invitation_limit.spend(start, &alice, 3, 12));
        assert!(invitation_limit.spend(start, &bob, 12, 12), "somebody else");
        assert!(invitation_limit.spend(start, &alice, 2, 12));
        let later = start + PERIOD / 4;
        assert!(!invitation_limit.spend(later, &alice, 4, 12));
        assert!(invitation_limit.spend(later, &alice, 3, 12));
        assert!(invitation_limit.spend(later + PERIOD, &alice, 12, 12));
    }

    #[test]
    fn only_those_are_remembered_who_spend() {
        let start = Moment::from_epoch(Duration::from_secs(1));
        let mut invitation_limit = InvitationLimit::default();
        for number in 0..MANY {
            assert!(invitation_limit.spend(start, &UserUri::new(format!("sip:u{number}@a")), 1, 2));
        }
        let late = UserUri::new("sip:late@a");
        assert!(invitation_limit.spend(start + PERIOD, &late, 1, 2));
        assert_eq!(invitation_limit.0.len(), 1);
    }
}
