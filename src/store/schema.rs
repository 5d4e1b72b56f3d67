//! The tables, version by version. `user_version` counts the steps a file has seen; a file is
//! brought up to date when it is opened, in one transaction.

/// Marks a file as ours (`PRAGMA application_id`): "MSRP".
pub(super) const APPLICATION_ID: i32 = 0x4D53_5250;

/// Every step ever released, oldest first. A step is never changed, only followed by others.
pub(super) const STEPS: &[&str] = &[
    FIRST,
    HELD_NICKNAMES,
    HISTORY,
    ONLY_WHAT_WAS_AGREED,
    OTHER_URIS,
    DEPARTED,
    DECISIONS,
];

/// The tables whose rows are the running state, in the order in which they are read. Rooms and
/// their histories are none of it: they stay when everything is written anew.
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

/// Moments are milliseconds since 1970; lists and descriptions of SDP are JSON.
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

/// The last messages of rooms (room option `history`). A room's rows stand together, so that
/// to read, to add and to trim touches few pages.
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

/// Of a peer's description only what it means is kept (`sdp_accepted`).
const ONLY_WHAT_WAS_AGREED: &str = "
ALTER TABLE endpoints DROP COLUMN sdp_theirs;
";

/// What a participant may call itself besides its address.
const OTHER_URIS: &str = "
ALTER TABLE endpoints ADD COLUMN other_uris TEXT NOT NULL DEFAULT '[]';
";

/// Who left by BYE has rows of their own, so that one more is one row; and counters that no run
/// may begin anew.
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

/// What management decided about rooms of the configuration. Before, their rows were copies of
/// the whole entries: of these roles and bans are kept, and that they are locked. What in them
/// came from the configuration cannot be told apart any more; nobody gets in by that.
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
