//! Management commands of an operator at run time: one table, from which both hosts' management
//! interfaces and `docs/management.md` are made.
//!
//! Each host's interface hands the arguments over as they came ([`Call`]). [`Call::read`] validates
//! them, [`run`] carries the command out on the focus, and the interface converts the resulting
//! [`Value`] into its own form. This folder touches no socket and no clock. Management may do
//! everything: the host decides who may reach it.

mod action;
mod answer;
mod arguments;
mod render;
mod table;

pub use action::{Action, needs, run, statistics};
pub use answer::{Answer, Fault, MAX_FAULT, Value};
pub use arguments::{Argument, Call, Page};
pub use table::{
    COMMANDS, Command, CommandInfo, CommandParameter, DEFAULT_LIMIT, MAX_LIMIT, MAX_SAID, markdown,
};

#[cfg(test)]
mod tests;
