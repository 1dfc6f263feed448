//! A program and its arguments, without a shell -> its output, or an error with the failure (IO).

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::progress::Progress;

/// Lines of a failed command's output that its error repeats.
const TAIL: usize = 15;

/// Pauses between tries of a step that downloads, in seconds: a registry that restarts is back by then.
const PAUSES: [u64; 4] = [5, 10, 20, 40];

/// Runs a step that downloads, up to five times within about a minute and a quarter.
///
/// # Errors
/// That of the last try.
pub(crate) fn download<T>(progress: &Progress, step: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    retry(&PAUSES.map(Duration::from_secs), step, |pause, error| {
        progress.line(format_args!("once more in {} s: {error:#}", pause.as_secs()));
    })
    .context(
        "a download failed; this needs the package registries of cargo, Go, pip, Maven and Debian (behind a proxy: \
         HTTPS_PROXY, for apt also http_proxy and https_proxy, for Maven MAVEN_OPTS). Run the same again: it continues",
    )
}

fn retry<T>(
    pauses: &[Duration],
    step: impl Fn() -> anyhow::Result<T>,
    report: impl Fn(Duration, &anyhow::Error),
) -> anyhow::Result<T> {
    for pause in pauses {
        match step() {
            Ok(done) => return Ok(done),
            Err(error) => report(*pause, &error),
        }
        thread::sleep(*pause);
    }
    step()
}

/// One command to run.
#[derive(Debug)]
pub(crate) struct Cmd {
    command: Command,
    shown: String,
    stdin: Option<Vec<u8>>,
}

impl Cmd {
    /// A program, by name (found on `PATH`) or path.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let shown = program.as_ref().to_string_lossy().into_owned();
        Self {
            command: Command::new(program),
            shown,
            stdin: None,
        }
    }

    /// One more argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        let _ = write!(self.shown, " {}", arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Sets an environment variable; not shown in errors, so it may be a secret.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs in this folder.
    pub(crate) fn dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Written to standard input, otherwise empty; not shown in errors.
    pub(crate) fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(input.into());
        self
    }

    /// Runs to the end; standard output is discarded.
    ///
    /// # Errors
    /// When the program is missing or exits with anything but 0: names command, status and the end of its standard error.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.output().map(drop)
    }

    /// Runs to the end and returns standard output without the blanks at its end.
    ///
    /// # Errors
    /// As [`Cmd::run`].
    pub(crate) fn output(self) -> anyhow::Result<String> {
        let stdout = self.bytes()?;
        Ok(String::from_utf8_lossy(&stdout).trim_end().to_owned())
    }

    /// Runs to the end and returns standard output as it is.
    ///
    /// # Errors
    /// As [`Cmd::run`].
    pub(crate) fn bytes(self) -> anyhow::Result<Vec<u8>> {
        let (status, stdout, stderr, shown) = self.finish()?;
        if !status.success() {
            let text = String::from_utf8_lossy(&stdout);
            let output = if stderr.trim().is_empty() {
                &text
            } else {
                stderr.as_str()
            };
            bail!(failure(&shown, status, output));
        }
        Ok(stdout)
    }

    /// Whether the program can be run and exits with 0; its output is discarded.
    pub(crate) fn succeeds(self) -> bool {
        self.finish().is_ok_and(|(status, ..)| status.success())
    }

    /// Runs to the end, appends standard output and error to a log file, and passes each line to `on_line`.
    ///
    /// # Errors
    /// As [`Cmd::run`]; also names the log.
    pub(crate) fn logged(mut self, log: &Path, mut on_line: impl FnMut(&str)) -> anyhow::Result<()> {
        if let Some(folder) = log.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let opened = File::options().create(true).append(true).open(log);
        let mut file = opened.with_context(|| format!("cannot write {}", log.display()))?;
        writeln!(file, "$ {}", self.shown)?;
        let (reader, writer) = io::pipe()?;
        self.command
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .stdin(Stdio::null());
        let mut child = self
            .command
            .spawn()
            .map_err(|error| not_started(&self.shown, &error))?;
        // The builder holds the pipe's writing ends. The reader ends only when they are closed.
        drop(self.command);
        let mut tail = Vec::new();
        for line in BufReader::new(reader).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            writeln!(file, "{line}")?;
            on_line(&line);
            tail.push(line);
            if tail.len() > TAIL {
                tail.remove(0);
            }
        }
        let status = child.wait()?;
        if !status.success() {
            bail!(
                "{}\n(all of it: {})",
                failure(&self.shown, status, &tail.join("\n")),
                log.display()
            );
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<(ExitStatus, Vec<u8>, String, String)> {
        let stdin = if self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        self.command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self
            .command
            .spawn()
            .map_err(|error| not_started(&self.shown, &error))?;
        // A thread, so that a program that writes before it has read everything cannot block us.
        let feeder = self
            .stdin
            .take()
            .zip(child.stdin.take())
            .map(|(input, mut pipe)| {
                // A program may end without reading its input. Its exit status says whether it succeeded.
                thread::spawn(move || drop(pipe.write_all(&input)))
            });
        let output = child.wait_with_output()?;
        if let Some(feeder) = feeder {
            let _ = feeder.join();
        }
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status, output.stdout, stderr, self.shown))
    }
}

fn not_started(shown: &str, error: &io::Error) -> anyhow::Error {
    let program = shown.split(' ').next().unwrap_or(shown);
    if error.kind() == io::ErrorKind::NotFound {
        return anyhow::anyhow!("`{program}` is not installed (needed for `{shown}`)");
    }
    anyhow::anyhow!("cannot run `{shown}`: {error}")
}

fn failure(shown: &str, status: ExitStatus, output: &str) -> String {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    let mut text = format!("`{shown}` failed ({status})");
    for line in &lines[lines.len().saturating_sub(TAIL)..] {
        let _ = write!(text, "\n  {line}");
    }
    text
}

/// The cargo that called this program, else the one on the path.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Tries of a step that succeeds at the `good`th, with two pauses; none where it never did.
    fn tries(good: u32) -> (u32, bool) {
        let count = Cell::new(0);
        let step = || {
            count.set(count.get() + 1);
            anyhow::ensure!(count.get() >= good, "503");
            Ok(())
        };
        let done = retry(&[Duration::ZERO; 2], step, |_, _| ()).is_ok();
        (count.get(), done)
    }

    #[test]
    fn a_download_is_tried_until_it_succeeds_and_not_for_ever() {
        assert_eq!([1, 3, 4].map(tries), [(1, true), (3, true), (3, false)]);
    }
}
