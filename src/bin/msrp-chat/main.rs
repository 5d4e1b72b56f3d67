//! `msrp-chat`: a terminal client for SIP chat rooms (RFC 4579, 4575, 4975, 7701), and operator's
//! tools built on it.
//!
//! It shares only `wire`, `time` and `entropy` with the server, so that it tests the server as an
//! independent client would.

#![forbid(unsafe_code)]

mod call;
mod chat;
mod check;
mod cli;
mod failure;
mod input;
mod load;
mod manual;
mod msrp;
mod offer;
mod participant;
mod roster;
mod screen;
mod sip;

use cli::{CommandLine, Tool};
use std::future::Future;
use std::process::ExitCode;

fn main() -> ExitCode {
    match CommandLine::read(std::env::args_os()) {
        Ok(CommandLine::Chat(arguments)) => {
            let input = input::Input::open(arguments.json);
            block_on(async { ExitCode::from(chat::run(*arguments, input).await as u8) })
        }
        Ok(CommandLine::Tool(tool)) => match *tool {
            Tool::Check(arguments) => block_on(check::run(arguments)),
            Tool::Load(arguments) => block_on(load::run(arguments)),
            Tool::Completions { shell } => manual::completions(shell),
            Tool::Man { tool } => manual::page(tool.as_deref()),
        },
        Err(error) if error.use_stderr() && as_a_plugin() => {
            // Nothing may have been printed to standard output by then (UNKNOWN).
            println!("CHAT UNKNOWN - {}", error.kind());
            let _ = error.print();
            ExitCode::from(check::UNKNOWN)
        }
        // --help and --version too; the exit status is the error's own.
        Err(error) => error.exit(),
    }
}

/// Whether a monitoring system reads the exit status, in which 2 is an outage.
fn as_a_plugin() -> bool {
    std::env::args_os().any(|argument| argument == "--nagios")
}

fn block_on(program: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(program),
        Err(error) => {
            eprintln!("The system gives no event queue: {error}");
            ExitCode::from(chat::Status::NotJoined as u8)
        }
    }
}
