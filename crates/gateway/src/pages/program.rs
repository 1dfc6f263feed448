//! program that asks a user -> the page with the question, and the code to copy (pure).

use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;

use super::message::{Action, Message, Part};
use crate::index::Domain;

/// A program that asks to act as a user.
#[derive(Debug, Clone)]
pub struct Program<'a> {
    /// The name that it gives itself.
    pub name: &'a str,
    /// Where it waits for the code; `None`: the user copies it.
    pub origin: Option<String>,
    /// Fields of the form.
    pub fields: Vec<(&'static str, String)>,
}

/// The page on `auth.<base>` that asks whether a program may act as the user. Its button sends a POST to `/programs`, from the only
/// origin that may do so. `end`: end of the session, Unix seconds.
pub fn program_form(domain: &Domain, program: Program<'_>, user_name: &str, end: i64) -> Response {
    let until = Timestamp::from_second(end).unwrap_or_default();
    let until = until.strftime("%Y-%m-%d %H:%M");
    let form = Action::post("/programs", program.fields, "Let it act as me");
    let name = program.name;
    let base = Message::new(
        "ProgramAsks",
        "Let a program act as you?",
        format!("A program that calls itself “{name}” asks to open workspaces as {user_name}."),
    );
    let what = format!(
        "It may then open every workspace that you may open, until {until} UTC or until you sign out. It cannot change your account."
    );
    let caution = "Continue only if you have just started this program yourself. If a link or a message brought you here, close this page.";
    Message {
        kind: "Sign-in",
        parts: vec![
            Part::Soft(what),
            Part::Soft(caution.to_owned()),
            Part::Actions(vec![form]),
        ],
        account: Some(domain.auth_origin()),
        // Browsers apply form-action to the following redirect as well.
        forms_to: Some(program.origin.unwrap_or_default()),
        ..base
    }
    .respond(StatusCode::OK)
}

/// The page with the code for a program that does not wait on this computer.
pub fn program_code(domain: &Domain, code: &str) -> Response {
    let base = Message::new(
        "ProgramAdmitted",
        "Copy this code",
        "Enter it into the program within a minute. It works once.",
    );
    let caution = "Give it to nobody: who asks you for this code wants to open your workspaces.";
    Message {
        kind: "Sign-in",
        parts: vec![Part::Soft(format!("`{code}`")), Part::Soft(caution.to_owned())],
        account: Some(domain.auth_origin()),
        ..base
    }
    .respond(StatusCode::OK)
}
