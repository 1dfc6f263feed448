//! who is signed in -> the first page of the auth host, which is where people sign out (pure).

use axum::response::Response;
use http::StatusCode;

use super::notice::{Action, Notice, Part, Tone};

/// For somebody who is signed in. Its buttons send a POST to `/sign-out`. `leads_to`: origin of the provider's sign-out, which
/// the answer leads to.
pub fn signed_in(user_name: &str, leads_to: Option<&str>) -> Response {
    let form = |fields, button: &str, plain| Action::Form {
        get: false,
        to: "/sign-out".to_owned(),
        fields,
        button: button.to_owned(),
        plain,
    };
    let everywhere = vec![("everywhere", "yes".to_owned())];
    let said = Notice::new("SignedIn", "You are signed in", format!("You are {user_name}."));
    Notice {
        kind: "Account",
        tone: Tone::Good,
        parts: vec![
            Part::Soft(
                "Signing out closes your workspaces in this browser; signing out everywhere closes them in all browsers. \
                 They go on running."
                    .to_owned(),
            ),
            Part::Actions(vec![
                form(vec![], "Sign out", false),
                form(everywhere, "Sign out everywhere", true),
            ]),
        ],
        // Browsers apply form-action to the redirect that follows as well.
        forms_to: Some(leads_to.unwrap_or_default().to_owned()),
        ..said
    }
    .respond(StatusCode::OK)
}

/// For somebody who is not.
pub fn signed_out() -> Response {
    let said = Notice::new(
        "SignedOut",
        "You are signed out",
        "To sign in, open the address of a workspace.",
    );
    Notice {
        kind: "Account",
        ..said
    }
    .respond(StatusCode::OK)
}
