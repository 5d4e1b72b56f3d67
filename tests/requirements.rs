//! `docs/requirements.md` explains the codes in tests and comments: every code has a row, and every
//! MUST a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/requirements.md";

/// The groups of the page, by the first letter of a code.
const GROUPS: &str = "CEFGLPRTUW";

/// The places where codes may occur.
const PLACES: [&str; 9] = [
    "src",
    "tests",
    "docs",
    "fuzz/targets",
    "benches",
    "openser-module",
    "include",
    "examples",
    ".",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every text below the places, by its path within the repository.
fn texts() -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for place in PLACES {
        collect(&root().join(place), place == ".", &mut texts);
    }
    texts.remove(PAGE);
    texts.remove("tests/requirements.rs");
    assert!(texts.len() > 300, "{} texts", texts.len());
    texts
}

fn collect(folder: &Path, flat: bool, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() && !flat {
            collect(&path, false, texts);
        }
        let text = ["rs", "md", "c", "h"];
        if path.is_file()
            && text
                .iter()
                .any(|it| path.extension().is_some_and(|e| e == *it))
        {
            let path = fs::canonicalize(path).expect("a file");
            let name = path.strip_prefix(root()).expect("of the repository");
            texts.insert(name.to_string_lossy().into_owned(), read(&path));
        }
    }
}

/// The codes in `text`: a letter of a group and two digits as a word, and those at the start of a
/// test's name.
fn codes(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in text.split(|letter: char| !letter.is_alphanumeric() && letter != '_') {
        if is_code(word) {
            found.insert(word.to_owned());
        }
    }
    for name in text.split("fn ").skip(1) {
        let parts = name.split('_').map(str::to_ascii_uppercase);
        found.extend(parts.take_while(|part| is_code(part)));
    }
    found
}

fn is_code(word: &str) -> bool {
    let digits = word.strip_prefix(|letter| GROUPS.contains(letter));
    digits.is_some_and(|rest| rest.len() == 2 && rest.bytes().all(|it| it.is_ascii_digit()))
}

/// The test part of a source: all of it in `tests` and in files of tests, otherwise the part behind
/// `#[cfg(test)]`.
fn tests_of<'a>(path: &str, text: &'a str) -> &'a str {
    let file = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with("tests/") || path.contains("/tests/") || file.ends_with("tests.rs") {
        return text;
    }
    text.find("#[cfg(test)]").map_or("", |at| &text[at..])
}

/// The rows of the page's tables whose first cell is a code, as cells.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let lines = page.lines().filter(|line| line.starts_with("| "));
    let rows = lines.map(|line| {
        line.trim_matches(['|', ' '])
            .split(" | ")
            .collect::<Vec<_>>()
    });
    rows.filter(|cells| is_code(cells[0])).collect()
}

/// The page's requirements, and the MUSTs without a test.
fn page() -> (Vec<Vec<String>>, BTreeSet<String>) {
    let text = read(&root().join(PAGE));
    let (key, without) = text.split_once("## Without a test").expect("both parts");
    let owned = |cells: Vec<&str>| cells.into_iter().map(str::to_owned).collect();
    let without = rows(without).into_iter().map(|cells| {
        assert!(cells.len() == 2 && cells[1].len() > 10, "{cells:?}: why?");
        cells[0].to_owned()
    });
    (
        rows(key).into_iter().map(owned).collect(),
        without.collect(),
    )
}

#[test]
fn every_code_that_is_named_has_one_row() {
    let (key, _) = page();
    let mut known = BTreeSet::new();
    for cells in &key {
        let [code, from, level, sentence] = &cells[..] else {
            panic!("four cells: {cells:?}");
        };
        assert!(known.insert(code.clone()), "{code} has two rows");
        assert!(from.starts_with("RFC "), "{code}: {from}");
        let levels = ["MUST", "SHOULD", "MAY", "practice", "ours"];
        assert!(levels.contains(&level.as_str()), "{code}: {level}");
        assert!(sentence.ends_with('.'), "{code}: {sentence}");
    }
    for (path, text) in texts() {
        let unknown: Vec<_> = codes(&text).difference(&known).cloned().collect();
        assert!(
            unknown.is_empty(),
            "{path} names {unknown:?}, not in {PAGE}"
        );
    }
}

#[test]
fn every_must_has_a_test_or_a_reason() {
    let (key, without) = page();
    let texts = texts();
    let sources = texts.iter().filter(|(path, _)| path.ends_with(".rs"));
    let tested: BTreeSet<_> = sources
        .flat_map(|(path, text)| codes(tests_of(path, text)))
        .collect();
    let musts = key.iter().filter(|cells| cells[2] == "MUST");
    let untested = musts.map(|cells| cells[0].clone());
    let untested: BTreeSet<_> = untested.filter(|code| !tested.contains(code)).collect();
    assert_eq!(
        untested, without,
        "MUSTs without a test, and those {PAGE} excuses"
    );
}

/// Otherwise a page without rows, or misread names, would pass.
#[test]
fn codes_are_found_where_they_stand() {
    let text = "// Row C21 (E07, G26–G28).\nfn c64_r06_shared() {}\nfn utf8_x() { let B64 = 0; }";
    let expected = ["C21", "C64", "E07", "G26", "G28", "R06"];
    assert_eq!(codes(text), expected.map(str::to_owned).into());
    assert_eq!(
        tests_of("src/a.rs", "C01 #[cfg(test)] C02"),
        "#[cfg(test)] C02"
    );
    assert_eq!(tests_of("src/a/tests/b.rs", "C01"), "C01");
    let (key, _) = page();
    assert!(key.len() > 190, "{} rows", key.len());
}
