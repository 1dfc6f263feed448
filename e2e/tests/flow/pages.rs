//! What a person sees while a workspace is on its way, or cannot be.

use anyhow::Context as _;
use api::condition::reason;
use api::workspace::{DesiredStatus, Phase};
use e2e::{
    Environment,
    browser::Browser,
    cluster::{self, Scratch},
    http::HttpSession,
    wait, workspace,
};
use kube::{Api, ResourceExt as _, api::PostParams};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Alice's workspace names an image that is nowhere. Its page says so, with the message and the step at which it stands; when she has
/// corrected the image, the page becomes the workspace without her doing.
#[tokio::test]
async fn a_blocked_start_shows_the_reason_and_opens_when_it_is_solved() -> anyhow::Result<()> {
    let scratch = Scratch::new("progress", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let wanted = workspace::of_image("absent", "registry.invalid/nothing/there:v9");
    alice.create(&PostParams::default(), &wanted).await?;
    let stuck = wait::until("the image to be missed", wait::USUAL, || async {
        let workspace = alice.get("absent").await.map_err(|error| error.to_string())?;
        let status = workspace.status.clone().unwrap_or_default();
        let is_reported = status.reason.as_deref() == Some(reason::IMAGE_PULL_FAILED) && status.url.is_some();
        if is_reported {
            Ok(workspace)
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await?;
    let browser = Browser::start().await?;
    browser.enter(&stuck, "alice").await?;
    browser.sees("#cause", reason::IMAGE_PULL_FAILED).await?;
    browser
        .sees("#message", "registry.invalid/nothing/there:v9")
        .await?;
    browser.sees("li.stuck", "Pulling image").await?;
    browser.screenshot("a-start-that-does-not-get-on").await?;

    let image = &Environment::get()?.images.echo;
    workspace::set(&alice, "absent", json!({"image": image})).await?;
    browser.sees("body", "\"path\"").await?;
    workspace::reached(&alice, "absent", Phase::Running).await?;
    browser.close().await?;
    scratch.finish().await
}

/// The events that a start is told by, as the workspace's own page asks for them, until they end: name and data of each.
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

/// The same, once it does not tell any more of the stop before.
async fn stream_of_start(session: &HttpSession, url: &str) -> anyhow::Result<Vec<(String, Value)>> {
    wait::until("the start to be told", wait::USUAL, || async {
        let events = stream(session, url).await.map_err(|error| format!("{error:#}"))?;
        if events.first().is_some_and(|(event, _)| event != "stopped") {
            Ok(events)
        } else {
            Err(format!("{events:?}"))
        }
    })
    .await
}

#[tokio::test]
async fn a_start_is_streamed_in_order_until_it_is_ready_or_fails() -> anyhow::Result<()> {
    let scratch = Scratch::new("stream", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let session = HttpSession::new()?;
    for (mut wanted, end) in [
        (workspace::echo("good")?, "ready"),
        (
            workspace::of_image("absent", "registry.invalid/nothing/there:v9"),
            "failed",
        ),
    ] {
        let name = wanted.name_any();
        wanted.spec.desired_status = DesiredStatus::Stopped;
        alice.create(&PostParams::default(), &wanted).await?;
        let url = workspace::url(&workspace::reached(&alice, &name, Phase::Stopped).await?)?;
        session.sign_in(&url, "alice").await?;
        let before = stream(&session, &url).await?;
        assert!(
            matches!(before.as_slice(), [(event, _)] if event == "stopped"),
            "{before:?}"
        );
        workspace::set(&alice, &name, json!({"desiredStatus": DesiredStatus::Running})).await?;
        let events = stream_of_start(&session, &url).await?;
        let (last, way) = events.split_last().context("nothing was told")?;
        assert_eq!(last.0, end, "{events:?}");
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
        if end == "ready" {
            assert_eq!(percents.last(), Some(&100));
        } else {
            assert_eq!(last.1["reason"], reason::IMAGE_PULL_FAILED);
        }
    }
    scratch.finish().await
}

/// A stopped JupyterLab: two clicks, and she is in it without loading a page by hand.
#[tokio::test]
async fn the_button_of_a_stopped_workspace_ends_in_jupyterlab() -> anyhow::Result<()> {
    let scratch = Scratch::new("button", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut wanted = workspace::of_image("lab", "uv");
    wanted.spec.desired_status = DesiredStatus::Stopped;
    alice.create(&PostParams::default(), &wanted).await?;
    let stopped = workspace::reached(&alice, "lab", Phase::Stopped).await?;
    let browser = Browser::start().await?;
    browser.enter(&stopped, "alice").await?;
    browser.sees("h1", "lab is stopped").await?;
    browser.click("form button").await?;
    browser.arrived(&Environment::get()?.auth_host()).await?;
    browser.sees("body", "You are signed in as alice").await?;
    browser.click("form[method=post] button").await?;
    browser.arrived(&workspace::host(&stopped)?).await?;
    browser.find(".jp-LauncherCard[data-category='Notebook']").await?;
    browser.screenshot("started-by-the-button").await?;
    browser.close().await?;
    scratch.finish().await
}
