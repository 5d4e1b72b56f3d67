//! Messages: what of a request's head is remembered, how chunks are put together, what
//! disposition notifications say, what is passed on. Nothing here knows rooms or connections.

pub(crate) mod assembly;
pub(crate) mod budget;
pub(crate) mod code;
pub(crate) mod copy_headers;
pub(crate) mod entry;
pub(crate) mod imdn;
pub(crate) mod pieces;
pub(crate) mod plain_text;
pub(crate) mod request_head;
pub(crate) mod stream_buffer;
