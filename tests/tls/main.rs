//! MSRP over TLS through the switch pool, over loopback: which clients get in, which do not, and
//! the effects of a change of the certificate.

mod accept;
#[path = "../harness/admission.rs"]
#[allow(unreachable_pub)]
mod admission;
mod certificates;
mod client;
mod dial;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, unbounded};
use msrp_conference::control::{Admission, LossCause, Notice, Order, Peer};
use msrp_conference::net::{Config, Listen, Pool, TlsFiles, Transport};
use msrp_conference::wire::fingerprint::Fingerprint;

use client::PATIENCE;

const LOBBY: &str = "sip:lobby@example.com";

/// A switch with a TLS and a TCP listener.
struct Rig {
    pool: Pool,
    notices: Receiver<Notice>,
    /// The TLS listener.
    tls: SocketAddr,
    /// The TCP listener.
    tcp: SocketAddr,
}

impl Rig {
    fn start(host: &str, files: TlsFiles) -> Self {
        Self::with(host, Some(files), |_| {})
    }

    fn with(host: &str, tls: Option<TlsFiles>, change: impl FnOnce(&mut Config)) -> Self {
        let address: SocketAddr = format!("{host}:0").parse().unwrap();
        let mut listen = vec![Listen {
            transport: Transport::Tcp,
            address,
        }];
        if tls.is_some() {
            listen.push(Listen {
                transport: Transport::Tls,
                address,
            });
        }
        let mut config = Config {
            listen,
            tls,
            threads: 2,
            ..Config::default()
        };
        change(&mut config);
        let (notices, received) = unbounded();
        let (log, _) = unbounded();
        let pool = Pool::start(config, notices, log, Arc::new(|| ())).expect("the pool starts");
        let addresses = pool.addresses();
        Self {
            pool,
            notices: received,
            tcp: addresses[0],
            tls: addresses[addresses.len() - 1],
        }
    }

    /// The next notice of this kind; skips others.
    fn await_notice<T>(&self, wanted: impl Fn(Notice) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            let notice = self.notices.recv_timeout(rest).expect("a notice");
            if let Some(found) = wanted(notice) {
                return found;
            }
        }
    }

    fn bound(&self, name: &str) {
        self.await_notice(|notice| match notice {
            Notice::Bound { session, .. } => (session.as_str() == name).then_some(()),
            Notice::Lost { session, cause, .. } if session.as_str() == name => {
                panic!("{session} lost: {cause:?}")
            }
            _ => None,
        });
    }

    /// The cause of the loss of this session.
    fn lost(&self, name: &str) -> LossCause {
        self.await_notice(|notice| match notice {
            Notice::Lost { session, cause, .. } => (session.as_str() == name).then_some(cause),
            Notice::Bound { session, .. } if session.as_str() == name => panic!("bound"),
            _ => None,
        })
    }

    fn fingerprint(&self) -> Fingerprint {
        self.await_notice(|notice| match notice {
            Notice::Certificate { fingerprint } => Some(fingerprint),
            _ => None,
        })
    }

    fn admit(&self, admission: Admission) {
        self.pool.order(Order::Admit(Box::new(admission)));
        self.await_notice(|notice| matches!(notice, Notice::Admitted { .. }).then_some(()));
    }

    /// Admits a participant who will connect to the TLS listener.
    fn expect(&self, name: &str, fingerprints: Vec<Fingerprint>) {
        self.admit(admission(self.uri(name), name, |peer| {
            peer.fingerprints = fingerprints;
        }));
    }

    /// The switch's URI for a participant over TLS.
    fn uri(&self, name: &str) -> String {
        format!("msrps://{}/{name};tcp", self.tls)
    }
}

fn admission(own_uri: String, name: &str, change: impl FnOnce(&mut Peer)) -> Admission {
    let mut admission = admission::admission(own_uri, LOBBY, name);
    admission.peer.path = vec![peer_uri(name)];
    change(&mut admission.peer);
    admission
}

fn peer_uri(name: &str) -> String {
    format!("msrps://127.0.0.1:9/{name}-peer;tcp")
}
