//! A web server that serves the built page of `web/` to this machine, and nothing else.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// The files of the page, and what they are.
const FILES: [(&str, &str); 5] = [
    ("index.html", "text/html; charset=utf-8"),
    ("page.js", "text/javascript"),
    ("page.css", "text/css"),
    ("icon.svg", "image/svg+xml"),
    ("config.json", "application/json"),
];
/// How long a browser may take for its request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The page, and the addresses of its room.
pub(crate) struct Site {
    folder: PathBuf,
    config: String,
}

impl Site {
    /// `None`: the page has not been built.
    pub(crate) fn new(folder: PathBuf, sip: u16) -> Option<Self> {
        let config = format!(
            "{{\"sip\": \"ws://127.0.0.1:{sip}/\", \"domain\": \"127.0.0.1\", \"room\": \"lobby\"}}"
        );
        let built = folder.join("page.js").exists();
        built.then_some(Self { folder, config })
    }

    /// Serves it on a port of the loopback interface for as long as the process lives.
    ///
    /// # Errors
    /// The port is taken.
    pub(crate) fn serve(self, port: u16) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A browser that disconnects early does not matter.
                let _ = self.answer(stream);
            }
        });
        Ok(())
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut lines = BufReader::new(&stream).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        for line in lines {
            if line?.is_empty() {
                break;
            }
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let name = if path == "/" { "/index.html" } else { path };
        let file = FILES.iter().find(|(file, _)| name.get(1..) == Some(*file));
        let Some((file, kind)) = file else {
            return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        };
        let octets = match *file {
            "config.json" => self.config.clone().into_bytes(),
            file => std::fs::read(self.folder.join(file))?,
        };
        let length = octets.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        )?;
        stream.write_all(&octets)
    }
}
