//! A person with a browser.

use api::workspace::Phase;
use e2e::{
    Environment,
    browser::Browser,
    cluster::{self, Scratch},
    command,
    http::HttpSession,
    notebook, workspace,
};
use serde_json::json;

/// Alice opens her workspace's URL, is sent to the identity provider, signs in, lands in JupyterLab and computes `6*7` in a
/// kernel over the websocket.
#[tokio::test]
async fn alice_signs_in_and_runs_a_cell_in_jupyterlab() -> anyhow::Result<()> {
    let scratch = Scratch::new("browser", &["alice"]).await?;
    let namespace = scratch.namespace.as_str();
    let created = command::kubectl(
        "alice",
        &[
            "create",
            "workspace",
            "lab",
            "-n",
            namespace,
            "--image",
            "uv",
            "--wait",
        ],
    )
    .await?;
    assert_eq!(created.code, 0, "{created:?}");
    let workspaces = scratch.api();
    let lab = workspace::reached(&workspaces, "lab", Phase::Running).await?;
    let browser = Browser::start().await?;
    browser.enter(&lab, "alice").await?;
    notebook::run_a_cell(&browser).await?;
    browser.screenshot("alice-runs-a-cell").await?;
    browser.close().await?;
    scratch.finish().await
}

/// A page in one workspace, opened in alice's own browser with her ticket for another one, gets nothing from the other one:
/// the two are the same site, so `SameSite` cookies are sent, and only the gateway's rule stands between them.
#[tokio::test]
async fn a_page_in_one_workspace_cannot_reach_another_with_her_ticket() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let scratch = Scratch::new("origins", &["alice"]).await?;
    let victim = workspace::running(&scratch, "victim").await?;
    let hostile = workspace::running(&scratch, "hostile").await?;
    let (victim_url, hostile_url) = (workspace::url(&victim)?, workspace::url(&hostile)?);

    let browser = Browser::start().await?;
    browser.enter(&victim, "alice").await?;
    browser.sees("body", "\"path\"").await?;
    let headers = browser.text().await?.to_lowercase();
    assert!(
        !headers.contains("code=") && !headers.contains("__host-"),
        "{headers}"
    );
    // The control: the victim's own page reaches it with the ticket.
    let own = fetch(&browser, &format!("{victim_url}own-page"), "cors").await?;
    assert_eq!(
        own,
        json!({"status": 200}),
        "the ticket works from the workspace's own page"
    );

    browser.visit(&hostile).await?;
    assert!(hostile_url.ends_with(&format!(":{}/", environment.port)));
    for mode in ["cors", "no-cors"] {
        let answer = fetch(&browser, &format!("{victim_url}stolen-{mode}"), mode).await?;
        assert!(
            answer.get("status").is_none_or(|status| status == 0),
            "{mode}: {answer}"
        );
    }
    let socket = format!("{}ws?stolen-socket", victim_url.replacen("https", "wss", 1));
    let script = "const done = arguments[1]; const s = new WebSocket(arguments[0]); \
                  s.onopen = () => done('open'); s.onerror = () => done('refused');";
    let answer = browser.page.execute_async(script, vec![socket.into()]).await?;
    assert_eq!(answer, json!("refused"));

    // What reached the victim's pod is the proof: its own page's request did, none of the hostile page's did.
    let seen = workspace::asked(&scratch, &victim).await?;
    assert!(seen.contains("own-page"), "{seen}");
    assert!(!seen.contains("stolen"), "{seen}");
    browser.close().await?;
    scratch.finish().await
}

/// Bob opens alice's URL and is refused, with nothing that tells him what is there.
#[tokio::test]
async fn bob_is_refused_in_the_browser() -> anyhow::Result<()> {
    let scratch = Scratch::new("denied", &["alice"]).await?;
    let alice = kube::Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    alice
        .create(
            &kube::api::PostParams::default(),
            &workspace::echo("private-notes")?,
        )
        .await?;
    let private = workspace::reached(&alice, "private-notes", Phase::Running).await?;
    HttpSession::new()?
        .enter(&workspace::url(&private)?, "alice")
        .await?;

    let browser = Browser::start().await?;
    browser.sign_in(&workspace::url(&private)?, "bob").await?;
    browser.arrived(&Environment::get()?.auth_host()).await?;
    let text = browser.text().await?;
    assert!(
        !text.contains("private-notes") && !text.contains("alice") && !text.contains("\"path\""),
        "{text}"
    );
    browser.screenshot("bob-is-refused").await?;
    browser.close().await?;
    scratch.finish().await
}

/// Runs `fetch` in the page with cookies; `{"status": n}`, or `{"error": …}` when the browser gives the script nothing.
async fn fetch(browser: &Browser, url: &str, mode: &str) -> anyhow::Result<serde_json::Value> {
    let script = "const done = arguments[2]; fetch(arguments[0], {mode: arguments[1], credentials: 'include'}) \
                  .then(r => done({status: r.status}), e => done({error: String(e)}));";
    Ok(browser
        .page
        .execute_async(script, vec![url.into(), mode.into()])
        .await?)
}
