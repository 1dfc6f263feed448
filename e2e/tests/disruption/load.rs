//! a person at work, an address -> what became of their requests, which come at a fixed pace (IO).

use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::http::HttpSession;
use reqwest::{Method, StatusCode};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

/// Longer than the proxy waits for the gateway.
const TIMEOUT: Duration = Duration::from_secs(40);
/// A request that takes longer was held up.
const LONG: Duration = Duration::from_secs(1);

/// What begins within this after a fault goes down with the replica, or by the connection to it.
const AT_ONCE: Duration = Duration::from_secs(5);

/// One request: when it began and how long it took, since the load began, and what came of it.
struct Requests {
    at: Duration,
    took: Duration,
    status: Option<StatusCode>,
}

/// What became of the requests of one disruption.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) asked: usize,
    pub(crate) failed: usize,
    pub(crate) delayed: usize,
    /// Longest time in which nothing succeeded.
    pub(crate) gap: Duration,
    /// Requests that failed or were held up though they began well after the fault: how long after it, and the status.
    pub(crate) late: Vec<(Duration, Option<StatusCode>)>,
    pub(crate) slowest: Duration,
}

impl Report {
    fn of(asked: &[Requests], fault: Duration) -> Self {
        let is_allowed = |one: &&Requests| one.status == Some(StatusCode::OK);
        let mut ends: Vec<_> = asked
            .iter()
            .filter(is_allowed)
            .map(|one| one.at + one.took)
            .collect();
        ends.sort();
        let gaps = ends.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        let failures = asked
            .iter()
            .filter(|one| one.status != Some(StatusCode::OK) || one.took > LONG);
        Self {
            asked: asked.len(),
            failed: asked.iter().filter(|one| !is_allowed(one)).count(),
            delayed: asked
                .iter()
                .filter(|one| is_allowed(one) && one.took > LONG)
                .count(),
            gap: gaps.max().unwrap_or(Duration::MAX),
            late: failures
                .map(|one| (one.at.saturating_sub(fault), one.status))
                .filter(|(after, _)| *after > AT_ONCE)
                .collect(),
            slowest: asked.iter().map(|one| one.took).max().unwrap_or_default(),
        }
    }
}

/// A person's page that asks an address of its workspace all the time.
pub(crate) struct Load {
    pub(crate) begin: Instant,
    stop: watch::Sender<bool>,
    task: JoinHandle<Vec<Requests>>,
}

impl Load {
    pub(crate) fn begin(session: &HttpSession, url: &str, pause: Duration) -> Self {
        let (session, url, begin) = (session.clone(), url.to_owned(), Instant::now());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let (mut ticks, mut requests) = (interval(pause), JoinSet::new());
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !*stopped.borrow() {
                ticks.tick().await;
                let request = session
                    .request(Method::GET, &url)
                    .header("Sec-Fetch-Site", "same-origin")
                    .timeout(TIMEOUT);
                requests.spawn(async move {
                    let at = begin.elapsed();
                    let status = request.send().await.ok().map(|answer| answer.status());
                    let took = begin.elapsed().saturating_sub(at);
                    Requests { at, took, status }
                });
            }
            requests.join_all().await
        });
        Self { begin, stop, task }
    }

    pub(crate) async fn end(self, what: &str, fault: Duration) -> anyhow::Result<Report> {
        self.stop.send_replace(true);
        let report = Report::of(&self.task.await?, fault);
        println!("{what}: {report:?}");
        ensure!(
            report.asked > 1000,
            "too few requests to say anything: {report:?}"
        );
        Ok(report)
    }
}
