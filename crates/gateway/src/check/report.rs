//! Result of each check -> a line, and whether one failed (IO: prints).

use std::io::{Write as _, stdout};

use anyhow::ensure;

/// First word of the line of a check that failed.
const FAIL: &str = "FAIL";

/// Result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// What was found.
    Ok(String),
    /// What is wrong, with the value and the remedy.
    Fail(String),
    /// What the check needs.
    Skip(String),
}

impl Outcome {
    /// The same, with a warning that is no failure.
    pub(super) fn but(self, warning: &str) -> Self {
        let told = |text: String| format!("{text}. WARNING: {warning}");
        match self {
            Self::Ok(text) => Self::Ok(told(text)),
            Self::Fail(text) => Self::Fail(told(text)),
            Self::Skip(text) => Self::Skip(told(text)),
        }
    }

    /// The line of the check of this name.
    fn line(&self, name: &str) -> String {
        let (word, text) = match self {
            Self::Ok(text) => ("ok", text),
            Self::Fail(text) => (FAIL, text),
            Self::Skip(text) => ("skip", text),
        };
        // Texts of others, such as the API server's, may have several lines.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{word:<5} {name:<12} {text}")
    }
}

/// The lines so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) lines: Vec<String>,
}

impl Report {
    /// Prints the line of a check.
    pub(super) fn add(&mut self, name: &str, outcome: &Outcome) -> std::io::Result<()> {
        let line = outcome.line(name);
        writeln!(stdout().lock(), "{line}")?;
        self.lines.push(line);
        Ok(())
    }

    /// Fails if a check failed.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let failed = self.lines.iter().filter(|line| line.starts_with(FAIL)).count();
        ensure!(failed == 0, "checks failed: {failed}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_in_columns_and_each_check_has_one() {
        let line = |outcome: Outcome| outcome.line("DNS");
        assert_eq!(line(Outcome::Ok("a".into())), "ok    DNS          a");
        assert_eq!(line(Outcome::Fail("a\n b".into())), "FAIL  DNS          a b");
        assert_eq!(line(Outcome::Skip("a".into())), "skip  DNS          a");
    }

    #[test]
    fn only_a_failure_fails_the_command() {
        let mut report = Report::default();
        report.add("a", &Outcome::Ok("x".into())).unwrap();
        report.add("b", &Outcome::Skip("x".into())).unwrap();
        Report::finish(report).unwrap();
        let mut report = Report::default();
        report.add("c", &Outcome::Fail("x".into())).unwrap();
        assert_eq!(report.finish().unwrap_err().to_string(), "checks failed: 1");
    }
}
