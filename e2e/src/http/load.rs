//! A user's page -> results of its requests and of writes at a fixed rate (IO).

use std::time::{Duration, Instant};

use anyhow::ensure;
use api::Workspace;
use kube::{Api, api::PostParams};
use reqwest::{Method, RequestBuilder, StatusCode};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

use crate::{http::HttpSession, objects::workspace};

/// Longer than the proxy waits for the gateway.
const TIMEOUT: Duration = Duration::from_secs(40);
/// A slower request counts as delayed.
const LONG: Duration = Duration::from_secs(1);

/// Requests that start within this time after a fault may fail with the replica or its connection.
const AT_ONCE: Duration = Duration::from_secs(5);
/// One write to the API server, which calls the webhook, every 100 ms.
const WRITE_PAUSE: Duration = Duration::from_millis(100);

/// One request: its start since the start of the load, its duration and its result.
struct Requests {
    at: Duration,
    took: Duration,
    answer: Result<StatusCode, String>,
}

impl Requests {
    fn is_answered(&self) -> bool {
        self.answer == Ok(StatusCode::OK)
    }
}

/// Results of the requests during one disruption.
#[derive(Debug)]
pub struct Report {
    /// Number of requests.
    pub asked: usize,
    /// Requests without the answer 200.
    pub failed: usize,
    /// Requests with that answer after more than a second.
    pub delayed: usize,
    /// Longest time in which nothing succeeded.
    pub gap: Duration,
    /// Number of requests that failed or were delayed although they started well after the fault.
    pub late: usize,
    /// The first failed requests: start after the fault and duration in seconds, and the answer.
    pub first_failed: Vec<(f64, f64, Result<StatusCode, String>)>,
    /// Time that the slowest request took.
    pub slowest: Duration,
}

impl Report {
    fn of(asked: &[Requests], fault: Duration) -> Self {
        let mut ends: Vec<_> = asked
            .iter()
            .filter(|one| one.is_answered())
            .map(|one| one.at + one.took)
            .collect();
        ends.sort();
        let gaps = ends.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        let after = |one: &Requests| one.at.saturating_sub(fault);
        let failed: Vec<_> = asked.iter().filter(|one| !one.is_answered()).collect();
        let is_late = |one: &&Requests| after(one) > AT_ONCE && (!one.is_answered() || one.took > LONG);
        Self {
            asked: asked.len(),
            failed: failed.len(),
            delayed: asked
                .iter()
                .filter(|one| one.is_answered() && one.took > LONG)
                .count(),
            gap: gaps.max().unwrap_or(Duration::MAX),
            late: asked.iter().filter(is_late).count(),
            first_failed: failed
                .iter()
                .take(10)
                .map(|one| {
                    (
                        after(one).as_secs_f64(),
                        one.took.as_secs_f64(),
                        one.answer.clone(),
                    )
                })
                .collect(),
            slowest: asked.iter().map(|one| one.took).max().unwrap_or_default(),
        }
    }
}

/// Status of an answer, once its body is read: an unread one resets its stream, and after a thousand of these the client ends the connection.
async fn whole(request: RequestBuilder) -> reqwest::Result<StatusCode> {
    let answer = request.send().await?;
    let status = answer.status();
    answer.bytes().await?;
    Ok(status)
}

/// A user's page that sends requests to its workspace all the time.
pub struct Load {
    /// When the first request was sent.
    pub begin: Instant,
    stop: watch::Sender<bool>,
    task: JoinHandle<Vec<Requests>>,
}

impl Load {
    /// Begins to send a request to `url` every `pause`.
    pub fn begin(session: &HttpSession, url: &str, pause: Duration) -> Self {
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
                    let answer = whole(request).await;
                    let took = begin.elapsed().saturating_sub(at);
                    let answer =
                        answer.map_err(|error| format!("{:#}", anyhow::Error::new(error.without_url())));
                    Requests { at, took, answer }
                });
            }
            requests.join_all().await
        });
        Self { begin, stop, task }
    }

    /// Ends the requests. `fault`: time of the fault, since their start.
    ///
    /// # Errors
    /// There were too few requests.
    pub async fn end(self, what: &str, fault: Duration) -> anyhow::Result<Report> {
        self.stop.send_replace(true);
        let report = Report::of(&self.task.await?, fault);
        println!("{what}: {report:?}");
        ensure!(report.asked > 300, "too few requests to say anything: {report:?}");
        Ok(report)
    }
}

/// Creations of a workspace that the API server validates, the webhook included, and does not store.
pub struct Writes {
    stop: watch::Sender<bool>,
    task: JoinHandle<Vec<String>>,
}

impl Writes {
    /// Begins to send them, as the user of `workspaces`.
    ///
    /// # Errors
    /// The tests were started without an installation.
    pub fn begin(workspaces: Api<Workspace>) -> anyhow::Result<Self> {
        let new = workspace::echo("dry-run")?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let (mut ticks, mut failed) = (interval(WRITE_PAUSE), Vec::new());
            let dry_run = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            while !*stopped.borrow() {
                ticks.tick().await;
                if let Err(error) = workspaces.create(&dry_run, &new).await {
                    failed.push(error.to_string());
                }
            }
            failed
        });
        Ok(Self { stop, task })
    }

    /// Ends them. Returns the errors of the writes that failed.
    ///
    /// # Errors
    /// The task panicked.
    pub async fn end(self) -> anyhow::Result<Vec<String>> {
        self.stop.send_replace(true);
        Ok(self.task.await?)
    }
}
