//! The agreed SDP of an endpoint, in little memory: the descriptions of ten thousand endpoints with
//! the same clients differ only in paths, session ids and version numbers.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::control::SessionId;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::offer_answer::{self, Accepted, Local, Origin, Terms};
use crate::focus::sip::shared::Shared;
use crate::wire::sdp::Description;

/// Placeholder for the session id in a text that many endpoints share.
const SESSION: char = '\u{1}';
/// Placeholder for the two numbers of `o=`.
const ORIGIN: char = '\u{2}';

/// The agreed SDP of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Spelled", into = "Spelled")]
pub struct Media {
    /// The part of our MSRP URI that is unique to the session; also the id of the session at the
    /// switch.
    session: Arc<str>,
    origin: Origin,
    /// The contents of our description, with [`SESSION`] in its MSRP URI.
    local: Arc<Local>,
    /// Our last description as written, with [`SESSION`] and [`ORIGIN`] in it.
    ours: Arc<str>,
    /// The peer's last description; `None` until its answer comes in the ACK.
    theirs: Option<Theirs>,
    /// Our description contains placeholder characters itself: `ours` is the unchanged text.
    literal: bool,
    /// The peer only reads.
    observer: bool,
    /// The peer takes a message in one SEND only (`one_send_agents`).
    one_send: bool,
}

/// The agreed SDP in its stored form.
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

/// The peer's description, and apart from it its path.
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
    /// Media with our description of this version.
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

    /// The same, with the peer's description.
    pub(in crate::focus) fn with(self, theirs: Option<Accepted>, one_send: bool) -> Self {
        Self {
            theirs: theirs.map(Theirs::new),
            one_send,
            ..self
        }
    }

    /// Replaces our description by its next version.
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

    /// Our last description, as written.
    pub(in crate::focus) fn ours(&self) -> String {
        if self.literal {
            return self.ours.to_string();
        }
        let text = self.ours.replace(SESSION, &self.session);
        text.replacen(ORIGIN, &numbers(self.origin), 1)
    }

    /// The `o=` line of our last description.
    pub(in crate::focus) fn origin(&self) -> Origin {
        self.origin
    }

    /// The contents of our description.
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

    /// Whether the stream runs over TLS.
    pub(in crate::focus) fn is_secure(&self) -> bool {
        self.local.secure
    }

    /// Terms for descriptions of the peer while the session lives.
    pub(in crate::focus) fn terms(&self) -> Terms {
        Terms::again(&self.local)
    }

    /// Sets whether the peer only reads.
    pub(in crate::focus) fn set_observer(&mut self, observer: bool) {
        self.observer = observer;
    }

    pub(in crate::focus) fn one_send(&self) -> bool {
        self.one_send
    }

    /// The peer's last description.
    pub(in crate::focus) fn theirs(&self) -> Option<Accepted> {
        self.theirs.as_ref().map(Theirs::accepted)
    }

    /// Replaces the peer's description.
    pub(in crate::focus) fn set_theirs(&mut self, theirs: Option<Accepted>) {
        self.theirs = theirs.map(Theirs::new);
    }

    /// Whether the peer sends, and whether it receives; `None` before its first description.
    pub(in crate::focus) fn directions(&self) -> Option<(bool, bool)> {
        let peer = &self.theirs.as_ref()?.said.peer;
        Some((peer.sends, peer.receives))
    }

    /// The URI of the peer.
    pub(in crate::focus) fn peer_uri(&self) -> Option<&str> {
        self.theirs.as_ref()?.path.split_ascii_whitespace().last()
    }

    /// Reads the answer to our last description. Only our description says that an observer does
    /// not send, not the peer's: an observer who becomes a participant may send.
    pub(in crate::focus) fn read_answer(
        &self,
        answer: &Description,
        source: Option<IpAddr>,
    ) -> Result<Accepted, Cause> {
        let mut accepted = offer_answer::evaluate_answer(answer, self.terms(), source)?;
        accepted.peer.sends |= self.observer;
        Ok(accepted)
    }

    /// The source address of the peer's description, if we connect to the peer.
    pub(in crate::focus) fn dialled_source(&self) -> Option<IpAddr> {
        self.theirs.as_ref()?.said.peer.dial.as_ref()?.source
    }

    /// Whether both share the same texts, apart from those unique to each session.
    #[cfg(test)]
    pub(in crate::focus) fn says_the_same_as(&self, other: &Self) -> bool {
        let said = |it: &Self| it.theirs.as_ref().map(|it| Arc::clone(&it.said));
        let both = said(self).zip(said(other));
        Arc::ptr_eq(&self.ours, &other.ours)
            && Arc::ptr_eq(&self.local, &other.local)
            && both.is_some_and(|(one, other)| Arc::ptr_eq(&one, &other))
    }

    /// Shares its texts with other endpoints.
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

/// The session id in an MSRP URI: the text between the last slash and the transport.
fn token_of(uri: &str) -> &str {
    let path = uri.rsplit_once('/').map_or("", |(_, path)| path);
    path.split_once(';').map_or(path, |(token, _)| token)
}
