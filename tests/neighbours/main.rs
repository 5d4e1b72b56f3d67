//! The module beside others: whatever a script does with a room's requests before it hands them
//! over, and whatever other modules attach to transactions, dialogs and messages, the room works
//! and nothing is left behind.

#[path = "../harness/mod.rs"]
mod harness;

mod events;
mod kamailio;
mod opensips;
mod overload;
mod races;
mod refresh;
mod sockets;
mod story;
