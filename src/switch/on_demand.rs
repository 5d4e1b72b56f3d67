//! State that most sessions do not have.

/// A value that is mostly absent, and then takes only a pointer.
#[derive(Debug)]
pub(super) struct OnDemand<T>(Option<Box<T>>);

impl<T> Default for OnDemand<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Default> OnDemand<T> {
    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    pub(super) fn get_or_default(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    pub(super) fn take(&mut self) -> Option<T> {
        self.0.take().map(|value| *value)
    }

    /// Frees the memory if the value is no longer needed.
    pub(super) fn release_if(&mut self, is_unused: impl FnOnce(&T) -> bool) {
        self.0 = self.0.take().filter(|value| !is_unused(value));
    }
}
