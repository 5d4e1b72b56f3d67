//! Compares the function types and numbers of `src/host` with the rows of
//! `openser-module/abi_check.c`, which checks them against the proxies' headers: every one has a
//! row there, and the row agrees.

use std::fs;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

const HOSTS: [&str; 2] = ["opensips", "kamailio"];

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sources of a host, without comments.
fn sources(host: &str) -> String {
    let folder = root().join("src/host").join(host);
    let files = fs::read_dir(folder).expect("a folder").flatten();
    let files = files.map(|entry| read(&entry.path()));
    let lines: Vec<String> = files
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    lines.join("\n")
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern")
}

/// The parts between commas, except those in parentheses.
fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        match letter {
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().expect("a part").push(letter),
        }
    }
    let words = |part: &String| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts = parts.iter().map(words);
    parts.filter(|part| !part.is_empty()).collect()
}

/// A row of `abi_check.c`: the macro and its arguments.
struct Row(String, Vec<String>);

/// The rows for a host.
fn rows(host: &str) -> Vec<Row> {
    let text = read(&root().join("openser-module/abi_check.c"));
    let text = regex(r"(?s)/\*.*?\*/").replace_all(&text, "").into_owned();
    let start = format!("#ifdef OF_{}", host.to_uppercase());
    let (_, rest) = text.split_once(&start).expect("a section");
    let section = rest.split("int main").next().expect("its rows");
    let row = regex(r"(?ms)^(FUNCTION|EITHER|SLOT|CALLED|TYPE|VARIABLE|NUMBER|ABOVE)\((.*?)\);$");
    let found = row.captures_iter(section);
    let rows: Vec<Row> = found
        .map(|it| Row(it[1].to_owned(), parts(&it[2])))
        .collect();
    assert!(rows.len() > 80, "{} rows for {host}", rows.len());
    rows
}

/// The class by which a value is passed, from its type in either language.
fn class(text: &str) -> &'static str {
    const POINTERS: [&str; 9] = [
        "transaction_cb",
        "release_tmcb_param",
        "cmd_function",
        "pv_elem_p",
        "pv_spec_p",
        "evi_params_p",
        "Callback",
        "Job",
        "TimerFunction",
    ];
    let bare = text.trim().trim_start_matches("const ");
    if text.contains('*') || POINTERS.contains(&bare) {
        return "pointer";
    }
    match bare {
        "" | "void" => "nothing",
        "..." => "more",
        "int" | "c_int" | "event_id_t" | "sip_protos_t" => "int",
        "unsigned int" | "c_uint" | "modparam_t" => "unsigned int",
        "unsigned short" | "u16" | "counter_handle_t" => "unsigned short",
        "long" | "c_long" | "counter_val_t" => "long",
        "unsigned long" | "c_ulong" => "unsigned long",
        "double" | "f64" => "double",
        "str" | "opensips_text" | "kamailio_text" => "text",
        other if other.starts_with("enum ") => "int",
        other => panic!("how is {other:?} passed?"),
    }
}

/// The classes of a function: result first.
fn call(result: &str, arguments: &str) -> Vec<&'static str> {
    let arguments = arguments.trim().trim_start_matches('(');
    let arguments = parts(arguments.trim_end_matches(')'));
    let arguments = arguments.iter().map(|argument| class(argument));
    let arguments = arguments.filter(|argument| *argument != "nothing");
    [class(result)].into_iter().chain(arguments).collect()
}

impl Row {
    /// The forms of the call in this row.
    fn calls(&self) -> Vec<Vec<&'static str>> {
        let at = |number: usize| self.1[number].as_str();
        match self.0.as_str() {
            "FUNCTION" | "TYPE" => vec![call(at(2), at(3))],
            "SLOT" | "CALLED" => vec![call(at(3), at(4))],
            "EITHER" => vec![call(at(2), at(3)), call(at(4), at(5))],
            _ => Vec::new(),
        }
    }

    /// The host's name of the function.
    fn name(&self) -> &str {
        let number = if ["SLOT", "CALLED"].contains(&self.0.as_str()) {
            2
        } else {
            1
        };
        &self.1[number]
    }
}

/// The function types of a host's sources: name and classes.
fn function_types(sources: &str) -> Vec<(String, Vec<&'static str>)> {
    let pattern = r#"type (\w+)\s*=\s*unsafe extern "C" fn\(([^;()]*)\)(?:\s*->\s*([^;]+))?;"#;
    let found = regex(pattern);
    let types = found.captures_iter(sources).map(|it| {
        let result = it.get(3).map_or("", |result| result.as_str());
        (it[1].to_owned(), call(result, &it[2]))
    });
    types.collect()
}

#[test]
fn every_function_type_is_compared_with_the_hosts_prototype() {
    for host in HOSTS {
        let (sources, rows) = (sources(host), rows(host));
        let types = function_types(&sources);
        assert_eq!(
            types.len(),
            sources.matches(r#"= unsafe extern "C" fn"#).count()
                + sources.matches("=\n    unsafe extern \"C\" fn").count()
        );
        for (name, wanted) in types {
            let own = rows.iter().filter(|row| row.1[0] == name);
            let own: Vec<_> = own.collect();
            assert!(!own.is_empty(), "{host}: no row for {name} in abi_check.c");
            for row in own {
                let agrees = row.calls().iter().any(|said| match row.0.as_str() {
                    "CALLED" => said.starts_with(&wanted),
                    _ => *said == wanted,
                });
                assert!(
                    agrees,
                    "{host}: {name} is {wanted:?}, {:?} {:?}",
                    row.name(),
                    row.calls()
                );
            }
        }
    }
}

#[test]
fn every_symbol_has_the_type_that_is_compared() {
    let symbol = regex(r#"(?m)^\s*(\w+):\s*([^={]+?)\s*=\s*c"(\w+)",$"#);
    for host in HOSTS {
        let (sources, rows) = (sources(host), rows(host));
        let symbols: Vec<_> = symbol.captures_iter(&sources).collect();
        assert!(symbols.len() > 30, "{} symbols for {host}", symbols.len());
        for found in symbols {
            let (kind, name) = (found[2].trim_start_matches("abi::"), &found[3]);
            let is_variable = kind.starts_with("*mut");
            let compared = rows.iter().any(|row| match row.0.as_str() {
                "VARIABLE" => is_variable && row.1[0] == *name,
                "NUMBER" | "ABOVE" | "TYPE" => false,
                _ => !is_variable && row.name() == name && row.1[0] == kind,
            });
            assert!(
                compared,
                "{host}: no row for {name} as {kind} in abi_check.c"
            );
        }
    }
}

#[test]
fn what_each_host_function_needs_when_it_is_called_stands_beside_it() {
    let called = regex(r#"(?m)^\s*\w+:\s*abi::(\w+)\s*=\s*c"(\w+)",$"#);
    for host in HOSTS {
        let types = read(&root().join("src/host").join(host).join("abi.rs"));
        for found in called.captures_iter(&sources(host)) {
            let (kind, name) = (&found[1], &found[2]);
            let said =
                format!(r"(?m)^/// (?:\w.*\n/// )*Needs: .*\n(?:/// .*\n)*pub type {kind}\b");
            assert!(
                regex(&said).is_match(&types),
                "{host}: what does {name} need?"
            );
        }
    }
}

/// The value of a constant: numbers, shifts, alternatives.
fn value(text: &str) -> i64 {
    let text = text.split(" as ").next().unwrap_or(text).trim();
    if let Some((left, right)) = text.split_once('|') {
        return value(left) | value(right);
    }
    if let Some((left, right)) = text.split_once("<<") {
        return value(left) << value(right);
    }
    if text == "usize::MAX" {
        return -1;
    }
    let digits = text.trim_end_matches('u');
    match digits.strip_prefix("0x") {
        Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16),
        None => digits.parse(),
    }
    .unwrap_or_else(|_| panic!("what is {text:?}?"))
}

/// Constants by name.
fn constants(text: &str) -> Vec<(String, i64)> {
    let constant = regex(
        r"(?m)^ *(?:pub |pub\(super\) )?const (\w+): (?:c_u?int|[iu]\d+|usize|\*mut \w+) = ([^;]+);",
    );
    let found = constant.captures_iter(text);
    found.map(|it| (it[1].to_owned(), value(&it[2]))).collect()
}

#[test]
fn every_number_is_compared_with_the_hosts() {
    let shared =
        ["variables.rs", "worker.rs"].map(|file| read(&root().join("src/host").join(file)));
    for host in HOSTS {
        let rows = rows(host);
        let numbers = || {
            let numbers = rows.iter();
            numbers.filter(|row| ["NUMBER", "ABOVE"].contains(&row.0.as_str()))
        };
        let own = constants(&read(&root().join("src/host").join(host).join("abi.rs")));
        assert!(own.len() > 20, "{} numbers for {host}", own.len());
        for (name, wanted) in &own {
            let row = numbers().find(|row| row.1[0] == *name);
            let row = row.unwrap_or_else(|| panic!("{host}: no row for {name} in abi_check.c"));
            assert_eq!(value(&row.1[1]), *wanted, "{host}: {name}");
        }
        // And no compared number has another value elsewhere.
        let elsewhere: Vec<_> = shared.iter().flat_map(|text| constants(text)).collect();
        for row in numbers().filter(|row| row.1[0].chars().all(|it| it.is_uppercase() || it == '_'))
        {
            let name = &row.1[0];
            let known = own
                .iter()
                .chain(&elsewhere)
                .find(|(known, _)| known == name);
            let (_, known) = known.unwrap_or_else(|| panic!("{host}: where is {name}?"));
            assert_eq!(value(&row.1[1]), *known, "{host}: {name}");
        }
    }
}

#[test]
fn log_levels_and_transports_are_compared_with_the_hosts() {
    let transports = read(&root().join("src/host/text.rs"));
    let transport = regex(r#"(\d) => "(\w+)","#);
    let level = regex(r"Level::(\w+) => (?:row!)?\((-?\d+),");
    for host in HOSTS {
        let rows = rows(host);
        let logging = read(&root().join("src/host").join(host).join("logging.rs"));
        let levels = level
            .captures_iter(&logging)
            .map(|it| (it[1].to_owned(), value(&it[2])));
        let transports = transport.captures_iter(&transports);
        let transports = transports.map(|it| (it[2].to_owned(), value(&it[1])));
        let all: Vec<_> = levels.chain(transports).collect();
        assert_eq!(all.len(), 10, "{host}: {all:?}");
        for (name, wanted) in all {
            let row = rows
                .iter()
                .find(|row| row.0 == "NUMBER" && row.1[0] == name);
            let row = row.unwrap_or_else(|| panic!("{host}: no row for {name}"));
            assert_eq!(value(&row.1[1]), wanted, "{host}: {name}");
        }
    }
}
