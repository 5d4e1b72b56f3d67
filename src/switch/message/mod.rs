//! Messages: the stored part of a request's head, assembly of chunks, disposition notifications,
//! and messages on their way. Nothing here knows rooms or connections.

pub(in crate::switch) mod assembly;
pub(in crate::switch) mod budget;
pub(in crate::switch) mod code;
pub(in crate::switch) mod copy_headers;
pub(in crate::switch) mod entry;
pub(in crate::switch) mod imdn;
pub(in crate::switch) mod plain_text;
pub(in crate::switch) mod request_head;
pub(in crate::switch) mod stream_buffer;
pub(in crate::switch) mod utterance;
