//! The subscribers of a conference.

use crate::focus::ids::SubscriptionId;
use crate::focus::roster::view::Seen;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use std::time::Duration;

use crate::control::UserUri;
use crate::focus::room::permission::MAX_WATCHERS;
use crate::time::Moment;

/// Full documents that a user gets at once on request, and again every `notify_interval`: a
/// SUBSCRIBE of 400 octets brings a whole roster.
const MAX_ON_DEMAND: u32 = 8;

/// The subscriptions of one conference. Every operation on one subscription takes logarithmic time.
#[derive(Debug, Default)]
pub(in crate::focus) struct Subscribers {
    seen: BTreeMap<SubscriptionId, Seen>,
    by_user: BTreeSet<(UserUri, SubscriptionId)>,
    /// Up-to-date subscriptions that wait for the next change.
    quiet: BTreeSet<SubscriptionId>,
    /// Number of subscriptions per revision up to which departures were deleted.
    buried: BTreeMap<u64, usize>,
    /// Users with recent requests for full documents, and the time until which these use up their
    /// pace.
    asked: HashMap<UserUri, Moment>,
}

impl Subscribers {
    /// Adds a subscription that has seen nothing yet.
    pub(in crate::focus) fn add(&mut self, id: SubscriptionId, user: &UserUri) {
        self.seen.insert(id, Seen::default());
        *self.buried.entry(0).or_default() += 1;
        self.by_user.insert((user.clone(), id));
    }

    /// Removes a subscription, if it is in the set.
    pub(in crate::focus) fn remove(&mut self, id: SubscriptionId, user: &UserUri) {
        let Some(seen) = self.seen.remove(&id) else {
            return;
        };
        self.leave(seen.buried);
        self.quiet.remove(&id);
        self.by_user.remove(&(user.clone(), id));
    }

    /// Notes what a subscriber has seen.
    pub(in crate::focus) fn show(&mut self, id: SubscriptionId, now: Seen) {
        if let Some(seen) = self.seen.get_mut(&id) {
            let before = std::mem::replace(seen, now);
            *self.buried.entry(now.buried).or_default() += 1;
            self.leave(before.buried);
        }
    }

    fn leave(&mut self, buried: u64) {
        if let Some(count) = self.buried.get_mut(&buried) {
            *count -= 1;
            if *count == 0 {
                self.buried.remove(&buried);
            }
        }
    }

    /// The revision up to which every subscriber has fully seen all departures.
    pub(in crate::focus) fn all_buried(&self) -> u64 {
        self.buried.keys().next().copied().unwrap_or(u64::MAX)
    }

    /// Lets a subscription wait for the next change.
    pub(in crate::focus) fn rest(&mut self, id: SubscriptionId) {
        if self.seen.contains_key(&id) {
            self.quiet.insert(id);
        }
    }

    /// Takes out the subscriptions that waited for a change, oldest first.
    pub(in crate::focus) fn wake(&mut self) -> BTreeSet<SubscriptionId> {
        std::mem::take(&mut self.quiet)
    }

    /// When a user gets the full document that they request.
    pub(in crate::focus) fn demand(
        &mut self,
        now: Moment,
        user: &UserUri,
        interval: Duration,
    ) -> Moment {
        if self.asked.len() == self.asked.capacity() {
            self.asked.retain(|_, until| *until > now);
        }
        if self.asked.len() >= MAX_WATCHERS && !self.asked.contains_key(user) {
            return now + interval;
        }
        let until = self.asked.entry(user.clone()).or_insert(now);
        *until = (*until).max(now) + interval / MAX_ON_DEMAND;
        now + until.saturating_since(now).saturating_sub(interval)
    }

    /// Forgets users whose pace allows full documents again; returns whether none are left.
    pub(in crate::focus) fn forget_demands(&mut self, now: Moment) -> bool {
        self.asked.retain(|_, until| *until > now);
        self.asked.shrink_to_fit();
        self.asked.is_empty()
    }

    /// The users of the subscriptions.
    pub(in crate::focus) fn users(&self) -> impl Iterator<Item = &UserUri> {
        self.by_user.iter().map(|(user, _)| user)
    }

    /// The subscriptions of one user.
    pub(in crate::focus) fn of(&self, user: &UserUri) -> Vec<SubscriptionId> {
        let theirs = self.by_user.range((user.clone(), SubscriptionId(0))..);
        let theirs = theirs.take_while(|(other, _)| other == user);
        theirs.map(|(_, id)| *id).collect()
    }

    /// All subscriptions, oldest first.
    pub(in crate::focus) fn ids(&self) -> Vec<SubscriptionId> {
        self.seen.keys().copied().collect()
    }

    /// Number of subscriptions.
    pub(in crate::focus) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether there are no subscriptions.
    pub(in crate::focus) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_watcher_decides_what_is_remembered() {
        let mut subscribers = Subscribers::default();
        let user = UserUri::new("sip:alice@example.com");
        assert_eq!(subscribers.all_buried(), u64::MAX);
        let (first, second) = (SubscriptionId(1), SubscriptionId(2));
        subscribers.add(first, &user);
        subscribers.add(second, &user);
        subscribers.show(first, Seen::all(7));
        assert_eq!(subscribers.all_buried(), 0);
        subscribers.show(second, Seen::all(5));
        assert_eq!(subscribers.all_buried(), 5);
        subscribers.remove(second, &user);
        subscribers.remove(second, &user);
        assert_eq!(subscribers.all_buried(), 7);
        assert_eq!(subscribers.of(&user), [first]);
        subscribers.remove(first, &user);
        assert!(subscribers.is_empty() && subscribers.of(&user).is_empty());
    }
}
