//! Frames: four octets of length, most significant first, then one message in postcard.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::limits::MAX_FRAME;

const LENGTH_OCTETS: usize = 4;

/// Why octets are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is longer than allowed.
    #[error("a frame of {0} octets is too long")]
    TooLong(usize),
    /// Its content is not a message of this version.
    #[error("a frame that cannot be read")]
    Malformed,
}

/// Appends a message as a frame.
///
/// # Errors
/// It is longer than [`MAX_FRAME`]; nothing is appended then.
pub fn encode<T: Serialize>(message: &T, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let payload = postcard::to_stdvec(message).map_err(|_| FrameError::Malformed)?;
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|_| payload.len() <= MAX_FRAME)
        .ok_or(FrameError::TooLong(payload.len()))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&payload);
    Ok(())
}

/// Collects octets as they arrive, and splits them into messages.
#[derive(Debug, Default)]
pub struct Frames {
    octets: Vec<u8>,
    /// Octets of `octets` already consumed.
    used: usize,
}

impl Frames {
    /// Appends received octets.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.drain(..self.used);
        self.used = 0;
        self.octets.extend_from_slice(octets);
    }

    /// The next message; `None` until more octets arrive. The length alone is enough to refuse a
    /// frame longer than `most` octets.
    ///
    /// # Errors
    /// The stream cannot be read any further.
    pub fn next<T: DeserializeOwned>(&mut self, most: usize) -> Result<Option<T>, FrameError> {
        let rest = self.octets.get(self.used..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_OCTETS>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > most.min(MAX_FRAME) {
            return Err(FrameError::TooLong(length));
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        match postcard::take_from_bytes(payload) {
            Ok((message, [])) => {
                self.used += LENGTH_OCTETS + length;
                Ok(Some(message))
            }
            _ => Err(FrameError::Malformed),
        }
    }
}
