//! reason why a request is refused, limited or cannot be answered -> its error answer (pure).

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::message::{Message, Tone};
use super::{bare, problem, render};
use crate::session;
use crate::tokens::cookies::Malformed;
use crate::tokens::random::CryptoError;

/// Why a request gets an error answer that does not depend on its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No browser behind the configured proxy sends such a request.
    BadRequest,
    /// A page of another origin sent the request. It must not act with this user's ticket.
    CrossOrigin,
    /// A page embeds the address, which is for a browser tab.
    Embedded,
    /// The request is for a host that the gateway does not serve.
    Misdirected,
    /// The body of the request did not arrive in time.
    BodyTimeout,
    /// The body of the request is too long.
    BodyTooLarge,
    /// The rate limit is exceeded. The next request is allowed after this time.
    RateLimited(Duration),
    /// Something that the answer needs is unavailable at the moment, or too many requests are in progress.
    Unavailable,
}

impl Failure {
    /// The answer to give.
    pub fn answer(self) -> Response {
        match self {
            Self::BadRequest => bare(StatusCode::BAD_REQUEST),
            Self::CrossOrigin => problem(
                StatusCode::FORBIDDEN,
                "CrossOrigin",
                "The request comes from a page of another origin.",
            ),
            Self::Embedded => problem(
                StatusCode::FORBIDDEN,
                "CrossOrigin",
                "This address is for opening in a browser tab.",
            ),
            Self::Misdirected => bare(StatusCode::MISDIRECTED_REQUEST),
            Self::BodyTimeout => problem(
                StatusCode::REQUEST_TIMEOUT,
                "BodyMissing",
                "The body of the request did not arrive in time. Send it again.",
            ),
            Self::BodyTooLarge => bare(StatusCode::PAYLOAD_TOO_LARGE),
            Self::RateLimited(wait) => rate_limited(wait),
            Self::Unavailable => Message {
                tone: Tone::Calm,
                retry: Some(1),
                ..render::generic(StatusCode::SERVICE_UNAVAILABLE)
            }
            .respond(StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

fn rate_limited(wait: Duration) -> Response {
    let status = StatusCode::TOO_MANY_REQUESTS;
    let seconds = u32::try_from(wait.as_secs())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    Message {
        text: vec![format!(
            "Too many requests came from here in a short time. Try again in {seconds} s."
        )],
        more: [("retryAfterSeconds".to_owned(), seconds.into())]
            .into_iter()
            .collect(),
        retry: Some(seconds),
        ..render::generic(status)
    }
    .respond(status)
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.answer()
    }
}

impl From<Failure> for Response {
    fn from(failure: Failure) -> Self {
        failure.answer()
    }
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::BadRequest
    }
}

impl From<session::Unavailable> for Failure {
    fn from(error: session::Unavailable) -> Self {
        tracing::warn!(%error, "sessions cannot be read or written");
        Self::Unavailable
    }
}

impl From<CryptoError> for Failure {
    fn from(error: CryptoError) -> Self {
        tracing::error!(%error, "encryption of cookies and sessions failed");
        Self::Unavailable
    }
}
