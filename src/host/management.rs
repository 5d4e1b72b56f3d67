//! Management commands, the same for both hosts: sends the command to the conference process, and
//! explains why when no answer comes.

use std::time::Duration;

use crate::bridge::{Bridge, QueryError};
use crate::management::{Answer, Argument, Call, Command, Fault};

/// Longest wait for an answer. Only a conference process that hangs takes so long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Carries a command out. In the process of the management interface, which waits.
pub(super) fn ask(bridge: &Bridge, command: Command, arguments: Vec<Argument>) -> Answer {
    let call = Call { command, arguments };
    // Invalid arguments need no query.
    call.read()?;
    bridge.query(&call, ANSWER_TIMEOUT).unwrap_or_else(|error| {
        let code = match error {
            QueryError::Busy | QueryError::Inside => 503,
            QueryError::Silent => 504,
            QueryError::TooLong => 400,
            QueryError::System(_) => 500,
        };
        Err(Fault::new(code, error))
    })
}
