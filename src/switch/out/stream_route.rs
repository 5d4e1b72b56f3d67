//! Large messages on their way from thread to thread: from the sender's to the owner of the
//! room, and from there to each that has receivers.

use std::sync::Arc;

use bytes::Bytes;

use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, Credit, SessionKey, Speaker, StreamKey, Thread};
use crate::switch::message::assembly::Opening;
use crate::switch::message::code::Code;
use crate::switch::out::stream::{Pending, Stream};
use crate::switch::threads::parcel::{Beginning, Ended, Opens, Parcel};
use crate::time::Moment;

impl Switch {
    /// Sends to every thread that has members of the room.
    pub(in crate::switch) fn send_beginning(&mut self, key: StreamKey, beginning: Beginning) {
        let room = self.rooms.get(beginning.room);
        let (Some(room), Some(stream)) = (room, self.streams.get_mut(key)) else {
            return;
        };
        let beginning = Arc::new(beginning);
        for thread in room.abroad() {
            stream.route().to.push((thread, 0));
            let parcel = Parcel::Begins(key, Arc::clone(&beginning));
            self.exchange.post(thread, parcel);
        }
    }

    /// Passes a guest's large message to the owner of its room.
    pub(in crate::switch) fn open_stream(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        (owner, session): (Thread, SessionKey),
        name: &str,
        opening: &Opening,
    ) -> StreamKey {
        let mut stream = Stream::new(key.room, Some(key));
        stream.announced = opening.announced;
        stream.route().to.push((owner, 0));
        stream.route().pending = Some(Pending {
            name: name.into(),
            ended: None,
        });
        let stream = self.streams.insert(stream);
        let opens = Opens {
            session,
            connection: id,
            name: name.into(),
            opening: opening.clone(),
        };
        let parcel = Parcel::Opens(stream, Box::new(opens));
        self.exchange.post(owner, parcel);
        stream
    }

    /// A session of ours on another thread begins a large message.
    pub(in crate::switch) fn stream_opens(
        &mut self,
        now: Moment,
        from: Thread,
        there: StreamKey,
        opens: &Opens,
    ) {
        self.hear_out(now, opens.session);
        let speaker = Speaker {
            thread: from,
            connection: opens.connection,
        };
        self.exchange.serving = Some(Credit { speaker, octets: 0 });
        let result = match self.speaks_on(opens.session, speaker) {
            true => self.admit_stream(now, opens.session, &opens.name, &opens.opening),
            false => Err(Code::NoSession),
        };
        self.exchange.serving = None;
        let parcel = match result {
            Ok(stream) => {
                self.streams.comes_from(stream, from, there);
                Parcel::Accepted(there)
            }
            Err(code) => Parcel::Refused(there, code),
        };
        self.exchange.post(from, parcel);
    }

    /// A large message begins in a room that has members here.
    pub(in crate::switch) fn stream_begins(
        &mut self,
        now: Moment,
        from: Thread,
        there: StreamKey,
        beginning: &Beginning,
    ) {
        let Some(room) = self.rooms.replica(from, beginning.room) else {
            return;
        };
        let key = self.streams.insert(Stream {
            announced: beginning.announced,
            ..Stream::new(room, None)
        });
        self.begin_copies(now, key, room, beginning);
        let receivers = self.streams.get(key).map_or(0, |it| it.receivers.len());
        match receivers {
            0 => drop(self.streams.remove(key)),
            _ => self.streams.comes_from(key, from, there),
        }
    }

    /// The owner accepts a guest's message.
    pub(in crate::switch) fn stream_accepted(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let pending = stream.route().pending.take();
        if let Some(ended) = pending.and_then(|pending| pending.ended) {
            self.pass_end(key, *ended);
        }
    }

    /// The owner refuses it.
    pub(in crate::switch) fn stream_refused(&mut self, now: Moment, key: StreamKey, code: Code) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        stream.route().to.clear();
        let (from, pending) = (stream.from, stream.route().pending.take());
        let Some(Pending { name, ended }) = pending else {
            return;
        };
        if let Some(ended) = ended {
            self.reply(ended.connection, &ended.last.view(), code);
            return self.abort_stream(key);
        }
        if let Some(from) = from {
            self.refuse(now, from, &name, code);
        }
    }

    /// Passes the end of a guest's message to the owner of its room.
    pub(in crate::switch) fn pass_end(&mut self, key: StreamKey, ended: Ended) {
        self.streams.touch(key);
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let route = stream.route();
        if let Some(pending) = &mut route.pending {
            pending.ended = Some(Box::new(ended));
        } else if let Some(&(owner, _)) = route.to.first() {
            let parcel = Parcel::Ended(key, Box::new(ended));
            self.exchange.post(owner, parcel);
        }
    }

    /// A message of a session of ours on another thread is complete.
    pub(in crate::switch) fn stream_ended(
        &mut self,
        now: Moment,
        from: Thread,
        there: StreamKey,
        ended: &Ended,
    ) {
        let speaker = Speaker {
            thread: from,
            connection: ended.connection,
        };
        let Some(key) = self.streams.inflow(from, there) else {
            return self.respond(speaker, &ended.last.view(), Code::NoSession);
        };
        self.flow_ends(now, key, 0, true);
        self.take_streamed(speaker, key, ended);
        self.tidy_streams();
    }

    /// A large message to a room here is complete: answers it, and writes a report.
    pub(in crate::switch) fn take_streamed(
        &mut self,
        speaker: Speaker,
        key: StreamKey,
        ended: &Ended,
    ) {
        self.respond(speaker, &ended.last.view(), Code::Ok);
        let stream = self.streams.get(key);
        let octets = stream.map_or(0, |stream| stream.buffer.end());
        let addresses = stream.and_then(|stream| stream.addresses.clone());
        let from = stream.and_then(|stream| stream.from);
        if let (Some(from), Some(first)) = (from, &ended.first) {
            let octets = octets.saturating_sub(ended.shift);
            self.report(speaker, from, &first.view(), octets, addresses);
        }
    }

    /// Takes octets of a message from another thread.
    pub(in crate::switch) fn stream_piece(
        &mut self,
        now: Moment,
        from: Thread,
        there: StreamKey,
        octets: &Bytes,
    ) {
        let key = self.streams.inflow(from, there);
        let stream = key.and_then(|key| self.streams.get_mut(key));
        let (Some(key), Some(stream)) = (key, stream) else {
            // It has no receivers here.
            let parcel = Parcel::Passed(there, octets.len() as u64);
            return self.exchange.post(from, parcel);
        };
        stream.buffer.append(octets.clone());
        self.flowed(now, key);
    }

    /// The message has ended.
    pub(in crate::switch) fn stream_whole(&mut self, now: Moment, from: Thread, there: StreamKey) {
        if let Some(key) = self.streams.inflow(from, there) {
            self.flow_ends(now, key, 0, true);
        }
    }

    /// The rest of it will not arrive.
    pub(in crate::switch) fn stream_aborted(&mut self, from: Thread, there: StreamKey) {
        if let Some(key) = self.streams.inflow(from, there) {
            self.abort_stream(key);
        }
    }

    /// Its sender waits for receivers that are behind, if any.
    pub(in crate::switch) fn stream_waits(
        &mut self,
        now: Moment,
        from: Thread,
        there: StreamKey,
        certain: bool,
    ) {
        let half = self.config.outbox_bytes as u64 / 2;
        let key = self.streams.inflow(from, there);
        let stream = key.and_then(|key| self.streams.get(key));
        let (Some(key), Some(stream)) = (key, stream) else {
            return;
        };
        let (here, abroad) = (stream.buffer.octets() as u64, stream.waiting_abroad());
        if (certain && here.max(abroad) > half / 2) || here > half {
            self.pause(now, key, true);
        } else if abroad > half {
            self.pause(now, key, false);
        } else {
            self.report_passed(key, here.max(abroad), 1);
        }
        self.streams.touch(key);
    }

    /// A receiver on a thread it goes to is behind.
    pub(in crate::switch) fn stream_behind(&mut self, now: Moment, key: StreamKey) {
        self.pause(now, key, true);
        self.streams.touch(key);
    }

    /// Reports delivered octets to the previous thread, once there are enough.
    pub(in crate::switch) fn report_passed(&mut self, key: StreamKey, waiting: u64, least: u64) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let passed = stream.buffer.end().saturating_sub(waiting);
        if let Some(route) = &mut stream.route
            && let Some((thread, there)) = route.from
            && passed >= route.reported + least
        {
            let octets = passed - std::mem::replace(&mut route.reported, passed);
            let parcel = Parcel::Passed(there, octets);
            self.exchange.post(thread, parcel);
        }
    }

    /// A thread it goes to has delivered this many octets.
    pub(in crate::switch) fn stream_passed(&mut self, from: Thread, key: StreamKey, octets: u64) {
        if let Some(stream) = self.streams.get_mut(key) {
            let mut to = stream.route().to.iter_mut();
            if let Some((_, waiting)) = to.find(|(thread, _)| *thread == from) {
                *waiting = waiting.saturating_sub(octets);
            }
            self.streams.touch(key);
        }
    }

    /// Passes received octets on to other threads.
    pub(in crate::switch) fn pass_pieces(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let Some(route) = stream.route.as_mut().filter(|it| !it.to.is_empty()) else {
            return;
        };
        while let Some(octets) = stream.buffer.slice(route.gone, usize::MAX) {
            route.gone += octets.len() as u64;
            for (thread, waiting) in &mut route.to {
                *waiting += octets.len() as u64;
                let parcel = Parcel::Piece(key, octets.clone());
                self.exchange.post(*thread, parcel);
            }
        }
    }
}
