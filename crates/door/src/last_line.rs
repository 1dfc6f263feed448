//! Standard error of the application -> the log, and its last line for the kubelet (IO).
//!
//! The log is not for everybody who sees the workspace, so one line is all that leaves it, and only when the application fails.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use assertion::names::STOP_REQUEST;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The file that the kubelet reads when the container has ended.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Maximum length of the line, in characters.
const MAX: usize = 300;
/// How long the rest of the output may take once the program has ended: a child that writes without end does not hold up the exit.
const LIMIT: Duration = Duration::from_secs(1);
/// Bytes of the end of the output that are kept.
const KEPT: usize = 4096;

/// Output that is handed on, and its end.
#[derive(Debug)]
pub(crate) struct Output {
    ended: oneshot::Sender<()>,
    end: JoinHandle<Vec<u8>>,
}

impl Output {
    /// Hands on all bytes of `from` until it ends.
    pub(crate) fn hand_on(
        from: impl AsyncRead + Unpin + Send + 'static,
        to: impl AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (ended, has_ended) = oneshot::channel();
        let end = tokio::spawn(hand_on(from, to, has_ended));
        Self { ended, end }
    }

    /// The last line. Call it when the program has ended: its children may hold the output open, and nobody waits for them.
    pub(crate) async fn last_line(self) -> Option<String> {
        // The receiver is gone if the output has ended, too.
        let _ = self.ended.send(());
        last_line(&timeout(LIMIT, self.end).await.ok()?.ok()?)
    }
}

async fn hand_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut has_ended: oneshot::Receiver<()>,
) -> Vec<u8> {
    let (mut part, mut end) = (vec![0; 16 * 1024], Vec::new());
    loop {
        let read = tokio::select! {
            // What was written before the end comes first.
            biased;
            read = from.read(&mut part) => read,
            _ = &mut has_ended => Ok(0),
        };
        let Some(bytes) = read
            .ok()
            .and_then(|read| part.get(..read))
            .filter(|bytes| !bytes.is_empty())
        else {
            return end;
        };
        // A log that cannot be written does not stop the application.
        let _ = to.write_all(bytes).await;
        let _ = to.flush().await;
        end.extend_from_slice(bytes);
        end.drain(..end.len().saturating_sub(KEPT));
    }
}

/// Writes the line for the kubelet. Outside of Kubernetes there is no such file, and none is made.
pub(crate) fn write(line: &str) {
    write_to(Path::new(TERMINATION_LOG), line);
}

/// Whether a program of the container asked for a stop of the workspace (`stop-workspace`). The file is new in each container.
pub(crate) fn asks_for_stop() -> bool {
    asks_for_stop_in(Path::new(TERMINATION_LOG))
}

fn asks_for_stop_in(file: &Path) -> bool {
    // The kubelet reads no more.
    let mut start = Vec::new();
    let read = File::open(file).and_then(|file| file.take(KEPT as u64).read_to_end(&mut start));
    read.is_ok() && start.trim_ascii() == STOP_REQUEST.as_bytes()
}

fn write_to(file: &Path, line: &str) {
    if asks_for_stop_in(file) {
        return;
    }
    let line = last_line(line.as_bytes()).unwrap_or_default();
    if let Ok(mut file) = OpenOptions::new().write(true).truncate(true).open(file) {
        // The reason is in the log, too.
        let _ = file.write_all(line.as_bytes());
    }
}

/// The last line with text, plain and cut. A time in brackets before it is left out, so that a failure that repeats stays the same.
fn last_line(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    text.lines().rev().find_map(|line| {
        let plain = without_escapes(line);
        let mut line = plain.trim();
        while let Some((mark, rest)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            if rest.trim().is_empty() || !mark.contains(|c: char| c.is_ascii_digit()) {
                break;
            }
            line = rest.trim_start();
        }
        let cut = match line.char_indices().nth(MAX) {
            None => line.to_owned(),
            Some(_) => line.chars().take(MAX - 1).chain(['…']).collect(),
        };
        (!cut.is_empty()).then_some(cut)
    })
}

/// Without sequences for terminals, such as colours, and without control characters.
fn without_escapes(line: &str) -> String {
    let mut plain = String::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                // It ends with a byte from @ to ~.
                let _ = chars.by_ref().find(|c| ('@'..='~').contains(c));
            }
            '\t' => plain.push(' '),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Stdio;

    use tokio::process::Command;

    use super::*;

    #[test]
    fn the_last_line_is_plain_cut_and_without_its_time() {
        for (output, line) in [
            (&b""[..], None),
            (b"\n \n\x1b[0m\n", None),
            (b"a\nb", Some("b")),
            (
                b"Traceback (most recent call last):\n  File \"x\"\nImportError: cannot import name 'a' (/home/jovyan/random.py)\n\n",
                Some("ImportError: cannot import name 'a' (/home/jovyan/random.py)"),
            ),
            (
                b"\x1b[31m[C 2026-01-31 12:00:00.123 ServerApp]\x1b[0m Bad config\x07",
                Some("Bad config"),
            ),
            (b"[2026-01-31T12:00:00Z] error [x] y", Some("error [x] y")),
            (b"[error] no time", Some("[error] no time")),
            (b"[1]", Some("[1]")),
            (b"\xff\xfe bytes", Some("\u{fffd}\u{fffd} bytes")),
        ] {
            assert_eq!(last_line(output).as_deref(), line, "{output:?}");
        }
        let long = last_line("ß".repeat(301).as_bytes()).unwrap();
        assert_eq!((long.chars().count(), long.ends_with('…')), (300, true));
    }

    /// The output of a script, and its last line, once the script has ended.
    async fn run(script: &str) -> (Vec<u8>, Option<String>) {
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, mut from) = tokio::io::duplex(1 << 20);
        let output = Output::hand_on(child.stderr.take().unwrap(), to);
        child.wait().await.unwrap();
        let line = output.last_line().await;
        let mut all = Vec::new();
        from.read_to_end(&mut all).await.unwrap();
        (all, line)
    }

    #[tokio::test]
    async fn all_output_is_handed_on_and_a_child_that_holds_it_open_is_not_waited_for() {
        let (all, line) = run("echo first >&2; (exec sleep 600) & echo last $! >&2").await;
        let all = String::from_utf8(all).unwrap();
        let child = all.rsplit(' ').next().unwrap().trim().parse().unwrap();
        let child = rustix::process::Pid::from_raw(child).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
        assert!(all.starts_with("first\nlast "), "{all}");
        assert_eq!(line.as_deref(), all.lines().last());
        let (all, line) = run("head -c 300000 /dev/zero >&2; printf '\\nend' >&2").await;
        assert_eq!((all.len(), line.as_deref()), (300_004, Some("end")));
    }

    #[test]
    fn the_kubelets_file_gets_one_line_and_no_other_file_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("termination-log");
        write_to(&file, "x");
        assert!(!file.exists());
        fs::write(&file, "an earlier, longer message").unwrap();
        write_to(&file, "one\ntwo");
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
    }

    #[test]
    fn only_the_whole_message_asks_for_a_stop_and_nothing_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("termination-log");
        assert!(!asks_for_stop_in(&file));
        for (message, asks) in [
            ("stop-workspace", true),
            ("stop-workspace\n", true),
            ("", false),
            ("stop-workspace: not found", false),
            ("x\nstop-workspace", false),
            (&format!("stop-workspace{}x", " ".repeat(400)), false),
        ] {
            fs::write(&file, message).unwrap();
            assert_eq!(asks_for_stop_in(&file), asks, "{message:?}");
        }
        fs::write(&file, "stop-workspace\n").unwrap();
        write_to(&file, "the application ended");
        assert_eq!(fs::read_to_string(&file).unwrap(), "stop-workspace\n");
    }
}
