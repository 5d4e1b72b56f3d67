//! Causes of refusals, in one table: status code, text of the Warning header, time after which the
//! caller may try again, and remedy for the operator. Answers, the log and the table in
//! `docs/troubleshooting.md` come from it.

use std::fmt;

/// The table row of a cause.
#[derive(Debug)]
pub(in crate::focus) struct Row {
    /// Status code (RFC 3261 §21).
    pub(in crate::focus) code: u16,
    /// Seconds for Retry-After (RFC 3261 §20.33), or none.
    pub(in crate::focus) retry_after: Option<u8>,
    /// Text of the Warning. Empty: no Warning; [`DETAIL`]: the refusal has its own text.
    pub(in crate::focus) text: &'static str,
    /// Remedy for the operator, in `docs/troubleshooting.md`.
    pub(in crate::focus) remedy: &'static str,
}

/// Placeholder for a text that the refusal provides.
pub(in crate::focus) const DETAIL: &str = "…";

/// The caller may not retry automatically.
const NO: Option<u8> = None;
/// The obstacle is gone in a moment.
const SOON: Option<u8> = Some(10);
/// By then many ringing parties have answered or given up.
const LATER: Option<u8> = Some(60);

const CLIENT: &str = "a fault of the client, or of a proxy on the way: capture the request";
const NORMAL: &str = "nothing: it belongs to the protocol";
const LOAD: &str = "the log says more; if it comes often, [sizing.md](sizing.md)";
const STORE: &str = "the database's disk is slow or fails: the log, and \
                     [restart.md](restart.md#when-the-database-fails)";
const SWITCH: &str = "the log; with `msrp-switchd`, whether it runs: \
                      [msrp-switchd.md](msrp-switchd.md)";
const LEAD: &str = "`moderators=` and `invite=` of the room, or `role=moderator` in the script";
const MEMBERS: &str = "only who is in the room may: a client that does it too early, or under \
                       another address than it joined with";
const DIALOG: &str = "nothing, unless it comes often: then the script hands requests over that \
                      belong to another server, or the proxy was restarted without a database";
const TLS: &str = "[tls.md](tls.md), [browsers.md](browsers.md)";

macro_rules! table {
    ($($cause:ident $code:literal $retry:ident $text:tt $remedy:tt;)+) => {
        /// The cause of a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Cause {
            $(#[doc = concat!(stringify!($code), ": ", table!(@doc $text))] $cause,)+
        }

        /// Every cause, in the order of [`Cause`].
        pub(in crate::focus) const TABLE: &[Row] = &[$(Row {
            code: $code,
            retry_after: $retry,
            text: $text,
            remedy: $remedy,
        },)+];
    };
    (@doc $text:literal) => { $text };
    (@doc $text:tt) => { "what is wrong in particular" };
}

table! {
    MalformedMessage 400 NO DETAIL CLIENT;
    MalformedDialog 400 NO DETAIL CLIENT;
    MalformedBody 400 NO DETAIL CLIENT;
    MalformedDescription 400 NO DETAIL CLIENT;
    MalformedList 400 NO DETAIL CLIENT;
    MalformedPublication 400 NO DETAIL CLIENT;
    MalformedReferTo 400 NO DETAIL CLIENT;
    MalformedDialogReference 400 NO DETAIL CLIENT;
    MalformedRequestUri 400 NO "Malformed Request-URI" CLIENT;
    MalformedTo 400 NO "Malformed or Missing To" CLIENT;
    MalformedCallId 400 NO "Empty or Missing Call-ID" CLIENT;
    MalformedCseq 400 NO "Malformed or Missing CSeq" CLIENT;
    MalformedExpires 400 NO "Malformed Expires" CLIENT;
    MalformedSessionExpires 400 NO "Malformed Session-Expires" CLIENT;
    ReplacesAndJoin 400 NO "Replaces and Join" CLIENT;
    ReferenceOutsideInvite 400 NO "Replaces and Join are for INVITE" CLIENT;
    SeveralEntityTags 400 NO "one entity tag in SIP-If-Match" CLIENT;
    NothingPublished 400 NO "nothing is published" CLIENT;
    OtherConference 400 NO "a document of another conference" CLIENT;
    LongAddress 400 NO "the address is too long" CLIENT;
    NoIdentity 403 NO "the caller has no identity"
        "the pseudo-variable of `identity` is empty for this request, or is no SIP URI: \
         authenticate before `msrp_conference_handle()`";
    Denied 403 NO "not welcome in this room" "`deny=` of the room, or a ban: command `unban`";
    NotListed 403 NO "not on the list of this room" "`allow=` of the room";
    LeftOnPurpose 403 NO "left on purpose"
        "nothing: a client that has left this group comes back by an invitation";
    Removed 403 NO "removed from this room" "a moderator, or the command `expel`";
    FocusInFocus 403 NO "a conference cannot join a conference" "another room called this one";
    RoomInItself 403 NO "a room cannot join itself" "another address";
    TooManyRoomsOfUser 403 NO "too many rooms of this user"
        "one account has started 1,000 rooms that still run: what for?";
    LongList 403 NO "the list is too long" "`max_list_size`";
    HugeList 403 NO DETAIL "no list is that long: `max_list_size` says how long one may be";
    ListByModerators 403 NO "only moderators may invite a list" LEAD;
    AddByModerators 403 NO "only moderators may add somebody" LEAD;
    RemoveByModerators 403 NO "only moderators may remove somebody" LEAD;
    ReferByParticipants 403 NO "only participants may refer" MEMBERS;
    PublishByParticipants 403 NO "only participants may publish" MEMBERS;
    WatchByParticipants 403 NO "only participants may subscribe" "`subscribe=` of the room";
    ForeignDialog 403 NO "not a dialog of the caller"
        "the device to be replaced is another user's: `identity` names both differently";
    ForeignTargetDialog 403 NO "Target-Dialog names no dialog of the sender" CLIENT;
    SubscribeInInvite 403 NO "subscribe outside the INVITE dialog" CLIENT;
    SubscribeInRefer 403 NO "subscribe outside this dialog" CLIENT;
    SecondSubscription 403 NO "one subscription a dialog" CLIENT;
    ReferElsewhere 403 NO "refer outside this dialog, or in that of an INVITE" CLIENT;
    TooManySubscriptions 403 NO "too many subscriptions of this user"
        "a client that subscribes again and again without ending the old ones";
    TooManyPublications 403 NO "too many publications" CLIENT;
    NoRoom 404 NO "no such room"
        "spell it as in `room`, user **and** host; `adhoc` is `no`, or the script said `create=no`";
    ConferenceEnded 404 NO "the conference has ended" "nothing: the client starts a new group";
    NotInRoom 404 NO "not in the room" "the address as the roster shows it";
    UnknownMethod 405 NO "" NORMAL;
    TypeNotTaken 406 NO "" "the client does not take conference-info documents";
    UnknownEntityTag 412 NO "" NORMAL;
    LargePublication 413 NO "" CLIENT;
    NoSpaceForPublication 413 NO "the room has no space for this publication" CLIENT;
    LongPublication 413 NO "too many entries in a list of the publication" CLIENT;
    UnknownBody 415 NO "" "the answer's Accept lists what is taken";
    UnknownEncoding 415 NO "" "the answer's Accept-Encoding lists what is taken";
    UnknownScheme 416 NO "" "rooms and people have `sip:` addresses here";
    TelephoneOnList 416 NO "a tel: URI on the list" "people are invited by `sip:` addresses";
    UnknownExtension 420 NO "" "the client requires an extension: the answer's Unsupported names it";
    ShortSessionTimer 422 NO "" "`min_se`; the client tries again by itself";
    ShortSubscription 423 NO "" NORMAL;
    Locked 480 NO "the room is locked" "a moderator or the command `lock` unlocks it";
    TooManyRinging 480 LATER "too many invitations of this user are under way"
        "it is over in a minute; `max_list_size` sets how many";
    TooManyInvitations 480 LATER "too many invitations by this user"
        "twice `max_list_size` a minute, and no less than 50: somebody calls the world";
    NoDialog 481 NO "" DIALOG;
    EarlyDialog 481 NO "the dialog is early" NORMAL;
    Merged 482 NO ""
        "the request came by two ways: look for a loop, or a fork that leads here twice";
    RoomFull 486 NO "the room is full" "`max=` of the room, or `max_participants`";
    TooManyDevices 486 NO "too many devices of this user"
        "16 at a time: a client that joins again and again without leaving";
    TooManyWatchers 486 SOON "too many watch this room"
        "10,000 who are not in: `subscribe=participants` for this room";
    ConfirmedDialog 486 NO "the dialog is confirmed" NORMAL;
    Cancelled 487 NO "" NORMAL;
    // Problems of streams, in the order of the checks: of several, `offer_answer` reports the last
    // in this order.
    NoMessageStream 488 NO "no m=message stream over MSRP" "the client offers no MSRP chat";
    TlsNotOffered 488 NO "MSRP over TLS is not offered here, use TCP/MSRP" TLS;
    OnlyTls 488 NO "only MSRP over TLS is taken here, use TCP/TLS/MSRP" TLS;
    NoCpim 488 NO "a=accept-types must allow message/cpim"
        "the client knows plain text only: `plain_text=yes` of the room";
    NoPath 488 NO "a=path is missing or malformed" CLIENT;
    NoTarget 488 NO "a=path names no host and port to connect to by TCP" CLIENT;
    NoFingerprint 488 NO "a=fingerprint with SHA-256, SHA-384 or SHA-512 is needed" TLS;
    RewrittenAddress 488 NO
        "the c= and m= lines are not the address in a=path, and there is no a=msrp-cema"
        "a media relay or border controller rewrites the SDP: leave MSRP out of it \
         ([nat.md](nat.md))";
    NoListener 488 NO "no MSRP listener is of an address family of this client"
        "it speaks IPv4 and every listener is IPv6, or the other way round: one `listen` of each";
    UnknownPackage 489 NO "" NORMAL;
    Glare 491 NO "" NORMAL;
    Pending 500 NO "" NORMAL;
    Disordered 500 NO "CSeq out of order" CLIENT;
    OtherReferMethod 501 NO "Refer-To may ask for INVITE and BYE" CLIENT;
    Stopping 503 SOON "shutting down" "nothing: the proxy is stopping";
    Ending 503 SOON "the call ends" "nothing: the room, or this stay in it, was ended just then";
    TooManyConferences 503 SOON "too many conferences" "`max_conferences`";
    TooManyReferrals 503 SOON "too many REFERs under way" LOAD;
    StoreBehind 503 SOON "the database does not keep up" STORE;
    StoreSilent 503 SOON "the database does not answer" STORE;
    StoreUnreadable 503 SOON "the database cannot be read" STORE;
    SwitchUnknown 503 SOON "the switch is not there yet" SWITCH;
    SwitchSilent 503 SOON "the switch does not answer" SWITCH;
    SwitchRefuses 503 SOON "the switch takes nobody in" SWITCH;
}

impl Cause {
    pub(in crate::focus) fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The status code.
    pub fn code(self) -> u16 {
        self.row().code
    }

    /// Whether it is normal for the protocol and of no interest to an operator.
    pub(in crate::focus) fn is_ordinary(self) -> bool {
        self.row().remedy == NORMAL
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { code, text, .. } = self.row();
        match *text {
            "" | DETAIL => f.write_str(crate::wire::sip::reason(*code)),
            text => f.write_str(text),
        }
    }
}

impl std::error::Error for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table between the marks in `docs/troubleshooting.md`. Causes with the same code and
    /// remedy share a row, and so do all that are normal for the protocol.
    fn page() -> String {
        let mut rows: Vec<(String, Vec<&str>, &str)> = Vec::new();
        let (ordinary, others): (Vec<&Row>, Vec<&Row>) =
            TABLE.iter().partition(|row| row.remedy == NORMAL);
        for row in others {
            let code = row.code.to_string();
            match rows.last_mut() {
                Some((last, texts, of)) if *last == code && *of == row.remedy => {
                    texts.push(row.text);
                }
                _ => rows.push((code, vec![row.text], row.remedy)),
            }
        }
        let mut codes: Vec<_> = ordinary.iter().map(|row| row.code.to_string()).collect();
        codes.dedup();
        let texts = ordinary.iter().map(|row| row.text).collect();
        rows.push((codes.join(", "), texts, NORMAL));
        let rows = rows.into_iter().map(|(code, texts, remedy)| {
            let mut texts: Vec<_> = texts.into_iter().map(shown).collect();
            texts.dedup();
            format!("| {code} | {} | {remedy} |\n", texts.join(", "))
        });
        let head = "| code | Warning | do |\n| --- | --- | --- |\n".to_owned();
        head + &rows.collect::<String>()
    }

    fn shown(text: &str) -> String {
        match text {
            "" => "(none)".to_owned(),
            DETAIL => "(what is malformed or too large)".to_owned(),
            text => format!("`{text}`"),
        }
    }

    #[test]
    fn troubleshooting_lists_every_cause() {
        const FROM: &str = "<!-- written by UPDATE_DOCS=1 cargo test troubleshooting -->\n";
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md");
        let text = std::fs::read_to_string(file).unwrap();
        let (head, rest) = text.split_once(FROM).expect("the first mark");
        let (_, tail) = rest.split_once("<!-- end -->").expect("the second mark");
        let fresh = format!("{head}{FROM}{}<!-- end -->{tail}", page());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(file, &fresh).unwrap();
        } else {
            assert!(
                text == fresh,
                "run UPDATE_DOCS=1 cargo test troubleshooting"
            );
        }
    }

    #[test]
    fn causes_are_told_apart_by_their_texts() {
        let mut texts = std::collections::BTreeSet::new();
        for row in TABLE {
            assert!((400..700).contains(&row.code), "{row:?}");
            assert!(!row.text.contains(['"', '\\']), "stands in quotes: {row:?}");
            assert!(
                row.remedy.len() > 10 && !row.remedy.contains('|'),
                "{row:?}"
            );
            let said = !matches!(row.text, "" | DETAIL);
            assert!(!said || texts.insert(row.text), "twice: {row:?}");
            let busy = row.code == 503;
            assert!(
                !busy || row.retry_after.is_some(),
                "RFC 3261 §20.33: {row:?}"
            );
        }
        assert_eq!(Cause::MalformedMessage.row().text, DETAIL);
        assert_eq!(
            Cause::SwitchRefuses.to_string(),
            "the switch takes nobody in"
        );
        assert_eq!(Cause::Merged.to_string(), "Loop Detected");
    }
}
