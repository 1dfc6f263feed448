//! `/w/<namespace>/<name>/logs` -> output of a container, read as the user (IO).
//!
//! | file | holds |
//! |---|---|
//! | `output.rs` | which container, its lines, and how far a user has read them |
//! | `view.rs` | the page |

mod output;
mod view;

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use kit::limit::{Permit, QueuePermit};
use kube::ResourceExt as _;
use kube::api::LogParams;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout};

use self::output::{Output, Position, Source, Unread, read_line, restarts, source, unreadable};
use self::view::Logs;
use super::answers::plain;
use super::extract::{Path, Query};
use super::held::until_sent;
use super::summary::above;
use crate::app::Context;
use crate::cluster::Failure;
use crate::views::{Nav, Note, plain_log};

/// Most lines of a page and of a file.
const LINES: i64 = 5_000;
/// Most bytes of a page and of a file.
const BYTES: usize = 2 * 1024 * 1024;
/// Longest wait for other logs: those before end by then, also if nobody reads them.
const TURN: Duration = Duration::from_mins(1);
/// Longest wait for the output.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of a stream in a second.
const RATE: usize = 256 * 1024;

/// Part of the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Which {
    container: String,
    previous: bool,
    /// Of a stream: the [`Position`] after which it begins.
    after: String,
}

/// Answers `GET /w/<namespace>/<name>/logs`.
pub(crate) async fn page(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Response {
    let Some(seen) = context.readable_workspace(&namespace, &name).await else {
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
    let (source, containers) = match source(&context, &seen, (&namespace, &name), &which).await {
        Ok(found) => found,
        Err(why) => return context.page(&absent(layout, why)),
    };
    let (lines, last, permit) = match text(&context, &namespace, &source).await {
        Ok(read) => read,
        Err(failure) => return context.page(&absent(layout, unreadable(&source, &failure))),
    };
    let query = serde_urlencoded::to_string([
        ("container", &*source.container),
        ("previous", if source.previous { "true" } else { "false" }),
    ])
    .unwrap_or_default();
    let is_full = lines.len() >= usize::try_from(LINES).unwrap_or(usize::MAX);
    let page = context.page(&Logs {
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
    });
    until_sent(page, permit)
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
    match text(&context, &namespace, &source).await {
        Ok((lines, _, permit)) => {
            let headers = [
                (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
                (
                    CONTENT_DISPOSITION,
                    format!("attachment; filename=\"{name}-{}.log\"", source.container),
                ),
            ];
            until_sent((headers, lines.join("\n")).into_response(), permit)
        }
        Err(failure) => context.failure_page("The output cannot be read", &failure, &back),
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
        Err(failure) => return context.failure_page("The output cannot be read", &failure, &back),
    };
    let lines = Lines {
        _permit: permit,
        reader: Box::pin(reader),
        unread: Unread::after(position),
        position,
        end: context.stream_end(),
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
    _permit: Permit<String>,
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
            let (time, text) = line.split_time();
            if time.is_some_and(|time| !self.unread.takes(time)) {
                continue;
            }
            self.position = time.map_or(self.position, |time| self.position.advance(time));
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
    let Some(seen) = context.readable_workspace(namespace, name).await else {
        return Err(context.not_found());
    };
    let found = source(context, &seen, (namespace, name), which).await;
    found.map(|(source, _)| source).map_err(|_| {
        context.bad_request(
            "There is no such output.",
            "Load the page of the logs again.",
            back,
        )
    })
}

/// The last lines, where they end, and the permit to have them in memory.
async fn text(
    context: &Context,
    namespace: &str,
    source: &Source,
) -> Result<(Vec<String>, Position, QueuePermit), Failure> {
    let late =
        |what: &str, time: Duration| Failure::Unanswered(format!("{what} within {} s", time.as_secs()));
    let permit = timeout(TURN, context.app.limits.output(&context.user.name)).await;
    let Ok(Some(permit)) = permit else {
        return Err(late("Other logs were not read to their end", TURN));
    };
    let read = timeout(TIMEOUT, read(context, namespace, source)).await;
    let (lines, position) = read.map_err(|_| late("The output did not come from its node", TIMEOUT))??;
    Ok((lines, position, permit))
}

async fn read(
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
        let (time, text) = line.split_time();
        position = time.map_or(position, |time| position.advance(time));
        lines.push(plain_log(&text));
    }
    Ok((lines, position))
}
