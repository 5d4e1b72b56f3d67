//! Pools of shared values: equal values are on the heap only once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// Below this number of values the pool is not searched for unused ones.
const FEW: usize = 64;

/// Shared values. Unused values are dropped before the pool has doubled since the last search for
/// them.
#[derive(Debug)]
pub(super) struct Pool<T: ?Sized> {
    values: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self {
            values: HashSet::new(),
            sweep_at: FEW,
        }
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    /// Replaces this value by an equal one in the pool; adds it if there is none.
    pub(super) fn share(&mut self, value: &mut Arc<T>) {
        if let Some(known) = self.values.get(&**value) {
            *value = Arc::clone(known);
            return;
        }
        if self.values.len() >= self.sweep_at {
            self.sweep();
            self.sweep_at = FEW.max(self.values.len() * 2);
        }
        self.values.insert(Arc::clone(value));
    }

    fn sweep(&mut self) {
        self.values.retain(|value| Arc::strong_count(value) > 1);
        self.values.shrink_to(self.values.len() * 2);
    }

    /// Empties the pool.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Number of values, including unused ones.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_those_without_holders_go() {
        let mut pool = Pool::<str>::default();
        let (mut one, mut other): (Arc<str>, Arc<str>) = ("a".into(), "a".into());
        pool.share(&mut one);
        pool.share(&mut other);
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(pool.len(), 1);
        for number in 0..10_000 {
            pool.share(&mut number.to_string().into());
            assert!(pool.len() <= FEW);
        }
        let held = one.clone();
        pool.share(&mut one);
        assert!(Arc::ptr_eq(&one, &held), "somebody holds it");
    }
}
