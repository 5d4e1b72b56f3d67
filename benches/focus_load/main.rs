//! Cost of the focus alone: joins, a burst of NOTIFYs, a restart. CPU time of one thread, without
//! the proxy, the switch and the database; the simulated surroundings are included.

#[path = "../shared/arrival.rs"]
mod arrival;
mod crowd;

use std::time::{Duration, Instant};

use crowd::Crowd;

fn main() {
    joins();
    storm();
    restart();
}

fn print(what: &str, value: f64) {
    println!("{what:>60} {value:>10.2}");
}

/// A thousand a second for ten seconds, in a hundred rooms; half of them subscribe.
fn joins() {
    let mut crowd = Crowd::new(100);
    let started = Instant::now();
    for name in 0..10_000 {
        crowd.join(name);
        if name % 2 == 0 {
            crowd.subscribe(name);
        }
        crowd.pass(Duration::from_millis(1));
    }
    let spent = started.elapsed().as_secs_f64();
    assert_eq!(crowd.participants(), 10_000);
    print("1,000 joins/s for 10 s, seconds of core time", spent);
    print("joins/s at most", 10_000.0 / spent);
    print("NOTIFYs sent meanwhile", crowd.notifies as f64);
}

/// A thousand subscribers of one room, and a thousand more participants who join it, 100 a second.
fn storm() {
    let mut crowd = Crowd::new(1);
    for name in 0..1_000 {
        crowd.join(name);
        crowd.subscribe(name);
    }
    crowd.pass(Duration::from_secs(60));
    let (before, started) = (crowd.notifies, Instant::now());
    for name in 1_000..2_000 {
        crowd.join(name);
        crowd.pass(Duration::from_millis(10));
    }
    crowd.pass(Duration::from_secs(60));
    let spent = started.elapsed().as_secs_f64();
    let sent = (crowd.notifies - before) as f64;
    print("storm: 1,000 subscribers, 1,000 join; NOTIFYs", sent);
    print("joins and NOTIFYs, seconds of core time", spent);
    print("NOTIFYs/s at most", sent / spent);
}

/// Ten thousand participants in a hundred rooms, each with a subscription.
fn restart() {
    let mut crowd = Crowd::new(100);
    crowd.keep();
    for name in 0..10_000 {
        crowd.join(name);
        crowd.subscribe(name);
        crowd.pass(Duration::from_millis(1));
    }
    crowd.pass(Duration::from_secs(60));
    let started = Instant::now();
    let mut next = crowd.restore();
    print("10,000 restored, seconds", started.elapsed().as_secs_f64());
    next.pass(Duration::from_secs(20));
    print("and all NOTIFYs, seconds", started.elapsed().as_secs_f64());
    assert_eq!(next.participants(), 10_000);
}
