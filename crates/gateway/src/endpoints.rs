//! addresses of the sign-in pages -> their handlers (pure; the handlers do what their files say).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::answers::Failure;
use crate::gate::Gate;
use crate::index::Place;
use crate::{callback, enter, pages, request, start, workspace_callback};

/// Everything under `https://auth.<base>`.
pub fn auth(gate: Arc<Gate>) -> Router {
    let form = async |State(gate): State<Arc<Gate>>, uri: Uri, headers: HeaderMap| {
        start::form(&gate, &uri, &headers).await
    };
    let start = async |State(gate): State<Arc<Gate>>, headers: HeaderMap, body: Bytes| {
        start::start(&gate, &headers, &body).await
    };
    Router::new()
        .route("/enter", get(enter))
        .route("/callback", get(callback))
        .route(
            "/start",
            get(form)
                .post(start)
                .layer(DefaultBodyLimit::max(start::MAX_FORM)),
        )
        .with_state(gate)
}

/// Everything under `/_workspace/` on workspace hosts.
pub fn workspace(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/_workspace/callback", get(workspace_callback))
        .with_state(gate)
}

async fn enter(State(gate): State<Arc<Gate>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    match method {
        Method::GET => enter::enter(&gate, &uri, &headers).await,
        _ => only_get(),
    }
}

async fn callback(State(gate): State<Arc<Gate>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    match method {
        Method::GET => callback::callback(&gate, &uri, &headers).await,
        _ => only_get(),
    }
}

async fn workspace_callback(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    if request.method() != Method::GET {
        return only_get();
    }
    let place = gate
        .domain()
        .map(|domain| request::authority(&request).map(|authority| domain.place(authority)));
    match place {
        Ok(Some(Place::Workspace(host))) => {
            workspace_callback::workspace_callback(&gate, &host, request.uri(), request.headers()).await
        }
        Ok(_) => Failure::Misdirected.answer(),
        Err(failure) => failure.answer(),
    }
}

/// These addresses use codes up, so a HEAD request must not do what a GET does.
fn only_get() -> Response {
    pages::problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "This address is for opening in a browser tab.",
    )
}
