//! Memory that the focus holds for a participant who subscribes to the roster and sends nothing.

#[path = "../benches/shared/arrival.rs"]
mod arrival;
#[path = "../benches/focus_load/crowd.rs"]
mod crowd;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting allocated octets.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROOMS: usize = 20;
const MEMBERS: usize = 100;
/// Octets for one participant, with a dialog, a subscription, the texts of both, timers and every
/// index. It was 6,200 when each index had keys of its own; the limit of the whole process is 4
/// KiB, of which the switch takes 1.5.
const MOST: usize = 2_500;

#[test]
fn somebody_who_is_in_and_silent_costs_little() {
    let mut crowd = crowd::Crowd::new(ROOMS);
    let before = HELD.load(Ordering::Relaxed);
    for name in 0..ROOMS * MEMBERS {
        crowd.join(name);
        crowd.subscribe(name);
        crowd.pass(Duration::from_millis(1));
    }
    crowd.pass(Duration::from_secs(60));
    assert_eq!(crowd.participants(), ROOMS * MEMBERS);
    let each = (HELD.load(Ordering::Relaxed) - before) / (ROOMS * MEMBERS);
    println!("{each} octets a participant");
    assert!(each <= MOST, "{each} octets a participant");
}
