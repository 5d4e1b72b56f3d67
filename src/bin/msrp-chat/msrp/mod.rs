//! The chat stream: a pure session and the connection that carries it.

mod assembly;
mod certificate;
pub(crate) mod connection;
mod session;
mod tls;
mod websocket;

pub(crate) use certificate::Certificate;
pub(crate) use session::{Happening, Received, Session, same_address};
pub(crate) use tls::{ENCRYPT, Trust};
