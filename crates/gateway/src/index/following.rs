//! one kind of objects -> its list and every change; reports to freshness (IO).

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch::Receiver;
use tokio::time::sleep;

use crate::index::freshness::{Freshness, Watched};
use crate::metrics::Metrics;

/// The API server ends a watch after this many seconds. After five more without data the connection counts as dead.
pub(crate) const LONGEST_WATCH: u32 = 30;
/// Pause before the first new attempt; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Watches kinds of objects whose age matters.
#[derive(Debug, Clone)]
pub struct Follower {
    pub(super) freshness: Arc<Freshness>,
    pub(super) metrics: Metrics,
}

struct Following<K> {
    api: Api<K>,
    config: watcher::Config,
    resource: &'static str,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    pause: Duration,
    watched: Arc<Watched>,
    renewals: Receiver<u64>,
    metrics: Metrics,
}

impl Follower {
    /// A follower that reports the state of its watches to `freshness`.
    pub fn new(freshness: Arc<Freshness>, metrics: Metrics) -> Self {
        Self { freshness, metrics }
    }

    /// Watches one kind. The index marks the watch as complete once it contains everything up to the end of a list.
    pub(crate) fn follow<K>(
        &self,
        resource: &'static str,
        api: Api<K>,
        config: watcher::Config,
    ) -> (impl Stream<Item = Event<K>> + Send + use<K>, Arc<Watched>)
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let watched = Arc::new(self.freshness.watch());
        self.metrics.set_watch_complete(resource, false);
        let config = config.timeout(LONGEST_WATCH);
        let following = Following {
            events: watcher(api.clone(), config.clone()).boxed(),
            api,
            config,
            resource,
            pause: FIRST_PAUSE,
            watched: Arc::clone(&watched),
            renewals: self.freshness.renewals(),
            metrics: self.metrics.clone(),
        };
        let events = stream::unfold(following, |mut following| async {
            let event = following.next().await;
            Some((event, following))
        });
        (events, watched)
    }
}

impl<K> Following<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    async fn next(&mut self) -> Event<K> {
        loop {
            tokio::select! {
                biased;
                Ok(()) = self.renewals.changed() => self.begin_after(Duration::ZERO),
                event = self.events.next() => match event {
                    Some(Ok(event)) => {
                        if matches!(event, Event::InitDone) {
                            self.pause = FIRST_PAUSE;
                            self.metrics.set_watch_complete(self.resource, true);
                        }
                        return event;
                    }
                    Some(Err(error)) => {
                        self.metrics.count_failed_watch(self.resource);
                        tracing::warn!(resource = self.resource, %error, "watch failed; it starts again");
                        self.begin_after(self.pause);
                        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                    }
                    None => self.begin_after(self.pause),
                },
            }
        }
    }

    fn begin_after(&mut self, pause: Duration) {
        self.watched.mark_broken();
        self.metrics.set_watch_complete(self.resource, false);
        let (api, config) = (self.api.clone(), self.config.clone());
        let events = sleep(pause).map(|()| watcher(api, config)).flatten_stream();
        self.events = events.boxed();
    }
}
