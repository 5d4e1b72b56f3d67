//! Compares `docs/grafana.json` and `docs/alerts.yml` with the proxies' own exporters: every metric
//! it draws is exported, every statistic of the module is drawn, and Grafana can load it.

#[path = "harness/mod.rs"]
mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use harness::PATIENCE;
use harness::host::Family;
use harness::on_every_host;
use harness::plan::{Plan, root};
use msrp_conference::statistics::{ALL, Kind, Statistic};
use serde_json::Value;

/// Prefix of a metric's name in the dashboard.
const PREFIX: &str = "${proxy}_msrp_conference_";
/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;

fn dashboard() -> Value {
    let text = fs::read_to_string(root().join("docs/grafana.json")).expect("docs/grafana.json");
    serde_json::from_str(&text).expect("JSON")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    let found = value[name].as_array();
    found.unwrap_or_else(|| panic!("no list {name} in {value}"))
}

/// The queries of all panels.
fn queries(dashboard: &Value) -> Vec<&str> {
    let panels = list(dashboard, "panels").iter();
    let targets = panels.flat_map(|panel| list(panel, "targets"));
    targets
        .map(|target| target["expr"].as_str().expect("a query"))
        .collect()
}

/// Names of the statistics in a query.
fn statistics(query: &str) -> BTreeSet<&str> {
    let uses = query.split(PREFIX).skip(1);
    uses.map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
    .collect()
}

/// Content of a page of the proxy's HTTP server.
fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("HTTP");
    stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    // Kamailio leaves the connection open: read as many octets as it announced.
    while !complete(&answer) {
        match stream.read(&mut piece).expect("an answer") {
            0 => break,
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    String::from_utf8(answer).expect("UTF-8")
}

fn complete(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().expect("a length"))
    });
    length.is_some_and(|length: usize| body.len() >= length)
}

#[test]
fn every_metric_drawn_is_exported() {
    let dashboard = dashboard();
    on_every_host(|host| {
        let needed: &[&str] = match host.family {
            Family::Kamailio => &["xhttp", "xhttp_prom"],
            Family::OpenSips => &["httpd", "prometheus"],
        };
        if !host.has_modules(needed) {
            return;
        }
        let plan = Plan::new(host).example("monitored");
        let port = plan.http;
        let proxy = plan.start();
        let page = get(port, "/metrics");
        let exported: BTreeSet<&str> = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split(' ').next())
            .collect();
        for query in queries(&dashboard) {
            for name in statistics(query) {
                let metric = PREFIX.replace("${proxy}", host.family.as_str()) + name;
                assert!(exported.contains(metric.as_str()), "{metric} in\n{page}");
            }
        }
        let alerts = alerts();
        for name in alarmed(&alerts, host.family.as_str()) {
            let metric = format!("{}_msrp_conference_{name}", host.family.as_str());
            assert!(exported.contains(metric.as_str()), "{metric} in\n{page}");
        }
        proxy.stop();
    });
}

fn alerts() -> String {
    fs::read_to_string(root().join("docs/alerts.yml")).expect("docs/alerts.yml")
}

/// The statistics of this proxy in the alert rules.
fn alarmed<'a>(alerts: &'a str, proxy: &str) -> BTreeSet<&'a str> {
    let start = format!("{proxy}_msrp_conference_");
    let uses: Vec<&str> = alerts.split(&start).skip(1).collect();
    let names = uses.into_iter().map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
        &rest[..end.unwrap_or(rest.len())]
    });
    names.collect()
}

#[test]
fn alerts_are_of_both_proxies_and_explained() {
    let alerts = alerts();
    let known: BTreeSet<&str> = ALL.iter().map(|statistic| statistic.name()).collect();
    let of_kamailio = alarmed(&alerts, "kamailio");
    assert_eq!(of_kamailio, alarmed(&alerts, "opensips"));
    assert!(
        !of_kamailio.is_empty() && of_kamailio.is_subset(&known),
        "{of_kamailio:?}"
    );
    let page = fs::read_to_string(root().join("docs/statistics.md")).expect("a page");
    let rules: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    assert!(rules.len() > 5);
    for rule in rules {
        let name = rule.lines().next().expect("a name");
        assert!(
            page.contains(&format!("| `{name}` |")),
            "{name} is not in statistics.md"
        );
        for part in ["expr:", "severity:", "summary: \""] {
            assert!(rule.contains(part), "{name} has no {part}");
        }
        let count = |letter| rule.matches(letter).count();
        assert_eq!((count('('), count('[')), (count(')'), count(']')), "{rule}");
    }
    assert!(!alerts.contains('\t'));
}

/// A line of the panel for everything else.
fn target(statistic: Statistic) -> String {
    let name = statistic.name();
    let figure = format!("{PREFIX}{name}{{instance=~\\\"$instance\\\"}}");
    let query = match statistic.kind() {
        Kind::Gauge => format!("sum({figure})"),
        Kind::Counter => format!("sum(rate({figure}[$__rate_interval]))"),
    };
    format!(
        r#"        {{
          "refId": "{name}",
          "datasource": {{
            "type": "prometheus",
            "uid": "${{datasource}}"
          }},
          "editorMode": "code",
          "expr": "{query}",
          "legendFormat": "{name}",
          "range": true
        }},
"#
    )
}

/// Adds the statistics that no panel draws to the panel for everything else.
fn draw_the_rest() {
    const REST: &str = "\"title\": \"Everything else\"";
    const TARGETS: &str = "\"targets\": [\n";
    let dashboard = dashboard();
    let queries = queries(&dashboard).into_iter();
    let drawn: BTreeSet<&str> = queries.flat_map(statistics).collect();
    let missing = ALL.iter().filter(|it| !drawn.contains(it.name()));
    let targets: String = missing.copied().map(target).collect();
    let path = root().join("docs/grafana.json");
    let text = fs::read_to_string(&path).expect("docs/grafana.json");
    let (head, rest) = text.split_once(REST).expect("a panel for everything else");
    let (between, tail) = rest.split_once(TARGETS).expect("its targets");
    let text = format!("{head}{REST}{between}{TARGETS}{targets}{tail}");
    fs::write(path, text).expect("docs is writable");
}

/// `UPDATE_DOCS=1 cargo test --test dashboard drawn` adds a new statistic.
#[test]
fn every_statistic_is_drawn_as_what_it_is() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        draw_the_rest();
    }
    let dashboard = dashboard();
    let queries = queries(&dashboard);
    for statistic in ALL {
        let whole = format!("{PREFIX}{}{{", statistic.name());
        let drawn = queries.iter().filter(|query| query.contains(&whole));
        assert!(
            drawn.clone().count() > 0,
            "{} is not drawn",
            statistic.name()
        );
        // Any panic is one too many, so the total is shown.
        let grows = statistic.kind() == Kind::Counter && *statistic != Statistic::Panics;
        for query in drawn {
            let changes = ["rate", "increase"]
                .iter()
                .any(|function| query.contains(&format!("{function}({whole}")));
            assert_eq!(changes, grows, "{query}");
        }
    }
    let known: BTreeSet<&str> = ALL.iter().map(|statistic| statistic.name()).collect();
    for query in queries {
        let named = statistics(query);
        assert!(!named.is_empty() && named.is_subset(&known), "{query}");
    }
}

#[test]
fn it_is_a_dashboard() {
    let dashboard = dashboard();
    let (mut numbers, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(&dashboard, "panels") {
        assert!(
            numbers.insert(panel["id"].as_u64().expect("an id")),
            "{panel}"
        );
        assert!(!panel["title"].as_str().expect("a title").is_empty());
        let place = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(place("x") + place("w") <= COLUMNS, "{panel}");
        for column in place("x")..place("x") + place("w") {
            for row in place("y")..place("y") + place("h") {
                assert!(taken.insert((column, row)), "{} overlaps", panel["title"]);
            }
        }
        let references = list(panel, "targets").iter();
        let references: BTreeSet<_> = references.map(|target| target["refId"].as_str()).collect();
        assert_eq!(references.len(), list(panel, "targets").len(), "{panel}");
    }
    let variables = list(&dashboard["templating"], "list").iter();
    let variables: BTreeSet<_> = variables.filter_map(|it| it["name"].as_str()).collect();
    for used in variables_of(&dashboard.to_string()) {
        let known = used.starts_with("__") || variables.contains(used.as_str());
        assert!(known, "${used} is no variable of the dashboard");
    }
}

/// Every `$name` and `${name}` of a text.
fn variables_of(text: &str) -> BTreeSet<String> {
    let uses = text.split('$').skip(1);
    uses.map(|rest| {
        let letters = rest.trim_start_matches('{').chars();
        letters
            .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
            .collect()
    })
    .collect()
}
