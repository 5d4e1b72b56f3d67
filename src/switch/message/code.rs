//! Status codes of RFC 4975 §10, RFC 7701 §6 and RFC 4976, in one table: number, comment, and
//! remedy for the operator. The table in `docs/troubleshooting.md` is made from it.

/// The table's entry for an answer.
struct Row {
    number: u16,
    /// The comment after the number in responses and reports.
    comment: &'static str,
    /// The operator's remedy.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the documentation"))]
    remedy: &'static str,
}

const CLIENT: &str = "a fault of the client: capture its connection";
const BOUND: &str = "[sizing.md](sizing.md); statistic `unfinished_dropped`: its session or \
                     connection held more unfinished messages than its share";

macro_rules! table {
    ($($(#[$meta:meta])* $code:ident $number:literal $comment:literal $remedy:tt;)+) => {
        /// The answer to a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::switch) enum Code {
            $($(#[$meta])* $code,)+
        }

        const TABLE: &[Row] = &[$(Row {
            number: $number,
            comment: $comment,
            remedy: $remedy,
        },)+];
    };
}

table! {
    Ok 200 "OK" "nothing";
    BadRequest 400 "Bad Request" CLIENT;
    /// The peer may only listen.
    MayNotSend 403 "Not Allowed To Send"
        "an observer: `observers=` of the room, or `role` in the script or a command";
    ForeignFrom 403 "From Is Not The Sender"
        "the client calls itself otherwise than `identity` says: `msrp-chat check` names both; the \
         realm in the script must be the users' domain";
    SeveralRecipients 403 "More Than One Recipient" CLIENT;
    NoPrivateMessagesHere 403 "No Private Messages In This Room" "`private=no` of the room";
    NotReceiving 403 "Recipient Receives Nothing"
        "the recipient has put the room on hold, or only sends";
    NoNicknamesHere 403 "No Nicknames In This Room" "`nickname=no` of the room";
    NotFound 404 "Recipient Not Found" "nobody of that address is in the room";
    /// The rest of a chunked message did not arrive.
    TooLate 408 "The Rest Did Not Come In Time"
        "`chunk_timeout`: nobody got the message, or only its beginning";
    TooLarge 413 "Message Too Large"
        "`max_message_size`, or for a private message the recipient's own limit";
    /// The session has too many messages in progress.
    TooMany 413 "Too Many Unfinished Messages"
        "a client ends one message before it begins eight others";
    /// The memory that the message takes is needed for others.
    LetGo 413 "Unfinished For Too Long" BOUND;
    UnsupportedMedia 415 "Unsupported Media Type"
        "the room takes message/cpim; for plain text `plain_text=yes`; a private message of a type \
         that no client of the recipient takes";
    MalformedNickname 424 "Malformed Nickname" "another nickname";
    NicknameTaken 425 "Nickname Reserved Or Already In Use"
        "another nickname; for a while after somebody has left theirs is kept";
    NoPrivateMessages 428 "Private Messages Not Supported"
        "the recipient's client says so in its SDP: `a=chatroom` without `private-messages`; a \
         client without `a=chatroom` is given them";
    NoSession 481 "Session Does Not Exist"
        "the session-id of the `a=path` in the answer must stand in To-Path; or the session has \
         ended";
    NotImplemented 501 "Not Implemented" CLIENT;
    BoundElsewhere 506 "Session Bound To Another Connection" CLIENT;
}

impl Code {
    /// Number and comment.
    pub(in crate::switch) fn line(self) -> (u16, &'static str) {
        let Row {
            number, comment, ..
        } = TABLE[self as usize];
        (number, comment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn msrp_codes_are_in_troubleshooting() {
        const FROM: &str = "<!-- written by UPDATE_DOCS=1 cargo test msrp_codes -->\n";
        let rows = TABLE.iter().filter(|row| row.number != 200).map(|row| {
            let Row {
                number,
                comment,
                remedy,
            } = row;
            format!("| {number} | `{comment}` | {remedy} |\n")
        });
        let head = "| code | comment | do |\n| --- | --- | --- |\n".to_owned();
        let table = head + &rows.collect::<String>();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md");
        let text = std::fs::read_to_string(file).unwrap();
        let (before, rest) = text.split_once(FROM).expect("the first mark");
        let (_, after) = rest.split_once("<!-- end -->").expect("the second mark");
        let fresh = format!("{before}{FROM}{table}<!-- end -->{after}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(file, &fresh).unwrap();
        } else {
            assert!(text == fresh, "run UPDATE_DOCS=1 cargo test msrp_codes");
        }
        let numbers: Vec<_> = TABLE.iter().map(|row| row.number).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
}
