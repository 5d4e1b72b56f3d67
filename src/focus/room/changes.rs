//! Changes of a conference that subscribers must see: revision numbers, which only grow, and
//! departures, in order.

use crate::focus::room::participant::Departure;

/// Departures kept for subscribers who are behind. A subscriber who missed more gets a full
/// document, which is shorter.
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

    /// Marks the last change as one that needs a full document: the set of listed users changed.
    pub(in crate::focus) fn reshape(&mut self) {
        self.reshaped = self.revision;
    }

    /// The revision of the last change that needs a full document.
    pub(in crate::focus) fn reshaped(&self) -> u64 {
        self.reshaped
    }

    /// Marks the last change as a change of a role.
    pub(in crate::focus) fn recast(&mut self) {
        self.recast = self.revision;
    }

    /// The revision of the last change of a role.
    pub(in crate::focus) fn last_recast(&self) -> u64 {
        self.recast
    }

    /// Marks the last change as a change of the description.
    pub(in crate::focus) fn describe(&mut self) {
        self.described = self.revision;
    }

    /// The revision of the last change of the description.
    pub(in crate::focus) fn described(&self) -> u64 {
        self.described
    }

    /// Adds the departure that the last change caused.
    pub(in crate::focus) fn depart(&mut self, departure: Departure) {
        self.departures.push(departure);
    }

    /// Departures that some subscriber has not fully seen.
    pub(in crate::focus) fn departures(&self) -> &[Departure] {
        &self.departures
    }

    /// Departures up to this revision are no longer kept.
    pub(in crate::focus) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Forgets all departures, so that subscribers learn of them by a full document only.
    pub(in crate::focus) fn forget_departures(&mut self) {
        self.forgotten = self.revision;
        self.departures.clear();
    }

    /// Forgets all departures while there is no subscriber. A subscriber who gets a document from
    /// just before must get a full one next: a partial one would lack these departures.
    pub(in crate::focus) fn pass_unwatched(&mut self) {
        if let Some(last) = self.departures.pop() {
            self.forgotten = last.revision;
            self.departures.clear();
        }
    }

    /// Drops departures that every subscriber has fully seen.
    pub(in crate::focus) fn all_told_until(&mut self, buried: u64) {
        let told = self
            .departures
            .partition_point(|departure| departure.revision <= buried);
        self.departures.drain(..told);
    }

    /// Drops the oldest departures above the limit.
    pub(in crate::focus) fn bound(&mut self) {
        let excess = self.departures.len().saturating_sub(MAX_DEPARTURES);
        if let Some(last) = self.departures.drain(..excess).next_back() {
            self.forgotten = last.revision;
        }
    }
}
