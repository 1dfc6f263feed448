//! answer and its request -> the page or JSON that the client gets (pure but for the log).
//!
//! Every answer passes here once. A refusal without text (for example from the router) gets the text of its status.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
};
use http::{HeaderValue, StatusCode};
use kit::limit::LogLimit;

use super::html;
use super::message::{Message, NOT_READY, Tone};
use super::theme::Theme;
use crate::tokens::request_id;

/// Response header with the request's identifier.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Limits log lines about refused requests, since any client can cause them.
static REFUSALS: LogLimit = LogLimit::new(50, Duration::from_millis(100));

/// The recipient of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// A user with a browser.
    Browser,
    /// A script.
    Script,
}

impl Reader {
    /// From what the browser reports of the request, else from the Accept header.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let is_browser = match headers.get(DEST) {
            Some(dest) => dest == "document",
            None => crate::pages::accepts_html(headers),
        };
        if is_browser { Self::Browser } else { Self::Script }
    }
}

/// Gives an answer its body and, if it is a refusal, its request's identifier. Answers with a body of their own stay unchanged.
/// Must be called in [`request_id::scope`].
pub fn render(mut response: Response, reader: Reader) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let message = match response.extensions_mut().remove::<Message>() {
        Some(message) => message,
        None if is_error && !has_body(response.headers()) => generic(status),
        None => return response,
    };
    let request = request_id::current();
    if is_error {
        log(&request, status, &message);
    }
    let (kind, policy, body) = match reader {
        Reader::Browser => {
            let shown = (is_error && message.error != NOT_READY).then_some(request.as_str());
            let (html, policy) = html::page(&message, Theme::current(), shown);
            ("text/html; charset=utf-8", policy, html.into_bytes())
        }
        Reader::Script => (
            "application/json",
            "default-src 'none'; frame-ancestors 'none'".to_owned(),
            // Keys are strings, so this cannot fail.
            serde_json::to_vec(&html::json(&message, &request)).unwrap_or_default(),
        ),
    };
    *response.body_mut() = Body::from(body);
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    // The schema of managers checks hosts and ports. If the policy is no valid header value anyway, it must not be omitted.
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    if let Ok(mut request) = HeaderValue::try_from(request) {
        // Not secret, but different each time: in the header table of HTTP/2 it would replace headers that repeat.
        request.set_sensitive(true);
        headers.insert(REQUEST_ID, request);
    }
    headers.append(http::header::VARY, HeaderValue::from_name(ACCEPT));
    response
}

/// Whether a handler wrote a body for users or scripts. Refusals of the router are plain text at most.
fn has_body(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain"))
}

/// The default message of a status.
pub(super) fn generic(status: StatusCode) -> Message {
    let (error, title, text) = match status.as_u16() {
        400 => (
            "BadRequest",
            "Bad request",
            "The request cannot be read. Open your workspace again; if that does not help, remove this site's cookies.",
        ),
        401 => (
            "SignInRequired",
            "You are not signed in",
            "Open the address of your workspace to sign in.",
        ),
        403 => ("NoAccess", "No access", "You may not do that."),
        404 => ("NotFound", "Not found", "There is nothing at this address."),
        405 => (
            "MethodNotAllowed",
            "Not possible",
            "This address does not take requests of this kind. Go back, and open it anew.",
        ),
        408 => (
            "TooSlow",
            "Too slow",
            "The request took too long to arrive. Try again.",
        ),
        413 => (
            "TooLarge",
            "Too large",
            "The request is larger than this address takes.",
        ),
        415 => (
            "WrongType",
            "Not possible",
            "This address does not take content of this type.",
        ),
        421 => (
            "UnknownHost",
            "Unknown address",
            "No workspace is at this address.",
        ),
        429 => (
            "TooManyRequests",
            "Too many requests",
            "Wait a moment, then try again.",
        ),
        431 => (
            "HeadersTooLarge",
            "Too many cookies",
            "Your browser sends more cookies than this site takes.",
        ),
        502 => (
            "BadGateway",
            "No answer",
            "The server behind this address does not answer. Try again shortly.",
        ),
        503 => (
            "Unavailable",
            "Try again shortly",
            "The gateway cannot answer at the moment. Try again in a few seconds.",
        ),
        504 => (
            "TooSlow",
            "No answer",
            "The server behind this address takes too long to answer. Try again shortly.",
        ),
        _ if status.is_client_error() => ("Refused", "Not possible", "The request was refused."),
        _ => (
            "InternalError",
            "Something went wrong",
            "It is not your fault. Try again; if that does not help, give your administrator the request identifier below.",
        ),
    };
    Message {
        kind: "",
        tone: Tone::Bad,
        ..Message::new(error, title, text)
    }
}

/// Logs a line that finds a user's request. For refusals there are at most ten such lines per second.
fn log(request: &str, status: StatusCode, message: &Message) {
    let (status, error) = (status.as_u16(), message.error.as_ref());
    match status {
        // Ordinary states of sign-in and workspaces, which are logged there.
        401 => {}
        503 if message.error == NOT_READY => {}
        500.. => tracing::warn!(request, status, error, "a request failed"),
        _ => {
            if let Some(left_out) = REFUSALS.turn(Instant::now()) {
                tracing::info!(request, status, error, left_out, "a request was refused");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use api::workspace::Phase;

    use super::*;
    use crate::index::Target;
    use crate::pages::workspace_page;
    use rules::access::Audience;

    /// The log output of an answer.
    fn logged(answer: Response) -> String {
        let log = testkit::log::Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(log.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || render(answer, Reader::Script));
        log.take()
    }

    #[test]
    fn a_workspace_that_does_not_run_is_no_failure_and_a_gateway_that_cannot_answer_is_one() {
        let relayed = super::super::problem(StatusCode::SERVICE_UNAVAILABLE, NOT_READY, "it does not run");
        assert_eq!(logged(relayed), "");
        let domain = crate::index::Domain::new("ws.example", 443);
        for phase in [Phase::Stopped, Phase::Starting, Phase::Failed, Phase::Running] {
            for audience in [Audience::OwnerOrAdmin, Audience::Viewer] {
                let target = Target {
                    phase,
                    ..Target::lab()
                };
                assert_eq!(
                    logged(workspace_page(&domain, &target, audience, 0)),
                    "",
                    "{phase:?} {audience:?}"
                );
            }
        }
        assert!(logged(super::super::Failure::Unavailable.answer()).contains("a request failed"));
    }

    #[test]
    fn browsers_are_recognised_by_destination_or_accept_header() {
        let of = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            Reader::from_headers(&headers)
        };
        assert_eq!(of("sec-fetch-dest", "document"), Reader::Browser);
        assert_eq!(of("sec-fetch-dest", "empty"), Reader::Script);
        assert_eq!(of("sec-fetch-dest", "iframe"), Reader::Script);
        assert_eq!(of("accept", "text/html,*/*;q=0.8"), Reader::Browser);
        assert_eq!(of("accept", "*/*"), Reader::Script);
        assert_eq!(Reader::from_headers(&HeaderMap::new()), Reader::Script);
    }
}
