//! A session or a run ends, or soon will, while JupyterLab is open: the page says so, and loses nothing.

use api::{Workspace, WorkspaceSpec};
use e2e::{
    Environment,
    browser::Browser,
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use fantoccini::{Locator, key::Key, wd::WindowHandle};
use kube::Api;
use serde_json::json;

const LINE: &str = "#jupyter-k8s-sign-in-again";
/// All notifications.
const NOTIFICATION: &str = ".Toastify__toast-container";
const EDITOR: &str = ".jp-FileEditor .cm-content";
const TEXT: &str = "text that is not saved";
const MORE: &str = "written while it was stopped";

async fn save(browser: &Browser) -> anyhow::Result<()> {
    let keys = format!("{}s{}", char::from(Key::Control), char::from(Key::Null));
    Ok(browser.find(EDITOR).await?.send_keys(&keys).await?)
}

/// Closes JupyterLab's own dialogs about what it could not reach.
async fn dismiss(browser: &Browser) -> anyhow::Result<()> {
    while let Ok(button) = browser.page.find(Locator::Css(".jp-Dialog-footer button")).await {
        // It may have gone by itself.
        let _ = button.click().await;
    }
    Ok(())
}

/// Waits until the page has nothing to say any more.
async fn silent(browser: &Browser) -> anyhow::Result<()> {
    wait::until("the line to go", wait::USUAL, || async {
        match browser.page.find(Locator::Css(LINE)).await {
            Err(_) => Ok(()),
            Ok(there) => Err(there.text().await.unwrap_or_default()),
        }
    })
    .await
}

/// JupyterLab that stops nine minutes after its start, and is asked about its use once a minute.
fn limited() -> anyhow::Result<Workspace> {
    let spec = WorkspaceSpec {
        display_name: "lab".to_owned(),
        idle_shutdown: serde_json::from_value(json!({"idleTimeoutInMinutes": 10}))?,
        limits: serde_json::from_value(json!({"maxAgeMinutes": 9}))?,
        ..WorkspaceSpec::default()
    };
    Ok(Workspace::new("lab", spec))
}

/// The tab that a click has opened.
async fn opened(browser: &Browser, before: &[WindowHandle]) -> anyhow::Result<WindowHandle> {
    wait::until("a link to open a tab", wait::USUAL, || async {
        let now = browser.page.windows().await.map_err(|error| error.to_string())?;
        let mut opened = now.into_iter().filter(|one| !before.contains(one));
        opened.next().ok_or_else(|| "no tab yet".to_owned())
    })
    .await
}

/// The page says when the workspace will stop, and its button opens the workspace's page in the portal.
async fn tells_of_the_stop(browser: &Browser) -> anyhow::Result<()> {
    browser.sees(NOTIFICATION, "This workspace stops at").await?;
    browser.sees(NOTIFICATION, "it reaches its maximum age").await?;
    let (open, before) = (browser.page.window().await?, browser.page.windows().await?);
    browser.click(&format!("{NOTIFICATION} .jp-toast-button")).await?;
    let tab = opened(browser, &before).await?;
    browser.page.switch_to_window(tab).await?;
    let portal = Environment::get()?.portal_host();
    browser
        .at("the workspace in the portal", |url| {
            url.host_str() == Some(&*portal) && url.path().starts_with("/w/") && url.path().ends_with("/lab")
        })
        .await?;
    browser.page.close_window().await?;
    Ok(browser.page.switch_to_window(open).await?)
}

/// A process of her workspace has run out of memory: the page says so. Alice types into a file, signs out in another tab, and saves: the page
/// asks her to sign in again, keeps her text, and saves it when she has. It says when her workspace will stop. Then she stops and starts it:
/// the page says so, keeps what she goes on typing, and saves it.
#[tokio::test]
async fn unsaved_text_can_be_saved_after_signing_in_again() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let scratch = Scratch::new("again", &["alice"]).await?;
    let lab = Box::pin(workspace::made(&scratch, &limited()?)).await?;
    let (url, host) = (workspace::url(&lab)?, workspace::host(&lab)?);
    let pod = workspace::pod(&lab)?;
    let file = async |script: &str| cluster::exec(&scratch.api(), &pod, &["sh", "-c", script]).await;
    file("echo begin > /home/jovyan/note.txt").await?;

    workspace::run_out_of_memory(&scratch, &pod).await?;
    let browser = Browser::start().await?;
    // Her clock is 20 minutes ahead: the page goes by the server's.
    let ahead = "const own = Date.now; Date.now = () => own() + 20 * 60 * 1000;";
    browser
        .devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": ahead}))
        .await?;
    browser
        .sign_in(&format!("{url}lab/tree/note.txt"), "alice")
        .await?;
    browser.arrived(&host).await?;
    browser.sees(EDITOR, "begin").await?;
    browser
        .sees(NOTIFICATION, "was ended, because memory ran out: the limit is")
        .await?;
    assert!(
        browser.page.find(Locator::Css(LINE)).await.is_err(),
        "there is nothing to say yet"
    );
    browser.find(EDITOR).await?.send_keys(TEXT).await?;
    browser.sees(EDITOR, TEXT).await?;

    let open = browser.page.window().await?;
    let other = browser.page.new_window(true).await?.handle;
    browser.page.switch_to_window(other).await?;
    let auth = environment.auth_host();
    browser
        .page
        .goto(&format!("{}/", environment.origin(&auth)))
        .await?;
    browser.sees("h1", "You are signed in").await?;
    browser.click("form button").await?;
    browser.sees("h1", "You are signed out").await?;
    browser.page.switch_to_window(open.clone()).await?;

    save(&browser).await?;
    browser.sees(LINE, "You are signed out.").await?;
    browser.screenshot("sign-in-again").await?;
    // JupyterLab's own word about the failed save.
    browser.click(".jp-Dialog-footer button").await?;
    browser.sees(EDITOR, TEXT).await?;
    assert!(!file("cat /home/jovyan/note.txt").await?.contains(TEXT));

    let link = browser.find(&format!("{LINE} a")).await?;
    let href = link.prop("href").await?.unwrap_or_default();
    let before = browser.page.windows().await?;
    link.click().await?;
    let tab = opened(&browser, &before).await?;
    browser.page.switch_to_window(tab).await?;
    // The tab closes itself afterwards, where the browser lets it.
    browser.sign_in(&href, "alice").await?;

    browser.page.switch_to_window(open).await?;
    silent(&browser).await?;
    browser.sees(EDITOR, TEXT).await?;
    save(&browser).await?;
    let saved = async |workspace: &Workspace, text: &'static str| {
        let pod = workspace::pod(workspace)?;
        wait::until("the text to be in the file", wait::USUAL, || async {
            let script = ["cat", "/home/jovyan/note.txt"];
            let there = cluster::exec(&scratch.api(), &pod, &script).await;
            let there = there.map_err(|error| error.to_string())?;
            if there.contains(text) { Ok(()) } else { Err(there) }
        })
        .await
    };
    saved(&lab, TEXT).await?;
    tells_of_the_stop(&browser).await?;
    let lifted = json!({"limits": {"maxAgeMinutes": null}});
    workspace::set(&scratch.api(), "lab", lifted).await?;

    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    workspace::stop(&alice, "lab").await?;
    browser.sees(LINE, "lab is stopped.").await?;
    browser.screenshot("stopped-under-an-open-page").await?;
    dismiss(&browser).await?;
    browser.find(EDITOR).await?.send_keys(MORE).await?;
    browser.sees(EDITOR, MORE).await?;
    let again = workspace::start(&alice, "lab").await?;
    silent(&browser).await?;
    dismiss(&browser).await?;
    save(&browser).await?;
    saved(&again, MORE).await?;
    browser.close().await?;
    scratch.finish().await
}
