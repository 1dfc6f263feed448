//! The `Date` of an answer of the API server -> whether our clock is right (IO).

use http::{Request, header::DATE};
use jiff::{Timestamp, fmt::rfc2822};
use kube::client::Body;
use rules::expiry::MAX_SKEW;

use crate::context::Context;

/// Whether the API server's clock and ours differ by little. Without its date they may differ by any time.
pub(super) async fn is_right(context: &Context) -> Result<bool, kube::Error> {
    // Any answer has the date, also a refusal.
    let request = Request::get("/version").body(Body::empty());
    let request = request.map_err(kube::Error::HttpError)?;
    let answer = context.client.send(request).await?;
    let date = answer.headers().get(DATE);
    let theirs = date.and_then(|date| parse(date.to_str().ok()?));
    let ours = (context.now)();
    let is_right = theirs.is_some_and(|theirs| ours.duration_since(theirs).abs() <= MAX_SKEW);
    if !is_right {
        context.metrics.error("expiry", "ClockSkew".to_owned());
        let theirs = theirs.map_or_else(|| "unknown".to_owned(), |theirs| theirs.to_string());
        tracing::warn!(
            %ours,
            theirs,
            "the clocks of API server and operator differ, so no stopped workspace is deleted"
        );
    }
    Ok(is_right)
}

fn parse(date: &str) -> Option<Timestamp> {
    Some(rfc2822::parse(date).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_http_is_read() {
        let expected = "2026-11-29T19:49:01Z".parse().unwrap();
        assert_eq!(parse("Sun, 29 Nov 2026 19:49:01 GMT"), Some(expected));
        for text in ["", "2026-11-29T19:49:01Z", "yesterday"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
