//! Event routes that set variables: no value of one event is left for the next, nor in memory.

use std::fs;

use super::harness::agent::{Agent, Transport};
use super::harness::draft::Dialog;
use super::harness::host::{Family, Host};
use super::harness::participant::{client_path, invite};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, wait_until};
use super::harness::{PATIENCE, on_every_host};
use super::story::{at_rest, folder, holds_no_more};

const JOINS: usize = 500;

/// Body of a Kamailio event route, which logs the event's user.
const KAMAILIO: &str = "
    if ($avp(user) != $null) { xlog(\"L_NOTICE\", \"LEFT OVER: $avp(user)\\n\"); }
    $avp(user) = $msrp_conference(event_user);
    xlog(\"L_NOTICE\", \"HEARD: $avp(user)\\n\");
}
";

/// The same in OpenSIPS.
const OPENSIPS: &str = "
    if ($avp(user) != NULL) { xlog(\"LEFT OVER: $avp(user)\\n\"); }
    $avp(user) = $param(user);
    xlog(\"HEARD: $avp(user)\\n\");
}
";

const LUA: &str = r#"
function ksr_request_route() KSR.msrp_conference.handle(); end
function ksr_msrp_conference_event(name)
    if name ~= "msrp-conference:join" and name ~= "msrp-conference:leave" then return end
    local last = KSR.pv.get("$avp(user)")
    if last ~= nil then KSR.notice("LEFT OVER: " .. last .. "\n") end
    KSR.pv.sets("$avp(user)", KSR.pv.get("$msrp_conference(event_user)"))
    KSR.notice("HEARD: " .. KSR.pv.get("$avp(user)") .. "\n")
end
"#;

fn routes(host: &Host) -> String {
    let (names, body) = match host.family {
        Family::Kamailio => (["msrp-conference:join", "msrp-conference:leave"], KAMAILIO),
        Family::OpenSips => (
            ["E_MSRP_CONFERENCE_JOIN", "E_MSRP_CONFERENCE_LEAVE"],
            OPENSIPS,
        ),
    };
    let route = |name| format!("event_route[{name}] {{{body}");
    names.map(route).concat()
}

/// A user joins and leaves at once.
fn come_and_go(proxy: &Proxy, agent: &Agent, user: usize) {
    let draft = invite(agent, &proxy.room("team"), &client_path());
    let from = format!("<sip:u{user}@127.0.0.1>;tag={user}");
    let draft = draft.set("From", from);
    let answer = agent.exchange(&draft);
    assert_eq!(answer.code, 200, "{}", answer.reason);
    let mut dialog = Dialog::new(&draft, &answer);
    agent.send(&dialog.ack(agent));
    assert_eq!(agent.exchange(&dialog.request(agent, "BYE")).code, 200);
}

fn leave_nothing(plan: Plan) {
    let proxy = plan.start();
    let agent = Agent::new("crowd", proxy.sip, Transport::Udp);
    let heard = || proxy.log().matches("HEARD: ").count();
    let all_heard = |joins| {
        let all = wait_until(PATIENCE, || heard() == 2 * joins);
        assert!(all, "{} events were heard", heard());
    };
    come_and_go(&proxy, &agent, 0);
    all_heard(1);
    let before = at_rest(&proxy);
    for user in 1..=JOINS {
        come_and_go(&proxy, &agent, user);
    }
    all_heard(1 + JOINS);
    at_rest(&proxy);
    holds_no_more(&proxy, before);
    assert!(!proxy.log().contains("LEFT OVER"), "of an earlier event");
    proxy.stop();
}

#[test]
fn event_routes_leave_nothing_behind() {
    on_every_host(|host| {
        // In OpenSIPS a module until 3.4, and a part of the core since.
        let modules = match (host.family, host.has_module("event_route")) {
            (Family::Kamailio, _) => "loadmodule \"xlog.so\"\n",
            (Family::OpenSips, true) => "loadmodule \"event_route.so\"\n",
            (Family::OpenSips, false) => "",
        };
        leave_nothing(Plan::new(host).lines(modules).routes(&routes(host)));
    });
}

#[test]
fn event_functions_of_another_language_leave_nothing_behind() {
    on_every_host(|host| {
        if host.family != Family::Kamailio || !host.has_modules(&["app_lua"]) {
            return;
        }
        let folder = folder();
        let file = folder.path().join("script.lua");
        fs::write(&file, LUA).expect("the script");
        let plan = Plan::new(host)
            .parameter("event_callback", "ksr_msrp_conference_event")
            .lines(&format!(
                "loadmodule \"app_lua.so\"\nmodparam(\"app_lua\", \"load\", \"{}\")\n\
                 cfgengine \"lua\"\n",
                file.display()
            ));
        leave_nothing(plan);
    });
}
