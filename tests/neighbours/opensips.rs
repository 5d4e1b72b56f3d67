//! The module beside OpenSIPS' modules, with typical scripts.

use serde_json::json;

use super::harness::host::Family;
use super::harness::on_every_host;
use super::harness::page::block;
use super::harness::proxy::Proxy;
use super::story::{Neighbour, has_records};

const NOBODY: Neighbour = Neighbour::none(Family::OpenSips);

fn dialog() -> Neighbour {
    Neighbour {
        modules: &["rr", "dialog"],
        script: "if (is_method(\"INVITE\") && !has_totag()) { create_dialog(); }\n\
                 if (has_totag()) { match_dialog(); }\n"
            .into(),
        ..NOBODY
    }
}

/// The guide's lines: rooms, which are at this address, get no dialog.
fn dialog_of_others() -> Neighbour {
    let lines = block("docs/opensips.md", "make no dialogs for rooms");
    Neighbour {
        script: lines.replace("conf.example.com", "127.0.0.1"),
        ..dialog()
    }
}

fn cdr() -> Neighbour {
    Neighbour {
        modules: &["rr", "dialog", "acc"],
        script: "if (is_method(\"INVITE\") && !has_totag()) {\n\
                 create_dialog();\n do_accounting(\"log\", \"cdr\");\n }\n"
            .into(),
        ..NOBODY
    }
}

fn acc() -> Neighbour {
    Neighbour {
        modules: &["acc"],
        script: "if (is_method(\"INVITE|BYE\")) { do_accounting(\"log\"); }\n".into(),
        ..NOBODY
    }
}

fn record_route() -> Neighbour {
    Neighbour {
        modules: &["rr"],
        script: "if (has_totag()) { loose_route(); }\n\
                 else if (is_method(\"INVITE|SUBSCRIBE|REFER\")) { record_route(); }\n"
            .into(),
        ..NOBODY
    }
}

fn topology_hiding() -> Neighbour {
    Neighbour {
        modules: &["rr", "dialog", "topology_hiding"],
        script: "if (has_totag()) { topology_hiding_match(); }\n\
                 else if (is_method(\"INVITE|SUBSCRIBE\")) { topology_hiding(); }\n"
            .into(),
        ..NOBODY
    }
}

fn topology_hiding_with_dialog() -> Neighbour {
    Neighbour {
        script: "if (has_totag()) { topology_hiding_match(); }\n\
                 else if (is_method(\"INVITE\")) { create_dialog(); topology_hiding(); }\n"
            .into(),
        ..topology_hiding()
    }
}

fn asynchronous() -> Neighbour {
    Neighbour {
        modules: &["cfgutils"],
        script: "if (is_myself(\"$rd\") && $rU != NULL && !is_method(\"ACK|CANCEL\")) {\n\
                 async(usleep(1000), ROOM);\n exit;\n }\n"
            .into(),
        routes: "route[ROOM] {\n msrp_conference_handle();\n exit;\n }\n",
        ..NOBODY
    }
}

fn own_transaction() -> Neighbour {
    Neighbour {
        script: "if ($rU != NULL && !is_method(\"ACK\")) { t_newtran(); }\n".into(),
        ..NOBODY
    }
}

fn called_twice() -> Neighbour {
    Neighbour {
        script: "if ($rU != NULL) { msrp_conference_handle(); }\n".into(),
        ..NOBODY
    }
}

/// All that requests and refreshes of the room itself pass.
pub(crate) fn all() -> Vec<Neighbour> {
    vec![
        dialog(),
        cdr(),
        record_route(),
        topology_hiding_with_dialog(),
        asynchronous(),
    ]
}

/// OpenSIPS' dialog module learns from a forwarded reply who answered, and the room's reply is not
/// forwarded: only their time-out ends these dialogs.
fn keeps_its_dialogs(proxy: &Proxy) {
    let dialogs = proxy.call("dlg_list", json!([]));
    let dialogs = dialogs["Dialogs"].as_array().map_or(0, Vec::len);
    assert_eq!(dialogs, 2, "the guide says so: {}", proxy.log());
}

#[test]
fn a_room_works_beside_a_dialog_for_every_invite() {
    dialog().works_but(keeps_its_dialogs);
}

#[test]
fn with_the_guides_lines_rooms_have_no_dialog() {
    dialog_of_others().leaves_nothing();
}

#[test]
fn a_room_works_beside_call_records_by_dialog() {
    cdr().works_but(keeps_its_dialogs);
}

#[test]
fn a_room_works_beside_accounting_by_transaction() {
    on_every_host(|host| acc().leaves_nothing_on(host, has_records));
}

#[test]
fn a_room_works_behind_record_route() {
    record_route().leaves_nothing();
}

#[test]
fn a_room_works_behind_topology_hiding() {
    topology_hiding().leaves_nothing();
}

#[test]
fn a_room_works_behind_topology_hiding_by_dialog() {
    topology_hiding_with_dialog().works_but(keeps_its_dialogs);
}

#[test]
fn a_room_takes_requests_from_the_route_that_resumes_them() {
    asynchronous().leaves_nothing();
}

#[test]
fn a_room_takes_requests_whose_transaction_the_script_made() {
    own_transaction().leaves_nothing();
}

#[test]
fn a_script_may_hand_a_request_over_twice() {
    called_twice().leaves_nothing();
}
