//! Client of the in-memory API server -> client of a replica whose watches lag (in-process IO).
//!
//! This simulates several API servers, one of which gets changes late. Lists and writes are current, because
//! they use the shared store. Only the events of watches are old.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use kube::{Client, client::Body};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tower::BoxError;

/// The replica's lag. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Lag(watch::Sender<Duration>);

impl Lag {
    /// Delays all events by `lag` from now on, including those in flight.
    pub fn set(&self, lag: Duration) {
        self.0.send_replace(lag);
    }

    /// Wraps `client` so that its watches lag.
    pub fn wrap(&self, client: Client) -> Client {
        let lag = self.0.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (client, lag) = (client.clone(), lag.subscribe());
            let watches = request
                .uri()
                .query()
                .is_some_and(|query| query.contains("watch=true"));
            async move {
                let (head, body) = client.send(request).await?.into_parts();
                let body: UnsyncBoxBody<Bytes, BoxError> = if watches {
                    StreamBody::new(delayed(body, lag)).boxed_unsync()
                } else {
                    body.map_err(Into::into).boxed_unsync()
                };
                Ok::<_, BoxError>(Response::from_parts(head, body))
            }
        });
        Client::new(service, "default")
    }
}

/// The parts of `body`, each at its arrival time plus the lag.
fn delayed(
    body: Body,
    lag: watch::Receiver<Duration>,
) -> impl Stream<Item = Result<Frame<Bytes>, BoxError>> + Send {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut parts = body.into_data_stream();
        while let Some(part) = parts.next().await {
            if sender.send((Instant::now(), part)).is_err() {
                return;
            }
        }
    });
    stream::unfold((receiver, lag), |(mut receiver, mut lag)| async move {
        let (arrived, part) = receiver.recv().await?;
        loop {
            let due = arrived + *lag.borrow_and_update();
            tokio::select! {
                () = sleep_until(due) => break,
                changed = lag.changed() => if changed.is_err() { break },
            }
        }
        let frame = part.map(Frame::data).map_err(BoxError::from);
        Some((frame, (receiver, lag)))
    })
}
