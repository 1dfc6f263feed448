//! A plan -> pages and other requests at a steady rate, or all that a browser loads for a first page (IO).
//!
//! A request is due at its place in the schedule, and its time counts from then: a server that stalls is not asked less often for it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http_body_util::BodyExt as _;
use kit::assertion::LIFE;
use kube::Client;
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep_until;

use crate::user::{User, client, signer};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// Kubeconfig of a client of the server.
    server: PathBuf,
    /// Asked for in turns.
    people: Vec<User>,
    /// Requests per second.
    rate: f64,
    /// How many requests, in all.
    count: usize,
    /// Whether all of them asked shortly before.
    known: bool,
    /// A part of every answer.
    #[serde(default)]
    says: String,
    /// Where the lines go.
    log: PathBuf,
}

/// Asks for the pages of the plan.
pub(crate) async fn run(plan: Plan) -> anyhow::Result<()> {
    let (client, signer) = (client(&plan.server).await?, signer()?);
    let people = plan.people.iter().cycle().take(plan.count);
    let requests: Vec<_> = people
        .map(|user| user.request(&signer, LIFE))
        .collect::<Result<_, _>>()?;
    // The handshake is not part of a page.
    let known = if plan.known { plan.people.len() } else { 1 };
    for user in plan.people.iter().take(known) {
        answer(&client, user.request(&signer, LIFE)?).await?;
    }
    let begin = Instant::now();
    let mut lines = String::new();
    for (number, request) in requests.into_iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let due = begin + Duration::from_secs_f64(number as f64 / plan.rate);
        sleep_until(due.into()).await;
        let (status, _, text) = answer(&client, request).await?;
        let took = due.elapsed().as_micros();
        ensure!(
            text.contains(&plan.says),
            "an answer does not say {:?}: {text}",
            plan.says
        );
        writeln!(lines, "{}\t{status}\t{took}", (due - begin).as_micros())?;
    }
    fs::write(&plan.log, lines).with_context(|| plan.log.display().to_string())
}

/// Prints what a browser loads for the first user's page, in a line of JSON.
pub(crate) async fn first(plan: Plan) -> anyhow::Result<()> {
    let (client, signer) = (client(&plan.server).await?, signer()?);
    let user = plan.people.first().context("the plan has no users")?;
    let (status, _, page) = answer(&client, user.request(&signer, LIFE)?).await?;
    ensure!(status == 200, "{} is answered {status}", user.path);
    let (mut script, mut style) = (0, 0);
    let assets = files(&page);
    for path in &assets {
        let asset = User {
            path: path.clone(),
            ..user.clone()
        };
        let (status, kind, text) = answer(&client, asset.request(&signer, LIFE)?).await?;
        ensure!(status == 200, "{path} is answered {status}");
        if kind.contains("javascript") {
            script += text.len();
        } else {
            style += text.len();
        }
    }
    // The page, what it names, and the stream that it opens.
    let requests = 1 + assets.len() + page.matches("data-live=").count();
    println!(
        "{}",
        json!({"page": page.len(), "script": script, "style": style, "requests": requests})
    );
    Ok(())
}

/// Paths of the scripts and styles of a page.
fn files(page: &str) -> Vec<String> {
    let named = page
        .split("\"/assets/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    named.map(|name| format!("/assets/{name}")).collect()
}

/// Status, media type, and the body as it was sent.
async fn answer(
    client: &Client,
    request: http::Request<kube::client::Body>,
) -> anyhow::Result<(u16, String, String)> {
    let answer = client.send(request).await?;
    let status = answer.status().as_u16();
    let kind = answer
        .headers()
        .get("content-type")
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    let body = answer.into_body().collect().await?.to_bytes();
    // What is compressed is only counted: one byte, one character.
    let text = body.iter().map(|byte| char::from(byte & 0x7f)).collect();
    Ok((status, kind, text))
}
