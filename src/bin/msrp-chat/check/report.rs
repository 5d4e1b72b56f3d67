//! What a check found, step by step, for people or as JSON.

use crate::failure::Failure;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine,
    /// It works, and something about it is worth mending.
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

/// What a step found: what was seen, and what to do where there is something to do.
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

/// All steps so far; each is printed as it ends.
pub(crate) struct Report {
    json: bool,
    out: Box<dyn Write>,
    counts: [u32; 4],
}

impl Report {
    pub(crate) fn new(json: bool, out: Box<dyn Write>) -> Self {
        Self {
            json,
            out,
            counts: [0; 4],
        }
    }

    /// The end of a step.
    pub(crate) fn step(&mut self, name: &str, finding: &Finding, took: Duration) {
        self.counts[finding.verdict as usize] += 1;
        if self.json {
            self.print(&json!({
                "step": name,
                "result": finding.verdict.as_str(),
                "seen": finding.seen,
                "advice": finding.advice,
                "milliseconds": took.as_millis() as u64,
            }));
        } else {
            let mark = finding.verdict.as_str();
            let line = format!("{mark:>8}  {name:<12} {}", finding.seen);
            self.line(&line);
            if !finding.advice.is_empty() {
                self.line(&format!("{:>22} {}", "→", finding.advice));
            }
        }
    }

    /// The last line; true when no step failed.
    pub(crate) fn end(&mut self) -> bool {
        let count = |verdict: Verdict| self.counts[verdict as usize];
        let failed = count(Verdict::Failed);
        let (fine, warnings) = (count(Verdict::Fine), count(Verdict::Warning));
        if self.json {
            let result = if failed == 0 { "ok" } else { "failed" };
            self.print(
                &json!({"result": result, "ok": fine, "warnings": warnings, "failed": failed}),
            );
        } else {
            let end = match (failed, warnings) {
                (0, 0) => "All in order.".to_owned(),
                (0, 1) => "It works; one thing is worth mending.".to_owned(),
                (0, some) => format!("It works; {some} things are worth mending."),
                _ => "It does not work yet: see the failed step.".to_owned(),
            };
            self.line(&end);
        }
        failed == 0
    }

    fn print(&mut self, object: &Value) {
        self.line(&object.to_string());
    }

    fn line(&mut self, text: &str) {
        // Whoever read us has gone; the exit status still tells.
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

    fn written(json: bool) -> (bool, String) {
        let paper = Paper::default();
        let mut report = Report::new(json, Box::new(paper.clone()));
        let took = Duration::from_millis(7);
        report.step("sip", &Finding::fine("OPTIONS: 200 OK"), took);
        report.step("news", &Finding::warning("late", "Wait longer."), took);
        let refused = Failure::sip("join", 404, "Not Found");
        report.step("join", &refused.into(), took);
        let good = report.end();
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        (good, text)
    }

    #[test]
    fn what_people_see() {
        let (good, text) = written(false);
        assert!(!good);
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
        let (_, text) = written(true);
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
}
