//! All subscriptions: their rooms, the documents for them, and the queue of NOTIFYs.

use std::collections::{HashMap, HashSet};

use regex_lite::Regex;

use crate::control::{RoomUri, UserUri};
use crate::focus::Config;
use crate::focus::dirty_map::DirtyMap;
use crate::focus::ids::SubscriptionId;
use crate::focus::roster::cache::DocumentCache;
use crate::focus::timers::TimerKey;
use crate::focus::watch::notify_queue::{Budget, NotifyQueue};
use crate::focus::watch::subscribers::Subscribers;
use crate::focus::watch::subscription::Subscription;
use crate::time::Moment;

/// All subscriptions.
pub(in crate::focus) struct Watch {
    pub(in crate::focus) full_notify_agents: Option<Regex>,
    subscriptions: DirtyMap<SubscriptionId, Subscription>,
    /// NOTIFYs to send.
    pub(in crate::focus) queue: NotifyQueue,
    pub(in crate::focus) budget: Budget,
    audiences: HashMap<RoomUri, Audience>,
    /// Rooms whose documents were used, or whose last subscriber has gone, since the last check for
    /// idle documents.
    warm: HashSet<RoomUri>,
    /// Timer of the next such check.
    pub(in crate::focus) idle_timer: Option<TimerKey>,
}

/// The subscribers of a room, and their documents.
#[derive(Debug, Default)]
pub(in crate::focus) struct Audience {
    pub(in crate::focus) subscribers: Subscribers,
    pub(in crate::focus) documents: DocumentCache,
}

impl Watch {
    pub(in crate::focus) fn new(config: &Config) -> Self {
        let agents = config.full_notify_agents.as_deref();
        Self {
            full_notify_agents: agents.and_then(|pattern| Regex::new(pattern).ok()),
            subscriptions: DirtyMap::default(),
            queue: NotifyQueue::default(),
            budget: Budget::new(config.notify_memory),
            audiences: HashMap::new(),
            warm: HashSet::new(),
            idle_timer: None,
        }
    }

    /// The audience of a room, if it has subscribers or had some recently.
    pub(in crate::focus) fn audience(&self, room: &RoomUri) -> Option<&Audience> {
        self.audiences.get(room)
    }

    pub(in crate::focus) fn audience_mut(&mut self, room: &RoomUri) -> Option<&mut Audience> {
        self.audiences.get_mut(room)
    }

    /// All subscriptions.
    pub(in crate::focus) fn subscriptions(&self) -> &DirtyMap<SubscriptionId, Subscription> {
        &self.subscriptions
    }

    /// The subscriptions, to collect their changes for the store.
    pub(in crate::focus) fn kept_subscriptions(
        &mut self,
    ) -> &mut DirtyMap<SubscriptionId, Subscription> {
        &mut self.subscriptions
    }

    /// The subscription; marks it as changed.
    pub(in crate::focus) fn subscription_mut(
        &mut self,
        id: SubscriptionId,
    ) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(&id)
    }

    /// A subscription and its audience.
    pub(in crate::focus) fn with_audience(
        &mut self,
        id: SubscriptionId,
    ) -> Option<(&mut Subscription, &mut Audience)> {
        let subscription = self.subscriptions.get_mut(&id)?;
        let audience = self.audiences.get_mut(&subscription.room)?;
        Some((subscription, audience))
    }

    /// Adds a subscription to an existing room.
    pub(in crate::focus) fn begin(&mut self, id: SubscriptionId, subscription: Subscription) {
        let audience = self.audiences.entry(subscription.room.clone()).or_default();
        audience.subscribers.add(id, &subscription.user);
        self.subscriptions.insert(id, subscription);
    }

    /// Adds a subscription to a room that has gone: it gets only its final NOTIFY.
    pub(in crate::focus) fn begin_without_room(
        &mut self,
        id: SubscriptionId,
        subscription: Subscription,
    ) {
        self.subscriptions.insert(id, subscription);
    }

    /// Removes a subscription.
    pub(in crate::focus) fn end(&mut self, id: SubscriptionId) -> Option<Subscription> {
        let subscription = self.subscriptions.remove(&id)?;
        if let Some(audience) = self.audiences.get_mut(&subscription.room) {
            audience.subscribers.remove(id, &subscription.user);
            self.warm.insert(subscription.room.clone());
        }
        Some(subscription)
    }

    /// Detaches the subscribers of a room that has gone.
    pub(in crate::focus) fn disband(&mut self, room: &RoomUri) -> Vec<SubscriptionId> {
        self.warm.remove(room);
        let audience = self.audiences.remove(room);
        audience.map_or(Vec::new(), |it| it.subscribers.ids())
    }

    /// Number of subscriptions to a room.
    pub(in crate::focus) fn watchers(&self, room: &RoomUri) -> usize {
        self.audience(room).map_or(0, |it| it.subscribers.len())
    }

    /// The subscriptions of a user to a room.
    pub(in crate::focus) fn of(&self, room: &RoomUri, user: &UserUri) -> Vec<SubscriptionId> {
        let audience = self.audience(room);
        audience.map_or(Vec::new(), |it| it.subscribers.of(user))
    }

    /// Notes that the documents of a room are in use.
    pub(in crate::focus) fn warm_up(&mut self, room: &RoomUri) {
        if !self.warm.contains(room) {
            self.warm.insert(room.clone());
        }
    }

    /// Whether some room needs a check for idle documents.
    pub(in crate::focus) fn is_warm(&self) -> bool {
        !self.warm.is_empty()
    }

    /// Drops idle documents and empty audiences.
    pub(in crate::focus) fn cool_down(&mut self, now: Moment) {
        let audiences = &mut self.audiences;
        self.warm.retain(|room| {
            let Some(audience) = audiences.get_mut(room) else {
                return false;
            };
            if !audience.forget_idle(now) {
                return true;
            }
            if audience.subscribers.is_empty() {
                audiences.remove(room);
            }
            false
        });
    }

    /// Names of the tables that are not empty although there are no subscriptions.
    pub(in crate::focus) fn leftovers(&self) -> Vec<&'static str> {
        let all = [
            ("subscriptions", self.subscriptions.len()),
            ("notify queue", self.queue.len()),
            ("audiences", self.audiences.len()),
            ("warm rooms", self.warm.len()),
        ];
        let left = all.into_iter().filter(|(_, count)| *count > 0);
        left.map(|(name, _)| name).collect()
    }
}

impl Audience {
    /// Drops idle data; returns whether none is left.
    fn forget_idle(&mut self, now: Moment) -> bool {
        let documents = self.documents.forget_idle(now);
        let demands = self.subscribers.forget_demands(now);
        documents && demands
    }
}
