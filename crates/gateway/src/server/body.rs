//! request whose body is still to come -> its answer, if the body arrives in time (IO).
//!
//! Any client can announce a body and send none. So the body is read before the request takes a permit of its own kind, with a
//! short timeout: forms and logout tokens fit in a few packets.
//!
//! `RequestBodyLimitLayer` and `RequestBodyDeadlineLayer` of tower-http limit a body while the handler reads it, so the request would
//! hold its own permit during that time.

use axum::Router;
use axum::body::HttpBody as _;
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::bounds::{BODY_TIMEOUT, Bounds, Kind, RequestPermit};
use super::turned_away;
use crate::pages::{Failure, Reader};

/// Maximum size of a body, in bytes: as much as the identity provider may send. Each form has its own limit below this one.
const MAX: usize = 16 * 1024;

/// The answer to a request with a body. The request holds a permit for reading bodies, and takes one of its kind once the body is
/// here. A client that sends no body blocks only other requests that wait for bodies. Of those it blocks mainly its own address,
/// because addresses share these permits.
pub(super) async fn answer(
    router: Router,
    request: Request<Incoming>,
    kind: Kind,
    reading: RequestPermit,
    bounds: &Bounds,
) -> Response {
    let reader = Reader::from_headers(request.headers());
    let request = match read(request).await {
        Ok(request) => request,
        Err(failure) => return turned_away(failure, reader).await,
    };
    drop(reading);
    match bounds.take(kind) {
        Ok(permit) => {
            let Ok(answer) = router.oneshot(request).await;
            drop(permit);
            answer
        }
        Err(shed) => turned_away(shed, reader).await,
    }
}

/// The request with its body.
///
/// # Errors
/// The body is too long, did not arrive in time or broke off.
async fn read(request: Request<Incoming>) -> Result<Request<Full<Bytes>>, Failure> {
    let (head, body) = request.into_parts();
    if body.size_hint().lower() > MAX as u64 {
        return Err(Failure::BodyTooLarge);
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, MAX).collect()).await {
        Ok(Ok(read)) => Ok(Request::from_parts(head, Full::new(read.to_bytes()))),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Failure::BodyTooLarge),
        Ok(Err(_)) => Err(Failure::BadRequest),
        Err(_) => Err(Failure::BodyTimeout),
    }
}
