//! The Debian package, made from cargo's output.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::plan::{module, root};

/// A folder with the module that the tests load and the programs beside `program`, arranged as
/// `make` does in `build/`: cargo need not have put both into one folder at the same time.
pub fn built(program: &str, folder: &Path) -> PathBuf {
    let programs = Path::new(program).parent().expect("a folder");
    let place = folder.join("built");
    fs::create_dir_all(&place).expect("a folder");
    symlink(module(), place.join("msrp_conference.so")).expect("a link");
    for name in ["msrp-chat", "msrp-switchd"] {
        symlink(programs.join(name), place.join(name)).expect("a link");
    }
    place
}

/// Makes the package and unpacks it below `folder`; returns the package's file, and its tree.
pub fn unpacked(program: &str, folder: &Path) -> (String, PathBuf) {
    let output = Command::new(root().join("packaging/deb"))
        .args([built(program, folder).as_path(), folder])
        // A small package is not the aim here, and would take time.
        .env("DEB_COMPRESSION", "none")
        .output()
        .expect("packaging/deb");
    assert!(output.status.success(), "{output:?}");
    let package = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let tree = folder.join("root");
    let taken_out = Command::new("dpkg-deb")
        .args(["-x", &package])
        .arg(&tree)
        .status();
    assert!(taken_out.expect("dpkg-deb").success());
    (package, tree)
}
