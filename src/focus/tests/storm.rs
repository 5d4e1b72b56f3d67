//! Many subscribers and many joins: work, traffic and memory stay in bounds.

use super::*;

const HALL: &str = "sip:hall@example.com";

/// A room of any size; no subscriber uses UDP.
fn hall(roster_limit: usize) -> Scenario {
    Scenario::with(Config {
        rooms: vec![
            RoomRules {
                max_participants: Some(10_000),
                moderators: vec![Pattern::new("boss@example.com")],
                ..RoomRules::default()
            }
            .of(RoomUri::new(HALL)),
        ],
        roster_limit,
        ..config()
    })
}

/// A subscriber that rebuilds the roster from its documents.
#[derive(Default)]
struct Watcher {
    notifies: usize,
    bodies: Vec<bytes::Bytes>,
}

/// Subscribers by user, and a host that answers every NOTIFY with 200 one input later.
struct Audience {
    scenario: Scenario,
    subscribers: HashMap<String, Watcher>,
    /// To tag of the last answer.
    to_tag: Option<String>,
}

impl Audience {
    fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            subscribers: HashMap::new(),
            to_tag: None,
        }
    }

    fn watch(&mut self, user: &str) {
        let mut phone = self.scenario.phone(user);
        phone.cseq = 1;
        phone.transport = "tcp";
        self.subscribers.insert(user.to_owned(), Watcher::default());
        let transaction = TransactionId { hash: 2, label: 0 };
        let headers = [("Event", "conference")];
        let arrival = arrival(&phone, "SUBSCRIBE", HALL, &headers, "", Some(transaction));
        self.feed(Input::Request(Box::new(arrival)));
    }

    fn join(&mut self, user: &str) {
        let mut phone = self.scenario.phone(user);
        phone.cseq = 1;
        phone.transport = "tcp";
        let transaction = TransactionId { hash: 2, label: 0 };
        let offer = offer(user);
        let arrival = arrival(&phone, "INVITE", HALL, &[], &offer, Some(transaction));
        self.feed(Input::Request(Box::new(arrival)));
        phone.to_tag = self.to_tag.take();
        let ack = super::arrival(&phone, "ACK", HALL, &[], "", None);
        self.feed(Input::Request(Box::new(ack)));
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.scenario.focus.handle(self.scenario.now, input);
            let mut notifies = 0;
            while let Some(output) = self.scenario.focus.poll() {
                match output {
                    Output::Send(request) => {
                        notifies += 1;
                        let user = short(&request.remote_uri);
                        let watcher = self.subscribers.get_mut(&user).expect("a watcher");
                        watcher.notifies += 1;
                        watcher.bodies.push(request.body.clone());
                        inputs.push_back(Input::Outcome {
                            reached: None,
                            request: request.id,
                            code: 200,
                            response: None,
                        });
                    }
                    Output::Order(crate::control::Order::Admit(admission)) => {
                        inputs.push_back(Input::Notice(Notice::Admitted {
                            room: admission.room.clone(),
                            session: admission.session.clone(),
                        }));
                    }
                    Output::Reply(_, reply) => self.to_tag = reply.to_tag,
                    _ => {}
                }
            }
            assert!(notifies <= 32, "one turn sends {notifies} NOTIFYs");
            let deadline = self.scenario.focus.deadline();
            if inputs.is_empty() && deadline.is_some_and(|at| at <= self.scenario.now) {
                inputs.push_back(Input::Deadline);
            }
        }
    }

    /// Lets time pass in steps a timer of the host might take.
    fn pass(&mut self, span: Duration) {
        let end = self.scenario.now + span;
        while let Some(at) = self.scenario.focus.deadline().filter(|at| *at <= end) {
            self.scenario.now = at.max(self.scenario.now);
            self.feed(Input::Deadline);
        }
        self.scenario.now = end;
    }

    fn roster(&self, user: &str) -> info::Document {
        let mut roster = None;
        for body in &self.subscribers[user].bodies {
            let document = info::Document::read(body).expect("a document");
            info::apply(&mut roster, document).expect("no gap");
        }
        roster.expect("a document")
    }

    fn renderings(&self) -> usize {
        let room = RoomUri::new(HALL);
        let audience = self.scenario.focus.watch.audience(&room);
        audience.expect("an audience").documents.made
    }
}

#[test]
fn e11_a_thousand_watch_a_thousand_join() {
    let mut audience = Audience::new(hall(10_000));
    for watcher in 0..1000 {
        audience.watch(&format!("w{watcher}"));
        audience.pass(Duration::from_millis(7));
    }
    audience.pass(Duration::from_secs(10));
    for watcher in audience.subscribers.values_mut() {
        assert_eq!(watcher.notifies, 1);
        watcher.notifies = 0;
    }
    let before = audience.renderings();
    for joiner in 0..1000 {
        audience.join(&format!("p{joiner}"));
        audience.pass(Duration::from_millis(10));
    }
    audience.pass(Duration::from_secs(20));
    for (user, watcher) in &audience.subscribers {
        assert!(
            watcher.notifies <= 3,
            "{user} got {} NOTIFYs",
            watcher.notifies
        );
    }
    assert_eq!(
        audience.renderings() - before,
        4,
        "one a round for everybody, and a full one that was not shorter"
    );
    let mut truth = audience.scenario.truth(HALL, false);
    let mut heard = std::collections::HashSet::new();
    for (user, watcher) in &audience.subscribers {
        // Subscribers with the same octets rebuild the same roster.
        let heard_before = watcher
            .bodies
            .iter()
            .map(|body| body.as_ptr())
            .collect::<Vec<_>>();
        if heard.insert(heard_before) && heard.len() <= 3 {
            let mut roster = audience.roster(user);
            roster.version = 0;
            histories::sort(&mut roster);
            histories::sort(&mut truth);
            assert_eq!(roster, truth, "{user}");
        }
    }
}

#[test]
fn joiners_who_watch_share_what_is_written() {
    let mut audience = Audience::new(hall(10_000));
    for joiner in 0..300 {
        audience.join(&format!("p{joiner}"));
        audience.watch(&format!("p{joiner}"));
        audience.pass(Duration::from_millis(10));
    }
    audience.pass(Duration::from_secs(20));
    let users = audience.scenario.truth(HALL, false).users.expect("users");
    assert_eq!(users.users.len(), 300);
    for user in ["p0", "p150", "p299"] {
        let mut roster = audience.roster(user).users.expect("users");
        roster.users.sort_by(|a, b| a.entity.cmp(&b.entity));
        assert_eq!(roster, users, "{user}");
    }
}

#[test]
fn e17_a_crowd_is_counted_not_listed() {
    let mut audience = Audience::new(hall(8));
    audience.join("boss");
    audience.join("alice");
    audience.watch("alice");
    audience.watch("outsider");
    audience.pass(Duration::from_secs(10));
    for user in ["a", "b", "c", "d", "e", "f", "g"] {
        audience.join(user);
    }
    audience.pass(Duration::from_secs(20));
    let roster = audience.roster("alice");
    assert_eq!(users(&roster), "alice=+ boss=+");
    let state = roster.conference_state.expect("a state");
    assert_eq!(state.user_count, Some(9));
    assert_eq!(users(&audience.roster("outsider")), "boss=+");
    audience.join("h");
    audience.pass(Duration::from_secs(20));
    let last = audience.subscribers["alice"]
        .bodies
        .last()
        .expect("a NOTIFY");
    let last = info::Document::read(last).expect("a document");
    assert_eq!(
        (last.state, users(&last).as_str()),
        (info::State::Partial, "")
    );
    assert_eq!(last.conference_state.and_then(|s| s.user_count), Some(10));
}

#[test]
fn storms_in_one_room_delay_no_other() {
    let mut scenario = hall(10_000);
    for watcher in 0..200 {
        let mut phone = scenario.phone(&format!("w{watcher}"));
        scenario.request(
            &mut phone,
            "SUBSCRIBE",
            HALL,
            &[("Event", "conference")],
            "",
        );
    }
    scenario.pass(10);
    scenario.join("alice", ROOM);
    scenario.watch("alice", ROOM);
    scenario.pass(10);
    scenario.transcript();
    // Requests come faster than turns.
    scenario.takes_turns = false;
    scenario.join("bob", HALL);
    scenario.join("carol", ROOM);
    let transcript = scenario.transcript();
    assert_eq!(
        transcript.matches("NOTIFY").count(),
        0,
        "who joins waits for nobody"
    );
    assert!(
        scenario
            .focus
            .deadline()
            .is_some_and(|at| at <= scenario.now)
    );
    scenario.feed(Input::Deadline);
    let transcript = scenario.transcript();
    let told = transcript.find("NOTIFY alice").expect("alice is told");
    let before = transcript[..told].matches("NOTIFY w").count();
    assert_eq!(before, 1, "the rooms take turns");
}

#[test]
fn large_documents_for_many_wait_for_memory() {
    let mut scenario = hall(10_000);
    scenario.focus.config.notify_memory = 1 << 20;
    scenario.focus.watch.budget = watch::notify_queue::Budget::new(1 << 20);
    let mut audience = Audience::new(scenario);
    for watcher in 0..40 {
        audience.watch(&format!("w{watcher}"));
    }
    audience.pass(Duration::from_secs(10));
    let sent = |audience: &Audience| -> usize {
        let bodies = audience
            .subscribers
            .values()
            .flat_map(|watcher| &watcher.bodies);
        bodies.map(|body| body.len()).sum()
    };
    for joiner in 0..300 {
        audience.join(&format!("p{joiner}"));
    }
    audience.pass(Duration::from_secs(6));
    let before = sent(&audience);
    audience.pass(Duration::from_secs(5));
    let in_five_seconds = sent(&audience) - before;
    assert!(in_five_seconds > 1 << 19, "{in_five_seconds}");
    assert!(in_five_seconds < 3 << 19, "{in_five_seconds}");
    audience.pass(Duration::from_secs(120));
    let truth = audience.scenario.truth(HALL, false).users.expect("users");
    for watcher in 0..40 {
        let roster = audience.roster(&format!("w{watcher}"));
        assert_eq!(
            roster.users.map(|users| users.users.len()),
            Some(truth.users.len())
        );
    }
}
