//! Random histories: whoever follows RFC 4575 §4.6 ends with exactly the truth, and nothing
//! is left when everybody has gone.

use proptest::prelude::*;

use super::*;

const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// Something that happens in the room.
#[derive(Clone, Copy, Debug)]
enum Event {
    Join(usize),
    Leave(usize),
    Lose(usize),
    Rejoin(usize),
    Watch(usize),
    Pass(u64),
    /// Whether subscribers take NOTIFYs from here on.
    Notifies(bool),
    Nickname(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let user = 0..USERS.len();
    prop_oneof![
        4 => user.clone().prop_map(Event::Join),
        3 => user.clone().prop_map(Event::Leave),
        2 => user.clone().prop_map(Event::Lose),
        1 => user.clone().prop_map(Event::Rejoin),
        2 => user.clone().prop_map(Event::Watch),
        4 => (0u64..40).prop_map(Event::Pass),
        1 => any::<bool>().prop_map(Event::Notifies),
        1 => user.prop_map(Event::Nickname),
    ]
}

struct History {
    scenario: Scenario,
    /// Dialogs that the focus has not ended.
    phones: Vec<Phone>,
}

impl History {
    fn new() -> Self {
        let mut scenario = Scenario::new();
        // A host that stays keeps the ad hoc room alive.
        scenario.join("host", ROOM);
        Self {
            scenario,
            phones: Vec::new(),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Join(user) => {
                let phone = self.scenario.join(USERS[user], ROOM);
                self.phones.push(phone);
            }
            Event::Leave(user) => {
                if let Some(at) = self.phones.iter().position(|p| p.user == USERS[user]) {
                    let mut phone = self.phones.remove(at);
                    self.scenario.request(&mut phone, "BYE", ROOM, &[], "");
                }
            }
            Event::Lose(user) => {
                if self.scenario.sessions.contains_key(USERS[user]) {
                    self.scenario
                        .lose(USERS[user], ROOM, LossCause::Disconnected);
                }
            }
            Event::Rejoin(user) => {
                if let Some(phone) = self.phones.iter_mut().find(|p| p.user == USERS[user]) {
                    let code = self
                        .scenario
                        .request(phone, "INVITE", ROOM, &[], &offer("x"));
                    if code == Some(200) {
                        self.scenario.ack(phone, ROOM, "");
                    }
                }
            }
            Event::Watch(user) => {
                // One subscription a user in this model, as there is one roster.
                if self.scenario.watched.insert(USERS[user].to_owned()) {
                    self.scenario.watch(USERS[user], ROOM);
                }
            }
            Event::Pass(seconds) => self.scenario.pass(seconds),
            Event::Notifies(taken) => {
                self.scenario.notify_answer = Some(if taken { 200 } else { 500 });
            }
            Event::Nickname(user) => {
                self.scenario.feed(Input::Notice(Notice::Nickname {
                    room: RoomUri::new(ROOM),
                    user: crate::control::UserUri::new(format!("sip:{}@example.com", USERS[user])),
                    nickname: Some("Nick".to_owned()),
                }));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn e09_every_history_ends_with_the_truth(events in prop::collection::vec(event(), 0..40)) {
        check(&events)?;
    }
}

/// Once found by chance: two devices, gone and back while a subscriber is told.
#[test]
fn e09_two_devices_leave_and_return() {
    use Event::{Join, Leave, Pass, Watch};
    let events = [
        Join(2),
        Watch(1),
        Leave(2),
        Join(2),
        Join(2),
        Leave(2),
        Pass(5),
        Join(2),
    ];
    check(&events).expect("the truth");
}

fn check(events: &[Event]) -> Result<(), TestCaseError> {
    let mut history = History::new();
    history.happen(Event::Watch(0));
    for &event in events {
        history.happen(event);
    }
    history.happen(Event::Notifies(true));
    let scenario = &mut history.scenario;
    scenario.pass(400);
    // Whoever refused too often is watching no more.
    let watching: Vec<_> = scenario
        .focus
        .subscriptions
        .values()
        .map(|s| s.user.clone())
        .collect();
    scenario
        .rosters
        .retain(|user, _| watching.iter().any(|w| short(w.as_str()) == *user));
    let mut truth = scenario.truth(ROOM, false);
    for roster in scenario.rosters.values_mut() {
        roster.version = 0;
        sort(roster);
        sort(&mut truth);
        prop_assert_eq!(&*roster, &truth);
    }
    let conference = &scenario.focus.conferences[ROOM];
    prop_assert!(conference.departures.is_empty(), "departures are forgotten");
    scenario.feed(Input::Stop);
    scenario.validate_some();
    prop_assert!(scenario.focus.is_idle());
    prop_assert_eq!(scenario.focus.counts(), Counts::default());
    prop_assert_eq!(scenario.focus.deadline(), None);
    Ok(())
}

pub(super) fn sort(document: &mut info::Document) {
    if let Some(users) = &mut document.users {
        users.users.sort_by(|a, b| a.entity.cmp(&b.entity));
        for user in &mut users.users {
            user.endpoints.sort_by(|a, b| a.entity.cmp(&b.entity));
        }
    }
}
