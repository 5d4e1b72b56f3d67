//! The room's decisions about a message: whether its sender may send it, its receivers, and whether
//! it is a repetition (RFC 7701 §6).

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::switch::ids::{SessionKey, Speaker, Thread};
use crate::switch::message::code::Code;
use crate::switch::message::entry::{Audience, Entry, range_of};
use crate::switch::message::imdn;
use crate::switch::message::plain_text::{self, Text};
use crate::switch::message::request_head::RequestHead;
use crate::switch::room::Room;
use crate::switch::room::session::canonical;
use crate::time::Moment;
use crate::wire::cpim::{CpimError, MESSAGE_CPIM, Message};
use crate::wire::media_type;

/// The receivers of a message, and its kind.
pub(in crate::switch) struct Addressed {
    pub(in crate::switch) audience: Audience,
    /// The position of the wrapped content type.
    pub(in crate::switch) wrapped_type: Range<usize>,
    /// The start of the wrapped content.
    pub(in crate::switch) content: usize,
    /// Plain-text clients can show the content.
    pub(in crate::switch) is_text: bool,
    /// Its content type is that of a disposition notification.
    pub(in crate::switch) is_notification: bool,
    /// The canonical URI of the member it is for; `None`: everyone.
    to: Option<String>,
    /// CPIM From and To of a private message, for its report (G44).
    pub(in crate::switch) addresses: Option<Vec<u8>>,
}

/// A message that the room has accepted.
pub(in crate::switch) struct Accepted {
    /// CPIM From and To of a private message, for its report (G44).
    pub(in crate::switch) addresses: Option<Vec<u8>>,
    /// The entry to pass on; `None` for a repetition.
    pub(in crate::switch) entry: Option<Entry>,
}

impl Room {
    /// Checks the head of a message before its body arrives.
    pub(in crate::switch) fn screen(
        &self,
        key: SessionKey,
        head: &RequestHead<'_>,
    ) -> Result<(), Code> {
        let session = self.session(key).ok_or(Code::NoSession)?;
        if head.is_heartbeat() {
            return Ok(());
        }
        if !session.sends {
            return Err(Code::MayNotSend);
        }
        // G20: only message/cpim, unless the room allows more.
        let media = head.content_type.map_or("", media_type);
        let plain = head.is_plain_text() && self.policy.plain_text;
        if !media.eq_ignore_ascii_case(MESSAGE_CPIM) && !plain {
            return Err(Code::UnsupportedMedia);
        }
        let limit = self.policy.max_message_size;
        if head.range.total.is_some_and(|total| total > limit) {
            return Err(Code::TooLarge);
        }
        Ok(())
    }

    /// Accepts a whole message that starts with `shift` octets added by the switch.
    pub(in crate::switch) fn accept(
        &mut self,
        now: Moment,
        key: SessionKey,
        first: &RequestHead<'_>,
        (shift, body): (u64, Cow<'_, [u8]>),
        (own, lives): (Thread, impl Fn(Speaker) -> bool),
    ) -> Result<Accepted, Code> {
        let addressed = self.address(key, &body, body.len() as u64, first.success_report)?;
        if (body.len() as u64).saturating_sub(shift) > self.policy.max_message_size {
            return Err(Code::TooLarge);
        }
        // The headers that the switch adds differ each time (DateTime).
        let said = usize::try_from(shift).ok().and_then(|it| body.get(it..));
        let said = said.unwrap_or_default();
        let session = self.session(key).ok_or(Code::NoSession)?;
        let (on, is_anonymous) = (session.speaker(own), session.is_anonymous());
        let fingerprint = self.fingerprint(&session.user, first.message_key(), said);
        let mut accepted = Accepted {
            addresses: addressed.addresses.clone(),
            entry: None,
        };
        if self.is_repeated(now, fingerprint, on, lives) {
            return Ok(accepted);
        }
        let mut body = body.into_owned();
        if is_anonymous && addressed.is_notification {
            // The reader must not learn who the anonymous members are, or how many.
            let to = addressed.to.as_deref().unwrap_or_default();
            let gist = conceal(to, &mut body).ok_or(Code::BadRequest)?;
            if gist.0.is_some_and(|gist| self.is_notified(gist)) {
                return Ok(accepted);
            }
        }
        self.note(now, fingerprint, on);
        let text = self.text_of(key, &addressed, &body);
        let mut entry = Entry::new(
            Bytes::from(body),
            addressed.wrapped_type,
            key,
            addressed.audience,
        );
        entry.text = text;
        accepted.entry = Some(entry);
        Ok(accepted)
    }

    /// The message for plain-text clients, if the room has any.
    fn text_of(&self, key: SessionKey, addressed: &Addressed, body: &[u8]) -> Option<Box<Text>> {
        if !addressed.is_text || !self.policy.plain_text {
            return None;
        }
        let mut members = self.members.all().filter_map(|key| self.session(key));
        if !members.any(|session| session.plain_text) {
            return None;
        }
        let opening = self.opening(key, &addressed.audience);
        let content = body.get(addressed.content..).unwrap_or_default();
        Some(Box::new(Text::new(&opening, content)))
    }

    /// The text before a session's message for plain-text clients: the speaker's name.
    pub(in crate::switch) fn opening(&self, key: SessionKey, audience: &Audience) -> String {
        let Some(session) = self.session(key) else {
            return String::new();
        };
        let user = session.user.as_str();
        let name = match self.nickname_of(&session.user) {
            Some(nickname) => &nickname.written,
            None if !session.display.is_empty() => &session.display,
            None => user.strip_prefix("sip:").unwrap_or(user),
        };
        let name = plain_text::shown(name);
        let mark = match audience {
            Audience::Room => "",
            _ => " (privately)",
        };
        format!("{name}{mark}: ")
    }

    /// The receivers of a message of `size` octets (RFC 7701 §6.1, §6.2); `octets` contain at least
    /// its CPIM headers. With `report`, the sender asks for a report.
    pub(in crate::switch) fn address(
        &mut self,
        key: SessionKey,
        octets: &[u8],
        size: u64,
        report: bool,
    ) -> Result<Addressed, Code> {
        let session = self.sessions.get_mut(key.seat).ok_or(Code::NoSession)?;
        let message = match Message::parse(octets) {
            Ok(Some(message)) => message,
            Err(CpimError::Recipients) => return Err(Code::SeveralRecipients),
            Ok(None) | Err(_) => return Err(Code::BadRequest),
        };
        if !session.is_from(message.from.uri) {
            return Err(Code::ForeignFrom);
        }
        let [to] = &message.to[..] else {
            return Err(Code::SeveralRecipients);
        };
        let room = self.uri.as_str();
        let to_member = (to.uri != room).then(|| canonical(to.uri));
        let to_member = to_member.filter(|to| to != room);
        let audience = match &to_member {
            None => Audience::Room,
            Some(to) => self.recipients(key, to, &message, size)?,
        };
        Ok(Addressed {
            audience,
            wrapped_type: range_of(octets, message.content_type),
            content: message.content,
            is_text: plain_text::is_text(&message),
            is_notification: imdn::is_notification(message.content_type),
            addresses: (report && to_member.is_some()).then(|| addresses(&message)),
            to: to_member,
        })
    }

    /// The sessions a private message is for (G40–G45).
    fn recipients(
        &self,
        key: SessionKey,
        to: &str,
        message: &Message<'_>,
        size: u64,
    ) -> Result<Audience, Code> {
        // P11: a disposition notification is addressed to a member without being a private message.
        let notification = imdn::is_disposition(message);
        if !self.policy.private_messages && !notification {
            return Err(Code::NoPrivateMessagesHere);
        }
        let mut known = false;
        // Why it cannot be given to those who are able (RFC 4975 §7.1.3).
        let mut refused = Code::NoPrivateMessages;
        let mut able = false;
        let mut sessions = Vec::new();
        for &member in self.members.called(to) {
            let Some(session) = self.session(member) else {
                continue;
            };
            known = true;
            if !session.private_messages && !notification {
                continue;
            }
            match session.refuses(size, message) {
                Some(code) => refused = code,
                None => able = true,
            }
            if member != key {
                sessions.push(member);
            }
        }
        match (known, able) {
            (false, _) => Err(Code::NotFound),
            (true, false) => Err(refused),
            (true, true) => Ok(Audience::Sessions(sessions.into())),
        }
    }
}

/// Blanks out the recipient in the notification of an anonymous member.
fn conceal(to: &str, octets: &mut [u8]) -> Option<imdn::Gist> {
    let headers = octets.to_vec();
    let message = Message::parse(&headers).ok().flatten()?;
    imdn::conceal(to, &message, octets.get_mut(message.content..)?)
}

/// From and To as they were written, and an empty part (RFC 7701 §6.2, G44).
fn addresses(message: &Message<'_>) -> Vec<u8> {
    let from = message.header("From").unwrap_or_default();
    let to = message.header("To").unwrap_or_default();
    format!("From: {from}\r\nTo: {to}\r\n\r\nContent-Type: text/plain\r\n\r\n").into_bytes()
}
