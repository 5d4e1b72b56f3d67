//! What a request is answered.

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::switch) enum Code {
    Ok,
    BadRequest,
    Forbidden,
    NotFound,
    TooLarge,
    /// Of a message that came in chunks: the rest of it did not.
    TooLate,
    /// The session has too many messages under way.
    TooMany,
    /// Others need the room that what has come of it takes.
    LetGo,
    UnsupportedMedia,
    MalformedNickname,
    NicknameTaken,
    NoPrivateMessages,
    NoSession,
    NotImplemented,
    BoundElsewhere,
}

impl Code {
    /// Number and comment.
    pub(in crate::switch) fn line(self) -> (u16, &'static str) {
        match self {
            Code::Ok => (200, "OK"),
            Code::BadRequest => (400, "Bad Request"),
            Code::Forbidden => (403, "Forbidden"),
            Code::NotFound => (404, "Recipient Not Found"),
            Code::TooLarge => (413, "Message Too Large"),
            Code::TooLate => (408, "The Rest Did Not Come In Time"),
            Code::TooMany => (413, "Too Many Unfinished Messages"),
            Code::LetGo => (413, "Unfinished For Too Long"),
            Code::UnsupportedMedia => (415, "Unsupported Media Type"),
            Code::MalformedNickname => (424, "Malformed Nickname"),
            Code::NicknameTaken => (425, "Nickname Reserved Or Already In Use"),
            Code::NoPrivateMessages => (428, "Private Messages Not Supported"),
            Code::NoSession => (481, "Session Does Not Exist"),
            Code::NotImplemented => (501, "Not Implemented"),
            Code::BoundElsewhere => (506, "Session Bound To Another Connection"),
        }
    }
}
