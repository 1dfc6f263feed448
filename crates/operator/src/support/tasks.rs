//! Futures and streams -> tasks of their own that end with their reader (IO).
//!
//! A reader that joins many futures polls all of them whenever one makes progress. The reconcile queue does so with each watch event. A
//! task is polled only when it can make progress itself.

use std::panic;

use futures::{Stream, StreamExt as _, channel::mpsc};
use tokio_util::task::AbortOnDropHandle;

/// The result of `work`, run in a task of its own. If the caller drops it before the end, the task ends at its next await point.
pub(crate) async fn apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match AbortOnDropHandle::new(tokio::spawn(work)).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The items of `stream`, read by a task of its own that buffers up to this many items.
pub(crate) fn ahead<T: Send + 'static>(
    stream: impl Stream<Item = T> + Send + 'static,
    items: usize,
) -> impl Stream<Item = T> + Send + Unpin {
    let (sender, receiver) = mpsc::channel(items);
    let task = AbortOnDropHandle::new(tokio::spawn(stream.map(Ok).forward(sender)));
    receiver.map(move |item| {
        // The task lives as long as its reader.
        let _ = &task;
        item
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;

    #[tokio::test]
    async fn a_task_ends_with_its_caller() {
        let alive = Arc::new(());
        let held = alive.clone();
        let work = apart(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        let waited = tokio::time::timeout(Duration::from_millis(10), work).await;
        assert!(waited.is_err());
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    #[should_panic(expected = "as it was")]
    async fn a_panic_is_propagated_to_the_caller() {
        apart(async { panic!("as it was") }).await;
    }

    #[tokio::test]
    async fn a_stream_is_read_in_order_and_to_its_end() {
        let items: Vec<u8> = ahead(futures::stream::iter(0..100), 4).collect().await;
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
