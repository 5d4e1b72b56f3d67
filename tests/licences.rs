//! Checks that every dependency's licence fits a work under GPL-2.0-or-later.

use std::collections::HashSet;
use std::process::Command;

use serde_json::Value;
use spdx::Expression;

/// Licences that may be combined into a work under GPL-2.0-or-later. Apache-2.0 is not among them:
/// it fits only version 3 of the GPL, and the module is loaded into hosts whose own parts are not
/// all "or later".
const FITTING: [&str; 12] = [
    "MIT",
    "MIT-0",
    "0BSD",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    "BSL-1.0",
    "GPL-2.0-or-later",
];

/// Crates under Apache-2.0 alone, each with the reason why it may stay.
const APACHE_ALONE: [(&str, &str); 4] = [
    (
        "clang-sys",
        "runs at build time within bindgen; nothing of it is in what we ship",
    ),
    ("insta", "tests only"),
    ("similar", "tests only, of insta"),
    ("spdx", "tests only"),
];

/// Crates under MPL-2.0, in the same way.
const MOZILLA: [(&str, &str); 1] = [(
    "cbindgen",
    "tests only: it writes the C header, and nothing of it is in that",
)];

#[test]
fn every_dependency_may_be_linked() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 20, "only {} packages", packages.len());
    let built = built();
    let unfit: Vec<String> = packages
        .iter()
        .filter(|package| {
            package["name"]
                .as_str()
                .is_some_and(|name| built.contains(name))
        })
        .filter_map(unfit)
        .collect();
    assert!(unfit.is_empty(), "\n{}", unfit.join("\n"));
}

/// Names of the crates really built: the metadata also list optional crates that are in the lock
/// file because of a weak feature but never compiled.
fn built() -> HashSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "all",
            "--prefix",
            "none",
        ])
        .args(["--target", "x86_64-unknown-linux-gnu", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree");
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().filter_map(|line| line.split(' ').next());
    let built: HashSet<String> = names.map(str::to_owned).collect();
    assert!(built.len() > 20, "only {} crates", built.len());
    built
}

/// The problem with a package's licence, if any.
fn unfit(package: &Value) -> Option<String> {
    let name = package["name"].as_str().expect("a name");
    let Some(licence) = package["license"].as_str() else {
        return Some(format!("{name} names no licence"));
    };
    let expression = match Expression::parse_mode(licence, spdx::ParseMode::LAX) {
        Ok(expression) => expression,
        Err(error) => return Some(format!("{name}: {licence}: {error}")),
    };
    let fits = expression.evaluate(|requirement| {
        let text = requirement.to_string();
        FITTING.contains(&text.as_str())
            || text == "Apache-2.0" && APACHE_ALONE.iter().any(|(known, _)| *known == name)
            || text == "MPL-2.0" && MOZILLA.iter().any(|(known, _)| *known == name)
    });
    (!fits).then(|| format!("{name}: {licence}"))
}
