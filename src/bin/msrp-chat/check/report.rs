//! The results of a check, step by step: for people, as JSON, or in the line that monitoring
//! plugins print.

use crate::failure::Failure;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine,
    /// It works, but something about it should be fixed.
    Warning,
    Failed,
    /// Not tried, for a reason.
    Skipped,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Verdict::Fine => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
            Verdict::Skipped => "skipped",
        }
    }
}

/// The result of a step: the observation, and advice where there is something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) seen: String,
    pub(crate) advice: String,
}

impl Finding {
    pub(crate) fn fine(seen: impl Into<String>) -> Self {
        Self::new(Verdict::Fine, seen, "")
    }

    pub(crate) fn warning(seen: impl Into<String>, advice: &str) -> Self {
        Self::new(Verdict::Warning, seen, advice)
    }

    pub(crate) fn failed(seen: impl Into<String>, advice: &str) -> Self {
        Self::new(Verdict::Failed, seen, advice)
    }

    pub(crate) fn skipped(seen: impl Into<String>, advice: &str) -> Self {
        Self::new(Verdict::Skipped, seen, advice)
    }

    fn new(verdict: Verdict, seen: impl Into<String>, advice: &str) -> Self {
        Self {
            verdict,
            seen: seen.into(),
            advice: advice.to_owned(),
        }
    }
}

impl From<Failure> for Finding {
    fn from(failure: Failure) -> Self {
        let seen = match failure.code {
            Some(code) => format!("{code} {}", failure.reason),
            None => failure.reason,
        };
        Finding::failed(seen, &failure.advice)
    }
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    /// One object per step.
    Json,
    /// One line at the end.
    Plugin,
}

/// The result of the whole check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Fine,
    Warned,
    Failed,
}

/// All steps so far; each is printed as it ends.
pub(crate) struct Report {
    form: Form,
    out: Box<dyn Write>,
    counts: [u32; 4],
    /// The worst step so far, in words, and the time of all steps.
    worst: Option<(Verdict, String)>,
    took: Duration,
}

impl Report {
    pub(crate) fn new(form: Form, out: Box<dyn Write>) -> Self {
        Self {
            form,
            out,
            counts: [0; 4],
            worst: None,
            took: Duration::ZERO,
        }
    }

    /// The end of a step.
    pub(crate) fn step(&mut self, name: &str, finding: &Finding, took: Duration) {
        self.counts[finding.verdict as usize] += 1;
        self.took += took;
        match self.form {
            Form::Json => self.print(&json!({
                "step": name,
                "result": finding.verdict.as_str(),
                "seen": finding.seen,
                "advice": finding.advice,
                "milliseconds": took.as_millis() as u64,
            })),
            Form::Text => {
                let mark = finding.verdict.as_str();
                let line = format!("{mark:>8}  {name:<12} {}", finding.seen);
                self.line(&line);
                if !finding.advice.is_empty() {
                    self.line(&format!("{:>22} {}", "→", finding.advice));
                }
            }
            Form::Plugin => self.remember(name, finding),
        }
    }

    /// Keeps the first of the worst steps for the plugin's line.
    fn remember(&mut self, name: &str, finding: &Finding) {
        let weight = |verdict: &Verdict| match verdict {
            Verdict::Failed => 2,
            Verdict::Warning => 1,
            Verdict::Fine | Verdict::Skipped => 0,
        };
        let known = self
            .worst
            .as_ref()
            .map_or(0, |(verdict, _)| weight(verdict));
        if weight(&finding.verdict) > known {
            let words = format!("{name}: {}. {}", finding.seen, finding.advice);
            self.worst = Some((finding.verdict, words));
        }
    }

    /// The last line.
    pub(crate) fn end(&mut self) -> End {
        let count = |verdict: Verdict| self.counts[verdict as usize];
        let failed = count(Verdict::Failed);
        let (fine, warnings) = (count(Verdict::Fine), count(Verdict::Warning));
        let end = match (failed, warnings) {
            (0, 0) => End::Fine,
            (0, _) => End::Warned,
            _ => End::Failed,
        };
        match self.form {
            Form::Json => {
                let result = if failed == 0 { "ok" } else { "failed" };
                self.print(
                    &json!({"result": result, "ok": fine, "warnings": warnings, "failed": failed}),
                );
            }
            Form::Text => {
                let words = match (end, warnings) {
                    (End::Fine, _) => "All in order.".to_owned(),
                    (End::Warned, 1) => "It works; one thing should be fixed.".to_owned(),
                    (End::Warned, some) => format!("It works; {some} things should be fixed."),
                    (End::Failed, _) => "It does not work yet: see the failed step.".to_owned(),
                };
                self.line(&words);
            }
            Form::Plugin => self.plugin_line(end, fine),
        }
        end
    }

    /// State, text, and behind the bar the performance data (Monitoring Plugins' guidelines).
    fn plugin_line(&mut self, end: End, fine: u32) {
        let state = match end {
            End::Fine => "OK",
            End::Warned => "WARNING",
            End::Failed => "CRITICAL",
        };
        let words = match self.worst.take() {
            Some((_, words)) => words.replace('|', "/"),
            None => format!("{fine} steps in order"),
        };
        let seconds = self.took.as_secs_f64();
        let words = words.trim_end();
        self.line(&format!(
            "CHAT {state} - {words}|time={seconds:.3}s steps={fine}"
        ));
    }

    fn print(&mut self, object: &Value) {
        self.line(&object.to_string());
    }

    fn line(&mut self, text: &str) {
        // The reader of our output has gone; the exit status still reports the result.
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(form: Form) -> (End, String) {
        let paper = Paper::default();
        let mut report = Report::new(form, Box::new(paper.clone()));
        let took = Duration::from_millis(7);
        report.step("sip", &Finding::fine("OPTIONS: 200 OK"), took);
        report.step("news", &Finding::warning("late", "Wait longer."), took);
        let refused = Failure::sip("join", 404, "Not Found");
        report.step("join", &refused.into(), took);
        let end = report.end();
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        (end, text)
    }

    #[test]
    fn what_people_see() {
        let (end, text) = written(Form::Text);
        assert_eq!(end, End::Failed);
        insta::assert_snapshot!(text, @r"
              ok  sip          OPTIONS: 200 OK
         warning  news         late
                             → Wait longer.
          failed  join         404 Not Found
                             → There is no such room: check the name, or ask the operator to create it.
        It does not work yet: see the failed step.
        ");
    }

    #[test]
    fn what_programs_read() {
        let (_, text) = written(Form::Json);
        let objects: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(objects[1]["result"], "warning");
        assert_eq!(objects[1]["milliseconds"], 7);
        assert_eq!(
            objects[3],
            json!({"result": "failed", "ok": 1, "warnings": 1, "failed": 1})
        );
    }

    #[test]
    fn what_monitoring_plugins_print() {
        let (_, text) = written(Form::Plugin);
        assert_eq!(
            text,
            "CHAT CRITICAL - join: 404 Not Found. There is no such room: check the name, or ask \
             the operator to create it.|time=0.021s steps=1\n"
        );
        let paper = Paper::default();
        let mut report = Report::new(Form::Plugin, Box::new(paper.clone()));
        report.step("sip", &Finding::fine("200 OK"), Duration::from_millis(5));
        assert_eq!(report.end(), End::Fine);
        report.step("news", &Finding::warning("a|b", "Wait."), Duration::ZERO);
        assert_eq!(report.end(), End::Warned);
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "CHAT OK - 1 steps in order|time=0.005s steps=1\n\
             CHAT WARNING - news: a/b. Wait.|time=0.005s steps=1\n"
        );
    }
}
