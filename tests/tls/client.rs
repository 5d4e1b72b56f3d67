//! A participant that controls its TLS: rustls where the test is about certificates.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    ServerConnection, SignatureScheme, StreamOwned, SupportedProtocolVersion,
};

use super::certificates::Certified;

/// Longer than anything takes on a loaded machine; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls_graviola::default_provider())
}

/// TLS settings of a client.
pub(crate) struct How<'a> {
    /// The trusted authorities; `None` trusts everybody.
    pub(crate) roots: Option<Arc<RootCertStore>>,
    /// Its own certificate, and how many copies of it the client sends.
    pub(crate) own: Option<&'a Certified>,
    pub(crate) copies: usize,
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
    pub(crate) name: &'static str,
}

impl Default for How<'_> {
    fn default() -> Self {
        Self {
            roots: None,
            own: None,
            copies: 1,
            versions: rustls::ALL_VERSIONS,
            name: "localhost",
        }
    }
}

/// A connection over any stream.
pub(crate) struct Connection<S> {
    pub(crate) stream: S,
    unread: String,
}

pub(crate) type Secure = Connection<StreamOwned<ClientConnection, Wire>>;

/// A connection that counts the received records.
pub(crate) struct Wire {
    stream: TcpStream,
    /// Number of records that have begun.
    pub(crate) records: usize,
    head: Vec<u8>,
    /// Octets of the record still to come.
    rest: usize,
}

impl Wire {
    fn count(&mut self, mut octets: &[u8]) {
        while let Some((&first, tail)) = octets.split_first() {
            if self.rest > 0 {
                let taken = self.rest.min(octets.len());
                self.rest -= taken;
                octets = &octets[taken..];
                continue;
            }
            self.head.push(first);
            octets = tail;
            if let [_, _, _, high, low] = self.head[..] {
                self.records += 1;
                self.rest = usize::from(high) << 8 | usize::from(low);
                self.head.clear();
            }
        }
    }
}

impl Read for Wire {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(octets)?;
        self.count(&octets[..count]);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Connects and completes the handshake.
pub(crate) fn secure(address: SocketAddr, how: &How<'_>) -> io::Result<Secure> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(how.versions)
        .unwrap()
        .dangerous();
    let verifier: Arc<dyn ServerCertVerifier> = match &how.roots {
        Some(roots) => WebPkiServerVerifier::builder_with_provider(roots.clone(), provider())
            .build()
            .unwrap(),
        None => Arc::new(Anybody),
    };
    let builder = builder.with_custom_certificate_verifier(verifier);
    let config = match how.own {
        Some(own) => builder
            .with_client_auth_cert(vec![own.certificate.clone(); how.copies], own.key())
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(how.name).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = Wire {
        stream: tcp(address),
        records: 0,
        head: Vec::new(),
        rest: 0,
    };
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(Connection::over(StreamOwned::new(connection, stream)))
}

pub(crate) type SecureServer = Connection<StreamOwned<ServerConnection, TcpStream>>;

/// A peer that waits for a connection of ours, with this certificate.
pub(crate) fn accept_secure(
    listener: &TcpListener,
    own: &Certified,
    clients: Option<Arc<RootCertStore>>,
) -> io::Result<(SecureServer, Option<String>)> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let config = builder
        .with_single_cert(vec![own.certificate.clone()], own.key())
        .unwrap();
    let mut stream = accept(listener).stream;
    let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
    while connection.is_handshaking() {
        let (read, written) = connection.complete_io(&mut stream)?;
        if read + written == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let name = connection.server_name().map(str::to_owned);
    let stream = StreamOwned::new(connection, stream);
    Ok((Connection::over(stream), name))
}

/// The next connection, without TLS.
pub(crate) fn accept(listener: &TcpListener) -> Connection<TcpStream> {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Connection::over(stream)
}

/// Connects without TLS.
pub(crate) fn plain(address: SocketAddr) -> Connection<TcpStream> {
    Connection::over(tcp(address))
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream,
            unread: String::new(),
        }
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("it reads");
        self.stream.flush().expect("it reads");
    }

    /// Reads a whole message that contains this; skips earlier ones. `None` at the end of the
    /// stream.
    pub(crate) fn message(&mut self, with: &str) -> Option<String> {
        loop {
            while let Some(message) = self.next() {
                if message.contains(with) {
                    return Some(message);
                }
            }
            let mut octets = [0; 16 * 1024];
            match self.stream.read(&mut octets) {
                Ok(0) => return None,
                Ok(count) => self.unread += std::str::from_utf8(&octets[..count]).unwrap(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("{with:?} did not come")
                }
                Err(_) => return None,
            }
        }
    }

    fn next(&mut self) -> Option<String> {
        let id = self.unread.strip_prefix("MSRP ")?.split(' ').next()?;
        let end = format!("\r\n-------{id}");
        let at = self.unread.find(&end)? + end.len() + "$\r\n".len();
        (self.unread.len() >= at).then(|| self.unread.drain(..at).collect())
    }

    /// Reads until the other side has closed.
    pub(crate) fn closed(&mut self) {
        assert_eq!(self.message("something else"), None);
    }

    /// Answers the empty SEND that binds a session of ours; returns it.
    pub(crate) fn bound(&mut self, code: u16) -> String {
        let bind = self.message(" SEND").expect("an empty SEND");
        assert!(bind.contains("Byte-Range: 1-0/0\r\n"), "{bind}");
        assert!(!bind.contains("Content-Type"), "{bind}");
        let header = |name: &str| {
            let mut lines = bind.lines();
            let line = lines.find_map(|line| line.strip_prefix(name));
            line.expect("a header").to_owned()
        };
        let (id, to) = (bind.split(' ').nth(1).unwrap(), header("To-Path: "));
        let from = header("From-Path: ");
        self.write(&format!(
            "MSRP {id} {code} X\r\nTo-Path: {from}\r\nFrom-Path: {to}\r\n-------{id}$\r\n"
        ));
        bind
    }

    /// Sends a bodiless SEND; returns the code of its answer, if one comes.
    pub(crate) fn bind(&mut self, to: &str, from: &str) -> Option<String> {
        self.write(&format!(
            "MSRP bind1234 SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n\
             Message-ID: mbind\r\nByte-Range: 1-0/0\r\n-------bind1234$\r\n"
        ));
        let answer = self.message("MSRP bind1234 ")?;
        answer.split(' ').nth(2).map(str::to_owned)
    }

    /// Sends a text to the room.
    pub(crate) fn say(&mut self, to: &str, from: &str, user: &str, room: &str, text: &str) {
        let body =
            format!("From: <{user}>\r\nTo: <{room}>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}");
        let length = body.len();
        self.write(&format!(
            "MSRP said1234 SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\nMessage-ID: msaid\r\n\
             Byte-Range: 1-{length}/{length}\r\nContent-Type: message/cpim\r\n\r\n\
             {body}\r\n-------said1234$\r\n"
        ));
        let answer = self.message("MSRP said1234 ").expect("an answer");
        assert!(answer.starts_with("MSRP said1234 200"), "{answer}");
    }
}

/// Trusts everybody.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
