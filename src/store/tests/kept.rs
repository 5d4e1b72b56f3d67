//! One record of each kind, as the first release that stores them as JSON wrote it. These texts
//! never change: a new field of a record without a default fails here.

use serde::de::DeserializeOwned;

use crate::focus::RoomEntry;
use crate::focus::record::{EndpointRecord, Record};

const ROOM: &str = r#"{"uri":"sip:lobby@example.com","made":1000000,"rules":{
    "max_participants":7,"nicknames":false,"private_messages":true,
    "subscribe_participants_only":false,"moderators":["sip:alice@example.com","*@b"],
    "observers":[],"roles":[["sip:bob@b","observer"]],"allow":[],"deny":["sip:mallory@*"],
    "locked":true,"one_device":false,"only_moderators_invite":false,"lifetime":"creator",
    "only_tls":false,"plain_text":true,"history":50,
    "about":{"name":"The \"lobby\"","subject":null,"services":[["web-page","http://a/"]]}}}"#;

const CONFERENCE: &str = r#"{"room":"sip:lobby@example.com","rules":{
    "max_participants":7,"nicknames":false,"lifetime":"empty","locked":true,"history":50},
    "locked":false,"identity":{"subject":"s","contribution":null,"conversation":null},
    "creator":"sip:alice@example.com"}"#;

const PARTICIPANT: &str = r#"{"room":"sip:lobby@example.com","user":"sip:alice@example.com",
    "display":"","nickname":"Al","role":"participant","anonymous":null}"#;

const PUBLICATION: &str = r#"{"id":4,"room":"sip:lobby@example.com","tag":"t",
    "publisher":"sip:bob@example.com","unlimited":true,"document":"<é/>","expires":9}"#;

const ENDPOINT: &str = r#"{"id":1,"room":"sip:lobby@example.com","user":"sip:alice@example.com",
    "other_uris":["tel:+1201"],"display":"Alice 😀","entity":"sip:alice@192.0.2.7",
    "role":"moderator","anonymous":3,"joined":1700000000123,"dialed_out":true,"referred_by":null,
    "peer_updates":true,"has_referred":true,"session":"abc",
    "run":"fffffffffffffffffffffffffffffffa",
    "timer":{"agreement":{"interval":{"secs":1800,"nanos":0},"refresher":"us",
        "peer_supports":false},"by_update":true,"refresh":5,"expiry":6},
    "dialog":{"key":{"call_id":"call-1","local_tag":"l","remote_tag":""},
        "local_uri":"sip:lobby@example.com","remote_uri":"sip:alice@example.com",
        "remote_target":"sip:alice@192.0.2.7","route_set":["<sip:p1;lr>","<sip:p2;lr>"],
        "flow":"sip:192.0.2.7:5060","local_cseq":4294967295,"remote_cseq":3,
        "socket":{"handle":0,"transport":"udp","host":"[2001:db8::1]","port":65535},
        "contact":"sip:lobby@example.com"},
    "media":{"local":{"host":"h","port":2855,"own_uri":"msrp://h:2855/abc;tcp","secure":false,
            "fingerprint":null,"max_size":10,"nicknames":true,"private_messages":true,
            "plain_text":true,"observer":false},
        "origin":{"session":9,"version":2},"ours":"v=0\r\n",
        "theirs":{"index":0,"setup":"Passive","secure":false,"cema":true,"peer":{
            "path":["msrp://192.0.2.7:2855/a;tcp"],"accept_types":["message/cpim"],
            "accept_wrapped_types":[],"max_size":1099511627776,"chatroom":true,
            "private_messages":false,"plain_text":true,"one_send":false,"sends":true,
            "receives":false,"fingerprints":[],"dial":null}},
        "one_send":true}}"#;

/// An endpoint with the mandatory fields only.
const BARE_ENDPOINT: &str = r#"{"id":2,"room":"sip:lobby@example.com",
    "user":"sip:alice@example.com","other_uris":[],"display":"","entity":"e","role":"observer",
    "anonymous":null,"joined":0,"dialed_out":false,"referred_by":null,"peer_updates":false,
    "has_referred":false,"session":null,"run":null,"timer":null,
    "dialog":{"key":{"call_id":"call-3","local_tag":"l","remote_tag":"r"},
        "local_uri":"sip:lobby@example.com","remote_uri":"sip:alice@example.com",
        "remote_target":"sip:alice@192.0.2.7","route_set":[],"flow":null,"local_cseq":64,
        "remote_cseq":null,"socket":{"handle":0,"transport":"tcp","host":"h","port":5060},
        "contact":"sip:lobby@example.com"},
    "media":{"local":{"host":"h","port":2855,"own_uri":"msrps://h:2855/def;tcp","secure":true,
            "fingerprint":null,"max_size":10,"nicknames":true,"private_messages":true,
            "plain_text":true,"observer":true},
        "origin":{"session":10,"version":1},"ours":"v=0\r\n","theirs":null,"one_send":false}}"#;

const SUBSCRIPTION: &str = r#"{"id":12,"room":"sip:lobby@example.com",
    "user":"sip:bob@example.com","role":"observer","event_id":null,"expires":1800000000000,
    "rates":";max-rate=0.1","full_only":true,"version":128,
    "dialog":{"key":{"call_id":"call-2","local_tag":"l","remote_tag":"r"},
        "local_uri":"sip:lobby@example.com","remote_uri":"sip:bob@example.com",
        "remote_target":"sip:bob@192.0.2.8","route_set":[],"flow":null,"local_cseq":128,
        "remote_cseq":1,"socket":{"handle":0,"transport":"udp","host":"192.0.2.1","port":5060},
        "contact":"sip:lobby@example.com"}}"#;

const HELD_NICKNAME: &str = r#"{"room":"sip:lobby@example.com","user":"sip:dave@example.com",
    "nickname":"Dave 😀","until":1700000600123}"#;

const DEPARTED: &str = r#"{"room":"sip:lobby@example.com","user":"sip:carol@example.com"}"#;

fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A room that management made.
pub(super) fn entry() -> RoomEntry {
    read(ROOM)
}

/// An endpoint with this number.
pub(super) fn endpoint(id: u64) -> Record {
    let record: EndpointRecord = read(ENDPOINT);
    Record::Endpoint(Box::new(EndpointRecord { id, ..record }))
}

/// One record of each kind of the running state, with every field set one way or the other.
pub(super) fn everything() -> Vec<Record> {
    vec![
        Record::Conference(read(CONFERENCE)),
        Record::Participant(read(PARTICIPANT)),
        Record::Publication(read(PUBLICATION)),
        Record::Endpoint(read(ENDPOINT)),
        Record::Endpoint(read(BARE_ENDPOINT)),
        Record::Subscription(read(SUBSCRIPTION)),
        Record::HeldNickname(read(HELD_NICKNAME)),
        Record::Departed(read(DEPARTED)),
        Record::LastAnonymous(64),
    ]
}
