//! Scenarios on a virtual clock. A [`Scenario`] plays phones and switch and records the actions of
//! the focus, one per line:
//!
//! ```text
//! < 200 alice …      an answer of the focus        ! admit alice     an order to the switch
//! < NOTIFY bob …     a request of the focus
//! ```

mod dialling;
mod documents;
mod histories;
mod history;
mod identity;
mod invitations;
mod invite;
mod leave;
mod memory;
mod operator;
mod policy;
mod publish;
mod reconcile;
mod refer;
mod refresh;
mod refusals;
mod restore;
mod rooms;
#[path = "../../../tests/schema/mod.rs"]
mod schema;
mod storm;
mod subscribe;
mod subscriptions;
mod transport;
mod unacknowledged;
mod views;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::*;
use crate::control::{
    LossCause, NicknameChange, Notice, Order, PastMessage, RoomUri, SessionId, Standing, UserUri,
};
use crate::entropy::Seeded;
use crate::focus::record::{Change, Content, Found, Kept, Key, Query, Record, Unreadable};
use crate::wire::conference_info as info;
use crate::wire::sip::{Headers, Message, Method, Request, SubscriptionState};

const ROOM: &str = "sip:lobby@example.com";

/// An offer as Blink writes it.
pub(super) fn offer(user: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
         m=message 2855 TCP/MSRP *\r\na=path:msrp://192.0.2.7:2855/{user};tcp\r\n\
         a=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\na=setup:active\r\n\
         a=chatroom:nickname private-messages\r\n"
    )
}

/// A phone's side of a dialog with the focus.
#[derive(Clone, Debug)]
pub(super) struct Phone {
    pub(super) user: String,
    pub(super) call_id: String,
    pub(super) tag: String,
    pub(super) to_tag: Option<String>,
    pub(super) cseq: u32,
    pub(super) transport: &'static str,
    pub(super) via: &'static str,
    pub(super) source: &'static str,
    pub(super) domain: &'static str,
    /// The role that the script gives the caller.
    pub(super) role: Option<Role>,
    /// The identity that the host gives the caller, if it is not their address.
    pub(super) identity: Option<String>,
}

/// How a store answers queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// With the stored state.
    Right,
    /// With a read error.
    Unreadable,
    /// Never.
    Silent,
}

pub(super) struct Scenario {
    pub(super) focus: Focus,
    pub(super) now: Moment,
    /// The deadline is fed as soon as no other input is left.
    pub(super) takes_turns: bool,
    /// The switch admits every endpoint at once.
    pub(super) admits: bool,
    /// The host sends every 2xx at once; if not, the 2xx waits for the store.
    pub(super) answers_leave: bool,
    /// Subscribers answer NOTIFY with this code; `None`: they do not answer.
    pub(super) notify_answer: Option<u16>,
    /// Phones answer INVITE and UPDATE with this code; `None`: they do not answer.
    pub(super) refresh_answer: Option<u16>,
    /// This user's phone answers with 200 in any case.
    pub(super) steady: &'static str,
    /// The stored records, as a restart would find them.
    pub(super) kept: BTreeMap<Key, Record>,
    /// State of the sessions in the switch's answer to a reconciliation; `None`: it does not
    /// answer.
    pub(super) standing: Option<Standing>,
    /// Phones answer INVITEs with a description.
    pub(super) describes: bool,
    /// How the store answers queries; `None`: there is no store, and no query is made.
    pub(super) store: Option<Answers>,
    /// Lines of the log.
    pub(super) logged: Vec<String>,
    /// The stored histories.
    pub(super) histories: BTreeMap<RoomUri, Vec<PastMessage>>,
    restarts: u64,
    /// The transcript since it was last read.
    lines: Vec<String>,
    /// Events raised in the host.
    pub(super) events: Vec<Event>,
    replies: HashMap<TransactionId, (String, Option<Reply>)>,
    pub(super) sent: VecDeque<OutgoingRequest>,
    /// The session of each user's last admission.
    pub(super) sessions: HashMap<String, SessionId>,
    pub(super) admissions: Vec<crate::control::Admission>,
    /// Rosters as subscribers rebuild them, by user.
    pub(super) rosters: HashMap<String, info::Document>,
    /// Every document sent, validated against the schema at the end.
    documents: HashSet<String>,
    /// Subscribers apply documents whatever they answer; otherwise only if they answer 200.
    pub(super) takes_documents: bool,
    /// Names of users that must not appear together with an `anonymousN`, except to subscribers who
    /// may see their address.
    pub(super) guards_privacy: &'static [&'static str],
    next: u32,
}

pub(super) fn config() -> Config {
    Config {
        listen: vec![Listen {
            transport: Transport::Tcp,
            address: "0.0.0.0:2855".parse().expect("an address"),
        }],
        advertise: None,
        rooms: vec![
            RoomRules {
                max_participants: Some(2),
                private_messages: false,
                ..RoomRules::default()
            }
            .of(RoomUri::new("sip:hall@example.com")),
        ],
        factories: vec![
            RoomRules {
                lifetime: Lifetime::WhileCreatorStays,
                ..RoomRules::default()
            }
            .of(RoomUri::new("sip:new@example.com")),
        ],
        adhoc: true,
        max_conferences: 3,
        max_participants: 100,
        max_list_size: 5,
        invite_mode: InviteMode::DialOut,
        credentials: Vec::new(),
        max_message_size: 10 << 20,
        bind_timeout: Duration::from_secs(32),
        rejoin_grace: Duration::from_secs(30),
        session_expires: Duration::from_secs(1800),
        min_se: Duration::from_secs(90),
        subscription_expires: Duration::from_secs(3600),
        notify_interval: Duration::from_secs(5),
        notify_memory: 1 << 30,
        roster_limit: 1000,
        full_notify_limit: 0,
        full_notify_agents: Some("(?i)blink".to_owned()),
        one_send_agents: Some("(?i)blink".to_owned()),
        software: "msrp_conference".to_owned(),
    }
}

/// Every document sent is valid (rows E05, E06, E07).
impl Drop for Scenario {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let Err(fault) = schema::validate_all(self.documents.iter().map(String::as_str)) {
            panic!("{fault}");
        }
    }
}

impl Scenario {
    pub(super) fn new() -> Self {
        Self::with(config())
    }

    pub(super) fn with(config: Config) -> Self {
        Self {
            focus: Focus::new(config, Box::new(Seeded(7))),
            now: Moment::from_epoch(Duration::from_secs(1_000_000_000)),
            takes_turns: true,
            admits: true,
            answers_leave: true,
            notify_answer: Some(200),
            refresh_answer: Some(200),
            steady: "",
            kept: BTreeMap::new(),
            standing: None,
            describes: false,
            store: None,
            logged: Vec::new(),
            histories: BTreeMap::new(),
            restarts: 0,
            lines: Vec::new(),
            events: Vec::new(),
            replies: HashMap::new(),
            sent: VecDeque::new(),
            sessions: HashMap::new(),
            admissions: Vec::new(),
            rosters: HashMap::new(),
            documents: HashSet::new(),
            takes_documents: false,
            guards_privacy: &[],
            next: 0,
        }
    }

    pub(super) fn phone(&mut self, user: &str) -> Phone {
        self.next += 1;
        Phone {
            user: user.to_owned(),
            call_id: format!("call-{}-{user}", self.next),
            tag: format!("tag-{user}"),
            to_tag: None,
            cseq: 0,
            transport: "udp",
            via: "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1",
            source: "192.0.2.7:5060",
            domain: "example.com",
            role: None,
            identity: None,
        }
    }

    /// INVITE, 200, ACK.
    pub(super) fn join(&mut self, user: &str, room: &str) -> Phone {
        let mut phone = self.phone(user);
        let code = self.request(&mut phone, "INVITE", room, &[], &offer(user));
        assert_eq!(code, Some(200), "{user} joins {room}");
        self.ack(&mut phone, room, "");
        phone
    }

    /// SUBSCRIBE, 200, and the first NOTIFY.
    pub(super) fn watch(&mut self, user: &str, room: &str) -> Phone {
        let mut phone = self.phone(user);
        let code = self.request(
            &mut phone,
            "SUBSCRIBE",
            room,
            &[("Event", "conference")],
            "",
        );
        assert_eq!(code, Some(200), "{user} watches {room}");
        phone
    }

    /// Sends a request and returns the final code, if there is one.
    pub(super) fn request(
        &mut self,
        phone: &mut Phone,
        method: &str,
        room: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<u16> {
        let transaction = self.begin(phone, method, room, headers, body);
        let reply = self.reply_to(transaction)?.clone();
        if phone.to_tag.is_none() && reply.code < 300 {
            phone.to_tag = reply.to_tag;
        }
        Some(reply.code)
    }

    /// Sends a request and returns its transaction.
    pub(super) fn begin(
        &mut self,
        phone: &mut Phone,
        method: &str,
        room: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> TransactionId {
        phone.cseq = phone.cseq.wrapping_add(1);
        self.next += 1;
        let transaction = TransactionId {
            hash: 1,
            label: self.next,
        };
        self.replies.insert(transaction, (phone.user.clone(), None));
        let arrival = arrival(phone, method, room, headers, body, Some(transaction));
        self.feed(Input::Request(Box::new(arrival)));
        transaction
    }

    pub(super) fn ack(&mut self, phone: &mut Phone, room: &str, body: &str) {
        let arrival = arrival(phone, "ACK", room, &[], body, None);
        self.feed(Input::Request(Box::new(arrival)));
    }

    pub(super) fn reply_to(&self, transaction: TransactionId) -> Option<&Reply> {
        self.replies.get(&transaction)?.1.as_ref()
    }

    /// The invited party gives a final answer to the last INVITE or REFER sent to it.
    pub(super) fn party_answers(
        &mut self,
        user: &str,
        code: u16,
        headers: &[(&str, &str)],
        body: &str,
    ) {
        let request = self.last_sent(user).clone();
        let mut all = Headers::new()
            .with("To", format!("<{}>;tag=party-{user}", request.remote_uri))
            .with("Contact", format!("<sip:{user}@192.0.2.9:5060>"));
        for (name, value) in headers {
            all.set(name, *value);
        }
        let response = crate::wire::sip::Response {
            code,
            reason: crate::wire::sip::reason(code).to_owned(),
            headers: all,
            body: bytes::Bytes::copy_from_slice(body.as_bytes()),
        };
        self.feed(Input::Outcome {
            reached: None,
            request: request.id,
            code,
            response: Some(Box::new(response)),
        });
    }

    /// The last INVITE or REFER to a party outside any dialog.
    pub(super) fn last_sent(&self, user: &str) -> &OutgoingRequest {
        self.sent
            .iter()
            .rev()
            .find(|request| request.remote_tag.is_empty() && short(&request.remote_uri) == user)
            .expect("an invitation")
    }

    /// The switch reports a user's connection as bound.
    pub(super) fn bind(&mut self, user: &str, room: &str) {
        let session = self.sessions[user].clone();
        self.feed(Input::Notice(Notice::Bound {
            room: RoomUri::new(room),
            session,
        }));
    }

    /// The switch reports a user's session as lost.
    pub(super) fn lose(&mut self, user: &str, room: &str, cause: LossCause) {
        let session = self.sessions[user].clone();
        self.feed(Input::Notice(Notice::Lost {
            room: RoomUri::new(room),
            session,
            cause,
        }));
    }

    /// The switch reports a user's new nickname.
    pub(super) fn nickname(&mut self, room: &str, user: &str, nickname: &str) {
        self.feed(Input::Notice(Notice::Nickname {
            room: RoomUri::new(room),
            user: UserUri::new(user),
            nickname: Some(nickname.to_owned()),
            change: NicknameChange(7),
        }));
    }

    /// Lets time pass, stopping at each deadline.
    pub(super) fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.focus.deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.feed(Input::Deadline);
        }
        self.now = end;
    }

    /// The transcript since the last call.
    pub(super) fn transcript(&mut self) -> String {
        std::mem::take(&mut self.lines).join("\n")
    }

    /// Validates the documents of one in ten scenarios against the schema.
    pub(super) fn validate_some(&mut self) {
        static SCENARIOS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = SCENARIOS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if !number.is_multiple_of(10) {
            self.documents.clear();
        }
    }

    /// The true state of the conference.
    pub(super) fn truth(&mut self, room: &str, unmasked: bool) -> info::Document {
        self.truth_for(
            room,
            &roster::view::View {
                unmasked,
                extent: roster::view::Extent::Everybody,
            },
        )
    }

    /// The true state of the conference for a view, written anew.
    pub(super) fn truth_for(&mut self, room: &str, view: &roster::view::View) -> info::Document {
        let rooms = &self.focus.rooms;
        let conference = rooms.conference(&RoomUri::new(room));
        let conference = conference.expect("a conference");
        let mut written = roster::cache::Elements::default();
        let (template, _) =
            roster::document::full(conference, rooms.endpoints(), &mut written, view);
        info::Document::read(template.with_version(0).as_bytes()).expect("a document")
    }

    /// Feeds an input and plays the other parties until nothing is left to do.
    pub(super) fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.focus.handle(self.now, input);
            while let Some(output) = self.focus.poll() {
                inputs.extend(self.observe(output));
            }
            let is_due = self.focus.deadline().is_some_and(|at| at <= self.now);
            if inputs.is_empty() && is_due && self.takes_turns {
                inputs.push_back(Input::Deadline);
            }
        }
    }

    fn observe(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Reply(transaction, reply) => {
                let (user, slot) = self.replies.get_mut(&transaction).expect("its transaction");
                assert!(slot.is_none(), "two final answers to {user}");
                self.lines
                    .push(format!("< {} {user} {}", reply.code, reply.reason));
                let left = (reply.code < 300).then_some(Input::Answered(transaction));
                *slot = Some(reply);
                left.filter(|_| self.answers_leave)
            }
            Output::Withdraw(transaction) => {
                let (user, slot) = self.replies.get_mut(&transaction).expect("its transaction");
                *slot = None;
                self.lines.push(format!("< withdrawn {user}"));
                None
            }
            Output::Release(_) => None,
            Output::Ask(query) => self.asked(query),
            Output::Order(order) => self.ordered(order),
            Output::Send(request) => self.received(*request),
            Output::Cancel(request) => {
                self.lines.push(format!("< CANCEL {}", request.0));
                None
            }
            Output::Event(event) => {
                self.events.push(event);
                None
            }
            Output::Log(line) => {
                self.logged.push(line.text);
                None
            }
            Output::Remember(change, done) => {
                let numbers: Vec<_> = change.messages.iter().map(|it| it.number).collect();
                let (room, gone) = (short(change.room.as_str()), change.gone);
                let line = format!("+ history of {room}: {numbers:?}, gone {gone}");
                self.lines.push(line);
                self.ordered(done)
            }
            Output::Store(changes) => {
                changes.into_iter().for_each(|change| self.keep(change));
                None
            }
        }
    }

    /// Announces a store.
    pub(super) fn use_store(&mut self, answers: Answers) {
        self.store = Some(answers);
        let made = self
            .kept
            .values()
            .filter(|it| matches!(it, Record::Room(_)));
        self.focus.use_store(made.count());
    }

    /// Makes a look-up as the service does for the operator.
    pub(super) fn look_up(&mut self, query: Query) {
        if let Some(found) = self.asked(query) {
            self.feed(found);
        }
    }

    fn asked(&mut self, query: Query) -> Option<Input> {
        let answer = match self.store.expect("somebody to ask") {
            Answers::Silent => return None,
            Answers::Unreadable => Err(Unreadable),
            Answers::Right => Ok(self.content(&query)),
        };
        Some(Input::Found(Found { query, answer }))
    }

    fn content(&self, query: &Query) -> Content {
        match query {
            Query::Room(room) => {
                let made = match self.kept.get(&Key::Room(room.clone())) {
                    Some(Record::Room(entry)) => Some(Kept::Made(entry.clone())),
                    _ => None,
                };
                let decided = match self.kept.get(&Key::Decisions(room.clone())) {
                    Some(Record::Decisions(one)) => Some(Kept::Decided(one.clone())),
                    _ => None,
                };
                Content::Room {
                    kept: made.or(decided),
                    remembers: self.histories.contains_key(room),
                }
            }
            Query::History(room, most) => {
                let all = self.histories.get(room).cloned().unwrap_or_default();
                let skipped = all.len().saturating_sub((*most).into());
                Content::History(all[skipped..].to_vec())
            }
            Query::Page { offset, limit } => {
                let made = self.kept.values().filter_map(|record| match record {
                    Record::Room(entry) => Some((**entry).clone()),
                    _ => None,
                });
                Content::Page(made.skip(*offset).take(*limit).collect())
            }
        }
    }

    fn keep(&mut self, change: Change) {
        match change {
            Change::Put(record) => {
                self.kept.insert(record.key(), record);
            }
            Change::Delete(Key::Conference(gone)) => self.kept.retain(|_, record| match record {
                Record::Conference(one) => one.room != gone,
                Record::Participant(one) => one.room != gone,
                Record::Publication(one) => one.room != gone,
                Record::Departed(one) => one.room != gone,
                _ => true,
            }),
            Change::Delete(Key::History(room)) => {
                let line = format!("- history of {}", short(room.as_str()));
                self.histories.remove(&room);
                self.lines.push(line);
            }
            Change::Remember(change) => panic!("{change:?} is waited for"),
            Change::Delete(key) => {
                assert!(self.kept.remove(&key).is_some(), "{key:?} was not kept");
            }
        }
    }

    /// The proxy is killed or stops in an orderly way, and restarts with this run of the switch.
    pub(super) fn restart(&mut self, orderly: bool, run: u128) {
        if orderly {
            self.feed(Input::Suspend);
            assert!(self.focus.is_idle());
        }
        self.restarts += 1;
        let seed = Seeded(1000 + self.restarts);
        self.focus = Focus::new(self.focus.config.clone(), Box::new(seed));
        if let Some(answers) = self.store {
            self.use_store(answers);
        }
        let records = self.kept.values().cloned().collect();
        self.focus.restore(self.now, records, &mut |_| 1);
        while let Some(output) = self.focus.poll() {
            assert!(self.observe(output).is_none(), "nobody is told yet");
        }
        self.feed(Input::Notice(Notice::Connected {
            run: SwitchRun(run),
            listen: Vec::new(),
        }));
    }

    /// The switch's answer to a reconciliation.
    fn stand(&mut self, room: RoomUri, sessions: Vec<SessionId>) -> Option<Input> {
        let standing = self.standing?;
        let nickname = |session: &SessionId| {
            let rooms = &self.focus.rooms;
            let endpoint = rooms.endpoint(rooms.seated(session)?)?;
            let conference = self.focus.rooms.conferences().get(&room)?;
            conference
                .participants
                .get(&endpoint.user)?
                .nickname
                .as_deref()
                .map(str::to_owned)
        };
        let stand = |session: SessionId| crate::control::Stand {
            nickname: nickname(&session).filter(|_| standing != Standing::Gone),
            session,
            standing,
        };
        let sessions = sessions.into_iter().map(stand).collect();
        Some(Input::Notice(Notice::Reconciled { room, sessions }))
    }

    fn ordered(&mut self, order: Order) -> Option<Input> {
        self.lines.extend(self.line(&order));
        match order {
            Order::Admit(admission) => {
                let user = short(admission.user.as_str());
                self.sessions.insert(user, admission.session.clone());
                let notice = Notice::Admitted {
                    room: admission.room.clone(),
                    session: admission.session.clone(),
                };
                self.admissions.push(*admission);
                self.admits.then_some(Input::Notice(notice))
            }
            Order::Amend(admission) => {
                self.admissions.push(*admission);
                None
            }
            Order::Forget { room } => Some(Input::Notice(Notice::Forgotten { room })),
            Order::Reconcile { room, sessions, .. } => self.stand(room, sessions),
            _ => None,
        }
    }

    /// The line of an order in the transcript.
    fn line(&self, order: &Order) -> Option<String> {
        let name = |session: &SessionId| {
            let mut known = self.sessions.iter();
            let user = known.find(|(_, of)| *of == session);
            user.map_or_else(|| "?".to_owned(), |(user, _)| user.clone())
        };
        let short = |room: &RoomUri| short(room.as_str());
        let user = |of: &UserUri| self::short(of.as_str());
        Some(match order {
            Order::Admit(admission) => format!("! admit {}", user(&admission.user)),
            Order::Amend(admission) => format!("! amend {}", user(&admission.user)),
            Order::Expel { session, .. } => format!("! expel {}", name(session)),
            Order::Part { session, .. } => format!("! part {}", name(session)),
            Order::Submit {
                session, message, ..
            } => {
                let octets = message.len();
                format!("! submit {} {octets} octets", name(session))
            }
            Order::Say { room, text } => format!("! say {} {text}", short(room)),
            Order::Kept { room, change } => format!("! kept {} of {}", change.0, short(room)),
            // The service sends this.
            Order::ReportMessages(_) => return None,
            Order::Hold { room, nicknames } => {
                let names = nicknames.iter().map(|it| {
                    let (user, left) = (user(&it.user), it.left.as_secs());
                    format!("{user}={} {left}s", it.nickname)
                });
                let names = names.collect::<Vec<_>>().join(", ");
                format!("! hold {} ({names})", short(room))
            }
            Order::Recall { room, messages } => {
                let numbers: Vec<_> = messages.iter().map(|it| it.number).collect();
                format!("! recall {}: {numbers:?}", short(room))
            }
            Order::Remembered {
                room,
                up_to,
                octets,
            } => {
                let room = short(room);
                format!("! remembered {room} up to {up_to}, {octets} octets")
            }
            Order::Forget { room } => format!("! forget {}", short(room)),
            Order::Close { room } => format!("! close {}", short(room)),
            Order::Reconcile { room, sessions, .. } => {
                let mut names: Vec<_> = sessions.iter().map(name).collect();
                names.sort();
                format!("! reconcile {} ({})", short(room), names.join(" "))
            }
        })
    }

    fn received(&mut self, request: OutgoingRequest) -> Option<Input> {
        let user = short(&request.remote_uri);
        let mut line = format!("< {} {user}", request.method);
        let mut code = Some(200);
        if request.method == Method::Notify {
            line.push_str(&self.notified(&user, &request));
            code = self.notify_answer;
        }
        if request.remote_tag.is_empty() {
            // The test gives the answers of invited parties.
            code = None;
        }
        self.lines.push(line);
        if matches!(request.method, Method::Invite | Method::Update)
            && !request.remote_tag.is_empty()
        {
            code = self.refresh_answer.or((user == self.steady).then_some(200));
        }
        let id = request.id;
        let answer = (self.describes && request.method == Method::Invite).then(|| {
            Box::new(Response {
                code: 200,
                reason: "OK".to_owned(),
                headers: Headers::new(),
                body: offer(&user).into(),
            })
        });
        self.sent.push_back(request);
        code.map(|code| Input::Outcome {
            reached: None,
            request: id,
            code,
            response: answer.filter(|_| code < 300),
        })
    }

    /// Row E13: the element of an `anonymousN` does not reveal the user.
    fn guard_privacy(&self, request: &OutgoingRequest, document: &info::Document) {
        let mut all = self.focus.watch.subscriptions().values();
        let theirs = all.find(|it| it.dialog.key.call_id() == request.call_id);
        let view = theirs.and_then(|subscription| subscription.view.as_ref());
        if view.is_none_or(|view| view.unmasked) {
            return;
        }
        let users = document.users.iter().flat_map(|users| &users.users);
        for user in users.filter(|user| user.entity.contains("@anonymous.invalid")) {
            let said = format!("{user:?}");
            let telling = self
                .guards_privacy
                .iter()
                .find(|name| said.contains(**name));
            assert_eq!(telling, None, "{said}");
        }
    }

    /// ` active full v1 (alice bob)`
    fn notified(&mut self, user: &str, request: &OutgoingRequest) -> String {
        let state = request
            .headers
            .first("Subscription-State")
            .and_then(|value| value.parse::<SubscriptionState>().ok())
            .expect("row E32: every NOTIFY has a Subscription-State");
        if request
            .headers
            .first("Event")
            .is_some_and(|event| event.starts_with("refer"))
        {
            let news = String::from_utf8_lossy(&request.body);
            return format!(" {} {}", state.state, news.trim_end());
        }
        let reason = state.params.value("reason");
        let reason = reason.map_or_else(String::new, |reason| format!(";{reason}"));
        if request.body.is_empty() {
            assert_eq!(request.headers.first("Content-Type"), None);
            return format!(" {}{reason} without a document", state.state);
        }
        let document = info::Document::read(&request.body).expect("a readable document");
        let shown = users(&document);
        let text = String::from_utf8_lossy(&request.body).into_owned();
        self.documents.insert(text);
        let line = format!(
            " {}{reason} {} v{} ({shown})",
            state.state,
            format!("{:?}", document.state).to_lowercase(),
            document.version,
        );
        self.guard_privacy(request, &document);
        if self.notify_answer == Some(200) || self.takes_documents {
            let mut roster = self.rosters.remove(user);
            let again = document.clone();
            info::apply(&mut roster, document).expect("row E09: no gap");
            // A repeated document changes nothing.
            assert_eq!(info::apply(&mut roster, again), Ok(info::Applied::Ignored));
            self.rosters
                .extend(roster.map(|roster| (user.to_owned(), roster)));
        }
        line
    }
}

/// `alice=+ bob=-`: the users of a document; `-` disconnected, `x` deleted, `h` on hold; for
/// invited users `?` dialing-out, `!` alerting, `p` pending, `d` dialing-in.
pub(super) fn users(document: &info::Document) -> String {
    let Some(users) = &document.users else {
        return String::new();
    };
    let mut shown: Vec<String> = users.users.iter().map(user_line).collect();
    shown.sort();
    shown.join(" ")
}

fn user_line(user: &info::User) -> String {
    let name = short(&user.entity);
    if user.state == info::State::Deleted {
        return format!("{name}=x");
    }
    let endpoints: String = user
        .endpoints
        .iter()
        .map(|endpoint| match (endpoint.state, endpoint.status) {
            (info::State::Deleted, _) => 'x',
            (_, Some(info::EndpointStatus::Disconnected)) => '-',
            (_, Some(info::EndpointStatus::OnHold)) => 'h',
            (_, Some(info::EndpointStatus::DialingOut)) => '?',
            (_, Some(info::EndpointStatus::Alerting)) => '!',
            (_, Some(info::EndpointStatus::Pending)) => 'p',
            (_, Some(info::EndpointStatus::DialingIn)) => 'd',
            _ => '+',
        })
        .collect();
    format!("{name}={endpoints}")
}

fn short(uri: &str) -> String {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.split('@').next().unwrap_or(rest).to_owned()
}

fn arrival(
    phone: &Phone,
    method: &str,
    room: &str,
    headers: &[(&str, &str)],
    body: &str,
    transaction: Option<TransactionId>,
) -> Arrival {
    let Phone {
        user, tag, domain, ..
    } = phone;
    let to_tag = phone
        .to_tag
        .as_ref()
        .map_or_else(String::new, |tag| format!(";tag={tag}"));
    let mut all = Headers::new()
        .with("Via", phone.via)
        .with(
            "From",
            format!("\"{user} A.\" <sip:{user}@{domain}>;tag={tag}"),
        )
        .with("To", format!("<{room}>{to_tag}"))
        .with("Call-ID", phone.call_id.clone())
        .with("CSeq", format!("{} {method}", phone.cseq))
        .with("Contact", format!("<sip:{user}@192.0.2.7:5060>"));
    for (name, value) in headers {
        match *name {
            "From" | "Contact" => all.set(name, *value),
            _ => all.push(name, *value),
        }
    }
    if !body.is_empty() && all.first("Content-Type").is_none() {
        all.push("Content-Type", "application/sdp");
    }
    let request = Request {
        method: Method::from(method),
        uri: room.to_owned(),
        headers: all,
        body: bytes::Bytes::copy_from_slice(body.as_bytes()),
    };
    let message = request.write();
    assert!(matches!(Message::parse(&message), Ok(Message::Request(_))));
    Arrival {
        transaction,
        to_tag: None,
        message: message.into(),
        request_uri: room.to_owned(),
        source: phone.source.parse().expect("an address"),
        socket: Socket {
            handle: 1,
            transport: phone.transport.to_owned(),
            host: "198.51.100.1".to_owned(),
            port: 5060,
        },
        identity: match &phone.identity {
            Some(identity) => identity.clone(),
            None => format!("sip:{user}@{domain}"),
        },
        options: ScriptOptions {
            role: phone.role,
            ..ScriptOptions::default()
        },
    }
}
