//! A map that remembers entries that may have changed. Every access to change an entry marks it, so
//! that no change of stored state can be missed.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::hash::{DefaultHasher, Hash, Hasher};
#[cfg(test)]
use std::ops::Index;

/// The map. A look-up takes logarithmic time; iteration is in the order of the keys.
#[derive(Debug)]
pub(super) struct DirtyMap<K, V> {
    /// In boxes, because the nodes of the tree are half empty.
    entries: BTreeMap<K, Box<Entry<V>>>,
    touched: BTreeSet<K>,
    removed: BTreeSet<K>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    /// A digest of the entry's last stored form; 0 if it is not stored. The chance of 2^-64 to miss
    /// a change is smaller than that of a disk to lose it.
    kept: u64,
}

/// A change of a stored entry.
pub(super) enum News<K, R> {
    /// Its new stored form.
    Put(R),
    /// It was removed.
    Gone(K),
}

impl<K, V> Default for DirtyMap<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            touched: BTreeSet::new(),
            removed: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone, V> DirtyMap<K, V> {
    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|it| &it.value)
    }

    /// The entry; marks it as changed.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let found = self.entries.get_mut(key)?;
        if !self.touched.contains(key) {
            self.touched.insert(key.clone());
        }
        Some(&mut found.value)
    }

    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.touched.insert(key.clone());
        match self.entries.entry(key) {
            btree_map::Entry::Occupied(mut known) => {
                Some(std::mem::replace(&mut known.get_mut().value, value))
            }
            btree_map::Entry::Vacant(place) => {
                place.insert(Box::new(Entry { value, kept: 0 }));
                None
            }
        }
    }

    /// The entry of this key, created if there is none.
    pub(super) fn get_or_insert_with(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        self.touched.insert(key.clone());
        let entry = self.entries.entry(key.clone());
        let entry = entry.or_insert_with(|| {
            let value = make();
            Box::new(Entry { value, kept: 0 })
        });
        &mut entry.value
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let removed = self.entries.remove(key)?;
        self.touched.insert(key.clone());
        if removed.kept != 0 {
            self.removed.insert(key.clone());
        }
        Some(removed.value)
    }

    pub(super) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.entries.contains_key(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// The entries, for changes that are not stored.
    pub(super) fn iter_mut_unmarked(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let entries = self.entries.iter_mut();
        entries.map(|(key, entry)| (key, &mut entry.value))
    }

    /// The entry, for changes that are not stored.
    pub(super) fn get_unmarked(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|it| &mut it.value)
    }

    pub(super) fn into_entries(self) -> impl Iterator<Item = (K, V)> {
        let entries = self.entries.into_iter();
        entries.map(|(key, entry)| (key, entry.value))
    }

    pub(super) fn keys(&self) -> impl ExactSizeIterator<Item = &K> {
        self.entries.keys()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|it| &it.value)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Marks every entry as not yet stored.
    pub(super) fn forget_kept(&mut self) {
        for entry in self.entries.values_mut() {
            entry.kept = 0;
        }
        self.removed.clear();
        self.touched = self.entries.keys().cloned().collect();
    }

    /// Marks every entry.
    pub(super) fn touch_all(&mut self) {
        self.touched = self.entries.keys().cloned().collect();
    }

    /// Notes the stored form of an entry; one that is missing here will be deleted there.
    pub(super) fn kept_as(&mut self, key: K, record: &impl Hash) {
        match self.entries.get_mut(&key) {
            Some(entry) => entry.kept = digest(record),
            None => {
                self.removed.insert(key);
            }
        }
    }

    /// The keys of the entries that may have changed since the last [`DirtyMap::news`].
    pub(super) fn touched(&self) -> impl Iterator<Item = &K> {
        self.touched.iter()
    }

    /// The actual changes since the last call, removals first. `record` makes the stored form of an
    /// entry; `None` for one that is not stored (yet).
    pub(super) fn news<R: Hash>(
        &mut self,
        mut record: impl FnMut(&K, &V) -> Option<R>,
    ) -> Vec<News<K, R>> {
        let removed = std::mem::take(&mut self.removed);
        let mut news: Vec<_> = removed.into_iter().map(News::Gone).collect();
        for key in std::mem::take(&mut self.touched) {
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            let record = record(&key, &entry.value);
            let now = record.as_ref().map_or(0, digest);
            let before = std::mem::replace(&mut entry.kept, now);
            match record {
                Some(record) if before != now => news.push(News::Put(record)),
                None if before != 0 => news.push(News::Gone(key)),
                _ => {}
            }
        }
        news
    }
}

#[cfg(test)]
impl<K: Ord + Borrow<Q>, Q: Ord + ?Sized, V> Index<&Q> for DirtyMap<K, V> {
    type Output = V;
    fn index(&self, key: &Q) -> &V {
        &self.entries[key].value
    }
}

fn digest(record: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.hash(&mut hasher);
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(map: &mut DirtyMap<u8, (u8, u8)>) -> String {
        // Only the first number is stored, and only when it is not zero.
        let news = map.news(|key, (kept, _)| (*kept != 0).then_some((*key, *kept)));
        let lines = news.iter().map(|one| match one {
            News::Put((key, value)) => format!("{key}={value}"),
            News::Gone(key) => format!("{key}-"),
        });
        lines.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_what_has_changed_is_news() {
        let mut map = DirtyMap::default();
        map.insert(1, (5, 0));
        map.insert(2, (0, 0));
        assert_eq!(news(&mut map), "1=5");
        assert_eq!(news(&mut map), "");
        map.get_mut(&1).expect("it").1 = 9;
        assert_eq!(news(&mut map), "", "touched, but the same");
        map.get_mut(&2).expect("it").0 = 7;
        map.get_mut(&1).expect("it").0 = 0;
        assert_eq!(news(&mut map), "1- 2=7");
        map.remove(&2);
        map.insert(2, (7, 0));
        assert_eq!(news(&mut map), "2- 2=7", "another one under the same key");
        map.remove(&1);
        assert_eq!(news(&mut map), "", "it was not kept");
        map.forget_kept();
        assert_eq!(news(&mut map), "2=7");
    }
}
