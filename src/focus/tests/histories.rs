//! Random histories: whoever follows RFC 4575 §4.6 ends with exactly the truth, and nothing
//! is left when everybody has gone.

use proptest::prelude::*;

use super::*;
use crate::control::UserUri;

const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

const ROLES: [Role; 3] = [Role::Observer, Role::Participant, Role::Moderator];

/// Something that happens in the room.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// With privacy or without.
    Join(usize, bool),
    Leave(usize),
    Lose(usize),
    Rejoin(usize),
    /// With these rates.
    Watch(usize, usize),
    Pass(u64),
    /// Whether subscribers take NOTIFYs from here on.
    Notifies(bool),
    Nickname(usize),
    Role(usize, Role),
    Hold(usize, bool),
    /// The user's own note, or the host's document about everybody and somebody elsewhere.
    Publish(usize),
    Unpublish,
    Lock(bool),
    /// In order or by a crash; with the same switch or another.
    Restart(bool, bool),
    /// Another switch comes while everybody is in.
    Switch,
    /// The user is called.
    Invite(usize),
    /// What the user's phone says to that.
    Answer(usize, u16),
}

const RATES: [&str; 5] = [
    "",
    ";max-rate=0.05",
    ";min-rate=0.1",
    ";adaptive-min-rate=0.1",
    ";max-rate=0.1;min-rate=0.05",
];

fn event() -> impl Strategy<Value = Step> {
    let user = 0..USERS.len();
    prop_oneof![
        4 => (user.clone(), prop::bool::weighted(0.3)).prop_map(|(u, masked)| Step::Join(u, masked)),
        3 => user.clone().prop_map(Step::Leave),
        2 => user.clone().prop_map(Step::Lose),
        1 => user.clone().prop_map(Step::Rejoin),
        2 => (user.clone(), 0..RATES.len()).prop_map(|(u, rates)| Step::Watch(u, rates)),
        4 => (0u64..40).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Notifies),
        1 => user.clone().prop_map(Step::Nickname),
        1 => (user.clone(), any::<bool>()).prop_map(|(u, held)| Step::Hold(u, held)),
        1 => (user.clone(), prop::sample::select(ROLES.to_vec()))
            .prop_map(|(u, role)| Step::Role(u, role)),
        2 => (0..=USERS.len()).prop_map(Step::Publish),
        1 => Just(Step::Unpublish),
        1 => any::<bool>().prop_map(Step::Lock),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(o, s)| Step::Restart(o, s)),
        1 => Just(Step::Switch),
        2 => user.clone().prop_map(Step::Invite),
        2 => (user.clone(), prop::sample::select(vec![200, 302, 486]))
            .prop_map(|(u, code)| Step::Answer(u, code)),
    ]
}

struct History {
    scenario: Scenario,
    /// Dialogs that the focus has not ended.
    phones: Vec<Phone>,
    /// Publishers and their entity tags.
    published: Vec<(String, String)>,
    /// The run of the switch.
    run: u128,
}

impl History {
    fn new(roster_limit: usize) -> Self {
        let mut scenario = Scenario::with(Config {
            roster_limit,
            ..config()
        });
        // A host that stays keeps the ad hoc room alive.
        let run = crate::control::SwitchRun(1);
        scenario.feed(Input::Notice(Notice::Connected {
            run,
            listen: Vec::new(),
        }));
        scenario.join("host", ROOM);
        Self {
            scenario,
            phones: Vec::new(),
            published: Vec::new(),
            run: 1,
        }
    }

    fn happen(&mut self, event: Step) {
        match event {
            Step::Join(user, masked) => self.join(USERS[user], masked),
            Step::Leave(user) => {
                if let Some(at) = self.phones.iter().position(|p| p.user == USERS[user]) {
                    let mut phone = self.phones.remove(at);
                    self.scenario.request(&mut phone, "BYE", ROOM, &[], "");
                }
            }
            Step::Lose(user) => {
                if self.scenario.sessions.contains_key(USERS[user]) {
                    self.scenario
                        .lose(USERS[user], ROOM, LossCause::Disconnected);
                }
            }
            Step::Rejoin(user) => {
                if let Some(phone) = self.phones.iter_mut().find(|p| p.user == USERS[user]) {
                    let code = self
                        .scenario
                        .request(phone, "INVITE", ROOM, &[], &offer("x"));
                    if code == Some(200) {
                        self.scenario.ack(phone, ROOM, "");
                    }
                }
            }
            Step::Watch(user, rates) => {
                // One subscription a user in this model, as there is one roster.
                if self.scenario.watched.insert(USERS[user].to_owned()) {
                    let mut phone = self.scenario.phone(USERS[user]);
                    let event = format!("conference{}", RATES[rates]);
                    let headers = [("Event", event.as_str())];
                    self.scenario
                        .request(&mut phone, "SUBSCRIBE", ROOM, &headers, "");
                }
            }
            Step::Role(user, role) => {
                let user = address(USERS[user]);
                let room = RoomUri::new(ROOM);
                self.scenario.manage(|focus, now| {
                    focus.give_role(now, &room, &user, role).expect("a room");
                });
            }
            Step::Switch => self.another_switch(),
            Step::Invite(user) => {
                let (room, user) = (RoomUri::new(ROOM), address(USERS[user]));
                self.scenario.manage(|focus, now| {
                    // Whoever is in is not called.
                    let _ = focus.invite_into(now, &room, user.as_str());
                });
            }
            Step::Answer(user, code) => self.answer(USERS[user], code),
            Step::Lock(locked) => self.change(|conference| {
                conference.locked = locked;
                conference.change();
            }),
            Step::Restart(orderly, same) => self.restart(orderly, same),
            Step::Hold(user, held) => self.hold(USERS[user], held),
            Step::Publish(user) => self.publish(USERS.get(user).copied().unwrap_or("host")),
            Step::Unpublish => {
                if let Some((user, tag)) = self.published.pop() {
                    self.send_publish(&user, Some(&tag), "0", "");
                }
            }
            Step::Pass(seconds) => self.scenario.pass(seconds),
            Step::Notifies(taken) => {
                self.scenario.notify_answer = Some(if taken { 200 } else { 500 });
            }
            Step::Nickname(user) => {
                let user = format!("sip:{}@example.com", USERS[user]);
                self.scenario.nickname(ROOM, &user, "Nick");
            }
        }
    }

    fn join(&mut self, user: &str, masked: bool) {
        let mut phone = self.scenario.phone(user);
        let privacy = [("Privacy", "id")];
        let headers = if masked { &privacy[..] } else { &[] };
        let body = offer(user);
        let code = self
            .scenario
            .request(&mut phone, "INVITE", ROOM, headers, &body);
        if code == Some(200) {
            self.scenario.ack(&mut phone, ROOM, "");
            self.phones.push(phone);
        }
    }

    fn hold(&mut self, user: &str, held: bool) {
        let Some(phone) = self.phones.iter_mut().find(|p| p.user == user) else {
            return;
        };
        let direction = if held { "a=inactive" } else { "a=sendrecv" };
        let body = format!("{}{direction}\r\n", offer(user));
        let code = self.scenario.request(phone, "INVITE", ROOM, &[], &body);
        if code == Some(200) {
            self.scenario.ack(phone, ROOM, "");
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut room::conference::Conference)) {
        let room = RoomUri::new(ROOM);
        let conference = self.scenario.focus.rooms.conferences.get_mut(&room);
        change(conference.expect("the host keeps it"));
        let now = self.scenario.now;
        self.scenario.focus.conference_changed(now, &room);
        self.scenario.feed(Input::Deadline);
    }

    fn another_switch(&mut self) {
        let scenario = &mut self.scenario;
        self.run += 1;
        scenario.describes = true;
        scenario.standing = Some(Standing::Gone);
        scenario.feed(Input::Notice(Notice::Connected {
            run: crate::control::SwitchRun(self.run),
            listen: Vec::new(),
        }));
        scenario.standing = None;
    }

    fn answer(&mut self, user: &str, code: u16) {
        let sent = self.scenario.sent.iter();
        let called = sent.filter(|it| it.remote_tag.is_empty());
        let mut called = called.map(|it| short(&it.remote_uri));
        if called.any(|it| it == user) {
            let body = if code == 200 {
                offer(user)
            } else {
                String::new()
            };
            let sdp = [("Content-Type", "application/sdp")];
            self.scenario.party_answers(user, code, &sdp, &body);
        }
    }

    /// The state after a restart is the state before, but for who was being called.
    fn restart(&mut self, orderly: bool, same: bool) {
        let scenario = &mut self.scenario;
        let called: Vec<_> = scenario.focus.invites.rooms.keys().copied().collect();
        for id in called {
            scenario.focus.withdraw_invitation(scenario.now, id);
        }
        scenario.feed(Input::Deadline);
        let before = (scenario.focus.counts(), truth(scenario, same));
        scenario.standing = Some(match same {
            true => Standing::Bound,
            false => Standing::Gone,
        });
        scenario.describes = true;
        self.run += u128::from(!same);
        scenario.restart(orderly, self.run);
        scenario.standing = None;
        let mut counts = scenario.focus.counts();
        counts.requests = before.0.requests;
        assert_eq!(counts, before.0);
        assert_eq!(truth(scenario, same), before.1);
    }

    fn publish(&mut self, user: &str) {
        let number = self.published.len();
        let said = |uri: &str| {
            format!("<user entity=\"{uri}\"><display-text>{number}</display-text></user>")
        };
        let (about, elsewhere) = match user {
            "host" => (
                format!(
                    "<conference-description><subject>{number}</subject>\
                     </conference-description><host-info><display-text>{number}</display-text>\
                     </host-info>"
                ),
                said("sip:elsewhere@example.com") + &said("sip:dave@example.com"),
            ),
            _ => (String::new(), String::new()),
        };
        let own = said(&format!("sip:{user}@example.com"));
        let body = format!(
            "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" \
             entity=\"{ROOM}\" version=\"1\">{about}<users>{own}{elsewhere}</users>\
             </conference-info>"
        );
        if let Some(tag) = self.send_publish(user, None, "100", &body) {
            self.published.push((user.to_owned(), tag));
        }
    }

    fn send_publish(
        &mut self,
        user: &str,
        tag: Option<&str>,
        expires: &str,
        body: &str,
    ) -> Option<String> {
        let mut headers = vec![
            ("Event", "conference"),
            ("Expires", expires),
            ("Content-Type", info::MEDIA_TYPE),
        ];
        headers.extend(tag.map(|tag| ("SIP-If-Match", tag)));
        let mut phone = self.scenario.phone(user);
        let transaction = self
            .scenario
            .begin(&mut phone, "PUBLISH", ROOM, &headers, body);
        let reply = self.scenario.reply_to(transaction).expect("an answer");
        // Whoever is not in may not publish, and what has expired is not there any more.
        assert!(matches!(reply.code, 200 | 403 | 412), "{}", reply.code);
        reply.headers.first("SIP-ETag").map(str::to_owned)
    }
}

proptest! {
    // PROPTEST_CASES makes it more.
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn e09_every_history_ends_with_the_truth(
        events in prop::collection::vec(event(), 0..40),
        roster_limit in prop_oneof![Just(3usize), Just(1000)],
    ) {
        check(&events, roster_limit)?;
    }
}

/// Once found by chance: two devices, gone and back while a subscriber is told.
#[test]
fn e09_two_devices_leave_and_return() {
    use Step::{Join, Leave, Pass, Watch};
    let events = [
        Join(2, false),
        Watch(1, 0),
        Leave(2),
        Join(2, false),
        Join(2, false),
        Leave(2),
        Pass(5),
        Join(2, false),
    ];
    check(&events, 1000).expect("the truth");
}

fn address(user: &str) -> UserUri {
    UserUri::new(format!("sip:{user}@example.com"))
}

/// The conference as it is; the phones of this model hold nobody on when they are called.
fn truth(scenario: &mut Scenario, with_holds: bool) -> info::Document {
    let mut document = scenario.truth(ROOM, true);
    for user in document.users.iter_mut().flat_map(|users| &mut users.users) {
        for endpoint in user.endpoints.iter_mut().filter(|_| !with_holds) {
            endpoint.status = None;
            endpoint.media.clear();
        }
    }
    sort(&mut document);
    document
}

fn check(events: &[Step], roster_limit: usize) -> Result<(), TestCaseError> {
    let mut history = History::new(roster_limit);
    history.happen(Step::Watch(0, 0));
    for &event in events {
        history.happen(event);
    }
    history.happen(Step::Notifies(true));
    let scenario = &mut history.scenario;
    scenario.pass(400);
    // Whoever refused too often is watching no more.
    let watching: Vec<_> = scenario
        .focus
        .watch
        .subscriptions
        .values()
        .map(|subscription| {
            let conference = &scenario.focus.rooms.conferences[ROOM];
            let view = subscription.current_view(conference);
            (short(subscription.user.as_str()), view)
        })
        .collect();
    for (user, view) in watching {
        let mut truth = scenario.truth_for(ROOM, &view);
        let roster = scenario.rosters.get_mut(&user).expect("a roster");
        roster.version = 0;
        sort(roster);
        sort(&mut truth);
        prop_assert_eq!(&*roster, &truth);
    }
    let conference = &scenario.focus.rooms.conferences[ROOM];
    prop_assert!(conference.departures.is_empty(), "departures are forgotten");
    scenario.feed(Input::Stop);
    scenario.validate_some();
    prop_assert!(scenario.focus.is_idle());
    prop_assert_eq!(scenario.focus.counts(), Counts::default());
    // Nicknames of who has left are kept a while longer than anything else.
    scenario.pass(crate::control::QUARANTINE.as_secs());
    prop_assert_eq!(scenario.focus.deadline(), None);
    prop_assert_eq!(scenario.focus.leftovers(), [""; 0]);
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
