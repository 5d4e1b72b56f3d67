//! Connections that have not bound a session. Their peers are unknown, so their number is small,
//! and the oldest makes way for a new one. A peer with a session binds it within a round trip; a
//! peer that only connects is soon evicted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::poll_fn;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::eviction::Eviction;

/// Bounds connections without a session.
#[derive(Debug)]
pub(super) struct Strangers {
    waiting: Mutex<Waiting>,
    /// Limit of all of them...
    most: usize,
    /// ...and of those from one source network.
    share: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// In the order in which they came.
    places: BTreeMap<u64, Arc<Place>>,
    by_source: HashMap<IpAddr, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Place {
    source: IpAddr,
    eviction: Eviction,
}

/// Permission to be a connection without a session; returned on drop.
#[derive(Debug)]
pub(super) struct Permit {
    strangers: Arc<Strangers>,
    number: u64,
    place: Arc<Place>,
}

impl Strangers {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            most,
            share: (most / 2).max(1),
        })
    }

    /// Adds a connection. If that exceeds the total limit or the limit of its network, the oldest
    /// connection in excess must go.
    pub(super) fn admit(self: &Arc<Self>, source: IpAddr) -> Permit {
        let source = network(source);
        let place = Arc::new(Place {
            source,
            eviction: Eviction::default(),
        });
        let mut waiting = self.waiting();
        let own = waiting.by_source.get(&source);
        let oldest = match own {
            Some(own) if own.len() >= self.share => own.first().copied(),
            _ if waiting.places.len() >= self.most => waiting.oldest(),
            _ => None,
        };
        let victim = oldest.and_then(|number| waiting.remove(number));
        let number = waiting.next;
        waiting.next += 1;
        waiting.places.insert(number, Arc::clone(&place));
        waiting.by_source.entry(source).or_default().insert(number);
        drop(waiting);
        if let Some(victim) = victim {
            victim.eviction.evict();
        }
        Permit {
            strangers: Arc::clone(self),
            number,
            place,
        }
    }

    /// Evicts the oldest: no descriptors are left.
    pub(super) fn evict_oldest(&self) {
        let mut waiting = self.waiting();
        let oldest = waiting.oldest();
        let victim = oldest.and_then(|number| waiting.remove(number));
        drop(waiting);
        if let Some(victim) = victim {
            victim.eviction.evict();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn oldest(&self) -> Option<u64> {
        self.places.first_key_value().map(|(number, _)| *number)
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Place>> {
        let place = self.places.remove(&number)?;
        if let Some(own) = self.by_source.get_mut(&place.source) {
            own.remove(&number);
            if own.is_empty() {
                self.by_source.remove(&place.source);
            }
        }
        Some(place)
    }
}

impl Permit {
    /// Sets the waker for the eviction; returns whether the connection must already go.
    pub(super) fn is_evicted(&self, waker: &Waker) -> bool {
        self.place.eviction.is_evicted(waker)
    }

    /// Resolves when the connection must go.
    pub(super) async fn evicted(&self) {
        poll_fn(|context| match self.is_evicted(context.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.strangers.waiting().remove(self.number);
    }
}

/// The address range that counts as one source: an IPv4 address, or the /64 of an IPv6 host.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(bits).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn is_evicted(permit: &Permit) -> bool {
        permit.is_evicted(Waker::noop())
    }

    #[test]
    fn the_oldest_makes_way() {
        let strangers = Strangers::new(4);
        let source = |number: usize| address(&format!("192.0.2.{number}"));
        let first: Vec<_> = (0..4).map(|it| strangers.admit(source(it))).collect();
        assert!(!first.iter().any(is_evicted));
        let more = strangers.admit(source(4));
        assert!(is_evicted(&first[0]) && !is_evicted(&first[1]) && !is_evicted(&more));
        // A connection with a session needs no permit.
        drop(first);
        let again: Vec<_> = (0..3).map(|it| strangers.admit(source(it))).collect();
        assert!(!again.iter().any(is_evicted) && !is_evicted(&more));
        strangers.evict_oldest();
        assert!(is_evicted(&more) && !again.iter().any(is_evicted));
    }

    #[test]
    fn one_source_has_its_share() {
        let strangers = Strangers::new(8);
        let other = strangers.admit(address("192.0.2.1"));
        let flood: Vec<_> = (0..20)
            .map(|_| strangers.admit(address("192.0.2.2")))
            .collect();
        assert!(!is_evicted(&other));
        let left = flood.iter().filter(|it| !is_evicted(it)).count();
        assert_eq!(left, 4);
        assert!(!is_evicted(flood.last().unwrap()), "the newest stay");
    }

    #[test]
    fn a_network_of_one_host_is_one_source() {
        let same = |left, right| network(address(left)) == network(address(right));
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn who_must_go_is_woken() {
        struct Flag(AtomicBool);
        impl std::task::Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let strangers = Strangers::new(2);
        let first = strangers.admit(address("192.0.2.1"));
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        assert!(!first.is_evicted(&Waker::from(Arc::clone(&flag))));
        let others = [2, 3].map(|it| strangers.admit(address(&format!("192.0.2.{it}"))));
        assert!(flag.0.load(Ordering::SeqCst));
        assert!(!others.iter().any(is_evicted));
    }
}
