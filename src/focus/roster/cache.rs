//! Documents of a conference, written once and shared by everybody who gets the same one.

use crate::focus::roster::view::{Seen, View};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::control::UserUri;
use crate::time::Moment;
use crate::wire::conference_info::{Template, UserElement};

/// Renderings kept at the same time. Subscribers in step need one or two a view; the rest is
/// for those who came lately.
const MAX_RENDERINGS: usize = 16;
/// Who waited long for a turn gets something newer.
const MAX_AGE: Duration = Duration::from_secs(1);
/// How long documents are kept that nobody was given: a roster of ten thousand has megabytes.
pub(in crate::focus) const MAX_IDLE: Duration = Duration::from_secs(10);
/// Versions of a rendering kept with their octets: subscribers who came at the same time
/// count alike.
const MAX_VERSIONS: usize = 4;

/// What a document tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Scope {
    /// Everything.
    Full,
    /// What has changed since; no document if nothing has.
    Partial(Seen),
    /// What has changed since, even if it is nothing.
    Beat(Seen),
}

/// The renderings of one conference.
#[derive(Debug, Default)]
pub(in crate::focus) struct DocumentCache {
    renderings: VecDeque<Rendering>,
    /// The elements of users as they were written last.
    elements: Elements,
    /// When somebody was given a document last.
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
    /// It tells changes up to this one.
    pub(in crate::focus) revision: u64,
    made: Moment,
    /// `None`: there is nothing to tell.
    template: Option<Template>,
    /// How many users stand in it.
    pub(in crate::focus) users: usize,
    bodies: Vec<(u32, Bytes)>,
}

impl DocumentCache {
    /// Takes out the document for somebody who should have got it at `due`: the present one,
    /// or one made since then. Made by `write` when there is none. Holding two of them loses
    /// neither to the bound.
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

    /// Keeps a document for the next one who gets the same; the one that was wanted longest
    /// ago gives way.
    pub(in crate::focus) fn keep(&mut self, rendering: Rendering) -> &mut Rendering {
        if self.renderings.len() >= MAX_RENDERINGS {
            self.renderings.pop_front();
        }
        self.renderings.push_back(rendering);
        let last = self.renderings.len() - 1;
        &mut self.renderings[last]
    }

    /// Somebody is given a document now: the elements to write it from, until they are put back.
    pub(in crate::focus) fn take_elements(&mut self, now: Moment) -> Elements {
        self.used = now;
        std::mem::take(&mut self.elements)
    }

    /// Elements of users who have gone are of no use.
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

    /// Forgets everything if nobody was given a document for a while.
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

    /// Nobody waits any more: only what the next subscriber would get is worth its room.
    pub(in crate::focus) fn settle(&mut self, revision: u64) {
        self.renderings
            .retain(|known| known.scope == Scope::Full && known.revision == revision);
        for known in &mut self.renderings {
            known.bodies = Vec::new();
        }
    }
}

impl Rendering {
    /// Octets of the document; 0 when there is nothing to tell.
    pub(in crate::focus) fn octets(&self) -> usize {
        self.template.as_ref().map_or(0, Template::octets)
    }

    /// The document with this version.
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

/// The elements of users as they were written last, masked and unmasked, each with the revision
/// of the user's last change.
#[derive(Debug, Default)]
pub(in crate::focus) struct Elements(HashMap<UserUri, [Option<(u64, UserElement)>; 2]>);

impl Elements {
    /// The element of a user as of this revision; made by `write` when there is none.
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
