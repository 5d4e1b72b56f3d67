//! A large message on its way to one session.

use std::collections::VecDeque;

use crate::switch::ids::StreamKey;

/// One large message for one receiver.
#[derive(Debug)]
pub(in crate::switch) struct LargeCopy {
    pub(in crate::switch) stream: StreamKey,
    /// Number of its Message-ID, the same for every chunk (C24).
    pub(in crate::switch) message: u64,
    /// The length its sender announced.
    pub(in crate::switch) announced: Option<u64>,
    /// Octets of it that are written or skipped.
    pub(in crate::switch) sent: u64,
    /// For plain-text clients: the text to put in front, and the offset where the content begins.
    pub(in crate::switch) text: Option<(Box<str>, u64)>,
    /// The SEND that is open: number of its transaction, offset of its first octet.
    pub(in crate::switch) chunk: Option<(u64, u64)>,
    /// Numbers of the last transactions.
    pub(in crate::switch) recent: VecDeque<u64>,
    /// It has been aborted; the receiver must still get its end.
    pub(in crate::switch) aborted: bool,
}

impl LargeCopy {
    /// `text`: for plain-text clients, the text to put in front, and the offset where the content
    /// begins.
    pub(in crate::switch) fn new(
        stream: StreamKey,
        message: u64,
        announced: Option<u64>,
        text: Option<(Box<str>, u64)>,
    ) -> Self {
        Self {
            stream,
            message,
            announced,
            sent: text.as_ref().map_or(0, |(_, content)| *content),
            text,
            chunk: None,
            recent: VecDeque::new(),
            aborted: false,
        }
    }

    /// The position of the message's octet `at` in this receiver's copy, which starts with the
    /// opening.
    pub(in crate::switch) fn place(&self, at: u64) -> u64 {
        match &self.text {
            Some((opening, content)) if at > *content => at - content + opening.len() as u64,
            Some(_) => 0,
            None => at,
        }
    }

    /// Whether the receiver has any part of it.
    pub(in crate::switch) fn has_begun(&self) -> bool {
        self.place(self.sent) > 0 || self.chunk.is_some()
    }

    /// Whether a transaction or Message-ID of this number is about it.
    pub(in crate::switch) fn is_about(&self, number: u64) -> bool {
        self.message == number || self.recent.contains(&number)
    }
}
