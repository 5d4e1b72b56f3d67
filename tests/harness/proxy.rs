//! One running proxy with the module in it.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PATIENCE;
use super::agent::unique;
use super::host::{Family, Host};
use super::mailbox::Mailbox;
use super::plan::{self, Plan, command, module};

/// Longest time for one try at a starting proxy.
const ONE_TRY: Duration = Duration::from_millis(200);

/// Texts that neither host may ever log. The exceptions are Kamailio's own: it logs them in
/// `receive_fd` at every stop, in `local_timer_run` at a start on a busy machine, and for responses
/// with a code below 100.
const ALARMS: [&str; 5] = [
    "CRITICAL",
    "BUG",
    "panicked",
    "segfault",
    "core was generated",
];
const HOSTS_OWN_NOISE: [&str; 3] = ["pass_fd.c", "local_timer.c", "whether to relay"];

/// A running proxy. Dropping it kills it with all its processes.
pub struct Proxy {
    /// The host.
    pub host: Host,
    /// Its SIP socket, UDP and TCP.
    pub sip: SocketAddr,
    /// Its MSRP listener.
    pub msrp: SocketAddr,
    /// Its main process.
    pub pid: u32,
    folder: PathBuf,
    plan: Plan,
    lines: Arc<Mutex<String>>,
    /// Closes when the last process that could write to the log has ended.
    logged: Arc<Mailbox<()>>,
    ended: Arc<Mailbox<ExitStatus>>,
    watchdog: Child,
    over: bool,
}

impl Proxy {
    pub(super) fn spawn(plan: Plan) -> Self {
        // Survives its owner, so that a failure can be examined.
        let folder = tempfile::Builder::new()
            .prefix("msrp-conference-")
            .tempdir();
        let folder = folder.expect("temporary folder").keep();
        let file = plan.module.clone().unwrap_or_else(module);
        std::os::unix::fs::symlink(file, folder.join("msrp_conference.so")).expect("link");
        if let Some((user, group)) = &plan.runs_as {
            give(&folder, user, group);
        }
        let configuration = folder.join("proxy.cfg");
        fs::write(&configuration, plan.configuration(&folder)).expect("configuration");
        let mut command = command(&plan, &configuration, &folder);
        if let Some(system_call) = plan.forbidden {
            plan::forbid(&mut command, system_call);
        }
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", plan.host.name));
        let lines = Arc::new(Mutex::new(String::new()));
        let log = child.stderr.take().expect("a pipe");
        let (written, copy) = (Arc::clone(&lines), folder.join("log"));
        let logged = Arc::new(Mailbox::new());
        let log_end = Arc::clone(&logged);
        thread::spawn(move || {
            read_log(log, &written, &copy);
            log_end.close();
        });
        let (pid, ended) = (child.id(), Arc::new(Mailbox::new()));
        let watchdog = watchdog(pid, &folder);
        let end = Arc::clone(&ended);
        thread::spawn(move || end.push(child.wait().expect("wait")));
        let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let (sip, msrp, host) = (local(plan.sip), local(plan.msrp), plan.host.clone());
        Self {
            host,
            sip,
            msrp,
            pid,
            folder,
            plan,
            lines,
            logged,
            ended,
            watchdog,
            over: false,
        }
    }

    /// An answer to OPTIONS shows that the workers run; a connection closed after invalid input
    /// shows that the MSRP port is served. The TCP processes start last, and Kamailio loses a
    /// SIGTERM before that.
    pub(super) fn await_readiness(&self) {
        let ready = wait_until(PATIENCE, || {
            let host = &self.host.name;
            assert!(self.lives(), "{host} stopped at once:\n{}", self.log());
            self.answers_by_udp().is_ok()
                && self.answers_by_tcp().is_ok()
                && self.minds_msrp().is_ok()
                && self.folder.join("control").exists()
        });
        let host = &self.host.name;
        assert!(ready, "{host} does not become ready:\n{}", self.log());
    }

    fn answers_by_udp(&self) -> io::Result<usize> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(ONE_TRY))?;
        socket.send_to(
            self.options("UDP", socket.local_addr()?).as_bytes(),
            self.sip,
        )?;
        socket.recv(&mut [0; 4096])
    }

    fn answers_by_tcp(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.sip)?;
        stream.set_read_timeout(Some(ONE_TRY))?;
        stream.write_all(self.options("TCP", stream.local_addr()?).as_bytes())?;
        stream.read_exact(&mut [0; 7])
    }

    fn minds_msrp(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.msrp)?;
        stream.set_read_timeout(Some(ONE_TRY))?;
        stream.write_all(b"nonsense\r\n")?;
        // An alert, if it is a TLS port.
        stream.read_to_end(&mut Vec::new()).map(drop)
    }

    fn options(&self, transport: &str, from: SocketAddr) -> String {
        let (sip, id) = (self.sip, unique());
        format!(
            "OPTIONS sip:ready@{sip} SIP/2.0\r\nVia: SIP/2.0/{transport} {from};branch=z9hG4bK{id}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:ready@{from}>;tag=r\r\nTo: <sip:ready@{sip}>\r\n\
             Call-ID: {id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
    }

    /// Stops it by SIGTERM and asserts that nothing is left and nothing alarming was logged.
    pub fn stop(mut self) {
        self.assert_quiet_log();
        self.signal(self.pid, "TERM");
        let status = self.exit(PATIENCE);
        let (host, left) = (&self.host.name, self.living());
        assert!(
            status.is_some(),
            "{host} does not stop on SIGTERM: {left}\n{}",
            self.log()
        );
        self.assert_gone();
        self.assert_quiet_log();
        self.over = true;
    }

    /// Kills all its processes at once.
    pub fn kill_all(&self) {
        let pids: Vec<String> = self.processes().iter().map(u32::to_string).collect();
        // A process may have ended meanwhile.
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -KILL {}", pids.join(" "))])
            .stderr(Stdio::null())
            .status()
            .expect("sh");
        self.assert_gone();
    }

    /// Starts the same configuration again, on the same ports.
    pub fn restart(mut self) -> Proxy {
        self.over = true;
        self.plan.clone().start()
    }

    /// Whether its main process still runs.
    pub fn lives(&self) -> bool {
        self.ended.count(|_| true) == 0
    }

    /// Waits for its main process to end.
    pub fn exit(&self, patience: Duration) -> Option<ExitStatus> {
        self.ended.take(patience, |_| true)
    }

    /// Everything it logged until its end.
    pub fn whole_log(&self) -> String {
        assert!(
            self.logged.closes(PATIENCE),
            "{} still logs",
            self.host.name
        );
        self.log()
    }

    /// Asserts that no process of it lives.
    pub fn assert_gone(&self) {
        let gone = wait_until(PATIENCE, || self.processes().is_empty());
        assert!(
            gone,
            "{} left processes behind: {:?}\n{}",
            self.host.name,
            self.processes(),
            self.log()
        );
    }

    /// Asserts that the log holds nothing alarming.
    pub fn assert_quiet_log(&self) {
        let log = self.log();
        let alarm = log.lines().find(|line| {
            ALARMS.iter().any(|word| line.contains(word))
                && !HOSTS_OWN_NOISE.iter().any(|noise| line.contains(noise))
        });
        assert!(
            alarm.is_none(),
            "{} logged: {}",
            self.host.name,
            alarm.unwrap_or_default()
        );
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.lines.lock().unwrap().clone()
    }

    /// Sends a signal by name.
    pub fn signal(&self, pid: u32, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status()
            .expect("sh");
        assert!(sent.success(), "kill -{name} {pid}");
    }

    /// The ids of all its living processes, including orphans: those started with its
    /// configuration.
    pub fn processes(&self) -> Vec<u32> {
        let mark = self
            .folder
            .join("proxy.cfg")
            .into_os_string()
            .into_encoded_bytes();
        let all = fs::read_dir("/proc").expect("/proc").flatten();
        let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        ids.filter(|id| {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            line.windows(mark.len()).any(|part| part == mark)
        })
        .collect()
    }

    /// State of its processes.
    fn living(&self) -> String {
        let told = self.processes().into_iter().map(|id| {
            let part =
                |name: &str| fs::read_to_string(format!("/proc/{id}/{name}")).unwrap_or_default();
            let status = part("status");
            let wanted = ["State:", "SigBlk:", "SigIgn:", "SigCgt:", "ShdPnd:"];
            let lines = status
                .lines()
                .filter(|line| wanted.iter().any(|name| line.starts_with(name)));
            format!(
                "{id} in {}: {}",
                part("wchan"),
                lines.collect::<Vec<_>>().join(" ")
            )
        });
        told.collect::<Vec<_>>().join(", ")
    }

    /// The process the module registered.
    pub fn conference_process(&self) -> u32 {
        let (method, list, id, name) = match self.host.family {
            Family::Kamailio => ("core.psx", "", "PID", "DSC"),
            Family::OpenSips => ("ps", "Processes", "PID", "Type"),
        };
        let answer = self.call(method, json!([]));
        let all = if list.is_empty() {
            &answer
        } else {
            &answer[list]
        };
        let found = all
            .as_array()
            .into_iter()
            .flatten()
            .find(|process| process[name] == "MSRP conference");
        let pid = found.and_then(|process| process[id].as_u64());
        u32::try_from(pid.unwrap_or_else(|| panic!("no \"MSRP conference\" in {answer}")))
            .expect("a process id")
    }

    /// A statistic of the module.
    pub fn statistic(&self, name: &str) -> u64 {
        match self.host.family {
            Family::Kamailio => number(
                &self.call("cnt.grp_get_all", json!(["msrp_conference"]))[name],
                name,
            ),
            Family::OpenSips => self.opensips_statistic(&format!("msrp_conference:{name}")),
        }
    }

    /// Octets of shared memory in use.
    pub fn shared_memory(&self) -> u64 {
        match self.host.family {
            Family::Kamailio => number(&self.call("core.shmmem", json!([]))["used"], "used"),
            Family::OpenSips => self.opensips_statistic("shmem:used_size"),
        }
    }

    /// Transactions that tm holds, including those waiting to be freed.
    pub fn transactions(&self) -> u64 {
        match self.host.family {
            Family::Kamailio => {
                let stats = self.call("tm.stats", json!([]));
                number(&stats["created"], "created") - number(&stats["freed"], "freed")
            }
            Family::OpenSips => self.opensips_statistic("tm:inuse_transactions"),
        }
    }

    /// `name` is `group:statistic`; OpenSIPS answers by group.
    fn opensips_statistic(&self, name: &str) -> u64 {
        let group = &name[..=name.find(':').expect("a group")];
        let all = self.call("get_statistics", json!({ "statistics": [group] }));
        number(&all[name], name)
    }

    /// Runs one management command; returns its result.
    pub fn call(&self, method: &str, parameters: Value) -> Value {
        self.try_call(method, parameters)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// A file in its folder, which replaces `/tmp/` and [`FOLDER`](super::plan::FOLDER) in its
    /// configuration.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs one management command; returns its result, or the error object.
    ///
    /// # Errors
    /// The command failed.
    pub fn try_call(&self, method: &str, parameters: Value) -> Result<Value, Value> {
        let own = self.folder.join(format!("ask-{}", unique()));
        let socket = UnixDatagram::bind(&own).expect("bind");
        // Allows every user the proxy may run as.
        fs::set_permissions(&own, Permissions::from_mode(0o777)).expect("own file");
        socket.set_read_timeout(Some(PATIENCE)).expect("time-out");
        let mut request = json!({ "jsonrpc": "2.0", "id": 1, "method": method });
        if parameters.as_array().is_none_or(|list| !list.is_empty()) {
            request["params"] = parameters;
        }
        socket
            .send_to(request.to_string().as_bytes(), self.folder.join("control"))
            .expect("management socket");
        let mut buffer = vec![0; 65_536];
        let length = socket
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("{method} is not answered: {error}"));
        let _ = fs::remove_file(own);
        let mut answer: Value = serde_json::from_slice(&buffer[..length]).expect("JSON");
        match answer.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(answer["result"].take()),
        }
    }

    /// A room's URI in the form of a client.
    pub fn room(&self, name: &str) -> String {
        format!("sip:{name}@127.0.0.1:{}", self.sip.port())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        for pid in self.processes() {
            // It may have gone meanwhile.
            let _ = Command::new("sh")
                .args(["-c", &format!("kill -KILL {pid} 2>/dev/null")])
                .status();
        }
        if thread::panicking() && !self.over {
            eprintln!(
                "--- log of {} ({})\n{}",
                self.host.name,
                self.folder.display(),
                tail(&self.log(), 40)
            );
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Changes the owner of a file.
pub fn give(file: &Path, user: &str, group: &str) {
    let done = Command::new("chown")
        .arg(format!("{user}:{group}"))
        .arg(file)
        .status();
    assert!(done.expect("chown").success(), "{}", file.display());
}

/// Stops the proxy if this process ends without doing so (Ctrl-C): its input closes then.
fn watchdog(pid: u32, folder: &Path) -> Child {
    let script = format!(
        "cat >/dev/null; kill -TERM {pid}; rm -rf '{}'",
        folder.display()
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    shell.process_group(0).spawn().expect("sh")
}

fn read_log(pipe: impl Read, lines: &Mutex<String>, copy: &Path) {
    let mut copy = File::create(copy).ok();
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(1..) = pipe.read_until(b'\n', &mut line) {
        if let Some(copy) = &mut copy {
            let _ = copy.write_all(&line);
        }
        lines
            .lock()
            .unwrap()
            .push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
}

fn number(value: &Value, name: &str) -> u64 {
    let text = || value.as_str().and_then(|text| text.trim().parse().ok());
    value
        .as_u64()
        .or_else(text)
        .unwrap_or_else(|| panic!("no number for {name}: {value}"))
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Polls a condition that cannot be awaited (other processes' lives, a host's counters).
pub fn wait_until(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
}
