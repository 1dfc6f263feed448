//! `/w/<namespace>/<name>/logs`: output of a container, read as the user (IO).
//!
//! - `lines`: lines, and how far somebody has read.

mod lines;

use std::convert::Infallible;
use std::time::Duration;

use api::names::{APPLICATION_CONTAINER, WORKSPACE_LABEL};
use axum::extract::{Path, Query};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{ListParams, LogParams};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use self::lines::{Output, Position, Unread, read_line};
use super::answers::{note, plain};
use super::summary::above;
use crate::app::Context;
use crate::cluster::Failure;
use crate::limits::Permit;
use crate::views::{Container, Logs, Nav, Note, Tone, plain_log};

/// Most lines of a page and of a file.
const LINES: i64 = 5_000;
/// Most bytes of a page and of a file.
const BYTES: usize = 2 * 1024 * 1024;
/// Most bytes of a stream in a second.
const RATE: usize = 256 * 1024;

/// Part of the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Which {
    container: String,
    previous: bool,
    /// Of a stream: the [`Position`] after which it begins.
    after: String,
}

/// A container whose output can be read.
struct Source {
    pod: Pod,
    container: String,
    previous: bool,
}

impl Source {
    fn params(&self) -> LogParams {
        LogParams {
            container: Some(self.container.clone()),
            previous: self.previous,
            tail_lines: Some(LINES),
            limit_bytes: i64::try_from(BYTES).ok(),
            ..LogParams::default()
        }
    }
}

/// Answers `GET /w/<namespace>/<name>/logs`.
pub(crate) async fn page(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Response {
    let Some(seen) = context.readable(&namespace, &name).await else {
        return context.not_found();
    };
    let at = format!("/w/{namespace}/{name}");
    let mut layout = context.layout(
        format!("Logs of {}", seen.workspace.spec.display_name),
        Nav::Workspaces,
    );
    layout.above = above(&seen.workspace);
    let absent = |layout, absent: Note| Logs {
        layout,
        absent: Some(absent),
        ..Logs::default()
    };
    let (source, containers) = match source(&context, &namespace, &name, &which).await {
        Ok(found) => found,
        Err(why) => return context.page(&absent(layout, why)),
    };
    let _permit = context.app.limits.output().await;
    let (lines, last) = match text(&context, &namespace, &source).await {
        Ok(read) => read,
        Err(failure) => return context.page(&absent(layout, unreadable(&source, &failure))),
    };
    let query = serde_urlencoded::to_string([
        ("container", &*source.container),
        ("previous", if source.previous { "true" } else { "false" }),
    ])
    .unwrap_or_default();
    let is_full = lines.len() >= usize::try_from(LINES).unwrap_or(usize::MAX);
    context.page(&Logs {
        layout,
        containers,
        has_previous: restarts(&source.pod, &source.container) > 0,
        previous: source.previous,
        cut: if is_full {
            format!("Earlier lines are left out ({LINES} are shown).")
        } else if lines.is_empty() {
            "The container had written nothing when this page was loaded.".to_owned()
        } else {
            String::new()
        },
        last: last.to_string(),
        stream: if source.previous {
            String::new()
        } else {
            format!("{at}/logs/stream?{query}")
        },
        download: format!("{at}/logs/file?{query}"),
        reload: context.address.clone(),
        absent: None,
        container: source.container,
        lines,
    })
}

/// Answers `GET /w/<namespace>/<name>/logs/file`.
pub(crate) async fn file(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Response {
    let back = format!("/w/{namespace}/{name}/logs");
    let source = match chosen(&context, &namespace, &name, &which, &back).await {
        Ok(source) => source,
        Err(answer) => return answer,
    };
    let _permit = context.app.limits.output().await;
    match text(&context, &namespace, &source).await {
        Ok((lines, _)) => {
            let headers = [
                (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
                (
                    CONTENT_DISPOSITION,
                    format!("attachment; filename=\"{name}-{}.log\"", source.container),
                ),
            ];
            (headers, lines.join("\n")).into_response()
        }
        Err(failure) => context.failed("The output cannot be read", &failure, &back),
    }
}

/// Answers `GET /w/<namespace>/<name>/logs/stream`: the lines after those of the page. A browser that reads on after the end of a
/// stream names the last line that it got.
pub(crate) async fn follow(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Response {
    let back = format!("/w/{namespace}/{name}/logs");
    let got = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let got = got.filter(|id| !id.is_empty()).unwrap_or(&which.after);
    let Some(position) = Position::parse(got) else {
        return context.bad_request(
            "There is no such line.",
            "Load the page of the logs again.",
            &back,
        );
    };
    let source = match chosen(&context, &namespace, &name, &which, &back).await {
        Ok(source) => source,
        Err(answer) => return answer,
    };
    let Some(permit) = context.app.limits.stream(&context.user.name) else {
        return plain(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many open pages are kept up to date: close some.",
        );
    };
    let params = LogParams {
        follow: true,
        since_time: position.since(),
        tail_lines: position.since().is_none().then_some(LINES),
        limit_bytes: None,
        timestamps: true,
        ..source.params()
    };
    let reader = match context
        .as_user()
        .logs(&namespace, &source.pod.name_any(), &params)
        .await
    {
        Ok(reader) => reader,
        Err(failure) => return context.failed("The output cannot be read", &failure, &back),
    };
    let left = context.user.assertion_end - Timestamp::now().as_second();
    let lines = Lines {
        _permit: permit,
        reader: Box::pin(reader),
        unread: Unread::after(position),
        position,
        end: Instant::now() + Duration::from_secs(left.clamp(1, 60).unsigned_abs()),
        second: Instant::now(),
        bytes: 0,
    };
    let events = stream::unfold(Some(lines), |lines| async {
        let mut lines = lines?;
        match lines.next().await {
            Some(line) => {
                let id = lines.position.to_string();
                let event = Event::default().event("line").id(id).data(plain_log(&line));
                Some((Ok::<_, Infallible>(event), Some(lines)))
            }
            None if Instant::now() >= lines.end => None,
            None => Some((Ok(Event::default().event("done").data("")), None)),
        }
    });
    Sse::new(events.boxed())
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
        .into_response()
}

/// Lines of a container, at a bounded rate, until the user must be checked again.
struct Lines {
    _permit: Permit,
    reader: Output,
    unread: Unread,
    /// After the last line.
    position: Position,
    end: Instant,
    second: Instant,
    bytes: usize,
}

impl Lines {
    async fn next(&mut self) -> Option<String> {
        if self.bytes > RATE {
            sleep_until(self.second + Duration::from_secs(1)).await;
        }
        if self.second.elapsed() >= Duration::from_secs(1) {
            (self.second, self.bytes) = (Instant::now(), 0);
        }
        loop {
            let line = tokio::select! {
                biased;
                () = sleep_until(self.end) => return None,
                line = read_line(&mut self.reader) => line?,
            };
            let (time, text) = line.stamped();
            if time.is_some_and(|time| !self.unread.takes(time)) {
                continue;
            }
            self.position = time.map_or(self.position, |time| self.position.moved(time));
            self.bytes += text.len();
            return Some(text);
        }
    }
}

/// The chosen container, or the answer where there is none. `back`: the page of the logs.
async fn chosen(
    context: &Context,
    namespace: &str,
    name: &str,
    which: &Which,
    back: &str,
) -> Result<Source, Response> {
    if context.readable(namespace, name).await.is_none() {
        return Err(context.not_found());
    }
    let found = source(context, namespace, name, which).await;
    found.map(|(source, _)| source).map_err(|_| {
        context.bad_request(
            "There is no such output.",
            "Load the page of the logs again.",
            back,
        )
    })
}

/// The chosen container of the newest pod, and all that can be chosen.
async fn source(
    context: &Context,
    namespace: &str,
    name: &str,
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
            "There is no pod, so there is no output. Start the workspace first.",
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
            "The pod has no containers yet. Load the page again.",
        ));
    };
    let source = Source {
        pod,
        container,
        previous: which.previous,
    };
    Ok((source, containers))
}

/// The last lines, and where they end.
async fn text(
    context: &Context,
    namespace: &str,
    source: &Source,
) -> Result<(Vec<String>, Position), Failure> {
    let params = LogParams {
        timestamps: true,
        ..source.params()
    };
    let reader = context
        .as_user()
        .logs(namespace, &source.pod.name_any(), &params)
        .await?;
    let mut reader: Output = Box::pin(reader);
    let (mut lines, mut position) = (Vec::new(), Position::default());
    let mut bytes = 0;
    while let Some(line) = read_line(&mut reader).await {
        bytes += line.bytes;
        if bytes >= BYTES {
            // The API server cuts the last line there. It is the first one of the stream.
            break;
        }
        let (time, text) = line.stamped();
        position = time.map_or(position, |time| position.moved(time));
        lines.push(plain_log(&text));
    }
    Ok((lines, position))
}

/// What is known without the output: how the container ended.
fn unreadable(source: &Source, failure: &Failure) -> Note {
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

fn restarts(pod: &Pod, container: &str) -> i32 {
    status_of(pod, container).map_or(0, |status| status.restart_count)
}
