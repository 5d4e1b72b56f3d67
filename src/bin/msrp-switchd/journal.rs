//! The log on standard error, and notifications to systemd.

use std::env;
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread::{self, JoinHandle};

use crossbeam_channel::Receiver;
use msrp_conference::log::{Level, Line};
use nix::sys::stat::fstat;

/// The thread that writes the log.
pub(crate) struct Journal {
    writer: Option<JoinHandle<()>>,
}

impl Journal {
    /// Writes lines as long as any sender exists.
    pub(crate) fn start(lines: Receiver<Line>, most: Level) -> Self {
        let to_journal = is_journal();
        let write = move || {
            for line in lines.iter().filter(|line| line.level <= most) {
                // If this fails, there is nobody left to inform.
                let _ = writeln!(std::io::stderr(), "{}", shown(&line, to_journal));
            }
        };
        Self {
            writer: thread::Builder::new().spawn(write).ok(),
        }
    }

    /// Waits until everything is written; every sender must have been dropped.
    pub(crate) fn finish(self) {
        if let Some(writer) = self.writer {
            let _ = writer.join();
        }
    }
}

/// Whether standard error is the journal. systemd gives device and inode of the file it connected
/// to the journal (systemd.exec(5)); a child may have inherited the variable and not the file.
fn is_journal() -> bool {
    let stream = env::var("JOURNAL_STREAM").unwrap_or_default();
    fstat(std::io::stderr()).is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

/// A line for the journal, with the level in its form (sd-daemon(3)), or for people, with the level
/// in words. A line end in the text would begin a line of its own.
fn shown(line: &Line, to_journal: bool) -> String {
    let (number, word) = match line.level {
        Level::Error => (3, "error"),
        Level::Warning => (4, "warning"),
        Level::Notice => (5, "notice"),
        Level::Info => (6, "info"),
        Level::Debug => (7, "debug"),
    };
    let text = line.text.replace(['\r', '\n'], " ");
    if to_journal {
        format!("<{number}>{text}")
    } else {
        format!("{word}: {text}")
    }
}

/// Sends a notification (sd_notify(3)); does nothing without systemd.
pub(crate) fn tell_systemd(state: &str) {
    let Some(name) = env::var("NOTIFY_SOCKET").ok() else {
        return;
    };
    let address = match name.strip_prefix('@') {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name),
        None => SocketAddr::from_pathname(&name),
    };
    if let (Ok(socket), Ok(address)) = (UnixDatagram::unbound(), address) {
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_shown_in_words_or_for_the_journal() {
        let line = Line::new(Level::Warning, "a\nb");
        assert_eq!(shown(&line, false), "warning: a b");
        assert_eq!(shown(&line, true), "<4>a b");
    }
}
