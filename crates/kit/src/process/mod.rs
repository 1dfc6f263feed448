//! Command line -> the life of a server process, including its exit status (IO).
//!
//! - `telemetry`: the log
//! - `watchdog`: ends a process whose event loop is blocked
//! - `shutdown`: signals
//! - `allocator`: jemalloc

mod allocator;
pub mod shutdown;
pub mod telemetry;
pub mod watchdog;

use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use tokio::runtime;

use crate::server::tls;

/// Exit status for an invalid setting (`EX_USAGE`). A retry would not help.
pub const EXIT_USAGE: u8 = 64;
/// Exit status for every other failure.
const EXIT_FAILURE: u8 = 1;

/// A flag, environment variable or file that cannot be used. [`main`] then exits with [`EXIT_USAGE`], even if context was added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{setting} {problem}")]
pub struct InvalidSetting {
    /// Name of the flag, without leading dashes.
    pub setting: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

impl InvalidSetting {
    /// `problem` says what is wrong and what to do.
    pub fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self {
            setting,
            problem: problem.into(),
        }
    }
}

/// Runs a server: it installs the TLS provider, starts the log, parses the command line, and awaits `run`.
/// A failure is logged once. The exit status is 0 for success.
/// It is 64 ([`EXIT_USAGE`]) for a wrong command line or a [`InvalidSetting`], and 1 for any other failure.
pub fn main<A, R>(run: impl FnOnce(A) -> R) -> ExitCode
where
    A: Parser,
    R: Future<Output = anyhow::Result<()>>,
{
    main_on(run, &mut runtime::Builder::new_multi_thread())
}

/// Like [`main`], with all tasks on one thread. This suits a server that mostly waits and whose tasks wake each other.
/// With several threads, each such wake-up is a system call.
pub fn main_on_one_thread<A, R>(run: impl FnOnce(A) -> R) -> ExitCode
where
    A: Parser,
    R: Future<Output = anyhow::Result<()>>,
{
    main_on(run, &mut runtime::Builder::new_current_thread())
}

fn main_on<A, R>(run: impl FnOnce(A) -> R, threads: &mut runtime::Builder) -> ExitCode
where
    A: Parser,
    R: Future<Output = anyhow::Result<()>>,
{
    tls::install_crypto_provider();
    telemetry::init();
    let args: A = match arguments(std::env::args_os()) {
        Ok(args) => args,
        Err(status) => return ExitCode::from(status),
    };
    let ended = threads
        .enable_all()
        .build()
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(Box::pin(run(args))));
    let Err(error) = ended else {
        return ExitCode::SUCCESS;
    };
    let name = A::command().get_name().to_owned();
    tracing::error!(error = format!("{error:#}"), "{name} ends");
    ExitCode::from(status(&error))
}

/// The path of a setting. An empty path means none: an environment variable may be set but empty.
pub fn non_empty_path(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| !path.as_os_str().is_empty())
}

/// The entries that are not empty: environment variables cannot express an empty list.
pub fn non_empty(entries: &[String]) -> Vec<String> {
    entries
        .iter()
        .filter(|entry| !entry.is_empty())
        .cloned()
        .collect()
}

/// Reads the file that the flag `setting` names, and parses it with `parse`.
///
/// # Errors
/// The file cannot be read, or `parse` refuses it. The error of `parse` should name the key.
pub fn file<T, E: Display>(
    setting: &'static str,
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, InvalidSetting> {
    let wrong = |problem| InvalidSetting {
        setting,
        problem: format!("{} {problem}", path.display()),
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    parse(&text).map_err(|error| wrong(format!("is wrong: {error}")))
}

/// Parses the arguments. For `--help` or wrong arguments it prints clap's message and returns the exit status.
fn arguments<A: Parser>(line: impl IntoIterator<Item = OsString>) -> Result<A, u8> {
    A::try_parse_from(line).map_err(|error| {
        // If printing fails, there is no other place to report it.
        let _ = error.print();
        if error.use_stderr() { EXIT_USAGE } else { 0 }
    })
}

fn status(error: &anyhow::Error) -> u8 {
    if error.is::<InvalidSetting>() {
        EXIT_USAGE
    } else {
        EXIT_FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Args {
        #[arg(long)]
        port: u16,
    }

    fn parsed(line: &[&str]) -> Result<u16, u8> {
        arguments::<Args>(line.iter().map(OsString::from)).map(|args| args.port)
    }

    #[test]
    fn a_wrong_command_line_is_a_wrong_setting_and_help_is_not() {
        assert_eq!(parsed(&["x", "--port", "1"]), Ok(1));
        assert_eq!(parsed(&["x", "--port", "many"]), Err(EXIT_USAGE));
        assert_eq!(parsed(&["x"]), Err(EXIT_USAGE));
        assert_eq!(parsed(&["x", "--help"]), Err(0));
    }

    #[test]
    fn a_wrong_setting_shows_in_the_exit_status_under_any_context() {
        let wrong = InvalidSetting {
            setting: "port",
            problem: "is taken".to_owned(),
        };
        let error = anyhow::Error::from(wrong).context("at the start");
        assert_eq!(status(&error), EXIT_USAGE);
        assert_eq!(format!("{error:#}"), "at the start: --port is taken");
        assert_eq!(status(&anyhow::anyhow!("the cluster is away")), EXIT_FAILURE);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_flag_and_what_is_wrong() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let missing = file("settings-file", Path::new("/nowhere/s.yaml"), str::parse::<u8>);
        let missing = missing.unwrap_err().to_string();
        assert!(
            missing.starts_with("--settings-file /nowhere/s.yaml cannot be read: "),
            "{missing}"
        );
        let manifest = here.join("Cargo.toml");
        let wrong = file("settings-file", &manifest, |_| Err::<(), _>("key: bad")).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            format!("--settings-file {} is wrong: key: bad", manifest.display())
        );
        let length = file("settings-file", &manifest, |text| Ok::<_, String>(text.len()));
        assert!(length.unwrap() > 0);
    }
}
