//! Fields of a form that cannot be saved -> what was typed, and a button that sends it (pure).

use crate::views::{Action, Message, Way};

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

/// Puts what was typed on the page, and says so.
pub(in crate::pages) fn keep(message: &mut Message, body: &[(String, String)]) {
    let mut now = "Nothing was written.".to_owned();
    message.typed = typed_text(body);
    if !message.typed.is_empty() {
        now.push_str(" What you typed is below: copy what you need.");
    }
    message.now.push(now);
}

/// A button that sends the same form again.
pub(in crate::pages) fn again(to: &str, body: &[(String, String)]) -> Action {
    Action {
        label: "Send again".to_owned(),
        way: Way::Post {
            to: to.to_owned(),
            hidden: body.to_vec(),
        },
        primary: true,
        ..Action::default()
    }
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
