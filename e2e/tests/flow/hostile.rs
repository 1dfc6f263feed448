//! A hostile page in one workspace, opened in alice's browser while she is signed in everywhere.
//!
//! It gets nothing from her other workspaces or from the sign-in host.

use anyhow::Context as _;
use api::Workspace;
use e2e::{
    Environment,
    browser::{
        Browser,
        hostile_page::{ATTEMPTS, tries},
    },
    cluster::Scratch,
    objects::workspace,
    wait,
};
use serde_json::{Value, json};

/// Submits a form with these fields from a hostile page, and waits until the browser is at what it answered.
async fn submits(browser: &Browser, fields: &str, target: &str) -> anyhow::Result<()> {
    let script = format!(
        "done(''); const f = document.createElement('form'); f.method = 'post'; f.action = target; f.innerHTML = '{fields}'; document.body.append(f); f.submit()"
    );
    tries(browser, &script, target).await?;
    browser.at(target, |url| url.as_str() == target).await
}

/// How an attack ends. One that was to be answered, and did not get through to a busy server, begins anew.
async fn ends(browser: &Browser, script: &str, target: &str, ending: &str) -> anyhow::Result<Value> {
    let what = format!("{target} to answer a hostile page");
    let got = wait::until(&what, wait::USUAL, || async {
        match tries(browser, script, target).await {
            Ok(got) if got == json!("nothing") && ending != "nothing" => Err("nothing".to_owned()),
            other => Ok(other),
        }
    });
    got.await?
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
    wait::until(
        "the ticket to work from the workspace's own page",
        wait::USUAL,
        || async {
            match tries(&browser, own, &format!("{victim_url}own-page")).await {
                Ok(status) if status == json!(200) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    )
    .await?;
    browser.visit(&hostile).await?;

    let environment = Environment::get()?;
    let auth = format!("{}/", environment.origin(&environment.auth_host()));
    for (way, script, ending) in ATTEMPTS {
        let got = ends(&browser, script, &format!("{victim_url}stolen-{way}"), ending).await?;
        // A browser may also keep quiet about what it refused; what the pod was asked for is looked at below.
        let nothing = [json!(ending), json!("silence")];
        assert!(nothing.contains(&got), "{way} against the workspace: {got}");
        // Its own forms are the worst that could be sent there.
        let page = if way.contains("form") || way == "post" {
            "sign-out"
        } else {
            ""
        };
        let got = ends(&browser, script, &format!("{auth}{page}"), ending).await?;
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
    as_many_cookies_as_a_browser_keeps_lock_nobody_out(&browser, &victim, &hostile).await?;
    browser.close().await?;
    scratch.finish().await
}

/// The domain that all workspaces share.
fn base(workspace: &Workspace) -> anyhow::Result<String> {
    let host = workspace::host(workspace)?;
    let (_, base) = host.split_once('.').context("no base")?;
    Ok(base.to_owned())
}

/// Cookies that the hostile page plants neither sign in nor lock out alice.
async fn planted_cookies_count_nothing(
    browser: &Browser,
    victim: &Workspace,
    hostile: &Workspace,
) -> anyhow::Result<()> {
    browser.visit(hostile).await?;
    let base = base(victim)?;
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

/// A page that fills the browser with cookies of all hosts locks alice out of none: each answers with a page that removes them and loads
/// itself anew. Sessions that the browser dropped for these cookies begin anew at the provider.
async fn as_many_cookies_as_a_browser_keeps_lock_nobody_out(
    browser: &Browser,
    victim: &Workspace,
    hostile: &Workspace,
) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let base = base(victim)?;
    let fill = "for (let n = 0; n < 180; n++) \
                document.cookie = `full${n}=${'x'.repeat(4080)}; Domain=${target}; Path=/; Secure; Max-Age=31536000`; \
                done(document.cookie.length)";
    for (landing, seen) in [
        // The buttons to sign in or out.
        (environment.origin(&environment.auth_host()), "Sign "),
        (environment.origin(&environment.portal_host()), "alice"),
        (workspace::url(victim)?, "\"path\""),
    ] {
        browser.visit(hostile).await?;
        browser.sees("body", "\"path\"").await?;
        let filled = tries(browser, fill, &base).await?;
        // The control: many times what headers may have. A full browser drops some.
        assert!(filled.as_u64().is_some_and(|bytes| bytes > 500_000), "{filled}");
        browser.page.goto(&landing).await?;
        browser.sees("body", seen).await?;
        let left = tries(browser, "done(document.cookie.length)", &base).await?;
        assert!(
            left.as_u64().is_some_and(|bytes| bytes < 64 * 1024),
            "{landing}: {left}"
        );
    }
    Ok(())
}
