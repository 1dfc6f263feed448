//! message -> an HTML page and its Content-Security-Policy (pure).

use std::fmt::Write as _;
use std::sync::LazyLock;

use askama::Template;
use askama::filters::Safe;
use serde_json::{Value, json};

use super::message::{Action, Message, Part, Step};
use super::theme::{Theme, source};

/// Polls in the background, first after 250 ms. The script shows changes, and loads the page anew if its parts differ. It sends
/// HEAD requests, because they have no effects in the workspace that may answer by then.
const WATCHER: &str = include_str!("watch.js");

static WATCHER_SOURCE: LazyLock<String> = LazyLock::new(|| source(WATCHER));

/// Askama escapes every value in the template. Only the stylesheet and the script are inserted as they are.
#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    message: &'a Message,
    theme: &'a Theme,
    request: Option<&'a str>,
    shape: String,
}

/// For the template. Escapes; text between two backticks becomes code.
fn coded(text: &str) -> Safe<String> {
    Safe(theme::coded(text))
}

/// The page, and its Content-Security-Policy. `request`: the identifier to show.
pub(crate) fn page(message: &Message, theme: &Theme, request: Option<&str>) -> (String, String) {
    let page = Page {
        message,
        theme,
        request,
        shape: shape(message),
    };
    // Writing to a string does not fail.
    (page.render().unwrap_or_default(), policy(message, theme))
}

/// The JSON for scripts, in the same form for all answers.
pub(crate) fn json(message: &Message, request: &str) -> Value {
    let mut body = message.more.clone();
    body.insert("error".into(), message.error.as_ref().into());
    body.insert("message".into(), message.text.join(" ").into());
    body.insert("requestId".into(), request.into());
    if message.watch.is_some() {
        body.insert("page".into(), shown(message));
    }
    body.into()
}

/// The JSON for the page's own script.
pub(super) fn shown(message: &Message) -> Value {
    let mut page = json!({
        "shape": shape(message),
        "title": message.title,
        "lead": message.text.first(),
        "cause": "", "message": "", "remedy": "", "steps": [],
    });
    for part in &message.parts {
        match part {
            Part::Percent(percent) => page["percent"] = (*percent).into(),
            Part::Steps(steps) => {
                page["steps"] = steps.iter().map(|(_, step)| step.class()).collect();
            }
            Part::Cause {
                cause,
                message,
                remedy,
            } => {
                page["cause"] = cause.clone().into();
                page["message"] = message.clone().into();
                page["remedy"] = remedy.replace('`', "").into();
            }
            _ => {}
        }
    }
    page
}

/// The parts of the page: if they change, the script loads the page anew.
fn shape(message: &Message) -> String {
    let parts = message.parts.iter().map(|part| match part {
        Part::Elapsed(_) => "elapsed",
        Part::Percent(_) => "percent",
        Part::Steps(_) => "steps",
        Part::Cause { .. } => "cause",
        Part::Actions(_) => "actions",
        Part::Soft(_) => "soft",
        Part::List { .. } => "list",
    });
    let mut shape = format!("{} {}", message.kind, message.text.len());
    for part in parts {
        shape.push(' ');
        shape.push_str(part);
    }
    shape
}

/// The same text as in the script.
fn duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

fn policy(message: &Message, theme: &Theme) -> String {
    let mut policy = format!(
        "default-src 'none'; style-src {}; base-uri 'none'; frame-ancestors 'none';",
        theme.style_source
    );
    match &message.forms_to {
        Some(origins) => {
            let _ = write!(policy, " form-action 'self' {origins};");
        }
        None => policy.push_str(" form-action 'none';"),
    }
    if theme.logo.is_some() {
        policy.push_str(" img-src data:;");
    }
    if message.watch.is_some() {
        let _ = write!(policy, " script-src {}; connect-src 'self';", *WATCHER_SOURCE);
    }
    policy
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
