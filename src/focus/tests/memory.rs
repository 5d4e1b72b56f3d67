//! Memory per idle participant with a subscription: one machine should hold a hundred thousand, at
//! 4 KiB each in the whole process.

use std::mem::size_of;

use super::*;

/// A larger size must be a decision, not an accident. Rare facts go into a box (`Endpoint::rare`,
/// `EventRates`), common ones into a pool (`sip/shared.rs`).
#[test]
fn what_is_there_for_everybody_is_small() {
    for (name, octets, most) in [
        ("endpoint", size_of::<room::endpoint::Endpoint>(), 520),
        ("dialog", size_of::<sip::dialog::Dialog>(), 160),
        (
            "dialog key",
            size_of::<crate::wire::sip::dialog::DialogKey>(),
            24,
        ),
        ("media", size_of::<sip::media::Media>(), 88),
        (
            "subscription",
            size_of::<watch::subscription::Subscription>(),
            440,
        ),
        (
            "participant",
            size_of::<room::participant::Participant>(),
            88,
        ),
        ("timer", size_of::<(timers::TimerKey, timers::Timer)>(), 40),
    ] {
        assert!(octets <= most, "{name}: {octets} octets");
    }
}

/// Two dialogs of one user share their texts, with each other and with the roster.
#[test]
fn what_dialogs_have_in_common_is_there_once() {
    let mut scenario = Scenario::new();
    for user in ["alice", "bob"] {
        scenario.join(user, ROOM);
        scenario.watch(user, ROOM);
    }
    scenario.pass(60);
    let focus = &scenario.focus;
    let mut endpoints = focus.rooms.endpoints().values();
    let [alice, bob] = [(); 2].map(|()| endpoints.next().expect("two"));
    let mut subscriptions = focus.watch.subscriptions().values();
    let theirs = subscriptions.find(|it| it.user == alice.user);
    let theirs = theirs.expect("her subscription");
    for (one, other) in [
        (&alice.dialog.remote_target, &theirs.dialog.remote_target),
        (&alice.dialog.remote_target, &alice.entity),
        (&alice.dialog.remote_uri, &alice.dialog.principal),
        (&alice.dialog.remote_uri, &theirs.user.shared()),
        (&alice.dialog.local_uri, &bob.dialog.local_uri),
        (&alice.dialog.local_uri, &theirs.room.shared()),
        (&alice.dialog.contact, &theirs.dialog.contact),
    ] {
        assert!(std::sync::Arc::ptr_eq(one, other), "{one} {other}");
    }
    assert!(std::sync::Arc::ptr_eq(
        &alice.dialog.socket,
        &bob.dialog.socket
    ));
    assert_ne!(
        alice.media.ours(),
        bob.media.ours(),
        "each has its own path"
    );
    assert!(alice.media.says_the_same_as(&bob.media));
    // Documents for subscribers are dropped when they are idle.
    let audience = focus.watch.audience(&alice.room).expect("an audience");
    assert!(audience.documents.is_empty());
}
