//! What a package puts beside the program: manual pages and shell completions, written from
//! the command line's own description.

use crate::cli::{CommandLine, KnownShell};
use clap_complete::Shell;
use std::io::{self, Write};
use std::process::ExitCode;

const NAME: &str = "msrp-chat";
/// Section 1: programs for users.
const SECTION: &str = "1";

/// Writes the completion script of a shell.
pub(crate) fn completions(shell: KnownShell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(
        Shell::from(shell),
        &mut CommandLine::command(),
        NAME,
        &mut script,
    );
    print(&script)
}

/// Writes the manual page of the program, or of one of its tools.
pub(crate) fn page(tool: Option<&str>) -> ExitCode {
    match write_page(tool) {
        Some(page) => print(&page),
        None => {
            eprintln!("There is no tool {}.", tool.unwrap_or_default());
            ExitCode::from(2)
        }
    }
}

fn write_page(tool: Option<&str>) -> Option<Vec<u8>> {
    let mut program = CommandLine::command();
    program.build();
    let command = match tool {
        None => program,
        Some(name) => program.find_subcommand(name)?.clone(),
    };
    let mut page = Vec::new();
    let written = clap_mangen::Man::new(command)
        .section(SECTION)
        .source(concat!("msrp_conference ", env!("CARGO_PKG_VERSION")))
        .render(&mut page);
    written.ok().map(|()| page)
}

fn print(octets: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(octets).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_name_their_program_and_options() {
        for (tool, words) in [
            (None, ["msrp\\-chat", "\\-\\-from"]),
            (Some("check"), ["msrp\\-chat\\-check", "\\-\\-patience"]),
            (Some("load"), ["msrp\\-chat\\-load", "\\-\\-participants"]),
        ] {
            let page = String::from_utf8(write_page(tool).unwrap()).unwrap();
            for word in words {
                assert!(page.contains(word), "{word} in {page}");
            }
        }
        assert_eq!(write_page(Some("dance")), None);
    }
}
