//! Click in the portal -> the first cell's result, in a browser (IO).
//!
//! It uses the helpers of the end-to-end tests, and their installation: that of `JUPYTER_K8S_E2E`.

use std::time::{Duration, Instant};

use api::Workspace;
use api::workspace::Phase;
use e2e::browser::Browser;
use e2e::cluster::{self, Scratch};
use e2e::objects::{template, workspace};
use e2e::{Environment, portal, wait};
use fantoccini::{Locator, key::Key};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::load::percentile;
use crate::page::{Figure, Target};

/// Clicks of each kind in a round.
const CLICKS: usize = 5;
/// Pause between two looks at the page.
const PAUSE: Duration = Duration::from_millis(20);
/// The code of the only cell.
const CODE: &str = ".jp-Notebook .jp-Cell .cm-content";

/// Seconds from the click to each of [`Moments::NAMES`], one entry for each click.
#[derive(Default)]
struct Moments([Vec<f64>; 4]);

impl Moments {
    const NAMES: [&str; 4] = [
        "JupyterLab's page opens",
        "it can be used",
        "its kernel is there",
        "the cell's result",
    ];

    fn add(&mut self, moments: [f64; 4]) {
        for (all, moment) in self.0.iter_mut().zip(moments) {
            all.push(moment);
        }
    }

    fn figures(mut self, kind: &str, most: f64) -> Vec<Figure> {
        let mut figure = |moment: usize, percent| {
            let name = format!("{kind}, {}: p{percent}, s", Self::NAMES[moment]);
            Figure::alone(name, percentile(&mut self.0[moment], percent))
        };
        let [page, usable, kernel, result, slowest] =
            [(0, 50), (1, 50), (2, 50), (3, 50), (3, 95)].map(|(moment, percent)| figure(moment, percent));
        vec![page, usable, kernel, result.within(Target::AtMost(most)), slowest]
    }
}

/// From **Create** (a workspace with a new disk) and from **Start** (of a stopped one) to the first cell's result.
pub(crate) async fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let scratch = Scratch::new("bench-click", &["alice"]).await?;
    let image = &Environment::get()?.images.jupyter;
    let disk = json!({"defaultSize": "64Mi"});
    template::make(&scratch, &json!({"defaultImage": image, "primaryStorage": disk})).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let browser = Browser::start().await?;
    browser.sign_in(&portal::address("/")?, "alice").await?;
    let [mut new, mut resumed] = [Moments::default(), Moments::default()];
    // The first one is a warm-up.
    for number in 0..=rounds * CLICKS {
        let [create, start] = one(&browser, &scratch.namespace, &alice).await?;
        eprintln!("click {number}: create {create:.1?} s, start {start:.1?} s");
        if number > 0 {
            new.add(create);
            resumed.add(start);
        }
    }
    browser.close().await?;
    template::finish(scratch).await?;
    let mut figures = new.figures("Create", 3.5);
    figures.extend(resumed.figures("Start", 3.0));
    Ok(figures)
}

/// Creates a workspace, stops it, starts it and deletes it.
async fn one(browser: &Browser, namespace: &str, alice: &Api<Workspace>) -> anyhow::Result<[[f64; 4]; 2]> {
    let create = format!("main .card form:has(input[name=template][value='{namespace}']) button");
    browser
        .page
        .goto(&portal::address(&format!("/new?namespace={namespace}"))?)
        .await?;
    let new = clicked(browser, &create, None, ("42", "42")).await?;
    let all = alice.list(&ListParams::default()).await?.items;
    let [workspace] = &all[..] else {
        anyhow::bail!("{} workspaces in place of one", all.len());
    };
    let name = workspace.name_any();
    leave(browser).await?;
    workspace::stop(alice, &name).await?;
    workspace::reached(alice, &name, Phase::Stopped).await?;
    let path = format!("/w/{namespace}/{name}");
    browser.page.goto(&portal::address(&path)?).await?;
    let start = format!("form[action='{path}/start'] button");
    let open = format!("#head a[href^='{}']", workspace::url(workspace)?);
    let resumed = clicked(browser, &start, Some(&open), ("+1", "43")).await?;
    leave(browser).await?;
    workspace::delete(alice, &name).await?;
    Ok([new, resumed])
}

/// Goes on in another tab: a notebook that is open asks before it is left.
async fn leave(browser: &Browser) -> anyhow::Result<()> {
    let tab = browser.page.new_window(true).await?.handle;
    browser.page.close_window().await?;
    Ok(browser.page.switch_to_window(tab).await?)
}

/// Seconds from the click until each moment. `open`: what is clicked once the workspace runs, where its page does not open by itself.
async fn clicked(
    browser: &Browser,
    button: &str,
    open: Option<&str>,
    (code, result): (&str, &str),
) -> anyhow::Result<[f64; 4]> {
    shown(browser, button, "").await?;
    let begin = Instant::now();
    let since = || begin.elapsed().as_secs_f64();
    browser.page.find(Locator::Css(button)).await?.click().await?;
    if let Some(open) = open {
        shown(browser, open, "").await?;
        browser.page.find(Locator::Css(open)).await?.click().await?;
    }
    shown(browser, "#jupyterlab-splash, .jp-LabShell", "").await?;
    let page = since();
    let card = ".jp-LauncherCard[data-category='Notebook']";
    shown(browser, &format!("{card}, {CODE}"), "").await?;
    let usable = since();
    if let Ok(card) = browser.page.find(Locator::Css(card)).await {
        card.click().await?;
    }
    // Cells that are run before the kernel is connected are not run at all.
    shown(browser, "#jp-main-statusbar", "| Idle").await?;
    shown(browser, CODE, "").await?;
    let kernel = since();
    let cell = browser.page.find(Locator::Css(CODE)).await?;
    cell.click().await?;
    // A notebook that was open before is open again, with what was typed there.
    let [end, shift, enter] = [Key::End, Key::Shift, Key::Enter].map(char::from);
    cell.send_keys(&format!("{end}{code}{shift}{enter}")).await?;
    shown(browser, ".jp-OutputArea-output pre", result).await?;
    let took = since();
    // A notebook that is not saved asks for its kernel again.
    let control = char::from(Key::Control);
    cell.send_keys(&format!("{control}s")).await?;
    // A new notebook is asked for its name, and is not saved before.
    if open.is_none() {
        let rename = ".jp-Dialog button.jp-mod-accept";
        shown(browser, rename, "Rename").await?;
        browser.page.find(Locator::Css(rename)).await?.click().await?;
    }
    shown(browser, "#jp-main-statusbar", "Saving completed").await?;
    Ok([page, usable, kernel, took])
}

/// Waits until an element holds a text.
async fn shown(browser: &Browser, css: &str, text: &str) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        if let Ok(element) = browser.page.find(Locator::Css(css)).await
            && element.text().await.is_ok_and(|shown| shown.contains(text))
        {
            return Ok(());
        }
        if begin.elapsed() > wait::USUAL {
            browser.screenshot("bench-click").await?;
            anyhow::bail!("{css} does not hold {text:?}: {}", browser.text().await?);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
