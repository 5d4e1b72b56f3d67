//! Who watches, and whose NOTIFY is next.

use regex_lite::Regex;

use crate::focus::Config;
use crate::focus::dirty_map::DirtyMap;
use crate::focus::ids::SubscriptionId;
use crate::focus::watch::notify_queue::{Budget, NotifyQueue};
use crate::focus::watch::subscription::Subscription;

/// All subscriptions.
pub(in crate::focus) struct Watch {
    pub(in crate::focus) full_notify_agents: Option<Regex>,
    pub(in crate::focus) subscriptions: DirtyMap<SubscriptionId, Subscription>,
    /// NOTIFYs that are due.
    pub(in crate::focus) queue: NotifyQueue,
    pub(in crate::focus) budget: Budget,
}

impl Watch {
    pub(in crate::focus) fn new(config: &Config) -> Self {
        let agents = config.full_notify_agents.as_deref();
        Self {
            full_notify_agents: agents.and_then(|pattern| Regex::new(pattern).ok()),
            subscriptions: DirtyMap::default(),
            queue: NotifyQueue::default(),
            budget: Budget::new(config.notify_memory),
        }
    }

    /// The names of what is not empty, when nobody watches any more.
    pub(in crate::focus) fn leftovers(&self) -> Vec<&'static str> {
        let all = [
            ("subscriptions", self.subscriptions.len()),
            ("notify queue", self.queue.len()),
        ];
        let left = all.into_iter().filter(|(_, count)| *count > 0);
        left.map(|(name, _)| name).collect()
    }
}
