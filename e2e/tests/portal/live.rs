//! An open list while rows change, announcements for screen readers, and the loss of a right.

use std::time::Duration;

use api::Workspace;
use api::names::CREATED_BY;
use api::workspace::DesiredStatus;
use e2e::browser::Browser;
use e2e::cluster::Scratch;
use e2e::objects::workspace;
use e2e::portal::address;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

/// The reader types, chooses, marks a text and opens a menu in the row of one workspace; the menu's button has the focus.
const USE: &str = "
    const row = document.getElementById('row-' + arguments[0]);
    document.getElementById('search').value = 'typed';
    row.querySelector('input[type=checkbox]').checked = true;
    const menu = row.querySelector('details.menu');
    menu.open = true;
    menu.querySelector('summary').focus();
    getSelection().selectAllChildren(row.querySelector('th small'));
    window.kept = [row, menu, document.activeElement];
    window.announced = [];
    const place = document.getElementById('announce');
    new MutationObserver(() => window.announced.push(place.textContent)).observe(place, {childList: true});
";
/// What is left of that, and what was announced.
const LEFT: &str = "
    const row = document.getElementById('row-' + arguments[0]);
    const menu = row.querySelector('details.menu');
    return {
        sameNodes: [row, menu, document.activeElement].every((node, at) => node === window.kept[at]),
        typed: document.getElementById('search').value,
        chosen: row.querySelector('input[type=checkbox]').checked,
        open: menu.open,
        marked: getSelection().toString(),
        announced: window.announced.join(' '),
    };
";

/// A workspace whose pod finds no node.
async fn made(
    scratch: &Scratch,
    name: &str,
    owner: &str,
    desired: DesiredStatus,
) -> anyhow::Result<Workspace> {
    let mut workspace = workspace::echo(name)?;
    let annotations = workspace.metadata.annotations.get_or_insert_default();
    annotations.insert(CREATED_BY.to_owned(), owner.to_owned());
    workspace.spec.desired_status = desired;
    let nowhere = ("e2e.test/no-such-node".to_owned(), "true".to_owned());
    workspace.spec.node_selector.extend([nowhere]);
    Ok(scratch.api().create(&PostParams::default(), &workspace).await?)
}

/// Rows of others that change in turn, ten a second.
const ROWS: usize = 10;
const CHANGES: usize = 60;
/// Name of a row after a change of this number: its place among the others is another one each time.
fn renamed(number: usize) -> String {
    format!("{} of dave {number}", ["A", "y", "C", "x"][number / ROWS % 4])
}

/// Changes ten rows a second, each row once a second. A row's next change waits for the one before, so that they are stored in order.
async fn rows_change(workspaces: &Api<Workspace>) -> anyhow::Result<()> {
    let mut rows = tokio::task::JoinSet::new();
    for row in 0..ROWS {
        let workspaces = workspaces.clone();
        let begin = tokio::time::Instant::now() + Duration::from_millis(100) * u32::try_from(row)?;
        rows.spawn(async move {
            let mut tick = tokio::time::interval_at(begin, Duration::from_secs(1));
            for number in (row..CHANGES).step_by(ROWS) {
                tick.tick().await;
                let name = json!({"displayName": renamed(number)});
                workspace::set(&workspaces, &format!("row-{row}"), name).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(row) = rows.join_next().await {
        row??;
    }
    Ok(())
}

/// What the reader did is as it was.
async fn is_kept(browser: &Browser, uid: &Value, namespace: &str) -> anyhow::Result<Value> {
    let left = browser.run(LEFT, vec![uid.clone()]).await?;
    let marked = left["marked"].as_str().unwrap_or_default();
    let is_kept = left["sameNodes"] == true && left["chosen"] == true && left["open"] == true;
    anyhow::ensure!(
        is_kept && left["typed"] == "typed" && marked.contains(&format!("{namespace}/own")),
        "{left}"
    );
    Ok(left)
}

#[tokio::test]
async fn focus_menus_choices_and_typed_text_outlive_ten_changes_a_second_and_only_own_ones_are_announced()
-> anyhow::Result<()> {
    let scratch = Scratch::new("portal-live", &["alice"]).await?;
    scratch.bind("workspace-admin", &["alice"]).await?;
    let admin: Api<Workspace> = scratch.api();
    let own = made(&scratch, "own", "alice", DesiredStatus::Running).await?;
    made(&scratch, "second", "alice", DesiredStatus::Stopped).await?;
    let others = made(&scratch, "others", "carol", DesiredStatus::Stopped).await?;
    let names: Vec<_> = (0..ROWS).map(|row| format!("row-{row}")).collect();
    let rows = names
        .iter()
        .map(|name| made(&scratch, name, "dave", DesiredStatus::Stopped));
    futures::future::try_join_all(rows).await?;
    let browser = Browser::start().await?;
    let list = address(&format!("/?namespace={}", scratch.namespace))?;
    browser.sign_in(&list, "alice").await?;
    browser.sees("#rows", "owner carol").await?;
    let uid = Value::from(own.uid().unwrap_or_default());
    browser.run(USE, vec![uid.clone()]).await?;

    // Ten rows change their names and places each second. Meanwhile values in the row itself change, and the states of others.
    let reader = async {
        workspace::set(&admin, "own", json!({"displayName": "m of alice"})).await?;
        browser.sees("#rows", "m of alice").await?;
        is_kept(&browser, &uid, &scratch.namespace).await?;
        workspace::set(&admin, "others", json!({"desiredStatus": "Running"})).await?;
        let row = format!("#row-{}", others.uid().unwrap_or_default());
        browser.sees(&row, "Starting").await?;
        is_kept(&browser, &uid, &scratch.namespace).await?;
        let change = json!({"displayName": "n of alice", "desiredStatus": "Running"});
        workspace::set(&admin, "second", change).await?;
        browser.sees("#announce", "n of alice").await
    };
    futures::try_join!(rows_change(&admin), reader)?;
    for number in CHANGES - ROWS..CHANGES {
        browser.sees("#rows", &renamed(number)).await?;
    }
    let left = is_kept(&browser, &uid, &scratch.namespace).await?;
    let announced = left["announced"].as_str().unwrap_or_default();
    let others = announced.contains("carol") || announced.contains("dave");
    anyhow::ensure!(announced.contains("n of alice") && !others, "{left}");
    browser.close().await?;
    scratch.finish().await
}
