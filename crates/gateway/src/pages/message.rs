//! the content of an answer, for pages and JSON alike (pure).

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, ETAG, REFERRER_POLICY, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What scripts are told of a workspace that is there and does not run; no failure of the gateway's.
pub(crate) const NOT_READY: &str = "WorkspaceNotReady";

/// Everything that an answer tells. Texts are plain; nothing in them becomes markup.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// For scripts: one stable word.
    pub(super) error: Cow<'static, str>,
    pub(super) title: String,
    /// The small line above the title; empty for none.
    pub(super) kind: &'static str,
    pub(super) tone: Tone,
    /// Paragraphs. The first is what a script is told.
    pub(super) text: Vec<String>,
    pub(super) parts: Vec<Part>,
    /// Origins to which forms lead, beside the page's own; `None`: the page has no form.
    pub(super) forms_to: Option<String>,
    /// Where the user can see who is signed in, and sign out: an origin.
    pub(super) account: Option<String>,
    /// What is said to scripts beyond error and message.
    pub(super) more: Map<String, Value>,
    /// Seconds after which it makes sense to ask again.
    pub(super) retry: Option<u32>,
    /// Whether the page asks again by itself.
    pub(super) watch: Option<Watch>,
    /// Path at which a start's events are told as they happen.
    pub(super) stream: Option<String>,
}

/// What a page looks like at first glance.
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
    /// Since when, in seconds until now.
    Elapsed(i64),
    /// How far it is, as a bar.
    Percent(u8),
    /// What comes in which order, each with how far it is.
    Steps(Vec<(&'static str, Step)>),
    /// What is wrong, in whose words, and what to do. Empty ones are left out.
    Cause {
        cause: String,
        message: String,
        remedy: String,
    },
    /// Buttons and links of one row.
    Actions(Vec<Action>),
    /// A paragraph in softer colour.
    Soft(String),
    /// Places to go to, under a heading.
    List { title: &'static str, rows: Vec<Row> },
}

/// A place to go to.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Where the link leads.
    pub to: String,
    /// The link's text.
    pub name: String,
    /// What tells it from others of the name.
    pub within: String,
    /// What it does at the moment.
    pub state: &'static str,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    Now,
    Stuck,
    Next,
}

/// Something to press.
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
}

/// How a page asks again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    /// Longest pause between two questions, in milliseconds.
    pub(super) pause: u32,
    /// Seconds after which a page without scripts is loaded again; `None`: not at all.
    pub(super) reload: Option<u32>,
}

impl Step {
    /// Its class on the page, and its word for scripts.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Stuck => "stuck",
            Self::Next => "next",
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

    /// What tells this state from the next one. Time that passes is no other state.
    pub(super) fn tag(&self) -> String {
        let mut digest = Sha256::new();
        let mut add = |text: &str| {
            digest.update(text);
            digest.update([0]);
        };
        add(&self.title);
        self.text.iter().for_each(|text| add(text));
        for part in &self.parts {
            match part {
                Part::Elapsed(_) | Part::Actions(_) | Part::List { .. } => {}
                Part::Soft(text) => add(text),
                Part::Percent(percent) => add(&percent.to_string()),
                Part::Steps(steps) => steps.iter().for_each(|(_, step)| add(step.class())),
                Part::Cause { cause, message, .. } => {
                    add(cause);
                    add(message);
                }
            }
        }
        STANDARD.encode(digest.finalize())[..16].to_owned()
    }

    /// An answer that carries this. What it looks like is decided where the request is known.
    pub(super) fn respond(self, status: StatusCode) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Under `no-referrer` browsers send `Origin: null` with a form, and a POST to the auth host needs this very origin.
        let policy = if self.forms_to.is_some() {
            "same-origin"
        } else {
            "no-referrer"
        };
        headers.insert(REFERRER_POLICY, HeaderValue::from_static(policy));
        if let Some(seconds) = self.retry {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.watch.is_some()
            && let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", self.tag()))
        {
            headers.insert(ETAG, tag);
        }
        response.extensions_mut().insert(self);
        response
    }
}
