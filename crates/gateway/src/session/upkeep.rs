//! session objects -> the view; deletes ended ones (IO, in the background).

use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::watcher;

use super::Sessions;
use crate::index::following::Follower;
use crate::session::content::object_name;
use crate::tokens::RandomId;

/// How often ended sessions are removed.
const CLEANUP_INTERVAL: Duration = Duration::from_mins(5);
/// An ended session is removed this long after its end, in seconds, because clocks differ.
pub(super) const CLEANUP_GRACE: i64 = 60;
/// Maximum number of removals at a time.
const CLEANUP_BATCH: usize = 500;

impl Sessions {
    /// Watches the objects forever. `synced` is called once all existing objects were read.
    pub async fn watch(&self, follower: &Follower, synced: impl Fn()) {
        let config = watcher::Config::default();
        let (events, watched) = follower.follow("gatewaysessions", self.api.clone(), config);
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            let complete = matches!(event, watcher::Event::InitDone);
            self.apply(event).await;
            if complete {
                watched.mark_complete();
                synced();
            }
        }
    }

    /// Removes ended sessions forever.
    pub async fn cleanup(&self) {
        loop {
            tokio::time::sleep(CLEANUP_INTERVAL).await;
            self.remove_ended().await;
        }
    }

    /// Removes sessions that ended a while ago.
    pub async fn remove_ended(&self) {
        let before = self.clock.now() - CLEANUP_GRACE;
        let ended: Vec<(RandomId, u64)> = {
            let view = self.view.read();
            let ended = view.known.iter().filter(|(_, known)| known.expires < before);
            ended
                .map(|(id, known)| (*id, known.version))
                .take(CLEANUP_BATCH)
                .collect()
        };
        futures::stream::iter(ended)
            .for_each_concurrent(4, |(id, version)| async move {
                // A session that another replica has since seen in use is not over.
                let unchanged = DeleteParams::default().preconditions(Preconditions {
                    resource_version: Some(version.to_string()),
                    uid: None,
                });
                match self.api.delete(&object_name(id), &unchanged).await {
                    Ok(_) => {}
                    // Another replica was faster, or has newer data.
                    Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                    Err(error) => {
                        tracing::warn!(session = ?id, %error, "an ended session could not be removed");
                    }
                }
            })
            .await;
    }
}
