//! Changes, due times -> reconciles of all objects of a kind (in memory).

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// Shortest rest after a reconcile. Changes during it are merged into one reconcile.
pub const MIN_REST: Duration = Duration::from_millis(200);
/// The rest after a reconcile is this many times its duration. Each reconcile checks all objects, and under load an object has always
/// changed.
const REST: u32 = 100;
/// Longest rest: users wait until a share becomes active or an object may be deleted.
const MAX_REST: Duration = Duration::from_secs(1);
/// Longest wait for a time of day, because clocks are adjusted now and then. A reconcile without due work costs no API call.
const MAX_SLEEP: Duration = Duration::from_mins(10);

/// Objects that are processed concurrently. One slow write does not delay the others.
const CONCURRENCY: usize = 16;
/// After this time a reconcile starts no more work. The next one lists again, and starts with the first object of each namespace.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// Processes `items` round-robin by namespace, so that a namespace with many items does not delay others. Returns when one of them has
/// to be checked again.
pub async fn for_each<T, F>(
    items: impl IntoIterator<Item = (Option<String>, T)>,
    work: impl Fn(T) -> F,
) -> Option<Duration>
where
    F: Future<Output = Option<Duration>>,
{
    let started = Instant::now();
    let mut left = round_robin(items).into_iter();
    let mut under_way = FuturesUnordered::new();
    let mut again: Option<Duration> = None;
    loop {
        while under_way.len() < CONCURRENCY && started.elapsed() < TIME_LIMIT {
            let Some(item) = left.next() else { break };
            under_way.push(work(item));
        }
        match under_way.next().await {
            Some(wait) => again = [again, wait].into_iter().flatten().min(),
            None => break,
        }
    }
    if left.len() > 0 {
        Some(Duration::ZERO)
    } else {
        again
    }
}

/// The first item of each namespace, then the second of each, and so on.
fn round_robin<T>(items: impl IntoIterator<Item = (Option<String>, T)>) -> Vec<T> {
    let mut counts: BTreeMap<Option<String>, usize> = BTreeMap::new();
    let numbered = items.into_iter().map(|(namespace, item)| {
        let count = counts.entry(namespace).or_default();
        *count += 1;
        (*count, item)
    });
    let mut numbered: Vec<_> = numbered.collect();
    numbered.sort_by_key(|(number, _)| *number);
    numbered.into_iter().map(|(_, item)| item).collect()
}

/// Reconciles until shutdown: at a change at once, except during a rest. A reconcile returns after which time work becomes due without any
/// change.
pub async fn run(
    changes: &watch::Sender<()>,
    shutdown: &CancellationToken,
    mut reconcile: impl AsyncFnMut() -> Option<Duration>,
) {
    let mut changes = changes.subscribe();
    loop {
        changes.mark_unchanged();
        let begin = Instant::now();
        let again = reconcile().await;
        let rested = Instant::now() + (begin.elapsed() * REST).clamp(MIN_REST, MAX_REST);
        let later = async {
            match again {
                Some(after) => tokio::time::sleep(after.min(MAX_SLEEP)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = later => {}
            received = changes.changed() => match received {
                Ok(()) => tokio::time::sleep_until(rested).await,
                Err(_) => return,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn neither_many_objects_of_one_namespace_nor_slow_ones_delay_others() {
        let flood = (0..1000).map(|number| (Some("a".to_owned()), number));
        let other = [(Some("b".to_owned()), 5000), (None, 6000)];
        let begin = Instant::now();
        let done = std::sync::Mutex::new(Vec::new());
        let again = for_each(flood.chain(other), |number| {
            let done = &done;
            async move {
                // One of the items is stuck; a write takes 50 ms.
                let took = if number == 0 { 15_000 } else { 50 };
                tokio::time::sleep(Duration::from_millis(took)).await;
                done.lock().unwrap().push((number, begin.elapsed().as_millis()));
                None
            }
        })
        .await;
        let done = done.into_inner().unwrap();
        for number in [5000, 6000] {
            assert!(done.contains(&(number, 50)), "in the first turn");
        }
        // The other items go on beside the stuck one until the time limit. The next reconcile does the rest.
        assert_eq!(done.len(), 1 + 15 * 2000 / 50);
        assert_eq!((again, begin.elapsed().as_secs()), (Some(Duration::ZERO), 15));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_reconciled_at_once_changes_during_a_rest_together_and_no_change_never() {
        let (changes, shutdown, reconciles) = (
            watch::Sender::default(),
            CancellationToken::new(),
            AtomicUsize::new(0),
        );
        let count = || reconciles.load(Ordering::Relaxed);
        let running = run(&changes, &shutdown, async || {
            reconciles.fetch_add(1, Ordering::Relaxed);
            None
        });
        let changing = async {
            tokio::time::sleep(Duration::from_hours(1)).await;
            assert_eq!(count(), 1);
            for _ in 0..5 {
                changes.send_replace(());
                tokio::time::sleep(Duration::from_millis(10)).await;
                assert_eq!(count(), 2);
            }
            tokio::time::sleep(Duration::from_hours(1)).await;
            assert_eq!(count(), 3);
            shutdown.cancel();
        };
        tokio::join!(running, changing);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_reconcile_is_followed_by_a_rest() {
        let (changes, shutdown) = (watch::Sender::default(), CancellationToken::new());
        let mut started = Vec::new();
        run(&changes, &shutdown, async || {
            started.push(Instant::now());
            if started.len() == 3 {
                shutdown.cancel();
            }
            let took = if started.len() == 1 { 5 } else { 500 };
            tokio::time::sleep(Duration::from_millis(took)).await;
            changes.send_replace(());
            None
        })
        .await;
        assert_eq!(started[1] - started[0], Duration::from_millis(5 + 500));
        assert_eq!(started[2] - started[1], Duration::from_millis(500) + MAX_REST);
    }

    #[tokio::test(start_paused = true)]
    async fn due_times_trigger_a_reconcile() {
        let (changes, shutdown) = (watch::Sender::default(), CancellationToken::new());
        let begin = Instant::now();
        let mut due = Some(Duration::from_secs(5));
        run(&changes, &shutdown, async || {
            let next = due.take();
            if next.is_none() {
                assert_eq!(begin.elapsed().as_secs(), 5);
                shutdown.cancel();
            }
            next
        })
        .await;
    }
}
