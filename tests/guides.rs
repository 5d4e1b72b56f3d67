//! Follows the guides to the letter: runs every block of README.md and docs/ that somebody may
//! paste. Configurations start real proxies; shell commands are typed into a shell
//! (`tests/walk.sh`); a block that is not run has its reason here.

#[path = "harness/mod.rs"]
mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use harness::PATIENCE;
use harness::agent::{Agent, Transport};
use harness::host::{Family, Host, found};
use harness::on_every_host;
use harness::package;
use harness::page::block;
use harness::plan::{Plan, root};
use harness::proxy::{Proxy, wait_until};
use serde_json::json;

/// The way to try a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Put in front of the routes of the smallest configuration; then the room is checked.
    Lines(&'static [Family]),
    /// The same, but the block keeps participants out or sends them nowhere: only the start is
    /// checked.
    Starts(&'static [Family]),
    /// Put first into the request route.
    Script(&'static [Family]),
    /// Pasted by the test in this file that finds it by these words of its page.
    By(&'static str, &'static str),
    /// A step of [`WALKS`].
    Walked,
    /// Not run.
    Not(&'static str),
}

use How::{By, Lines, Not, Script, Starts, Walked};

const BOTH: &[Family] = &[Family::Kamailio, Family::OpenSips];
const KAMAILIO: &[Family] = &[Family::Kamailio];
const OPENSIPS: &[Family] = &[Family::OpenSips];

const WHOLE_BUILD: &str = "it builds everything; the tests are part of it";
const NO_BUILDER: &str = "no image is built here: `the_container_is_consistent` reads its files";
const IDENTITY: &str = "## Beside an existing configuration";

/// Page, start of the block's first line, way to try it. One row may stand for several blocks of a
/// page with the same start.
const BLOCKS: &[(&str, &str, How)] = &[
    ("README.md", "make demo", Not(WHOLE_BUILD)),
    ("README.md", "make test", Not(WHOLE_BUILD)),
    (
        "README.md",
        "make && sudo make install",
        Not("tests/packages.rs installs what is built"),
    ),
    ("README.md", "loadmodule \"tm.so\"", Walked),
    ("README.md", "kamailio -f chat.cfg", Walked),
    ("README.md", "build/msrp-chat check", Walked),
    ("docs/README.md", "if (is_method(\"INVITE\")", Script(BOTH)),
    (
        "docs/README.md",
        "if ($msrp_conference(participants)",
        Script(BOTH),
    ),
    (
        "docs/README.md",
        "event_route[msrp-conference:join]",
        By("tests/guides.rs", "with `loadmodule \\\"xlog.so\\\"`"),
    ),
    (
        "docs/README.md",
        "msrp-chat check sip:lobby@127.0.0.1",
        Walked,
    ),
    ("docs/browsers.md", "browser ──", Not("a picture")),
    (
        "docs/browsers.md",
        "modparam(\"msrp_conference\", \"listen\", \"ws:",
        Not("a line of the example that tests/browser.rs runs"),
    ),
    ("docs/browsers.md", "location /sip", Not("a web server's")),
    (
        "docs/browsers.md",
        "apt install kamailio kamailio-websocket",
        Not("tests/browser.rs runs that example, where the package is"),
    ),
    (
        "docs/browsers.md",
        "opensips -f cfg-examples/opensips/browser.cfg",
        Not("tests/browser.rs runs that example"),
    ),
    (
        "docs/browsers.md",
        "msrp-chat check --websocket",
        Not("tests/browser.rs talks through the same listener"),
    ),
    ("docs/clients.md", "msrp-chat --from", Walked),
    ("docs/container.md", "make deb", Not(NO_BUILDER)),
    ("docs/container.md", "docker", Not(NO_BUILDER)),
    (
        "docs/dns.md",
        "; zone example.com",
        Not("records for a name server of example.com's owner"),
    ),
    (
        "docs/dns.md",
        "dig",
        Not("asks the name servers of the world"),
    ),
    (
        "docs/events.md",
        "if ($msrp_conference(participants)",
        Script(BOTH),
    ),
    (
        "docs/events.md",
        "opensips-cli -x mi event_subscribe",
        Walked,
    ),
    (
        "docs/events.md",
        "event_route[msrp-conference:join]",
        By("tests/guides.rs", "The example needs"),
    ),
    (
        "docs/history.md",
        "modparam(\"msrp_conference\", \"room\"",
        Lines(BOTH),
    ),
    ("docs/history.md", "opensips-cli", Walked),
    (
        "docs/invitations.md",
        "# Invitations of the rooms",
        By("tests/guides.rs", "first in `request_route`"),
    ),
    (
        "docs/invitations.md",
        "modparam(\"msrp_conference\", \"credential\"",
        Lines(BOTH),
    ),
    ("docs/kamailio.md", "apt install ./build", Walked),
    (
        "docs/kamailio.md",
        "kamailio -f cfg-examples/kamailio/minimal.cfg",
        Walked,
    ),
    (
        "docs/kamailio.md",
        "msrp-chat check sip:lobby@127.0.0.1",
        Walked,
    ),
    (
        "docs/kamailio.md",
        "modparam(\"msrp_conference\", \"identity\"",
        Starts(KAMAILIO),
    ),
    ("docs/kamailio.md", "msrp-chat check --account", Walked),
    (
        "docs/kamailio.md",
        "alias=\"conf.example.com\"",
        By("tests/proxy/identity.rs", IDENTITY),
    ),
    ("docs/kamailio.md", "#!define WITH_AUTH", Walked),
    ("docs/kamailio.md", "cp -r /usr/share/kamailio", Walked),
    (
        "docs/kamailio.md",
        "modparam(\"auth_db\"",
        By("tests/proxy/identity.rs", "### Users of several domains"),
    ),
    (
        "docs/kamailio.md",
        "if ($rd == \"conf.example.com\")",
        By(
            "tests/neighbours/kamailio.rs",
            "pass `dlg_manage()`, or none does",
        ),
    ),
    (
        "docs/kamailio.md",
        "modparam(\"msrp_conference\", \"adhoc\"",
        Lines(KAMAILIO),
    ),
    ("docs/management.md", "opensips-cli", Walked),
    ("docs/msrp-switchd.md", "usermod", Walked),
    ("docs/msrp-switchd.md", "install -d", Walked),
    ("docs/msrp-switchd.md", "modparam", Walked),
    ("docs/nat.md", "modparam", Starts(BOTH)),
    (
        "docs/nat.md",
        "msrp-chat check",
        Not("from outside of the operator's own network"),
    ),
    ("docs/opensips.md", "apt install ./build", Walked),
    ("docs/opensips.md", "mpath=", Walked),
    ("docs/opensips.md", "opensips -f chat.cfg", Walked),
    ("docs/opensips.md", "msrp-chat check --proxy", Walked),
    (
        "docs/opensips.md",
        "opensips -f cfg-examples/opensips/minimal.cfg",
        Walked,
    ),
    (
        "docs/opensips.md",
        "msrp-chat check sip:lobby@127.0.0.1",
        Walked,
    ),
    (
        "docs/opensips.md",
        "modparam(\"msrp_conference\", \"identity\"",
        Starts(OPENSIPS),
    ),
    ("docs/opensips.md", "msrp-chat check --account", Walked),
    (
        "docs/opensips.md",
        "alias=conf.example.com",
        By("tests/proxy/identity.rs", IDENTITY),
    ),
    (
        "docs/opensips.md",
        "modparam(\"auth_db\"",
        By("tests/proxy/identity.rs", "### Users of several domains"),
    ),
    (
        "docs/opensips.md",
        "if (is_method(\"INVITE\")",
        By("tests/neighbours/opensips.rs", "make no dialogs for rooms"),
    ),
    (
        "docs/opensips.md",
        "modparam(\"msrp_conference\", \"adhoc\"",
        Lines(OPENSIPS),
    ),
    (
        "docs/parameters.md",
        "modparam",
        By("tests/guides.rs", "docs/parameters.md"),
    ),
    ("docs/privacy.md", "sqlite3", Walked),
    ("docs/quickstart.md", "apt install kamailio", Walked),
    (
        "docs/quickstart.md",
        "apt install --no-install-recommends",
        Walked,
    ),
    ("docs/quickstart.md", "kamailio -f", Walked),
    ("docs/quickstart.md", "opensips -f", Walked),
    (
        "docs/quickstart.md",
        "msrp-chat check sip:lobby@127.0.0.1",
        Walked,
    ),
    ("docs/quickstart.md", "msrp-chat check --account", Walked),
    ("docs/quickstart.md", "msrp-chat check --msrps", Walked),
    ("docs/quickstart.md", "msrp-chat --from", Walked),
    (
        "docs/quickstart.md",
        "make",
        Not("tests/packages.rs installs what is built"),
    ),
    ("docs/quickstart.md", "openssl", Walked),
    ("docs/restart.md", "modparam", Lines(BOTH)),
    ("docs/restart.md", "install -d", Walked),
    ("docs/sizing.md", "msrp-chat load", Walked),
    ("docs/statistics.md", "kamcmd", Walked),
    (
        "docs/statistics.md",
        "curl",
        Not("the tests of the exporters ask for the same page"),
    ),
    (
        "docs/statistics.md",
        "listen=udp",
        By("tests/guides.rs", "Keep your `listen` lines"),
    ),
    (
        "docs/statistics.md",
        "loadmodule \"httpd.so\"",
        Lines(OPENSIPS),
    ),
    (
        "docs/statistics.md",
        "scrape_configs",
        Not("a part of Prometheus' own configuration"),
    ),
    (
        "docs/statistics.md",
        "rule_files",
        Not("a part of Prometheus' own configuration; tests/dashboard.rs reads the rules"),
    ),
    (
        "docs/statistics.md",
        "modparam(\"msrp_conference\", \"room\"",
        Walked,
    ),
    (
        "docs/statistics.md",
        "MSRP_CHAT_PASSWORD=secret msrp-chat check --nagios",
        Walked,
    ),
    (
        "docs/statistics.md",
        "CHAT OK",
        Not("what the command before it prints"),
    ),
    (
        "docs/systemd.md",
        "# /etc/systemd/system/",
        By("tests/guides.rs", "docs/systemd.md"),
    ),
    (
        "docs/systemd.md",
        "SHM_MEMORY",
        Not("a line for a file of Debian's package"),
    ),
    ("docs/systemd.md", "systemctl", Not("no systemd in a test")),
    ("docs/tls.md", "modparam", Walked),
    ("docs/tls.md", "cat >/etc/letsencrypt", Walked),
    ("docs/tls.md", "RENEWED_LINEAGE=", Walked),
    ("docs/tls.md", "openssl", Walked),
    ("docs/tls.md", "msrp-chat check --msrps", Walked),
    ("docs/upgrade.md", "sqlite3", Walked),
    ("docs/upgrade.md", "cd /var/lib", Walked),
];

/// A step of a reader who follows the guides.
#[derive(Clone, Copy)]
enum Step {
    /// Pastes this block and waits for its end.
    Ends(&'static str, &'static str),
    /// Pastes it; it stays in the foreground.
    Stays(&'static str, &'static str),
    /// Saves it as `chat.cfg`.
    Saves(&'static str, &'static str),
    /// Puts it into `chat.cfg`, in front of the routes.
    Adds(&'static str, &'static str),
    /// An action that no guide spells out.
    Does(&'static str),
    /// The same for an action that goes on.
    KeepsDoing(&'static str),
}

use Step::{Adds, Does, Ends, KeepsDoing, Saves, Stays};

const QUICK: &str = "docs/quickstart.md";
const README: &str = "README.md";
const CHECK: &str = "msrp-chat check sip:lobby@127.0.0.1";
const START_KAMAILIO: &str = "kamailio -f cfg-examples/kamailio/minimal.cfg";

const WALKS: &[(&str, Family, &[Step])] = &[
    ("quick start, Debian's Kamailio", Family::Kamailio, &[
        Ends(QUICK, "apt install kamailio"),
        Stays(QUICK, START_KAMAILIO),
        Ends(QUICK, CHECK),
        Ends(QUICK, "msrp-chat --from"),
        Ends("docs/clients.md", "msrp-chat --from"),
        Ends("docs/README.md", CHECK),
        Ends("docs/sizing.md", "msrp-chat load"),
    ]),
    ("quick start, accounts", Family::Kamailio, &[
        Stays(QUICK, "kamailio -f cfg-examples/kamailio/authenticated.cfg"),
        Ends(QUICK, "msrp-chat check --account"),
        Ends("docs/kamailio.md", "msrp-chat check --account"),
    ]),
    ("quick start, TLS", Family::Kamailio, &[
        Stays(QUICK, "openssl"),
        Ends(QUICK, "msrp-chat check --msrps"),
    ]),
    ("README", Family::Kamailio, &[
        Saves(README, "loadmodule \"tm.so\""),
        Stays(README, "kamailio -f chat.cfg"),
        Ends(README, "build/msrp-chat check"),
    ]),
    ("the guide of Kamailio", Family::Kamailio, &[
        Ends("docs/kamailio.md", "apt install ./build"),
        Stays("docs/kamailio.md", START_KAMAILIO),
        Ends("docs/kamailio.md", CHECK),
    ]),
    ("a file of accounts", Family::Kamailio, &[
        Ends("docs/kamailio.md", "cp -r /usr/share/kamailio"),
        Saves("docs/kamailio.md", "#!define WITH_AUTH"),
        Does("cp chat.cfg accounts.cfg"),
        Saves("docs/kamailio.md", "alias=\"conf.example.com\""),
        // Where the guide says that its parts go.
        Does("sed '/^request_route/,$d' chat.cfg >front.cfg
              sed -n '/if (.rd ==/,/^    }$/p' chat.cfg >hand.cfg
              sed -n '/^# Who calls/,$p' chat.cfg >>front.cfg
              sed -e '/^#!KAMAILIO/r accounts.cfg' -e '/^####### Routing Logic/r front.cfg' \\
                -e '/^\troute(REQINIT);/r hand.cfg' /etc/kamailio/kamailio.cfg >beside.cfg
              chown kamailio: /run/kamailio"),
        KeepsDoing("kamailio -f beside.cfg -DD -E -u kamailio -g kamailio -Y /run/kamailio"),
        Does("msrp-chat check --account alice@example.com:wonderland sip:lobby@conf.example.com"),
    ]),
    ("msrp-switchd by hand", Family::Kamailio, &[
        Saves(README, "loadmodule \"tm.so\""),
        Adds("docs/msrp-switchd.md", "modparam"),
        Does("sed -i '/msrp:0.0.0.0/d' chat.cfg"),
        Stays("docs/msrp-switchd.md", "install -d"),
        Does("test -S /run/msrp-switchd/control.sock"),
        Stays(README, "kamailio -f chat.cfg"),
        Does("msrp-chat check --proxy 192.0.2.5 sip:lobby@example.com"),
    ]),
    ("msrp-switchd of the package", Family::Kamailio, &[
        Saves(README, "loadmodule \"tm.so\""),
        Does("echo 'modparam(\"msrp_conference\", \"switch\", \"unix:/run/msrp-switchd/control.sock\")' >add
              sed -i '/\"listen\"/r add' chat.cfg"),
        Ends("docs/msrp-switchd.md", "usermod"),
        KeepsDoing("kamailio -f chat.cfg -DD -E -u kamailio -g kamailio -Y /run/kamailio"),
        Ends(README, "build/msrp-chat check"),
    ]),
    ("certificates", Family::Kamailio, &[
        Ends("docs/tls.md", "openssl"),
        // What certbot has left.
        Does("live=/etc/letsencrypt/live/chat.example.com
              mkdir -p $live /etc/letsencrypt/renewal-hooks/deploy
              cp chat.pem $live/fullchain.pem; cp chat.key $live/privkey.pem
              rm -r /etc/msrp_conference"),
        Ends("docs/tls.md", "cat >/etc/letsencrypt"),
        Ends("docs/tls.md", "RENEWED_LINEAGE="),
        Saves(README, "loadmodule \"tm.so\""),
        Does("sed -i '/msrp:0.0.0.0/d' chat.cfg"),
        Adds("docs/tls.md", "modparam"),
        Stays(README, "kamailio -f chat.cfg"),
        Ends("docs/tls.md", "msrp-chat check --msrps"),
    ]),
    ("management, Kamailio", Family::Kamailio, &[
        Saves(README, "loadmodule \"tm.so\""),
        Does("sed -i '1i loadmodule \"ctl.so\"\\nloadmodule \"kex.so\"\\nloadmodule \"counters.so\"' chat.cfg"),
        Adds("docs/history.md", "modparam"),
        Adds("docs/statistics.md", "modparam(\"msrp_conference\", \"room\""),
        Stays(README, "kamailio -f chat.cfg"),
        Ends("docs/statistics.md", "MSRP_CHAT_PASSWORD=secret msrp-chat check --nagios"),
        Ends("docs/statistics.md", "kamcmd"),
        Ends("docs/management.md", "opensips-cli -x mi msrp_conference:create"),
        KeepsDoing("msrp-chat --for 60 --from sip:mallory@example.com sip:team@conf.example.com"),
        Does("kamcmd msrp_conference.show sip:team@conf.example.com | tee shown
              grep -q mallory shown"),
        Ends("docs/management.md", "opensips-cli -x mi msrp_conference:"),
        Ends("docs/history.md", "opensips-cli"),
        // A command's refusal must be visible to its user, not only in the log.
        Does("kamcmd msrp_conference.create 'sip:x@conf.example.com;maks=1' >told 2>&1 || true
              grep -q 'maks=1.* is not allowed (options: docs/parameters.md' told"),
    ]),
    ("the database", Family::Kamailio, &[
        Ends("docs/restart.md", "install -d"),
        Saves(README, "loadmodule \"tm.so\""),
        Does("sed -i 's/;max=200/;history=9/; /db_path/d' chat.cfg"),
        KeepsDoing("kamailio -f chat.cfg -DD -E -u kamailio -g kamailio -Y /run/kamailio"),
        Does("msrp-chat --from sip:alice@example.com --say hello --for 1 sip:lobby@example.com
              msrp-chat --from sip:bob@example.com --expect hello --for 5 sip:lobby@example.com"),
        Does("msrp-chat --from sip:bob@example.com --say 'me too' --for 1 sip:lobby@example.com"),
        Ends("docs/upgrade.md", "sqlite3"),
        Does("test -s /var/lib/msrp_conference/before-upgrade.sqlite"),
    ]),
    ("what is deleted", Family::Kamailio, &[
        Ends("docs/upgrade.md", "cd /var/lib"),
        Ends("docs/privacy.md", "sqlite3"),
        Does("file=/var/lib/msrp_conference/state.sqlite
              test \"$(sqlite3 $file 'SELECT count(*) FROM history')\" = 1
              ! grep -q 'hello' $file"),
    ]),
    ("OpenSIPS, quick start", Family::OpenSips, &[
        Ends(QUICK, "apt install --no-install-recommends"),
        Ends("docs/opensips.md", "apt install ./build"),
        Stays(QUICK, "opensips -f cfg-examples/opensips/minimal.cfg"),
        Ends(QUICK, CHECK),
    ]),
    ("OpenSIPS, accounts", Family::OpenSips, &[
        Stays(QUICK, "opensips -f cfg-examples/opensips/authenticated.cfg"),
        Ends(QUICK, "msrp-chat check --account"),
        Ends("docs/opensips.md", "msrp-chat check --account"),
    ]),
    ("the guide of OpenSIPS", Family::OpenSips, &[
        Saves("docs/opensips.md", "mpath="),
        Stays("docs/opensips.md", "opensips -f chat.cfg"),
        Ends("docs/opensips.md", "msrp-chat check --proxy"),
    ]),
    ("the guide of OpenSIPS, its longer one", Family::OpenSips, &[
        Stays("docs/opensips.md", "opensips -f cfg-examples/opensips/minimal.cfg"),
        Ends("docs/opensips.md", CHECK),
    ]),
    ("management, OpenSIPS", Family::OpenSips, &[
        Saves("docs/opensips.md", "mpath="),
        Does("sed -i '/proto_udp/a loadmodule \"mi_fifo.so\"\\nmodparam(\"mi_fifo\", \"fifo_name\", \"/tmp/opensips_fifo\")\\nloadmodule \"event_datagram.so\"' chat.cfg"),
        Adds("docs/history.md", "modparam"),
        Adds("docs/statistics.md", "modparam(\"msrp_conference\", \"room\""),
        Stays("docs/opensips.md", "opensips -f chat.cfg"),
        Ends("docs/statistics.md", "MSRP_CHAT_PASSWORD=secret msrp-chat check --nagios"),
        Ends("docs/statistics.md", "kamcmd"),
        Ends("docs/events.md", "opensips-cli -x mi event_subscribe"),
        Ends("docs/management.md", "opensips-cli -x mi msrp_conference:create"),
        KeepsDoing("msrp-chat --for 60 --from sip:mallory@example.com sip:team@conf.example.com"),
        Does("opensips-cli -x mi msrp_conference:show sip:team@conf.example.com | tee shown
              grep -q mallory shown"),
        Ends("docs/management.md", "opensips-cli -x mi msrp_conference:"),
        Ends("docs/history.md", "opensips-cli"),
    ]),
];

/// A block of code.
#[derive(Clone, Debug)]
struct Block {
    page: String,
    text: String,
}

impl Block {
    fn begins(&self, page: &str, start: &str) -> bool {
        self.page == page && self.text.trim_start().starts_with(start)
    }
}

/// All blocks of a page below `folder`; those within lists without their indentation.
fn blocks(folder: &Path, page: &str) -> Vec<Block> {
    let text =
        fs::read_to_string(folder.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for line in text.lines() {
        let indentation = line.len() - line.trim_start().len();
        let fence = line.trim_start().starts_with("```");
        open = match (open.take(), fence) {
            (None, true) => Some((indentation, String::new())),
            (Some((_, text)), true) => {
                let page = page.to_owned();
                found.push(Block { page, text });
                None
            }
            (Some((depth, text)), false) => {
                Some((depth, text + line.get(depth..).unwrap_or_default() + "\n"))
            }
            (None, false) => None,
        };
    }
    assert!(open.is_none(), "{page}: a block without an end");
    found
}

/// README.md and everything in docs/.
fn pages() -> Vec<String> {
    let folder = fs::read_dir(root().join("docs")).expect("docs");
    let names = folder.map(|entry| entry.expect("an entry").file_name().into_string());
    let names = names.map(|name| format!("docs/{}", name.expect("UTF-8")));
    let mut pages: Vec<String> = names.filter(|name| name.ends_with(".md")).collect();
    // Blocks in decisions.md are not meant to be pasted.
    pages.push(README.to_owned());
    pages.sort();
    pages
}

fn all_blocks() -> Vec<Block> {
    pages()
        .iter()
        .flat_map(|page| blocks(&root(), page))
        .collect()
}

/// The blocks of a row.
fn of(page: &str, start: &str) -> Vec<Block> {
    let found = blocks(&root(), page);
    found
        .into_iter()
        .filter(|block| block.begins(page, start))
        .collect()
}

#[test]
fn every_block_is_tried_or_says_why_not() {
    let mut used = BTreeSet::new();
    for block in all_blocks() {
        let row = BLOCKS
            .iter()
            .position(|(page, start, _)| block.begins(page, start));
        let row = row.unwrap_or_else(|| panic!("{}: nobody tries\n{}", block.page, block.text));
        used.insert(row);
        let (page, _, how) = BLOCKS[row];
        match how {
            Walked => {
                let steps = WALKS.iter().flat_map(|(_, _, steps)| steps.iter());
                let mut named = steps.filter_map(|step| match step {
                    Ends(page, start)
                    | Stays(page, start)
                    | Saves(page, start)
                    | Adds(page, start) => Some((page, start)),
                    Does(_) | KeepsDoing(_) => None,
                });
                let walked = named.any(|(page, start)| block.begins(page, start));
                assert!(walked, "{page}: no walk has\n{}", block.text);
            }
            By(test, words) => {
                let source = fs::read_to_string(root().join(test)).expect("a test");
                assert!(source.contains(words), "{test} does not name {words:?}");
            }
            _ => {}
        }
    }
    let unused: Vec<_> = (0..BLOCKS.len())
        .filter(|row| !used.contains(row))
        .collect();
    let unused: Vec<_> = unused.into_iter().map(|row| BLOCKS[row]).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// The smallest configuration of a family, from its page.
fn smallest(family: Family) -> String {
    match family {
        Family::Kamailio => block(README, "in eleven lines"),
        Family::OpenSips => block("docs/opensips.md", "in twelve lines"),
    }
}

/// The smallest configuration with these lines in front of the routes; the guides' address becomes
/// this machine's. Lines that name a listener replace the existing ones.
fn with_lines(family: Family, lines: &str) -> String {
    let whole = smallest(family);
    let at = whole
        .find("request_route")
        .or_else(|| whole.find("route {"))
        .expect("a route");
    let (before, routes) = whole.split_at(at);
    let listens = lines.contains("\"listen\"");
    let kept = before
        .lines()
        .filter(|line| !(listens && line.contains("\"listen\"")));
    let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
    let mut text = format!("{kept}{lines}\n{routes}").replace("192.0.2.5", "127.0.0.1");
    if !text.contains("\"listen\"") {
        text = text.replace(
            routes,
            &format!(
                "modparam(\"msrp_conference\", \"listen\", \"msrp:127.0.0.1:2855\")\n{routes}"
            ),
        );
    }
    text
}

/// The statements for the other host, as the page explains beside the block.
fn in_the_words_of(family: Family, statements: &str) -> String {
    match family {
        Family::Kamailio => statements.to_owned(),
        Family::OpenSips => statements.replace("reply(\"503\"", "reply(503"),
    }
}

fn check(proxy: &Proxy, room: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_msrp-chat"))
        .args(["check", "--proxy", &proxy.sip.to_string(), room])
        .output()
        .expect("msrp-chat");
    assert!(output.status.success(), "{output:?}\n{}", proxy.log());
}

/// Whether the host has the modules and files that these lines load from its folder.
fn has_modules_of(host: &Host, text: &str) -> bool {
    let lines = text.lines().filter(|line| line.starts_with("loadmodule"));
    let names: Vec<&str> = lines
        .filter_map(|line| line.split('"').nth(1)?.strip_suffix(".so"))
        .filter(|name| *name != "msrp_conference" && !name.starts_with("proto_"))
        .collect();
    host.has_modules(&names)
}

#[test]
fn fragments_run_in_their_place() {
    on_every_host(|host| {
        for (page, start, how) in BLOCKS {
            let (families, room) = match how {
                Lines(families) | Script(families) => (families, Some("sip:lobby@example.com")),
                Starts(families) => (families, None),
                _ => continue,
            };
            if !families.contains(&host.family) {
                continue;
            }
            for block in of(page, start) {
                let plan = Plan::new(host);
                let plan = match how {
                    Script(_) => {
                        let needed = match host.family {
                            Family::Kamailio => {
                                "loadmodule \"siputils.so\"\nloadmodule \"textops.so\""
                            }
                            Family::OpenSips => "loadmodule \"sipmsgops.so\"",
                        };
                        plan.text(&with_lines(host.family, needed))
                            .script(&in_the_words_of(host.family, &block.text))
                    }
                    _ => plan.text(&with_lines(host.family, &block.text)),
                };
                if !has_modules_of(host, &block.text) {
                    continue;
                }
                eprintln!("{page}: {start}");
                let proxy = plan.start();
                if let Some(room) = room {
                    check(&proxy, room);
                }
                proxy.stop();
            }
        }
    });
}

/// All examples of the page in one configuration, except those of other tests.
#[test]
fn parameters_as_shown_start_a_proxy() {
    // An address this machine does not have; files; another program; a variable that keeps
    // everybody out.
    const ELSEWHERE: [&str; 7] = [
        "\"listen\"",
        "\"tls_certificate\"",
        "\"tls_private_key\"",
        "\"tls_ca_list\"",
        "\"tls_verify_client\"",
        "\"switch\"",
        "\"db_on_error\"",
    ];
    let lines: String = blocks(&root(), "docs/parameters.md")
        .into_iter()
        .map(|block| block.text)
        .filter(|text| !ELSEWHERE.iter().any(|name| text.contains(name)))
        .collect();
    assert!(lines.lines().count() > 25, "{lines}");
    on_every_host(|host| {
        let proxy = Plan::new(host)
            .text(&with_lines(host.family, &lines))
            .start();
        assert!(!proxy.log().contains("not allowed"), "{}", proxy.log());
        proxy.stop();
    });
}

/// The line for Prometheus must leave SIP's listener in place.
#[test]
fn an_exporter_beside_sip_leaves_sip_where_it_was() {
    let lines = block("docs/statistics.md", "Keep your `listen` lines");
    on_every_host(|host| {
        if host.family != Family::Kamailio || !has_modules_of(host, &lines) {
            return;
        }
        // Not only in front of the routes: it is the complete list of listeners.
        let text = with_lines(host.family, &lines);
        let plan = Plan::new(host).whole(&text);
        let proxy = plan.start();
        check(&proxy, "sip:lobby@example.com");
        proxy.stop();
    });
}

#[test]
fn the_event_route_of_the_guides_is_called() {
    on_every_host(|host| {
        if host.family != Family::Kamailio {
            return;
        }
        for (page, words) in [
            ("docs/README.md", "with `loadmodule \"xlog.so\"`"),
            ("docs/events.md", "The example needs"),
        ] {
            let lines = format!("debug=1\nloadmodule \"xlog.so\"\n{}", block(page, words));
            let proxy = Plan::new(host)
                .text(&with_lines(host.family, &lines))
                .start();
            check(&proxy, "sip:lobby@example.com");
            let told = "sip:check-1@example.com is in sip:lobby@example.com";
            assert!(
                wait_until(PATIENCE, || proxy.log().contains(told)),
                "{}",
                proxy.log()
            );
            proxy.stop();
        }
    });
}

/// 2.10 of what an operator met: the room's REFER came back to the same proxy, which wanted a
/// password of the room.
#[test]
fn rooms_invite_users_of_a_proxy_that_wants_passwords() {
    on_every_host(|host| {
        let (words, answer) = match host.family {
            Family::Kamailio => (
                "first in `request_route`",
                "sl_send_reply(\"407\", \"Proxy Authentication Required\");",
            ),
            Family::OpenSips => (
                "first in `route`",
                "sl_send_reply(407, \"Proxy Authentication Required\");",
            ),
        };
        if !host.has_modules(&["rr", "registrar", "usrloc"]) {
            return;
        }
        let lines = block("docs/invitations.md", words).replace("conf.example.com", "127.0.0.1");
        // Requests that these lines do not let through are challenged.
        let asked = format!(
            "if (is_method(\"INVITE|REFER\") && !has_totag() && $rd != \"127.0.0.1\") {{ {answer} exit; }}"
        );
        for (guide, invited) in [(lines.as_str(), true), ("", false)] {
            let proxy = Plan::new(host)
                .settings("loadmodule \"rr.so\"\n")
                .script(&format!("{guide}\n{asked}"))
                .start();
            let bob = Agent::new("bob", proxy.sip, Transport::Udp);
            let register = bob
                .draft("REGISTER", &format!("sip:{}", proxy.sip))
                // The domain as it is invited: OpenSIPS 4 keeps domains apart (`use_domain`).
                .set("To", "<sip:bob@localhost>")
                .set("Contact", bob.contact())
                .set("Expires", "600");
            assert_eq!(bob.exchange(&register).code, 200, "REGISTER");
            // The proxy's own address, as DNS would give it for the domain.
            let own = format!("sip:bob@localhost:{}", proxy.sip.port());
            check(&proxy, &proxy.room("lobby"));
            let command = match host.family {
                Family::Kamailio => "msrp_conference.invite",
                Family::OpenSips => "msrp_conference:invite",
            };
            let room = "sip:lobby@127.0.0.1";
            assert_eq!(proxy.call(command, json!([room, own])), json!("ok"));
            match invited {
                true => {
                    let refer = bob.request("REFER", PATIENCE).expect("no REFER");
                    assert!(
                        refer
                            .headers
                            .first("Refer-To")
                            .is_some_and(|to| to.contains(room))
                    );
                }
                false => {
                    let refused =
                        || proxy.log().contains("does not join") && proxy.log().contains("407");
                    assert!(wait_until(PATIENCE, refused), "{}", proxy.log());
                }
            }
            proxy.stop();
        }
    });
}

/// systemd reads the drop-ins.
#[test]
fn units_are_understood_with_their_drop_ins() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut count = 0;
    for text in of("docs/systemd.md", "# /etc/systemd/system/") {
        let path = text
            .text
            .lines()
            .next()
            .expect("a line")
            .trim_start_matches("# ");
        let own = path
            .strip_prefix("/etc/systemd/system/")
            .expect("its place");
        let (unit, _) = own.split_once(".d/").expect("a unit");
        fs::write(folder.path().join(unit), "[Service]\nExecStart=/bin/true\n").expect("a unit");
        let file = folder.path().join(own);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(&file, &text.text).expect("a drop-in");
        count += 1;
    }
    assert_eq!(count, 2);
    let unit = fs::read_to_string(root().join("packaging/msrp-switchd.service")).expect("a unit");
    let unit = unit.replace("/usr/sbin/msrp-switchd", "/bin/true");
    fs::write(folder.path().join("msrp-switchd.service"), unit).expect("a unit");
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args(
            [
                "kamailio.service",
                "opensips.service",
                "msrp-switchd.service",
            ]
            .map(|name| folder.path().join(name)),
        )
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.path().display()))
        .output();
    let Ok(output) = verified else {
        return eprintln!("no systemd-analyze here");
    };
    let told = String::from_utf8_lossy(&output.stderr);
    let own = folder.path().to_string_lossy();
    let complaints: Vec<_> = told
        .lines()
        .filter(|line| line.contains(own.as_ref()) || line.contains("Unknown"))
        .collect();
    assert!(complaints.is_empty(), "{told}");
}

/// Checks the image's files without building it: the files they copy exist, and ports and account
/// are the example's.
#[test]
fn the_container_is_consistent() {
    let folder = root().join("packaging/container");
    let recipe = fs::read_to_string(folder.join("Containerfile")).expect("Containerfile");
    let joined = recipe.replace("\\\n", " ");
    let lines: Vec<&str> = joined
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    const KNOWN: [&str; 10] = [
        "FROM",
        "COPY",
        "RUN",
        "VOLUME",
        "EXPOSE",
        "USER",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    ];
    for line in &lines {
        let word = line.split(' ').next().expect("a word");
        assert!(KNOWN.contains(&word), "{line}");
    }
    let said = |word: &str| {
        let line = lines.iter().find(|line| line.starts_with(word));
        *line.unwrap_or_else(|| panic!("no {word}"))
    };
    // Root's privileges end before anything runs, and the foreground process gets the signals.
    let place = |word: &str| {
        lines
            .iter()
            .position(|line| line.starts_with(word))
            .expect("a line")
    };
    assert!(place("USER kamailio") < place("ENTRYPOINT"));
    for word in ["ENTRYPOINT", "CMD", "HEALTHCHECK"] {
        assert!(said(word).contains('['), "{word} runs a shell");
    }
    let example = fs::read_to_string(root().join("cfg-examples/kamailio/authenticated.cfg"))
        .expect("an example");
    for port in ["5060", "2855"] {
        assert!(said("EXPOSE").contains(port) && example.contains(&format!(":{port}")));
    }
    let (user, password) = ("alice", "wonderland");
    assert!(said("HEALTHCHECK").contains(&format!("{user}:{password}")));
    assert!(example.contains(&format!("$sht(accounts=>{user}) = \"{password}\"")));
    let compose = fs::read_to_string(folder.join("compose.yaml")).expect("compose.yaml");
    let file = compose
        .lines()
        .find_map(|line| line.trim().strip_prefix("dockerfile: "));
    let context = compose
        .lines()
        .find_map(|line| line.trim().strip_prefix("context: "));
    let built = folder
        .join(context.expect("a context"))
        .join(file.expect("a file"));
    assert!(built.is_file(), "{}", built.display());
    for line in compose.lines() {
        let depth = line.len() - line.trim_start().len();
        assert!(!line.contains('\t') && depth % 2 == 0, "{line}");
    }
    let volume = said("VOLUME").split(' ').nth(1).expect("a folder");
    assert!(compose.contains(&format!("state:{volume}")), "{volume}");
}

/// Exit code of `tests/walk.sh` when the system does not let it run.
const NOT_ALLOWED: i32 = 77;

/// Writes a walk's steps. Of lines for both proxies, those of the other one are left out.
fn write_walk(folder: &Path, family: Family, steps: &[Step], documents: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    let other = match family {
        Family::Kamailio => "opensips-cli",
        Family::OpenSips => "kamcmd",
    };
    let mut number = 0;
    let mut write = |kind: &str, text: &str| {
        number += 1;
        let lines = text.lines().filter(|line| !line.starts_with(other));
        let lines: String = lines.flat_map(|line| [line, "\n"]).collect();
        fs::write(folder.join(format!("{number:02}-{kind}")), lines).expect("a step");
    };
    // The packaged page, with its own paths.
    let pasted = |page: &str, start: &str| {
        let placed = start.replace("cfg-examples/", "/usr/share/doc/msrp-conference/examples/");
        let placed = placed.replace("build/msrp-chat", "msrp-chat");
        let found = blocks(documents, page)
            .into_iter()
            .filter(|block| block.begins(page, &placed));
        let texts: Vec<String> = found.map(|block| block.text).collect();
        assert!(!texts.is_empty(), "{page}: {start}");
        texts
    };
    for step in steps {
        match *step {
            Ends(page, start) => {
                let mut texts = pasted(page, start);
                if page == "docs/management.md" {
                    // A user who has ended a room can do nothing more with it.
                    texts.sort_by_key(|text| text.contains("conference:end"));
                    texts.retain(|text| start.ends_with(":create") || !text.contains(":create"));
                }
                for text in texts {
                    write("ends.sh", &text);
                }
            }
            Stays(page, start) => write("stays.sh", &pasted(page, start)[0]),
            Saves(page, start) => write("file.chat.cfg", &pasted(page, start)[0]),
            Adds(page, start) => write("with.cfg", &pasted(page, start)[0]),
            Does(text) => write("ends.sh", text),
            KeepsDoing(text) => write("stays.sh", text),
        }
    }
}

#[test]
fn the_guides_are_walked_by_paste() {
    if !Path::new("/usr/sbin/kamailio").is_file() {
        return eprintln!("Debian's Kamailio is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (package, tree) = package::unpacked(env!("CARGO_BIN_EXE_msrp-chat"), folder.path());
    let documents = tree.join("usr/share/doc/msrp-conference");
    let walks = folder.path().join("walks");
    let opensips = found().into_iter().find(|host| {
        let prefix = host.program.parent().and_then(Path::parent);
        host.family == Family::OpenSips
            && prefix.is_some_and(|prefix| prefix.join("lib64/opensips/modules").is_dir())
    });
    let mut count = 0;
    for (number, (name, family, steps)) in WALKS.iter().enumerate() {
        if *family == Family::OpenSips && opensips.is_none() {
            eprintln!("{name}: no OpenSIPS in a folder of its own here");
            continue;
        }
        let place = walks.join(format!("{number:02} {name}").replace(' ', "_"));
        write_walk(&place, *family, steps, &documents);
        count += 1;
    }
    let prefix = opensips
        .as_ref()
        .and_then(|host| host.program.parent()?.parent());
    let output = Command::new(root().join("tests/walk.sh"))
        .arg(&package)
        .arg(&walks)
        .arg(prefix.unwrap_or(Path::new("")))
        .output()
        .expect("tests/walk.sh");
    if output.status.code() == Some(NOT_ALLOWED) {
        return eprintln!("no overlay of this system: it takes root");
    }
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(told.matches("== ").count(), count + 1, "{told}");
    assert!(told.ends_with("== walked\n"), "{told}");
}
