//! Documents of a conference, written once and shared by all subscribers who get the same one.

use crate::focus::roster::view::{Seen, View};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::control::UserUri;
use crate::time::Moment;
use crate::wire::conference_info::{Template, UserElement};

/// Renderings kept at the same time. Subscribers in step need one or two per view; the rest is for
/// latecomers.
const MAX_RENDERINGS: usize = 16;
/// A subscriber who waited longer for their turn gets a newer document.
const MAX_AGE: Duration = Duration::from_secs(1);
/// Time unused documents are kept: a roster of ten thousand has megabytes.
pub(in crate::focus) const MAX_IDLE: Duration = Duration::from_secs(10);
/// Versions of a rendering kept with their octets: subscribers who came at the same time have the
/// same version numbers.
const MAX_VERSIONS: usize = 4;

/// Scope of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Scope {
    /// The full state.
    Full,
    /// The changes since then; no document without changes.
    Partial(Seen),
    /// The changes since then; a document even without changes.
    Beat(Seen),
}

/// The renderings of one conference.
#[derive(Debug, Default)]
pub(in crate::focus) struct DocumentCache {
    renderings: VecDeque<Rendering>,
    /// The last written elements of users.
    elements: Elements,
    /// When a document was last used.
    used: Moment,
    /// Renderings made so far.
    #[cfg(test)]
    pub(in crate::focus) made: usize,
}

/// One document without version.
#[derive(Debug)]
pub(in crate::focus) struct Rendering {
    view: View,
    pub(in crate::focus) scope: Scope,
    /// It includes changes up to this revision.
    pub(in crate::focus) revision: u64,
    made: Moment,
    /// `None` without changes to show.
    template: Option<Template>,
    /// Number of users in it.
    pub(in crate::focus) users: usize,
    bodies: Vec<(u32, Bytes)>,
}

impl DocumentCache {
    /// Takes out the document for a subscriber who should have got it at `due`: the present one, or
    /// one made since then. `write` makes it if there is none. A caller may take two out and lose
    /// neither to the limit.
    pub(in crate::focus) fn take(
        &mut self,
        view: &View,
        scope: Scope,
        revision: u64,
        (due, now): (Moment, Moment),
        write: impl FnOnce() -> Option<(Template, usize)>,
    ) -> Rendering {
        let is_meant = |known: &Rendering| known.scope == scope && known.view == *view;
        let at = self.renderings.iter().position(|known| {
            is_meant(known)
                && (known.revision == revision
                    || (known.made >= due && known.made + MAX_AGE >= now))
        });
        if let Some(known) = at.and_then(|at| self.renderings.remove(at)) {
            return known;
        }
        self.renderings.retain(|known| !is_meant(known));
        #[cfg(test)]
        {
            self.made += 1;
        }
        let (template, users) = write().unzip();
        Rendering {
            view: view.clone(),
            scope,
            revision,
            made: now,
            template,
            users: users.unwrap_or_default(),
            bodies: Vec::new(),
        }
    }

    /// Keeps a document for further subscribers; the one unused for longest gives way.
    pub(in crate::focus) fn keep(&mut self, rendering: Rendering) -> &mut Rendering {
        if self.renderings.len() >= MAX_RENDERINGS {
            self.renderings.pop_front();
        }
        self.renderings.push_back(rendering);
        let last = self.renderings.len() - 1;
        &mut self.renderings[last]
    }

    /// Takes out the elements to write a document from; the caller puts them back.
    pub(in crate::focus) fn take_elements(&mut self, now: Moment) -> Elements {
        self.used = now;
        std::mem::take(&mut self.elements)
    }

    /// Puts the elements back; drops those of users who have gone.
    pub(in crate::focus) fn put_back(
        &mut self,
        mut elements: Elements,
        is_in: impl Fn(&UserUri) -> bool,
        count: usize,
    ) {
        if elements.0.len() > count {
            elements.0.retain(|user, _| is_in(user));
        }
        self.elements = elements;
    }

    /// Drops everything if no document was used for a while; returns whether it did.
    pub(in crate::focus) fn forget_idle(&mut self, now: Moment) -> bool {
        let idle = self.used + MAX_IDLE <= now;
        if idle {
            *self = Self {
                #[cfg(test)]
                made: self.made,
                ..Self::default()
            };
        }
        idle
    }

    #[cfg(test)]
    pub(in crate::focus) fn is_empty(&self) -> bool {
        self.renderings.is_empty() && self.elements.0.is_empty()
    }

    /// No subscriber waits any more: keeps only the document that the next subscriber would get.
    pub(in crate::focus) fn settle(&mut self, revision: u64) {
        self.renderings
            .retain(|known| known.scope == Scope::Full && known.revision == revision);
        for known in &mut self.renderings {
            known.bodies = Vec::new();
        }
    }
}

impl Rendering {
    /// Octets of the document; 0 without changes to show.
    pub(in crate::focus) fn octets(&self) -> usize {
        self.template.as_ref().map_or(0, Template::octets)
    }

    /// The document with this version number.
    pub(in crate::focus) fn body(&mut self, version: u32) -> Option<Bytes> {
        if let Some((_, body)) = self.bodies.iter().find(|(known, _)| *known == version) {
            return Some(body.clone());
        }
        let body = Bytes::from(self.template.as_ref()?.with_version(version));
        if self.bodies.len() >= MAX_VERSIONS {
            self.bodies.remove(0);
        }
        self.bodies.push((version, body.clone()));
        Some(body)
    }
}

/// The last written elements of users, masked and unmasked, each with the revision of the user's
/// last change.
#[derive(Debug, Default)]
pub(in crate::focus) struct Elements(HashMap<UserUri, [Option<(u64, UserElement)>; 2]>);

impl Elements {
    /// The element of a user at this revision; `write` makes it if there is none.
    pub(in crate::focus) fn get(
        &mut self,
        user: &UserUri,
        revision: u64,
        unmasked: bool,
        write: impl FnOnce() -> UserElement,
    ) -> UserElement {
        let known = self.0.get(user);
        let known = known.and_then(|it| it[usize::from(unmasked)].as_ref());
        if let Some((changed, element)) = known
            && *changed == revision
        {
            return element.clone();
        }
        let element = write();
        let written = self.0.entry(user.clone()).or_default();
        written[usize::from(unmasked)] = Some((revision, element.clone()));
        element
    }
}
