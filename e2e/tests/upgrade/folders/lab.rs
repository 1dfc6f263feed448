//! JupyterLab and VS Code in folders, in a browser.

use e2e::{Environment, browser::Browser, cluster, jupyter::notebook, objects::workspace, wait};
use fantoccini::key::Key;

use super::Site;

/// Ticket of a folder.
const TICKET: &str = "__Secure-ws";
/// Ties tickets to the browser, for the whole host.
const BROWSER: &str = "__Host-ws-browser";
/// What the notebook is called, and how a browser writes it.
const NOTEBOOK: (&str, &str) = ("C# 50%.ipynb", "C%23%2050%25.ipynb");

async fn exec(site: &Site, name: &str, script: &str) -> anyhow::Result<String> {
    let pod = workspace::pod(&site.alice.get(name).await?)?;
    cluster::exec(&site.scratch.api(), &pod, &["sh", "-c", script]).await
}

/// VS Code gets files over its websocket.
pub(super) async fn vs_code_shows_files(site: &Site, browser: &Browser) -> anyhow::Result<()> {
    exec(site, "editor", "touch /home/jovyan/in-a-folder.txt").await?;
    browser.page.goto(&site.url("editor")?).await?;
    browser.sees(".explorer-folders-view", "in-a-folder.txt").await
}

/// Waits until a file in the home holds `text`; does `again` whenever it does not.
async fn in_file(
    site: &Site,
    file: &str,
    text: &str,
    again: impl AsyncFn() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    wait::until(&format!("{file} to hold {text}"), wait::USUAL, || async {
        again().await.map_err(|error| format!("{error:#}"))?;
        let now = exec(site, "ws1", &format!("cat '/home/jovyan/{file}' || true")).await;
        let now = now.map_err(|error| format!("{error:#}"))?;
        if now.contains(text) { Ok(()) } else { Err(now) }
    })
    .await
}

/// Alice signs in at a notebook whose name needs escapes, runs its cell, saves it, and types into a terminal.
pub(super) async fn works(site: &Site, browser: &Browser) -> anyhow::Result<()> {
    let (file, written) = NOTEBOOK;
    let notebook = notebook::with_cell("python3", "print('computed', 6 * 7)");
    let quoted = notebook.to_string().replace('\'', r"'\''");
    exec(
        site,
        "ws1",
        &format!("printf %s '{quoted}' > '/home/jovyan/{file}'"),
    )
    .await?;

    let page = format!("{}lab/tree/{written}", site.url("ws1")?);
    browser.sign_in(&page, "alice").await?;
    browser.arrived(&Environment::get()?.base_domain).await?;
    notebook::run_first_cell(browser).await?;
    browser.sees(".jp-OutputArea-output pre", "computed 42").await?;
    let save = format!("{}s{}", char::from(Key::Control), char::from(Key::Null));
    browser.find("body").await?.send_keys(&save).await?;
    in_file(site, file, "computed 42", async || Ok(())).await?;
    browser.screenshot("alice-runs-a-cell-in-a-folder").await?;

    browser
        .page
        .goto(&format!("{}lab?reset", site.url("ws1")?))
        .await?;
    browser
        .click(".jp-LauncherCard[title^='Start a new terminal']")
        .await?;
    browser.find(".jp-Terminal .xterm-helper-textarea").await?;
    // What is typed before the terminal's websocket is open is lost.
    let typed = format!("echo $((6*7)) > terminal.txt{}", char::from(Key::Enter));
    in_file(site, "terminal.txt", "42", async || {
        let terminal = browser.find(".jp-Terminal .xterm-helper-textarea").await?;
        Ok(terminal.send_keys(&typed).await?)
    })
    .await
}

/// Each folder's ticket is for it alone: `ws1` begins as `ws10` does.
pub(super) async fn cookies_reach_their_folder_alone(site: &Site, browser: &Browser) -> anyhow::Result<()> {
    let mut tickets = Vec::new();
    for name in ["ws1", "ws10"] {
        let url = site.url(name)?;
        browser.page.goto(&format!("{url}api/status")).await?;
        browser.at(&url, |at| at.as_str().starts_with(&url)).await?;
        let cookies = browser.page.get_all_cookies().await?;
        let reported = |name: &str| -> Vec<_> {
            let named = cookies.iter().filter(|cookie| cookie.name() == name);
            named
                .map(|cookie| {
                    (
                        cookie.path().unwrap_or_default().to_owned(),
                        cookie.value().to_owned(),
                    )
                })
                .collect()
        };
        let [(path, ticket)] = &reported(TICKET)[..] else {
            anyhow::bail!("not one ticket at {name}: {:?}", reported(TICKET));
        };
        assert_eq!(*path, site.folder(name));
        tickets.push(ticket.clone());
        let [(path, _)] = &reported(BROWSER)[..] else {
            anyhow::bail!("not one cookie of the host at {name}");
        };
        assert_eq!(path, "/");
        let ours = cookies.iter().filter(|cookie| cookie.name().starts_with("__"));
        for cookie in ours {
            assert_eq!(
                (cookie.secure(), cookie.http_only()),
                (Some(true), Some(true)),
                "{} at {name}",
                cookie.name()
            );
            assert_ne!(cookie.domain().map(|domain| domain.starts_with('.')), Some(true));
        }
    }
    assert_ne!(tickets[0], tickets[1]);
    // The environment of the application for all these.
    let page = browser.text().await?;
    let page = page.to_lowercase();
    assert!(
        page.contains("/ws10/api/status") && !page.contains("__secure-") && !page.contains("__host-"),
        "{page}"
    );
    Ok(())
}

/// Bob's workspace, in alice's browser: the same page as for a workspace that does not exist.
pub(super) async fn workspaces_of_other_users_are_refused(
    site: &Site,
    browser: &Browser,
) -> anyhow::Result<()> {
    browser.page.goto(&site.url("bobs")?).await?;
    browser.arrived(&Environment::get()?.auth_host()).await?;
    let text = browser.text().await?;
    assert!(!text.contains("bob") && !text.contains("\"path\""), "{text}");
    browser.screenshot("bobs-folder-is-refused").await
}

/// The operator requests JupyterLab's last activity under its folder, and gets answers.
pub(super) async fn reports_idle_state(site: &Site) -> anyhow::Result<()> {
    wait::until("ws1 to say whether it is used", wait::USUAL, || async {
        let ws = site.alice.get("ws1").await.map_err(|error| error.to_string())?;
        let idle = ws.status.and_then(|status| status.idle).unwrap_or_default();
        let reported: Vec<_> = idle
            .signals
            .iter()
            .map(|signal| (signal.name.as_str(), signal.error.is_none()))
            .collect();
        if reported
            == [
                ("user", true),
                ("presence", true),
                ("kernels", true),
                ("terminals", true),
            ]
        {
            Ok(())
        } else {
            Err(format!("{:?}", idle.signals))
        }
    })
    .await?;
    // It was not taken for unused meanwhile.
    let ws = workspace::reached(&site.alice, "ws1", api::workspace::Phase::Running).await?;
    assert_eq!(ws.status.and_then(|status| status.stopped_because), None);
    Ok(())
}
