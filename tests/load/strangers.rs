//! Connections of unknown peers, as many as this process may open.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use socket2::{Domain, Socket, Type};

use super::certificates::{Authority, Folder};
use super::harness::agent::{Transport, unique};
use super::harness::alone;
use super::harness::participant::Participant;
use super::harness::plan::{Plan, free_port};
use super::harness::proxy::Proxy;

/// Fewer than 20,000 descriptors, the limit of a process where this was written.
const SILENT: usize = 17_500;
const SILENT_TLS: usize = 5_000;
/// Connections per source address, which has its own range of ports.
const OF_ONE_ADDRESS: usize = 2_500;

/// Connects from one of several loopback addresses.
fn connect(to: SocketAddr, number: usize) -> TcpStream {
    let source = Ipv4Addr::new(127, 0, 1, (number / OF_ONE_ADDRESS + 1) as u8);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .bind(&SocketAddr::from((source, 0)).into())
        .expect("a loopback address");
    socket.connect(&to.into()).expect("it listens");
    socket.into()
}

/// Opens this many connections that send `say`; measures `beside` while they open and again when
/// all are open.
fn crowd(to: SocketAddr, number: usize, say: &str, beside: impl Fn() -> Duration) -> [Duration; 2] {
    let made = Arc::new(AtomicUsize::new(0));
    let (count, say) = (Arc::clone(&made), say.to_owned());
    let connecting = thread::spawn(move || {
        let connect = |number| {
            let mut stream = connect(to, number);
            // It may be closed by now: a newer connection has its place.
            let _ = stream.write_all(say.as_bytes());
            count.fetch_add(1, Ordering::Relaxed);
            stream
        };
        (0..number).map(connect).collect::<Vec<_>>()
    });
    let mut during = Duration::ZERO;
    while made.load(Ordering::Relaxed) < number && !connecting.is_finished() {
        during = during.max(beside());
    }
    let all = connecting.join().expect("everybody is let in");
    let after = (0..20).map(|_| beside()).max().unwrap_or_default();
    drop(all);
    [during, after]
}

/// Time of a join: INVITE to the answer to its bind.
fn join(proxy: &Proxy) -> Duration {
    let started = Instant::now();
    let mut newcomer = Participant::join(proxy, &unique(), Transport::Udp, "lobby");
    let took = started.elapsed();
    newcomer.leave();
    took
}

#[test]
#[ignore = "for a release build"]
fn newcomers_join_at_once_beside_seventeen_thousand_strangers() {
    alone(|host| {
        let proxy = Plan::new(host).start();
        let alone = (0..20).map(|_| join(&proxy)).max();
        for say in ["", "MSRP aaaaaaa1 SEND\r\nTo-Path: msrp://x:1/zz;tcp\r\n"] {
            let times = crowd(proxy.msrp, SILENT, say, || join(&proxy));
            eprintln!(
                "{}: a join took {times:?} (while they came, beside them), {alone:?} alone; \
                 they said {say:?}",
                proxy.host.name
            );
            assert!(times.iter().all(|it| *it < Duration::from_millis(200)));
        }
        proxy.stop();
    });
}

/// Time of a TLS handshake.
fn handshake(address: SocketAddr, config: &Arc<ClientConfig>) -> Duration {
    let name = ServerName::try_from("localhost").expect("a name");
    let started = Instant::now();
    let mut connection = ClientConnection::new(Arc::clone(config), name).expect("a client");
    let mut stream = TcpStream::connect(address).expect("connect to the TLS port");
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).expect("a handshake");
    }
    started.elapsed()
}

fn believing(roots: Arc<RootCertStore>) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls_graviola::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_webpki_verifier(verifier.build().expect("a verifier"))
        .with_no_client_auth();
    Arc::new(config)
}

#[test]
#[ignore = "for a release build"]
fn tls_handshakes_take_no_longer_beside_five_thousand_silent_connections() {
    alone(|host| {
        let (folder, authority) = (Folder::new(), Authority::new());
        let files = folder.files(&authority.certify(&["localhost"]));
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let proxy = Plan::new(host)
            .parameter("listen", format!("msrps:{address}"))
            .parameter("tls_certificate", files.certificate.display())
            .parameter("tls_private_key", files.private_key.display())
            .start();
        let config = believing(authority.roots());
        let shake = || handshake(address, &config);
        let alone = (0..20).map(|_| shake()).max().unwrap_or_default();
        // Nothing at all, and the beginning of a ClientHello.
        for say in ["", "\u{16}\u{3}\u{1}"] {
            let times = crowd(address, SILENT_TLS, say, shake);
            eprintln!(
                "{}: a handshake took {times:?} (while they came, beside them), {alone:?} alone; \
                 they said {say:?}",
                proxy.host.name
            );
            let most = alone + Duration::from_millis(100);
            assert!(times.iter().all(|it| *it < most));
        }
        proxy.stop();
    });
}
