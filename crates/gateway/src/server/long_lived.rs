//! long-lived answers of a connection -> which are open, and when all have ended (pure).
//!
//! hyper's `graceful_shutdown` waits for all answers of a connection alike. The gateway gives long-lived ones more time than others.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::response::Response;
use tokio_util::sync::CancellationToken;

/// Extension of an answer: its connection may live longer, until this is cancelled.
#[derive(Debug, Clone)]
pub struct LongLived(pub CancellationToken);

/// The long-lived answers of one connection.
#[derive(Debug, Default)]
pub(super) struct LongLivedAnswers(Mutex<Vec<CancellationToken>>);

impl LongLivedAnswers {
    pub(super) fn note(&self, answer: &Response) {
        if let Some(LongLived(over)) = answer.extensions().get() {
            let mut under_way = self.lock();
            under_way.retain(|one| !one.is_cancelled());
            under_way.push(over.clone());
        }
    }

    pub(super) fn are_under_way(&self) -> bool {
        self.lock().iter().any(|one| !one.is_cancelled())
    }

    pub(super) async fn are_over(&self) {
        loop {
            let Some(over) = self.lock().pop() else { return };
            over.cancelled().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
