//! A command -> its output on ours, line by line, and each line to a callback (IO).

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Runs a command in `folder` to its end. Both of its streams go to our standard output.
///
/// # Errors
/// When it cannot be started or exits with anything but 0.
pub(super) fn stream(
    program: &str,
    args: &[&str],
    env: &[(&str, &Path)],
    folder: &Path,
    mut on_line: impl FnMut(&str),
) -> anyhow::Result<()> {
    let name = Path::new(program)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(program);
    let shown = [&[name], args].concat().join(" ");
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).envs(env.iter().copied());
    if io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot run `{shown}`"))?;
    // The builder holds the pipe's writing ends. The reader ends only when they are closed.
    drop(command);
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        // The reader of our output may have closed it; the tests continue.
        let _ = writeln!(io::stdout(), "{line}");
        on_line(&line);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_streams_reach_the_callback_in_order() {
        let mut lines = Vec::new();
        let script = "echo one; echo two >&2; echo \"$GREETING\"";
        let env = [("GREETING", Path::new("three"))];
        stream("sh", &["-c", script], &env, Path::new("/"), |line| {
            lines.push(line.to_owned());
        })
        .unwrap();
        assert_eq!(lines, ["one", "two", "three"]);
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = stream("sh", &["-c", "exit 3"], &[], Path::new("/"), |_| {}).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c exit 3` failed (exit status: 3)");
        let error = stream("no-such-program", &[], &[], Path::new("/"), |_| {}).unwrap_err();
        assert_eq!(error.to_string(), "cannot run `no-such-program`");
    }
}
