//! View, message or redirect -> HTTP answer (IO: waits for changes).

use std::time::Duration;

use api::Workspace;
use askama::Template;
use axum::Json;
use axum::response::{Html, IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use crate::app::{App, Context};
use crate::cluster::Failure;
use crate::index::Index;
use crate::views::{Action, Age, Layout, Message, Nav, Note, Stale, Tone, Way};

use super::words::moment;

/// Longest wait for a change that the API server confirmed.
const CATCH_UP: Duration = Duration::from_secs(1);

impl Context {
    /// What surrounds a page of this title.
    pub(super) fn layout(&self, title: impl Into<String>, nav: Nav) -> Layout {
        // Users who may not see the namespace get messages, too. These reveal nothing about it.
        let read_only = if nav == Nav::None {
            self.read_only_at(None)
        } else {
            self.read_only()
        };
        Layout {
            user: self.user.name.clone(),
            nav,
            read_only: read_only.unwrap_or_default(),
            stale: self.stale(),
            ..layout(&self.app, title, &self.request)
        }
    }

    /// The same with data of this moment, which a stream at `live` keeps up to date.
    pub(super) fn live_layout(&self, title: impl Into<String>, nav: Nav, live: String) -> Layout {
        Layout {
            live,
            age: Some(self.age()),
            ..self.layout(title, nav)
        }
    }

    /// How old the objects in memory are.
    pub(super) fn age(&self) -> Age {
        let since = self.app.index.interrupted_since();
        Age {
            moment: moment(since.unwrap_or(self.now)),
            reload: self.address.clone(),
        }
    }

    /// Whether the objects in memory may be out of date.
    pub(super) fn stale(&self) -> Stale {
        if self.app.index.interrupted_since().is_none() {
            return Stale::default();
        }
        Stale {
            why: "The API server does not answer, so this page may be out of date.".to_owned(),
            now: "Changes may fail.".to_owned(),
        }
    }

    /// Waits until the objects in memory have a change that the API server confirmed, so that the next page shows it.
    pub(super) async fn until(&self, has_change: impl Fn(&Index) -> bool) {
        let index = &self.app.index;
        let mut changes = index.changes();
        let wait = async { while !has_change(index) && changes.changed().await.is_ok() {} };
        // Afterwards the page shows what is known.
        let _ = tokio::time::timeout(CATCH_UP, wait).await;
    }

    /// Waits until the workspace is in memory in this version or a later one.
    pub(super) async fn catch_up(&self, changed: &Workspace) {
        let (namespace, name) = (changed.namespace().unwrap_or_default(), changed.name_any());
        let version = |workspace: &Workspace| workspace.resource_version()?.parse::<u64>().ok();
        let is_known = |index: &Index| match index.workspace(&namespace, &name) {
            None => false,
            // Versions of one kind are comparable as numbers since Kubernetes 1.35. Elsewhere the time limit counts.
            Some(known) => version(&known)
                .zip(version(changed))
                .is_none_or(|(known, changed)| known >= changed),
        };
        self.until(is_known).await;
    }

    /// The page.
    pub(super) fn page(&self, view: &(impl Template + Serialize)) -> Response {
        self.page_with(StatusCode::OK, view)
    }

    /// The page with a status.
    pub(super) fn page_with(&self, status: StatusCode, view: &(impl Template + Serialize)) -> Response {
        if self.is_json {
            return (status, Json(view)).into_response();
        }
        html(status, view)
    }

    /// The same answer for what does not exist and for what the user may not see.
    pub(super) fn not_found(&self) -> Response {
        self.page_with(StatusCode::NOT_FOUND, &self.absent())
    }

    /// The answer where the API server did not say in time whether the user may see the page.
    pub(super) fn no_answer(&self) -> Response {
        let failure =
            Failure::Unanswered("The API server did not say in time what you may see here.".to_owned());
        self.failure_page("This page cannot be shown now", &failure, "/")
    }

    /// What the answer for what does not exist says.
    pub(super) fn absent(&self) -> Message {
        Message {
            layout: self.layout("There is nothing here for you", Nav::None),
            kind: "Not found".to_owned(),
            why: vec!["No workspace with this name exists, or you may not see it.".to_owned()],
            now: vec!["Check the name in the address, or ask its owner to share it with you.".to_owned()],
            actions: vec![link("Your workspaces", "/")],
            ..Message::default()
        }
    }

    /// The way, or the command in its place where nothing can be changed here.
    pub(super) fn way(&self, way: Way, command: String) -> Way {
        if self.read_only().is_some() {
            Way::Command { command }
        } else {
            way
        }
    }

    /// A message about a failed change or read, in the API server's words.
    pub(super) fn failure_page(&self, what: &str, failure: &Failure, back: &str) -> Response {
        let (kind, now) = match failure.code() {
            401 => (
                "Not signed in at the API server",
                "Nothing was changed. Reload the page. If this stays, ask an administrator of the cluster.",
            ),
            403 => (
                "Not allowed",
                "Ask an administrator of the namespace, and name the right in the message above.",
            ),
            404 => ("Gone", "It was deleted meanwhile. Go back to your workspaces."),
            409 => ("Changed meanwhile", "Go back, look at it, and try again."),
            422 => ("Refused", "Go back and change what the message names."),
            429 => ("Too busy", "Try again in some seconds."),
            _ => ("No answer", "Nothing was queued. Try again in a minute."),
        };
        let message = Message {
            layout: self.layout(what, Nav::None),
            tone: Tone::Bad,
            kind: kind.to_owned(),
            server: failure.to_string(),
            now: vec![now.to_owned()],
            actions: vec![link("Back", back)],
            ..Message::default()
        };
        self.page_with(failure.status(), &message)
    }

    /// The answer to a form that was sent although nothing can be changed here; `None` if it can.
    pub(super) fn read_only_answer(&self, back: &str) -> Option<Response> {
        let why = self.read_only()?;
        Some(self.bad_request(&why, "Use the command on the previous page.", back))
    }

    /// A message about a request that cannot be answered.
    pub(super) fn bad_request(&self, why: &str, now: &str, back: &str) -> Response {
        let title = ("This request cannot be answered", "Bad request");
        self.refusal(StatusCode::BAD_REQUEST, title, (why, now), back)
    }

    /// The answer to a change that came from elsewhere.
    pub(crate) fn foreign(&self) -> Response {
        let why = "It did not come from a page of the portal.";
        let now = "Nothing was changed. Open the portal and try again.";
        let title = ("This change is refused", "Not allowed");
        self.refusal(StatusCode::FORBIDDEN, title, (why, now), self.page_path())
    }

    /// The answer to a user who sent too many requests. `time`: after which the next one may be answered.
    pub(crate) fn too_many(&self, why: &str, again: &str, time: Duration) -> Response {
        let now = &format!("Nothing was changed. {again}");
        let title = ("You sent too many requests", "Too busy");
        let mut response = self.refusal(StatusCode::TOO_MANY_REQUESTS, title, (why, now), self.page_path());
        response.headers_mut().insert(RETRY_AFTER, time.as_secs().into());
        response
    }

    /// A message of one sentence and what to do. `title`: of the page, and its kind.
    pub(super) fn refusal(
        &self,
        status: StatusCode,
        (title, kind): (&str, &str),
        (why, now): (&str, &str),
        back: &str,
    ) -> Response {
        let message = Message {
            layout: self.layout(title, Nav::None),
            tone: Tone::Bad,
            kind: kind.to_owned(),
            why: vec![why.to_owned()],
            now: vec![now.to_owned()],
            actions: vec![link("Back", back)],
            ..Message::default()
        };
        self.page_with(status, &message)
    }
}

/// The layout around a page, for the user who loads it.
fn layout(app: &App, title: impl Into<String>, request: &str) -> Layout {
    let theme = &app.parts.theme;
    let help = theme.help.as_ref();
    Layout {
        title: title.into(),
        product: theme.name.clone(),
        logo: theme.logo.clone(),
        help: help.map(|help| (help.url.clone(), help.text.clone())),
        notice: theme.notice.clone(),
        request: request.to_owned(),
        ..Layout::default()
    }
}

/// A message for a request that has no user, or while the portal knows no addresses: it has no [`Context`].
pub(crate) fn message(app: &App, request: &str, status: StatusCode, text: [&str; 3]) -> Response {
    let [title, why, now] = text;
    let message = Message {
        layout: layout(app, title, request),
        tone: Tone::Bad,
        why: vec![why.to_owned()],
        now: vec![now.to_owned()],
        ..Message::default()
    };
    html(status, &message)
}

fn html(status: StatusCode, view: &impl Template) -> Response {
    match view.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "This page cannot be shown. Tell an administrator.",
            )
        }
    }
}

/// Part of an address after a redirect: what was just done.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Done {
    pub(super) done: String,
}

/// A link to another page.
pub(super) fn link(label: &str, to: &str) -> Action {
    Action {
        label: label.to_owned(),
        way: Way::Link { to: to.to_owned() },
        ..Action::default()
    }
}

/// A note of one sentence.
pub(super) fn note(tone: Tone, text: impl Into<String>) -> Note {
    let text = text.into();
    Note { tone, text }
}

/// After a change: the browser loads `to` by GET, so that a reload changes nothing.
pub(super) fn see_other(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response(),
        Err(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The next page has no valid address.",
        ),
    }
}

/// The answer to a method that a page does not take.
pub(crate) async fn wrong_method(context: Context) -> Response {
    let title = ("This page cannot accept this request", "Bad request");
    let why = "A page is loaded by GET, and a form is sent by POST to the address that it names.";
    let now = "Nothing was changed. Start from your workspaces.";
    context.refusal(StatusCode::METHOD_NOT_ALLOWED, title, (why, now), "/")
}

/// A page that does not exist, for everybody.
pub(crate) async fn lost(context: Context) -> Response {
    let message = Message {
        layout: context.layout("The portal has no such page", Nav::None),
        kind: "Not found".to_owned(),
        why: vec!["The address may be mistyped, or the link may be of an earlier version.".to_owned()],
        now: vec!["Start from one of these pages.".to_owned()],
        actions: vec![
            link("Your workspaces", "/"),
            link("New workspace", "/new"),
            link("Templates", "/templates"),
        ],
        ..Message::default()
    };
    context.page_with(StatusCode::NOT_FOUND, &message)
}

/// A sentence without a page, for requests that no page is made for.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// Answers every request while the portal does not know who may see what.
pub(crate) fn outdated(context: &Context) -> Response {
    let mut layout = context.layout("The portal waits for the API server", Nav::None);
    // The message says more.
    layout.stale = Stale::default();
    let message = Message {
        layout,
        tone: Tone::Bad,
        kind: "No answer".to_owned(),
        why: vec![
            "The API server has not answered for more than a minute. What the portal knows is too old to be shown.".to_owned(),
            "Workspaces that run go on, and open by their own addresses.".to_owned(),
        ],
        now: vec!["Nothing was changed. Try again in a minute, or tell an administrator.".to_owned()],
        actions: vec![link("Try again", "/")],
        ..Message::default()
    };
    context.page_with(StatusCode::SERVICE_UNAVAILABLE, &message)
}
