//! Form that cannot be saved -> the page with what was typed, to send it again (pure).

use std::mem;

use axum::response::Response;
use http::StatusCode;

use crate::app::Context;
use crate::views::{Action, Message, Way};

/// Title of the page.
const NOT_SAVED: &str = "Not saved: this is what you wrote";

/// Fields of a form that no user types.
const NOT_TYPED: [&str; 8] = [
    "namespace",
    "template",
    "uid",
    "seen",
    "written",
    "do",
    "view",
    "yaml",
];

/// The page of every form that cannot be saved: why, what was typed, and a button that sends the same again. `to` and `body`: address and
/// fields of the form.
pub(in crate::pages) fn not_saved(
    context: &Context,
    (status, mut message): (StatusCode, Message),
    to: &str,
    body: &[(String, String)],
) -> Response {
    let reason = mem::replace(&mut message.layout.title, NOT_SAVED.to_owned());
    message.why.insert(0, format!("{reason}."));
    message.typed = typed_text(body);
    let way = Way::Post {
        to: to.to_owned(),
        hidden: body.to_vec(),
    };
    let again = Action {
        label: "Send again".to_owned(),
        way,
        primary: true,
        ..Action::default()
    };
    message.actions.insert(0, again);
    context.page_with(status, &message)
}

/// What was typed, as text: each control with its value, and the YAML.
fn typed_text(body: &[(String, String)]) -> String {
    let controls = body
        .iter()
        .filter(|(name, value)| !NOT_TYPED.contains(&&**name) && !value.is_empty());
    let mut lines: Vec<_> = controls.map(|(name, value)| format!("{name}: {value}")).collect();
    let text = body.iter().find(|(name, _)| name == "yaml");
    lines.extend(text.map(|(_, text)| text.clone()).filter(|text| !text.is_empty()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_was_typed_is_in_the_text_and_nothing_else() {
        let body = [
            ("uid", "u"),
            ("written", "form"),
            ("spec.displayName", "Lab: \"1\""),
            ("spec.image", ""),
            ("spec.resources.limits.memory", "much"),
            ("yaml", "a: 1\n# why"),
        ];
        let body = body.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            typed_text(&body),
            "spec.displayName: Lab: \"1\"\nspec.resources.limits.memory: much\na: 1\n# why"
        );
    }
}
