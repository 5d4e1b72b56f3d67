//! What somebody costs who is in, watches, and says nothing: there are to be a hundred thousand
//! of them on one machine, at 4 KiB each in the whole process.

use std::mem::size_of;

use super::*;

/// A larger one is a decision, not an accident: what hardly anybody has goes into a box
/// (`Endpoint::rare`, `EventRates`), what many have in common into a pool (`sip/shared.rs`).
#[test]
fn what_is_there_for_everybody_is_small() {
    for (name, octets, most) in [
        ("endpoint", size_of::<room::endpoint::Endpoint>(), 544),
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

/// Two dialogs of one user, and what they and the roster know of it, are the same texts.
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
    // What was written for subscribers is forgotten as soon as nothing happens any more.
    let audience = focus.watch.audience(&alice.room).expect("an audience");
    assert!(audience.documents.is_empty());
}
