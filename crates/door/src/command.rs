//! Command line of the application -> its process, its signals and its exit code (IO).

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use assertion::names::DOOR_VARIABLE;
use futures::stream::{self, Stream, StreamExt as _, select_all};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::application::Address;
use crate::last_line::{self, Output};

/// Signals that are handed on.
const HANDED_ON: [Signal; 6] = [
    Signal::TERM,
    Signal::INT,
    Signal::HUP,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
];

/// How long an application may take to end after `stop-workspace`. Nobody else ends it: the kubelet waits.
const LONGEST_END: Duration = Duration::from_secs(30);

/// The running application.
#[derive(Debug)]
pub(crate) struct Application {
    child: Child,
    errors: Option<Output>,
    /// In the order of [`HANDED_ON`].
    signals: Vec<Signals>,
    longest_end: Duration,
}

impl Application {
    /// Starts the command. `{socket}` and `{port}` in it become the address, `{base-path}` the path below which the workspace is served.
    ///
    /// # Errors
    /// There is no such program, or it cannot be run.
    pub(crate) fn start(command: &[OsString], address: &Address, base_path: &str) -> anyhow::Result<Self> {
        let (mark, value) = match address {
            Address::Socket(path) => ("{socket}", path.as_os_str().to_owned()),
            Address::Port(port) => ("{port}", port.to_string().into()),
        };
        let fill_all = |word: &OsString| fill(&fill(word, "{base-path}", base_path.as_ref()), mark, &value);
        let words: Vec<_> = command.iter().map(fill_all).collect();
        let (program, rest) = words
            .split_first()
            .context("no command of an application is given")?;
        // Before the application runs, so that no signal is lost.
        let listen = |one: Signal| signal(SignalKind::from_raw(one.as_raw()));
        let signals = HANDED_ON.map(listen).into_iter().collect::<Result<_, _>>()?;
        let mut child = Command::new(program)
            .args(rest)
            .stderr(Stdio::piped())
            .env(DOOR_VARIABLE, "1")
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("the application {} cannot be started", program.display()))?;
        let ours = std::io::stderr().as_fd().try_clone_to_owned();
        let ours = tokio::fs::File::from_std(ours.context("the standard error cannot be used")?.into());
        let errors = child.stderr.take().map(|errors| Output::hand_on(errors, ours));
        Ok(Self {
            child,
            errors,
            signals,
            longest_end: LONGEST_END,
        })
    }

    /// Hands on signals until the application ends. Returns its exit code; 128 and the signal's number, if a signal ended it.
    /// An application that fails leaves its last line for the kubelet; one that was asked to end does not fail.
    ///
    /// # Errors
    /// The operating system does not say how it ended.
    pub(crate) async fn wait(mut self) -> std::io::Result<u8> {
        let signals = std::mem::take(&mut self.signals).into_iter().zip(HANDED_ON);
        let signals = signals.map(|(signals, one)| {
            let received = stream::unfold(signals, move |mut signals| async move {
                signals.recv().await.map(|()| (one, signals))
            });
            received.boxed()
        });
        self.wait_with(select_all(signals), last_line::asks_for_stop)
            .await
    }

    async fn wait_with(
        mut self,
        mut signals: impl Stream<Item = Signal> + Unpin,
        asks_for_stop: impl Fn() -> bool,
    ) -> std::io::Result<u8> {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let mut is_asked = false;
        let mut last = None;
        loop {
            let signal = tokio::select! {
                () = until(last) => Signal::KILL,
                status = self.child.wait() => {
                    let code = code(status?);
                    let line = match self.errors {
                        Some(errors) => errors.last_line().await,
                        None => None,
                    };
                    if let Some(line) = line.filter(|_| code != 0 && !is_asked) {
                        last_line::write(&line);
                    }
                    return Ok(code);
                }
                Some(signal) = signals.next() => signal,
            };
            is_asked |= matches!(signal, Signal::TERM | Signal::INT);
            last = match signal {
                Signal::KILL => None,
                Signal::TERM if asks_for_stop() => last.or_else(|| Some(Instant::now() + self.longest_end)),
                _ => last,
            };
            if let Some(pid) = pid {
                // It may have ended just now; then the next turn says so.
                let _ = kill_process(pid, signal);
            }
        }
    }
}

/// Until then, or for ever.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// A word of the command with the value in place of each mark.
fn fill(word: &OsStr, mark: &str, value: &OsStr) -> OsString {
    let mut rest = word.as_bytes();
    let mut all = Vec::new();
    while let Some(at) = rest.windows(mark.len()).position(|part| part == mark.as_bytes()) {
        all.extend_from_slice(&rest[..at]);
        all.extend_from_slice(value.as_bytes());
        rest = &rest[at + mark.len()..];
    }
    all.extend_from_slice(rest);
    OsStr::from_bytes(&all).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Application {
        fn ends_within(mut self, time: Duration) -> Self {
            self.longest_end = time;
            self
        }
    }

    fn start(script: &str) -> Application {
        let command = ["/bin/sh", "-c", script].map(OsString::from);
        Application::start(&command, &Address::Port(7), "/").unwrap()
    }

    #[tokio::test]
    async fn address_and_base_path_are_filled_in_wherever_they_stand() {
        let socket = Address::Socket("/tmp/a b".into());
        let port = Address::Port(8080);
        for (word, address, expected) in [
            ("--sock={socket}", &socket, "--sock=/tmp/a b"),
            ("{socket}{socket}", &socket, "/tmp/a b/tmp/a b"),
            ("{port}", &socket, "{port}"),
            (
                "http://127.0.0.1:{port}{base-path}",
                &port,
                "http://127.0.0.1:8080/team/lab/",
            ),
            ("{}", &port, "{}"),
        ] {
            let command = ["/usr/bin/test", word, "=", expected].map(OsString::from);
            let application = Application::start(&command, address, "/team/lab/").unwrap();
            assert_eq!(application.wait().await.unwrap(), 0, "{word}");
        }
    }

    #[tokio::test]
    async fn it_sees_that_a_door_runs() {
        assert_eq!(start("test \"$WORKSPACE_DOOR\" = 1").wait().await.unwrap(), 0);
        assert_eq!(start("test \"$WORKSPACE_DOOR\" = 2").wait().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn its_exit_code_is_the_doors() {
        assert_eq!(start("exit 7").wait().await.unwrap(), 7);
        assert_eq!(start("exit 0").wait().await.unwrap(), 0);
        assert_eq!(start("kill -KILL $$").wait().await.unwrap(), 137);
    }

    /// Signals that come this long after one another.
    fn signals(all: &'static [(u64, Signal)]) -> impl Stream<Item = Signal> + Unpin {
        let later = stream::iter(all).then(|(milliseconds, one)| async move {
            tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
            *one
        });
        Box::pin(later.chain(stream::pending()))
    }

    #[tokio::test]
    async fn signals_are_handed_on_and_a_second_one_too() {
        let counts = "trap 'n=$((n+1))' TERM; n=0; while [ $n -lt 2 ]; do sleep 0.05; done; exit 5";
        for asks in [true, false] {
            let twice = signals(&[(300, Signal::TERM), (200, Signal::TERM)]);
            assert_eq!(start(counts).wait_with(twice, || asks).await.unwrap(), 5);
        }
    }

    #[tokio::test]
    async fn an_application_that_does_not_end_after_a_request_to_stop_is_ended() {
        let stays = "trap '' TERM; sleep 2; exit 3";
        let short = Duration::from_millis(300);
        for (asks, code) in [(true, 137), (false, 3)] {
            let application = start(stays).ends_within(short);
            let once = signals(&[(300, Signal::TERM)]);
            assert_eq!(
                application.wait_with(once, || asks).await.unwrap(),
                code,
                "{asks}"
            );
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error_that_names_it() {
        let command = [OsString::from("/nothing/here")];
        let error = Application::start(&command, &Address::Port(7), "/").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the application /nothing/here cannot be started"
        );
        assert!(Application::start(&[], &Address::Port(7), "/").is_err());
    }
}
