//! Wrong modparams stop the start with one line that names the parameter, the value and the allowed
//! values.

use crate::harness::on_every_host;
use crate::harness::plan::Plan;

/// Name, value, and the allowed values that the line must name.
const WRONG: [(&str, &str, &str); 15] = [
    ("listen", "tcp:127.0.0.1:2855", "msrp:ADDRESS:PORT"),
    ("listen", "msrp:nowhere", "msrp:ADDRESS:PORT"),
    ("advertise", "not a host", "HOST"),
    ("room", "lobby", "sip:USER@HOST"),
    ("room", "sip:a@b;max=none", "max=1..100000"),
    ("adhoc", "perhaps", "yes, no"),
    ("max_conferences", "0", "1 to 10000000"),
    ("max_participants", "0", "1 to 100000"),
    ("max_message_size", "0", "2048 to 1073741824"),
    ("bind_timeout", "0", "1 to 3600"),
    ("rejoin_grace", "99999999", "0 to 86400"),
    ("subscription_expires", "59", "60 to 86400"),
    ("notify_interval_ms", "99999999", "0 to 60000"),
    ("switch_threads", "100000", "0 to 256"),
    ("bind_timeout", "soon", "1 to 3600"),
];

#[test]
fn wrong_values_stop_the_start() {
    on_every_host(|host| {
        for (name, value, right) in WRONG {
            let log = Plan::new(host).parameter(name, value).start_refused();
            let said = log.lines().any(|line| {
                let said = line.find(name).map(|at| &line[at + name.len()..]);
                said.is_some_and(|rest| rest.contains(value) && rest.contains(right))
            });
            assert!(said, "{name}={value} is refused without a word:\n{log}");
        }
    });
}

#[test]
fn a_taken_msrp_port_stops_the_start() {
    on_every_host(|host| {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("msrp:{}", taken.local_addr().unwrap());
        let log = Plan::new(host)
            .parameter("listen", &address)
            .start_refused();
        let port = taken.local_addr().unwrap().port().to_string();
        assert!(
            log.lines()
                .any(|line| line.contains("listen") && line.contains(&port)),
            "{log}"
        );
    });
}

#[test]
fn a_second_room_and_more_are_taken() {
    on_every_host(|host| {
        let plan =
            Plan::new(host).parameter("room", "sip:one@127.0.0.1;max=3;nickname=no;private=no");
        let plan = plan
            .parameter("room", "sip:two@127.0.0.1")
            .parameter("adhoc", "no")
            .parameter("identity", "$avp(caller)");
        let plan = plan
            .parameter("max_conferences", 10)
            .parameter("switch_threads", 2)
            .parameter("advertise", "127.0.0.1");
        plan.start().stop();
    });
}

/// The default is for tests only, and causes a warning; a variable that the script sets causes
/// none.
#[test]
fn an_identity_that_the_caller_writes_is_warned_of() {
    on_every_host(|host| {
        for (identity, warned) in [
            ("sip:$au@$fd", true),
            ("$fu", true),
            ("$avp(caller)", false),
        ] {
            let proxy = Plan::new(host).parameter("identity", identity).start();
            let log = proxy.log();
            let said = log.lines().any(|line| {
                line.contains("parameter identity: the caller writes") && line.contains("WARN")
            });
            assert_eq!(said, warned, "{identity}:\n{log}");
            proxy.stop();
        }
    });
}
