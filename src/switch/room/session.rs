//! One session: an endpoint in a room, and its position in the room's log.

use std::ops::Deref;
use std::sync::Arc;

use crate::control::{Admission, Dial, Peer, RoomUri, SessionId, UserUri};
use crate::time::Moment;
use crate::wire::cpim::{Composition, Message, compose};
use crate::wire::fingerprint::{self, Fingerprint};
use crate::wire::media_type;
use crate::wire::msrp::{ByteRange, Flag, HeadWriter, Method, TransactionId, TransactionIds};

use crate::switch::ids::{ConnectionId, SessionKey, Speaker, StreamKey, Thread};
use crate::switch::message::assembly::Assemblies;
use crate::switch::message::code::Code;
use crate::switch::message::entry::Entry;
use crate::switch::message::plain_text;
use crate::switch::message::request_head::TEXT_PLAIN;
use crate::switch::on_demand::OnDemand;
use crate::switch::room::large_copy::LargeCopy;
use crate::switch::room::log::{Log, Position};
use crate::switch::room::own_queue::OwnQueue;
use crate::switch::security::Security;

/// The host of the URIs under which the focus shows participants that asked for privacy (RFC 3323
/// §4.1.1.3).
const ANONYMOUS_HOST: &str = "@anonymous.invalid";

/// The focus' description of an endpoint: its identity and capabilities.
#[derive(Clone, Debug)]
pub(in crate::switch) struct Profile {
    pub(in crate::switch) user: UserUri,
    /// The name to show, empty when unknown.
    pub(in crate::switch) display: Box<str>,
    /// All its addresses; an empty list stands for `user` alone.
    uris: Box<[UserUri]>,
    head: CopyHead,
    wrapped_types: WrappedTypes,
    /// The largest message that the peer accepts, in octets.
    pub(in crate::switch) max_size: u64,
    /// The peer supports chat rooms (RFC 7701 §8).
    pub(in crate::switch) chatroom: bool,
    pub(in crate::switch) private_messages: bool,
    /// The peer gets plain text instead of message/cpim.
    pub(in crate::switch) plain_text: bool,
    /// Messages to it are a single SEND, which must not be interrupted.
    pub(in crate::switch) one_send: bool,
    pub(in crate::switch) sends: bool,
    receives: bool,
    /// The announced fingerprints of the peer's certificate; empty if none was announced.
    fingerprints: Box<[Fingerprint]>,
}

/// The text between the transaction id of a copy and its Message-ID. It is the same in every copy,
/// and contains the paths, so they are not stored separately.
#[derive(Clone, Debug)]
struct CopyHead {
    text: Box<str>,
    /// Where From-Path begins.
    own_uri: usize,
}

impl CopyHead {
    const TO_PATH: &str = " SEND\r\nTo-Path: ";
    const FROM_PATH: &str = "\r\nFrom-Path: ";
    const MESSAGE_ID: &str = "\r\nMessage-ID: ";

    fn new(path: &[String], own_uri: &str) -> Self {
        // No value may contain a line end.
        let path = path.join(" ").replace(char::is_control, " ");
        let front = format!("{}{path}{}", Self::TO_PATH, Self::FROM_PATH);
        let own = own_uri.replace(char::is_control, " ");
        Self {
            own_uri: front.len(),
            text: format!("{front}{own}{}", Self::MESSAGE_ID).into(),
        }
    }

    fn path(&self) -> &str {
        let end = self.own_uri - Self::FROM_PATH.len();
        self.text.get(Self::TO_PATH.len()..end).unwrap_or_default()
    }

    fn own_uri(&self) -> &str {
        let end = self.text.len() - Self::MESSAGE_ID.len();
        self.text.get(self.own_uri..end).unwrap_or_default()
    }
}

/// An admitted endpoint.
#[derive(Debug)]
pub(in crate::switch) struct Session {
    pub(in crate::switch) id: SessionId,
    pub(in crate::switch) room_uri: RoomUri,
    profile: Profile,
    pub(in crate::switch) ids: TransactionIds,
    /// The time since when no present focus has admitted, amended or listed it.
    pub(in crate::switch) unclaimed: Option<Moment>,
    /// The connection it is bound to.
    pub(in crate::switch) connection: Option<ConnectionId>,
    /// Its connection on another thread, where all of it lives except its identity.
    pub(in crate::switch) away: Option<Speaker>,
    /// It was called back from another thread and has not arrived.
    pub(in crate::switch) recalled: Option<Box<Recalled>>,
    /// The owner of its room, if that is another thread.
    pub(in crate::switch) home: Option<Thread>,
    /// Its key at the owner of its room.
    pub(in crate::switch) said_as: SessionKey,
    pub(in crate::switch) position: Position,
    /// It is too far behind for speakers to wait for it.
    pub(in crate::switch) straggles: bool,
    /// Messages for it alone: the room's history and private messages. Each precedes the log's
    /// entry at its position.
    pub(in crate::switch) own: OwnQueue,
    /// Its place among the members of its room.
    pub(in crate::switch) place: usize,
    /// It has left its room; its own queue is still written.
    pub(in crate::switch) leaving: bool,
    /// Its connection stays after all output is written (`Order::Part`).
    pub(in crate::switch) lingers: bool,
    /// Number of the copy that asks for a response while the others do not. The response shows that
    /// the peer is alive and has received everything written before.
    pub(in crate::switch) probe: Option<u64>,
    /// Number of the unanswered empty SEND that binds it: other output waits.
    pub(in crate::switch) greeting: Option<u64>,
    /// The target of our last connection for it.
    pub(in crate::switch) dialled: Option<Box<Dial>>,
    /// No probe before this moment.
    pub(in crate::switch) next_probe: Moment,
    /// Deadline for binding; meaningless once bound.
    pub(in crate::switch) bind_by: Moment,
    /// Incomplete messages from it.
    pub(in crate::switch) assemblies: OnDemand<Assemblies>,
    /// Large messages on their way to it.
    pub(in crate::switch) copies: OnDemand<Vec<LargeCopy>>,
    /// Number of messages it lost by slowness and has had no notice of.
    pub(in crate::switch) lost: u64,
    /// The next status text for it.
    pub(in crate::switch) status: Option<Box<str>>,
    /// The last CPIM From that was recognised as this user, as written.
    from_seen: Box<str>,
}

/// A session that was called back from another thread and has not arrived.
#[derive(Debug, Default)]
pub(in crate::switch) struct Recalled {
    pub(in crate::switch) from: Thread,
    /// Connections that have named it meanwhile.
    pub(in crate::switch) claimants: Vec<(Speaker, Security)>,
    /// The target to connect to once it is back.
    pub(in crate::switch) dial: Option<Dial>,
}

/// The identity is part of the session.
impl Deref for Session {
    type Target = Profile;

    fn deref(&self) -> &Profile {
        &self.profile
    }
}

impl Profile {
    fn of(admission: &Admission) -> Self {
        let peer = &admission.peer;
        let wrapped_types = WrappedTypes::of(peer);
        // Private messages are marked for plain-text clients. RFC 7701 §8: a client that does not
        // announce chat-room support may well show whom a message is for.
        let silent = !peer.chatroom && wrapped_types.accept(b"text/plain");
        Self {
            user: admission.user.clone(),
            display: admission.display.as_str().into(),
            uris: match &admission.uris[..] {
                [only] if *only == admission.user => Box::default(),
                uris => uris.into(),
            },
            head: CopyHead::new(&peer.path, &admission.own_uri),
            wrapped_types,
            max_size: peer.max_size.unwrap_or(u64::MAX),
            // No answer yet: assume chat-room support.
            chatroom: peer.chatroom || peer.path.is_empty(),
            private_messages: peer.private_messages || peer.plain_text || silent,
            plain_text: peer.plain_text,
            one_send: peer.one_send,
            sends: peer.sends,
            receives: peer.receives,
            fingerprints: peer.fingerprints.clone().into(),
        }
    }

    /// Every address of the user.
    pub(in crate::switch) fn uris(&self) -> &[UserUri] {
        match &self.uris[..] {
            [] => std::slice::from_ref(&self.user),
            uris => uris,
        }
    }

    /// The URI we gave it, octet for octet as in our SDP.
    pub(in crate::switch) fn own_uri(&self) -> &str {
        self.head.own_uri()
    }

    /// The whole path in order, next hop first (R01); empty while it is not known.
    pub(in crate::switch) fn path(&self) -> &str {
        self.head.path()
    }
}

impl Session {
    pub(in crate::switch) fn new(
        admission: &Admission,
        room_uri: RoomUri,
        position: Position,
        now: Moment,
        ids: TransactionIds,
    ) -> Self {
        Self {
            id: admission.session.clone(),
            room_uri,
            profile: Profile::of(admission),
            ids,
            unclaimed: None,
            connection: None,
            away: None,
            recalled: None,
            home: None,
            said_as: SessionKey::default(),
            position,
            straggles: false,
            own: OwnQueue::default(),
            place: 0,
            leaving: false,
            lingers: false,
            probe: None,
            greeting: None,
            dialled: None,
            next_probe: now,
            bind_by: now + admission.policy.bind_timeout,
            assemblies: OnDemand::default(),
            copies: OnDemand::default(),
            lost: 0,
            status: None,
            from_seen: Box::default(),
        }
    }

    /// The parts that move to another thread; its identity also stays here.
    pub(in crate::switch) fn depart(&mut self, ids: TransactionIds, home: Thread) -> Self {
        let stays = Self {
            id: self.id.clone(),
            room_uri: self.room_uri.clone(),
            profile: self.profile.clone(),
            ids,
            recalled: None,
            home: None,
            own: OwnQueue::default(),
            dialled: None,
            assemblies: OnDemand::default(),
            copies: OnDemand::default(),
            lost: 0,
            status: None,
            from_seen: Box::default(),
            ..*self
        };
        let mut goes = std::mem::replace(self, stays);
        goes.home = Some(home);
        goes.away = None;
        // Its positions refer to another log: its own queue comes first.
        goes.own.comes_first();
        goes
    }

    /// Applies an admission; returns whether the peer's path changed.
    pub(in crate::switch) fn amend(&mut self, admission: &Admission) -> bool {
        // With an offerless INVITE the path comes in the ACK, which may arrive after the bind.
        let profile = Profile::of(admission);
        let named = !self.path().is_empty() && self.path() != profile.path();
        let moved = named || self.own_uri() != profile.own_uri();
        self.profile = profile;
        self.from_seen = Box::default();
        moved
    }

    /// Writes start line, paths and Message-ID of a copy. The Message-ID is the transaction
    /// id: both are new for every copy.
    pub(in crate::switch) fn write_copy_head(&self, id: &TransactionId, out: &mut Vec<u8>) {
        self.write_head(id, id, out);
    }

    /// Writes the same for one chunk of several.
    pub(in crate::switch) fn write_head(
        &self,
        id: &TransactionId,
        message: &TransactionId,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b"MSRP ");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(self.head.text.as_bytes());
        out.extend_from_slice(message.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Writes a SEND without a body (RFC 4975 §5.4, §7.1: no Content-Type either); returns its
    /// number.
    pub(in crate::switch) fn write_empty_send(&mut self, out: &mut Vec<u8>) -> u64 {
        let (number, id) = self.ids.next_id();
        HeadWriter::request(out, &id, Method::Send, self.path(), self.own_uri())
            .message_id(id.as_str())
            .byte_range(ByteRange::whole(0))
            .end(Flag::Last);
        number
    }

    /// Whether output may go out to it: its path is known, and no empty SEND of ours is unanswered.
    pub(in crate::switch) fn is_ready(&self) -> bool {
        self.greeting.is_none() && !self.path().is_empty()
    }

    /// Whether it is bound to a connection, on this thread or another.
    pub(in crate::switch) fn is_tied(&self) -> bool {
        self.connection.is_some() || self.away.is_some()
    }

    /// Its connection, as the owner's thread knows it.
    pub(in crate::switch) fn speaker(&self, own: Thread) -> Option<Speaker> {
        let here = |connection| Speaker {
            thread: own,
            connection,
        };
        self.connection.map(here).or(self.away)
    }

    /// Whether it is bound to a connection, and no empty SEND of ours is unanswered.
    pub(in crate::switch) fn is_bound(&self) -> bool {
        self.is_tied() && self.greeting.is_none()
    }

    /// Whether a connection is as negotiated: msrps over TLS only (C69).
    pub(in crate::switch) fn fits(&self, security: &Security) -> bool {
        // RFC 4975 §6: the scheme's case does not matter.
        let secure = self
            .own_uri()
            .get(..6)
            .is_some_and(|it| it.eq_ignore_ascii_case("msrps:"));
        !secure || matches!(security, Security::Tls(_))
    }

    /// The announced fingerprints of the peer's certificate.
    pub(in crate::switch) fn fingerprints(&self) -> &[Fingerprint] {
        &self.fingerprints
    }

    /// Whether the peer's certificate has an announced fingerprint, if any was announced (C70).
    pub(in crate::switch) fn knows(&self, security: &Security) -> bool {
        match security {
            Security::Tls(shown) if !self.fingerprints.is_empty() => {
                fingerprint::matches(&self.fingerprints, shown)
            }
            _ => true,
        }
    }

    pub(in crate::switch) fn copy(&self, stream: StreamKey) -> Option<&LargeCopy> {
        self.copies.get()?.iter().find(|it| it.stream == stream)
    }

    pub(in crate::switch) fn copy_mut(&mut self, stream: StreamKey) -> Option<&mut LargeCopy> {
        let copies = self.copies.get_mut()?;
        copies.iter_mut().find(|it| it.stream == stream)
    }

    pub(in crate::switch) fn take_copy(&mut self, stream: StreamKey) -> Option<LargeCopy> {
        let copies = self.copies.get_mut()?;
        let index = copies.iter().position(|copy| copy.stream == stream)?;
        let copy = copies.remove(index);
        self.copies.release_if(Vec::is_empty);
        Some(copy)
    }

    /// Inserts a copy in order of age, the oldest message first.
    pub(in crate::switch) fn put_copy(&mut self, copy: LargeCopy) {
        let copies = self.copies.get_or_default();
        let place = copies.partition_point(|it| it.message < copy.message);
        copies.insert(place, copy);
    }

    /// Octets of its incomplete messages.
    pub(in crate::switch) fn unfinished_octets(&self) -> usize {
        let assemblies = self.assemblies.get();
        assemblies.map_or(0, |it| it.charge.octets())
    }

    /// Whether the peer accepts this content.
    pub(in crate::switch) fn takes(&self, octets: u64, wrapped_type: &[u8]) -> bool {
        self.receives && octets <= self.max_size && self.wrapped_types.accept(wrapped_type)
    }

    /// The reason why the peer does not accept a message of this size.
    pub(in crate::switch) fn refuses(&self, octets: u64, message: &Message<'_>) -> Option<Code> {
        if !self.receives {
            Some(Code::NotReceiving)
        } else if octets > self.max_size {
            Some(Code::TooLarge)
        } else if !self.wrapped_types.accept(message.content_type.as_bytes())
            || (self.plain_text && !plain_text::is_text(message))
        {
            Some(Code::UnsupportedMedia)
        } else {
            None
        }
    }

    /// Whether the peer accepts a message.
    pub(in crate::switch) fn takes_entry(&self, entry: &Entry) -> bool {
        self.takes(entry.body.len() as u64, entry.wrapped_type())
            && (!self.plain_text || entry.text.is_some())
    }

    /// Moves to `position` in the log; returns how many messages for it that skips.
    pub(in crate::switch) fn skip_to(&mut self, position: Position, log: &mut Log) -> u64 {
        let mut lost = 0;
        while self.position < position {
            let entry = log.get(self.position);
            let for_it =
                entry.is_some_and(|entry| entry.is_for(self.said_as) && self.takes_entry(entry));
            // P21: a typing indication is no loss.
            lost += u64::from(for_it && !entry.is_some_and(|entry| entry.composing));
            log.pass(self.position);
            self.position = self.position.next();
        }
        lost
    }

    /// Whether a CPIM From is this user (G21).
    pub(in crate::switch) fn is_from(&mut self, written: &str) -> bool {
        if !written.is_empty() && *self.from_seen == *written {
            return true;
        }
        let known = self.answers_to(&canonical(written));
        if known {
            self.from_seen = written.into();
        }
        known
    }

    /// Whether the room shows it under an anonymous URI only (RFC 7701 §5.2, G06).
    pub(in crate::switch) fn is_anonymous(&self) -> bool {
        self.user.as_str().ends_with(ANONYMOUS_HOST)
    }

    /// Whether lower-case text is an address of this user, with its scheme or without.
    pub(in crate::switch) fn is_called(&self, text: &str) -> bool {
        let mut uris = self.uris().iter().map(UserUri::as_str);
        uris.any(|uri| {
            let bare = uri.split_once(':').map_or(uri, |(_, bare)| bare);
            text.eq_ignore_ascii_case(uri) || text.eq_ignore_ascii_case(bare)
        })
    }

    /// Sets the CPIM headers for its plain-text messages from now on: a message has them once,
    /// whatever its chunks.
    pub(in crate::switch) fn wrapping(&self, content_type: &str, now: Moment) -> Vec<u8> {
        compose(&Composition {
            from: (&self.display, self.user.as_str()),
            to: ("", self.room_uri.as_str()),
            date_time: Some(now),
            headers: &[],
            content_type,
            content: b"",
        })
    }

    /// Moves its pending entries of the log into its own queue, in order.
    pub(in crate::switch) fn drain_log(&mut self, log: &mut Log) {
        let before = std::mem::take(&mut self.own);
        let mut before = before.into_entries().peekable();
        let mut position = self.position;
        while position < log.end() {
            while let Some((_, entry)) = before.next_if(|(at, _)| *at <= position) {
                self.own.push(position, entry);
            }
            if let Some(entry) = log.get(position)
                && entry.is_for(self.said_as)
                && self.takes_entry(entry)
            {
                self.own.push(position, Arc::clone(entry));
            }
            position = position.next();
        }
        for (_, entry) in before {
            self.own.push(position, entry);
        }
        log.pass_all(self.position);
        self.position = log.end();
    }

    /// Whether a canonical URI is one of this user's.
    pub(in crate::switch) fn answers_to(&self, uri: &str) -> bool {
        self.uris().iter().any(|own| own.as_str() == uri)
    }
}

/// The canonical form of a URI in a CPIM header: address of record where it is a SIP or tel
/// URI; an `im:` URI (RFC 3860) names the same mailbox as the `sip:` URI.
pub(in crate::switch) fn canonical(written: &str) -> String {
    let sip = match written.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("im") => format!("sip:{rest}"),
        _ => written.to_owned(),
    };
    match sip.parse::<crate::wire::sip::Uri>() {
        Ok(uri) => uri.address_of_record(),
        Err(_) => written.to_owned(),
    }
}

/// The types that may be wrapped in our messages (RFC 4975 §8.6, RFC 7701 §6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
enum WrappedTypes {
    All,
    These(Box<[Box<str>]>),
}

impl WrappedTypes {
    /// `accept-wrapped-types`, else `accept-types`. A peer that lists only message/cpim does not
    /// restrict the content, and gets everything.
    fn of(peer: &Peer) -> Self {
        if peer.plain_text {
            return Self::These([TEXT_PLAIN.into()].into());
        }
        let types = if peer.accept_wrapped_types.is_empty() {
            &peer.accept_types
        } else {
            &peer.accept_wrapped_types
        };
        let mut types = types
            .iter()
            .map(|entry| media_type(entry).to_ascii_lowercase())
            .filter(|entry| entry != "message/cpim")
            .peekable();
        let all = peer.accept_wrapped_types.iter().any(|entry| entry == "*")
            || peer.accept_types.iter().any(|entry| entry == "*");
        if all || types.peek().is_none() {
            return Self::All;
        }
        Self::These(types.map(String::into_boxed_str).collect())
    }

    fn accept(&self, written: &[u8]) -> bool {
        let Self::These(types) = self else {
            return true;
        };
        // RFC 3862 §3: a part without Content-Type is text/plain.
        let written = std::str::from_utf8(written).map_or("", media_type);
        let written = if written.is_empty() {
            "text/plain"
        } else {
            written
        };
        types.iter().any(|entry| match entry.strip_suffix("/*") {
            Some(family) => written
                .split_once('/')
                .is_some_and(|(own, _)| own.eq_ignore_ascii_case(family)),
            None => entry.eq_ignore_ascii_case(written),
        })
    }
}
