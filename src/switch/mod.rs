//! The MSRP switch (RFC 4975, RFC 7701): sessions, rooms, fan-out, reports. There is one instance
//! for each thread; `threads` explains how they work together.
//!
//! A pure state machine. Its driver passes in orders, octets and the time, and polls it for notices
//! and output. It uses no sockets, no clock and no threads, and nothing of the focus but `control`.
//!
//! A room's log holds each message once; every member holds a position in the log. A copy is
//! written when its receiver's turn to write comes. Each turn therefore costs a receiver one write,
//! and an idle or slow receiver no buffer of its own.

mod agenda;
mod config;
mod ids;
mod input;
mod line;
mod message;
mod on_demand;
mod out;
mod reconcile;
mod room;
mod security;
mod sessions;
mod threads;
mod timers;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::control::{Notice, Order};
use crate::counters::Totals;
use crate::entropy::Entropy;
use crate::time::Moment;

pub use config::{Config, SILENCE, SlowReader};
pub use ids::{ConnectionId, Thread};
pub use line::wanted::Wanted;
pub use out::batch::{After, Batch, Part};
pub use security::Security;
pub use threads::{Alone, Post, Threads};

use agenda::Agenda;
use ids::SessionKey;
use line::connections::Connections;
use message::budget::Budget;
use out::stream::Streams;
use out::turns::Turns;
use room::message_events::MessageEvents;
use room::pending_nickname::PendingNicknames;
use room::rooms::Rooms;
use threads::Exchange;
use timers::Timer;

/// The sessions and rooms of one thread.
///
/// # The order of calls
/// Inputs: [`Self::order`], [`Self::arrived`] and [`Self::take_in`], [`Self::opened`],
/// [`Self::received`], [`Self::ended`], [`Self::closed`], [`Self::connected`],
/// [`Self::unreachable`], [`Self::tick`] when [`Self::deadline`] has passed, [`Self::go_on`]. The
/// driver reads a connection while it is neither [`Self::paused`] nor [`Self::holds_back`].
///
/// After any of these, in this order: every [`Self::poll_wanted`]; [`Self::transmit`] for each
/// connection that [`Self::poll_dirty`] returns, followed by [`Self::blocked`],
/// [`Self::taken_back`] or [`Self::goes_on`] depending on the socket, and by [`Self::written`] if
/// the driver stops early; then everything of [`Self::poll_close`], [`Self::poll_resume`],
/// [`Self::poll_post`] and [`Self::poll_notice`].
pub struct Switch {
    config: Config,
    entropy: Box<dyn Entropy + Send>,
    /// Parcels to and from other threads.
    exchange: Exchange,
    connections: Connections,
    rooms: Rooms,
    /// Large messages that are passed on while they arrive.
    streams: Streams,
    turns: Turns,
    agenda: Agenda,
    wanted: VecDeque<Wanted>,
    /// The memory used by incomplete messages.
    budget: Budget,
    /// Sessions due to leave.
    expelled: VecDeque<SessionKey>,
    /// Sessions that have left and have no output pending.
    left: Vec<SessionKey>,
    stopping: bool,
    /// When sessions that no focus has claimed end, and the time they are given.
    orphans_end: Option<(Moment, Duration)>,
    message_events: MessageEvents,
    pending_nicknames: PendingNicknames,
    totals: Totals,
}

impl Switch {
    /// An instance without rooms.
    pub fn new(
        config: Config,
        mut entropy: Box<dyn Entropy + Send>,
        threads: Box<dyn Threads>,
    ) -> Self {
        let rooms = Rooms::new(&mut *entropy);
        Self {
            config,
            entropy,
            exchange: Exchange::new(threads),
            connections: Connections::default(),
            rooms,
            streams: Streams::default(),
            turns: Turns::default(),
            agenda: Agenda::default(),
            wanted: VecDeque::new(),
            budget: Budget::new(config.outbox_bytes),
            expelled: VecDeque::new(),
            left: Vec::new(),
            stopping: false,
            orphans_end: None,
            message_events: MessageEvents::default(),
            pending_nicknames: PendingNicknames::default(),
            totals: Totals::default(),
        }
    }

    /// Carries out an order of the focus.
    pub fn order(&mut self, now: Moment, order: Order) {
        match order {
            Order::Admit(admission) => self.admit(now, &admission),
            Order::Amend(admission) => self.amend(now, &admission),
            Order::Expel { session, .. } => match self.rooms.named(session.as_str()) {
                Some(key) => self.expel(now, key, None),
                None => self.farewell_ends(now, &session),
            },
            Order::Part { session, .. } => self.part_from_room(now, session),
            Order::Submit {
                session, message, ..
            } => self.submit(now, &session, &message),
            Order::Close { room } => self.close_room(&room),
            Order::Say { room, text } => self.say(now, &room, &text),
            Order::ReportMessages(on) => self.message_events.listen(on),
            Order::Hold { room, nicknames } => self.rooms.hold_nicknames(now, room, &nicknames),
            Order::Kept { change, .. } => {
                if let Some(answer) = self.pending_nicknames.kept(change) {
                    self.answer_nickname(answer);
                }
            }
            Order::Recall { room, messages } => self.rooms.recall(now, room, messages),
            Order::Remembered {
                room,
                up_to,
                octets,
            } => {
                let kept = (up_to, octets);
                self.rooms.history_kept(now, &room, kept, &mut self.agenda);
            }
            Order::Forget { room } => {
                self.rooms.forget_history(&room);
                self.agenda.tell(Notice::Forgotten { room });
            }
            Order::Reconcile {
                room,
                sessions,
                last,
            } => self.reconcile(now, room, sessions, last),
        }
    }

    /// Stops admitting sessions.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// When [`Self::tick`] is due.
    pub fn deadline(&self) -> Option<Moment> {
        self.agenda.deadline()
    }

    /// Handles the timers that are due.
    pub fn tick(&mut self, now: Moment) {
        while let Some(timer) = self.agenda.due(now) {
            match timer {
                Timer::Connection(id) => self.connection_due(now, id),
                Timer::Silence(id) => self.silence_due(now, id),
                Timer::Bind(key) => self.bind_due(now, key),
                Timer::Chunk(key) => self.chunk_due(now, key),
                Timer::Orphans => self.orphans_due(now),
                Timer::HeldUp(id) => self.held_up_due(now, id),
                Timer::Leave(key) => self.leave_due(now, key),
                Timer::Farewell(key) => self.stop_lingering(now, key),
                Timer::Held(key) => self.held_due(now, key),
                Timer::Pause(key) => self.pause_due(now, key),
                Timer::Count(key) => {
                    if let Some(room) = self.rooms.get_mut(key) {
                        room.count_due(now, key, &mut self.agenda);
                    }
                }
                Timer::History(key) => self.rooms.history_due(now, key, &mut self.agenda),
            }
        }
    }

    /// The next notice for the focus.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.agenda.next_notice()
    }

    /// The next connection that a session needs.
    pub fn poll_wanted(&mut self) -> Option<Wanted> {
        self.wanted.pop_front()
    }

    /// The next connection to close at once, without writing anything more. [`Self::closed`]
    /// must follow.
    pub fn poll_close(&mut self) -> Option<ConnectionId> {
        self.connections.closes.pop_front()
    }

    /// The next connection that may be read again.
    pub fn poll_resume(&mut self) -> Option<ConnectionId> {
        self.connections.resumes.pop_front()
    }

    /// The parcels for one other thread, all at once.
    pub fn poll_post(&mut self) -> Option<(Thread, Post)> {
        self.exchange.next_post()
    }

    /// Takes parcels from another thread; see [`Self::take_in`].
    pub fn arrived(&mut self, from: Thread, post: Post) {
        self.exchange.arrive(from, post);
    }

    /// Sessions of rooms of this thread that were admitted and have not ended.
    pub fn sessions(&self) -> usize {
        self.rooms.own_sessions()
    }

    /// The counters so far.
    pub fn totals(&self) -> Totals {
        Totals {
            sessions: self.sessions() as u64,
            ..self.totals
        }
    }

    /// Whether parcels from other threads are unprocessed.
    pub fn has_arrivals(&self) -> bool {
        !self.exchange.arrived.is_empty()
    }
}
