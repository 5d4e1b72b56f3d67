//! The folder name is the promise (ARCHITECTURE.md): read from the sources, so that a
//! forbidden import is a failing test and not a matter of review.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file with its comments and its tests taken out, line by line.
struct Source {
    path: PathBuf,
    lines: Vec<(usize, String)>,
}

/// Every source below `src/`.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 10, "no sources below {}", root.display());
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().to_owned();
            found.push(Source {
                lines: code(&text),
                path,
            });
        }
    }
}

/// Code lines with their numbers: no comments, nothing from the first `#[cfg(test)] mod` on.
fn code(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = (0..lines.len()).find(|&at| {
        lines[at].trim() == "#[cfg(test)]"
            && lines
                .get(at + 1)
                .is_some_and(|next| next.trim_start().starts_with("mod "))
    });
    let kept = &lines[..tests.unwrap_or(lines.len())];
    let bare = kept
        .iter()
        .map(|line| line.split("//").next().unwrap_or_default().to_owned());
    bare.enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim().is_empty())
        .collect()
}

/// Whether `word` stands in `line` as a whole word.
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

/// Asserts that no file of these folders names any of these words.
fn forbid(folders: &[&str], words: &[&str]) {
    let mut broken = Vec::new();
    for source in sources() {
        let inside = folders.iter().any(|folder| {
            source.path.starts_with(folder) || source.path == Path::new(&format!("{folder}.rs"))
        });
        // Files that hold a module's tests only.
        let test = source
            .path
            .file_stem()
            .is_some_and(|stem| stem == "tests" || stem.to_string_lossy().ends_with("_tests"));
        if !inside
            || test
            || source
                .path
                .components()
                .any(|part| part.as_os_str() == "tests")
        {
            continue;
        }
        for (number, line) in &source.lines {
            for word in words.iter().filter(|word| names(line, word)) {
                broken.push(format!(
                    "src/{}:{number} names {word}: {}",
                    source.path.display(),
                    line.trim()
                ));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn unsafe_stands_in_the_host_layer_only() {
    let mut broken = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !source.path.starts_with("host"))
    {
        let named = source
            .lines
            .iter()
            .filter(|(_, line)| names(line, "unsafe") && !line.contains("forbid"));
        broken.extend(named.map(|(number, _)| format!("src/{}:{number}", source.path.display())));
    }
    assert!(broken.is_empty(), "unsafe in {broken:?}");
}

/// What takes time and randomness as arguments.
const PURE: [&str; 4] = ["wire", "focus", "switch", "management"];

#[test]
fn the_pure_layers_open_no_socket_and_read_no_clock() {
    forbid(
        &PURE,
        &[
            "tokio",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
            "UnixDatagram",
            "UnixListener",
            "ToSocketAddrs",
            "Instant",
            "SystemTime",
            "std::thread",
            "thread::spawn",
            "thread::sleep",
            "libc",
            "getrandom",
            "crossbeam_channel",
        ],
    );
    forbid(
        &PURE,
        &["std::fs", "std::process", "std::env", "crate::retry"],
    );
}

#[test]
fn wire_depends_on_nothing_above_it() {
    forbid(
        &["wire"],
        &[
            "crate::focus",
            "crate::switch",
            "crate::net",
            "crate::host",
            "crate::bridge",
            "crate::service",
            "crate::control",
            "crate::store",
            "crate::remote",
            "crate::management",
        ],
    );
}

#[test]
fn focus_and_switch_know_only_the_control_vocabulary_of_each_other() {
    forbid(
        &["focus"],
        &[
            "crate::switch",
            "crate::net",
            "crate::host",
            "crate::bridge",
            "crate::service",
        ],
    );
    forbid(
        &["switch"],
        &[
            "crate::focus",
            "crate::net",
            "crate::host",
            "crate::bridge",
            "crate::service",
        ],
    );
}

/// Inside the focus the arrows point to the left: `sip` ← `room` ← `roster` ← `watch` ← `call`,
/// `invite`, `operator`. The records are data that everybody may name.
#[test]
fn the_folders_of_the_focus_know_only_those_before_them() {
    let folders = [
        ["crate::focus::sip"].as_slice(),
        &["crate::focus::room"],
        &["crate::focus::roster"],
        &["crate::focus::watch"],
        &[
            "crate::focus::call",
            "crate::focus::invite",
            "crate::focus::operator",
            "crate::focus::request",
        ],
    ];
    let base = ["ids", "timers", "dirty_map", "io", "event", "config", "out"];
    for name in base {
        let above = folders.concat();
        forbid(&[&format!("focus/{name}")], &above);
    }
    // A conference still holds its subscribers and their documents.
    for (name, first) in [("sip", 1), ("room", 4), ("roster", 3), ("watch", 4)] {
        let above = folders[first..].concat();
        forbid(&[&format!("focus/{name}")], &above);
    }
    forbid(
        &["focus/record"],
        &["crate::focus::call", "crate::focus::invite"],
    );
}

/// What outlives no message knows nothing of rooms and connections but the keys it is called by.
#[test]
fn messages_under_way_know_formats_and_keys_only() {
    let mut broken = Vec::new();
    for source in sources() {
        if !source.path.starts_with("switch/message") {
            continue;
        }
        for (number, line) in &source.lines {
            let line = line.replace("pub(in crate::switch)", "pub");
            let allowed = ["crate::wire", "crate::time", "crate::switch::ids"];
            let paths = line.matches("crate::").count() + line.matches("super::super").count();
            let known: usize = allowed.iter().map(|it| line.matches(it).count()).sum();
            if paths > known {
                broken.push(format!("src/{}:{number}: {line}", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn the_store_knows_records_and_no_more_of_the_focus() {
    forbid(
        &["store"],
        &[
            "crate::switch",
            "crate::net",
            "crate::host",
            "crate::bridge",
            "crate::service",
            "crate::remote",
        ],
    );
    forbid(
        &[
            "focus",
            "switch",
            "wire",
            "net",
            "remote",
            "host",
            "bridge",
            "service",
            "management",
        ],
        &["rusqlite"],
    );
    forbid(
        &["focus", "switch", "wire", "net", "remote", "bridge"],
        &["crate::store"],
    );
}

/// It turns arguments into what the focus does, and what the focus says into answers: the two
/// hosts, and the way between their processes, stand above it.
#[test]
fn management_knows_the_focus_and_no_host() {
    forbid(
        &["management"],
        &[
            "crate::switch",
            "crate::net",
            "crate::host",
            "crate::bridge",
            "crate::service",
            "crate::remote",
            "crate::store",
        ],
    );
    forbid(
        &["wire", "focus", "switch", "net", "remote", "store"],
        &["crate::management"],
    );
}

#[test]
fn net_knows_no_conference_rules() {
    forbid(
        &["net"],
        &["crate::host", "crate::bridge", "crate::service"],
    );
    forbid(
        &["net", "service", "host", "bridge"],
        &["tokio::signal", "tokio::process"],
    );
}

#[test]
fn the_link_to_the_switch_knows_only_the_switchs_side() {
    forbid(
        &["remote"],
        &[
            "crate::focus",
            "crate::host",
            "crate::bridge",
            "crate::service",
        ],
    );
    forbid(
        &["bin/msrp-switchd"],
        &[
            "msrp_conference::focus",
            "msrp_conference::host",
            "msrp_conference::bridge",
            "msrp_conference::service",
            "msrp_conference::store",
            "msrp_conference::management",
        ],
    );
}

/// Time, randomness and answers are arguments of everything but the thread that asks.
#[test]
fn the_resolver_knows_names_and_nothing_of_what_asks() {
    forbid(
        &["resolve"],
        &[
            "crate::focus",
            "crate::switch",
            "crate::net",
            "crate::host",
            "crate::bridge",
            "crate::service",
            "crate::control",
            "crate::store",
            "crate::remote",
            "crate::management",
        ],
    );
    forbid(
        &[
            "resolve/located",
            "resolve/locator",
            "resolve/plan",
            "resolve/target",
        ],
        &[
            "tokio",
            "domain",
            "Instant",
            "SystemTime",
            "std::thread",
            "thread::spawn",
            "thread::sleep",
            "std::fs",
        ],
    );
    forbid(
        &[
            "wire", "focus", "switch", "net", "remote", "store", "bridge",
        ],
        &["crate::resolve"],
    );
}

#[test]
fn only_net_and_the_resolver_run_tokio() {
    forbid(
        &[
            "host",
            "bridge",
            "service",
            "remote",
            "store",
            "control",
            "parameters",
            "statistics",
            "bin/msrp-switchd",
        ],
        &["tokio"],
    );
}

#[test]
fn the_chat_client_shares_the_formats_only() {
    let above = [
        "msrp_conference::focus",
        "msrp_conference::switch",
        "msrp_conference::net",
        "msrp_conference::host",
        "msrp_conference::bridge",
        "msrp_conference::service",
        "msrp_conference::control",
        "msrp_conference::remote",
        "msrp_conference::store",
        "msrp_conference::management",
    ];
    forbid(&["bin/msrp-chat"], &above);
}

#[test]
fn modules_have_names_that_say_something() {
    for source in sources() {
        for part in source.path.with_extension("").components() {
            let name = part.as_os_str().to_string_lossy();
            assert!(
                ![
                    "manager", "handler", "util", "utils", "common", "helper", "helpers"
                ]
                .contains(&&*name),
                "src/{}",
                source.path.display()
            );
        }
    }
}
