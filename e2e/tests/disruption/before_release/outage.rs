//! The API server does not respond: the gateway decides with its cache, and recovers.

use std::{
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use e2e::{
    cluster::{Scratch, api_server},
    http::{HttpSession, socket},
    installation::release,
    objects::workspace,
    test_run::finally::always,
    wait,
};
use futures::StreamExt as _;
use reqwest::{Method, StatusCode, Url, header};
use tokio::{task::JoinHandle, time::sleep};

/// The shortest time that can be configured.
const MAX_STALENESS: u64 = 10;
/// With an older index, the gateway issues no tickets.
const NO_TICKETS: f64 = 3.0;
/// Maximum age of the last successful heartbeat when the API server stopped: its period, and its duration on a busy machine.
const HEARTBEAT: f64 = 3.0;
/// Interval of the check of websockets, which ends them before they are too old.
const POLL: f64 = 0.75;
/// Time for a signal and an answer to arrive.
const NETWORK_DELAY: f64 = 0.5;
/// Maximum time until the next request, on a busy machine.
const GAP: f64 = 1.0;
/// How long the API server is stopped.
const OUTAGE: Duration = Duration::from_secs(32);
/// Another process lets it continue after this time, even if this process ends.
const RECOVERY_TIMEOUT: u32 = 90;

/// The local cluster's API server, stopped until this is dropped.
struct Stopped {
    process: u32,
    guard: Child,
}

impl Stopped {
    fn now() -> anyhow::Result<Self> {
        let process = api_server::process()?;
        let later = format!("sleep {RECOVERY_TIMEOUT}; kill -CONT {process}");
        let guard = Command::new("sh").args(["-c", &later]).spawn()?;
        let stopped = Self { process, guard };
        stopped.signal("-STOP")?;
        Ok(stopped)
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let status = Command::new("kill")
            .args([name, &self.process.to_string()])
            .status()?;
        ensure!(status.success(), "kill {name} {}: {status}", self.process);
        Ok(())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.signal("-CONT");
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// One answer: seconds since the API server stopped, and its status.
#[derive(Debug)]
struct Answer {
    at: f64,
    status: StatusCode,
    retry_after: bool,
}

async fn ask(session: &HttpSession, url: &str, begin: Instant) -> anyhow::Result<Answer> {
    let request = session
        .request(Method::GET, &format!("{url}alive"))
        .header("Sec-Fetch-Site", "same-origin");
    let at = begin.elapsed().as_secs_f64();
    let answer = request.send().await?;
    Ok(Answer {
        at,
        status: answer.status(),
        retry_after: answer.headers().contains_key(header::RETRY_AFTER),
    })
}

/// How long a websocket stays open, in seconds since `begin`, and the code by which it ends.
async fn open_socket(
    session: &HttpSession,
    url: &str,
) -> anyhow::Result<impl FnOnce(Instant) -> JoinHandle<(f64, Option<u16>)>> {
    let origin = Url::parse(url)?.origin().ascii_serialization();
    let target = format!("{}ws", url.replacen("https", "wss", 1));
    let opened = socket::connect(&target, &session.cookies(url)?, Some(&origin)).await?;
    let mut socket = opened.map_err(|status| anyhow::anyhow!("the websocket was refused: {status}"))?;
    socket.next().await.context("the websocket said nothing")??;
    Ok(move |begin: Instant| {
        tokio::spawn(async move {
            let mut code = None;
            while let Some(Ok(message)) = socket.next().await {
                if let tokio_tungstenite::tungstenite::Message::Close(frame) = message {
                    code = frame.map(|frame| frame.code.into());
                }
            }
            (begin.elapsed().as_secs_f64(), code)
        })
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_stay_valid_for_the_documented_time_without_an_api_server() -> anyhow::Result<()> {
    let _exclusive = crate::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("outage", &["alice"]).await?;
    let url = workspace::url(&workspace::running(&scratch, "ws").await?)?;
    let other = workspace::url(&workspace::running(&scratch, "other").await?)?;
    release::upgrade(&[&format!("gateway.maxStalenessSeconds={MAX_STALENESS}")]).await?;
    always(Box::pin(outlasts(&url, &other)), release::upgrade(&[])).await?;
    scratch.finish().await
}

async fn outlasts(url: &str, other: &str) -> anyhow::Result<()> {
    let alice = HttpSession::new()?;
    alice.enter(url, "alice").await?;
    let socket = open_socket(&alice, url).await?;
    let limit = f64::from(u32::try_from(MAX_STALENESS)?);

    let stopped = Stopped::now()?;
    let begin = Instant::now();
    let socket = socket(begin);
    let mut answers = Vec::new();
    let mut entered = None;
    while begin.elapsed() < OUTAGE {
        answers.push(ask(&alice, url, begin).await?);
        // An earlier ticket stays valid; a ticket for another workspace needs a new decision.
        if entered.is_none() && begin.elapsed().as_secs_f64() > NO_TICKETS {
            entered = Some(alice.open(other).await?.status());
        }
        sleep(Duration::from_millis(100)).await;
    }
    drop(stopped);
    let continued = Instant::now();
    wait::until("the gateway to decide again", wait::USUAL, || async {
        match ask(&alice, url, begin).await {
            Ok(answer) if answer.status == StatusCode::OK => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let back = continued.elapsed();
    let (ended, code) = socket.await?;

    let last_success = answers.iter().rfind(|one| one.status == StatusCode::OK);
    let last_success = last_success.context("no request was admitted")?.at;
    let first_failure = answers.iter().find(|one| one.status != StatusCode::OK);
    let first_failure = first_failure.context("it decides for ever")?;
    println!(
        "maxStaleness {limit} s: decisions for {last_success:.1} s, then {} after {:.1} s; the websocket ended after {ended:.1} s \
         with {code:?}; back {back:?} after the API server; a ticket for another workspace: {entered:?}",
        first_failure.status, first_failure.at,
    );
    ensure!(
        entered == Some(StatusCode::SERVICE_UNAVAILABLE),
        "a new ticket: {entered:?}"
    );
    ensure!(
        (limit - HEARTBEAT..=limit).contains(&last_success) && first_failure.at <= last_success + GAP,
        "{last_success} {first_failure:?}"
    );
    for answer in &answers {
        let expected = if answer.at < first_failure.at {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        ensure!(
            answer.status == expected,
            "{answer:?}, and the first refusal: {first_failure:?}"
        );
        ensure!(
            answer.retry_after || answer.status == StatusCode::OK,
            "{answer:?}"
        );
    }
    let sockets = 2.0 * limit - HEARTBEAT - POLL..=2.0 * limit + NETWORK_DELAY;
    ensure!(sockets.contains(&ended), "the websocket ended after {ended} s");
    // As before, with the same cookies: no user signs in again.
    let landed = alice.open(url).await?;
    ensure!(landed.url().as_str() == url, "{}", landed.url());
    wait::until("tickets to be had again", wait::USUAL, || async {
        match alice.open(other).await {
            Ok(page) if page.status() == StatusCode::OK && page.url().as_str() == other => Ok(()),
            Ok(page) => Err(format!("{} {}", page.status(), page.url())),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await
}
