//! content of an error or status answer -> response that is rendered later (pure).

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, REFERRER_POLICY, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

/// Error code for scripts when a workspace exists and does not run. It is no failure of the gateway.
pub(crate) const NOT_READY: &str = "WorkspaceNotReady";

/// The content of an answer. Texts are plain; no part of them becomes markup.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// A stable error code for scripts.
    pub(super) error: Cow<'static, str>,
    pub(super) title: String,
    /// The small line above the title; may be empty.
    pub(super) kind: &'static str,
    pub(super) tone: Tone,
    /// Paragraphs. The first is the message for scripts.
    pub(super) text: Vec<String>,
    pub(super) parts: Vec<Part>,
    /// Further origins that forms may lead to; `None`: the page has no form.
    pub(super) forms_to: Option<String>,
    /// Origin of the page that shows the user and the sign-out.
    pub(super) account: Option<String>,
    /// Further JSON fields for scripts.
    pub(super) more: Map<String, Value>,
    /// Seconds until a retry makes sense.
    pub(super) retry: Option<u32>,
    /// Seconds after which the page loads itself anew, with a GET. Only for pages without a form.
    pub(super) reload: Option<u32>,
}

/// The visual style of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Calm,
    Good,
    Wait,
    Bad,
}

/// A part of a page, below its text.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// Elapsed seconds.
    Elapsed(i64),
    /// Progress as a bar.
    Percent(u8),
    /// The steps in order, each with its state.
    Steps(Vec<(&'static str, Step)>),
    /// What is wrong, whose text it is, and what to do. Empty texts are omitted.
    Cause {
        cause: String,
        message: String,
        remedy: String,
    },
    /// Buttons and links in one row.
    Actions(Vec<Action>),
    /// A paragraph in a softer colour.
    Soft(String),
    /// Links under a heading.
    List { title: &'static str, rows: Vec<Row> },
}

/// A link in a list.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Target of the link.
    pub to: String,
    /// The link's text.
    pub name: String,
    /// Distinguishes it from others of the same name.
    pub within: String,
    /// Its present state.
    pub state: &'static str,
}

/// State of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    Now,
    Stuck,
    Next,
}

/// A button or a link.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// A form with hidden fields; `get`: its method. `button`: its text.
    Form {
        get: bool,
        to: String,
        fields: Vec<(&'static str, String)>,
        button: String,
        plain: bool,
    },
    /// A link that looks like a button.
    Link { to: String, text: String },
    /// The same, opened in a new tab.
    NewTab { to: String, text: String },
}

impl Action {
    pub(super) fn link(to: impl Into<String>, text: &str) -> Self {
        Self::Link {
            to: to.into(),
            text: text.to_owned(),
        }
    }

    /// A form that sends a POST.
    pub(super) fn post(to: &str, fields: Vec<(&'static str, String)>, button: &str) -> Self {
        Self::Form {
            get: false,
            to: to.to_owned(),
            fields,
            button: button.to_owned(),
            plain: false,
        }
    }
}

impl Step {
    /// Its CSS class.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Stuck => "stuck",
            Self::Next => "next",
        }
    }

    /// Text for screen readers in place of the sign before the step.
    pub(super) fn aside(self) -> &'static str {
        match self {
            Self::Done => " (done)",
            Self::Now => " (under way)",
            Self::Stuck => " (blocked)",
            Self::Next => "",
        }
    }
}

impl Tone {
    /// Its CSS class.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Good => "good",
            Self::Wait => "wait",
            Self::Bad => "bad",
        }
    }
}

impl Message {
    pub(super) fn new(error: &'static str, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            error: Cow::Borrowed(error),
            title: title.into(),
            text: vec![text.into()],
            ..Self::default()
        }
    }

    /// An answer with this content. It is rendered later, where the request is known.
    pub(super) fn respond(self, status: StatusCode) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Under `no-referrer` browsers send `Origin: null` with a form. A POST to the auth host needs the real origin.
        let policy = if self.forms_to.is_some() {
            "same-origin"
        } else {
            "no-referrer"
        };
        headers.insert(REFERRER_POLICY, HeaderValue::from_static(policy));
        if let Some(seconds) = self.retry {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}
