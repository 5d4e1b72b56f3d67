//! The records that a proxy has written, read through SQLite while it runs, as an operator would.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::PATIENCE;
use super::proxy::wait_until;

/// The texts of a room's history in the file, in order.
pub fn history_in(database: &Path, room: &str) -> Vec<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let Ok(connection) = Connection::open_with_flags(database, flags) else {
        return Vec::new();
    };
    let question = "SELECT message FROM history WHERE room = ? ORDER BY number";
    let texts = |connection: &Connection| {
        let mut statement = connection.prepare(question)?;
        let rows = statement.query_map([room], |row| row.get::<_, Vec<u8>>(0))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    let messages = texts(&connection).unwrap_or_default();
    messages.iter().map(|octets| text_of(octets)).collect()
}

/// Content of a CPIM message.
pub fn text_of(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets).into_owned();
    let content = text.splitn(3, "\r\n\r\n").nth(2);
    content.unwrap_or_default().to_owned()
}

/// Waits until the file holds exactly this; there is no notice of a commit.
pub fn await_history(database: &Path, room: &str, texts: &[&str]) {
    let there = wait_until(PATIENCE, || history_in(database, room) == texts);
    let found = history_in(database, room);
    assert!(there, "{found:?} is in the file and not {texts:?}");
}
