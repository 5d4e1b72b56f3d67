//! Management commands of an operator at run time: one table, from which both hosts' management
//! interfaces and `docs/management.md` are made.
//!
//! The face of a host hands the arguments over as they came ([`Call`]); here they are read
//! ([`Call::read`]), carried out on the focus ([`run`]) and answered by a [`Value`], which the
//! face turns into what its interface speaks. Nothing here touches a socket or a clock.
//! Management may do everything: who may reach it is the host's business.

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
