//! The plan of a proxy: an example configuration, changed as a test needs.
//!
//! The configuration is the one that users get; only ports, paths and the test's changes are
//! replaced, as text.

use std::env;
use std::fs;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use super::PATIENCE;
use super::host::{Family, Host};
use super::proxy::Proxy;

/// Megabytes of shared memory: tm keeps some 10 kB of every transaction for 5 s, which is
/// more than a proxy's 32 MB default under the load tests.
const SHARED_MEMORY: &str = "256";

/// Stands for the folder of the started proxy, in lines that a test adds.
pub const FOLDER: &str = "@FOLDER@";

/// The proxy to start, and the changes to its example configuration.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) host: Host,
    parameters: Vec<(String, String)>,
    state: Option<PathBuf>,
    script: String,
    /// Lines before the routes, and routes behind them.
    lines: String,
    routes: String,
    settings: String,
    example: String,
    /// A configuration other than an example.
    text: Option<String>,
    pub(super) module: Option<PathBuf>,
    /// The system call to fail.
    pub(super) forbidden: Option<libc::c_long>,
    /// Content of the proxy's `/etc/resolv.conf`.
    resolv_conf: Option<PathBuf>,
    /// User and group to run as when root starts it.
    pub(super) runs_as: Option<(String, String)>,
    pub(super) sip: u16,
    pub msrp: u16,
    /// Port for HTTP in the `monitored` example, and for SIP over WebSocket in `browser`.
    pub http: u16,
    /// Port for MSRP over WebSocket in `browser`.
    pub ws: u16,
}

impl Plan {
    /// The example configuration on free ports.
    pub fn new(host: &Host) -> Self {
        let (sip, msrp) = (free_port(), free_port());
        Self {
            host: host.clone(),
            parameters: Vec::new(),
            state: None,
            script: String::new(),
            lines: String::new(),
            routes: String::new(),
            settings: String::new(),
            example: "minimal".into(),
            text: None,
            module: None,
            forbidden: None,
            resolv_conf: None,
            runs_as: None,
            sip,
            msrp,
            http: free_port(),
            ws: free_port(),
        }
    }

    /// Uses this example configuration instead of `minimal`.
    #[must_use]
    pub fn example(mut self, name: &str) -> Self {
        self.example = name.into();
        self
    }

    /// Uses this configuration from the documentation; the omitted listener of SIP is put in front.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        let front = match self.host.family {
            Family::Kamailio => "listen=udp:127.0.0.1:5060\nlisten=tcp:127.0.0.1:5060\n",
            Family::OpenSips => "loadmodule \"proto_tcp.so\"\nsocket=tcp:127.0.0.1:5060\n",
        };
        self.text = Some(format!("{front}{text}"));
        self
    }

    /// Uses this configuration, which has its own listener of SIP.
    #[must_use]
    pub fn whole(mut self, text: &str) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Uses this file as the module instead of cargo's output.
    #[must_use]
    pub fn module(mut self, file: &Path) -> Self {
        self.module = Some(file.to_owned());
        self
    }

    /// Runs it in a sandbox that does not permit this system call.
    #[must_use]
    pub fn forbid(mut self, system_call: libc::c_long) -> Self {
        self.forbidden = Some(system_call);
        self
    }

    /// Puts this file in the place of `/etc/resolv.conf`, for this proxy alone: in a mount
    /// namespace of its own, which only root may make.
    #[must_use]
    pub fn resolving_by(mut self, file: &Path) -> Self {
        self.resolv_conf = Some(file.to_owned());
        self
    }

    /// Starts it as root, to run as this user and group. Its folder becomes theirs.
    #[must_use]
    pub fn runs_as(mut self, user: &str, group: &str) -> Self {
        self.runs_as = Some((user.into(), group.into()));
        self
    }

    /// Uses these ports.
    #[must_use]
    pub fn ports(mut self, sip: u16, msrp: u16) -> Self {
        (self.sip, self.msrp) = (sip, msrp);
        self
    }

    /// Adds this modparam, after those of the example.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: impl ToString) -> Self {
        self.parameters.push((name.into(), value.to_string()));
        self
    }

    /// Puts its database into this folder, where the next run finds it too.
    #[must_use]
    pub fn state_in(mut self, folder: &Path) -> Self {
        self.state = Some(folder.to_owned());
        self
    }

    /// Adds these settings, modules and routes in front of the modules of the example.
    #[must_use]
    pub fn settings(mut self, text: &str) -> Self {
        self.settings += text;
        self
    }

    /// Adds these statements, first in the request route.
    #[must_use]
    pub fn script(mut self, statements: &str) -> Self {
        self.script += statements;
        self
    }

    /// Adds these lines (other modules and their parameters) behind those of the module; [`FOLDER`]
    /// stands for the folder of this proxy.
    #[must_use]
    pub fn lines(mut self, lines: &str) -> Self {
        self.lines += lines;
        self.lines.push('\n');
        self
    }

    /// Adds these further routes.
    #[must_use]
    pub fn routes(mut self, routes: &str) -> Self {
        self.routes += routes;
        self.routes.push('\n');
        self
    }

    /// Starts it and waits until it answers.
    pub fn start(self) -> Proxy {
        let proxy = Proxy::spawn(self);
        proxy.await_readiness();
        proxy
    }

    /// Starts it and expects a refusal; returns the log.
    pub fn start_refused(self) -> String {
        let (status, log) = self.start_and_end();
        assert!(
            !status.success(),
            "a refused configuration ends with success"
        );
        log
    }

    /// Starts it and expects it to end by itself; returns the status and the log.
    pub fn start_and_end(self) -> (ExitStatus, String) {
        let proxy = Proxy::spawn(self);
        let status = proxy.exit(PATIENCE).expect("the proxy runs");
        (status, proxy.whole_log())
    }

    /// The example configuration with the plan's changes. `folder` is for sockets and the module.
    pub(super) fn configuration(&self, folder: &Path) -> String {
        let family = self.host.family;
        let example = root()
            .join("cfg-examples")
            .join(family.as_str())
            .join(format!("{}.cfg", self.example));
        let text = self.text.clone().unwrap_or_else(|| {
            fs::read_to_string(&example)
                .unwrap_or_else(|error| panic!("{}: {error}", example.display()))
        });
        let text = self.placed(&text, folder);
        let mut out = match self.host.family {
            Family::OpenSips => "stderror_enabled=yes\nsyslog_enabled=no\n".to_owned(),
            Family::Kamailio => String::new(),
        };
        for line in text.lines() {
            let bare = line.trim_start();
            if bare.starts_with("loadmodule") && bare.contains("msrp_conference") {
                out += &format!(
                    "{}loadmodule \"{}/msrp_conference.so\"\n",
                    self.management(folder, &text),
                    folder.display()
                );
            } else {
                out += line;
                out.push('\n');
            }
            if (bare.starts_with("request_route")
                || bare.starts_with("route {")
                || bare.starts_with("route{"))
                && !self.script.is_empty()
            {
                out += &self.script;
                out.push('\n');
            }
        }
        out += &self.routes;
        let out = self.with_settings(&self.with_parameters(&out, folder));
        self.with_module_path(&out)
    }

    /// An example with its ports and folders replaced by those of this proxy.
    fn placed(&self, text: &str, folder: &Path) -> String {
        let (sip, msrp, http) = (self.sip, self.msrp, self.http);
        let (folder, state) = (folder.display(), self.state(folder).display());
        let places = [
            ("5060", sip.to_string()),
            ("2855", msrp.to_string()),
            ("9494", http.to_string()),
            ("8080", http.to_string()),
            ("2857", self.ws.to_string()),
            ("/tmp/", format!("{folder}/")),
            ("/var/lib/msrp_conference/", format!("{state}/")),
        ];
        exchanged(text, &places)
    }

    /// The management interface that the harness uses: JSON-RPC over a Unix datagram socket.
    fn management(&self, folder: &Path, text: &str) -> String {
        let load = |module: &str| match text.contains(&format!("\"{module}.so\"")) {
            true => String::new(),
            false => format!("loadmodule \"{module}.so\"\n"),
        };
        let socket = folder.join("control");
        let socket = socket.display();
        match self.host.family {
            Family::Kamailio => format!(
                "{}{}modparam(\"jsonrpcs\", \"transport\", 4)\nmodparam(\"jsonrpcs\", \"dgram_socket\", \"{socket}\")\n",
                load("counters"),
                load("jsonrpcs"),
            ),
            Family::OpenSips => format!(
                "{}modparam(\"mi_datagram\", \"socket_name\", \"{socket}\")\n",
                load("mi_datagram")
            ),
        }
    }

    /// The folder of the database: no two proxies share one.
    fn state<'a>(&'a self, folder: &'a Path) -> &'a Path {
        self.state.as_deref().unwrap_or(folder)
    }

    fn with_parameters(&self, text: &str, folder: &Path) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let ours = |line: &String| {
            let line = line.trim_start();
            !line.starts_with('#')
                && line.contains("msrp_conference")
                && (line.starts_with("modparam") || line.starts_with("loadmodule"))
        };
        let last = lines
            .iter()
            .rposition(ours)
            .expect("the example loads the module");
        let own_folder = folder.display().to_string();
        lines.insert(last + 1, self.lines.replace(FOLDER, &own_folder));
        let own = self.state(folder).join("state.sqlite");
        let own = ("db_path".to_owned(), own.display().to_string());
        let names_one = text.contains("\"db_path\"") && self.state.is_none();
        let own = (!names_one).then_some(&own);
        for (name, value) in own.into_iter().chain(&self.parameters).rev() {
            let number = !value.is_empty() && value.bytes().all(|octet| octet.is_ascii_digit());
            let value = if number {
                value.clone()
            } else {
                format!("\"{value}\"")
            };
            lines.insert(
                last + 1,
                format!("modparam(\"msrp_conference\", \"{name}\", {value})"),
            );
        }
        lines.join("\n") + "\n"
    }

    fn with_settings(&self, text: &str) -> String {
        let at = text.find("loadmodule").expect("the example loads modules");
        let settings = &self.settings;
        format!("{}{settings}{}", &text[..at], &text[at..])
    }

    /// Replaces the module folder in front of the modules by this host's. Kamailio has one compiled
    /// in; OpenSIPS has none, so that a text without `mpath` fails here as it does for a reader who
    /// pastes it.
    fn with_module_path(&self, text: &str) -> String {
        let names_it = |line: &&str| line.trim_start().starts_with("mpath");
        let own = self.host.modules.as_ref();
        let own = own.map(|folder| format!("mpath=\"{}/\"", folder.display()));
        let line = match (text.lines().find(names_it), own) {
            (Some(theirs), own) => own.unwrap_or_else(|| theirs.to_owned()),
            (None, Some(own)) if self.host.family == Family::Kamailio => own,
            (None, _) => return text.into(),
        };
        let rest = text.lines().filter(|line| !names_it(line));
        let rest: String = rest.flat_map(|line| [line, "\n"]).collect();
        let at = rest.find("loadmodule").expect("the example loads modules");
        format!("{}{line}\n{}", &rest[..at], &rest[at..])
    }
}

/// The text with these words replaced where they stand alone: a number within a longer one or
/// within a path stays, a folder within a longer path stays, and so do the replacements.
pub fn exchanged(text: &str, words: &[(&str, String)]) -> String {
    let part = |c: char| c.is_alphanumeric() || "_-./".contains(c);
    let begins = |at: usize| !text[..at].ends_with(part);
    let ends = |word: &str, at: usize| word.ends_with('/') || !text[at..].starts_with(part);
    let (mut out, mut at) = (String::new(), 0);
    while let Some(next) = text[at..].chars().next() {
        let fits = |(word, _): &&(&str, String)| {
            text[at..].starts_with(word) && begins(at) && ends(word, at + word.len())
        };
        match words.iter().find(fits) {
            Some((word, instead)) => {
                out += instead;
                at += word.len();
            }
            None => {
                out.push(next);
                at += next.len_utf8();
            }
        }
    }
    out
}

/// The command that runs a configuration in the foreground, logging to stderr.
pub(super) fn command(plan: &Plan, configuration: &Path, folder: &Path) -> Command {
    let host = &plan.host;
    let mut command = match &plan.resolv_conf {
        Some(file) => {
            let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
            let mut shell = Command::new("unshare");
            shell.args(["--mount", "sh", "-c", script]).arg(file);
            shell.arg(&host.program);
            shell
        }
        None => Command::new(&host.program),
    };
    if let Some((user, group)) = &plan.runs_as {
        command.args(["-u", user, "-g", group]);
    }
    match host.family {
        Family::Kamailio => command.args(["-DD", "-E", "-Y"]).arg(folder),
        Family::OpenSips => command.arg("-F"),
    };
    command
        .args(["-m", SHARED_MEMORY])
        .arg("-f")
        .arg(configuration)
        .arg("-w")
        .arg(folder)
        .arg("-P")
        .arg(folder.join("pid"));
    // A process group of its own, so that the harness handles Ctrl-C at the terminal.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0);
    command
}

/// Makes a system call fail with EPERM in the process that `command` starts, and in its children.
pub(super) fn forbid(command: &mut Command, system_call: libc::c_long) {
    let number = u32::try_from(system_call).expect("a system call's number");
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let step = |code: u32, matches, differs, k| libc::sock_filter {
        code: code as u16,
        jt: matches,
        jf: differs,
        k,
    };
    let filter = [
        // The number comes first in the filter's input.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, refuse),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_ptr().cast_mut(),
        };
        // SAFETY: prctl with these arguments reads the program, which lives through the call.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
        };
        match done {
            true => Ok(()),
            false => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec there are two system calls and nothing else.
    unsafe { command.pre_exec(install) };
}

/// The folder of this package.
pub fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// The module from cargo's output; `MSRP_CONFERENCE_SO` names another.
pub fn module() -> PathBuf {
    if let Some(path) = env::var_os("MSRP_CONFERENCE_SO") {
        return fs::canonicalize(path).expect("MSRP_CONFERENCE_SO");
    }
    let program = env::current_exe().expect("own path");
    let found = program
        .ancestors()
        .map(|folder| folder.join("libmsrp_conference.so"))
        .find(|path| path.is_file());
    found.expect("libmsrp_conference.so beside the tests: run `cargo build` first")
}

/// A port without a listener, over UDP or TCP, that no other test got: neither in this process, nor
/// in another one that runs these tests.
pub fn free_port() -> u16 {
    // Below the kernel's range of client ports.
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Names in the kernel, held until this process ends.
    static RESERVED: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());
    loop {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let name = format!("msrp-conference-test-port-{port}");
        let address = SocketAddr::from_abstract_name(name).expect("a short name");
        if let Ok(reserved) = UnixDatagram::bind_addr(&address)
            && port_is_free(port)
        {
            RESERVED.lock().unwrap().push(reserved);
            return port;
        }
    }
}

/// Whether nobody listens on this port.
pub fn port_is_free(port: u16) -> bool {
    UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok()
}
