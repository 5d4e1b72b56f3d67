use super::*;

fn collect(given: &[(&str, Value)]) -> Result<Settings, ParameterError> {
    let mut collected = Collected::default();
    for (name, value) in given {
        let number = TABLE
            .iter()
            .position(|parameter| parameter.name == *name)
            .expect("known parameter");
        collected.set(number, value.clone())?;
    }
    collected.settings()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn said(given: &[(&str, Value)]) -> String {
    collect(given).expect_err("refused").to_string()
}

#[test]
fn the_page_of_parameters_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/parameters.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, markdown()).expect("docs is writable");
    }
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(page, markdown(), "run UPDATE_DOCS=1 cargo test parameters");
}

#[test]
fn defaults_are_the_published_ones() {
    let settings = collect(&[]).expect("defaults are allowed");
    assert_eq!(settings.identity, "$fu");
    assert_eq!(settings.focus.listen[0].address.to_string(), "0.0.0.0:2855");
    assert_eq!(settings.focus.rooms, []);
    assert!(settings.focus.adhoc);
    assert_eq!(settings.focus.advertise, None);
    assert_eq!(settings.focus.max_conferences, 100_000);
    assert_eq!(settings.focus.max_participants, 1000);
    assert_eq!(settings.focus.max_message_size, 10 << 20);
    assert_eq!(settings.focus.bind_timeout, Duration::from_secs(32));
    assert_eq!(settings.focus.rejoin_grace, Duration::from_secs(30));
    assert_eq!(
        settings.focus.subscription_expires,
        Duration::from_secs(3600)
    );
    assert_eq!(settings.focus.notify_interval, Duration::from_secs(5));
    assert_eq!(settings.net.switch.outbox_bytes, 1 << 20);
    assert!(settings.net.threads >= 1);
    let store = settings.store.expect("a database");
    let path = std::path::Path::new("/var/lib/msrp_conference/state.sqlite");
    assert_eq!(store.path, path);
    assert_eq!(
        collect(&[("db_path", text(""))]).expect("allowed").store,
        None
    );
}

#[test]
fn every_example_is_allowed() {
    for parameter in TABLE {
        let value = match parameter.example.strip_prefix('"') {
            Some(quoted) => text(quoted.trim_end_matches('"')),
            None => Value::Number(parameter.example.parse().expect("a number")),
        };
        assert_eq!(parameter.check(&value), Ok(()), "{}", parameter.name);
    }
}

/// Finds a setting of the switch without an option of msrp-switchd, and an option that sets nothing
/// of the switch.
#[test]
fn what_sets_the_switch_is_an_option_of_msrp_switchd_and_nothing_else() {
    let default = collect(&[]).expect("defaults are allowed").net;
    for parameter in TABLE {
        let example = parameter.example.trim_matches('"');
        let sets = match collect(&[(parameter.name, text(example))]) {
            Ok(settings) => settings.net != default,
            // The files do not exist.
            Err(error) => error.name.starts_with("tls_"),
        };
        // Without a certificate these have no effect.
        let more = ["tls_private_key", "tls_ca_list", "tls_verify_client"];
        let sets = sets || more.contains(&parameter.name);
        assert_eq!(sets, parameter.option.is_some(), "{}", parameter.name);
    }
}

#[test]
fn a_wrong_value_names_parameter_value_and_range() {
    assert_eq!(
        said(&[("bind_timeout", Value::Number(0))]),
        "parameter bind_timeout: \"0\" is not allowed (allowed: 1 to 3600 seconds)"
    );
    assert_eq!(
        said(&[("max_participants", text("many"))]),
        "parameter max_participants: \"many\" is not allowed (allowed: 1 to 100000)"
    );
    assert!(said(&[("adhoc", text("perhaps"))]).contains("(allowed: yes, no)"));
    assert!(said(&[("listen", text("http:0.0.0.0:2855"))]).contains("msrps:ADDRESS:PORT"));
    assert!(said(&[("listen", text("wss:0.0.0.0:2855"))]).contains("tls_certificate"));
    assert!(said(&[("ws_origins", text("chat.example.com"))]).contains("own, any"));
    assert!(said(&[("listen", text("msrps:0.0.0.0:2855"))]).contains("tls_certificate"));
    assert!(said(&[("listen", text("msrp:0.0.0.0:0"))]).contains("listen"));
    assert!(said(&[("advertise", text("a b"))]).contains("HOST:PORT"));
    assert!(said(&[("full_notify_agents", text("("))]).contains("regular expression"));
    assert!(said(&[("db_path", text("state.sqlite"))]).contains("an absolute path"));
    assert!(said(&[("db_sync", text("off"))]).contains("normal, full"));
    assert!(said(&[("db_on_error", text("ignore"))]).contains("memory, refuse"));
    assert!(said(&[("identity", text(""))]).contains("identity"));
    assert!(said(&[("identity", Value::Number(3))]).contains("identity"));
    assert!(said(&[("max_message_size", Value::Number(-1))]).contains("\"-1\""));
    let intervals = [
        ("session_expires", Value::Number(100)),
        ("min_se", Value::Number(120)),
    ];
    assert!(said(&intervals).contains("at least min_se, 120 seconds"));
}

#[test]
fn rooms_carry_their_options() {
    let settings = collect(&[
        (
            "room",
            text("sip:dev@Conf.Example.com;max=200;nickname=no;private=no;plain_text=yes;history=500;subscribe=participants"),
        ),
        (
            "room",
            text("sip:lobby@127.0.0.1;name=The lobby;subject=This and that;web_page=http://a.example/"),
        ),
    ])
    .expect("allowed");
    let [dev, lobby] = settings.focus.rooms.as_slice() else {
        panic!("two rooms: {:?}", settings.focus.rooms);
    };
    assert_eq!(dev.uri.as_str(), "sip:dev@conf.example.com");
    assert_eq!(dev.rules.max_participants, Some(200));
    assert!(
        !dev.rules.nicknames
            && !dev.rules.private_messages
            && dev.rules.subscribe_participants_only
    );
    assert!(dev.rules.plain_text && !lobby.rules.plain_text);
    assert_eq!((dev.rules.history, lobby.rules.history), (500, 0));
    assert_eq!(lobby.uri.as_str(), "sip:lobby@127.0.0.1");
    assert_eq!(lobby.rules.about.name.as_deref(), Some("The lobby"));
    assert_eq!(lobby.rules.about.subject.as_deref(), Some("This and that"));
    let page = ("web-page".into(), "http://a.example/".to_owned());
    assert_eq!(lobby.rules.about.services, [page]);
    assert!(
        lobby.rules.nicknames
            && lobby.rules.private_messages
            && !lobby.rules.subscribe_participants_only
    );
}

#[test]
fn room_mistakes_are_refused() {
    const UNKNOWN: &str = "docs/parameters.md#room-string";
    for (wrong, said_of_it) in [
        ("dev", "\"dev\" is not allowed (allowed: sip:USER@HOST"),
        ("sip:conf.example.com", "sip:USER@HOST"),
        ("sip:a@h:5060;max=2", "\"sip:a@h:5060\" is not allowed"),
        ("sip:a@h;max=2;colour=red;tls=no", "\"sip:a@h;colour=red\""),
        ("sip:a@h;colour=red", UNKNOWN),
        (
            "sip:a@h;max",
            "\"sip:a@h;max\" is not allowed (allowed: max=1..100000)",
        ),
        (
            "sip:a@h;max=0",
            "\"sip:a@h;max=0\" is not allowed (allowed: max=1..100000)",
        ),
        ("sip:a@h;devices=two", "(allowed: devices=many|one)"),
        ("sip:a@h;end=soon", "(allowed: end=never|empty|creator)"),
        ("sip:a@h;web_page=nowhere", "(allowed: web_page=URI)"),
        ("sip:a@h;subject=", "(allowed: subject=TEXT)"),
        ("sip:a@h;plain_text=perhaps", "(allowed: plain_text=yes|no)"),
        ("sip:a@h;history=501", "(allowed: history=0..500)"),
        ("sip:a@h;history=yes", "history=0..500"),
        ("sip:a@h;history=-1", "history=0..500"),
    ] {
        let found = said(&[("room", text(wrong))]);
        assert!(found.contains(said_of_it), "{wrong}: {found}");
    }
    let twice = [("room", text("sip:a@b")), ("room", text("sip:a@B"))];
    assert!(said(&twice).contains("every room or factory once"));
}

#[test]
fn numbers_may_be_text_and_the_last_one_counts() {
    let settings = collect(&[
        ("max_participants", text(" 5 ")),
        ("max_participants", Value::Number(7)),
        ("listen", text("msrp:127.0.0.1:2855")),
        ("listen", text("msrp:[::1]:2856")),
        ("advertise", text("[2001:db8::1]:2900")),
        ("adhoc", Value::Number(0)),
        ("full_notify_agents", text("")),
    ])
    .expect("allowed");
    assert_eq!(settings.focus.max_participants, 7);
    assert_eq!(settings.net.listen.len(), 2);
    let advertise = settings.focus.advertise.expect("set");
    assert_eq!(
        (advertise.host.as_str(), advertise.port),
        ("[2001:db8::1]", Some(2900))
    );
    assert!(!settings.focus.adhoc);
    assert_eq!(settings.focus.full_notify_agents, None);
}

#[test]
fn the_switch_is_embedded_or_behind_a_socket() {
    let place = |value: &str| collect(&[("switch", text(value))]).map(|settings| settings.switch);
    assert_eq!(
        collect(&[]).map(|s| s.switch),
        Ok(SwitchPlace::Embedded),
        "the default"
    );
    assert_eq!(
        place("unix:/run/msrp-switchd.sock"),
        Ok(SwitchPlace::Unix("/run/msrp-switchd.sock".into()))
    );
    let longest = format!("unix:/{}", "x".repeat(106));
    assert!(place(&longest).is_ok());
    let too_long = format!("{longest}x");
    for wrong in ["", "unix:", "unix:relative", "outside", &too_long] {
        assert!(said(&[("switch", text(wrong))]).contains("embedded, or unix:PATH"));
    }
}

#[test]
fn an_identity_that_the_caller_writes_is_doubted() {
    for (identity, claimed) in [
        ("$fu", Some("$fu")),
        ("sip:$au@$fd", Some("$fd")),
        ("sip:$au@$ar", Some("$ar")),
        ("sip:$(fu{uri.user})@example.com", Some("$fu")),
        ("$avp(caller)", None),
        ("$var(full)", None),
        ("$fullname", None),
        ("sip:$au@example.com", None),
        ("sip:fixed@example.com", None),
    ] {
        let doubt = super::doubt(identity);
        assert_eq!(doubt.is_some(), claimed.is_some(), "{identity}");
        let named = claimed.is_none_or(|name| doubt.unwrap_or_default().contains(name));
        assert!(named, "{identity}");
    }
}

#[test]
fn a_pattern_that_fits_nobody_stops_the_start_and_says_why() {
    let wrong = said(&[("room", text("sip:a@h;deny=bob@h,sips:mallory@h"))]);
    assert!(
        wrong.contains("sips:mallory@h: a user has the same address"),
        "{wrong}"
    );
    let wrong = said(&[("factory", text("sip:a@h;allow=*@h:5060"))]);
    assert!(wrong.contains("*@h:5060: no address of record"), "{wrong}");
    let settings = collect(&[("room", text("sip:a@h;deny=%6Dallory@Example.COM,*@B.org"))]);
    let room = &settings.expect("allowed").focus.rooms[0];
    let patterns: Vec<_> = room
        .rules
        .deny
        .iter()
        .map(crate::focus::Pattern::as_str)
        .collect();
    assert_eq!(patterns, ["sip:mallory@example.com", "*@b.org"]);
}
