//! Checks the documentation: its configurations run, its links lead somewhere, and the parameters
//! and statistics it names exist.

#[path = "harness/mod.rs"]
mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::host::{Family, Host};
use harness::on_every_host;
use harness::page::{block, links};
use harness::plan::{Plan, exchanged, root};
use msrp_conference::parameters::TABLE;

/// README.md and everything in docs/.
fn pages() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("docs")).expect("docs");
    let pages = folder.map(|entry| entry.expect("an entry").path());
    let mut pages: Vec<_> = pages
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .collect();
    let own = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];
    pages.extend(own.map(|name| root().join(name)));
    pages
}

fn read(page: &Path) -> String {
    fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

/// Starts the configuration on the page, and checks it from outside.
fn runs(host: &Host, text: &str) {
    let mut plan = Plan::new(host).text(text);
    if !text.contains("\"listen\"") {
        // Its default is a fixed port.
        let listener = format!("msrp:0.0.0.0:{}", plan.msrp);
        plan = plan.parameter("listen", listener);
    }
    let proxy = plan.start();
    let output = Command::new(env!("CARGO_BIN_EXE_msrp-chat"))
        .args(["check", "--proxy", &proxy.sip.to_string()])
        .arg("sip:lobby@example.com")
        .output()
        .expect("msrp-chat");
    assert!(output.status.success(), "{output:?}\n{}", proxy.log());
    proxy.stop();
}

/// Otherwise a clone below the temporary folder, or a port that contains another's digits, would be
/// mangled.
#[test]
fn examples_are_changed_where_their_own_ports_and_folders_stand() {
    let places = [
        ("5060", "12855".to_owned()),
        ("2855", "20001".to_owned()),
        ("/tmp/", "/tmp/5060/".to_owned()),
    ];
    for (line, changed) in [
        ("socket=udp:127.0.0.1:5060", "socket=udp:127.0.0.1:12855"),
        ("\"msrp:[::1]:2855\"", "\"msrp:[::1]:20001\""),
        (
            "\"unix:/tmp/kamailio_ctl\"",
            "\"unix:/tmp/5060/kamailio_ctl\"",
        ),
        ("\"/srv/tmp/a.so\"", "\"/srv/tmp/a.so\""),
        ("\"/home/5060/a-2855.so\"", "\"/home/5060/a-2855.so\""),
        ("port 50601, 15060", "port 50601, 15060"),
    ] {
        assert_eq!(exchanged(line, &places), changed);
    }
}

#[test]
fn the_smallest_configurations_run() {
    let kamailio = block("README.md", "in eleven lines");
    let opensips = block("docs/opensips.md", "in twelve lines");
    assert_eq!(kamailio.lines().count(), 11, "{kamailio}");
    assert_eq!(opensips.lines().count(), 12, "{opensips}");
    on_every_host(|host| match host.family {
        Family::Kamailio => runs(host, &kamailio),
        Family::OpenSips => runs(host, &opensips),
    });
}

/// A heading as GitHub names it in a link.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter.is_alphanumeric().then_some(letter),
    });
    kept.collect()
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                _ => page.parent().expect("a folder").join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            let found = section.is_empty()
                || read(&target)
                    .lines()
                    .any(|line| line.starts_with('#') && anchor(line) == section);
            assert!(found, "{}: no section {link}", page.display());
        }
    }
}

#[test]
fn parameters_that_are_shown_exist() {
    const START: &str = "modparam(\"msrp_conference\", \"";
    let known: Vec<_> = TABLE.iter().map(|parameter| parameter.name).collect();
    for page in pages() {
        for rest in read(&page).split(START).skip(1) {
            let name = rest.split('"').next().unwrap_or_default();
            assert!(known.contains(&name), "{}: {name}", page.display());
        }
    }
}

/// Standards from which the code takes only a rule or a number.
const NAMED_IN_PASSING: &str = "1035 1918 2069 2308 2392 2543 2544 3339 3420 3849 3860 3986 4193 \
     4291 4475 5280 5621 5626 5737 6455 6501 6598 6761 6890 9520";

#[test]
fn standards_that_the_code_names_have_a_row() {
    let rfcs = |text: &str| -> BTreeSet<String> {
        let words = text.split("RFC ").skip(1);
        words
            .filter_map(|it| it.get(..4).map(str::to_owned))
            .filter(|it| it.bytes().all(|octet| octet.is_ascii_digit()))
            .collect()
    };
    let mut named = BTreeSet::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => named.extend(rfcs(&read(&path))),
            }
        }
    }
    assert!(named.len() > 30);
    let page = read(&root().join("docs/standards.md"));
    let rows = page.lines().filter_map(|line| line.strip_prefix("| RFC "));
    let rows: BTreeSet<&str> = rows
        .filter_map(|row| row.split('|').next())
        .flat_map(|numbers| numbers.split(','))
        .map(str::trim)
        .collect();
    let known = |it: &&String| {
        rows.contains(it.as_str()) || NAMED_IN_PASSING.split_whitespace().any(|one| one == **it)
    };
    let missing: Vec<_> = named.iter().filter(|it| !known(it)).collect();
    assert!(
        missing.is_empty(),
        "no row in docs/standards.md: {missing:?}"
    );
}

#[test]
fn every_example_is_listed_and_for_both() {
    let listed = read(&root().join("docs/README.md"));
    for family in [Family::Kamailio, Family::OpenSips] {
        let folder = root().join("cfg-examples").join(family.as_str());
        for entry in fs::read_dir(folder).expect("examples") {
            let file = entry.expect("an entry").file_name();
            let name = format!("`{}`", file.to_string_lossy());
            assert!(listed.contains(&name), "{name} is not in docs/README.md");
        }
    }
}

/// The long options in a text.
fn options(text: &str) -> BTreeSet<String> {
    let text = text.replace("\\-", "-");
    let uses = text.split("--").skip(1);
    let names = uses.map(|rest| {
        let letters = rest.chars();
        letters
            .take_while(|letter| letter.is_ascii_lowercase() || *letter == '-')
            .collect::<String>()
    });
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn the_switchs_manual_names_every_option() {
    let help = Command::new(env!("CARGO_BIN_EXE_msrp-switchd"))
        .arg("--help")
        .output()
        .expect("msrp-switchd");
    let page = read(&root().join("packaging/msrp-switchd.8"));
    let (page, _) = page.split_once(".SH EXAMPLES").expect("examples");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert_eq!(options(page), options(&help));
}
