//! The primitives under `ready` and `eviction`, which `model` replaces by loom's.

pub(super) use std::sync::atomic::AtomicBool;
pub(super) use std::sync::{Mutex, MutexGuard};
