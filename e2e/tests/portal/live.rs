//! An open list while rows change, announcements for screen readers, and the loss of a right.

use std::time::{Duration, Instant};

use api::names::CREATED_BY;
use api::workspace::DesiredStatus;
use api::{Workspace, WorkspaceShare};
use e2e::browser::Browser;
use e2e::cluster::{self, Scratch};
use e2e::portal::{Portal, address};
use e2e::{objects::workspace, wait};
use fantoccini::Locator;
use fantoccini::wd::WindowHandle;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

/// Longest that an open page may show what its user may no longer see.
const LONGEST: Duration = Duration::from_mins(1);
/// Maximum time until a watch reports a change to the portal.
const AT_ONCE: Duration = Duration::from_secs(5);

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

/// Alice's namespace with a share for bob, a namespace that bob administers, and one of his own.
struct Losses {
    shared: Scratch,
    team: Scratch,
    own: Scratch,
}

impl Losses {
    async fn make() -> anyhow::Result<Self> {
        let (shared, team, own) = futures::try_join!(
            Scratch::new("portal-shared", &["alice"]),
            Scratch::new("portal-team", &["alice"]),
            Scratch::new("portal-own", &["bob"]),
        )?;
        futures::try_join!(
            workspace::stopped(&shared, "alice", "losing-share"),
            workspace::stopped(&team, "alice", "losing-role"),
            workspace::stopped(&team, "alice", "losing-all"),
            workspace::stopped(&own, "bob", "losing-session"),
        )?;
        let share: WorkspaceShare = serde_json::from_value(json!({
            "metadata": {"name": "with-bob"},
            "spec": {"workspaceRef": "losing-share", "subjects": [{"kind": "User", "name": "bob"}]},
        }))?;
        Api::<WorkspaceShare>::namespaced(cluster::user("alice").await?, &shared.namespace)
            .create(&PostParams::default(), &share)
            .await?;
        team.bind("workspace-admin", &["bob"]).await?;
        let list =
            json!({"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": ["list"]});
        team.wait_for_permission("bob", &list).await?;
        Ok(Self { shared, team, own })
    }

    /// The selector of a workspace's row in the list.
    async fn row(&self, scratch: &Scratch, name: &str) -> anyhow::Result<String> {
        let workspace = scratch.api::<Workspace>().get(name).await?;
        Ok(format!("#row-{}", workspace.uid().unwrap_or_default()))
    }

    async fn finish(self) -> anyhow::Result<()> {
        futures::try_join!(self.shared.finish(), self.team.finish(), self.own.finish())?;
        Ok(())
    }
}

/// A browser whose first tab shows the list.
struct Tabs {
    browser: Browser,
    list: WindowHandle,
}

impl Tabs {
    async fn open(user: &str, rows: &[String]) -> anyhow::Result<Self> {
        let browser = Browser::start().await?;
        browser.sign_in(&address("/?q=losing-")?, user).await?;
        for row in rows {
            // The portal may have cached that the user sees nothing there.
            wait::until_checked_each_second(&format!("{row} in the list"), wait::USUAL, || async {
                let found = browser.page.find(Locator::Css(row)).await;
                if found.is_err() {
                    browser.page.refresh().await.map_err(|error| error.to_string())?;
                }
                found.map(drop).map_err(|error| error.to_string())
            })
            .await?;
        }
        let list = browser.page.window().await?;
        Ok(Self { browser, list })
    }

    /// Opens a page in a tab of its own.
    async fn tab(&self, path: &str, shows: &str) -> anyhow::Result<WindowHandle> {
        let tab = self.browser.page.new_window(true).await?.handle;
        self.show(&tab).await?;
        self.browser.page.goto(&address(path)?).await?;
        self.browser.find(shows).await?;
        Ok(tab)
    }

    async fn show(&self, tab: &WindowHandle) -> anyhow::Result<()> {
        Ok(self.browser.page.switch_to_window(tab.clone()).await?)
    }

    /// Waits until a tab says that its page is over, and a row has left the open list, both in time.
    async fn lose(&self, tab: &WindowHandle, row: &str, since: Instant) -> anyhow::Result<()> {
        self.show(tab).await?;
        self.browser.sees("#ended", "may no longer see it").await?;
        self.show(&self.list).await?;
        wait::until(&format!("{row} to leave the open list"), LONGEST, || async {
            let left = self.browser.page.find_all(Locator::Css(row)).await;
            match left.map_err(|error| error.to_string())?.len() {
                0 => Ok(()),
                left => Err(format!("{left} rows")),
            }
        })
        .await?;
        let took = since.elapsed();
        anyhow::ensure!(took <= LONGEST, "{row} was shown for {took:?}");
        Ok(())
    }

    /// Types into the display name of the open form.
    async fn type_name(&self, text: &str) -> anyhow::Result<()> {
        let field = self.browser.find("#f-spec\\.displayName").await?;
        Ok(field.send_keys(text).await?)
    }

    async fn typed_name(&self) -> anyhow::Result<Value> {
        let value = "return document.getElementById('f-spec.displayName').value";
        self.browser.run(value, Vec::new()).await
    }
}

/// A page is not there for new requests.
async fn is_refused(portal: &Portal, path: &str) -> anyhow::Result<()> {
    wait::until(&format!("{path} to be refused"), AT_ONCE, || async {
        match portal.open(path).await {
            Ok((404, _)) => Ok(()),
            Ok((status, _)) => Err(status.to_string()),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_user_who_loses_the_right_sees_no_more() -> anyhow::Result<()> {
    let losses = Box::pin(Losses::make()).await?;
    let (shared, team, own) = (&losses.shared, &losses.team, &losses.own);
    let rows = [
        losses.row(shared, "losing-share").await?,
        losses.row(team, "losing-all").await?,
        losses.row(team, "losing-role").await?,
        losses.row(own, "losing-session").await?,
    ];
    let bob = Portal::enter("bob").await?;
    let tabs = Tabs::open("bob", &rows).await?;

    let at = format!("/w/{}/losing-share", shared.namespace);
    let tab = tabs.tab(&at, "#head .state").await?;
    let links = shared.api::<WorkspaceShare>();
    links.delete("with-bob", &DeleteParams::default()).await?;
    let lost = Instant::now();
    is_refused(&bob, &at).await?;
    tabs.lose(&tab, &rows[0], lost).await?;

    let at = format!("/w/{}/losing-all", team.namespace);
    tabs.show(&tab).await?;
    tabs.browser.page.goto(&address(&at)?).await?;
    tabs.browser.sees("#head", "Stopped").await?;
    workspace::delete(&team.api(), "losing-all").await?;
    let lost = Instant::now();
    is_refused(&bob, &at).await?;
    tabs.lose(&tab, &rows[1], lost).await?;

    loses_role(&tabs, &bob, team, &rows[2]).await?;
    loses_session(&tabs, own, &rows[3]).await?;
    tabs.browser.close().await?;
    losses.finish().await
}

/// While a page and a form are open.
async fn loses_role(tabs: &Tabs, bob: &Portal, team: &Scratch, row: &str) -> anyhow::Result<()> {
    let at = format!("/w/{}/losing-role", team.namespace);
    let page = tabs.tab(&at, "#facts").await?;
    let form = tabs.tab(&format!("{at}/edit"), "main form").await?;
    tabs.type_name(", typed before").await?;
    let workspaces: Api<Workspace> = team.api();
    let before = wait::settled("losing-role", || async {
        workspaces
            .get("losing-role")
            .await
            .map_err(|error| error.to_string())
    })
    .await?;
    let bindings = team.api::<RoleBinding>();
    bindings
        .delete("workspace-admins", &DeleteParams::default())
        .await?;
    let lost = Instant::now();
    let as_bob: Api<Workspace> = Api::namespaced(cluster::user("bob").await?, &team.namespace);
    wait::until("the API server to refuse bob", wait::USUAL, || async {
        match as_bob.get("losing-role").await {
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
            other => Err(format!("{:?}", other.map(|it| it.name_any()))),
        }
    })
    .await?;
    let uid = before.uid().unwrap_or_default();
    let answer = bob.post(&format!("{at}/start"), &[("uid", &uid)]).await?;
    let status = answer.status().as_u16();
    anyhow::ensure!([403, 404].contains(&status), "{status}: {}", answer.text().await?);
    let after = workspaces.get("losing-role").await?;
    anyhow::ensure!(after.resource_version() == before.resource_version(), "{after:?}");

    tabs.show(&form).await?;
    tabs.type_name(" and after").await?;
    tabs.browser.sees("#ended", "may no longer see it").await?;
    let typed = tabs.typed_name().await?;
    anyhow::ensure!(typed == "losing-role, typed before and after", "{typed}");
    tabs.lose(&page, row, lost).await
}

/// By the button of another tab, while the list and a form are open.
async fn loses_session(tabs: &Tabs, own: &Scratch, row: &str) -> anyhow::Result<()> {
    let at = format!("/w/{}/losing-session", own.namespace);
    let form = tabs.tab(&format!("{at}/edit"), "main form").await?;
    tabs.type_name(", typed").await?;
    tabs.tab("/account", "header form button").await?;
    tabs.browser.click("header form button").await?;
    tabs.browser.sees("h1", "You are signed out").await?;
    let lost = Instant::now();

    tabs.show(&form).await?;
    tabs.browser
        .click("main form[method=post] .actions button[type=submit]")
        .await?;
    tabs.browser.sees("#gone", "You are signed out").await?;
    let typed = tabs.typed_name().await?;
    anyhow::ensure!(typed == "losing-session, typed", "{typed}");
    let workspaces: Api<Workspace> = own.api();
    let stored = workspaces.get("losing-session").await?;
    anyhow::ensure!(stored.spec.display_name == "losing-session", "{stored:?}");

    tabs.show(&tabs.list).await?;
    tabs.browser.sees("#gone", "You are signed out").await?;
    anyhow::ensure!(lost.elapsed() <= LONGEST + AT_ONCE * 3, "{:?}", lost.elapsed());
    // What changes from now on is not shown.
    let portal = Portal::enter("bob").await?;
    workspace::set(
        &workspaces,
        "losing-session",
        json!({"displayName": "Changed later"}),
    )
    .await?;
    wait::until("the portal to know it", wait::USUAL, || async {
        let (_, page) = portal.open(&at).await.map_err(|error| format!("{error:#}"))?;
        page.contains("Changed later").then_some(()).ok_or(page)
    })
    .await?;
    let shown = tabs.browser.find(row).await?.text().await?;
    anyhow::ensure!(!shown.contains("Changed later"), "{shown}");
    Ok(())
}
