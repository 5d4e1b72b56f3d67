//! The Debian package, made from cargo's output: its contents, and that the hosts run its module.
//! `make deb` differs only by optimisation.

#[path = "harness/mod.rs"]
mod harness;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::host::found;
use harness::package;
use harness::page::links;
use harness::plan::{Plan, root};

/// Runs a program and expects it to succeed.
fn run(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let program = program.as_ref();
    let output: Output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(
        output.status.success(),
        "{program:?} {arguments:?}: {output:?}"
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Makes the package and unpacks it below `folder`; returns the package's file.
fn unpacked(folder: &Path) -> (String, PathBuf) {
    package::unpacked(env!("CARGO_BIN_EXE_msrp-chat"), folder)
}

#[test]
fn the_package_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (package, tree) = unpacked(folder.path());
    let fields = run("dpkg-deb", &["-f", &package]);
    for field in [
        "Package: msrp-conference",
        "Architecture: amd64",
        "libc6 (>=",
        "Suggests: kamailio",
    ] {
        assert!(fields.contains(field), "{field} is not in {fields}");
    }
    // Beside an OpenSIPS from source it would install a Kamailio, which starts on 5060.
    assert!(!fields.contains("Recommends"), "{fields}");
    documents_are_of_their_place(&tree, "/usr/share/doc/msrp-conference");
    for file in [
        "usr/share/man/man1/msrp-chat.1.gz",
        "usr/share/man/man1/msrp-chat-check.1.gz",
        "usr/share/bash-completion/completions/msrp-chat",
        "usr/share/zsh/vendor-completions/_msrp-chat",
        "usr/share/fish/vendor_completions.d/msrp-chat.fish",
        "usr/share/doc/msrp-conference/copyright",
        "usr/sbin/msrp-switchd",
        "usr/share/man/man8/msrp-switchd.8.gz",
        "lib/systemd/system/msrp-switchd.service",
        "etc/default/msrp-switchd",
        "usr/share/doc/msrp-conference/examples/kamailio/minimal.cfg",
        "usr/share/doc/msrp-conference/examples/opensips/minimal.cfg",
        "usr/include/msrp_conference.h",
        "usr/lib/tmpfiles.d/msrp-switchd.conf",
    ] {
        assert!(tree.join(file).is_file(), "{file} is missing");
    }
    let script = tree.join("usr/share/bash-completion/completions/msrp-chat");
    run("bash", &["-n", script.to_str().expect("UTF-8")]);
    run(tree.join("usr/sbin/msrp-switchd"), &["--version"]);
    for host in found() {
        let folder = format!("usr/lib/x86_64-linux-gnu/{}/modules", host.family.as_str());
        let module = tree.join(folder).join("msrp_conference.so");
        let proxy = Plan::new(&host).module(&module).start();
        let room = proxy.room("lobby");
        run(tree.join("usr/bin/msrp-chat"), &["check", &room]);
        proxy.stop();
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|it| it.expect("an entry").path());
    let found = entries.flat_map(|path| match path.is_dir() && !path.is_symlink() {
        true => files(&path),
        false => vec![path],
    });
    found.collect()
}

/// Checks the documents in `place` of this tree: no link is dead, and no path is the source's.
fn documents_are_of_their_place(tree: &Path, place: &str) {
    let folder = tree.join(place.trim_start_matches('/'));
    let pages = files(&folder)
        .into_iter()
        .filter(|it| it.extension().is_some_and(|it| it == "md"));
    let pages: Vec<_> = pages.collect();
    assert!(pages.len() > 15, "{pages:?}");
    for page in &pages {
        let text = fs::read_to_string(page).expect("a page");
        for link in links(&text) {
            let (file, _) = link.split_once('#').unwrap_or((link, ""));
            let target = page.parent().expect("a folder").join(file);
            assert!(target.exists(), "{}: {link}", page.display());
        }
    }
    let examples = files(&folder.join("examples"));
    assert!(examples.len() > 8, "{examples:?}");
    for file in pages.iter().chain(&examples) {
        let text = fs::read_to_string(file).expect("text");
        let own = text.split_whitespace();
        let mut paths = own.filter(|word| word.contains("examples/") && !word.contains("]("));
        let strange = paths.find(|word| word.starts_with("cfg-examples/"));
        assert_eq!(strange, None, "{}", file.display());
    }
}

/// `make install` puts complete files in the right places, and `make uninstall` removes them.
#[test]
fn make_installs_everything_and_takes_it_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("source");
    let stage = folder.path().join("stage");
    fs::create_dir_all(source.join("build")).expect("a folder");
    let parts = [
        "Makefile",
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SAFETY.md",
        "LICENSE",
        "docs",
        "cfg-examples",
        "packaging",
        "include",
        "openser-module",
    ];
    for part in parts {
        let copied = Command::new("cp")
            .arg("-r")
            .arg(root().join(part))
            .arg(&source)
            .status();
        assert!(copied.expect("cp").success(), "{part}");
    }
    let built = package::built(env!("CARGO_BIN_EXE_msrp-chat"), folder.path());
    for file in files(&built) {
        let to = source.join("build").join(file.file_name().expect("a name"));
        std::os::unix::fs::symlink(file, to).expect("a link");
    }
    let chat = source.join("build/msrp-chat");
    for (kind, name, line) in [
        ("man", "msrp-chat.1", &["man"][..]),
        ("man", "msrp-chat-check.1", &["man", "check"]),
        ("completions", "msrp-chat.bash", &["completions", "bash"]),
        ("completions", "msrp-chat.zsh", &["completions", "zsh"]),
        ("completions", "msrp-chat.fish", &["completions", "fish"]),
    ] {
        let folder = source.join("build").join(kind);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(name), run(&chat, line)).expect("a file");
    }
    let place = source.to_str().expect("UTF-8");
    let stage_is = format!("DESTDIR={}", stage.display());
    for (prefix, units) in [
        ("/opt/chat", "etc/systemd/system"),
        ("/usr", "usr/lib/systemd/system"),
    ] {
        let prefix_is = format!("PREFIX={prefix}");
        let make = |goal: &str| {
            let modules = "MODULES=/usr/lib/kamailio/modules";
            run("make", &["-C", place, &stage_is, &prefix_is, modules, goal])
        };
        let said = make("install");
        assert!(said.contains("What next: "), "{said}");
        let own = stage.join(prefix.trim_start_matches('/'));
        for file in [
            "bin/msrp-chat",
            "sbin/msrp-switchd",
            "include/msrp_conference.h",
            "share/man/man1/msrp-chat-check.1",
            "share/man/man8/msrp-switchd.8",
            "share/bash-completion/completions/msrp-chat",
            "share/doc/msrp-conference/examples/kamailio/authenticated.cfg",
        ] {
            assert!(own.join(file).is_file(), "{file} is missing below {prefix}");
        }
        for file in [
            "usr/lib/kamailio/modules/msrp_conference.so",
            "usr/lib/sysusers.d/msrp-switchd.conf",
            "usr/lib/tmpfiles.d/msrp-switchd.conf",
            "etc/default/msrp-switchd",
        ] {
            assert!(stage.join(file).is_file(), "{file} is missing");
        }
        let unit = stage.join(units).join("msrp-switchd.service");
        let unit = fs::read_to_string(unit).expect("a unit");
        let program = format!("ExecStart={prefix}/sbin/msrp-switchd ");
        assert!(unit.contains(&program), "{unit}");
        documents_are_of_their_place(&stage, &format!("{prefix}/share/doc/msrp-conference"));
        // A file that somebody has changed stays.
        let options = stage.join("etc/default/msrp-switchd");
        let changed = prefix == "/usr";
        if changed {
            fs::write(&options, "OPTIONS=\"--threads 2\"\n").expect("a file");
            make("install");
        }
        make("uninstall");
        let left = files(&stage);
        match changed {
            true => assert_eq!(left, [options]),
            false => assert!(left.is_empty(), "{left:?}"),
        }
    }
}

/// Overwriting the file in place would change it under a running proxy, and crash it.
#[test]
fn make_leaves_what_a_running_proxy_has_mapped_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("target/release")).expect("a folder");
    fs::create_dir_all(at("modules")).expect("a folder");
    fs::create_dir_all(at(".ci")).expect("a folder");
    fs::copy(root().join("Makefile"), at("Makefile")).expect("a copy");
    std::os::unix::fs::symlink("/bin/true", at(".ci/deps")).expect("a link");
    for name in [
        "packaging",
        "include",
        "docs",
        "cfg-examples",
        "openser-module",
        "README.md",
    ] {
        std::os::unix::fs::symlink(root().join(name), at(name)).expect("a link");
    }
    for name in [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SAFETY.md",
        "LICENSE",
    ] {
        std::os::unix::fs::symlink(root().join(name), at(name)).expect("a link");
    }
    // Programs, since the test prints their manual pages.
    let program = |text: &str| format!("#!/bin/true {text}\n");
    let make = |text: &str| {
        for name in ["libmsrp_conference.so", "msrp-switchd", "msrp-chat"] {
            fs::write(at("target/release").join(name), program(text)).expect("a file");
        }
        let place = folder.path().to_str().expect("UTF-8");
        let stage = format!("DESTDIR={place}");
        for goal in ["all", "install"] {
            run(
                "make",
                &["-C", place, "CARGO=true", &stage, "MODULES=/modules", goal],
            );
        }
    };
    let made = [
        "build/msrp_conference.so",
        "build/msrp-switchd",
        "build/msrp-chat",
        "modules/msrp_conference.so",
    ];
    make("old");
    let mapped = made.map(|name| fs::File::open(at(name)).expect("made"));
    make("new");
    for (name, old) in made.into_iter().zip(mapped) {
        let is = fs::read_to_string(at(name)).expect("made");
        let was = std::io::read_to_string(old).expect("still there");
        assert_eq!((is, was), (program("new"), program("old")), "{name}");
    }
}

/// Exit code of `tests/install.sh` when the system does not let it run.
const NOT_ALLOWED: i32 = 77;

#[test]
fn it_installs_runs_and_goes() {
    if !Path::new("/usr/sbin/kamailio").is_file() {
        return eprintln!("Debian's Kamailio is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (package, _) = unpacked(folder.path());
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let (_, rest) = readme
        .split_once("in eleven lines")
        .expect("the eleven lines");
    let lines = rest.split("```").nth(1).expect("a block");
    // With the database in its default place, in a folder that the package makes.
    let in_memory = "modparam(\"msrp_conference\", \"db_path\", \"\")\n";
    assert!(lines.contains(in_memory), "{lines}");
    let lines = lines.replace(in_memory, "");
    let configuration = folder.path().join("chat.cfg");
    fs::write(&configuration, lines).expect("a file");
    let output = Command::new(root().join("tests/install.sh"))
        .arg(&package)
        .arg(&configuration)
        .output()
        .expect("tests/install.sh");
    if output.status.code() == Some(NOT_ALLOWED) {
        return eprintln!("no overlay of this system: it takes root");
    }
    let told = String::from_utf8_lossy(&output.stdout);
    let green = told.matches("All in order.").count();
    assert!(output.status.success(), "{told}\n{output:?}");
    assert_eq!(green, 2, "{told}");
    assert!(told.ends_with("== gone\n"), "{told}");
}
