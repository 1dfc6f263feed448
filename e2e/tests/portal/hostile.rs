//! The portal changes only from its own pages.

use std::collections::{BTreeMap, BTreeSet};

use api::{Workspace, WorkspaceShare};
use e2e::browser::Browser;
use e2e::browser::hostile_page::{ATTEMPTS, tries, tries_with};
use e2e::cluster::{self, Scratch};
use e2e::{objects::workspace, wait};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};
use scraper::{Html, Selector};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use e2e::portal::{Portal, address};

/// Versions of all workspaces and shares of a namespace.
async fn versions(scratch: &Scratch) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    let of = |kind: &str, object: &ObjectMeta| {
        (
            format!("{kind} {}", object.name.as_deref().unwrap_or_default()),
            object.resource_version.clone(),
        )
    };
    let all = ListParams::default();
    let workspaces = scratch.api::<Workspace>().list(&all).await?;
    let shares = scratch.api::<WorkspaceShare>().list(&all).await?;
    let workspaces = workspaces.iter().map(|it| of("Workspace", &it.metadata));
    let shares = shares.iter().map(|it| of("WorkspaceShare", &it.metadata));
    Ok(workspaces.chain(shares).collect())
}

/// A page on this machine at another site than the installation's: its host is an address.
struct ForeignSite {
    url: String,
    server: JoinHandle<()>,
}

impl ForeignSite {
    async fn start() -> anyhow::Result<Self> {
        const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\nConnection: close\r\n\r\n<p>foreign</p>";
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(PAGE.as_bytes()).await;
            }
        });
        Ok(Self { url, server })
    }
}

impl Drop for ForeignSite {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Opens a page in its own window, and returns whether the opener can read it.
const WINDOW: &str = "const w = open(target); if (!w) done('nothing'); \
     const look = () => { try { if (w.location.href !== 'about:blank' && w.document.body.innerText) return done('got') } catch {} setTimeout(look, 100) }; \
     look()";

/// Submits a form as a navigation.
const SUBMIT: &str = "done('sent'); const [to, controls] = JSON.parse(target); const f = document.createElement('form'); f.method = 'post'; \
     f.action = to; for (const [name, value] of controls) { const i = document.createElement('input'); i.name = name; i.value = value; f.append(i) } \
     document.body.append(f); HTMLFormElement.prototype.submit.call(f)";

/// All that the open page can try at pages and forms of the portal.
async fn attack(browser: &Browser, page: &str, at: &str, uid: &str) -> anyhow::Result<()> {
    let fields = json!({"uid": uid, "name": "ws"});
    let nothing = |ending: &str| [json!(ending), json!("silence")];
    for (way, script, ending) in ATTEMPTS {
        let is_change = way.contains("form") || way == "post" || way == "preflight";
        let target = if is_change {
            format!("{at}/start")
        } else {
            at.to_owned()
        };
        let got = tries_with(browser, script, &target, &fields).await?;
        anyhow::ensure!(nothing(ending).contains(&got), "{way} from {page}: {got}");
    }
    let stream = at.replacen("/w/", "/events?view=workspace&namespace=", 1);
    let stream = stream.replacen("/ws", "&name=ws", 1);
    let (_, events, _) = ATTEMPTS
        .iter()
        .find(|(way, ..)| *way == "events")
        .ok_or_else(|| anyhow::anyhow!("no such attempt"))?;
    let got = tries(browser, events, &stream).await?;
    anyhow::ensure!(nothing("nothing").contains(&got), "{stream} from {page}: {got}");
    let opened = browser.page.window().await?;
    let got = tries(browser, WINDOW, at).await?;
    anyhow::ensure!(nothing("nothing").contains(&got), "window from {page}: {got}");
    for window in browser.page.windows().await? {
        if window != opened {
            browser.page.switch_to_window(window).await?;
            browser.page.close_window().await?;
        }
    }
    browser.page.switch_to_window(opened).await?;
    for action in ["start", "stop", "restart", "delete"] {
        let form = json!([format!("{at}/{action}"), [["uid", uid], ["name", "ws"]]]);
        browser.page.goto(page).await?;
        tries(browser, SUBMIT, &form.to_string()).await?;
        browser
            .at("another page", |url| !url.as_str().starts_with(page))
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn pages_of_a_workspace_and_of_a_foreign_site_change_and_read_nothing_in_a_browser()
-> anyhow::Result<()> {
    let (scratch, other) = futures::try_join!(
        Scratch::new("portal-victim", &["alice"]),
        Scratch::new("portal-attacker", &["alice"])
    )?;
    let (victim, hostile) = futures::try_join!(
        workspace::stopped(&scratch, "alice", "ws"),
        workspace::running(&other, "hostile")
    )?;
    let share: WorkspaceShare = serde_json::from_value(json!({
        "metadata": {"name": "with-bob"},
        "spec": {"workspaceRef": "ws", "subjects": [{"kind": "User", "name": "bob"}]},
    }))?;
    Api::<WorkspaceShare>::namespaced(cluster::user("alice").await?, &scratch.namespace)
        .create(&PostParams::default(), &share)
        .await?;
    let uid = victim.uid().unwrap_or_default();
    let at = address(&format!("/w/{}/ws", scratch.namespace))?;
    let workspaces = scratch.api::<Workspace>();
    let shares = scratch.api::<WorkspaceShare>();
    wait::settled("ws", || async {
        workspaces.get("ws").await.map_err(|error| error.to_string())
    })
    .await?;
    wait::settled("with-bob", || async {
        shares.get("with-bob").await.map_err(|error| error.to_string())
    })
    .await?;
    let before = versions(&scratch).await?;
    assert_eq!(before.len(), 2, "{before:?}");

    let browser = Browser::start().await?;
    browser.enter(&hostile, "alice").await?;
    // She is signed in to the portal as well.
    browser.page.goto(&at).await?;
    browser.sees("#head", "Stopped").await?;
    let foreign = ForeignSite::start().await?;
    for page in [workspace::url(&hostile)?, foreign.url.clone()] {
        browser.page.goto(&page).await?;
        attack(&browser, &page, &at, &uid).await?;
        assert_eq!(versions(&scratch).await?, before, "after the page {page}");
    }
    // The control: the portal's own page sends such a form.
    browser.page.goto(&at).await?;
    browser.sees("#head", "Stopped").await?;
    follow_all_links(&scratch).await?;
    assert_eq!(versions(&scratch).await?, before, "after all links");
    browser
        .click(&format!(
            "form[action='/w/{}/ws/start'] button",
            scratch.namespace
        ))
        .await?;
    browser.sees("#head", "Running").await?;
    assert_ne!(versions(&scratch).await?, before, "the control");
    browser.close().await?;
    futures::try_join!(scratch.finish(), other.finish())?;
    Ok(())
}

/// Follows every link of every page of the portal that is about this namespace, or about nothing of others.
async fn follow_all_links(scratch: &Scratch) -> anyhow::Result<()> {
    let portal = Portal::enter("alice").await?;
    let own = &scratch.namespace;
    let mut waiting = vec![format!("/?namespace={own}"), format!("/namespaces/{own}")];
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    while let Some(path) = waiting.pop() {
        let (status, page) = portal.open(&path).await?;
        anyhow::ensure!(status < 500 && status != 429, "{path}: {status} {page}");
        for link in links(&page) {
            let is_ours = link.contains(own) || ["/new", "/templates", "/account"].contains(&&*link);
            // Streams of output do not end.
            if link.starts_with('/') && is_ours && !link.contains("/stream") && seen.insert(link.clone()) {
                waiting.push(link);
            }
        }
    }
    for rest in ["/edit", "/yaml", "/share", "/delete", "/share/with-bob/end"] {
        let path = format!("/w/{own}/ws{rest}");
        anyhow::ensure!(seen.contains(&path), "no page led to {path}: {seen:#?}");
    }
    Ok(())
}

/// Addresses of the links of a page.
fn links(page: &str) -> Vec<String> {
    let page = Html::parse_document(page);
    let Ok(selector) = Selector::parse("a[href]") else {
        return Vec::new();
    };
    let found = page.select(&selector);
    found
        .filter_map(|link| link.value().attr("href"))
        .map(|to| to.split('#').next().unwrap_or_default().to_owned())
        .collect()
}
