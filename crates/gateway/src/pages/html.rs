//! message -> an HTML page and its Content-Security-Policy (pure).

use std::fmt::Write as _;

use askama::Template;
use askama::filters::Safe;
use serde_json::Value;

use super::message::{Action, Message, Part, Step};
use super::theme::Theme;

/// Askama escapes every value in the template. Only the stylesheet is inserted as it is.
#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    message: &'a Message,
    theme: &'a Theme,
    request: Option<&'a str>,
}

/// For the template. Escapes; text between two backticks becomes code.
fn coded(text: &str) -> Safe<String> {
    Safe(theme::markup(text))
}

/// The page, and its Content-Security-Policy. `request`: the identifier to show.
pub(crate) fn page(message: &Message, theme: &Theme, request: Option<&str>) -> (String, String) {
    let page = Page {
        message,
        theme,
        request,
    };
    // Writing to a string does not fail.
    (page.render().unwrap_or_default(), policy(message, theme))
}

/// The JSON for scripts, in the same form for all answers.
pub(crate) fn json(message: &Message, request: &str) -> Value {
    let mut body = message.more.clone();
    body.insert("error".into(), message.error.as_ref().into());
    body.insert("title".into(), message.title.clone().into());
    body.insert("message".into(), message.text.join(" ").into());
    body.insert("requestId".into(), request.into());
    body.into()
}

/// Seconds in at most two units.
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
    policy
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
