//! Writing `multipart/mixed`.

use super::read::is_boundary;
use bytes::Bytes;
use memchr::memmem;

/// The reason why a boundary cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundaryError {
    /// RFC 2046 §5.1.1 does not allow it as a boundary.
    #[error("not a boundary")]
    Malformed,
    /// A part contains it: choose another.
    #[error("the boundary stands in a part")]
    InPart,
}

/// A part to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingPart<'a> {
    /// Value of Content-Type.
    pub content_type: &'a str,
    /// Value of Content-Disposition.
    pub disposition: Option<&'a str>,
    /// The content.
    pub body: &'a [u8],
}

/// Writes the parts; returns the value of Content-Type and the body. Header values are ours and
/// must not contain a line end: text after one is cut off.
pub fn write(parts: &[OutgoingPart<'_>], boundary: &str) -> Result<(String, Bytes), BoundaryError> {
    if !is_boundary(boundary) {
        return Err(BoundaryError::Malformed);
    }
    let delimiter = format!("--{boundary}");
    let mut body = Vec::new();
    for part in parts {
        if memmem::find(part.body, delimiter.as_bytes()).is_some() {
            return Err(BoundaryError::InPart);
        }
        let field = |name: &str, value: &str| {
            format!("{name}: {}\r\n", value.lines().next().unwrap_or_default())
        };
        body.extend_from_slice(format!("{delimiter}\r\n").as_bytes());
        body.extend_from_slice(field("Content-Type", part.content_type).as_bytes());
        if let Some(disposition) = part.disposition {
            body.extend_from_slice(field("Content-Disposition", disposition).as_bytes());
        }
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(part.body);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("{delimiter}--\r\n").as_bytes());
    Ok((
        format!("multipart/mixed;boundary=\"{boundary}\""),
        body.into(),
    ))
}
