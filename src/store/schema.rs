//! The tables, version by version. `user_version` counts the steps applied to a file; opening a
//! file applies the missing ones, in one transaction.

/// Marks a file as ours (`PRAGMA application_id`): "MSRP".
pub(super) const APPLICATION_ID: i32 = 0x4D53_5250;

/// Every step ever released, oldest first. A released step never changes; new ones follow it.
pub(super) const STEPS: &[&str] = &[
    FIRST,
    HELD_NICKNAMES,
    HISTORY,
    ONLY_WHAT_WAS_AGREED,
    OTHER_URIS,
    DEPARTED,
    DECISIONS,
    RECORDS,
];

/// The tables of the running state, in the order of reading. Rooms and their histories do not
/// belong to it: they stay when the state is rewritten.
pub(super) const STATE: [&str; 8] = [
    "conferences",
    "participants",
    "publications",
    "endpoints",
    "subscriptions",
    "held_nicknames",
    "left_by_bye",
    "counters",
];

/// Moments are milliseconds since 1970. Before [`RECORDS`] every field is a column of its own.
const FIRST: &str = "
CREATE TABLE rooms (
    uri TEXT NOT NULL PRIMARY KEY,
    max_participants INTEGER,
    nicknames INTEGER NOT NULL,
    private_messages INTEGER NOT NULL,
    subscribe_participants_only INTEGER NOT NULL,
    moderators TEXT NOT NULL,
    observers TEXT NOT NULL,
    roles TEXT NOT NULL,
    allow TEXT NOT NULL,
    deny TEXT NOT NULL,
    locked INTEGER NOT NULL,
    one_device INTEGER NOT NULL,
    only_moderators_invite INTEGER NOT NULL,
    lifetime TEXT NOT NULL,
    only_tls INTEGER NOT NULL,
    plain_text INTEGER NOT NULL,
    name TEXT,
    subject TEXT,
    services TEXT NOT NULL,
    made INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE conferences (
    room TEXT NOT NULL PRIMARY KEY,
    max_participants INTEGER,
    nicknames INTEGER NOT NULL,
    private_messages INTEGER NOT NULL,
    subscribe_participants_only INTEGER NOT NULL,
    moderators TEXT NOT NULL,
    observers TEXT NOT NULL,
    roles TEXT NOT NULL,
    allow TEXT NOT NULL,
    deny TEXT NOT NULL,
    starts_locked INTEGER NOT NULL,
    one_device INTEGER NOT NULL,
    only_moderators_invite INTEGER NOT NULL,
    lifetime TEXT NOT NULL,
    only_tls INTEGER NOT NULL,
    plain_text INTEGER NOT NULL,
    name TEXT,
    about TEXT,
    services TEXT NOT NULL,
    made INTEGER,
    locked INTEGER NOT NULL,
    subject TEXT,
    contribution TEXT,
    conversation TEXT,
    creator TEXT,
    left_by_bye TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE participants (
    room TEXT NOT NULL,
    user TEXT NOT NULL,
    display TEXT NOT NULL,
    nickname TEXT,
    role TEXT NOT NULL,
    anonymous INTEGER,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE publications (
    id INTEGER NOT NULL PRIMARY KEY,
    room TEXT NOT NULL,
    tag TEXT NOT NULL,
    publisher TEXT NOT NULL,
    unlimited INTEGER NOT NULL,
    document BLOB NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX publications_of_room ON publications (room);

CREATE TABLE endpoints (
    id INTEGER NOT NULL PRIMARY KEY,
    room TEXT NOT NULL,
    user TEXT NOT NULL,
    display TEXT NOT NULL,
    entity TEXT NOT NULL,
    role TEXT NOT NULL,
    anonymous INTEGER,
    joined INTEGER NOT NULL,
    dialed_out INTEGER NOT NULL,
    referred_by TEXT,
    peer_updates INTEGER NOT NULL,
    has_referred INTEGER NOT NULL,
    session TEXT,
    switch_run BLOB,
    timer_interval INTEGER,
    timer_ours INTEGER,
    timer_supported INTEGER,
    timer_by_update INTEGER,
    timer_refresh INTEGER,
    timer_expires INTEGER,
    sdp_local TEXT NOT NULL,
    one_send INTEGER NOT NULL,
    sdp_session INTEGER NOT NULL,
    sdp_version INTEGER NOT NULL,
    sdp_ours TEXT NOT NULL,
    sdp_theirs TEXT,
    sdp_accepted TEXT,
    call_id TEXT NOT NULL,
    local_tag TEXT NOT NULL,
    remote_tag TEXT NOT NULL,
    local_uri TEXT NOT NULL,
    remote_uri TEXT NOT NULL,
    remote_target TEXT NOT NULL,
    route_set TEXT NOT NULL,
    flow TEXT,
    local_cseq INTEGER NOT NULL,
    remote_cseq INTEGER NOT NULL,
    socket_transport TEXT NOT NULL,
    socket_host TEXT NOT NULL,
    socket_port INTEGER NOT NULL,
    contact TEXT NOT NULL
) STRICT;

CREATE TABLE subscriptions (
    id INTEGER NOT NULL PRIMARY KEY,
    room TEXT NOT NULL,
    user TEXT NOT NULL,
    role TEXT,
    event_id TEXT,
    expires INTEGER NOT NULL,
    rates TEXT NOT NULL,
    full_only INTEGER NOT NULL,
    version INTEGER NOT NULL,
    call_id TEXT NOT NULL,
    local_tag TEXT NOT NULL,
    remote_tag TEXT NOT NULL,
    local_uri TEXT NOT NULL,
    remote_uri TEXT NOT NULL,
    remote_target TEXT NOT NULL,
    route_set TEXT NOT NULL,
    flow TEXT,
    local_cseq INTEGER NOT NULL,
    remote_cseq INTEGER NOT NULL,
    socket_transport TEXT NOT NULL,
    socket_host TEXT NOT NULL,
    socket_port INTEGER NOT NULL,
    contact TEXT NOT NULL
) STRICT;
";

/// Nicknames of users who have left.
const HELD_NICKNAMES: &str = "
CREATE TABLE held_nicknames (
    room TEXT NOT NULL,
    user TEXT NOT NULL,
    nickname TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;
";

/// The last messages of rooms (room option `history`). A room's rows lie together, so that reading,
/// adding and trimming touch few pages.
const HISTORY: &str = "
ALTER TABLE rooms ADD COLUMN history INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conferences ADD COLUMN history INTEGER NOT NULL DEFAULT 0;

CREATE TABLE history (
    room TEXT NOT NULL,
    number INTEGER NOT NULL,
    message BLOB NOT NULL,
    PRIMARY KEY (room, number)
) STRICT, WITHOUT ROWID;
";

/// Keeps the meaning of a peer's description (`sdp_accepted`), not its text.
const ONLY_WHAT_WAS_AGREED: &str = "
ALTER TABLE endpoints DROP COLUMN sdp_theirs;
";

/// Further addresses that a participant may use for themselves.
const OTHER_URIS: &str = "
ALTER TABLE endpoints ADD COLUMN other_uris TEXT NOT NULL DEFAULT '[]';
";

/// Users who left by BYE get rows of their own, so that one more is one row. Counters that no run
/// may restart get a table.
const DEPARTED: &str = "
CREATE TABLE left_by_bye (
    room TEXT NOT NULL,
    user TEXT NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO left_by_bye
    SELECT room, value FROM conferences, json_each(conferences.left_by_bye);
ALTER TABLE conferences DROP COLUMN left_by_bye;

CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Management's decisions about rooms of the configuration. Earlier rows were copies of the whole
/// entries: their roles, bans and locks are kept. The parts that came from the configuration can no
/// longer be told apart; this lets nobody in.
const DECISIONS: &str = "
CREATE TABLE decisions (
    uri TEXT NOT NULL PRIMARY KEY,
    roles TEXT NOT NULL,
    denied TEXT NOT NULL,
    undenied TEXT NOT NULL,
    locked INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO decisions
    SELECT uri, roles, deny, '[]', CASE locked WHEN 1 THEN 1 END FROM rooms WHERE made IS NULL;
DELETE FROM rooms WHERE made IS NULL;
";

/// The rules of a room as JSON, from columns of the old tables; two differ in name.
macro_rules! rules {
    ($locked:literal, $subject:literal) => {
        concat!(
            "    'rules', json_object(
        'max_participants', max_participants,
        'nicknames', json(iif(nicknames, 'true', 'false')),
        'private_messages', json(iif(private_messages, 'true', 'false')),
        'subscribe_participants_only', json(iif(subscribe_participants_only, 'true', 'false')),
        'moderators', json(iif(json_valid(moderators), moderators, 'null')),
        'observers', json(iif(json_valid(observers), observers, 'null')),
        'roles', json(iif(json_valid(roles), roles, 'null')),
        'allow', json(iif(json_valid(allow), allow, 'null')),
        'deny', json(iif(json_valid(deny), deny, 'null')),
        'locked', json(iif(",
            $locked,
            ", 'true', 'false')),
        'one_device', json(iif(one_device, 'true', 'false')),
        'only_moderators_invite', json(iif(only_moderators_invite, 'true', 'false')),
        'lifetime', lifetime,
        'only_tls', json(iif(only_tls, 'true', 'false')),
        'plain_text', json(iif(plain_text, 'true', 'false')),
        'history', history,
        'about', json_object('name', name, 'subject', ",
            $subject,
            ", 'services', json(iif(json_valid(services), services, 'null')))
    )"
        )
    };
}

/// A dialog as JSON, from columns of the old tables.
macro_rules! dialog {
    () => {
        "    'dialog', json_object(
        'key', json_object('call_id', call_id, 'local_tag', local_tag, 'remote_tag', remote_tag),
        'local_uri', local_uri, 'remote_uri', remote_uri, 'remote_target', remote_target,
        'route_set', json(iif(json_valid(route_set), route_set, 'null')), 'flow', flow,
        'local_cseq', local_cseq, 'remote_cseq', nullif(remote_cseq, 0),
        'socket', json_object('handle', 0, 'transport', socket_transport,
            'host', socket_host, 'port', socket_port),
        'contact', contact)"
    };
}

/// Every record is JSON in one column, beside the columns of its key. A list that is not valid JSON
/// becomes `null`, and its row is unreadable then.
const RECORDS: &str = concat!(
    "
ALTER TABLE rooms RENAME TO old_rooms;
CREATE TABLE rooms (
    uri TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO rooms SELECT uri, json_object(
    'uri', uri,
    'made', made * 1000,
",
    rules!("locked", "subject"),
    ") FROM old_rooms;
DROP TABLE old_rooms;

ALTER TABLE decisions RENAME TO old_decisions;
CREATE TABLE decisions (
    uri TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO decisions SELECT uri, json_object(
    'uri', uri, 'roles', json(iif(json_valid(roles), roles, 'null')),
    'denied', json(iif(json_valid(denied), denied, 'null')),
    'undenied', json(iif(json_valid(undenied), undenied, 'null')),
    'locked', json(iif(locked IS NULL, 'null', iif(locked, 'true', 'false')))
    ) FROM old_decisions;
DROP TABLE old_decisions;

ALTER TABLE conferences RENAME TO old_conferences;
CREATE TABLE conferences (
    room TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO conferences SELECT room, json_object(
    'room', room,
    'locked', json(iif(locked, 'true', 'false')),
    'creator', creator,
    'identity', json_object('subject', subject, 'contribution', contribution,
        'conversation', conversation),
",
    rules!("starts_locked", "about"),
    ") FROM old_conferences;
DROP TABLE old_conferences;

ALTER TABLE participants RENAME TO old_participants;
CREATE TABLE participants (
    room TEXT NOT NULL,
    user TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;
INSERT INTO participants SELECT room, user, json_object(
    'room', room, 'user', user, 'display', display, 'nickname', nickname, 'role', role,
    'anonymous', anonymous) FROM old_participants;
DROP TABLE old_participants;

ALTER TABLE publications RENAME TO old_publications;
CREATE TABLE publications (
    room TEXT NOT NULL,
    id INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (room, id)
) STRICT, WITHOUT ROWID;
INSERT INTO publications SELECT room, id, json_object(
    'id', id, 'room', room, 'tag', tag, 'publisher', publisher,
    'unlimited', json(iif(unlimited, 'true', 'false')),
    'document', CAST(document AS TEXT), 'expires', expires) FROM old_publications;
DROP TABLE old_publications;

ALTER TABLE endpoints RENAME TO old_endpoints;
CREATE TABLE endpoints (
    id INTEGER NOT NULL PRIMARY KEY,
    record TEXT NOT NULL,
    dialog TEXT AS (record -> '$.dialog'),
    media TEXT AS (record -> '$.media'),
    timer TEXT AS (record -> '$.timer')
) STRICT;
INSERT INTO endpoints SELECT id, json_object(
    'id', id, 'room', room, 'user', user,
    'other_uris', json(iif(json_valid(other_uris), other_uris, 'null')),
    'display', display, 'entity', entity, 'role', role, 'anonymous', anonymous, 'joined', joined,
    'dialed_out', json(iif(dialed_out, 'true', 'false')),
    'referred_by', referred_by,
    'peer_updates', json(iif(peer_updates, 'true', 'false')),
    'has_referred', json(iif(has_referred, 'true', 'false')),
    'session', session, 'run', nullif(lower(hex(switch_run)), ''),
    'timer', json(iif(timer_interval IS NULL OR timer_expires IS NULL, 'null', json_object(
        'agreement', json_object(
            'interval', json_object('secs', timer_interval, 'nanos', 0),
            'refresher', iif(timer_ours, 'us', 'peer'),
            'peer_supports', json(iif(timer_supported, 'true', 'false'))),
        'by_update', json(iif(timer_by_update, 'true', 'false')),
        'refresh', timer_refresh, 'expiry', timer_expires))),
    'media', json_object(
        'local', json(iif(json_valid(sdp_local), sdp_local, 'null')),
        'origin', json_object('session', sdp_session, 'version', sdp_version),
        'ours', sdp_ours,
        'theirs', json(iif(json_valid(sdp_accepted), sdp_accepted, 'null')),
        'one_send', json(iif(one_send, 'true', 'false'))),
",
    dialog!(),
    ") FROM old_endpoints;
DROP TABLE old_endpoints;

ALTER TABLE subscriptions RENAME TO old_subscriptions;
CREATE TABLE subscriptions (
    id INTEGER NOT NULL PRIMARY KEY,
    record TEXT NOT NULL,
    dialog TEXT AS (record -> '$.dialog')
) STRICT;
INSERT INTO subscriptions SELECT id, json_object(
    'id', id, 'room', room, 'user', user, 'role', role, 'event_id', event_id, 'expires', expires,
    'rates', rates, 'full_only', json(iif(full_only, 'true', 'false')), 'version', version,
",
    dialog!(),
    ") FROM old_subscriptions;
DROP TABLE old_subscriptions;

ALTER TABLE held_nicknames RENAME TO old_held_nicknames;
CREATE TABLE held_nicknames (
    room TEXT NOT NULL,
    user TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;
INSERT INTO held_nicknames SELECT room, user, json_object(
    'room', room, 'user', user, 'nickname', nickname, 'until', until) FROM old_held_nicknames;
DROP TABLE old_held_nicknames;

ALTER TABLE left_by_bye RENAME TO old_left_by_bye;
CREATE TABLE left_by_bye (
    room TEXT NOT NULL,
    user TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;
INSERT INTO left_by_bye SELECT room, user, json_object('room', room, 'user', user)
    FROM old_left_by_bye;
DROP TABLE old_left_by_bye;

ALTER TABLE counters RENAME TO old_counters;
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters SELECT name, value FROM old_counters;
DROP TABLE old_counters;
"
);
