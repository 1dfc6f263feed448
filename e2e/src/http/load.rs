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
/// A load says something with more requests than this, or with half of those that its pause lets it send.
const ENOUGH: u128 = 300;

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
    /// Longest time in which nothing succeeded, from the first request to the end of the load.
    pub gap: Duration,
    /// Number of requests that failed or were delayed although they started well after the fault.
    pub late: usize,
    /// The first failed requests: start after the fault and duration in seconds, and the answer.
    pub first_failed: Vec<(f64, f64, Result<StatusCode, String>)>,
    /// Time that the slowest request took.
    pub slowest: Duration,
}

impl Report {
    /// `end`: when the load ended, since its start.
    fn of(asked: &[Requests], fault: Duration, end: Duration) -> Self {
        let answered = asked.iter().filter(|one| one.is_answered());
        let mut ends: Vec<_> = answered.map(|one| one.at + one.took).collect();
        // Without them an outage that lasts to the end would be no gap.
        ends.extend([Duration::ZERO, end]);
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
            gap: gaps.max().unwrap_or_default(),
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
    pause: Duration,
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
        Self {
            begin,
            pause,
            stop,
            task,
        }
    }

    /// Ends the requests. `fault`: time of the fault, since their start.
    ///
    /// # Errors
    /// There were too few requests.
    pub async fn end(self, what: &str, fault: Duration) -> anyhow::Result<Report> {
        self.stop.send_replace(true);
        let end = self.begin.elapsed();
        let report = Report::of(&self.task.await?, fault, end);
        println!("{what}: {report:?}");
        let least = ENOUGH.min(end.as_micros() / self.pause.as_micros() / 2);
        ensure!(
            report.asked as u128 > least,
            "too few requests to say anything: {report:?}"
        );
        Ok(report)
    }
}

/// Creations of a workspace that the API server validates, the webhook included, and does not store.
pub struct Writes {
    stop: watch::Sender<bool>,
    task: JoinHandle<WriteReport>,
}

/// Results of the writes during one disruption.
#[derive(Debug, Default)]
struct WriteReport {
    accepted: usize,
    failed: Vec<String>,
}

impl WriteReport {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.failed.is_empty(), "{self:?}");
        ensure!(self.accepted > 0, "no write was tried");
        Ok(())
    }
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
            let (mut ticks, mut report) = (interval(WRITE_PAUSE), WriteReport::default());
            let dry_run = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            while !*stopped.borrow() {
                ticks.tick().await;
                match workspaces.create(&dry_run, &new).await {
                    Ok(_) => report.accepted += 1,
                    Err(error) => report.failed.push(error.to_string()),
                }
            }
            report
        });
        Ok(Self { stop, task })
    }

    /// Ends them. Prints how many were accepted.
    ///
    /// # Errors
    /// A write failed, or none was tried.
    pub async fn end(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        let report = self.task.await?;
        println!(
            "writes: {} accepted, {} failed",
            report.accepted,
            report.failed.len()
        );
        report.check()
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    fn request(at: u64, answer: StatusCode) -> Requests {
        Requests {
            at: Duration::from_secs(at),
            took: Duration::ZERO,
            answer: Ok(answer),
        }
    }

    #[test]
    fn an_outage_that_lasts_to_the_end_is_a_gap() {
        let up = [0, 1, 2, 3].map(|at| request(at, StatusCode::OK));
        let end = Duration::from_secs(4);
        assert_eq!(Report::of(&up, Duration::ZERO, end).gap, Duration::from_secs(1));
        let down = [4, 5, 6, 7, 8].map(|at| request(at, StatusCode::BAD_GATEWAY));
        let asked: Vec<_> = up.into_iter().chain(down).collect();
        let end = Duration::from_secs(9);
        assert_eq!(
            Report::of(&asked, Duration::ZERO, end).gap,
            Duration::from_secs(6)
        );
        assert_eq!(Report::of(&[], Duration::ZERO, end).gap, end);
    }

    #[test]
    fn writes_count_only_if_some_were_tried_and_none_failed() {
        let report = |accepted, failed: &[&str]| WriteReport {
            accepted,
            failed: failed.iter().map(|it| (*it).to_owned()).collect(),
        };
        assert!(report(1, &[]).check().is_ok());
        assert!(report(0, &[]).check().is_err());
        assert!(report(5, &["503"]).check().is_err());
    }
}
