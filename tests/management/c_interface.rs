//! The C interface: its header, and a module in C that uses it.

use std::fs;
use std::path::Path;
use std::process::Command;

use cbindgen::{Builder, Config, DocumentationStyle, ExportConfig, Language, Style};

use crate::harness::PATIENCE;
use crate::harness::agent::Transport;
use crate::harness::host::Family;
use crate::harness::on_every_host;
use crate::harness::participant::Participant;
use crate::harness::plan::{Plan, root};
use crate::harness::proxy::wait_until;

/// The header that cbindgen makes of the interface's source.
fn header() -> String {
    let config = Config {
        language: Language::C,
        header: Some(
            "/*\n * The C interface of msrp_conference for other modules of the same proxy.\n \
             * Written by cbindgen from src/host/api.rs: UPDATE_HEADER=1 cargo test --test management header\n */\n\n\
             #ifndef MSRP_CONFERENCE_H\n#define MSRP_CONFERENCE_H"
                .to_owned(),
        ),
        sys_includes: vec!["stddef.h".to_owned(), "stdint.h".to_owned()],
        no_includes: true,
        // cbindgen supports this for functions only, and these are types of functions.
        after_includes: Some("\n#ifdef __cplusplus\nextern \"C\" {\n#endif".to_owned()),
        trailer: Some("#ifdef __cplusplus\n}\n#endif\n\n#endif".to_owned()),
        style: Style::Tag,
        usize_is_size_t: true,
        documentation_style: DocumentationStyle::C,
        export: ExportConfig {
            include: [
                "msrp_conference_room",
                "msrp_conference_event",
                "msrp_conference_told",
                "msrp_conference_api",
                "load_msrp_conference_f",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..ExportConfig::default()
        },
        ..Config::default()
    };
    let bindings = Builder::new()
        .with_config(config)
        .with_src(root().join("src/host/api.rs"))
        .generate()
        .expect("cbindgen");
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).expect("UTF-8")
}

#[test]
fn the_header_is_what_the_source_says() {
    let path = root().join("include/msrp_conference.h");
    let header = header();
    if std::env::var_os("UPDATE_HEADER").is_some() {
        fs::write(&path, &header).expect("include is writable");
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        kept, header,
        "run UPDATE_HEADER=1 cargo test --test management header"
    );
}

/// Modules of the proxies may be written in C++.
#[test]
fn the_header_is_one_for_c_plus_plus_too() {
    let source = "#include \"msrp_conference.h\"\n#include \"msrp_conference.h\"\n\
        extern \"C\" void told(const struct msrp_conference_event *, void *) {}\n\
        msrp_conference_told callback = told;\n";
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("module.cpp");
    fs::write(&file, source).expect("written");
    let compiler = Command::new("c++")
        .args(["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-pedantic"])
        .arg("-I")
        .arg(root().join("include"))
        .arg(&file)
        .output();
    let Ok(output) = compiler else {
        return eprintln!("no C++ compiler here: the header is not tried");
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(header().contains("extern \"C\" {"), "function types of C++");
}

/// Compiles the example; false where there is no C compiler.
fn compiled(into: &Path) -> bool {
    let root = root();
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-Wl,-Bsymbolic"])
        .arg("-I")
        .arg(root.join("include"))
        .arg("-o")
        .arg(into)
        .arg(root.join("openser-module/greeter.c"))
        .output();
    let Ok(output) = compiler else {
        eprintln!("no C compiler here: the example module is not tried");
        return false;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    true
}

#[test]
fn a_module_in_c_binds_is_told_and_orders() {
    on_every_host(|host| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("greeter.so");
        if !compiled(&file) {
            return;
        }
        let code = match host.family {
            Family::Kamailio => "\"200\"",
            Family::OpenSips => "200",
        };
        let proxy = Plan::new(host)
            .lines(&format!("loadmodule \"{}\"\n", file.display()))
            .script(&format!(
                "if (is_method(\"OPTIONS\") && $rU == \"try\") {{\n\
                 greeter_try();\n$var(tried) = $rc;\n\
                 sl_send_reply({code}, \"Tried $var(tried)\");\nexit;\n}}"
            ))
            .start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let heard = alice.hear().body.expect("a body");
        assert!(heard.ends_with(b"Welcome, sip:alice@127.0.0.1!"));
        let options = alice.agent.draft("OPTIONS", &proxy.room("try"));
        assert_eq!(alice.agent.exchange(&options).reason, "Tried 1");
        let _bob = Participant::join(&proxy, "bob", Transport::Tcp, "lobby");
        let told = alice.hear().body.expect("a body");
        assert!(told.ends_with(b"Welcome, sip:bob@127.0.0.1!"));
        assert!(wait_until(PATIENCE, || proxy.statistic("participants") == 2));
        proxy.stop();
    });
}
