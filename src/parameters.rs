//! Modparams.
