//! What a user sees while a workspace starts, or cannot start.

use anyhow::Context as _;
use api::condition::reason;
use api::workspace::{DesiredStatus, Phase};
use e2e::{
    Environment,
    browser::Browser,
    cluster::{self, Scratch},
    http::HttpSession,
    objects::workspace,
    wait,
};
use kube::{Api, ResourceExt as _, api::PostParams};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// The events of a start, requested as by the workspace's own page, until they end: name and data of each.
async fn stream(session: &HttpSession, url: &str) -> anyhow::Result<Vec<(String, Value)>> {
    let answer = session
        .request(Method::GET, &format!("{url}_workspace/progress"))
        .header("Sec-Fetch-Site", "same-origin")
        .header("Sec-Fetch-Mode", "cors")
        .header("Sec-Fetch-Dest", "empty")
        .send()
        .await?;
    anyhow::ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    let text = answer.text().await?;
    let event = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        Some((
            field("event: ")?.to_owned(),
            serde_json::from_str(field("data: ")?).ok()?,
        ))
    };
    Ok(text.split("\n\n").filter_map(event).collect())
}

/// The same, once it no longer reports the previous stop.
async fn stream_of_start(session: &HttpSession, url: &str) -> anyhow::Result<Vec<(String, Value)>> {
    wait::until("the events of the start", wait::USUAL, || async {
        let events = stream(session, url).await.map_err(|error| format!("{error:#}"))?;
        if events.first().is_some_and(|(event, _)| event != "stopped") {
            Ok(events)
        } else {
            Err(format!("{events:?}"))
        }
    })
    .await
}

/// Checks that the events of a start are in order, from the first to the last. Returns the last one.
fn states_in_order(events: &[(String, Value)]) -> anyhow::Result<&(String, Value)> {
    let (last, way) = events.split_last().context("no event")?;
    assert!(
        !way.is_empty() && way.iter().all(|(event, _)| event == "progress"),
        "{events:?}"
    );
    let percents: Vec<_> = events
        .iter()
        .filter_map(|(_, data)| data["percent"].as_u64())
        .collect();
    assert!(
        percents.len() == events.len() && percents.is_sorted(),
        "{events:?}"
    );
    Ok(last)
}

/// A stopped workspace of alice's with the image `image`, and her session, which has seen the stop.
async fn stopped(scratch: &Scratch, image: &str) -> anyhow::Result<(api::Workspace, HttpSession)> {
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut wanted = workspace::of_image("ws", image);
    wanted.spec.desired_status = DesiredStatus::Stopped;
    alice.create(&PostParams::default(), &wanted).await?;
    let stopped = workspace::reached(&alice, "ws", Phase::Stopped).await?;
    let url = workspace::url(&stopped)?;
    let session = HttpSession::new()?;
    session.sign_in(&url, "alice").await?;
    let before = stream(&session, &url).await?;
    assert!(
        matches!(before.as_slice(), [(event, _)] if event == "stopped"),
        "{before:?}"
    );
    Ok((stopped, session))
}

/// Alice's workspace names an image that is nowhere. Its page says so, with the message and the step at which it stands; when she has
/// corrected the image, the page becomes the workspace without her doing.
#[tokio::test]
async fn a_blocked_start_is_streamed_shows_the_reason_and_opens_when_it_is_solved() -> anyhow::Result<()> {
    let scratch = Scratch::new("progress", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let absent = "registry.invalid/nothing/there:v9";
    let (blocked, session) = stopped(&scratch, absent).await?;
    workspace::set(&alice, "ws", json!({"desiredStatus": DesiredStatus::Running})).await?;
    let events = stream_of_start(&session, &workspace::url(&blocked)?).await?;
    let (end, data) = states_in_order(&events)?;
    assert_eq!(end, "failed", "{events:?}");
    assert_eq!(data["reason"], reason::IMAGE_PULL_FAILED);

    let browser = Browser::start().await?;
    browser.enter(&blocked, "alice").await?;
    browser.sees("#cause", reason::IMAGE_PULL_FAILED).await?;
    browser.sees("#message", absent).await?;
    browser.sees("li.stuck", "Pulling image").await?;
    browser.screenshot("a-start-that-does-not-get-on").await?;

    let image = &Environment::get()?.images.echo;
    workspace::set(&alice, "ws", json!({"image": image})).await?;
    browser.sees("body", "\"path\"").await?;
    workspace::reached(&alice, "ws", Phase::Running).await?;
    browser.close().await?;
    scratch.finish().await
}

/// Alice's stopped workspace: its page leads her to the portal, which starts it as her and leads back to it.
#[tokio::test]
async fn the_page_of_a_stopped_workspace_leads_its_owner_by_the_portal_into_it_and_the_start_is_streamed()
-> anyhow::Result<()> {
    let scratch = Scratch::new("button", &["alice"]).await?;
    let (stopped, session) = stopped(&scratch, &Environment::get()?.images.echo).await?;
    let url = workspace::url(&stopped)?;
    let browser = Browser::start().await?;
    browser.enter(&stopped, "alice").await?;
    browser.sees("h1", "ws is stopped").await?;
    let at = format!("/w/{}/ws", scratch.namespace);
    browser.click(&format!("a.button[href$='{at}']")).await?;
    browser.arrived(&Environment::get()?.portal_host()).await?;
    let start = format!("form[action='{at}/start'] button");
    let (events, ()) = futures::try_join!(stream_of_start(&session, &url), browser.click(&start))?;
    let (end, data) = states_in_order(&events)?;
    assert_eq!(end, "ready", "{events:?}");
    assert_eq!(data["percent"], 100);
    browser.sees("#head", "Running").await?;
    browser.click("#head a[href^='https://ws-']").await?;
    browser.arrived(&workspace::host(&stopped)?).await?;
    browser.sees("body", "\"path\"").await?;
    browser.screenshot("started-in-the-portal").await?;
    let started = scratch.api::<api::Workspace>().get("ws").await?;
    assert!(!started.annotations().contains_key(api::names::STARTED_BY));
    browser.close().await?;
    scratch.finish().await
}
