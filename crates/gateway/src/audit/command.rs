//! `verify-audit <file>` -> whether the audit log in it is what was written (IO).

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _, stdin, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;

use super::chain::{Checker, Verified};

/// Name of the command, as the first argument.
pub const NAME: &str = "verify-audit";

/// Says whether an audit log is whole: no record changed, taken out or put in. Ends with 1 at the first line that is not.
#[derive(Debug, Clone, Parser)]
#[command(name = "jupyter-k8s-gateway")]
pub struct Args {
    /// The command.
    #[arg(value_parser = [NAME])]
    command: String,

    /// File with the gateway's standard output, as the gateway or the container runtime wrote it; lines of other logs and of several
    /// replicas may stand between. `-`: standard input.
    file: PathBuf,
}

/// Checks the file, and says on standard output what it holds.
///
/// # Errors
/// It cannot be read, or a line in it is not what was written.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let verified = tokio::task::spawn_blocking(move || verify(&args.file)).await??;
    let Verified {
        records,
        chains,
        open,
    } = verified;
    writeln!(
        stdout(),
        "whole: {records} records of {chains} processes, {open} of them without their end"
    )?;
    Ok(())
}

fn verify(file: &Path) -> anyhow::Result<Verified> {
    let name = file.display();
    if file.as_os_str() == "-" {
        return check(stdin().lock());
    }
    let opened = File::open(file).with_context(|| format!("{name} cannot be opened"))?;
    check(BufReader::new(opened)).with_context(|| name.to_string())
}

fn check(mut lines: impl BufRead) -> anyhow::Result<Verified> {
    let mut checker = Checker::default();
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        checker.look(&String::from_utf8_lossy(&line))?;
        line.clear();
    }
    Ok(checker.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_audit_log_holds_nothing_and_a_damaged_one_is_named_by_line() {
        let verified = check(&b"hello\n\xff\xfe\n"[..]).unwrap();
        assert_eq!(verified, Verified::default());
        let damaged = b"hello\n{\"log\":\"audit\",\"seq\n".as_slice();
        let told = check(damaged).unwrap_err().to_string();
        assert!(told.starts_with("line 2: "), "{told}");
    }
}
