//! What people see in a browser.

use api::workspace::Phase;
use api::{Workspace, names};
use e2e::browser::Browser;
use e2e::cluster::{self, Scratch};
use e2e::{Environment, template, wait, workspace};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;

use e2e::portal::{Portal, address};

#[tokio::test]
async fn open_pages_follow_kubectl_and_two_clicks_stop_start_and_open_the_workspace() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-clicks", &["alice"]).await?;
    let running = workspace::running(&scratch, "ws").await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let browser = Browser::start().await?;
    let list = address(&format!("/?namespace={}", scratch.namespace))?;
    browser.sign_in(&list, "alice").await?;
    browser.sees("#rows", "Running").await?;
    workspace::set(&alice, "ws", json!({"displayName": "Renamed by kubectl"})).await?;
    browser.sees("#rows", "Renamed by kubectl").await?;

    let at = format!("/w/{}/ws", scratch.namespace);
    browser.page.goto(&address(&at)?).await?;
    browser.sees("#head", "Running").await?;
    workspace::stop(&alice, "ws").await?;
    browser.sees("#head", "Stopped").await?;
    browser
        .click(&format!("form[action='{at}/start'] button"))
        .await?;
    workspace::reached(&alice, "ws", Phase::Running).await?;
    browser.sees("#head", "Running").await?;
    browser.screenshot("portal-workspace").await?;
    browser.click("#head a[href^='https://ws-']").await?;
    browser.arrived(&workspace::host(&running)?).await?;

    browser.page.goto(&address(&at)?).await?;
    browser.click(&format!("a[href='{at}/stop']")).await?;
    browser
        .click("dialog form button[type=submit], #confirm form button[type=submit]")
        .await?;
    workspace::reached(&alice, "ws", Phase::Stopped).await?;
    browser.sees("#head", "Stopped").await?;
    browser.close().await?;
    scratch.finish().await
}

#[tokio::test]
async fn a_first_time_user_has_a_workspace_in_three_clicks_and_a_refusal_stands_at_its_field()
-> anyhow::Result<()> {
    let scratch = Scratch::bare("portal-new", &["alice"]).await?;
    let image = &Environment::get()?.images.echo;
    let spec = json!({
        "defaultImage": image,
        "resourceBounds": {"cpu": {"min": "10m", "max": "1"}},
        "presentation": {"images": [{"image": image, "displayName": "The echo server", "icon": "terminal"}]},
    });
    template::make(&scratch, &spec).await?;
    let uses = json!([{
        "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspacetemplates"],
        "resourceNames": [scratch.namespace], "verbs": ["use"],
    }]);
    scratch.grant("alice-uses-the-template", "alice", &uses).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let browser = Browser::start().await?;
    browser
        .sign_in(
            &address(&format!("/new?namespace={}", scratch.namespace))?,
            "alice",
        )
        .await?;
    browser
        .click(&format!("main a[href*='template={}']", scratch.namespace))
        .await?;
    browser.sees("main", "The echo server").await?;
    let cpu = browser.find("#f-spec\\.resources\\.limits\\.cpu").await?;
    cpu.send_keys("64").await?;
    browser
        .click("main form[method=post] .actions button[type=submit]")
        .await?;
    browser.sees("#summary", "at most 1").await?;
    assert!(
        alice.list(&ListParams::default()).await?.items.is_empty(),
        "nothing was created"
    );
    let cpu = browser.find("#f-spec\\.resources\\.limits\\.cpu").await?;
    cpu.clear().await?;
    cpu.send_keys("500m").await?;
    browser
        .click("main form[method=post] .actions button[type=submit]")
        .await?;
    browser.sees("#head", "Running").await?;
    let made = alice.list(&ListParams::default()).await?;
    let [made] = &*made.items else {
        anyhow::bail!("{:?}", made.items);
    };
    assert_eq!(names::owner(&made.metadata), Some("alice"));
    browser.screenshot("portal-new").await?;
    browser.click("#head a[href^='https://']").await?;
    browser.arrived(&workspace::host(made)?).await?;
    browser.close().await?;
    template::finish(scratch).await
}

#[tokio::test]
async fn templates_of_others_are_neither_offered_nor_taken() -> anyhow::Result<()> {
    let scratch = Scratch::bare("portal-templates", &["alice"]).await?;
    let image = &Environment::get()?.images.echo;
    template::make(&scratch, &json!({"defaultImage": image})).await?;
    let alice = Portal::enter("alice").await?;
    let new = alice
        .json(&format!("/new?namespace={}", scratch.namespace))
        .await?
        .to_string();
    assert!(!new.contains(&format!("template={}", scratch.namespace)), "{new}");
    let workspaces: Api<Workspace> = scratch.api();
    let at = format!("/new?namespace={0}&template={0}", scratch.namespace);
    let forced = alice
        .post(
            &at,
            &[("metadata.name", "forced"), ("spec.displayName", "forced")],
        )
        .await?;
    assert!(!forced.status().is_redirection(), "{}", forced.status());
    assert!(workspaces.list(&ListParams::default()).await?.items.is_empty());
    template::finish(scratch).await
}

#[tokio::test]
async fn a_start_that_cannot_go_on_names_its_step_its_cause_and_what_its_pod_says() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-stuck", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let image = "localhost/no-such-image:1";
    let new = workspace::of_image("ws", image);
    alice.create(&PostParams::default(), &new).await?;
    let portal = Portal::enter("alice").await?;
    let at = format!("/w/{}/ws", scratch.namespace);
    let shown = wait::until("the page to name the cause", wait::USUAL, || async {
        let page = portal.json(&at).await.map_err(|error| format!("{error:#}"))?;
        let finding = &page["explanation"]["findings"][0];
        let is_named = finding["reason"] == "ImagePullFailed";
        let events = page["events"]["events"].to_string();
        if is_named && events.contains("no-such-image") {
            Ok(page)
        } else {
            Err(page.to_string())
        }
    })
    .await?;
    let steps = shown["progress"]["steps"].as_array().cloned().unwrap_or_default();
    let steps: Vec<_> = steps
        .iter()
        .map(|step| {
            (
                step["what"].as_str().unwrap_or_default(),
                step["state"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(
        steps[..4],
        [
            ("Scheduling", "done"),
            ("Attaching disk", "done"),
            ("Pulling image", "stuck"),
            ("Starting JupyterLab", "next"),
        ]
    );
    let finding = &shown["explanation"]["findings"][0];
    assert!(
        finding["what"].as_str().is_some_and(|what| what.contains(image)),
        "{finding}"
    );
    assert!(
        !finding["cures"].as_array().is_none_or(Vec::is_empty),
        "{finding}"
    );
    let of_pod = shown["events"]["events"].as_array().cloned().unwrap_or_default();
    let of_pod = of_pod.iter().find(|event| {
        event["object"]
            .as_str()
            .is_some_and(|object| object.starts_with("Pod workspace-ws-"))
    });
    assert!(of_pod.is_some(), "{}", shown["events"]);
    // It goes on, and the page follows.
    let browser = Browser::start().await?;
    browser.sign_in(&address(&at)?, "alice").await?;
    browser.sees("#progress .stuck", "Pulling image").await?;
    let echo = &Environment::get()?.images.echo;
    workspace::set(&alice, "ws", json!({"image": echo})).await?;
    browser.sees("#head", "Running").await?;
    assert!(!browser.find("#events").await?.text().await?.is_empty());
    let left = browser
        .run(
            "return [...document.querySelectorAll('#progress li, #explanation .bad')].length",
            Vec::new(),
        )
        .await?;
    assert_eq!(left, 0);
    browser.close().await?;
    scratch.finish().await
}
