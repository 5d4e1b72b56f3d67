//! The writing thread: everything that has arrived meanwhile becomes one commit.
//!
//! The file has five states ([`State`]). `Safe` is the normal one: batches are committed in the
//! order given. An error of SQLite leads to `Failed`; the thread then opens the file again every
//! few seconds, until that succeeds. A commit that does not return, or a full queue, leads to
//! `Hanging`: the owner gives the thread up, and the thread notices when it returns. From both,
//! the way back is `Wanting`, in which the thread waits for the complete state, then `Rewriting`,
//! in which one transaction replaces the old state, then `Safe`.
//!
//! Outside `Safe` no batch is committed (those given during `Rewriting` follow it), but every batch
//! counts as settled, so that nobody waits for a broken file. Changes of rooms and deleted
//! histories are kept in memory meanwhile: queries see them, and the rewrite includes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};

use super::file::File;
use super::lock::Lock;
use super::rooms::Reader;
use super::{Config, StoreError, Ticket};
use crate::control::RoomUri;
use crate::focus::record::{Change, Found, Kept, Key, Query, Record};
use crate::log::{Level, Line};

/// Pause between retries of a file that failed.
const RETRY: Duration = match cfg!(test) {
    false => Duration::from_secs(5),
    true => Duration::from_millis(50),
};
/// How long a stop waits for the last commits.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// Batches that may wait for the thread: many times the output of 1,000 joins in a second. A store
/// with a longer queue counts as hanging.
const QUEUE: usize = match cfg!(test) {
    false => 16_384,
    true => 64,
};
/// Batches in one commit, so that a flood does not delay the answer to its first one.
const BATCHES: usize = 4096;

/// State shared by the thread and its owner.
pub(super) struct Shared {
    settled: AtomicU64,
    state: AtomicU8,
    /// Rooms with changes that are not in the file yet; `None`: nothing of the room is stored.
    unwritten: Mutex<BTreeMap<RoomUri, Option<Kept>>>,
    /// Rooms whose deleted histories are still in the file.
    forgotten: Mutex<BTreeSet<RoomUri>>,
}

/// The state of the file. The thread fails and recovers; its owner gives up a thread that does not
/// return, and gives it the complete state when it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum State {
    /// It holds everything that is settled.
    Safe,
    /// It failed; nothing is written.
    Failed,
    /// The thread does not return from the file, or not fast enough; nothing is written.
    Hanging,
    /// It works again and waits for the complete state.
    Wanting,
    /// The complete state is being written.
    Rewriting,
}

impl Shared {
    pub(super) fn new(usable: bool) -> Self {
        let state = if usable { State::Safe } else { State::Failed };
        Self {
            settled: AtomicU64::new(0),
            state: AtomicU8::new(state as u8),
            unwritten: Mutex::default(),
            forgotten: Mutex::default(),
        }
    }

    pub(super) fn settled(&self) -> Ticket {
        self.settled.load(Ordering::Acquire)
    }

    pub(super) fn wants_everything(&self) -> bool {
        self.is(State::Wanting)
    }

    pub(super) fn is_safe(&self) -> bool {
        self.is(State::Safe)
    }

    /// Makes changes of rooms visible to queries before they are in the file.
    pub(super) fn note(&self, changes: &[Change]) {
        for change in changes {
            if let Some((room, kept)) = of_room(change) {
                self.unwritten().insert(room.clone(), kept);
            } else if let Change::Delete(Key::History(room)) = change
                && self.forgotten().len() < MAX_FORGOTTEN
            {
                self.forgotten().insert(room.clone());
            }
        }
    }

    pub(super) fn takes_changes(&self) -> bool {
        [State::Safe, State::Rewriting]
            .iter()
            .any(|it| self.is(*it))
    }

    fn is(&self, state: State) -> bool {
        self.state.load(Ordering::Acquire) == state as u8
    }

    /// Changes the state from `from` to `to`; false if the state was another.
    fn go(&self, from: State, to: State) -> bool {
        let (from, to) = (from as u8, to as u8);
        let changed = self
            .state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        changed.is_ok()
    }

    pub(super) fn unwritten(&self) -> MutexGuard<'_, BTreeMap<RoomUri, Option<Kept>>> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forgotten(&self) -> MutexGuard<'_, BTreeSet<RoomUri>> {
        self.forgotten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The room whose rules a change affects, and its stored data after the change.
fn of_room(change: &Change) -> Option<(&RoomUri, Option<Kept>)> {
    match change {
        Change::Put(Record::Room(entry)) => Some((&entry.uri, Some(Kept::Made(entry.clone())))),
        Change::Put(Record::Decisions(one)) => Some((&one.uri, Some(Kept::Decided(one.clone())))),
        Change::Delete(Key::Room(room) | Key::Decisions(room)) => Some((room, None)),
        _ => None,
    }
}

/// Histories to delete that are remembered while nothing can be written.
const MAX_FORGOTTEN: usize = 10_000;

enum Letter {
    Write(Ticket, Vec<Change>),
    Rewrite(Ticket, Vec<Change>),
    Ask(Query),
    /// Look at the state.
    Look,
    Stop,
}

/// The owner's side of the thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    letters: Sender<Letter>,
    found: Receiver<Found>,
    done: Receiver<()>,
}

impl Writer {
    pub(super) fn start(
        config: Config,
        lock: Option<Lock>,
        file: Option<File>,
        shared: Arc<Shared>,
        log: Sender<Line>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> std::io::Result<Self> {
        let (letters, received) = bounded(QUEUE);
        let (ended, done) = unbounded();
        let (answers, found) = unbounded();
        let of_thread = Arc::clone(&shared);
        let work = Work {
            config,
            lock,
            file,
            retry_at: Instant::now() + RETRY,
            shared: of_thread,
            log,
            wake,
            received,
            reader: Reader::default(),
            answers,
        };
        thread::Builder::new()
            .name("msrp-store".to_owned())
            .spawn(move || {
                work.run();
                drop(ended);
            })?;
        Ok(Self {
            shared,
            letters,
            found,
            done,
        })
    }

    /// Queues a batch; false when this call gave the thread up, because its queue was full.
    #[must_use]
    pub(super) fn write(&self, ticket: Ticket, changes: Vec<Change>) -> bool {
        !self.shared.takes_changes() || self.hand_over(Letter::Write(ticket, changes))
    }

    #[must_use]
    pub(super) fn rewrite(&self, ticket: Ticket, everything: Vec<Change>) -> bool {
        !self.shared.go(State::Wanting, State::Rewriting)
            || self.hand_over(Letter::Rewrite(ticket, everything))
    }

    fn hand_over(&self, letter: Letter) -> bool {
        match self.letters.try_send(letter) {
            Err(TrySendError::Full(_)) => !self.give_up(),
            // The thread has panicked, which is logged elsewhere.
            Err(TrySendError::Disconnected(_)) | Ok(()) => true,
        }
    }

    /// Queues a query; false when no answer will come soon.
    #[must_use]
    pub(super) fn ask(&self, query: Query) -> bool {
        !self.shared.is(State::Hanging) && self.letters.try_send(Letter::Ask(query)).is_ok()
    }

    /// The next answer.
    pub(super) fn found(&self) -> Option<Found> {
        self.found.try_recv().ok()
    }

    /// Gives the thread up; when it returns it gets the complete state. False if it was not
    /// running.
    pub(super) fn give_up(&self) -> bool {
        let mut running = [State::Safe, State::Rewriting].into_iter();
        let given_up = running.any(|state| self.shared.go(state, State::Hanging));
        // Wakes the thread if it waits for commands. With a full queue it does not.
        let _ = self.letters.try_send(Letter::Look);
        given_up
    }

    pub(super) fn stop(self) {
        // A hanging thread gets this never, or too late.
        let until = Instant::now() + STOP_GRACE;
        let _ = self.letters.send_deadline(Letter::Stop, until);
        // Nobody sends on this channel: the thread's end disconnects it.
        let _ = self.done.recv_deadline(until);
    }
}

struct Work {
    config: Config,
    /// Without the lock nothing is written: another proxy's file is not ours.
    lock: Option<Lock>,
    file: Option<File>,
    retry_at: Instant,
    shared: Arc<Shared>,
    log: Sender<Line>,
    wake: Arc<dyn Fn() + Send + Sync>,
    received: Receiver<Letter>,
    reader: Reader,
    answers: Sender<Found>,
}

impl Work {
    fn run(mut self) {
        loop {
            let first = match self.next() {
                Ok(letter) => letter,
                Err(RecvTimeoutError::Timeout) => {
                    self.try_again();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let (mut batches, mut queries) = (Vec::new(), Vec::new());
            let mut letter = Some(first);
            loop {
                match letter {
                    Some(Letter::Write(ticket, changes)) => batches.push((ticket, changes)),
                    Some(Letter::Ask(query)) => queries.push(query),
                    _ => break,
                }
                letter = match batches.len() + queries.len() < BATCHES {
                    true => self.received.try_recv().ok(),
                    false => None,
                };
            }
            self.commit(&batches);
            self.answer(queries);
            match letter {
                Some(Letter::Rewrite(ticket, everything)) => self.rewrite(ticket, &everything),
                Some(Letter::Stop) => return,
                Some(Letter::Write(..) | Letter::Ask(_) | Letter::Look) | None => {}
            }
            if self.shared.go(State::Hanging, State::Wanting) {
                (self.wake)();
            }
        }
    }

    fn next(&self) -> Result<Letter, RecvTimeoutError> {
        let retries = self.shared.is(State::Failed) && self.lock.is_some();
        match retries {
            true if self.retry_at <= Instant::now() => Err(RecvTimeoutError::Timeout),
            true => self.received.recv_deadline(self.retry_at),
            false => self
                .received
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn commit(&mut self, batches: &[(Ticket, Vec<Change>)]) {
        let Some((last, _)) = batches.last() else {
            return;
        };
        let changes = || batches.iter().flat_map(|(_, changes)| changes);
        if self.shared.is_safe()
            && let Some(file) = &mut self.file
        {
            match file.commit(changes()) {
                Ok(()) => self.note_rooms(changes()),
                Err(error) => self.fail(&error),
            }
        }
        self.settle(*last);
    }

    fn answer(&mut self, queries: Vec<Query>) {
        if queries.is_empty() {
            return;
        }
        for query in queries {
            let open = self.file.as_ref().map(File::connection);
            let place = (self.config.path.as_path(), self.config.busy);
            let found = self.reader.answer(query, open, place, &self.shared);
            let _ = self.answers.send(found);
        }
        (self.wake)();
    }

    fn rewrite(&mut self, ticket: Ticket, everything: &[Change]) {
        let mut rooms: Vec<Change> = self
            .shared
            .unwritten()
            .iter()
            .flat_map(|(room, kept)| {
                let gone = [Key::Room(room.clone()), Key::Decisions(room.clone())];
                let put = kept.clone().map(|kept| match kept {
                    Kept::Made(entry) => Record::Room(entry),
                    Kept::Decided(decisions) => Record::Decisions(decisions),
                });
                let gone = gone.into_iter().map(Change::Delete);
                gone.chain(put.map(Change::Put)).collect::<Vec<_>>()
            })
            .collect();
        let forgotten = self.shared.forgotten().clone().into_iter();
        rooms.extend(forgotten.map(|room| Change::Delete(Key::History(room))));
        if let Some(file) = &mut self.file {
            match file.replace(everything, &rooms) {
                Ok(()) => {
                    self.note_rooms(rooms.iter());
                    self.settle(ticket);
                    if self.shared.go(State::Rewriting, State::Safe) {
                        self.say(Level::Notice, "everything is in the database again");
                    }
                }
                Err(error) => self.fail(&error),
            }
        }
        self.settle(ticket);
    }

    /// Forgets changes of rooms that are in the file now, unless a newer one has come since.
    /// (Deleting a history twice is harmless: it is empty the first time.)
    fn note_rooms<'a>(&self, changes: impl Iterator<Item = &'a Change>) {
        for change in changes {
            if let Change::Delete(Key::History(room)) = change {
                self.shared.forgotten().remove(room);
            } else if let Some((room, now)) = of_room(change) {
                let mut unwritten = self.shared.unwritten();
                if unwritten.get(room) == Some(&now) {
                    unwritten.remove(room);
                }
            }
        }
    }

    fn settle(&self, ticket: Ticket) {
        self.shared.settled.store(ticket, Ordering::Release);
        (self.wake)();
    }

    fn set(&self, state: State) {
        self.shared.state.store(state as u8, Ordering::Release);
    }

    fn fail(&mut self, error: &StoreError) {
        self.set(State::Failed);
        self.retry_at = Instant::now() + RETRY;
        self.say(
            Level::Error,
            format_args!("database {error}. Conferences are kept in memory until then"),
        );
    }

    fn try_again(&mut self) {
        self.retry_at = Instant::now() + RETRY;
        // A connection that has failed cannot be trusted.
        self.file = None;
        self.reader.close();
        match File::open(&self.config) {
            Ok(file) => {
                self.file = Some(file);
                self.set(State::Wanting);
                (self.wake)();
            }
            Err(error) => self.say(Level::Debug, format_args!("database {error}")),
        }
    }

    fn say(&self, level: Level, text: impl std::fmt::Display) {
        let _ = self.log.send(Line::new(level, text));
        (self.wake)();
    }
}
