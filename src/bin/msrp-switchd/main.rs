//! `msrp-switchd`: the MSRP switch as a process of its own, so that participants' connections and
//! conversations survive a restart or a crash of the proxy.
//!
//! The same code as in the module: `net::Pool` with `remote::serve` around it. This program adds
//! only the command line, the control socket's file, the log, signals and privileges.

#![forbid(unsafe_code)]

mod journal;
mod options;
mod privileges;
mod socket;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::Parser;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use msrp_conference::control::SwitchRun;
use msrp_conference::entropy;
use msrp_conference::log::{Level, Line};
use msrp_conference::net::{self, Listeners, Pool};
use msrp_conference::remote;
use nix::sys::signal::{SigSet, Signal};

use journal::Journal;
use options::Arguments;
use privileges::Identity;
use socket::ControlSocket;

/// Why the program does not start, in one line for the operator.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Options(#[from] options::OptionError),
    #[error(transparent)]
    Identity(#[from] privileges::IdentityError),
    #[error(transparent)]
    Switch(#[from] net::StartError),
    #[error(transparent)]
    Socket(#[from] socket::SocketError),
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    #[error("cannot serve the control socket: {0}")]
    Serve(std::io::Error),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Before any thread starts: all of them inherit the mask.
    let signals = block_signals();
    let (log, lines) = unbounded();
    let journal = Journal::start(lines, arguments.log_level);
    let outcome = signals.and_then(|signals| run(&arguments, signals, log.clone()));
    if let Err(failure) = &outcome {
        let _ = log.send(Line::new(Level::Error, failure));
    }
    drop(log);
    journal.finish();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(arguments: &Arguments, signals: SigSet, log: Sender<Line>) -> Result<(), Failure> {
    let config = arguments.switch()?;
    let identity = Identity::find(arguments.user.as_deref(), arguments.group.as_deref())?;
    let stop = on_signal(signals)?;
    socket::check(&arguments.socket)?;
    let (notices, received) = unbounded();
    // Root does only what needs root. The switch serves nobody before it has given root up. The
    // later user also reads the certificate, as they will have to read it again.
    let listeners = Listeners::bind(&config.listen)?;
    let socket = ControlSocket::bind(&arguments.socket, arguments.socket_mode, &identity)?;
    identity.assume()?;
    // The serving loop waits for the notices itself.
    let pool = Pool::serve(config, listeners, notices, log.clone(), Arc::new(|| ()))?;
    if identity.is_root() {
        let text = "runs as root; --user names somebody with fewer rights";
        let _ = log.send(Line::new(Level::Warning, text));
    }
    let listens: Vec<_> = pool.addresses().iter().map(ToString::to_string).collect();
    let text = format!(
        "msrp-switchd {}: listening for MSRP on {}, control socket {}",
        env!("CARGO_PKG_VERSION"),
        listens.join(", "),
        arguments.socket.display()
    );
    let _ = log.send(Line::new(Level::Notice, text));
    journal::tell_systemd("READY=1");
    let options = remote::Options {
        run: SwitchRun::new(&mut entropy::System),
        orphan_timeout: arguments.orphan_timeout(),
    };
    let listener = socket.listener().map_err(Failure::Serve)?;
    remote::serve(listener, pool, &received, log.clone(), &stop, options)
        .map_err(Failure::Serve)?;
    let _ = log.send(Line::new(Level::Notice, "msrp-switchd has stopped"));
    Ok(())
}

/// Blocks SIGTERM and SIGINT, for the signal thread to take.
fn block_signals() -> Result<SigSet, Failure> {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    let blocked = signals.thread_block();
    blocked.map_err(|error| Failure::Signals(error.into()))?;
    Ok(signals)
}

/// The receiver gets one item when SIGTERM or SIGINT arrives.
fn on_signal(signals: SigSet) -> Result<Receiver<()>, Failure> {
    let (stop, stopped) = bounded(1);
    let wait = move || {
        let _ = signals.wait();
        journal::tell_systemd("STOPPING=1");
        let _ = stop.send(());
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .map_err(Failure::Signals)?;
    Ok(stopped)
}
