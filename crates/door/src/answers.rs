//! What the door itself says -> answers (pure).

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

/// Body of an answer, from the application or from the door.
pub(crate) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// A body of these bytes.
pub(crate) fn body(bytes: impl Into<Bytes>) -> Body {
    let never = |never: Infallible| match never {};
    Full::new(bytes.into()).map_err(never).boxed_unsync()
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(body(Bytes::new()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, content: &Value) -> Response<Body> {
    let mut answer = empty(status);
    *answer.body_mut() = body(content.to_string());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// A refusal. `message`: a sentence for the client; `reason`: one word for programs.
pub(crate) fn problem(status: StatusCode, reason: &str, message: &str) -> Response<Body> {
    json(status, &json!({"message": message, "reason": reason}))
}

/// The answer to all who have no valid assertion. It says nothing about the workspace.
pub(crate) fn not_attested() -> Response<Body> {
    let message = "This address answers through the gateway only.";
    problem(StatusCode::UNAUTHORIZED, "NotAttested", message)
}
