//! Answer and permit -> the answer, with the permit until it is sent or has ended (in memory).

use std::io;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use futures::{StreamExt as _, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use tokio::time::Instant;

/// Longest time in which an answer is sent. A connection that takes nothing at all ends sooner: see `kit::https`.
const SENDING: Duration = Duration::from_secs(30);
/// Bytes that are given to a connection at once. It takes up to 16 of them before its client has read any.
const PIECE: usize = 4 * 1024;

/// Whether the answer is a stream, which has its own limits.
pub(crate) fn is_stream(answer: &Response) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// The answer. Its permit is given back when its last piece was given to the connection, or the connection has ended. An answer that was not
/// taken in time ends with an error.
pub(crate) fn until_sent(answer: Response, permit: impl Send + 'static) -> Response {
    if answer.body().is_end_stream() {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    // The stream of pieces does not know it.
    if let Some(length) = body.size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    let end = Instant::now() + SENDING;
    let pieces = body.into_data_stream().flat_map(|part| {
        let mut rest = part.unwrap_or_default();
        let piece = move || {
            let piece = rest.split_to(PIECE.min(rest.len()));
            (!piece.is_empty()).then_some(piece)
        };
        stream::iter(std::iter::from_fn(piece))
    });
    let pieces = pieces.map(move |piece| {
        let _held = &permit;
        if Instant::now() >= end {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        Ok(piece)
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use futures::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::limits::Limits;

    #[tokio::test]
    async fn an_answer_holds_its_permit_until_its_last_piece_is_sent_or_the_client_has_gone() {
        let limits = Limits::default();
        let text = "x".repeat(2 * PIECE + 1);
        let permit = limits.output("alice").await.unwrap();
        let answer = until_sent(text.clone().into_response(), permit);
        assert_eq!(answer.headers()[CONTENT_LENGTH], text.len().to_string());
        let mut body = answer.into_body();
        let mut sent = 0;
        while let Some(frame) = body.frame().await {
            assert!(limits.output("alice").now_or_never().is_none(), "after {sent}");
            sent += frame.unwrap().data_ref().map_or(0, axum::body::Bytes::len);
        }
        assert_eq!(sent, text.len());
        drop(body);
        let permit = limits.output("alice").await.unwrap();
        drop(until_sent(text.into_response(), permit));
        assert!(limits.output("alice").now_or_never().flatten().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_in_time_ends_with_an_error() {
        let open = || until_sent("x".repeat(2 * PIECE).into_response(), ()).into_body();
        let (mut prompt, mut late) = (open(), open());
        tokio::time::sleep(SENDING * 9 / 10).await;
        for body in [&mut prompt, &mut late] {
            assert!(body.frame().await.unwrap().is_ok());
        }
        assert!(prompt.frame().await.unwrap().is_ok());
        tokio::time::sleep(SENDING / 10).await;
        assert!(late.frame().await.unwrap().is_err());
    }
}
