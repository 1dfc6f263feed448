//! A hostile page in one workspace, opened in alice's browser while she is signed in everywhere.
//!
//! It gets nothing from her other workspaces or from the sign-in host.

use anyhow::Context as _;
use api::{Workspace, workspace::AccessType};
use e2e::{
    Environment,
    browser::{
        Browser,
        hostile_page::{ATTEMPTS, tries},
    },
    cluster::{self, Scratch},
    http::HttpSession,
    objects::workspace,
    wait,
};
use kube::Api;
use reqwest::header;
use serde_json::json;

/// Submits a form with these fields from a hostile page, and waits until the browser is at what it answered.
async fn submits(browser: &Browser, fields: &str, target: &str) -> anyhow::Result<()> {
    let script = format!(
        "done(''); const f = document.createElement('form'); f.method = 'post'; f.action = target; f.innerHTML = '{fields}'; document.body.append(f); f.submit()"
    );
    tries(browser, &script, target).await?;
    browser.at(target, |url| url.as_str() == target).await
}

#[tokio::test]
async fn a_hostile_page_gets_nothing_of_other_hosts_and_its_cookies_neither_sign_in_nor_lock_out_a_user()
-> anyhow::Result<()> {
    let scratch = Scratch::new("hostile", &["alice"]).await?;
    let (victim, hostile) = futures::try_join!(
        workspace::running(&scratch, "victim"),
        workspace::running(&scratch, "hostile")
    )?;
    let victim_url = workspace::url(&victim)?;
    let browser = Browser::start().await?;
    browser.enter(&victim, "alice").await?;
    browser.sees("body", "\"path\"").await?;
    let headers = browser.text().await?.to_lowercase();
    assert!(
        !headers.contains("code=") && !headers.contains("__host-"),
        "{headers}"
    );
    // The control: the victim's own page reaches it with the ticket.
    let own = "fetch(target, {credentials: 'include'}).then(r => done(r.status), () => done('nothing'))";
    let own = tries(&browser, own, &format!("{victim_url}own-page")).await?;
    assert_eq!(own, json!(200), "the ticket works from the workspace's own page");
    browser.visit(&hostile).await?;

    let environment = Environment::get()?;
    let auth = format!("{}/", environment.origin(&environment.auth_host()));
    for (way, script, ending) in ATTEMPTS {
        let got = tries(&browser, script, &format!("{victim_url}stolen-{way}")).await?;
        // A browser may also keep quiet about what it refused; what the pod was asked for is looked at below.
        let nothing = [json!(ending), json!("silence")];
        assert!(nothing.contains(&got), "{way} against the workspace: {got}");
        // Its own forms are the worst that could be sent there.
        let page = if way.contains("form") || way == "post" {
            "sign-out"
        } else {
            ""
        };
        let got = tries(&browser, script, &format!("{auth}{page}")).await?;
        assert!(nothing.contains(&got), "{way} against the sign-in host: {got}");
    }
    // As a navigation, with everything that a form can say.
    for target in [
        format!("{victim_url}stolen-by-form"),
        format!("{auth}sign-out"),
        format!("{auth}start"),
    ] {
        submits(&browser, "", &target).await?;
        browser.visit(&hostile).await?;
    }
    // Nothing of it was done: she is signed in, and the victim's pod never heard of it.
    browser.page.goto(&auth).await?;
    browser.sees("body", "alice").await?;
    let seen = workspace::received_requests(&scratch, &victim).await?;
    assert!(seen.contains("own-page") && !seen.contains("stolen"), "{seen}");
    planted_cookies_count_nothing(&browser, &victim, &hostile).await?;
    browser.close().await?;
    scratch.finish().await
}

/// Cookies that the hostile page plants neither sign in nor lock out alice.
async fn planted_cookies_count_nothing(
    browser: &Browser,
    victim: &Workspace,
    hostile: &Workspace,
) -> anyhow::Result<()> {
    browser.visit(hostile).await?;
    let base = workspace::host(victim)?
        .split_once('.')
        .context("no base")?
        .1
        .to_owned();
    // For every host of the site, as far as the browser lets a page: our names it does not.
    let plant = "for (const name of ['__Host-ws', '__Host-ws-pre', '__Host-session', '__Host-login-0', '__host-WS', 'plain']) \
                for (const path of ['/', '/sign-out', '/_workspace/']) \
                document.cookie = `${name}=tossed; Domain=${target}; Path=${path}; Secure`; done(document.cookie)";
    let remaining = tries(browser, plant, &base).await?;
    assert_eq!(remaining, json!("plain=tossed"), "the control, and nothing else");
    browser.visit(victim).await?;
    browser.sees("body", "\"path\"").await?;
    let text = browser.text().await?.to_lowercase();
    assert!(
        text.contains("plain=tossed") && !text.contains("__host-"),
        "{text}"
    );
    let environment = Environment::get()?;
    let auth = environment.origin(&environment.auth_host());
    browser.page.goto(&auth).await?;
    browser.sees("body", "alice").await
}

/// It would answer all requests of its page instead of the pod, and outlives the pod.
#[tokio::test]
async fn a_service_worker_of_a_deleted_workspace_has_no_power_over_its_namesake() -> anyhow::Result<()> {
    let scratch = Scratch::new("worker", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let first = workspace::running(&scratch, "lab").await?;
    let first_url = workspace::url(&first)?;
    let browser = Browser::start().await?;
    browser.enter(&first, "alice").await?;
    let code = "self.addEventListener('install',()=>self.skipWaiting());\
                self.addEventListener('activate',e=>e.waitUntil(clients.claim()));\
                self.addEventListener('fetch',e=>e.respondWith(new Response('possessed')))";
    let register = |folder: &str| {
        format!(
            "const code = \"{code}\"; const at = target + '{folder}_say?type=text/javascript&body=' + encodeURIComponent(code); \
             const active = r => new Promise(done => {{ const w = r.installing || r.waiting || r.active; \
             const look = () => w.state === 'activated' && done(); w.onstatechange = look; look() }}); \
             navigator.serviceWorker.register(at, {{scope: '/{folder}'}}).then(active)\
             .then(() => done('registered'), e => done(String(e)))"
        )
    };
    // Before the gateway's own paths it may not stand.
    let made = tries(&browser, &register(""), &first_url).await?;
    assert_ne!(made, json!("registered"));
    let made = tries(&browser, &register("lab/"), &first_url).await?;
    assert_eq!(
        made,
        json!("registered"),
        "the control: it works where it was made"
    );
    let possessed = format!("{first_url}lab/page");
    browser.page.goto(&possessed).await?;
    browser.sees("body", "possessed").await?;

    workspace::delete(&alice, "lab").await?;
    let second = workspace::running(&scratch, "lab").await?;
    let second_url = workspace::url(&second)?;
    assert_ne!(first_url, second_url, "another origin");
    browser.visit(&second).await?;
    browser.sees("body", "\"path\"").await?;
    let found = "navigator.serviceWorker.getRegistrations().then(all => done(all.length))";
    assert_eq!(tries(&browser, found, "").await?, json!(0));
    // What lives on there answers on the old host alone, even to what its page asks of the new one.
    let script =
        "fetch(target, {credentials: 'include'}).then(r => r.text()).then(done, () => done('nothing'))";
    browser.page.goto(&possessed).await?;
    browser.sees("body", "possessed").await?;
    let got = tries(&browser, script, &format!("{second_url}stolen")).await?;
    assert_eq!(got, json!("possessed"), "its own words");
    assert!(
        !workspace::received_requests(&scratch, &second)
            .await?
            .contains("stolen")
    );
    browser.close().await?;
    scratch.finish().await
}

/// Bob uses up all but one of the tries of a sign-in, and alice's own workspace opens what is left in a window of hers: the page that she ends
/// at must not show its opener a code.
#[tokio::test]
async fn the_opener_of_a_sign_in_cannot_read_its_code() -> anyhow::Result<()> {
    let scratch = Scratch::new("opener", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let open = workspace::running(&scratch, "open").await?;
    workspace::set(&alice, "open", json!({"accessType": AccessType::Public})).await?;
    scratch
        .grant(
            "bob-connects",
            "bob",
            &json!([{
                "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces/connect"], "verbs": ["create"],
            }]),
        )
        .await?;
    let url = workspace::url(&open)?;
    let bob = HttpSession::new()?;
    bob.enter(&url, "bob").await?;
    let bob = bob.without_redirects()?;
    let leads = async |session: &HttpSession, from: &str| {
        let answer = session.open(from).await?;
        let to = answer.headers().get(header::LOCATION);
        let to = to.with_context(|| format!("{from} leads nowhere: {}", answer.status()))?;
        anyhow::Ok(to.to_str()?.to_owned())
    };
    // Each code comes back in a browser that knows nothing of it.
    let without_session = async |from: &str| leads(&HttpSession::new()?.without_redirects()?, from).await;
    let mut link = without_session(&url).await?;
    for _ in 0..2 {
        link = without_session(&leads(&bob, &link).await?).await?;
    }

    let browser = Browser::start().await?;
    browser.enter(&open, "alice").await?;
    browser.visit(&open).await?;
    browser.sees("body", "\"path\"").await?;
    // She is signed in and has no ticket here: with one she would continue to the workspace.
    browser.page.delete_cookie("__Host-ws").await?;
    let watch = "window.seen = new Set(); const opened = window.open(target); \
                 const look = () => { try { seen.add(opened.location.href) } catch {} }; \
                 setInterval(look, 2); done('')";
    tries(&browser, watch, &link).await?;
    let end = format!("{url}_workspace/callback");
    // The control: it gets there.
    let seen = wait::until("the opened window to arrive", wait::USUAL, || async {
        let seen = tries(&browser, "done([...seen])", "").await;
        let seen = seen.map_err(|error| format!("{error:#}"))?;
        let seen: Vec<String> = serde_json::from_value(seen).map_err(|error| error.to_string())?;
        if seen.contains(&end) {
            Ok(seen)
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await?;
    assert!(!seen.iter().any(|address| address.contains("code=")), "{seen:?}");
    browser.close().await?;
    scratch.finish().await
}
