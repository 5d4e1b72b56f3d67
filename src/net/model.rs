//! `ready` and `eviction` under loom: every interleaving of their threads, and every value their
//! atomics may show. A lost wake-up leaves a driver waiting for ever, which loom reports as a
//! deadlock.

/// The primitives of loom in the place of those of the operating system.
mod sync {
    pub(super) use loom::sync::atomic::AtomicBool;
    pub(super) use loom::sync::{Mutex, MutexGuard};
}
#[expect(clippy::duplicate_mod, reason = "once more, with other primitives")]
#[path = "eviction.rs"]
mod eviction;
#[expect(clippy::duplicate_mod, reason = "once more, with other primitives")]
#[path = "ready.rs"]
mod ready;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use loom::future::block_on;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::entropy::Seeded;
use crate::switch::{Alone, Config, ConnectionId, Switch};
use crate::time::Moment;
use eviction::Eviction;
use ready::{Ready, waker};

fn connections<const COUNT: usize>() -> [ConnectionId; COUNT] {
    let entropy = Box::new(Seeded(1));
    let mut switch = Switch::new(Config::default(), entropy, Box::new(Alone));
    std::array::from_fn(|_| switch.opened(Moment::default()))
}

/// A driver that serves ready connections until it has read `all` octets of each.
fn drive(ready: &Ready, ids: &[ConnectionId], octets: &[AtomicUsize], all: usize) {
    let mut read = vec![0; ids.len()];
    block_on(poll_fn(|context| {
        let mut taken = Vec::new();
        ready.begin_turn(context.waker(), &mut taken);
        for id in taken {
            let at = ids.iter().position(|it| *it == id).unwrap();
            read[at] = octets[at].load(Ordering::Acquire);
        }
        match read.iter().all(|read| *read == all) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }));
}

#[test]
fn a_driver_looks_at_every_connection_that_became_ready() {
    let ids = connections::<2>();
    loom::model(move || {
        let ready = Arc::new(Ready::default());
        let octets = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let wakers = ids.map(|id| waker(id, Arc::clone(&ready)));
        let peers = Arc::clone(&octets);
        let others = thread::spawn(move || {
            for at in [0, 0, 1] {
                peers[at].fetch_add(1 + at, Ordering::Release);
                wakers[at].wake_by_ref();
            }
        });
        drive(&ready, &ids, &*octets, 2);
        others.join().unwrap();
    });
}

#[test]
fn two_threads_that_wake_a_driver_lose_nothing() {
    let ids = connections::<2>();
    loom::model(move || {
        let ready = Arc::new(Ready::default());
        let octets = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let others = [0, 1].map(|at| {
            let (waker, peer) = (waker(ids[at], Arc::clone(&ready)), Arc::clone(&octets));
            thread::spawn(move || {
                peer[at].fetch_add(1, Ordering::Release);
                waker.wake_by_ref();
            })
        });
        drive(&ready, &ids, &*octets, 1);
        others.into_iter().for_each(|it| it.join().unwrap());
    });
}

#[test]
fn a_command_that_comes_while_a_turn_begins_is_carried_out() {
    loom::model(|| {
        let ready = Arc::new(Ready::default());
        let (commands, received) = loom::sync::mpsc::channel();
        let driver = Arc::clone(&ready);
        let others = thread::spawn(move || {
            for number in 0..2 {
                commands.send(number).unwrap();
                ready.wake_driver();
            }
        });
        let mut carried_out = Vec::new();
        block_on(poll_fn(|context| {
            driver.begin_turn(context.waker(), &mut Vec::new());
            carried_out.extend(std::iter::from_fn(|| received.try_recv().ok()));
            match carried_out == [0, 1] {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        }));
        others.join().unwrap();
    });
}

#[test]
fn an_evicted_connection_learns_it_whenever_its_task_looks() {
    loom::model(|| {
        let eviction = Arc::new(Eviction::default());
        let other = Arc::clone(&eviction);
        let others = thread::spawn(move || other.evict());
        block_on(poll_fn(|context| {
            match eviction.is_evicted(context.waker()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        }));
        others.join().unwrap();
    });
}
