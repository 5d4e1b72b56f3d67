//! A processing context around calls of tm and of the event interface.
//!
//! A worker has one while it handles a message, and the users of tm's callbacks (dialog, acc, rr)
//! store into it without a check. The conference process handles no message, so each of its calls
//! brings its own context: a shared one would carry the dialog of one call into the next.

use super::Core;

/// The current context, until dropped.
pub(super) struct Context<'a>(&'a Core);

impl<'a> Context<'a> {
    /// Pushes an empty context; `None` when the host has no memory for one.
    ///
    /// # Safety
    /// On the main thread of a process.
    pub(super) unsafe fn push(core: &'a Core) -> Option<Self> {
        // SAFETY: the core keeps the contexts of this process on a stack of its own.
        let pushed = unsafe { (core.push_context)() };
        (pushed > 0).then_some(Self(core))
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        // SAFETY: the context on top is the one pushed here: they are dropped in the order of
        // the blocks they stand in, on the thread that pushed them.
        unsafe { (self.0.pop_context)() };
    }
}
