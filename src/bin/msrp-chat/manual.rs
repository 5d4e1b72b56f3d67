//! Manual pages and shell completions for packages, generated from the command line's own
//! description.

use crate::cli::{CommandLine, KnownShell};
use clap_complete::Shell;
use std::io::{self, Write};
use std::process::ExitCode;

const NAME: &str = "msrp-chat";
/// Section 1: programs for users.
const SECTION: &str = "1";
/// Paragraphs below the options that are sections of the page.
const HEADINGS: [&str; 4] = ["Examples", "Steps", "Exit status", "Commands"];
const SEE_ALSO: &str = ".SH SEE ALSO\n.BR msrp\\-chat (1),\n.BR msrp\\-chat\\-check (1),\n\
    .BR msrp\\-chat\\-load (1),\n.BR msrp\\-switchd (8)\n";

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
    let mut command = match tool {
        None => program,
        Some(name) => program.find_subcommand(name)?.clone(),
    };
    let usage = command.render_usage().to_string();
    let notes = command.get_after_help().map(ToString::to_string);
    let page = clap_mangen::Man::new(command)
        .section(SECTION)
        .manual("msrp_conference")
        .source(concat!("msrp_conference ", env!("CARGO_PKG_VERSION")));
    let mut out = Vec::new();
    page.render_title(&mut out).ok()?;
    page.render_name_section(&mut out).ok()?;
    out.extend(synopsis(&usage).into_bytes());
    page.render_description_section(&mut out).ok()?;
    page.render_options_section(&mut out).ok()?;
    if tool.is_none() {
        page.render_subcommands_section(&mut out).ok()?;
    }
    out.extend(sections(&notes.unwrap_or_default()).into_bytes());
    out.extend_from_slice(SEE_ALSO.as_bytes());
    Some(out)
}

/// The usage lines as they stand in `--help`.
fn synopsis(usage: &str) -> String {
    let lines = usage.trim_start_matches("Usage:").lines();
    let lines: String = lines.map(|line| roff(line.trim()) + "\n").collect();
    format!(".SH SYNOPSIS\n.nf\n{lines}.fi\n")
}

/// The text below the options in `--help`. A paragraph that begins with a word and a colon is a
/// section of that name; indented lines are shown as they are.
fn sections(notes: &str) -> String {
    let mut page = String::new();
    for paragraph in notes.split("\n\n") {
        let (title, text) = match paragraph.split_once(':') {
            Some((title, text)) if HEADINGS.contains(&title) => {
                (title, text.trim_start_matches('\n'))
            }
            _ => ("", paragraph),
        };
        page += &match title {
            "" => ".PP\n".to_owned(),
            _ => format!(".SH {}\n", title.to_uppercase()),
        };
        page += &body(text);
    }
    page
}

fn body(text: &str) -> String {
    let mut page = String::new();
    let mut shown = false;
    for line in text.lines() {
        let as_it_is = line.starts_with("  ");
        if as_it_is != shown {
            page += if as_it_is { ".nf\n" } else { ".fi\n" };
            shown = as_it_is;
        }
        let line = if as_it_is { line } else { line.trim() };
        page += &(roff(line) + "\n");
    }
    page + if shown { ".fi\n" } else { "" }
}

/// A line of text for roff, with everything escaped that could be a command.
fn roff(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line,
    }
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

    #[test]
    fn what_stands_below_the_options_becomes_sections() {
        let page =
            sections("Examples:\n  run -x \\\n      .dot\n\nA word.\n\nExit status: 0 good.");
        let expected = ".SH EXAMPLES\n.nf\n  run \\-x \\e\n      .dot\n.fi\n.PP\nA word.\n\
            .SH EXIT STATUS\n0 good.\n";
        assert_eq!(page, expected);
    }
}
