//! SDP as a list of lines (RFC 8866): nothing is lost between reading and writing.
//!
//! Tolerates LF line ends, a missing `s=`, `IN IP4 null`, unknown lines and attributes.

/// Why octets are no SDP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// No `v=0` first line, or not UTF-8.
    #[error("not a session description")]
    NotSdp,
    /// A line that is not `x=value`.
    #[error("malformed line {0}")]
    Line(usize),
    /// An `m=` line without media, port, protocol and format.
    #[error("malformed m= line")]
    Media,
}

/// `a=name` or `a=name:value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Name, as written.
    pub name: String,
    /// Value, `None` for a flag.
    pub value: Option<String>,
}

/// One `m=` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `message`, `audio`, …
    pub kind: String,
    /// Port; 0 refuses the stream.
    pub port: u16,
    /// `TCP/MSRP`, `TCP/TLS/MSRP`, …
    pub protocol: String,
    /// The formats, as written (`*`).
    pub formats: String,
    /// `c=` of this section, after `c=`.
    pub connection: Option<String>,
    /// Attributes in order.
    pub attributes: Vec<Attribute>,
    /// Other lines of the section (`i=`, `b=`, `k=`) as `(letter, value)`, in order.
    pub other: Vec<(char, String)>,
}

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `o=` after `o=`.
    pub origin: String,
    /// `s=`; `-` when absent.
    pub name: String,
    /// Session-level `c=`.
    pub connection: Option<String>,
    /// Session-level attributes.
    pub attributes: Vec<Attribute>,
    /// Other session-level lines in order, `t=` among them.
    pub other: Vec<(char, String)>,
    /// The media sections in order.
    pub media: Vec<Media>,
}

impl Description {
    /// Reads a description.
    pub fn parse(_octets: &[u8]) -> Result<Self, SdpError> {
        todo!()
    }
    /// Writes it with CRLF: v, o, s, other in order (t= included; `t=0 0` when absent), c
    /// where the grammar wants it, attributes, media.
    pub fn write(&self) -> String {
        todo!()
    }
}

impl Media {
    /// The first attribute of this name (without case): `Some(Some(value))`, `Some(None)`
    /// for a flag.
    pub fn attribute(&self, _name: &str) -> Option<Option<&str>> {
        todo!()
    }
}
