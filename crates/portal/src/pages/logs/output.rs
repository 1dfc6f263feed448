//! A container -> its output in lines, and how far a user has read it (IO: as the user).

use std::fmt;
use std::pin::Pin;

use api::names::{APPLICATION_CONTAINER, WORKSPACE_LABEL};
use api::workspace::DesiredStatus;
use futures::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};

use super::view::Container;
use super::{BYTES, LINES, Which};
use crate::app::Context;
use crate::cluster::Failure;
use crate::pages::answers::note;
use crate::views::{Note, Tone};
use crate::visible::VisibleWorkspace;

/// Most bytes of a line. The rest of a longer one is left out.
const LINE: u64 = 16 * 1024;
/// Lines of two streams of a container may be stored in another order than that of their times, by less than this.
const DISORDER: SignedDuration = SignedDuration::from_secs(1);

/// What a container writes.
pub(super) type Output = Pin<Box<dyn AsyncBufRead + Send>>;

/// The time of the last line that was read, and how many lines of that time were. The API server names lines by nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position(Option<(Timestamp, u32)>);

impl Position {
    /// The text of a position, as [`fmt::Display`] writes it; empty: the beginning.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let (time, lines) = text.split_once('~')?;
        Some(Self(Some((time.parse().ok()?, lines.parse().ok()?))))
    }

    /// The whole second from which to read on. Its first lines were read already.
    pub(super) fn since(self) -> Option<Timestamp> {
        let (time, _) = self.0?;
        Timestamp::from_second(time.as_second()).ok()
    }

    /// The position after a line of this time.
    pub(super) fn advance(self, time: Timestamp) -> Self {
        match self.0 {
            Some((last, lines)) if last == time => Self(Some((time, lines + 1))),
            _ => Self(Some((time, 1))),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some((time, lines)) => write!(f, "{time}~{lines}"),
        }
    }
}

/// Leaves out what was read before a position.
#[derive(Debug)]
pub(super) struct Unread {
    /// The last line that was read; `None` once it has passed.
    last: Option<(Timestamp, u32)>,
}

impl Unread {
    pub(super) fn after(position: Position) -> Self {
        Self { last: position.0 }
    }

    /// Whether a line of this time is a new one.
    pub(super) fn takes(&mut self, time: Timestamp) -> bool {
        let Some((last, lines)) = &mut self.last else {
            return true;
        };
        if time == *last {
            *lines = lines.saturating_sub(1);
            if *lines == 0 {
                self.last = None;
            }
            return false;
        }
        // The last line is not there any more, such as after a rotation.
        let is_past = time.duration_since(*last) > DISORDER;
        if is_past {
            self.last = None;
        }
        is_past
    }
}

/// A line of the output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    /// Bytes of the output, with those that are left out.
    pub(super) bytes: usize,
}

impl Line {
    /// The time before the text, which [`kube::api::LogParams::timestamps`] asks for; and the text alone.
    pub(super) fn split_time(self) -> (Option<Timestamp>, String) {
        let Some((time, text)) = self.text.split_once(' ') else {
            // An empty line has no space after its time.
            return match self.text.parse() {
                Ok(time) => (Some(time), String::new()),
                Err(_) => (None, self.text),
            };
        };
        match time.parse() {
            Ok(time) => (Some(time), text.to_owned()),
            Err(_) => (None, self.text),
        }
    }
}

/// The next line, without what is beyond the longest line; `None` at the end.
pub(super) async fn read_line(output: &mut Output) -> Option<Line> {
    let mut line = Vec::new();
    let mut bytes = output
        .as_mut()
        .take(LINE)
        .read_until(b'\n', &mut line)
        .await
        .ok()?;
    if bytes == 0 {
        return None;
    }
    if line.last() != Some(&b'\n') {
        bytes += skip_line(output).await;
    }
    let text = String::from_utf8_lossy(&line);
    Some(Line {
        text: text.trim_end_matches(['\n', '\r']).to_owned(),
        bytes,
    })
}

/// Reads up to the end of the line, without keeping it.
async fn skip_line(output: &mut Output) -> usize {
    let mut skipped = 0;
    loop {
        let Ok(buffer) = output.fill_buf().await else {
            return skipped;
        };
        let (used, is_end) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        output.as_mut().consume_unpin(used);
        skipped += used;
        if is_end {
            return skipped;
        }
    }
}

/// A container whose output can be read.
pub(super) struct Source {
    pub(super) pod: Pod,
    pub(super) container: String,
    pub(super) previous: bool,
}

impl Source {
    pub(super) fn params(&self) -> LogParams {
        LogParams {
            container: Some(self.container.clone()),
            previous: self.previous,
            tail_lines: Some(LINES),
            limit_bytes: i64::try_from(BYTES).ok(),
            ..LogParams::default()
        }
    }
}

/// The chosen container of the newest pod, and all that can be chosen.
pub(super) async fn source(
    context: &Context,
    seen: &VisibleWorkspace,
    (namespace, name): (&str, &str),
    which: &Which,
) -> Result<(Source, Vec<Container>), Note> {
    if let Some(why) = context.read_only() {
        let command = format!("kubectl workspace logs {name} -n {namespace}");
        return Err(note(
            Tone::Calm,
            format!("{why} This shows the output: `{command}`"),
        ));
    }
    let labelled = ListParams::default().labels(&format!("{WORKSPACE_LABEL}={name}"));
    let pods = context.as_user().list::<Pod>(namespace, &labelled).await;
    let pods = pods.map_err(|failure| note(Tone::Warn, format!("The pods cannot be read: {failure}")))?;
    let newest = pods.into_iter().max_by_key(|pod| {
        let is_there = pod.metadata.deletion_timestamp.is_none();
        (
            is_there,
            pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        )
    });
    let Some(pod) = newest else {
        return Err(note(
            Tone::Calm,
            if seen.workspace.spec.desired_status == DesiredStatus::Running {
                "It does not run yet, so there is no output. The workspace's page says what it waits for."
            } else {
                "It does not run, so there is no output. Start the workspace first."
            },
        ));
    };
    let spec = pod.spec.clone().unwrap_or_default();
    let names = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    let containers: Vec<_> = names
        .map(|container| Container {
            name: container.name.clone(),
            label: format!("{} ({})", container.name, state(&pod, &container.name)),
        })
        .collect();
    let wanted = if which.container.is_empty() {
        APPLICATION_CONTAINER
    } else {
        &*which.container
    };
    let known = containers
        .iter()
        .find(|container| container.name == wanted)
        .or_else(|| containers.first());
    let Some(container) = known.map(|container| container.name.clone()) else {
        return Err(note(
            Tone::Calm,
            "Nothing of it has started yet. Load the page again.",
        ));
    };
    let source = Source {
        pod,
        container,
        previous: which.previous,
    };
    Ok((source, containers))
}

/// What is known without the output: how the container ended.
pub(super) fn unreadable(source: &Source, failure: &Failure) -> Note {
    let status = status_of(&source.pod, &source.container);
    let last = status.and_then(|status| {
        let state = status.state.as_ref()?.terminated.as_ref();
        state.or(status.last_state.as_ref()?.terminated.as_ref())
    });
    let end = last.map_or_else(String::new, |end| {
        let reason = end.reason.as_deref().unwrap_or("ended");
        let message = end.message.as_deref().unwrap_or_default();
        format!(" The last run: {reason}, exit code {}. {message}", end.exit_code)
    });
    let ask = match failure.code() {
        403 => " Ask an administrator of the namespace for `get` on pods/log.",
        _ => "",
    };
    note(
        Tone::Warn,
        format!("The output cannot be read: {failure}.{end}{ask}"),
    )
}

fn status_of<'a>(pod: &'a Pod, container: &str) -> Option<&'a k8s_openapi::api::core::v1::ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().flatten();
    let mut all = all.chain(status.init_container_statuses.iter().flatten());
    all.find(|status| status.name == container)
}

fn state(pod: &Pod, container: &str) -> &'static str {
    let state = status_of(pod, container).and_then(|status| status.state.as_ref());
    match state {
        Some(state) if state.running.is_some() => "running",
        Some(state) if state.terminated.is_some() => "ended",
        _ => "waiting",
    }
}

pub(super) fn restarts(pod: &Pod, container: &str) -> i32 {
    status_of(pod, container).map_or(0, |status| status.restart_count)
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    async fn lines(text: &[u8]) -> Vec<String> {
        let mut output: Output = Box::pin(Cursor::new(text.to_vec()));
        let mut lines = Vec::new();
        let mut bytes = 0;
        while let Some(line) = read_line(&mut output).await {
            bytes += line.bytes;
            lines.push(line.text);
        }
        assert_eq!(bytes, text.len());
        lines
    }

    #[tokio::test]
    async fn lines_are_read_one_by_one_and_long_ones_are_cut() {
        assert_eq!(lines(b"one\r\ntwo\n\nlast").await, ["one", "two", "", "last"]);
        let long = [vec![b'x'; 100_000], b"\nnext\n".to_vec()].concat();
        let read = lines(&long).await;
        assert_eq!(read[0].len(), usize::try_from(LINE).unwrap());
        assert_eq!(read[1..], ["next"]);
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_do_not_end_the_output() {
        assert_eq!(lines(b"a\xff\nb\n").await, ["a\u{fffd}", "b"]);
    }

    fn split_time(text: &str) -> (Option<String>, String) {
        let line = Line {
            text: text.to_owned(),
            bytes: 0,
        };
        let (time, text) = line.split_time();
        (time.map(|time| time.to_string()), text)
    }

    #[test]
    fn the_time_of_a_line_is_separated_from_its_text() {
        let time = Some("2026-01-01T10:00:00.5Z".to_owned());
        assert_eq!(
            split_time("2026-01-01T12:00:00.500000000+02:00 a b"),
            (time.clone(), "a b".to_owned())
        );
        assert_eq!(split_time("2026-01-01T10:00:00.5Z"), (time, String::new()));
        assert_eq!(split_time("unable to read"), (None, "unable to read".to_owned()));
    }

    /// What the second reader gets of lines with these times, after the first one got `read` of them.
    fn rest(times: &[&str], read: usize) -> usize {
        let times: Vec<Timestamp> = times
            .iter()
            .map(|time| format!("2026-01-01T10:00:{time}Z").parse().unwrap())
            .collect();
        let position = times[..read]
            .iter()
            .fold(Position::default(), |at, time| at.advance(*time));
        let position = Position::parse(&position.to_string()).unwrap();
        let from = position.since();
        let mut unread = Unread::after(position);
        let stored = times.iter().filter(|time| from.is_none_or(|from| **time >= from));
        stored.filter(|time| unread.takes(**time)).count()
    }

    #[test]
    fn who_reads_on_gets_each_line_once() {
        let times = [
            "00.1", "00.1", "00.1", "00.9", "00.8", "01", "01.5", "03", "03", "07",
        ];
        for read in 0..=times.len() {
            assert_eq!(rest(&times, read), times.len() - read, "{read}");
        }
    }

    #[test]
    fn a_last_line_that_is_gone_holds_nothing_back_for_long() {
        let position = Position::parse("2026-01-01T10:00:00Z~2").unwrap();
        let mut unread = Unread::after(position);
        assert!(unread.takes("2026-01-01T10:00:05Z".parse().unwrap()));
        assert!(unread.takes("2026-01-01T10:00:00Z".parse().unwrap()));
        for wrong in ["x", "2026-01-01T10:00:00Z", "~1", "2026-01-01T10:00:00Z~-1"] {
            assert_eq!(Position::parse(wrong), None, "{wrong}");
        }
    }
}
