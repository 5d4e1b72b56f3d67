//! Fair limits on concurrent connection attempts. Anyone who may join can name an address that
//! accepts every packet and answers none. Attempts for such an address, or for the room it was
//! named in, must not delay anyone else's.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::strangers::network;
use crate::control::RoomUri;

/// Limit of concurrent attempts of all threads.
const MAX_DIALS: usize = 256;
/// Places reserved for parties that have no attempt in progress.
const RESERVED: usize = MAX_DIALS / 4;
/// Limit of concurrent attempts per room, and per network that descriptions came from.
const SHARE: usize = MAX_DIALS / 8;

/// A party on whose behalf an attempt is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Party {
    /// The network from which the peer's description came.
    Source(IpAddr),
    /// The room it is for.
    Room(RoomUri),
}

/// The source network and the room of an attempt, as far as known.
pub(super) type Parties = [Option<Party>; 2];

pub(super) fn parties(source: Option<IpAddr>, room: &RoomUri) -> Parties {
    let source = source.map(|source| Party::Source(network(source)));
    [source, Some(Party::Room(room.clone()))]
}

/// Bounds attempts to connect.
#[derive(Debug, Default)]
pub(super) struct Places {
    state: Mutex<State>,
    delayed: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    by_party: HashMap<Party, usize>,
    /// In the order in which they came.
    waiting: VecDeque<(Parties, oneshot::Sender<Place>)>,
}

/// Permission for one attempt; returned on drop.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    parties: Parties,
}

impl Drop for Place {
    fn drop(&mut self) {
        let parties = std::mem::take(&mut self.parties);
        self.places.release(&parties);
    }
}

impl Places {
    /// Waits for a place.
    pub(super) async fn acquire(self: &Arc<Self>, parties: Parties) -> Option<Place> {
        let turn = {
            let mut state = self.state();
            if state.may_start(&parties) {
                state.start(&parties);
                return Some(self.place(parties));
            }
            let (sender, turn) = oneshot::channel();
            state.waiting.push_back((parties, sender));
            turn
        };
        self.delayed.fetch_add(1, Ordering::Relaxed);
        turn.await.ok()
    }

    /// Number of attempts that had to wait so far.
    pub(super) fn delayed(&self) -> u64 {
        self.delayed.load(Ordering::Relaxed)
    }

    fn release(self: &Arc<Self>, parties: &Parties) {
        let mut turns = Vec::new();
        {
            let mut state = self.state();
            state.end(parties);
            state.waiting.retain(|(_, sender)| !sender.is_closed());
            while let Some((parties, sender)) = state.next() {
                state.start(&parties);
                turns.push((self.place(parties), sender));
            }
        }
        // A waiter that has given up returns its place, which takes the lock.
        for (place, sender) in turns {
            drop(sender.send(place));
        }
    }

    fn place(self: &Arc<Self>, parties: Parties) -> Place {
        Place {
            places: Arc::clone(self),
            parties,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first waiter that may start; skips those whose party has used up its share.
    fn next(&mut self) -> Option<(Parties, oneshot::Sender<Place>)> {
        let mut waiting = self.waiting.iter();
        let place = waiting.position(|(parties, _)| self.may_start(parties))?;
        self.waiting.remove(place)
    }

    fn may_start(&self, parties: &Parties) -> bool {
        let running = |party: &Party| self.by_party.get(party).copied().unwrap_or(0);
        let own = parties.iter().flatten().map(running).max().unwrap_or(0);
        let most = if own == 0 {
            MAX_DIALS
        } else {
            MAX_DIALS - RESERVED
        };
        own < SHARE && self.running < most
    }

    fn start(&mut self, parties: &Parties) {
        self.running += 1;
        for party in parties.iter().flatten() {
            *self.by_party.entry(party.clone()).or_default() += 1;
        }
    }

    fn end(&mut self, parties: &Parties) {
        self.running -= 1;
        for party in parties.iter().flatten() {
            if let Some(running) = self.by_party.get_mut(party) {
                *running -= 1;
                if *running == 0 {
                    self.by_party.remove(party);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    fn of(source: u32, room: u32) -> Parties {
        let room = RoomUri::new(format!("sip:{room}@example.com").as_str());
        parties(Some(IpAddr::from(source.to_be_bytes())), &room)
    }

    /// Asks and looks once.
    fn ask(places: &Arc<Places>, parties: Parties) -> Result<Place, Waiting> {
        let places = Arc::clone(places);
        let mut waiting: Waiting = Box::pin(async move { places.acquire(parties).await });
        match look(&mut waiting) {
            Some(place) => Ok(place),
            None => Err(waiting),
        }
    }

    type Waiting = std::pin::Pin<Box<dyn Future<Output = Option<Place>>>>;

    fn look(waiting: &mut Waiting) -> Option<Place> {
        match waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(place) => place,
            Poll::Pending => None,
        }
    }

    #[test]
    fn black_holes_of_one_network_or_one_room_hold_nobody_else_up() {
        for one_network in [true, false] {
            let places = Arc::new(Places::default());
            let holes = |at: u32| match one_network {
                true => of(7, at),
                false => of(at << 8, 7),
            };
            let mut running = Vec::new();
            let mut waiting = Vec::new();
            for at in 1..2000 {
                match ask(&places, holes(at)) {
                    Ok(place) => running.push(place),
                    Err(one) => waiting.push(one),
                }
            }
            assert_eq!(running.len(), SHARE);
            assert_eq!(places.delayed(), waiting.len() as u64);
            let other = ask(&places, of(0xc0a8_0001, 9000));
            assert!(other.is_ok(), "another has his turn at once");
            running.pop();
            let first = look(&mut waiting[0]);
            assert!(first.is_some(), "and the first who waits");
            assert!(look(&mut waiting[1]).is_none());
        }
    }

    #[test]
    fn whoever_has_none_has_his_turn_when_many_networks_try() {
        let places = Arc::new(Places::default());
        let mut running = Vec::new();
        for at in 0..1000 {
            running.extend(ask(&places, of((at % 20) << 8, at % 20)).ok());
        }
        assert_eq!(running.len(), MAX_DIALS - RESERVED);
        let newcomers: Vec<_> = (0..RESERVED as u32)
            .map(|at| ask(&places, of((at + 500) << 8, at + 500)))
            .collect();
        assert!(newcomers.iter().all(Result::is_ok));
        let Err(mut one_too_many) = ask(&places, of(999 << 8, 999)) else {
            panic!("there is a bound");
        };
        drop(running.pop());
        assert!(look(&mut one_too_many).is_some());
    }

    #[test]
    fn who_waits_no_longer_takes_nobodys_place() {
        let places = Arc::new(Places::default());
        let mut running: Vec<_> = (0..SHARE).map(|_| ask(&places, of(1, 1))).collect();
        let gone = ask(&places, of(1, 1));
        let Err(mut stays) = ask(&places, of(1, 1)) else {
            panic!("there is a bound");
        };
        drop(gone);
        running.pop();
        assert!(look(&mut stays).is_some());
        drop((running, stays));
        let state = places.state();
        assert_eq!((state.running, state.by_party.len()), (0, 0));
    }
}
