//! Result of each check -> a line, and whether one failed (IO: prints).

use std::io::{Write as _, stdout};

use anyhow::ensure;

/// The checks so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) lines: Vec<String>,
    failed: usize,
}

impl Report {
    /// Prints what a check found, or what is wrong and what to do.
    pub(super) fn add(&mut self, name: &str, result: Result<String, String>) -> std::io::Result<()> {
        match result {
            Ok(found) => self.line("ok", name, &found),
            Err(problem) => {
                self.failed += 1;
                self.line("FAIL", name, &problem)
            }
        }
    }

    /// The same of a check that does not fail an installation: it may be wanted as it is, or the check may not see all.
    pub(super) fn advise(&mut self, name: &str, result: Result<String, String>) -> std::io::Result<()> {
        match result {
            Ok(found) => self.line("ok", name, &found),
            Err(problem) => self.line("warn", name, &problem),
        }
    }

    /// Prints what a check needs that is absent.
    pub(super) fn skip(&mut self, name: &str, needs: &str) -> std::io::Result<()> {
        self.line("skip", name, &format!("needs {needs}"))
    }

    fn line(&mut self, word: &str, name: &str, text: &str) -> std::io::Result<()> {
        // Texts of others, such as the API server's, may have several lines.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = format!("{word:<5} {name:<12} {text}");
        writeln!(stdout().lock(), "{line}")?;
        self.lines.push(line);
        Ok(())
    }

    /// Fails if a check failed.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        ensure!(self.failed == 0, "checks failed: {}", self.failed);
        Ok(())
    }
}
