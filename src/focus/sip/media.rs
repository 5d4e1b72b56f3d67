//! What an endpoint and we have agreed on by SDP, in little memory: ten thousand endpoints of the
//! same clients say the same but for their paths, session ids and version numbers.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::control::SessionId;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::offer_answer::{self, Accepted, Local, Origin, Terms};
use crate::focus::sip::shared::Shared;
use crate::wire::sdp::Description;

/// Stands for the session id in a text that many endpoints have in common.
const SESSION: char = '\u{1}';
/// Stands for the two numbers of `o=`.
const ORIGIN: char = '\u{2}';

/// The agreed SDP of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Spelled", into = "Spelled")]
pub struct Media {
    /// What tells our MSRP URI from that of others; as the session at the switch is called.
    session: Arc<str>,
    origin: Origin,
    /// What our description says, with [`SESSION`] in its MSRP URI.
    local: Arc<Local>,
    /// What we said last, as written, with [`SESSION`] and [`ORIGIN`] in it.
    ours: Arc<str>,
    /// What the peer said last; `None` until its answer comes in the ACK.
    theirs: Option<Theirs>,
    /// It has such characters itself: it stands there as it is.
    literal: bool,
    /// The peer only reads.
    observer: bool,
    /// The peer takes a message in one SEND only (`one_send_agents`).
    one_send: bool,
}

/// The agreed SDP as it is kept.
#[derive(Serialize, Deserialize)]
struct Spelled {
    local: Local,
    origin: Origin,
    ours: String,
    theirs: Option<Accepted>,
    one_send: bool,
}

impl From<Spelled> for Media {
    fn from(spelled: Spelled) -> Self {
        let media = Self::new(spelled.local, spelled.origin, &spelled.ours);
        media.with(spelled.theirs, spelled.one_send)
    }
}

impl From<Media> for Spelled {
    fn from(media: Media) -> Self {
        Self {
            local: media.local(),
            origin: media.origin,
            ours: media.ours(),
            theirs: media.theirs(),
            one_send: media.one_send,
        }
    }
}

/// What the peer said, and its path apart from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Theirs {
    said: Arc<Accepted>,
    /// Its URIs with blanks between them, as `a=path` has them.
    path: Box<str>,
}

impl Theirs {
    fn new(mut accepted: Accepted) -> Self {
        let path = std::mem::take(&mut accepted.peer.path);
        Self {
            path: path.join(" ").into(),
            said: Arc::new(accepted),
        }
    }

    fn accepted(&self) -> Accepted {
        let mut accepted = Accepted::clone(&self.said);
        let uris = self.path.split_ascii_whitespace();
        accepted.peer.path = uris.map(str::to_owned).collect();
        accepted
    }
}

impl Media {
    /// What we say by a description of this version.
    pub(in crate::focus) fn new(local: Local, origin: Origin, ours: &str) -> Self {
        let session = token_of(&local.own_uri).into();
        let observer = local.observer;
        let mut media = Self {
            session,
            origin,
            local: Arc::new(local),
            ours: "".into(),
            theirs: None,
            literal: false,
            observer,
            one_send: false,
        };
        media.set_local();
        media.write_down(ours);
        media
    }

    /// The same, with what the peer said.
    pub(in crate::focus) fn with(self, theirs: Option<Accepted>, one_send: bool) -> Self {
        Self {
            theirs: theirs.map(Theirs::new),
            one_send,
            ..self
        }
    }

    /// We say something else from now on, by the next version of our description.
    pub(in crate::focus) fn say(&mut self, local: Local, version: u64, ours: &str) {
        let origin = Origin {
            version,
            ..self.origin
        };
        let theirs = self.theirs.take();
        *self = Self {
            theirs,
            one_send: self.one_send,
            ..Self::new(local, origin, ours)
        };
    }

    fn set_local(&mut self) {
        let local = Arc::make_mut(&mut self.local);
        local.observer = false;
        if !self.session.is_empty() {
            local.own_uri = local.own_uri.replace(&*self.session, &SESSION.to_string());
        }
    }

    fn write_down(&mut self, ours: &str) {
        self.literal = ours.contains([SESSION, ORIGIN]);
        if self.literal {
            self.ours = ours.into();
            return;
        }
        let mut text = ours.replacen(&numbers(self.origin), &ORIGIN.to_string(), 1);
        if !self.session.is_empty() {
            text = text.replace(&*self.session, &SESSION.to_string());
        }
        self.ours = text.into();
    }

    /// What we said last, as written.
    pub(in crate::focus) fn ours(&self) -> String {
        if self.literal {
            return self.ours.to_string();
        }
        let text = self.ours.replace(SESSION, &self.session);
        text.replacen(ORIGIN, &numbers(self.origin), 1)
    }

    /// The `o=` line of it.
    pub(in crate::focus) fn origin(&self) -> Origin {
        self.origin
    }

    /// What our description says.
    pub(in crate::focus) fn local(&self) -> Local {
        Local {
            own_uri: self.own_uri(),
            observer: self.observer,
            ..Local::clone(&self.local)
        }
    }

    /// The MSRP URI of this session.
    pub(in crate::focus) fn own_uri(&self) -> String {
        self.local.own_uri.replace(SESSION, &self.session)
    }

    /// The stream runs over TLS.
    pub(in crate::focus) fn is_secure(&self) -> bool {
        self.local.secure
    }

    /// What a description of the peer may say while the session lives.
    pub(in crate::focus) fn terms(&self) -> Terms {
        Terms::again(&self.local)
    }

    /// The peer is one that only reads, or is not.
    pub(in crate::focus) fn set_observer(&mut self, observer: bool) {
        self.observer = observer;
    }

    pub(in crate::focus) fn one_send(&self) -> bool {
        self.one_send
    }

    /// What the peer said last.
    pub(in crate::focus) fn theirs(&self) -> Option<Accepted> {
        self.theirs.as_ref().map(Theirs::accepted)
    }

    /// The peer says something else from now on.
    pub(in crate::focus) fn set_theirs(&mut self, theirs: Option<Accepted>) {
        self.theirs = theirs.map(Theirs::new);
    }

    /// Whether the peer sends, and whether it receives; none before it has said anything.
    pub(in crate::focus) fn directions(&self) -> Option<(bool, bool)> {
        let peer = &self.theirs.as_ref()?.said.peer;
        Some((peer.sends, peer.receives))
    }

    /// The URI of the peer.
    pub(in crate::focus) fn peer_uri(&self) -> Option<&str> {
        self.theirs.as_ref()?.path.split_ascii_whitespace().last()
    }

    /// Reads the answer to what we said last. That an observer does not send is our word, not
    /// the peer's: it is not held against who becomes a participant.
    pub(in crate::focus) fn read_answer(
        &self,
        answer: &Description,
        source: Option<IpAddr>,
    ) -> Result<Accepted, Cause> {
        let mut accepted = offer_answer::evaluate_answer(answer, self.terms(), source)?;
        accepted.peer.sends |= self.observer;
        Ok(accepted)
    }

    /// What counts as the source of the peer's description, where we connect to it.
    pub(in crate::focus) fn dialled_source(&self) -> Option<IpAddr> {
        self.theirs.as_ref()?.said.peer.dial.as_ref()?.source
    }

    /// Whether both hold the same texts, but for what is each session's own.
    #[cfg(test)]
    pub(in crate::focus) fn says_the_same_as(&self, other: &Self) -> bool {
        let said = |it: &Self| it.theirs.as_ref().map(|it| Arc::clone(&it.said));
        let both = said(self).zip(said(other));
        Arc::ptr_eq(&self.ours, &other.ours)
            && Arc::ptr_eq(&self.local, &other.local)
            && both.is_some_and(|(one, other)| Arc::ptr_eq(&one, &other))
    }

    /// Holds what it has in common with others once.
    pub(in crate::focus) fn share(&mut self, shared: &mut Shared, session: Option<&SessionId>) {
        if let Some(session) = session.filter(|it| it.as_str() == &*self.session) {
            self.session = session.shared();
        }
        shared.locals.share(&mut self.local);
        shared.texts.share(&mut self.ours);
        if let Some(theirs) = &mut self.theirs {
            shared.said.share(&mut theirs.said);
        }
    }
}

/// The numbers of an `o=` line.
fn numbers(origin: Origin) -> String {
    format!("{} {}", origin.session, origin.version)
}

/// What stands between the last slash and the transport of an MSRP URI.
fn token_of(uri: &str) -> &str {
    let path = uri.rsplit_once('/').map_or("", |(_, path)| path);
    path.split_once(';').map_or(path, |(token, _)| token)
}
