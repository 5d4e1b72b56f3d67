//! A whole message on its way, shared by all its receivers.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem::Finder;
use once_cell::sync::Lazy;

use crate::switch::ids::SessionKey;
use crate::switch::message::copy_headers::headers;
use crate::switch::message::plain_text::Text;
use crate::wire::cpim::MESSAGE_CPIM;
use crate::wire::msrp::FailureReport;

/// The content type of RFC 3994.
const IS_COMPOSING: &[u8] = b"application/im-iscomposing+xml";
/// Memory of an entry beside its body, in octets, including its slot in a log. It is counted so
/// that a flood of tiny messages stays within the limits.
const ENTRY_OCTETS: usize = std::mem::size_of::<Entry>() + 24;
/// Seven hyphens. Building a searcher costs as much as a short search, so one is kept.
static HYPHENS: Lazy<Finder<'static>> = Lazy::new(|| Finder::new(b"-------"));

/// The receivers of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::switch) enum Audience {
    /// Everyone in the room except the session it came from.
    Room,
    /// Everyone in the room.
    Everybody,
    /// These sessions (a private message).
    Sessions(Box<[SessionKey]>),
}

/// A whole message on its way.
#[derive(Debug)]
pub(in crate::switch) struct Entry {
    /// The CPIM message, octet for octet (RFC 7701 §6.1).
    pub(in crate::switch) body: Bytes,
    /// The headers every copy has in common.
    pub(in crate::switch) headers: Vec<u8>,
    /// The position of the wrapped content type in `body`.
    pub(in crate::switch) wrapped_type: Range<usize>,
    pub(in crate::switch) from: SessionKey,
    pub(in crate::switch) audience: Audience,
    /// The message for plain-text clients; `None` if there are none, or if it is not text.
    pub(in crate::switch) text: Option<Box<Text>>,
    /// `body` contains seven hyphens, so it may contain an end-line (RFC 4975 §7.1).
    pub(in crate::switch) hyphens: bool,
    /// It is a typing indication (RFC 3994).
    pub(in crate::switch) composing: bool,
}

impl Audience {
    /// Whether a message from `from` is for `session`.
    pub(in crate::switch) fn includes(&self, from: SessionKey, session: SessionKey) -> bool {
        match self {
            Audience::Room => from != session,
            Audience::Everybody => true,
            Audience::Sessions(sessions) => sessions.contains(&session),
        }
    }
}

impl Entry {
    pub(in crate::switch) fn new(
        body: Bytes,
        wrapped_type: Range<usize>,
        from: SessionKey,
        audience: Audience,
    ) -> Self {
        let hyphens = HYPHENS.find(&body).is_some();
        let headers = headers(body.len(), FailureReport::Partial, MESSAGE_CPIM);
        let media = body.get(wrapped_type.clone()).unwrap_or_default();
        let composing = media
            .get(..IS_COMPOSING.len())
            .is_some_and(|media| media.eq_ignore_ascii_case(IS_COMPOSING));
        Self {
            text: None,
            composing,
            body,
            headers,
            wrapped_type,
            from,
            audience,
            hyphens,
        }
    }

    /// The wrapped content type, as the sender wrote it.
    pub(in crate::switch) fn wrapped_type(&self) -> &[u8] {
        self.body.get(self.wrapped_type.clone()).unwrap_or_default()
    }

    pub(in crate::switch) fn is_for(&self, session: SessionKey) -> bool {
        self.audience.includes(self.from, session)
    }

    /// Octets of the body plus the overhead.
    pub(in crate::switch) fn cost(&self) -> usize {
        let text = self.text.as_ref().map_or(0, |text| text.body.len());
        self.body.len() + text + ENTRY_OCTETS
    }
}

/// The position of `part` within `whole`, of which it is a slice.
pub(in crate::switch) fn range_of(whole: &[u8], part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    match start.checked_add(part.len()) {
        Some(end) if end <= whole.len() => start..end,
        _ => 0..0,
    }
}
