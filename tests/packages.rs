//! The Debian package, made from what cargo has just built: what is in it, and that the hosts
//! run the module out of it. What `make deb` makes differs by optimisation alone.

#[path = "harness/mod.rs"]
mod harness;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::host::found;
use harness::plan::{Plan, root};

/// Runs a program and expects it to succeed.
fn run(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let program = program.as_ref();
    let output: Output = Command::new(program)
        .args(arguments)
        // The smallest package is not the point here, and takes its time.
        .env("DEB_COMPRESSION", "none")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(
        output.status.success(),
        "{program:?} {arguments:?}: {output:?}"
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Makes the package and unpacks it below `folder`; the package's file.
fn unpacked(folder: &Path) -> (String, PathBuf) {
    let built = Path::new(env!("CARGO_BIN_EXE_msrp-chat"));
    let built = built.parent().expect("a folder").to_str().expect("UTF-8");
    let output = folder.to_str().expect("UTF-8");
    let package = run(root().join("packaging/deb"), &[built, output]);
    let tree = folder.join("root");
    run("dpkg-deb", &["-x", &package, tree.to_str().expect("UTF-8")]);
    (package, tree)
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
    ] {
        assert!(fields.contains(field), "{field} is not in {fields}");
    }
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

/// Written into, the file would change under a proxy that runs it, and crash it.
#[test]
fn make_leaves_what_a_running_proxy_has_mapped_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("target/release")).expect("a folder");
    fs::create_dir_all(at("modules")).expect("a folder");
    fs::create_dir_all(at(".ci")).expect("a folder");
    fs::copy(root().join("Makefile"), at("Makefile")).expect("a copy");
    std::os::unix::fs::symlink("/bin/true", at(".ci/deps")).expect("a link");
    let make = |text: &str| {
        for name in ["libmsrp_conference.so", "msrp-switchd", "msrp-chat"] {
            fs::write(at("target/release").join(name), text).expect("a file");
        }
        let place = folder.path().to_str().expect("UTF-8");
        let modules = format!("MODULES={}", at("modules").display());
        for goal in ["all", "install"] {
            run("make", &["-C", place, "CARGO=true", &modules, goal]);
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
        assert_eq!((is.as_str(), was.as_str()), ("new", "old"), "{name}");
    }
}

/// What `tests/install.sh` says when the system does not let it.
const NOT_ALLOWED: i32 = 77;

#[test]
fn it_installs_runs_and_goes() {
    if !Path::new("/usr/sbin/kamailio").is_file() {
        return eprintln!("Debian's Kamailio is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (package, _) = unpacked(folder.path());
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let (_, rest) = readme.split_once("in ten lines").expect("the ten lines");
    let lines = rest.split("```").nth(1).expect("a block");
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
