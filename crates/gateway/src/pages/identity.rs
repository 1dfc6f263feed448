//! sign-in: providers, refusals, outages -> a page (pure).

use axum::response::Response;
use http::StatusCode;

use super::message::{Action, Message, Part, Tone};

/// An identity provider that a user may choose.
#[derive(Debug)]
pub struct Offer<'a> {
    /// Name of the provider for users.
    pub title: &'a str,
    /// Path of the gateway that starts the login; `None`: the provider does not answer.
    pub link: Option<String>,
}

/// Lets a user choose the identity provider.
pub fn choice(offers: &[Offer<'_>]) -> Response {
    Message {
        kind: "Sign in",
        parts: offered(offers),
        ..Message::new("SignInRequired", "Sign in", "Choose where you have your account.")
    }
    .respond(StatusCode::OK)
}

/// A button for each provider that answers, and a sentence about each that does not.
pub(super) fn offered(offers: &[Offer<'_>]) -> Vec<Part> {
    let mut links = Vec::new();
    let mut silent = Vec::new();
    for offer in offers {
        match &offer.link {
            Some(to) => links.push(Action::link(to, offer.title)),
            None => silent.push(Part::Soft(format!(
                "{} does not answer at the moment.",
                offer.title
            ))),
        }
    }
    let links = (!links.is_empty()).then_some(Part::Actions(links));
    links.into_iter().chain(silent).collect()
}

/// For a user whom `provider` confirms and this site does not admit. The page does not name the rule, which only administrators may
/// know. `user`: the name by which users recognize their account; `again`: path of the gateway that begins another login.
pub fn not_admitted(user: &str, provider: &str, again: &str) -> Response {
    let text = format!(
        "You are signed in at {provider} as {user}. This account is not admitted here. If it should be, ask your administrator."
    );
    Message {
        kind: "Sign in",
        tone: Tone::Bad,
        parts: vec![Part::Actions(vec![Action::link(
            again,
            "Sign in with another account",
        )])],
        ..Message::new("NotAdmitted", "This account is not admitted", text)
    }
    .respond(StatusCode::FORBIDDEN)
}

/// For a user who wants to sign in at a provider that does not answer. `again`: path of the gateway that begins another login. Without
/// it the page loads itself anew, which does.
pub fn unreachable(provider: &str, again: Option<&str>) -> Response {
    let what_now = if again.is_some() {
        "Try again in a few seconds."
    } else {
        "This page tries again every few seconds."
    };
    let text = format!("{provider}, where you would sign in, does not answer at the moment. {what_now}");
    let link = again.map(|to| Part::Actions(vec![Action::link(to, "Try again")]));
    Message {
        tone: Tone::Calm,
        retry: Some(5),
        reload: again.is_none().then_some(5),
        parts: link.into_iter().collect(),
        ..Message::new("NoIdentityProvider", "Try again shortly", text)
    }
    .respond(StatusCode::SERVICE_UNAVAILABLE)
}
