//! Faults in a message's headers.

use std::fmt;

use super::harness::draft::Draft;
use super::harness::host::Family;

/// The headers that matter, each with an invalid value.
const HEADERS: [(&str, &str); 7] = [
    ("Via", ";;;"),
    ("From", "\"x <sip:>;tag=;;"),
    ("To", "<sip:x"),
    ("Call-ID", ", @ ,"),
    ("CSeq", "one of them"),
    ("Max-Forwards", "many"),
    ("Contact", "<<>>"),
];

/// Most faulty headers at a time.
const AT_MOST: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Missing,
    Empty,
    Unparsable,
}

/// Faulty headers, each with its fault.
#[derive(Clone, Default)]
pub(crate) struct Faults(Vec<(&'static str, Fault)>);

impl Faults {
    /// Every set of up to three, beginning with the empty one.
    pub(crate) fn all() -> Vec<Faults> {
        let mut sets = vec![Faults::default()];
        for (header, _) in HEADERS {
            let smaller = sets.iter().filter(|set| set.number() < AT_MOST);
            let larger: Vec<_> = [Fault::Missing, Fault::Empty, Fault::Unparsable]
                .into_iter()
                .flat_map(|fault| smaller.clone().map(move |set| set.and(header, fault)))
                .collect();
            sets.extend(larger);
        }
        sets
    }

    fn and(&self, header: &'static str, fault: Fault) -> Faults {
        Faults(self.0.iter().copied().chain([(header, fault)]).collect())
    }

    /// Number of faulty headers.
    pub(crate) fn number(&self) -> usize {
        self.0.len()
    }

    /// Whether this header is faulty.
    pub(crate) fn concern(&self, name: &str) -> bool {
        self.0.iter().any(|(header, _)| *header == name)
    }

    /// Whether this host's core drops such a request before any script gets it.
    pub(crate) fn are_the_cores(&self, family: Family) -> bool {
        self.0.iter().any(|(header, fault)| match *header {
            "Via" => true,
            "To" | "CSeq" if *fault != Fault::Missing => true,
            "From" | "To" | "Call-ID" | "CSeq" => {
                *fault == Fault::Missing && family == Family::Kamailio
            }
            _ => false,
        })
    }

    /// Whether such a request cannot create a dialog. (Any text is a valid Call-ID.)
    pub(crate) fn forbid_a_dialog(&self) -> bool {
        self.0.iter().any(|(header, fault)| match *header {
            "Call-ID" => *fault != Fault::Unparsable,
            "From" | "To" | "CSeq" => true,
            _ => false,
        })
    }

    /// The message with these faults.
    pub(crate) fn in_message(&self, draft: &Draft) -> Draft {
        self.0.iter().fold(draft.clone(), |draft, (name, fault)| {
            let unparsable = HEADERS.iter().find(|(header, _)| header == name);
            match fault {
                Fault::Missing => draft.without(name),
                Fault::Empty => draft.set(name, ""),
                Fault::Unparsable => draft.set(name, unparsable.expect("a header").1),
            }
        })
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().copied()).finish()
    }
}
