//! The objects in memory are too old -> an answer that says so (pure).

use axum::response::Response;
use http::StatusCode;

use super::answers::link;
use crate::app::Context;
use crate::views::{Message, Nav, Stale, Tone};

/// Answers every request while the portal does not know who may see what.
pub(crate) fn page(context: &Context) -> Response {
    let mut layout = context.layout("The portal waits for the API server", Nav::None);
    // The message says more.
    layout.stale = Stale::default();
    let message = Message {
        layout,
        tone: Tone::Bad,
        kind: "No answer".to_owned(),
        why: vec![
            "The API server has not answered for more than a minute. What the portal knows is too old to be shown.".to_owned(),
            "Workspaces that run go on, and open by their own addresses.".to_owned(),
        ],
        now: vec!["Nothing was changed. Try again in a minute, or tell an administrator.".to_owned()],
        actions: vec![link("Try again", "/")],
        ..Message::default()
    };
    context.page_with(StatusCode::SERVICE_UNAVAILABLE, &message)
}
