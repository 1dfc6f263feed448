//! `verify-audit <file>` -> whether the audit log in it is unchanged (IO).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write as _, stdin, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Parser;
use kit::audit::chain::{Checker, Point, Verified};

/// Name of the command, as the first argument.
pub const NAME: &str = "verify-audit";

/// Checks that the records of an audit log form an unbroken chain: no record was changed, removed or inserted, unless all later
/// records were rewritten, too. Exits with 1 at the first line that does not match, if an expected record is missing, or if
/// the file has no record.
#[derive(Debug, Clone, Parser)]
#[command(name = "jupyter-k8s-gateway")]
pub struct Args {
    /// The command.
    #[arg(value_parser = [NAME])]
    command: String,

    /// File with the standard output of gateway or operator, as they or the container runtime wrote it. It may also contain lines
    /// of other logs and of several replicas. `-`: standard input.
    file: PathBuf,

    /// A record that the file must contain, as an earlier check printed it (`end <chain>/<number>/<hash>`). May be given several
    /// times. Only this protects against an attacker who could write the whole file.
    #[arg(long = "expect", value_name = "CHAIN/NUMBER/HASH")]
    expected: Vec<Point>,
}

/// Checks the file, and prints a summary on standard output.
///
/// # Errors
/// The file cannot be read, or a line in it was changed.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let verified = tokio::task::spawn_blocking(move || verify(&args.file, args.expected)).await??;
    let Verified {
        records,
        chains,
        open,
        ends,
        ..
    } = verified;
    let mut out = stdout().lock();
    writeln!(
        out,
        "whole: {records} records of {chains} processes, {open} of them without their end"
    )?;
    for end in ends {
        writeln!(out, "end {end}")?;
    }
    Ok(())
}

fn verify(file: &Path, expected: Vec<Point>) -> anyhow::Result<Verified> {
    let name = file.display();
    if file.as_os_str() == "-" {
        return check_all(stdin().lock(), expected);
    }
    let opened = File::open(file).with_context(|| format!("{name} cannot be opened"))?;
    check(BufReader::new(opened), expected).with_context(|| name.to_string())
}

/// Checks the input, and reads all of it also after an error: `kubectl exec` does not end while a part of its input is unread.
fn check_all(mut lines: impl BufRead, expected: Vec<Point>) -> anyhow::Result<Verified> {
    let verified = check(&mut lines, expected);
    io::copy(&mut lines, &mut io::sink())?;
    verified
}

fn check(mut lines: impl BufRead, expected: Vec<Point>) -> anyhow::Result<Verified> {
    let mut checker = Checker::expecting(expected);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        checker.check(&String::from_utf8_lossy(&line))?;
        line.clear();
    }
    let verified = checker.finish();
    if let Some(missing) = verified.missing.first() {
        bail!("record {missing}, which an earlier check found, is missing");
    }
    if verified.records == 0 {
        bail!("no record of an audit log is in it");
    }
    Ok(verified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_read_to_its_end_also_after_a_damaged_line() {
        let mut lines: &[u8] = b"{\"log\":\"audit\",\"seq\nthe rest\n";
        check_all(&mut lines, Vec::new()).unwrap_err();
        assert_eq!(lines, b"");
    }

    #[test]
    fn other_files_are_not_valid_audit_logs_and_damaged_lines_are_named() {
        let error = |lines: &[u8]| check(lines, Vec::new()).unwrap_err().to_string();
        assert_eq!(error(b"hello\n\xff\xfe\n"), "no record of an audit log is in it");
        let message = error(b"hello\n{\"log\":\"audit\",\"seq\n");
        assert!(message.starts_with("line 2: "), "{message}");
    }
}
