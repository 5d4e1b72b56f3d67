//! Random histories: a subscriber that follows RFC 4575 §4.6 always ends with the true roster, and
//! nothing is left after everybody has gone.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::control::UserUri;
use crate::focus::watch::subscription::Due;

const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// The outcome of NOTIFYs.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// The subscriber accepts them.
    Taken,
    /// The subscriber refuses and discards them.
    Refused,
    /// The subscriber accepts them, but an element on the way answers in its place.
    Misreported,
    /// They are lost; the host reports this after a while.
    Lost,
}

/// An event in the room.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// With or without privacy.
    Join(usize, bool),
    /// As an observer.
    Observe(usize),
    /// A user invites another, by INVITE or REFER.
    Invite(usize, usize, InviteMode),
    /// The party invited last rings, joins or declines.
    Answer(usize, u16),
    Expel(usize),
    Leave(usize),
    Lose(usize),
    Rejoin(usize),
    /// With these rates.
    Watch(usize, usize),
    /// A refresh, or an unsubscribe.
    Refresh(usize, bool),
    Pass(u64),
    /// Sets the outcome of later NOTIFYs.
    Notifies(Fate),
    Nickname(usize),
    Role(usize, Role),
    Hold(usize, bool),
    /// The user's own note, or the host's document about everybody and a user elsewhere.
    Publish(usize),
    Unpublish,
    Lock(bool),
    /// Orderly or by a crash; with the same switch or another.
    Restart(bool, bool),
    /// Another switch, and whether phones answer its re-INVITEs.
    Switch(bool),
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
        2 => fate().prop_map(Step::Notifies),
        1 => user.clone().prop_map(Step::Observe),
        3 => (user.clone(), user.clone(), any::<bool>()).prop_map(|(by, whom, calls)| {
            let mode = if calls { InviteMode::DialOut } else { InviteMode::Refer };
            Step::Invite(by, whom, mode)
        }),
        4 => (user.clone(), prop::sample::select(vec![180, 200, 200, 486]))
            .prop_map(|(u, code)| Step::Answer(u, code)),
        1 => user.clone().prop_map(Step::Expel),
        1 => (user.clone(), prop::bool::weighted(0.7)).prop_map(|(u, goes_on)| Step::Refresh(u, goes_on)),
        1 => any::<bool>().prop_map(Step::Switch),
        1 => user.clone().prop_map(Step::Nickname),
        1 => (user.clone(), any::<bool>()).prop_map(|(u, held)| Step::Hold(u, held)),
        1 => (user.clone(), any::<bool>()).prop_map(|(u, up)| {
            Step::Role(u, if up { Role::Moderator } else { Role::Participant })
        }),
        2 => (0..=USERS.len()).prop_map(Step::Publish),
        1 => Just(Step::Unpublish),
        1 => any::<bool>().prop_map(Step::Lock),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(o, s)| Step::Restart(o, s)),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Taken),
        2 => Just(Fate::Refused),
        2 => Just(Fate::Misreported),
        1 => Just(Fate::Lost),
    ]
}

/// Number of histories: a few in every run of the tests, `HISTORIES` for a longer run.
fn histories() -> ProptestConfig {
    let wanted = std::env::var("HISTORIES").ok();
    let cases = wanted.map_or(300, |text| text.parse().expect("a number"));
    ProptestConfig {
        cases,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    }
}

/// States that some histories must include; otherwise these prove nothing about them.
const KINDS: [&str; 16] = [
    "a crowd",
    "a device on hold",
    "a lost session",
    "a moderator",
    "a party that is called",
    "a party that is asked to call",
    "a party that rings",
    "a session of a new switch",
    "an anonymous participant",
    "an anonymous participant whose address is invited",
    "an anonymous participant whose address is published about",
    "an observer",
    "departures that somebody has not been told of",
    "participants with two devices",
    "publications of an anonymous participant",
    "subscribers who see a crowd, and are in",
];

struct History {
    scenario: Scenario,
    /// Dialogs not ended by the focus.
    phones: Vec<Phone>,
    /// Subscribers, by user.
    watchers: HashMap<&'static str, Phone>,
    /// Publishers and their entity tags.
    published: Vec<(String, String)>,
    /// The run of the switch.
    run: u128,
    /// The [`KINDS`] seen so far.
    met: BTreeSet<&'static str>,
}

impl History {
    /// Notes the kinds present in the state.
    fn look(&mut self) {
        use crate::focus::room::endpoint::Link;
        use crate::focus::roster::view::Extent;
        use info::EndpointStatus::{Alerting, DialingOut, OnHold, Pending};
        let focus = &self.scenario.focus;
        let Some(conference) = focus.rooms.conference(&RoomUri::new(ROOM)) else {
            return;
        };
        let endpoints: Vec<_> = focus.rooms.endpoints().values().collect();
        let invitations: Vec<_> = conference.invitations().values().collect();
        let participants: Vec<_> = conference.participants.iter().collect();
        let hidden: Vec<_> = (participants.iter().copied())
            .filter(|(_, it)| it.anonymous.is_some() && !it.endpoints.is_empty())
            .map(|(user, _)| user)
            .collect();
        let subscriptions: Vec<_> = focus.watch.subscriptions().values().collect();
        let published = &conference.publications;
        let status = |status| invitations.iter().any(|it| it.status == status);
        let met = [
            conference.is_crowd(),
            endpoints
                .iter()
                .any(|it| !it.is_lost() && it.presence().0 == OnHold),
            endpoints
                .iter()
                .any(|it| matches!(it.link(), Link::Lost { .. })),
            participants
                .iter()
                .any(|(user, it)| it.role == Role::Moderator && short(user.as_str()) != "host"),
            status(DialingOut),
            status(Pending),
            status(Alerting),
            endpoints
                .iter()
                .any(|it| matches!(it.link(), Link::Renewing { .. })),
            !hidden.is_empty(),
            invitations.iter().any(|it| hidden.contains(&&it.user)),
            hidden.iter().any(|user| published.of(user).is_some()),
            endpoints.iter().any(|it| it.role == Role::Observer),
            !conference.changes.departures().is_empty(),
            participants.iter().any(|(_, it)| it.endpoints.len() > 1),
            hidden.iter().any(|user| published.own(user).is_some()),
            subscriptions
                .iter()
                .filter_map(|it| it.view.as_ref())
                .any(|view| matches!(view.extent, Extent::Crowd(Some(_)))),
        ];
        let met = KINDS.into_iter().zip(met).filter(|(_, met)| *met);
        self.met.extend(met.map(|(kind, _)| kind));
    }

    fn new(roster_limit: usize, full_notify_limit: usize) -> Self {
        let mut scenario = Scenario::with(Config {
            roster_limit,
            full_notify_limit,
            ..config()
        });
        scenario.guards_privacy = USERS.as_slice();
        scenario.describes = true;
        scenario.steady = "host";
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
            watchers: HashMap::new(),
            published: Vec::new(),
            run: 1,
            met: BTreeSet::new(),
        }
    }

    fn happen(&mut self, event: Step) {
        match event {
            Step::Join(user, masked) => self.join(USERS[user], masked, None),
            Step::Observe(user) => self.join(USERS[user], false, Some(Role::Observer)),
            Step::Invite(by, whom, mode) => self.invite(USERS[by], USERS[whom], mode),
            Step::Answer(user, code) => self.answer(USERS[user], code),
            Step::Expel(user) => {
                let user = UserUri::new(format!("sip:{}@example.com", USERS[user]));
                let (now, room) = (self.scenario.now, RoomUri::new(ROOM));
                self.scenario.focus.remove(now, &room, &user);
                self.scenario.feed(Input::Deadline);
            }
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
            Step::Watch(user, rates) => self.watch(USERS[user], RATES[rates]),
            Step::Refresh(user, goes_on) => {
                if let Some(phone) = self.watchers.get_mut(USERS[user]) {
                    let expires = if goes_on { "600" } else { "0" };
                    let headers = [("Event", "conference"), ("Expires", expires)];
                    self.scenario
                        .request(phone, "SUBSCRIBE", ROOM, &headers, "");
                }
            }
            Step::Role(user, role) => {
                let user = UserUri::new(format!("sip:{}@example.com", USERS[user]));
                self.change(|conference| conference.set_role(&user, role));
            }
            Step::Lock(locked) => self.change(|conference| {
                conference.set_locked(locked);
            }),
            Step::Restart(orderly, same) => self.restart(orderly, same),
            Step::Switch(answered) => self.another_switch(answered),
            Step::Hold(user, held) => self.hold(USERS[user], held),
            Step::Publish(user) => self.publish(USERS.get(user).copied().unwrap_or("host")),
            Step::Unpublish => {
                if let Some((user, tag)) = self.published.pop() {
                    self.send_publish(&user, Some(&tag), "0", "");
                }
            }
            Step::Pass(seconds) => self.scenario.pass(seconds),
            Step::Notifies(fate) => {
                let (code, taken) = match fate {
                    Fate::Taken => (Some(200), true),
                    Fate::Refused => (Some(500), false),
                    Fate::Misreported => (Some(500), true),
                    Fate::Lost => (None, false),
                };
                self.scenario.notify_answer = code;
                self.scenario.takes_documents = taken;
            }
            Step::Nickname(user) => {
                let user = format!("sip:{}@example.com", USERS[user]);
                self.scenario.nickname(ROOM, &user, "Nick");
            }
        }
    }

    fn watch(&mut self, user: &'static str, rates: &str) {
        // One subscription per user in this model, because each user has one roster.
        let mut all = self.scenario.focus.watch.subscriptions().values();
        let watches = all.any(|it| short(it.user.as_str()) == user);
        drop(all);
        if watches {
            return;
        }
        self.scenario.rosters.remove(user);
        let mut phone = self.scenario.phone(user);
        let event = format!("conference{rates}");
        let headers = [("Event", event.as_str())];
        self.scenario
            .request(&mut phone, "SUBSCRIBE", ROOM, &headers, "");
        self.watchers.insert(user, phone);
    }

    fn invite(&mut self, by: &str, whom: &str, mode: InviteMode) {
        let (now, room) = (self.scenario.now, RoomUri::new(ROOM));
        let target = format!("sip:{whom}@example.com");
        let focus = &mut self.scenario.focus;
        if focus.check_invitee(&room, &UserUri::new(&*target)).is_err() {
            return;
        }
        let inviter = room::invitation::Inviter {
            user: UserUri::new(format!("sip:{by}@example.com")),
            socket: std::sync::Arc::new(focus.socket.clone().expect("that of a request")),
            contact: ROOM.into(),
            referral: None,
        };
        focus.invite_party(now, &room, &target, mode, inviter, None);
        self.scenario.feed(Input::Deadline);
    }

    fn answer(&mut self, user: &str, code: u16) {
        let mut sent = self.scenario.sent.iter().rev();
        let invitation = sent.find(|it| it.remote_tag.is_empty() && short(&it.remote_uri) == user);
        let Some(invitation) = invitation.cloned() else {
            return;
        };
        if code < 200 {
            let request = invitation.id;
            return self.scenario.feed(Input::Progress { request, code });
        }
        let refers = invitation.method == Method::Refer;
        let body = if refers { String::new() } else { offer(user) };
        let before = self.scenario.focus.counts().dialogs;
        self.scenario.party_answers(user, code, &[], &body);
        if self.scenario.focus.counts().dialogs > before {
            let mut phone = self.scenario.phone(user);
            phone.call_id.clone_from(&invitation.call_id);
            phone.tag = format!("party-{user}");
            phone.to_tag = Some(invitation.local_tag);
            self.phones.push(phone);
        }
    }

    /// The switch died and is back without its state.
    fn another_switch(&mut self, answered: bool) {
        let scenario = &mut self.scenario;
        self.run += 1;
        scenario.standing = Some(Standing::Gone);
        scenario.refresh_answer = answered.then_some(200);
        scenario.feed(Input::Notice(Notice::Disconnected));
        scenario.feed(Input::Notice(Notice::Connected {
            run: SwitchRun(self.run),
            listen: Vec::new(),
        }));
        scenario.standing = None;
        scenario.refresh_answer = Some(200);
    }

    fn join(&mut self, user: &str, masked: bool, role: Option<Role>) {
        let mut phone = self.scenario.phone(user);
        phone.role = role;
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
        let conference = self.scenario.focus.rooms.conference_mut(&room);
        change(conference.expect("the host keeps it"));
        let now = self.scenario.now;
        self.scenario.focus.conference_changed(now, &room);
        self.scenario.feed(Input::Deadline);
    }

    /// The state after a restart is the state before.
    fn restart(&mut self, orderly: bool, same: bool) {
        let scenario = &mut self.scenario;
        // The state after an unfinished renewal depends on its outcome.
        let mut endpoints = scenario.focus.rooms.endpoints().values();
        let with_holds = same && endpoints.all(|it| !it.is_lost() || it.link().session().is_none());
        drop(endpoints);
        let mut before = (scenario.focus.counts(), truth(scenario, with_holds));
        // A last NOTIFY that was not sent before is not sent later.
        let subscriptions = scenario.focus.watch.subscriptions().values();
        let last = subscriptions.filter(|it| matches!(it.due, Due::Last(_)));
        let ended = last.count();
        before.0.subscriptions -= ended;
        before.0.dialogs -= ended;
        scenario.standing = Some(match same {
            true => Standing::Bound,
            false => Standing::Gone,
        });
        self.run += u128::from(!same);
        // Requests on their way have lost their sender.
        scenario.sent.clear();
        scenario.restart(orderly, self.run);
        scenario.standing = None;
        let mut counts = scenario.focus.counts();
        counts.requests = before.0.requests;
        assert_eq!(counts, before.0);
        assert_eq!(truth(scenario, with_holds), before.1);
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
        // Non-participants may not publish, and expired publications are gone.
        assert!(matches!(reply.code, 200 | 403 | 412), "{}", reply.code);
        reply.headers.first("SIP-ETag").map(str::to_owned)
    }
}

#[test]
fn e09_every_history_ends_with_the_truth() {
    let histories_of = (
        prop::collection::vec(event(), 0..50),
        prop_oneof![Just(3usize), Just(1000)],
        prop_oneof![2 => Just(0usize), 1 => Just(3), 1 => Just(20)],
    );
    let met = RefCell::new(BTreeSet::new());
    let mut runner = TestRunner::new(histories());
    let verdict = runner.run(
        &histories_of,
        |(events, roster_limit, full_notify_limit)| {
            met.borrow_mut()
                .extend(check(&events, roster_limit, full_notify_limit)?);
            Ok(())
        },
    );
    if let Err(fault) = verdict {
        panic!("{fault}\n{runner}");
    }
    assert_eq!(met.into_inner(), BTreeSet::from(KINDS));
}

/// Found by a random history: a departure without subscribers, at the time of the last document.
#[test]
fn e09_a_new_watcher_gets_no_document_from_before_it_came() {
    use Step::{Join, Leave, Pass, Refresh, Watch};
    let events = [
        Join(3, false),
        Pass(1),
        Refresh(0, false),
        Leave(3),
        Watch(0, 0),
    ];
    check(&events, 3, 0).expect("the truth");
}

/// Found by a random history: two devices leave and come back while a NOTIFY is in flight.
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
    check(&events, 1000, 0).expect("the truth");
}

/// The true state of the conference, without invited users, whose invitations a restart ends.
/// Phones of this model end a hold when they answer a renewal.
fn truth(scenario: &mut Scenario, with_holds: bool) -> info::Document {
    let mut document = scenario.truth(ROOM, true);
    let invited = |endpoint: &info::Endpoint| {
        use info::EndpointStatus::{Alerting, DialingIn, DialingOut, Pending};
        matches!(
            endpoint.status,
            Some(Alerting | DialingIn | DialingOut | Pending)
        )
    };
    if let Some(users) = &mut document.users {
        for user in &mut users.users {
            user.endpoints.retain(|endpoint| !invited(endpoint));
        }
        users.users.retain(|user| !user.endpoints.is_empty());
    }
    for user in document.users.iter_mut().flat_map(|users| &mut users.users) {
        for endpoint in user.endpoints.iter_mut().filter(|_| !with_holds) {
            endpoint.status = None;
            endpoint.media.clear();
        }
    }
    sort(&mut document);
    document
}

fn check(
    events: &[Step],
    roster_limit: usize,
    full_notify_limit: usize,
) -> Result<BTreeSet<&'static str>, TestCaseError> {
    let mut history = History::new(roster_limit, full_notify_limit);
    history.happen(Step::Watch(0, 0));
    for &event in events {
        history.happen(event);
        history.look();
    }
    history.happen(Step::Notifies(Fate::Taken));
    let scenario = &mut history.scenario;
    scenario.pass(400);
    // Users who refused too often have lost their subscription.
    let watching: Vec<_> = scenario
        .focus
        .watch
        .subscriptions()
        .values()
        .map(|subscription| {
            let conference = &scenario.focus.rooms.conferences()[ROOM];
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
    let conference = &scenario.focus.rooms.conferences()[ROOM];
    prop_assert!(
        conference.changes.departures().is_empty(),
        "departures are forgotten"
    );
    scenario.feed(Input::Stop);
    scenario.validate_some();
    prop_assert!(scenario.focus.is_idle());
    prop_assert_eq!(scenario.focus.counts(), Counts::default());
    // The nicknames of users who have left are kept longer than any other state.
    scenario.pass(crate::control::QUARANTINE.as_secs());
    prop_assert_eq!(scenario.focus.deadline(), None);
    prop_assert_eq!(scenario.focus.leftovers(), [""; 0]);
    Ok(history.met)
}

pub(super) fn sort(document: &mut info::Document) {
    if let Some(users) = &mut document.users {
        users.users.sort_by(|a, b| a.entity.cmp(&b.entity));
        for user in &mut users.users {
            user.endpoints.sort_by(|a, b| a.entity.cmp(&b.entity));
        }
    }
}
