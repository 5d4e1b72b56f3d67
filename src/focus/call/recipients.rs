//! Recipient lists in INVITE (RFC 5366, 5363): parties a new participant invites.

use std::sync::Arc;

use crate::control::UserUri;
use crate::focus::Focus;
use crate::focus::call::access::Access;
use crate::focus::ids::EndpointId;
use crate::focus::room::invitation::Inviter;
use crate::focus::room::permission::Ask;
use crate::focus::sip::cause::Cause;
use crate::focus::sip::rejection::Verdict;
use crate::log::Level;
use crate::time::Moment;
use crate::wire::resource_lists::{Recipient, history};

impl Focus {
    /// Whether the caller may bring these recipients (rows L04, L11).
    pub(in crate::focus) fn check_recipients(
        &self,
        access: &Access,
        recipients: &[Recipient],
    ) -> Verdict<()> {
        // As in a REFER: no request of ours goes to a telephone number.
        if recipients.iter().any(|it| it.address.starts_with("tel:")) {
            return Err(Cause::TelephoneOnList.into());
        }
        let conference = self.rooms.conference(&access.room);
        access.caller(conference).may(Ask::Bring {
            parties: recipients.len(),
            most: self.config.max_list_size,
        })
    }

    /// Invites the recipients of a new participant.
    pub(in crate::focus) fn invite_recipients(&mut self, now: Moment, id: EndpointId) {
        let Some(endpoint) = self.rooms.endpoint_mut(id) else {
            return self.out.broken("no endpoint that invites");
        };
        let recipients = endpoint.change_rare(|rare| std::mem::take(&mut rare.recipients));
        let room = endpoint.room.clone();
        let inviter = Inviter {
            user: endpoint.user.clone(),
            socket: Arc::clone(&endpoint.dialog.socket),
            contact: Arc::clone(&endpoint.dialog.contact),
            referral: None,
        };
        let mode = self.config.invite_mode;
        for recipient in &recipients {
            let user = UserUri::new(recipient.address.clone());
            // Row L11: skip the inviter, the room itself, and participants.
            let is_in = self.rooms.is_in(&room, &user);
            if user == inviter.user || is_in {
                continue;
            }
            if let Err(refusal) = self.check_invitee(&room, &user) {
                let line = format!("{user} is not invited into {room}: {}", refusal.cause);
                self.out.log(Level::Info, line);
                continue;
            }
            let told = history(&recipients, Some(&recipient.address));
            self.invite_party(now, &room, &recipient.uri, mode, inviter.clone(), told);
        }
    }
}
