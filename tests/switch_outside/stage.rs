//! A switch in this process behind a real control socket, and a focus that the test plays.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use msrp_conference::control::{Notice, Order, SessionId, Stand, Standing, SwitchRun};
use msrp_conference::counters::Totals;
use msrp_conference::log::Line;
use msrp_conference::net::{Config, Listen, Pool, Transport};
use msrp_conference::remote::{Link, Options, serve};
use tempfile::TempDir;

use crate::harness::PATIENCE;
use crate::member::{Member, admit, room};

/// A folder that is deleted with it.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path().join("control")
    }
}

/// The served switch.
pub(crate) struct Outside {
    pub(crate) msrp: SocketAddr,
    pub(crate) log: Receiver<Line>,
    stop: Option<Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Outside {
    pub(crate) fn start(path: &Path, run: u128, orphan_timeout: Duration) -> Self {
        let config = Config {
            listen: vec![Listen {
                transport: Transport::Tcp,
                address: "127.0.0.1:0".parse().unwrap(),
            }],
            threads: 2,
            ..Config::default()
        };
        let (notices, received) = unbounded();
        let (log, lines) = unbounded();
        let pool = Pool::start(config, notices, log.clone(), Arc::new(|| ())).expect("a pool");
        let msrp = pool.addresses()[0];
        let _ = fs::remove_file(path);
        let listener = UnixListener::bind(path).expect("a control socket");
        let (stop, stopped) = bounded(1);
        let options = Options {
            run: SwitchRun(run),
            orphan_timeout,
        };
        let serving = thread::spawn(move || {
            serve(listener, pool, &received, log, &stopped, options).expect("serves");
        });
        Self {
            msrp,
            log: lines,
            stop: Some(stop),
            serving: Some(serving),
        }
    }

    /// Waits for a line with this text.
    pub(crate) fn logs(&self, text: &str) {
        wait_for_line(&self.log, text);
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

pub(crate) fn wait_for_line(log: &Receiver<Line>, text: &str) {
    let mut seen = Vec::new();
    let end = Instant::now() + PATIENCE;
    while let Ok(line) = log.recv_deadline(end) {
        if line.text.contains(text) {
            return;
        }
        seen.push(line.text);
    }
    panic!("no line with {text:?} in {seen:?}");
}

/// The focus' end, driven by the test.
pub(crate) struct Focus {
    link: Option<Link>,
    pub(crate) notices: Receiver<Notice>,
    pub(crate) log: Receiver<Line>,
}

impl Focus {
    pub(crate) fn start(path: &Path) -> Self {
        Self::expecting(path, Vec::new())
    }

    /// A focus whose operator expects the switch to listen there.
    pub(crate) fn expecting(path: &Path, listen: Vec<Listen>) -> Self {
        let (notices_in, notices) = unbounded();
        let (log_in, log) = unbounded();
        let link = Link::start(path.into(), listen, notices_in, log_in, Arc::new(|| ()));
        Self {
            link: Some(link.expect("a thread")),
            notices,
            log,
        }
    }

    /// A focus that has connected to its switch.
    pub(crate) fn connect(path: &Path) -> Self {
        let focus = Self::start(path);
        focus.connected();
        focus
    }

    pub(crate) fn connected(&self) -> SwitchRun {
        match self.notice() {
            Notice::Connected { run, .. } => run,
            other => panic!("{other:?} instead of Connected"),
        }
    }

    pub(crate) fn order(&self, order: Order) {
        self.link.as_ref().expect("not stopped").order(order);
    }

    pub(crate) fn totals(&self) -> Totals {
        self.link.as_ref().expect("not stopped").totals()
    }

    /// The next notice, except for message counts, which may come at any time.
    pub(crate) fn notice(&self) -> Notice {
        loop {
            let notice = self.notices.recv_timeout(PATIENCE).expect("a notice");
            if !matches!(notice, Notice::Counted { .. }) {
                return notice;
            }
        }
    }

    pub(crate) fn logs(&self, text: &str) {
        wait_for_line(&self.log, text);
    }

    /// Admits and binds.
    pub(crate) fn join(&self, switch: SocketAddr, name: &str) -> Member {
        self.order(admit(switch, name));
        let notice = self.notice();
        assert!(matches!(notice, Notice::Admitted { .. }), "{notice:?}");
        let member = Member::bind(switch, name);
        let notice = self.notice();
        assert!(matches!(notice, Notice::Bound { .. }), "{notice:?}");
        member
    }

    /// Reconciles these sessions of the lobby, all that it has.
    pub(crate) fn reconcile(&self, names: &[&str]) -> Vec<(String, Standing, Option<String>)> {
        let sessions: Vec<_> = names.iter().map(|name| SessionId::new(*name)).collect();
        for order in Order::reconcile(&room(), &sessions) {
            self.order(order);
        }
        let stands = loop {
            match self.notice() {
                Notice::Reconciled { sessions, .. } => break sessions,
                // A connection that closed a moment ago may cause a notice of its own.
                Notice::Lost { .. } => {}
                other => panic!("{other:?} instead of Reconciled"),
            }
        };
        stands
            .into_iter()
            .map(|stand: Stand| (stand.session.to_string(), stand.standing, stand.nickname))
            .collect()
    }

    /// Stops like a proxy in good order.
    pub(crate) fn stop(mut self) {
        if let Some(link) = self.link.take() {
            link.stop();
        }
    }
}

impl Drop for Focus {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            link.stop();
        }
    }
}
