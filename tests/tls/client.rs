//! A participant with a hand on its TLS: rustls where the test is about certificates.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
};

use super::certificates::Certified;

/// Longer than anything takes on a loaded machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls_graviola::default_provider())
}

/// How a client does TLS.
pub struct How<'a> {
    /// Whom it believes; anybody without.
    pub roots: Option<Arc<RootCertStore>>,
    /// What it shows.
    pub own: Option<&'a Certified>,
    pub versions: &'static [&'static SupportedProtocolVersion],
    pub name: &'static str,
}

impl Default for How<'_> {
    fn default() -> Self {
        Self {
            roots: None,
            own: None,
            versions: rustls::ALL_VERSIONS,
            name: "localhost",
        }
    }
}

/// A connection over whatever it is.
pub struct Connection<S> {
    pub stream: S,
    unread: String,
}

pub type Secure = Connection<StreamOwned<ClientConnection, TcpStream>>;

/// Connects and carries the handshake to its end.
pub fn secure(address: SocketAddr, how: &How<'_>) -> io::Result<Secure> {
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
            .with_client_auth_cert(vec![own.certificate.clone()], own.key())
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(how.name).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = tcp(address);
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(Connection::over(StreamOwned::new(connection, stream)))
}

/// Connects without TLS.
pub fn plain(address: SocketAddr) -> Connection<TcpStream> {
    Connection::over(tcp(address))
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl<S: Read + Write> Connection<S> {
    pub fn over(stream: S) -> Self {
        Self {
            stream,
            unread: String::new(),
        }
    }

    pub fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("it reads");
        self.stream.flush().expect("it reads");
    }

    /// Reads a whole message that has this in it; what came before is passed over. `None`
    /// at the end of the stream.
    pub fn message(&mut self, with: &str) -> Option<String> {
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
    pub fn closed(&mut self) {
        assert_eq!(self.message("something else"), None);
    }

    /// Sends a bodiless SEND; the code of its answer, if one comes.
    pub fn bind(&mut self, to: &str, from: &str) -> Option<String> {
        self.write(&format!(
            "MSRP bind1234 SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n\
             Message-ID: mbind\r\nByte-Range: 1-0/0\r\n-------bind1234$\r\n"
        ));
        let answer = self.message("MSRP bind1234 ")?;
        answer.split(' ').nth(2).map(str::to_owned)
    }

    /// Says something to the room.
    pub fn say(&mut self, to: &str, from: &str, user: &str, room: &str, text: &str) {
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

/// Believes everybody.
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
