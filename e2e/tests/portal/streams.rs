//! The stream of an open page: it ends while the tab is hidden, and one that ended is replaced.

use api::Workspace;
use e2e::browser::Browser;
use e2e::cluster::Scratch;
use e2e::portal::{Portal, address};
use e2e::{objects::workspace, wait};
use kube::Api;
use serde_json::{Value, json};

/// Counts how often the streams of a page are opened.
const COUNT: &str = "{
    const Source = EventSource;
    window.opened = 0;
    window.EventSource = class extends Source {
        constructor(...given) {
            super(...given);
            this.addEventListener('open', () => window.opened++);
        }
    };
}";
/// Notes whether the tab is hidden when the list changes, and which warnings are shown meanwhile.
const WATCH: &str = "
    [window.changed, window.warned, window.was_hidden] = [[], [], false];
    document.addEventListener('visibilitychange', () => window.was_hidden ||= document.hidden);
    const rows = new MutationObserver(() => window.changed.push([document.hidden, document.getElementById('rows').textContent]));
    rows.observe(document.querySelector('main'), {subtree: true, childList: true, characterData: true});
    for (const id of ['still', 'stale', 'gone', 'ended']) {
        const note = document.getElementById(id);
        const shown = new MutationObserver(() => note.hidden || window.warned.push(id));
        shown.observe(note, {attributes: true});
    }
";
/// The states of the tab in which the list changed to hold the text, the warnings, and whether the tab was ever hidden.
const WATCHED: &str = "
    const changes = window.changed.filter(([, text]) => text.includes(arguments[0]));
    return [changes.map(([hidden]) => hidden), window.warned, window.was_hidden];
";

/// Changes the display name, and waits until a page that is asked for now shows it.
async fn rename(scratch: &Scratch, text: &str) -> anyhow::Result<()> {
    let workspaces: Api<Workspace> = scratch.api();
    workspace::set(&workspaces, "ws", json!({"displayName": text})).await?;
    let (portal, path) = (
        Portal::enter("alice").await?,
        format!("/w/{}/ws", scratch.namespace),
    );
    wait::until("the portal to know the name", wait::USUAL, || async {
        let (_, page) = portal.open(&path).await.map_err(|error| format!("{error:#}"))?;
        page.contains(text).then_some(()).ok_or(page)
    })
    .await
}

#[tokio::test]
async fn an_open_list_gets_no_changes_while_hidden_or_without_network_and_is_current_again()
-> anyhow::Result<()> {
    let scratch = Scratch::new("portal-streams", &["alice"]).await?;
    workspace::stopped(&scratch, "alice", "ws").await?;
    let browser = Browser::start().await?;
    let list = address(&format!("/?namespace={}", scratch.namespace))?;
    let count = json!({"source": COUNT});
    browser
        .devtools("Page.addScriptToEvaluateOnNewDocument", count)
        .await?;
    browser.sign_in(&list, "alice").await?;
    browser
        .sees("#rows", &format!("{}/ws", scratch.namespace))
        .await?;
    browser.run(WATCH, Vec::new()).await?;
    a_stream_that_ends_is_followed_by_the_next_without_a_warning(&scratch, &browser).await?;
    a_hidden_tab_gets_no_changes_and_is_current_when_it_is_shown(&scratch, &browser, &list).await?;
    without_network_it_says_so_when_its_clock_has_passed_the_stream_s_end_and_recovers(&scratch, &browser)
        .await?;
    browser.close().await?;
    scratch.finish().await
}

async fn a_stream_that_ends_is_followed_by_the_next_without_a_warning(
    scratch: &Scratch,
    browser: &Browser,
) -> anyhow::Result<()> {
    wait::until("a second stream", wait::USUAL, || async {
        let opened = browser.run("return window.opened", Vec::new()).await;
        match opened {
            Ok(opened) if opened.as_u64() >= Some(2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let text = "changed in the next stream";
    rename(scratch, text).await?;
    browser.sees("#rows", text).await?;
    let watched = browser.run(WATCHED, vec![Value::from(text)]).await?;
    anyhow::ensure!(watched[1] == json!([]), "warnings: {watched}");
    Ok(())
}

async fn a_hidden_tab_gets_no_changes_and_is_current_when_it_is_shown(
    scratch: &Scratch,
    browser: &Browser,
    list: &str,
) -> anyhow::Result<()> {
    let first = browser.page.window().await?;
    let second = browser.page.new_window(true).await?.handle;
    // The browser shows the tab of the last command. The second tab, with the same list, gets each change, and the second change only after
    // the first tab would have got the first one.
    browser.page.switch_to_window(second).await?;
    browser.page.goto(list).await?;
    browser.sees("#rows", "changed in the next stream").await?;
    for name in ["changed while hidden", "changed again"] {
        rename(scratch, name).await?;
        browser.sees("#rows", name).await?;
    }
    browser.page.switch_to_window(first).await?;
    browser.sees("#rows", "changed again").await?;
    let of_first = browser
        .run(WATCHED, vec![Value::from("changed while hidden")])
        .await?;
    anyhow::ensure!(
        of_first == json!([[], [], true]),
        "changes, warnings, whether it was hidden: {of_first}"
    );
    let of_last = browser.run(WATCHED, vec![Value::from("changed again")]).await?;
    let states = of_last[0].as_array().cloned().unwrap_or_default();
    anyhow::ensure!(
        !states.is_empty() && states.iter().all(|is_hidden| is_hidden == false),
        "it changed in a hidden tab, or without a change: {of_last}"
    );
    Ok(())
}

/// Takes the network away from the page, or gives it back.
async fn offline(browser: &Browser, is_offline: bool) -> anyhow::Result<()> {
    browser.devtools("Network.enable", json!({})).await?;
    let conditions =
        json!({"offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    browser
        .devtools("Network.emulateNetworkConditions", conditions)
        .await?;
    Ok(())
}

async fn without_network_it_says_so_when_its_clock_has_passed_the_stream_s_end_and_recovers(
    scratch: &Scratch,
    browser: &Browser,
) -> anyhow::Result<()> {
    offline(browser, true).await?;
    // As after sleep of the machine: its clock went on, and its timers did not.
    let sleep = "const now = Date.now; Date.now = () => now() + 80000;";
    browser.run(sleep, Vec::new()).await?;
    browser.sees("#still", "not updated at the moment").await?;
    rename(scratch, "changed while offline").await?;
    offline(browser, false).await?;
    browser.sees("#rows", "changed while offline").await?;
    let still = browser.find("#still").await?.text().await?;
    anyhow::ensure!(still.is_empty(), "{still}");
    Ok(())
}
