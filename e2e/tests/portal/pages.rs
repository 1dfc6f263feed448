//! What users see in a browser.

use anyhow::Context as _;
use api::workspace::Phase;
use api::{Workspace, names};
use e2e::browser::Browser;
use e2e::cluster::{self, Scratch};
use e2e::{
    Environment,
    jupyter::notebook,
    objects::{template, workspace},
    wait,
};
use fantoccini::Locator;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use e2e::portal::{TYPE, address};

/// Names of a start's steps, as the page shows them.
const STEPS: [&str; 6] = [
    "Scheduling",
    "Attaching disk",
    "Pulling image",
    "Starting the application",
    "Waiting for the application",
    "Opening the connection",
];
/// Keeps what the page shows of a start: the name and class of each step, and since when one of them is under way.
const RECORD_STEPS: &str = "
    window.steps = [];
    const look = () => {
        const steps = [...document.querySelectorAll('#progress li')];
        const name = (step) => step.querySelector('span').firstChild.data;
        const since = document.querySelector('#progress .now time')?.dateTime ?? '';
        window.steps.push([steps.map(name), steps.map((step) => step.className), since]);
    };
    new MutationObserver(look).observe(document.querySelector('main'), {childList: true, subtree: true, attributes: true});
";

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
    browser.run(RECORD_STEPS, Vec::new()).await?;
    let image = &Environment::get()?.images.echo;
    let slow = json!([{"name": "slow", "image": image, "command": ["sleep", "5"]}]);
    workspace::set(&alice, "ws", json!({"initContainers": slow})).await?;
    workspace::start(&alice, "ws").await?;
    browser.sees("#head", "Running").await?;
    let pod = workspace::pod(&alice.get("ws").await?)?;
    let pod = scratch.api::<Pod>().get(&pod).await?;
    steps_came_in_order(&browser, &pod).await?;
    workspace::set(&alice, "ws", json!({"initContainers": []})).await?;

    browser.click(&format!("a[href='{at}/stop']")).await?;
    // It has no disk.
    browser.find("#typed").await?;
    browser.run(TYPE, Vec::new()).await?;
    browser
        .click("dialog form button[type=submit], #confirm form button[type=submit]")
        .await?;
    workspace::reached(&alice, "ws", Phase::Stopped).await?;
    browser.sees("#head", "Stopped").await?;
    browser
        .click(&format!("form[action='{at}/start'] button"))
        .await?;
    workspace::reached(&alice, "ws", Phase::Running).await?;
    browser.sees("#head", "Running").await?;
    browser.screenshot("portal-workspace").await?;
    browser.click("#head a[href^='https://ws-']").await?;
    browser.arrived(&workspace::host(&running)?).await?;
    browser.close().await?;
    scratch.finish().await
}

/// What the page showed of a start: names of steps, their classes, and since when one was under way.
type Shown = (Vec<String>, Vec<String>, String);

/// Each step was shown once and in order, became done once, and was under way since a time of the start's own pod. At the end there are
/// no steps.
async fn steps_came_in_order(browser: &Browser, pod: &Pod) -> anyhow::Result<()> {
    let shown = browser.run("return window.steps", Vec::new()).await?;
    let shown: Vec<Shown> = serde_json::from_value(shown)?;
    let last = shown.last().context("the page showed nothing")?;
    anyhow::ensure!(last.0.is_empty(), "steps are left: {last:?}");
    let starting: Vec<_> = shown.iter().filter(|(names, ..)| !names.is_empty()).collect();
    anyhow::ensure!(!starting.is_empty(), "no steps: {shown:?}");
    let places = |class: &str| match class {
        "next" => Ok(0),
        "now" => Ok(1),
        "done" => Ok(2),
        other => Err(anyhow::anyhow!("a step is {other:?}: {shown:?}")),
    };
    let mut before = vec![0; STEPS.len()];
    for (names, classes, _) in &starting {
        anyhow::ensure!(names == &STEPS, "{names:?}");
        let now = classes
            .iter()
            .map(|class| places(class))
            .collect::<anyhow::Result<Vec<_>>>()?;
        anyhow::ensure!(now.is_sorted_by(|a, b| a >= b), "not in order: {classes:?}");
        anyhow::ensure!(
            now.iter().filter(|place| **place == 1).count() <= 1,
            "{classes:?}"
        );
        let goes_on = before.iter().zip(&now).all(|(before, now)| before <= now);
        anyhow::ensure!(goes_on, "a step went back: {shown:?}");
        before = now;
    }
    let created = pod.creation_timestamp().context("no time")?.0;
    let since = starting
        .iter()
        .filter(|(.., since)| !since.is_empty())
        .map(|(.., since)| since.parse())
        .collect::<Result<Vec<jiff::Timestamp>, _>>()?;
    anyhow::ensure!(!since.is_empty(), "no step had a time: {shown:?}");
    anyhow::ensure!(
        since.iter().all(|time| *time >= created),
        "of another pod: {since:?}"
    );
    Ok(())
}

/// A limit beyond the template's is refused at its field, and nothing is created.
async fn a_refusal_stands_at_its_field(
    browser: &Browser,
    namespace: &str,
    template: &str,
) -> anyhow::Result<()> {
    browser
        .page
        .goto(&address(&format!("/new?namespace={namespace}"))?)
        .await?;
    browser
        .click(&format!("main a[href*='template={template}']"))
        .await?;
    browser.sees("main", "The echo server").await?;
    let cpu = browser.find("#f-spec\\.resources\\.limits\\.cpu").await?;
    cpu.send_keys("64").await?;
    browser
        .click("main form[method=post] .actions button[type=submit]")
        .await?;
    // The check while one types says the same. Only the page that answers the form puts the focus there.
    browser.sees("#summary:focus", "at most 1").await?;
    browser.screenshot("portal-new").await
}

/// From a template to a cell that runs in JupyterLab: one click in the portal, and without scripts a second one.
async fn reaches_a_cell(browser: &Browser, namespace: &str, scripts: bool) -> anyhow::Result<()> {
    let without =
        |disabled: bool| browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": disabled}));
    without(!scripts).await?;
    browser
        .page
        .goto(&address(&format!("/new?namespace={namespace}"))?)
        .await?;
    browser
        .find(if scripts { "html.js" } else { "html:not(.js)" })
        .await?;
    browser
        .click(&format!(
            "main .card form:has(input[name=template][value='{namespace}']) button"
        ))
        .await?;
    browser
        .at("the workspace's page", |url| url.path() != "/new")
        .await?;
    if !scripts {
        browser.find("#head").await?;
        let open = "#head a.primary[href^='https://']";
        wait::until_checked_each_second("the workspace to run", wait::USUAL, || async {
            if browser.page.find(Locator::Css(open)).await.is_ok() {
                return Ok(());
            }
            browser.page.refresh().await.map_err(|error| error.to_string())?;
            Err(browser.text().await.map_err(|error| format!("{error:#}"))?)
        })
        .await?;
        // JupyterLab is made of scripts.
        without(false).await?;
        browser.click(open).await?;
    }
    let workspaces: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, namespace);
    let running = wait::until("a workspace to run", wait::USUAL, || async {
        let all = workspaces.list(&ListParams::default()).await;
        let all = all.map_err(|error| error.to_string())?.items;
        let statuses = format!("{:?}", all.iter().map(|it| &it.status).collect::<Vec<_>>());
        let is_running =
            |it: &Workspace| it.status.as_ref().and_then(|status| status.phase) == Some(Phase::Running);
        all.into_iter().find(is_running).ok_or(statuses)
    })
    .await?;
    // The page that shows the start opens the workspace.
    browser.arrived(&workspace::host(&running)?).await?;
    notebook::run_a_cell(browser).await
}

#[tokio::test]
async fn a_first_time_user_is_refused_at_a_field_and_gets_to_a_cell_that_runs_with_and_without_scripts()
-> anyhow::Result<()> {
    let scratch = Scratch::new("portal-first", &["alice"]).await?;
    let image = &Environment::get()?.images.jupyter;
    template::make(&scratch, &json!({"defaultImage": image})).await?;
    let own = &scratch.namespace;
    let (bounded, echo) = (format!("bounded-{own}"), &Environment::get()?.images.echo);
    let spec = json!({
        "defaultImage": echo,
        "resourceBounds": {"cpu": {"min": "10m", "max": "1"}},
        "presentation": {"images": [{"image": echo, "displayName": "The echo server", "icon": "terminal"}]},
    });
    template::make_named(&bounded, &spec).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, own);
    let browser = Browser::start().await?;
    browser
        .sign_in(&address(&format!("/new?namespace={own}"))?, "alice")
        .await?;
    a_refusal_stands_at_its_field(&browser, own, &bounded).await?;
    assert!(
        alice.list(&ListParams::default()).await?.items.is_empty(),
        "nothing was created"
    );
    for (scripts, count) in [(true, 1), (false, 2)] {
        reaches_a_cell(&browser, own, scripts).await?;
        let made = alice.list(&ListParams::default()).await?.items;
        assert_eq!(made.len(), count, "{made:?}");
        assert!(
            made.iter().all(|it| names::owner(&it.metadata) == Some("alice")),
            "{made:?}"
        );
        // A notebook that is open asks before it is left. The second workspace has room.
        let tab = browser.page.new_window(true).await?.handle;
        browser.page.switch_to_window(tab).await?;
        for workspace in made {
            workspace::stop(&alice, &workspace.name_any()).await?;
        }
    }
    browser.close().await?;
    template::forget(&bounded).await?;
    template::finish(scratch).await
}
