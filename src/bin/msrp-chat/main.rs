//! `msrp-chat`: a terminal client for SIP chat rooms (RFC 4579, 4575, 4975, 7701).
//!
//! It shares `wire`, `time` and `entropy` with the server, nothing else, so that it tries
//! the server as a stranger would.

#![forbid(unsafe_code)]

mod chat;
mod cli;
mod failure;
mod input;
mod msrp;
mod offer;
mod roster;
mod screen;
mod sip;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("The system gives no event queue: {error}");
            return ExitCode::from(chat::Status::NotJoined as u8);
        }
    };
    let input = input::Input::open(arguments.json);
    let status = runtime.block_on(chat::run(arguments, input));
    ExitCode::from(status as u8)
}
