//! Checks the promise of the folder names (ARCHITECTURE.md) in the sources, so that a forbidden
//! import fails a test and does not depend on review.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A source file without its comments and tests.
struct Source {
    path: PathBuf,
    /// Code, line by line; paths are absolute.
    lines: Vec<(usize, String)>,
    /// Paths that its `use` declarations name, one each.
    imports: Vec<(usize, String)>,
}

impl Source {
    fn new(path: PathBuf, text: &str) -> Self {
        let module = module(&path);
        let lines = code(text, &module);
        Self {
            path,
            imports: imports(&lines, &module.join("::")),
            lines,
        }
    }

    /// Whether the file holds only a module's tests.
    fn is_test(&self) -> bool {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let within = |part: &str| self.path.components().any(|it| it.as_os_str() == part);
        stem == "tests" || stem.ends_with("_tests") || within("tests")
    }

    /// The first line that names `word`.
    fn naming(&self, word: &str) -> Option<&(usize, String)> {
        let mut all = self.lines.iter().chain(&self.imports);
        all.find(|(_, line)| names(line, word))
    }
}

/// Every source below `src/`.
fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        collect(&root, &root, &mut found);
        assert!(found.len() > 10, "no sources below {}", root.display());
        found
    });
    &SOURCES
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source::new(path.strip_prefix(root).unwrap().into(), &text));
        }
    }
}

/// The path of a file's module: `crate::switch::room` of `switch/room/mod.rs`.
fn module(file: &Path) -> Vec<String> {
    let file = file.with_extension("");
    let parts = file.iter().map(|part| part.to_string_lossy().into_owned());
    let parts = parts.filter(|part| !["mod", "lib", "main"].contains(&part.as_str()));
    ["crate".to_owned()].into_iter().chain(parts).collect()
}

/// Code lines with their numbers, without comments and code compiled only for tests.
fn code(text: &str, module: &[String]) -> Vec<(usize, String)> {
    let mut kept = Vec::new();
    // The line that ends the omitted item.
    let mut until: Option<String> = None;
    let mut attribute = false;
    for (index, line) in text.lines().enumerate() {
        let bare = line.split("//").next().unwrap_or_default().trim_end();
        let indent = &bare[..bare.len() - bare.trim_start().len()];
        if let Some(end) = &until {
            if bare.trim_end_matches(',') == end {
                until = None;
            }
        } else if bare.trim() == "#[cfg(test)]" {
            attribute = true;
        } else if attribute && !bare.trim().starts_with('#') && !bare.is_empty() {
            attribute = false;
            let over = bare.ends_with([';', ',', '}']);
            until = (!over).then(|| format!("{indent}}}"));
        } else if !bare.is_empty() && !attribute {
            kept.push((index + 1, absolute(bare, module)));
        }
    }
    kept
}

/// The line with `super::` and `self::` written as paths from the crate.
fn absolute(line: &str, module: &[String]) -> String {
    let mut line = line.to_owned();
    if !line.contains("super::") && !line.contains("self::") {
        return line;
    }
    for up in (0..module.len()).rev() {
        let relative = match up {
            0 => "self::".to_owned(),
            _ => "super::".repeat(up),
        };
        let from = module[..module.len() - up].join("::");
        line = line.replace(&relative, &format!("{from}::"));
    }
    line
}

/// The paths that the `use` declarations of a module's lines name.
fn imports(lines: &[(usize, String)], module: &str) -> Vec<(usize, String)> {
    let children = lines.iter().filter_map(|(_, line)| {
        let (_, name) = line.strip_suffix(';')?.split_once("mod ")?;
        Some(name)
    });
    let children: Vec<&str> = children.collect();
    let full = |path: String| match path.split("::").next() {
        Some(first) if children.contains(&first) => format!("{module}::{path}"),
        _ => path,
    };
    let mut found = Vec::new();
    let mut lines = lines.iter();
    while let Some((number, line)) = lines.next() {
        let mut words = line.split_whitespace().peekable();
        words.next_if(|word| word.starts_with("pub"));
        let within = words.next_if(|word| word.starts_with("crate::") && word.ends_with(')'));
        if within.is_some() || words.peek() == Some(&"use") {
            words.next_if_eq(&"use");
        } else {
            continue;
        }
        let mut tree: String = words.collect();
        while !tree.ends_with(';') {
            let Some((_, line)) = lines.next() else { break };
            tree.extend(line.split_whitespace());
        }
        let mut paths = Vec::new();
        expand("", tree.trim_end_matches(';'), &mut paths);
        found.extend(paths.into_iter().map(|path| (*number, full(path))));
    }
    found
}

/// The paths of a `use` tree, nested lists one by one.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((head, list)) = tree.split_once('{') else {
        let path = format!("{prefix}{tree}");
        return paths.push(path.trim_end_matches("::self").to_owned());
    };
    let prefix = format!("{prefix}{head}");
    let list = list.strip_suffix('}').unwrap_or(list);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in list.char_indices().chain([(list.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if start < at {
                    expand(&prefix, &list[start..at], paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

#[test]
fn the_reader_sees_every_import_and_what_stands_behind_the_tests() {
    let text = "\
use crate::{net, focus::{self, room::Room}};
pub(in crate::switch) use super::log::{
    Log,
    Position,
};
mod within;
use within::Deep;
#[cfg(test)]
mod tests;
#[cfg(test)]
use std::time::Instant;
#[cfg(test)]
mod more {
    fn hidden() {
        Instant::now();
    }
}
fn seen() { // Instant
    super::super::threads::own();
    Instant::now();
}
";
    let source = Source::new("switch/room/session.rs".into(), text);
    let paths: Vec<&str> = source.imports.iter().map(|(_, path)| &**path).collect();
    let expected = [
        "crate::net",
        "crate::focus",
        "crate::focus::room::Room",
        "crate::switch::room::log::Log",
        "crate::switch::room::log::Position",
        "crate::switch::room::session::within::Deep",
    ];
    assert_eq!(paths, expected);
    assert_eq!(source.naming("Instant").map(|it| it.0), Some(20));
    assert_eq!(
        source.naming("crate::switch::threads").map(|it| it.0),
        Some(19)
    );
    assert!(source.naming("hidden").is_none());
}

/// Whether `word` occurs in `line` as a whole word.
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

/// Asserts that no file of these folders names any of these words.
fn forbid(folders: &[&str], words: &[&str]) {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let inside = folders.iter().any(|folder| {
            source.path.starts_with(folder) || source.path == Path::new(&format!("{folder}.rs"))
        });
        for word in words.iter().filter(|_| inside) {
            if let Some((number, line)) = source.naming(word) {
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

/// Folders that take time and randomness as arguments.
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
    let base = [
        "ids",
        "timers",
        "dirty_map",
        "io",
        "event",
        "config",
        "rules",
        "pattern",
        "throttle",
        "out",
        "pool",
    ];
    for name in base {
        let above = folders.concat();
        forbid(&[&format!("focus/{name}")], &above);
    }
    for (name, first) in [("sip", 1), ("room", 2), ("roster", 3), ("watch", 4)] {
        let above = folders[first..].concat();
        forbid(&[&format!("focus/{name}")], &above);
    }
    forbid(
        &["focus/record"],
        &["crate::focus::call", "crate::focus::invite"],
    );
}

/// The folders and files of the switch in order: each may name those before it and itself.
const SWITCH: [&[&str]; 7] = [
    &["agenda", "config", "ids", "on_demand", "security", "timers"],
    &["message"],
    &["room"],
    &["line"],
    &["threads"],
    &["out"],
    &["input", "reconcile", "sessions"],
];

#[test]
fn the_folders_of_the_switch_know_only_those_before_them() {
    for (place, names) in SWITCH.iter().enumerate() {
        let above = SWITCH[place + 1..].concat();
        let above: Vec<_> = above
            .iter()
            .map(|it| format!("crate::switch::{it}"))
            .collect();
        let above: Vec<&str> = above.iter().map(String::as_str).collect();
        for name in *names {
            forbid(&[&format!("switch/{name}")], &above);
        }
    }
    // State that every file may change belongs to no folder: these are complete without the switch.
    let whole = ["crate::switch::Switch"];
    forbid(&["switch/message", "switch/room"], &whole);
    // Types that live no longer than a message know formats, keys and time.
    forbid(&["switch/message"], &["crate::control", "crate::entropy"]);
}

#[test]
fn the_files_of_the_switch_name_each_other_in_no_circle() {
    let files: Vec<&Source> = sources()
        .iter()
        .filter(|source| source.path.starts_with("switch") && !source.is_test())
        .collect();
    let modules: Vec<String> = files.iter().map(|it| module(&it.path).join("::")).collect();
    // The file that defines a path: the one with the longest prefix of it.
    let holder = |path: &str| {
        let holds = |name: &str| path == name || path.starts_with(&format!("{name}::"));
        let found = (0..files.len()).filter(|at| holds(&modules[*at]));
        found.max_by_key(|at| modules[*at].len())
    };
    let named: Vec<Vec<usize>> = files
        .iter()
        .enumerate()
        .map(|(at, file)| {
            let paths = file.imports.iter().filter_map(|(_, path)| holder(path));
            paths.filter(|other| *other != at).collect()
        })
        .collect();
    // The files each one reaches, and the steps to them.
    for from in 0..files.len() {
        let mut seen = vec![false; files.len()];
        let mut next: Vec<_> = named[from].iter().map(|at| (*at, vec![*at])).collect();
        while let Some((at, way)) = next.pop() {
            let way_of = || way.iter().map(|at| &files[*at].path).collect::<Vec<_>>();
            assert!(at != from, "a circle: {:?}", way_of());
            if !std::mem::replace(&mut seen[at], true) {
                let on = named[at].iter();
                next.extend(on.map(|on| (*on, [&way[..], &[*on]].concat())));
            }
        }
    }
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

/// Management turns arguments into actions of the focus, and results into answers. The two hosts,
/// and the channel between their processes, are above it.
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

/// Time, randomness and answers are arguments, except for the thread that sends the questions.
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
