//! Typed input: lines, and the terminal they come from.

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, ExternalPrinter, Helper};
use std::io::{self, BufRead, IsTerminal};
use std::process::{Command as Program, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Lines that may wait for the program.
const WAITING_LINES: usize = 64;
/// The longest line accepted, in octets.
const MAX_LINE: usize = 1024 * 1024;

/// A line, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Say(String),
    Who,
    Private {
        to: String,
        text: String,
    },
    /// Empty gives up the nickname.
    Nick(String),
    Help,
    Quit,
    /// An error text about an invalid line.
    Wrong(String),
}

/// Tab completions of a slash.
const COMMANDS: [&str; 5] = ["/help", "/msg ", "/nick ", "/quit", "/who"];

/// Output of `/help`.
pub(crate) const HELP: &str = "\
/who             who is in the room
/msg NAME TEXT   say something to one participant only (\"NAME\" if it has spaces)
/nick NAME       take a nickname; /nick alone gives it up
/quit            leave
//TEXT           say a line that starts with a slash
Tab              completes commands and names";

impl Command {
    /// Reads a line; `None` for an empty one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        if line.is_empty() {
            return None;
        }
        let Some(command) = line.strip_prefix('/') else {
            return Some(Command::Say(line.to_owned()));
        };
        if command.starts_with('/') {
            return Some(Command::Say(command.to_owned()));
        }
        let (word, rest) = command
            .split_once(char::is_whitespace)
            .unwrap_or((command, ""));
        let rest = rest.trim();
        Some(match word {
            "who" => Command::Who,
            "nick" => Command::Nick(rest.to_owned()),
            "msg" => match split_name(rest) {
                Some((to, text)) => Command::Private { to, text },
                None => Command::Wrong("Write it as /msg NAME TEXT.".to_owned()),
            },
            "help" => Command::Help,
            "quit" => Command::Quit,
            _ => Command::Wrong(format!("There is no /{word}: /help lists the commands.")),
        })
    }
}

fn split_name(text: &str) -> Option<(String, String)> {
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => text.split_once(char::is_whitespace)?,
    };
    let rest = rest.trim();
    (!name.is_empty() && !rest.is_empty()).then(|| (name.to_owned(), rest.to_owned()))
}

/// An event of the input.
#[derive(Debug)]
pub(crate) enum Typed {
    Line(String),
    /// The end of the input.
    End,
}

/// Names of the people in the room, for Tab completion. Shared with the line editor's own thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Arc<Mutex<Vec<String>>>);

impl Names {
    /// Replaces the names.
    pub(crate) fn know(&self, names: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Start of the word before `end`, and its possible completions. After `/msg ` these are names,
    /// in quotes where needed; a name at the beginning of a line is an address.
    fn completions(&self, line: &str, end: usize) -> (usize, Vec<String>) {
        let typed = &line[..end];
        if typed.starts_with('/') && !typed.contains(' ') {
            let fitting = COMMANDS.iter().filter(|command| command.starts_with(typed));
            return (0, fitting.map(|command| (*command).to_owned()).collect());
        }
        let (start, private) = match typed.strip_prefix("/msg ") {
            Some(rest) => (end - rest.trim_start().len(), true),
            None => (typed.rfind(' ').map_or(0, |space| space + 1), false),
        };
        let wanted = typed[start..].trim_start_matches('"').to_lowercase();
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = names
            .iter()
            .filter(|name| name.to_lowercase().starts_with(&wanted));
        let written = fitting.map(|name| match (private, start) {
            (true, _) if name.contains(char::is_whitespace) => format!("\"{name}\" "),
            (false, 0) => format!("{name}: "),
            _ => format!("{name} "),
        });
        (start, written.collect())
    }
}

impl Completer for Names {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        end: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.completions(line, end))
    }
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}

impl Validator for Names {}

impl Helper for Names {}

/// The line editor, with the names it completes.
type LineEditor = Editor<Names, DefaultHistory>;

/// Prints output without disturbing the line being edited.
pub(crate) type Printer = Box<dyn FnMut(String) + Send>;

/// The input, and the printer for output beside it.
pub(crate) struct Input {
    pub(crate) lines: mpsc::Receiver<Typed>,
    /// `None`: plain standard output is enough.
    pub(crate) printer: Option<Printer>,
    /// A person types the lines, and so sees them.
    pub(crate) interactive: bool,
    /// Names that Tab completes.
    pub(crate) names: Names,
    terminal: Option<String>,
}

impl Input {
    /// Line editing on a terminal, plain lines otherwise.
    pub(crate) fn open(plain: bool) -> Self {
        let (sender, lines) = mpsc::channel(WAITING_LINES);
        let terminal = !plain && io::stdin().is_terminal() && io::stdout().is_terminal();
        let names = Names::default();
        if let (true, Ok(mut editor)) = (terminal, LineEditor::new()) {
            editor.set_helper(Some(names.clone()));
            // Before the editor changes them.
            let settings = stty(&["-g"]);
            let printer = editor.create_external_printer().ok().map(|mut printer| {
                let print = move |text: String| {
                    // When the terminal is gone, there is nobody left to inform.
                    let _ = printer.print(text + "\n");
                };
                Box::new(print) as Printer
            });
            std::thread::spawn(move || edit(editor, &sender));
            return Self {
                lines,
                printer,
                interactive: true,
                names,
                terminal: settings,
            };
        }
        std::thread::spawn(move || read(&sender));
        Self {
            lines,
            printer: None,
            interactive: false,
            names,
            terminal: None,
        }
    }

    /// Lines from a test; output goes to `printer`.
    #[cfg(test)]
    pub(crate) fn scripted(lines: mpsc::Receiver<Typed>, printer: Printer) -> Self {
        Self {
            lines,
            printer: Some(printer),
            interactive: true,
            names: Names::default(),
            terminal: None,
        }
    }

    /// Puts the terminal back as it was, should the editor still wait for a line.
    pub(crate) fn restore(&self) {
        let Some(settings) = self.terminal.as_ref().filter(|_| !self.lines.is_closed()) else {
            return;
        };
        stty(&[settings.trim()]);
        // The editor has also switched bracketed paste on, and its prompt stands there.
        println!("\x1b[?2004l");
    }
}

/// The standard library has no way to a terminal's settings, `stty` does.
fn stty(arguments: &[&str]) -> Option<String> {
    let output = Program::new("stty")
        .args(arguments)
        .stdin(Stdio::inherit())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).ok())?
}

fn edit(mut editor: LineEditor, sender: &mpsc::Sender<Typed>) {
    loop {
        let typed = match editor.readline("> ") {
            Ok(line) => {
                // A history that cannot grow is no reason to stop.
                let _ = editor.add_history_entry(line.as_str());
                Typed::Line(line)
            }
            Err(ReadlineError::Interrupted) => Typed::Line("/quit".to_owned()),
            Err(_) => Typed::End,
        };
        let last = matches!(&typed, Typed::End)
            || matches!(&typed, Typed::Line(line) if line.trim() == "/quit");
        if sender.blocking_send(typed).is_err() || last {
            return;
        }
    }
}

fn read(sender: &mpsc::Sender<Typed>) {
    let mut input = io::stdin().lock();
    loop {
        let mut line = Vec::new();
        let mut limited = io::Read::take(&mut input, MAX_LINE as u64);
        let typed = match limited.read_until(b'\n', &mut line) {
            Ok(1..) => Typed::Line(String::from_utf8_lossy(&line).into_owned()),
            Ok(0) | Err(_) => Typed::End,
        };
        let last = matches!(typed, Typed::End);
        if sender.blocking_send(typed).is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tab_completes_commands_and_names() {
        let names = Names::default();
        names.know(["Bob B.", "bert", "Zoë"].map(str::to_owned).to_vec());
        let tab = |line: &str| names.completions(line, line.len());
        assert_eq!(tab("/m"), (0, vec!["/msg ".to_owned()]));
        assert_eq!(tab("/").1.len(), COMMANDS.len());
        assert_eq!(tab("/msg b").0, 5);
        assert_eq!(tab("/msg b").1, ["\"Bob B.\" ", "bert "]);
        assert_eq!(tab("/msg \"bo"), (5, vec!["\"Bob B.\" ".to_owned()]));
        assert_eq!(tab("zo"), (0, vec!["Zoë: ".to_owned()]));
        assert_eq!(tab("ask zo"), (4, vec!["Zoë ".to_owned()]));
        assert_eq!(tab("nobody").1, [""; 0]);
        // The program understands the completed text.
        let line = format!("/msg {}hi", tab("/msg bo").1[0]);
        let private = Command::Private {
            to: "Bob B.".into(),
            text: "hi".into(),
        };
        assert_eq!(Command::parse(&line), Some(private));
    }

    #[test]
    fn lines_are_understood() {
        let private = |to: &str, text: &str| Command::Private {
            to: to.into(),
            text: text.into(),
        };
        for (line, command) in [
            ("hello all\n", Command::Say("hello all".into())),
            ("//etc is a folder", Command::Say("/etc is a folder".into())),
            ("/who", Command::Who),
            ("/msg bob are you there", private("bob", "are you there")),
            ("/msg \"Bob B.\" hi", private("Bob B.", "hi")),
            ("/nick Al the first", Command::Nick("Al the first".into())),
            ("/nick", Command::Nick(String::new())),
            ("/quit", Command::Quit),
        ] {
            assert_eq!(Command::parse(line), Some(command), "{line}");
        }
        assert_eq!(Command::parse("  \n"), None);
        for wrong in ["/msg bob", "/msg", "/dance"] {
            assert!(matches!(Command::parse(wrong), Some(Command::Wrong(_))));
        }
    }
}
