//! Nicknames: RFC 7701 §7.

use super::*;
use crate::control::HeldNickname;

fn nickname(name: &str, value: &str) -> String {
    let header = format!("Use-Nickname: {value}");
    request(
        name,
        "nick1234",
        "NICKNAME",
        &[&header],
        "-------nick1234$\r\n",
    )
}

const NONE: [u16; 0] = [];

fn named(nickname: Option<&str>, user: &str, change: u64) -> Notice {
    Notice::Nickname {
        room: RoomUri::new(LOBBY),
        user: UserUri::new(format!("sip:{user}@example.com")),
        nickname: nickname.map(str::to_owned),
        change: NicknameChange(change),
    }
}

#[test]
fn g60_g61_g62_g63_g65_g66_nicknames_are_taken_refused_and_freed() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, nickname("alice", "\"Alice the Great\""));
    assert_eq!(stage.codes(alice), [200]);
    assert_eq!(
        stage.notices(),
        [named(Some("Alice the Great"), "alice", 1)]
    );
    // G62: the same to the eye.
    for same in [
        "\"Alice the Great\"",
        "\"  alice  THE great \"",
        "\"\u{ff21}lice the Great\"",
    ] {
        stage.give(bob, nickname("bob", same));
        assert_eq!(stage.codes(bob), [425], "{same}");
    }
    stage.give(bob, nickname("bob", "\"broken"));
    assert_eq!(stage.codes(bob), [424]);
    // G65: the old one is free only once the new one is accepted.
    stage.give(alice, nickname("alice", "\"Al\""));
    stage.give(bob, nickname("bob", "\"Alice the Great\""));
    assert_eq!(stage.codes(bob), [200]);
    // G63: the same user may have it on another device; G66: the empty one removes it.
    let tablet = stage.join("alice-tablet");
    stage.give(tablet, nickname("alice-tablet", "\"Al\""));
    assert_eq!(stage.codes(tablet), [200]);
    stage.notices();
    stage.give(alice, nickname("alice", "\"\""));
    assert_eq!(stage.notices(), [named(None, "alice", 5)]);
}

#[test]
fn g61_a_room_without_nicknames_is_403() {
    let mut stage = Stage::new();
    let mut head = admission(LOBBY, "alice");
    head.policy.nicknames = false;
    let alice = stage.enter(head);
    stage.give(alice, nickname("alice", "\"Al\""));
    assert_eq!(stage.codes(alice), [403]);
}

fn set(stage: &mut Stage, id: ConnectionId, name: &str, value: &str) -> u16 {
    stage.give(id, nickname(name, &format!("\"{value}\"")));
    let code = stage.codes(id)[0];
    stage.notices();
    code
}

#[test]
fn g63_g64_another_device_may_take_the_same_nickname_and_gets_none_by_itself() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    assert_eq!(set(&mut stage, alice, "alice", "Al"), 200);
    stage.admit(admission(LOBBY, "alice-tablet"));
    let tablet = stage.switch.opened(stage.now);
    stage.give(tablet, empty_send("alice-tablet", "tid12345"));
    let told = stage.notices();
    let nicknames = told
        .iter()
        .filter(|it| matches!(it, Notice::Nickname { .. }));
    assert_eq!(nicknames.count(), 0);
    assert_eq!(stage.codes(tablet), [200]);
    assert_eq!(set(&mut stage, tablet, "alice-tablet", "Al"), 200);
}

#[test]
fn g65_a_failed_change_keeps_the_old_nickname() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    assert_eq!(set(&mut stage, alice, "alice", "Al"), 200);
    assert_eq!(set(&mut stage, bob, "bob", "Bobby"), 200);
    assert_eq!(set(&mut stage, alice, "alice", "bobby"), 425);
    assert_eq!(set(&mut stage, bob, "bob", "al"), 425, "still alice's");
}

#[test]
fn g66_an_empty_nickname_removes_it_and_is_no_error() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    assert_eq!(set(&mut stage, alice, "alice", ""), 200, "there was none");
    assert_eq!(set(&mut stage, alice, "alice", "Al"), 200);
    assert_eq!(set(&mut stage, alice, "alice", ""), 200);
    assert_eq!(set(&mut stage, bob, "bob", "Al"), 200);
}

#[test]
fn g67_the_nickname_of_who_has_left_is_kept_for_him_for_a_while() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    assert_eq!(set(&mut stage, alice, "alice", "Al"), 200);
    stage.switch.closed(stage.now, alice);
    assert_eq!(set(&mut stage, bob, "bob", "Al"), 425);
    let alice = stage.join("alice");
    assert_eq!(
        set(&mut stage, alice, "alice", "Al"),
        200,
        "its holder reclaims it"
    );
    stage.switch.closed(stage.now, alice);
    stage.pass(Duration::from_secs(599));
    assert_eq!(set(&mut stage, bob, "bob", "Al"), 425);
    stage.pass(Duration::from_secs(2));
    assert_eq!(set(&mut stage, bob, "bob", "Al"), 200);
}

#[test]
fn g67_also_when_the_room_empties() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    assert_eq!(set(&mut stage, alice, "alice", "Al"), 200);
    stage.switch.closed(stage.now, alice);
    assert!(stage.switch.rooms.is_empty());
    stage.pass(Duration::from_secs(400));
    let bob = stage.join("bob");
    assert_eq!(set(&mut stage, bob, "bob", "Al"), 425);
    assert_eq!(set(&mut stage, bob, "bob", "Bo"), 200);
    stage.switch.closed(stage.now, bob);
    stage.pass(Duration::from_secs(199));
    let carol = stage.join("carol");
    assert_eq!(
        set(&mut stage, carol, "carol", "Al"),
        425,
        "600 s from her leave"
    );
    stage.pass(Duration::from_secs(1));
    assert_eq!(set(&mut stage, carol, "carol", "Al"), 200);
    assert_eq!(set(&mut stage, carol, "carol", "Bo"), 425);
    // Another room has its own names.
    let mut head = admission("sip:hall@example.com", "dave");
    head.user = UserUri::new("sip:dave@example.com");
    let dave = stage.enter(head);
    assert_eq!(set(&mut stage, dave, "dave", "Bo"), 200);
}

#[test]
fn g61_reserved_words_and_the_addresses_of_others_are_425() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.join("bob");
    for taken in [
        "Admin",
        " SYSTEM ",
        "bob@example.com",
        "sip:BOB@example.com",
    ] {
        assert_eq!(set(&mut stage, alice, "alice", taken), 425, "{taken}");
    }
    assert_eq!(set(&mut stage, alice, "alice", "alice@example.com"), 200);
    assert_eq!(set(&mut stage, alice, "alice", "bob"), 200);
}

#[test]
fn g69_nicknames_that_look_alike_are_425_where_the_operator_says_so() {
    for (confusables, code) in [(false, 200), (true, 425)] {
        let config = Config {
            nickname_confusables: confusables,
            ..config()
        };
        let mut stage = Stage::with(config, Box::new(Alone));
        let (alice, bob) = (stage.join("alice"), stage.join("bob"));
        assert_eq!(set(&mut stage, alice, "alice", "paypal"), 200);
        let cyrillic = "p\u{430}yp\u{430}l";
        assert_eq!(set(&mut stage, bob, "bob", cyrillic), code);
        assert_eq!(set(&mut stage, bob, "bob", "\u{430}dmin"), code);
        assert_eq!(set(&mut stage, bob, "bob", "Bobby"), 200);
    }
}

fn hold(stage: &mut Stage, held: &[(&str, &str, u64)]) {
    let one = |(user, nickname, left): &(&str, &str, u64)| HeldNickname {
        user: UserUri::new(format!("sip:{user}@example.com")),
        nickname: (*nickname).to_owned(),
        left: Duration::from_secs(*left),
    };
    let order = Order::Hold {
        room: RoomUri::new(LOBBY),
        nicknames: held.iter().map(one).collect(),
    };
    stage.switch.order(stage.now, order);
}

#[test]
fn g67_what_another_run_held_is_held_here_before_anybody_is_in() {
    let mut stage = Stage::new();
    hold(&mut stage, &[("alice", "Al", 100), ("carol", "Cat", 5_000)]);
    // Holding a nickname twice does not extend the time; a nickname in use stays with its user.
    hold(&mut stage, &[("alice", "Al", 500), ("dave", "AL", 500)]);
    let bob = stage.join("bob");
    assert_eq!(set(&mut stage, bob, "bob", "al"), 425);
    let alice = stage.join("alice");
    assert_eq!(set(&mut stage, alice, "alice", "Al"), 200);
    assert_eq!(set(&mut stage, alice, "alice", "Alice"), 200);
    assert_eq!(set(&mut stage, bob, "bob", "Al"), 200, "she gave it up");
    stage.pass(Duration::from_secs(599));
    assert_eq!(set(&mut stage, bob, "bob", "Cat"), 425);
    stage.pass(Duration::from_secs(1));
    assert_eq!(set(&mut stage, bob, "bob", "Cat"), 200, "600 s at most");
}

#[test]
fn g67_also_when_somebody_is_in_and_nothing_is_taken_away() {
    let mut stage = Stage::new();
    let bob = stage.join("bob");
    assert_eq!(set(&mut stage, bob, "bob", "Bo"), 200);
    hold(&mut stage, &[("alice", "Al", 100), ("carol", "Bo", 100)]);
    assert_eq!(set(&mut stage, bob, "bob", "Bo"), 200);
    assert_eq!(set(&mut stage, bob, "bob", "Al"), 425);
    stage.pass(Duration::from_secs(100));
    assert_eq!(set(&mut stage, bob, "bob", "Al"), 200);
}

#[test]
fn g60_a_nickname_is_promised_when_the_focus_has_kept_it() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.keeps = false;
    stage.give(alice, nickname("alice", "\"Al\""));
    assert_eq!(stage.codes(alice), NONE);
    // An answer that stores nothing does not wait.
    stage.give(alice, nickname("alice", "\"root\""));
    assert_eq!(stage.codes(alice), [425]);
    stage.keep(NicknameChange(2));
    assert_eq!(stage.codes(alice), NONE, "that is another one");
    stage.keep(NicknameChange(1));
    assert_eq!(stage.codes(alice), [200]);
    stage.keep(NicknameChange(1));
    assert_eq!(stage.codes(alice), NONE, "once is enough");
}

#[test]
fn a_switch_alone_promises_what_it_holds_itself() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.keeps = false;
    stage.give(alice, nickname("alice", "\"Al\""));
    assert_eq!(stage.codes(alice), NONE);
    stage.switch.unclaim(stage.now, Duration::from_secs(60));
    assert_eq!(stage.codes(alice), [200], "the focus died over it");
    stage.give(alice, nickname("alice", "\"Ally\""));
    assert_eq!(stage.codes(alice), [200]);
}

#[test]
fn who_asks_and_asks_is_not_read_until_it_has_answers() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.keeps = false;
    for (turn, name) in ["\"Al\"", "\"Ally\""].iter().cycle().take(12).enumerate() {
        stage.give(alice, nickname("alice", name));
        assert_eq!(stage.switch.paused(alice), turn >= 7, "{turn}");
    }
    // For each that is kept, one more is heard.
    for change in 1..=4 {
        stage.keep(NicknameChange(change));
        stage.pump();
        assert!(stage.switch.paused(alice));
        assert_eq!(stage.resumed.pop(), Some(alice));
    }
    stage.keep(NicknameChange(5));
    stage.pump();
    assert!(!stage.switch.paused(alice));
    assert_eq!(stage.resumed.pop(), Some(alice));
    assert_eq!(stage.codes(alice), [200; 5]);
    // A connection that has closed by then needs no answer.
    stage.switch.closed(stage.now, alice);
    for change in 6..=12 {
        stage.keep(NicknameChange(change));
    }
    assert_eq!(stage.resumed.pop(), None);
}
