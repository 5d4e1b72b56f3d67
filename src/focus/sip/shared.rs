//! Pools of values that dialogs of the same users, rooms and clients share.

use std::sync::Arc;

use crate::control::{RoomUri, UserUri};
use crate::focus::Socket;
use crate::focus::pool::Pool;
use crate::focus::sip::dialog::Dialog;
use crate::focus::sip::offer_answer::{Accepted, Local};

/// The pools.
#[derive(Debug, Default)]
pub(in crate::focus) struct Shared {
    /// Addresses, Contacts, descriptions.
    pub(in crate::focus) texts: Pool<str>,
    pub(in crate::focus) sockets: Pool<Socket>,
    /// Contents of our descriptions.
    pub(in crate::focus) locals: Pool<Local>,
    /// Contents of peers' descriptions.
    pub(in crate::focus) said: Pool<Accepted>,
}

impl Shared {
    /// Shares a room's URI.
    pub(in crate::focus) fn room(&mut self, room: &mut RoomUri) {
        *room = RoomUri::new(self.text(room.shared()));
    }

    /// Shares a user's address.
    pub(in crate::focus) fn user(&mut self, user: &mut UserUri) {
        *user = UserUri::new(self.text(user.shared()));
    }

    fn text(&mut self, mut text: Arc<str>) -> Arc<str> {
        self.texts.share(&mut text);
        text
    }

    /// Shares the texts of a dialog.
    pub(in crate::focus) fn dialog(&mut self, dialog: &mut Dialog) {
        let texts = [
            &mut dialog.local_uri,
            &mut dialog.remote_uri,
            &mut dialog.remote_target,
            &mut dialog.principal,
            &mut dialog.contact,
        ];
        for text in texts.into_iter().chain(&mut dialog.flow) {
            self.texts.share(text);
        }
        self.sockets.share(&mut dialog.socket);
    }

    /// Empties the pools after the last dialog.
    pub(in crate::focus) fn clear(&mut self) {
        self.texts.clear();
        self.sockets.clear();
        self.locals.clear();
        self.said.clear();
    }

    /// Number of values.
    pub(in crate::focus) fn len(&self) -> usize {
        self.texts.len() + self.sockets.len() + self.locals.len() + self.said.len()
    }
}
