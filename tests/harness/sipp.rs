//! SIPp, the load generator of Debian's package `sip-tester`.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::plan::{free_port, root};
use super::proxy::tail;

/// Runs `tests/sipp/<scenario>.xml` for `calls` calls at `rate` a second and asserts that
/// every one of them succeeded.
pub fn run(scenario: &str, proxy: SocketAddr, calls: u32, rate: u32) {
    run_with(scenario, proxy, calls, rate, &[]);
}

/// The same with more arguments.
pub fn run_with(scenario: &str, proxy: SocketAddr, calls: u32, rate: u32, more: &[&str]) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = root().join("tests/sipp").join(format!("{scenario}.xml"));
    let output = Command::new("sipp")
        .arg(proxy.to_string())
        .arg("-sf")
        .arg(&file)
        .args(["-i", "127.0.0.1", "-p", &free_port().to_string()])
        .args([
            "-m",
            &calls.to_string(),
            "-r",
            &rate.to_string(),
            "-l",
            &calls.to_string(),
        ])
        .args([
            "-nostdin",
            "-trace_err",
            "-trace_stat",
            "-timeout",
            "120s",
            "-timeout_error",
            "-cid_str",
            "%u-%p@%s",
        ])
        .args(more)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .expect("sipp (Debian package sip-tester)");
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = fs::read_dir(folder.path())
        .expect("folder")
        .flatten()
        .map(|entry| entry.path());
    let errors: String = errors
        .filter(|path| path.to_string_lossy().ends_with("_errors.log"))
        .map(|path| fs::read_to_string(path).unwrap_or_default())
        .collect();
    assert!(
        output.status.success(),
        "{scenario}: {}\n{}\n{}",
        output.status,
        tail(&screen, 60),
        tail(&errors, 20)
    );
}

/// SIPp as the called party.
pub struct Answering {
    process: Child,
    /// Its port.
    pub port: u16,
}

impl Answering {
    /// Answers this many calls by `tests/sipp/<scenario>.xml`.
    pub fn start(scenario: &str, calls: u32) -> Self {
        let port = free_port();
        let file = root().join("tests/sipp").join(format!("{scenario}.xml"));
        let process = Command::new("sipp")
            .arg("-sf")
            .arg(&file)
            .args(["-i", "127.0.0.1", "-p", &port.to_string()])
            .args(["-m", &calls.to_string(), "-nostdin", "-timeout", "120s"])
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("sipp (Debian package sip-tester)");
        Self { process, port }
    }

    /// Waits for the last call and asserts that all followed the scenario.
    pub fn finish(mut self) {
        let status = self.process.wait().expect("sipp");
        assert!(status.success(), "the called SIPp: {status}");
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
