//! The module beside Kamailio's modules, with typical scripts.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use super::harness::host::{Family, Host};
use super::harness::on_every_host;
use super::harness::page::block;
use super::story::{Neighbour, folder, has_records};

const NOBODY: Neighbour = Neighbour::none(Family::Kamailio);

/// The guide's lines; the rooms are at this address.
fn dialog() -> Neighbour {
    let lines = block("docs/kamailio.md", "pass `dlg_manage()`, or none does");
    Neighbour {
        modules: &["rr", "dialog"],
        script: lines.replace("conf.example.com", "127.0.0.1"),
        ..NOBODY
    }
}

fn dialog_of_invites() -> Neighbour {
    Neighbour {
        script: "if (is_method(\"INVITE\")) { dlg_manage(); }\n".into(),
        ..dialog()
    }
}

fn acc() -> Neighbour {
    Neighbour {
        modules: &["rr", "acc"],
        lines: "modparam(\"acc\", \"log_flag\", 1)\n".into(),
        script: "if (is_method(\"INVITE|BYE\")) { setflag(1); }\n".into(),
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

fn topoh() -> Neighbour {
    Neighbour {
        modules: &["rr", "topoh"],
        lines: "modparam(\"topoh\", \"mask_key\", \"a secret\")\n\
                modparam(\"topoh\", \"mask_ip\", \"192.0.2.1\")\n"
            .into(),
        ..record_route()
    }
}

/// topos, with its tables in this folder.
fn topos(folder: &Path) -> Neighbour {
    let file = folder.join("topos.sqlite");
    let file = file.display();
    Neighbour {
        modules: &["db_sqlite", "rr", "topos"],
        lines: format!("modparam(\"topos\", \"db_url\", \"sqlite:///{file}\")\n"),
        ..record_route()
    }
}

/// The tables of topos, made by the host's own files.
fn tables(host: &Host) -> Option<TempDir> {
    let folder = folder();
    let database = Connection::open(folder.path().join("topos.sqlite")).expect("a database");
    // One writes while others read.
    let mode = database.pragma_update(None, "journal_mode", "WAL");
    mode.expect("the journal's mode");
    for name in ["standard", "topos"] {
        let file = host.share().join(format!("db_sqlite/{name}-create.sql"));
        database
            .execute_batch(&fs::read_to_string(file).ok()?)
            .expect("tables");
    }
    Some(folder)
}

fn asynchronous() -> Neighbour {
    Neighbour {
        settings: "async_workers=2\n",
        modules: &["async"],
        script: "if (uri == myself && $rU != $null && !is_method(\"ACK|CANCEL\")) {\n\
                 async_task_route(\"ROOM\");\n exit;\n }\n"
            .into(),
        routes: "route[ROOM] {\n msrp_conference_handle();\n exit;\n }\n",
        ..NOBODY
    }
}

fn own_transaction() -> Neighbour {
    Neighbour {
        script: "if ($rU != $null && !is_method(\"ACK\")) { t_newtran(); }\n".into(),
        ..NOBODY
    }
}

fn called_twice() -> Neighbour {
    Neighbour {
        script: "if ($rU != $null) { msrp_conference_handle(); }\n".into(),
        ..NOBODY
    }
}

/// All that requests and refreshes of the room itself pass.
pub(crate) fn all() -> Vec<Neighbour> {
    vec![dialog(), acc(), record_route(), topoh(), asynchronous()]
}

#[test]
fn with_the_guides_lines_a_room_works_beside_dialogs() {
    dialog().leaves_nothing();
}

#[test]
fn a_room_works_beside_a_dialog_for_every_invite() {
    dialog_of_invites().works_but(|proxy| {
        let dialogs = proxy.call("dlg.list", json!([]));
        let dialogs = dialogs.as_array().map_or(0, Vec::len);
        assert_eq!(dialogs, 2, "the guide says so: {}", proxy.log());
    });
}

#[test]
fn a_room_works_beside_accounting() {
    on_every_host(|host| acc().leaves_nothing_on(host, has_records));
}

#[test]
fn a_room_works_behind_record_route() {
    record_route().leaves_nothing();
}

#[test]
fn a_room_works_behind_topoh() {
    topoh().leaves_nothing();
}

#[test]
fn a_room_works_behind_topos() {
    on_every_host(|host| {
        if host.family == Family::Kamailio
            && let Some(folder) = tables(host)
        {
            topos(folder.path()).leaves_nothing_on(host, |_| {});
        }
    });
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
