//! Validates conference-info documents: against our RELAX NG grammar always, against the
//! schema of RFC 4575 when its text lies beside the repository.

// Each test crate includes this file as a module of its own and uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// `Err` holds the output of `xmllint`.
pub fn validate(xml: &str) -> Result<(), String> {
    let grammar = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/conference-info.rng");
    lint(xml, "--relaxng", &grammar)?;
    match rfc_schema() {
        Some(schema) => lint(xml, "--schema", schema),
        None => Ok(()),
    }
}

/// The same for many documents at once.
pub fn validate_all<'a>(documents: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    for (number, xml) in documents.into_iter().enumerate() {
        let file = folder.path().join(format!("{number}.xml"));
        std::fs::write(&file, xml).map_err(|error| error.to_string())?;
        files.push(file);
    }
    lint_files(&files)
}

fn lint_files(files: &[PathBuf]) -> Result<(), String> {
    let grammar = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/conference-info.rng");
    let schemas = [
        ("--relaxng", Some(grammar.as_path())),
        ("--schema", rfc_schema()),
    ];
    for (kind, schema) in schemas {
        let Some(schema) = schema.filter(|_| !files.is_empty()) else {
            continue;
        };
        let output = Command::new("xmllint")
            .args(["--nonet", "--noout", kind])
            .arg(schema)
            .args(files)
            .output()
            .map_err(|error| format!("xmllint (package libxml2-utils): {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let faults = said.lines().filter(|line| !line.ends_with("validates"));
            let file = faults
                .clone()
                .next()
                .and_then(|fault| fault.split(':').next());
            let xml = file.and_then(|file| std::fs::read_to_string(file).ok());
            let faults: Vec<_> = faults.take(10).collect();
            return Err(format!(
                "{}\n{}",
                faults.join("\n"),
                xml.unwrap_or_default()
            ));
        }
    }
    Ok(())
}

/// `rfc/conference-info.xsd` in the folder that MSRP_CONFERENCE_SHARED names, or in one called
/// `shared` beside the repository. Its copyright keeps it out of the repository.
fn rfc_schema() -> Option<&'static Path> {
    static SCHEMA: OnceLock<Option<PathBuf>> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        let named = std::env::var_os("MSRP_CONFERENCE_SHARED").map(PathBuf::from);
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
        let found = [named, Some(beside)]
            .into_iter()
            .flatten()
            .map(|folder| folder.join("rfc/conference-info.xsd"))
            .find(|schema| schema.is_file());
        if found.is_none() {
            eprintln!("no conference-info.xsd beside the repository: only our grammar is checked");
        }
        found
    });
    schema.as_deref()
}

fn lint(xml: &str, kind: &str, schema: &Path) -> Result<(), String> {
    let mut xmllint = Command::new("xmllint")
        .args(["--nonet", "--noout", kind])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("xmllint (package libxml2-utils): {error}"))?;
    if let Some(mut stdin) = xmllint.stdin.take() {
        // A broken pipe means that xmllint has found an error already, which it reports below.
        let _ = stdin.write_all(xml.as_bytes());
    }
    let output = xmllint.wait_with_output().map_err(|e| e.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{kind}: {}\n{xml}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}
