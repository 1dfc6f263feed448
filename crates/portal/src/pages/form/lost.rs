//! Open form of a workspace that is gone or cannot be read -> a page with what was typed (IO).

use axum::response::Response;
use http::StatusCode;

use super::typed::{again, keep};
use crate::app::Context;
use crate::cluster::Failure;
use crate::pages::answers::link;
use crate::views::{Message, Nav, Tone};

/// Why the workspace of an open form cannot be changed.
#[derive(Debug)]
pub(super) enum Lost {
    /// There is nothing of this name that the user may see.
    Gone,
    /// Its name belongs to another workspace, which the user sees.
    Replaced,
    /// The API server does not let the user read it, or does not answer.
    Unread(Failure),
}

impl Lost {
    pub(super) fn from_failure(failure: Failure) -> Self {
        if failure.is_not_found() {
            Self::Gone
        } else {
            Self::Unread(failure)
        }
    }

    /// The page. `to` and `body`: address and fields of the form.
    pub(super) fn answer(self, context: &Context, to: &str, body: &[(String, String)]) -> Response {
        let message = |title: &str, why: &str| Message {
            layout: context.layout(title, Nav::None),
            tone: Tone::Warn,
            why: vec![why.to_owned()],
            actions: vec![link("Your workspaces", "/")],
            ..Message::default()
        };
        let (status, mut message) = match self {
            Self::Gone => (StatusCode::NOT_FOUND, context.absent()),
            Self::Replaced => {
                let title = "This is another workspace of the same name now";
                let why = "The workspace that you opened the form for was deleted. Another one was created with its name.";
                (StatusCode::CONFLICT, message(title, why))
            }
            Self::Unread(failure) => {
                let mut message = message(
                    "The workspace cannot be read",
                    "The API server did not give it to you.",
                );
                message.server = failure.to_string();
                message.actions.insert(0, again(to, body));
                (failure.status(), message)
            }
        };
        keep(&mut message, body);
        context.page_with(status, &message)
    }
}
