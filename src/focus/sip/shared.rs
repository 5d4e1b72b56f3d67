//! What dialogs of the same users, rooms and clients have in common, held once.

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
    /// What our descriptions say.
    pub(in crate::focus) locals: Pool<Local>,
    /// What peers say in theirs.
    pub(in crate::focus) said: Pool<Accepted>,
}

impl Shared {
    /// Holds a room's name once.
    pub(in crate::focus) fn room(&mut self, room: &mut RoomUri) {
        *room = RoomUri::new(self.text(room.shared()));
    }

    /// Holds a user's address once.
    pub(in crate::focus) fn user(&mut self, user: &mut UserUri) {
        *user = UserUri::new(self.text(user.shared()));
    }

    fn text(&mut self, mut text: Arc<str>) -> Arc<str> {
        self.texts.share(&mut text);
        text
    }

    /// Holds the texts of a dialog once.
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

    /// There are no dialogs any more.
    pub(in crate::focus) fn clear(&mut self) {
        self.texts.clear();
        self.sockets.clear();
        self.locals.clear();
        self.said.clear();
    }

    /// How many values there are.
    pub(in crate::focus) fn len(&self) -> usize {
        self.texts.len() + self.sockets.len() + self.locals.len() + self.said.len()
    }
}
