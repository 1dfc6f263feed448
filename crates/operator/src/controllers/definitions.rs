//! What the CRDs in the cluster lack -> reported, and read again (IO).

use std::time::Duration;

use kit::readiness::Readiness;

use crate::{context::Context, support::text::join_first};

/// CRDs are read at most this often.
const PAUSE: Duration = Duration::from_secs(2);
/// CRDs that lack something are read again after this time: they may have been upgraded.
const RETRY_INTERVAL: Duration = Duration::from_secs(15);
/// Most missing fields in a message.
const MAX_LISTED: usize = 5;

/// Reads the CRDs now, after a status is refused for its fields, and again while something is missing. Logs and measures what is
/// missing, and adds it to `readiness`. It never returns.
pub(crate) async fn watch(context: &Context, readiness: &Readiness) {
    let mut known = Vec::new();
    loop {
        let missing = context.definitions.read(&context.client).await;
        if missing != known {
            let text = message(&missing);
            if let Some(missing) = &text {
                tracing::error!(missing, "statuses are written without some fields");
            } else {
                tracing::info!("the definitions declare every field of a status again");
            }
            readiness.set_problem(text);
            context.metrics.set_undeclared(missing.len());
            known.clone_from(&missing);
        }
        tokio::time::sleep(PAUSE).await;
        let again = async {
            if missing.is_empty() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        };
        tokio::select! {
            () = again => {}
            () = context.definitions.until_suspected() => {}
        }
    }
}

/// What is missing, and what to do.
fn message(missing: &[String]) -> Option<String> {
    (!missing.is_empty()).then(|| {
        format!(
            "the definitions in the cluster are older than this operator and lack {}: apply the CRDs of this release",
            join_first(missing, MAX_LISTED)
        )
    })
}
