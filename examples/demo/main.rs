//! `make demo`: a real proxy with a room, and three people who talk in it.
//!
//! Starts Kamailio (`HOST=opensips`: OpenSIPS) with its example configuration, lets Alice, Bob and
//! Carol join, talk and leave in different ways, prints the messages and rosters that they receive,
//! then stays up for others to join: from a terminal, and with a browser where the proxy has
//! WebSocket and `web/` has been built. `DEMO_SECONDS=N` ends it N seconds later. The exit status
//! shows whether everything was right.

#[path = "../../tests/harness/mod.rs"]
mod harness;
mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use harness::host::{Family, Host};
use harness::plan::{Plan, port_is_free, root};
use harness::proxy::Proxy;

/// Longest wait: the whole scene takes a few seconds, so after a minute something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const ROOM: &str = "lobby";

fn main() -> ExitCode {
    match play() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            println!("\nThe demo went wrong: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> Result<(), String> {
    let host = chosen_host()?;
    let (sip, msrp) = (free_from(5060, "SIP")?, free_from(2855, "MSRP")?);
    let mut plan = Plan::new(&host)
        .ports(sip, msrp)
        .parameter("notify_interval_ms", 500)
        .parameter("rejoin_grace", 2);
    let page = page(&host, &mut plan)?;
    println!(
        "Starting {} with cfg-examples/{}/{}.cfg",
        host.program.display(),
        host.family.as_str(),
        if page.is_some() { "browser" } else { "minimal" },
    );
    println!("SIP 127.0.0.1:{sip} (UDP and TCP), MSRP 127.0.0.1:{msrp}");
    println!(
        "Faster than usual, so that nobody need wait: notify_interval_ms 500, rejoin_grace 2\n"
    );
    let proxy = plan.start();

    let mut stage = Stage::new(&proxy);
    scene(&mut stage)?;
    proxy.assert_quiet_log();
    println!("\nAll came out right. The room stays open; join it from another terminal:\n");
    println!(
        "  {} --from sip:you@127.0.0.1 {}\n",
        shown(&chat_program()),
        proxy.room(ROOM)
    );
    if let Some(port) = page {
        println!("or with a browser:\n\n  http://127.0.0.1:{port}/\n");
    }
    stay(&mut stage)?;
    drop(stage);
    proxy.stop();
    println!("Stopped; nothing left behind.");
    Ok(())
}

/// Serves the page, if the proxy can take browsers and there is one; its port.
fn page(host: &Host, plan: &mut Plan) -> Result<Option<u16>, String> {
    let module = match host.family {
        Family::Kamailio => "websocket",
        Family::OpenSips => "proto_ws",
    };
    if !host.has_module(module) {
        return Ok(None);
    }
    let sip = free_from(8080, "SIP over WebSocket")?;
    let Some(site) = site::Site::new(root().join("web/dist"), sip) else {
        return Ok(None);
    };
    *plan = plan.clone().example("browser");
    (plan.http, plan.ws) = (sip, free_from(2857, "MSRP over WebSocket")?);
    let port = free_from(8000, "the page")?;
    let served = site.serve(port);
    served.map_err(|error| format!("the page cannot be served: {error}"))?;
    Ok(Some(port))
}

/// The script of the three participants.
fn scene(stage: &mut Stage<'_>) -> Result<(), String> {
    stage.enter("alice")?;
    stage.roster("alice", &["alice"])?;
    stage.enter("bob")?;
    stage.roster("alice", &["alice", "bob"])?;
    stage.speaks("bob", "Hello, is anybody here?", &["alice"])?;
    stage.speaks("alice", "I am. Welcome, Bob!", &["bob"])?;
    stage.enter("carol")?;
    for viewer in ["alice", "bob", "carol"] {
        stage.roster(viewer, &["alice", "bob", "carol"])?;
    }
    stage.speaks("carol", "And here is Carol \u{1F44B}", &["alice", "bob"])?;
    stage.speaks("bob", "I must go, see you.", &["alice", "carol"])?;
    stage.say("Bob leaves by BYE.");
    stage.types("bob", "/quit")?;
    for viewer in ["alice", "carol"] {
        stage.roster(viewer, &["alice", "carol"])?;
    }
    stage.say("Carol's client is killed.");
    stage.kill("carol")?;
    stage.roster("alice", &["alice"])
}

/// Waits for `DEMO_SECONDS`, or for ever, and shows events.
fn stay(stage: &mut Stage<'_>) -> Result<(), String> {
    let seconds = match env::var("DEMO_SECONDS") {
        Ok(text) => Some(
            text.parse::<u64>()
                .map_err(|_| format!("DEMO_SECONDS={text} is no number"))?,
        ),
        Err(_) => None,
    };
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    if end.is_none() {
        println!("Ctrl-C ends it.\n");
    }
    while let Some(left) = left(end) {
        if let Err(RecvTimeoutError::Disconnected) = stage.next(left) {
            return Err("nobody is left on the stage".into());
        }
    }
    Ok(())
}

/// Time until `end`; a day when there is none.
fn left(end: Option<Instant>) -> Option<Duration> {
    match end {
        None => Some(Duration::from_secs(86_400)),
        Some(end) => {
            Some(end.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
        }
    }
}

/// One line of a participant's `--json` output.
enum Event {
    Joined,
    Message { from: String, text: String },
    Roster(BTreeSet<String>),
    Left,
    Failed(String),
    Other,
}

/// The participants, and what they have reported.
struct Stage<'a> {
    proxy: &'a Proxy,
    people: BTreeMap<&'static str, Child>,
    sender: Sender<(&'static str, Event)>,
    reports: Receiver<(&'static str, Event)>,
    /// `(listener, speaker, text)` in order.
    messages: Vec<(&'static str, String, String)>,
    rosters: BTreeMap<&'static str, BTreeSet<String>>,
    start: Instant,
}

impl<'a> Stage<'a> {
    fn new(proxy: &'a Proxy) -> Self {
        let (sender, reports) = channel();
        let (people, messages, rosters) = Default::default();
        Self {
            proxy,
            people,
            sender,
            reports,
            messages,
            rosters,
            start: Instant::now(),
        }
    }

    /// Starts a participant and waits until it is in.
    fn enter(&mut self, name: &'static str) -> Result<(), String> {
        let mut child = Command::new(chat_program())
            .args([
                "--json",
                "--from",
                &format!("sip:{name}@127.0.0.1"),
                &self.proxy.room(ROOM),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", chat_program().display()))?;
        let output = child.stdout.take().ok_or("no output")?;
        self.people.insert(name, child);
        let sender = self.sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send((name, event(&line)));
            }
        });
        self.until(&format!("{name} does not get in"), |_, who, event| {
            who == name && matches!(event, Event::Joined)
        })
    }

    fn kill(&mut self, name: &str) -> Result<(), String> {
        let mut child = self.people.remove(name).ok_or("nobody to kill")?;
        child
            .kill()
            .and_then(|()| child.wait())
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// Types a line into a participant's client.
    fn types(&mut self, name: &str, line: &str) -> Result<(), String> {
        let child = self.people.get_mut(name).ok_or("nobody to type")?;
        let input = child.stdin.as_mut().ok_or("no input")?;
        writeln!(input, "{line}").map_err(|error| format!("{name} is gone: {error}"))
    }

    /// Lets a participant speak and waits until these have received it.
    fn speaks(
        &mut self,
        name: &'static str,
        text: &str,
        listeners: &[&'static str],
    ) -> Result<(), String> {
        self.types(name, text)?;
        for listener in listeners {
            let heard = (*listener, name.to_owned(), text.to_owned());
            let what = format!("{listener} does not hear {name} say {text:?}");
            self.until(&what, |stage, _, _| stage.messages.contains(&heard))?;
        }
        Ok(())
    }

    /// Waits until `viewer` sees exactly these people.
    fn roster(&mut self, viewer: &'static str, people: &[&str]) -> Result<(), String> {
        let truth: BTreeSet<String> = people.iter().map(|name| (*name).to_owned()).collect();
        let what = format!("{viewer} does not see {}", people.join(", "));
        self.until(&what, |stage, _, _| {
            stage.rosters.get(viewer) == Some(&truth)
        })
    }

    /// Takes reports until the condition holds; checks it once before the first.
    fn until(
        &mut self,
        what: &str,
        holds: impl Fn(&Self, &str, &Event) -> bool,
    ) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        let (mut who, mut event) = ("", Event::Other);
        while !holds(self, who, &event) {
            let left = end.saturating_duration_since(Instant::now());
            (who, event) = self.next(left).map_err(|_| what.to_owned())?;
            if let Event::Failed(reason) = event {
                return Err(format!("{who}: {reason}"));
            }
        }
        Ok(())
    }

    /// The next report, shown and recorded.
    fn next(&mut self, patience: Duration) -> Result<(&'static str, Event), RecvTimeoutError> {
        let (who, event) = self.reports.recv_timeout(patience)?;
        match &event {
            Event::Joined => self.say(&format!("{who} is in")),
            Event::Left => self.say(&format!("{who} has left")),
            Event::Message { from, text } => {
                self.say(&format!("{who:>8} hears {from}: {text}"));
                self.messages.push((who, from.clone(), text.clone()));
            }
            Event::Roster(people) => {
                let list: Vec<&str> = people.iter().map(String::as_str).collect();
                self.say(&format!("{who:>8} sees  [{}]", list.join(", ")));
                self.rosters.insert(who, people.clone());
            }
            Event::Failed(reason) => self.say(&format!("{who} failed: {reason}")),
            Event::Other => {}
        }
        Ok((who, event))
    }

    fn say(&self, line: &str) {
        let time = self.start.elapsed().as_secs_f32();
        if std::io::stdout().is_terminal() {
            println!("\x1b[2m{time:6.2}\x1b[0m  {line}");
        } else {
            println!("{time:6.2}  {line}");
        }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        for child in self.people.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Reads one line of `msrp-chat --json`.
fn event(line: &str) -> Event {
    let Ok(value) = serde_json::from_str::<Value>(line) else {
        return Event::Other;
    };
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    match value["event"].as_str().unwrap_or_default() {
        "joined" => Event::Joined,
        "message" => Event::Message {
            from: name(&text("from")),
            text: text("text"),
        },
        "roster" => {
            let users = value["users"].as_array().into_iter().flatten();
            Event::Roster(
                users
                    // A user who leaves appears once more, as disconnected.
                    .filter(|user| user["status"] != "disconnected")
                    .map(|user| name(user["entity"].as_str().unwrap_or_default()))
                    .collect(),
            )
        }
        "left" => Event::Left,
        "failed" => Event::Failed(text("reason")),
        _ => Event::Other,
    }
}

/// The user part of an address.
fn name(uri: &str) -> String {
    uri.trim_start_matches("sip:")
        .split('@')
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// The proxy that `HOST` names, or Kamailio.
fn chosen_host() -> Result<Host, String> {
    let wanted = env::var("HOST").unwrap_or_else(|_| "kamailio".into());
    let family = match wanted.as_str() {
        "kamailio" => Family::Kamailio,
        "opensips" => Family::OpenSips,
        other => return Err(format!("HOST={other} is neither kamailio nor opensips")),
    };
    let missing = || format!("no {wanted} on PATH nor in ${}_HOME", wanted.to_uppercase());
    family.installed().into_iter().next().ok_or_else(missing)
}

/// The first free port from `first` on.
fn free_from(first: u16, what: &str) -> Result<u16, String> {
    let port = (first..first + 100)
        .find(|port| port_is_free(*port))
        .ok_or(format!("no free {what} port"))?;
    if port != first {
        println!("Port {first} is taken (another proxy?): {what} uses {port}");
    }
    Ok(port)
}

/// `msrp-chat` as cargo built it, beside this program.
fn chat_program() -> PathBuf {
    let own = env::current_exe().unwrap_or_default();
    own.ancestors()
        .map(|folder| folder.join("msrp-chat"))
        .find(|path| path.is_file())
        .unwrap_or_else(|| "msrp-chat".into())
}

/// A path in the form one would type here.
fn shown(path: &std::path::Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .unwrap_or(path)
        .display()
        .to_string()
}
