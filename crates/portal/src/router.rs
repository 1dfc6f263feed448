//! Routes, and the checks of every request -> the router (IO by the pages).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts as _, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, CONNECTION, HeaderName, VARY};
use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use tower::ServiceBuilder;
use tower::util::{MapRequestLayer, MapResponseLayer};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, RequestId, SetRequestIdLayer};
use tower_http::timeout::RequestBodyDeadlineLayer;

use crate::app::{App, Context};
use crate::index::Served;
use crate::limits::{ANSWERS, CHANGES, Kind, MAX_FORM, PAGES};
use crate::pages;
use crate::source;
use crate::user::{NoUser, User};

/// Maximum size of path and query, in bytes.
const MAX_ADDRESS: usize = 8 * 1024;
/// Most bytes of a path in the log.
const LOGGED: usize = 1024;
/// Timeout for reading a form.
const READ_TIME: Duration = Duration::from_secs(10);

/// Headers of every answer. Scripts, styles and images come from this host alone, and nothing may embed a page.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types portal",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("strict-transport-security", "max-age=31536000"),
];

/// All pages. Tests use it without a socket.
pub fn router(app: Arc<App>) -> Router {
    let pages = Router::new()
        .route("/", get(pages::list::page))
        .route("/account", get(pages::account::page))
        .route("/events", get(pages::live::stream))
        .route("/namespaces/{namespace}", get(pages::namespace::page))
        .route("/new", get(pages::new::page).post(pages::new::create))
        .route("/new/check", post(pages::new::check))
        .route("/stop", get(pages::stopping::ask).post(pages::stopping::act))
        .route("/templates", get(pages::templates::page))
        .route("/templates/{name}", get(pages::templates::one))
        .route("/w/{namespace}/{name}", get(pages::workspace::page))
        .route(
            "/w/{namespace}/{name}/edit",
            get(pages::edit::page).post(pages::edit::save),
        )
        .route("/w/{namespace}/{name}/edit/check", post(pages::edit::check))
        .route(
            "/w/{namespace}/{name}/yaml",
            get(pages::edit::text).post(pages::edit::save),
        )
        .route("/w/{namespace}/{name}/logs", get(pages::logs::page))
        .route("/w/{namespace}/{name}/logs/file", get(pages::logs::file))
        .route("/w/{namespace}/{name}/logs/stream", get(pages::logs::follow))
        .route(
            "/w/{namespace}/{name}/share",
            get(pages::sharing::page).post(pages::sharing::share),
        )
        .route(
            "/w/{namespace}/{name}/share/{share}/end",
            get(pages::sharing::ask_end).post(pages::sharing::end),
        )
        .route(
            "/w/{namespace}/{name}/share/{share}/until",
            get(pages::sharing::ask_until).post(pages::sharing::change_until),
        )
        .route(
            "/w/{namespace}/{name}/owner",
            get(pages::owner::ask).post(pages::owner::change),
        )
        .route("/w/{namespace}/{name}/keep", post(pages::keep::act))
        .route(
            "/w/{namespace}/{name}/{action}",
            get(pages::actions::ask).post(pages::actions::act),
        )
        .fallback(pages::answers::lost)
        .method_not_allowed_fallback(pages::answers::wrong_method)
        .with_state(app.clone())
        .layer(from_fn_with_state(app, authenticate));
    let all = ServiceBuilder::new()
        .layer(MapRequestLayer::new(without_request_id))
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(from_fn(headers))
        .layer(CatchPanicLayer::new())
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(RequestBodyDeadlineLayer::new(READ_TIME));
    Router::new()
        .route(
            "/assets/{file}",
            get(pages::assets::file).layer(MapResponseLayer::new(close_connection)),
        )
        .merge(pages)
        .layer(all)
}

/// Passes a request on if it names a user. A request that changes something must also come from a page of this origin.
async fn authenticate(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (user, served) = match user_and_addresses(&app, &request) {
        Ok(known) => known,
        Err(answer) => return close_connection(*answer),
    };
    let (mut parts, body) = request.into_parts();
    parts
        .extensions
        .insert((user, app.identity_for_refusal(), served));
    let Ok(mut context) = Context::from_request_parts(&mut parts, &app).await;
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let is_change = method == Method::POST;
    let page = parts.extensions.get::<MatchedPath>().cloned();
    // A check stores nothing, and has a limit of its own.
    let kind = if is_change && !path.ends_with("/check") {
        Kind::Change
    } else {
        Kind::Page
    };
    let permit = app.limits.answer(&context.user.name);
    let refusal = if !source::is_allowed(&method, &parts.headers, &context.served.origin()) {
        Some(context.foreign())
    } else if !app.limits.allows(&context.user.name, kind) {
        Some(context.too_many(
            &format!("{PAGES} pages and {CHANGES} changes at once are allowed, and more as time passes."),
            "Try again in a second.",
            Duration::from_secs(1),
        ))
    } else if permit.is_none() {
        Some(context.too_many(
            &format!("{ANSWERS} pages at the same time are allowed, until each has arrived."),
            "Try again in a second.",
            Duration::from_secs(1),
        ))
    } else {
        None
    };
    let response = if let Some(refusal) = refusal {
        close_connection(refusal)
    } else {
        // This can ask the API server, so it comes after the limits.
        context.identity = app.identity(&parts.headers, &context.user).await;
        if app.index.is_too_old() {
            pages::answers::outdated(&context)
        } else {
            let known = (
                context.user.clone(),
                context.identity.clone(),
                context.served.clone(),
            );
            parts.extensions.insert(known);
            next.run(Request::from_parts(parts, body)).await
        }
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        let (user, request) = (&context.user.name, context.request);
        let (status, method) = (response.status().as_u16(), method.as_str());
        tracing::info!(user, status, method, path = log_text(&path), request, "refused");
    }
    let page = page.as_ref().map_or("none", MatchedPath::as_str);
    app.parts.metrics.count_answer(page, is_change, response.status());
    match permit {
        Some(permit) if !pages::held::is_stream(&response) => pages::held::until_sent(response, permit),
        // A stream has a permit of its own.
        _ => response,
    }
}

/// An answer that no limit of the user counts. It is its connection's last, so that unread ones keep no connections.
fn close_connection(mut answer: Response) -> Response {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, close);
    answer
}

/// The part of a path that the log has.
fn log_text(path: &str) -> &str {
    &path[..path.floor_char_boundary(LOGGED)]
}

/// The user of the request, and the addresses that the portal serves.
fn user_and_addresses(app: &App, request: &Request) -> Result<(Arc<User>, Served), Box<Response>> {
    let id = request.extensions().get::<RequestId>();
    let id = id
        .and_then(|id| id.header_value().to_str().ok())
        .unwrap_or_default();
    let answer = |status, text| Box::new(pages::answers::message(app, id, status, text));
    let address = request.uri().path_and_query();
    if address.is_some_and(|address| address.as_str().len() > MAX_ADDRESS) {
        let most = format!(
            "Path and parameters together may have at most {} KiB.",
            MAX_ADDRESS / 1024
        );
        let text = [
            "This address is too long",
            &most,
            "Start from the list of your workspaces, and choose or search for less.",
        ];
        return Err(answer(StatusCode::URI_TOO_LONG, text));
    }
    let user = match User::from_headers(request.headers(), &*app.parts.keys, Timestamp::now().as_second()) {
        Ok(user) => user,
        Err(NoUser::NotSignedIn) => {
            let text = [
                "Sign in again",
                "You are not signed in, or your session has ended.",
                "Open this page by its address.",
            ];
            return Err(answer(StatusCode::UNAUTHORIZED, text));
        }
        Err(NoUser::Unusable(why)) => {
            let now = "Ask the administrator of the identity provider.";
            return Err(answer(
                StatusCode::FORBIDDEN,
                ["You cannot use the portal", why, now],
            ));
        }
    };
    app.index.addresses().map(|served| (user, served)).ok_or_else(|| {
        let text = [
            "The portal does not know its addresses yet",
            "No WorkspaceManager is marked as the default.",
            "Try again in a minute, or ask an administrator.",
        ];
        answer(StatusCode::SERVICE_UNAVAILABLE, text)
    })
}

/// A browser does not choose the identifier that the log names.
fn without_request_id(mut request: Request) -> Request {
    request.headers_mut().remove("x-request-id");
    request
}

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let cached = headers.contains_key(CACHE_CONTROL);
    if !cached {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("cookie, accept"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_a_kibibyte_of_a_path() {
        assert_eq!(log_text("/w/team/lab"), "/w/team/lab");
        let path = format!("/{}", "ä".repeat(MAX_ADDRESS));
        assert_eq!(log_text(&path), format!("/{}", "ä".repeat(LOGGED / 2 - 1)));
    }
}
