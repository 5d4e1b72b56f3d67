//! Messages: what of a request's head is remembered, how chunks are put together, what
//! disposition notifications say, what is passed on. Nothing here knows rooms or connections.

mod assembly;
mod budget;
mod code;
pub(super) mod entry;
pub(super) mod imdn;
pub(super) mod plain_text;
mod request_head;
mod stream_buffer;

pub(super) use assembly::{Assemblies, Ending, Limits, Lost, Opening, Step, Whole};
pub(super) use budget::Budget;
pub(super) use code::Code;
pub(super) use request_head::{KeptHead, RequestHead, TEXT_PLAIN};
pub(super) use stream_buffer::StreamBuffer;
