//! Messages on their way in: what of their heads is remembered, how their chunks are put
//! together, what disposition notifications say. Nothing here outlives a message, and nothing
//! here knows rooms or connections.

mod assembly;
mod code;
mod facts;
pub(super) mod imdn;
mod pieces;
mod pot;
mod window;

pub(super) use assembly::{Assemblies, Ending, Limits, Lost, Opening, Step, Whole};
pub(super) use code::Code;
pub(super) use facts::{Facts, OwnedFacts, TEXT_PLAIN};
pub(super) use pot::Pot;
pub(super) use window::Window;
