//! What subscribers of a conference must see, in the order in which it came about: revisions, and
//! who has gone. Revisions only grow.

use crate::focus::room::participant::Departure;

/// Departures remembered for subscribers who are behind; whoever missed more than that gets
/// a full document, which is shorter.
const MAX_DEPARTURES: usize = 4096;

/// The changes of a conference.
#[derive(Debug, Default)]
pub(in crate::focus) struct Changes {
    revision: u64,
    forgotten: u64,
    reshaped: u64,
    recast: u64,
    described: u64,
    departures: Vec<Departure>,
}

impl Changes {
    /// Notes a change and returns its revision.
    pub(in crate::focus) fn next(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// The revision of the last change.
    pub(in crate::focus) fn revision(&self) -> u64 {
        self.revision
    }

    /// The last change is one that only full documents tell: who is listed and who is not.
    pub(in crate::focus) fn reshape(&mut self) {
        self.reshaped = self.revision;
    }

    /// The revision of the last change that only full documents tell.
    pub(in crate::focus) fn reshaped(&self) -> u64 {
        self.reshaped
    }

    /// The last change is one of somebody's role.
    pub(in crate::focus) fn recast(&mut self) {
        self.recast = self.revision;
    }

    /// The revision of the last change of somebody's role.
    pub(in crate::focus) fn last_recast(&self) -> u64 {
        self.recast
    }

    /// The last change is one of the description.
    pub(in crate::focus) fn describe(&mut self) {
        self.described = self.revision;
    }

    /// The revision of the last change of the description.
    pub(in crate::focus) fn described(&self) -> u64 {
        self.described
    }

    /// Somebody has gone by the last change.
    pub(in crate::focus) fn depart(&mut self, departure: Departure) {
        self.departures.push(departure);
    }

    /// Departures that some subscriber has not been told to the end.
    pub(in crate::focus) fn departures(&self) -> &[Departure] {
        &self.departures
    }

    /// Departures up to this revision are not remembered any more.
    pub(in crate::focus) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Nobody may learn of earlier departures any more but by a full document.
    pub(in crate::focus) fn forget_departures(&mut self) {
        self.forgotten = self.revision;
        self.departures.clear();
    }

    /// Nobody watches: whoever is given a document of just before would never learn of departures
    /// from a partial one.
    pub(in crate::focus) fn pass_unwatched(&mut self) {
        if let Some(last) = self.departures.pop() {
            self.forgotten = last.revision;
            self.departures.clear();
        }
    }

    /// Departures that every subscriber has been told to the end need no memory.
    pub(in crate::focus) fn all_told_until(&mut self, buried: u64) {
        let told = self
            .departures
            .partition_point(|departure| departure.revision <= buried);
        self.departures.drain(..told);
    }

    /// Forgets the oldest of too many departures.
    pub(in crate::focus) fn bound(&mut self) {
        let excess = self.departures.len().saturating_sub(MAX_DEPARTURES);
        if let Some(last) = self.departures.drain(..excess).next_back() {
            self.forgotten = last.revision;
        }
    }
}
