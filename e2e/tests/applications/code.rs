//! VS Code in the browser (code-server), behind the door.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::{
    Workspace, names,
    workspace::{IdleSignal, Phase},
};
use e2e::{
    browser::{Browser, hostile_page::tries},
    cluster::{self, Scratch},
    http::pod::Direct,
    objects::workspace,
    portal::attested::{keys, now, signer},
    wait,
};
use fantoccini::key::Key;
use kit::assertion_signer::Claims;
use kube::{Api, ResourceExt as _};
use reqwest::Url;
use serde_json::{Value, json};

use super::{create, delete_temporary_files};

/// Name of the workspace.
const NAME: &str = "code";
const HOME: &str = "/home/jovyan";
/// A program, which the test writes and then changes in the editor.
const PROGRAM: &str = "/home/jovyan/sum.py";
const EDITED: &str = "#edited";
const EDITED_AGAIN: &str = "#twice";
/// Files that a command in a terminal makes, before the stop and after the start.
const MADE: &str = "/home/jovyan/made";
const MADE_AGAIN: &str = "/home/jovyan/again";
/// Time in which a page that has loaded shows a terminal after the shortcut, which hides one that is shown.
const OPENS: Duration = Duration::from_secs(10);
/// Settings, extensions and state that are cut off, a configuration with a mistake that code-server does not read, and programs of its names
/// that are none.
const RUIN: &str = r#"
cd
user=.local/share/code-server
mkdir -p .config/code-server .local/bin $user/User/globalStorage $user/Machine $user/extensions/mine-1.0.0
echo 'auth: [' > .config/code-server/config.yaml
printf '{"workbench.colorTheme": "Ju' > $user/User/settings.json
printf '[{"key": ' > $user/User/keybindings.json
printf '{"name": ' > $user/extensions/mine-1.0.0/package.json
printf '[{' > $user/extensions/extensions.json
for file in User/globalStorage/storage.json Machine/settings.json languagepacks.json coder.json; do printf '{"a": ' > $user/$file; done
for name in node code-server; do echo 'no program' > .local/bin/$name; chmod +x .local/bin/$name; done
"#;
/// The text in the editor.
const TEXT: &str = ".monaco-editor .view-lines";
/// The terminal.
const TERMINAL: &str = ".terminal .xterm-screen";
/// The text of an element.
const READ: &str = "return document.querySelector(arguments[0])?.textContent;";
/// What a user does with the debugger.
const DEBUG: &str = include_str!("debug.py");
/// Says yes to the question whether the folder is trusted, if it is asked; whether the page shows the element.
const LOOK: &str = "
    const buttons = [...document.querySelectorAll('.monaco-dialog-box .monaco-button')];
    buttons.find(button => /^(yes|trust)/i.test(button.textContent.trim()))?.click();
    return buttons.length === 0 && document.querySelector(arguments[0])?.getClientRects().length > 0;
";
/// Status of the page in a browser whose cookies are almost as many as the gateway lets through.
const WITH_COOKIES: &str = "
    const set = (value, age) => {
        for (let n = 0; n < 10; n++) document.cookie = `big${n}=${value}; Path=/; Max-Age=${age}`;
    };
    set('x'.repeat(4000), 60);
    fetch(location.href).then(answer => answer.status, () => 'nothing').then(status => { set('', 0); done(status); });
";
/// Hosts that the page and its frames asked for anything.
const HOSTS: &str = "
    const asked = performance.getEntriesByType('resource').map(entry => entry.name);
    const frames = [...document.querySelectorAll('iframe')].map(frame => frame.src);
    const urls = [...asked, ...frames, location.href].filter(url => /^(http|ws)s?:/.test(url));
    return [...new Set(urls.map(url => new URL(url).host))];
";

/// Waits for an element, once no question is open.
async fn shown(browser: &Browser, css: &str) -> anyhow::Result<()> {
    let seen = wait::until(&format!("{css} in VS Code"), wait::USUAL, || async {
        match browser.run(LOOK, vec![css.into()]).await {
            Ok(Value::Bool(true)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    if seen.is_err() {
        browser.screenshot("code-not-seen").await?;
    }
    seen
}

/// The page of VS Code with the program's file open.
fn with_file(workspace: &Workspace) -> anyhow::Result<String> {
    let url = Url::parse(&workspace::url(workspace)?)?;
    let host = url.host_str().context("no host")?;
    let authority = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let file = format!("vscode-remote://{authority}{PROGRAM}");
    let payload = json!([["openFile", file]]).to_string();
    let opens = [("folder", HOME), ("payload", payload.as_str())];
    Ok(Url::parse_with_params(url.as_str(), opens)?.into())
}

/// Alice's workspace.
struct Code {
    scratch: Scratch,
    workspaces: Api<Workspace>,
}

impl Code {
    async fn running(&self) -> anyhow::Result<Workspace> {
        workspace::reached(&self.workspaces, NAME, Phase::Running).await
    }

    /// Runs a command in the pod.
    async fn exec(&self, command: &[&str]) -> anyhow::Result<String> {
        let pod = workspace::pod(&self.running().await?)?;
        cluster::exec(&self.scratch.api(), &pod, command).await
    }

    /// Waits until a file in the home has this text. Does something before each look.
    async fn has(
        &self,
        file: &str,
        text: &str,
        work: impl AsyncFn() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let what = format!("{file} to contain {text:?}");
        wait::until_checked_each_second(&what, wait::USUAL, || async {
            work().await.map_err(|error| format!("{error:#}"))?;
            match self.exec(&["cat", file]).await {
                Ok(now) if now.contains(text) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_terminal_and_debugger_survive_stop_and_start() -> anyhow::Result<()> {
    let scratch = Scratch::new("code", &["alice"]).await?;
    // The timeout is long. The operator reads the last use soon after the start.
    let idle = json!({"enabled": true, "idleTimeoutInMinutes": 5});
    create(&scratch, NAME, "code-editor", &json!({"idleShutdown": idle})).await?;
    let code = Code {
        workspaces: scratch.api(),
        scratch,
    };
    let running = code.running().await?;
    only_attested_requests_reach_it(&running).await?;
    let write = format!("printf 'total = 40 + 2\\nprint(total)\\n' > {PROGRAM}");
    code.exec(&["sh", "-c", &write]).await?;

    let browser = Browser::start().await?;
    browser.enter(&running, "alice").await?;
    shown(&browser, ".monaco-workbench .activitybar").await?;
    browser.page.goto(&with_file(&running)?).await?;
    shown(&browser, TEXT).await?;
    works_in_a_terminal(&code, &browser, MADE).await?;
    edits(&code, &browser, EDITED).await?;
    let status = tries(&browser, WITH_COOKIES, "").await?;
    ensure!(status == 200, "with 40 KiB of cookies: {status}");
    let hosts = browser.run(HOSTS, Vec::new()).await?;
    let own = Url::parse(&workspace::url(&running)?)?;
    let own = own.origin().ascii_serialization().replacen("https://", "", 1);
    ensure!(hosts == json!([own]), "it asked other hosts: {hosts}");
    browser.screenshot("code-editor").await?;
    its_use_is_known(&code.workspaces).await?;
    delete_temporary_files(&code.scratch, &workspace::pod(&running)?).await?;
    browser.page.goto(&with_file(&running)?).await?;
    shown(&browser, TEXT).await?;

    code.exec(&["sh", "-euc", RUIN]).await?;
    workspace::stop(&code.workspaces, NAME).await?;
    let again = workspace::start(&code.workspaces, NAME).await?;
    ensure!(workspace::run_id(&again)? != workspace::run_id(&running)?);
    for (file, text) in [(PROGRAM, EDITED), (MADE, "made")] {
        let now = code.exec(&["cat", file]).await?;
        ensure!(now.contains(text), "{file}: {now}");
    }
    browser.visit(&again).await?;
    browser.page.goto(&with_file(&again)?).await?;
    shown(&browser, TEXT).await?;
    browser.sees(TEXT, EDITED).await?;
    // Both work after the start as before the stop.
    works_in_a_terminal(&code, &browser, MADE_AGAIN).await?;
    edits(&code, &browser, EDITED_AGAIN).await?;
    browser.close().await?;
    // The debugger stops at the second line.
    let debug = ["python3", "-c", DEBUG, PROGRAM, "2", "total"];
    let stopped_at = code.exec(&debug).await?;
    ensure!(stopped_at.trim() == "2 42", "{stopped_at}");
    code.scratch.finish().await
}

/// Types a comment at the end of the file, which saves itself. A page that still loads takes the focus away, so it types until that is there.
async fn edits(code: &Code, browser: &Browser, comment: &str) -> anyhow::Result<()> {
    wait::until_checked_each_second("the editor to take a comment", wait::USUAL, || async {
        let typed = async {
            browser.click(TEXT).await?;
            browser.chord(Key::Control, Key::End).await?;
            browser.type_text(comment).await?;
            browser.run(READ, vec![TEXT.into()]).await
        };
        match typed.await {
            Ok(Value::String(text)) if text.contains(comment) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let saved = code.has(PROGRAM, comment, async || Ok(())).await;
    if saved.is_err() {
        browser.screenshot("code-not-saved").await?;
    }
    saved
}

/// Opens a terminal by its shortcut, unless the page that opens again shows it, and makes a file there.
async fn works_in_a_terminal(code: &Code, browser: &Browser, made: &str) -> anyhow::Result<()> {
    let is_shown = async || anyhow::Ok(browser.run(LOOK, vec![TERMINAL.into()]).await? == true);
    code.has(made, "made", async || {
        if !is_shown().await? {
            browser.shortcut('`').await?;
            wait::until("a terminal", OPENS, || async {
                match is_shown().await {
                    Ok(true) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
        }
        browser.click(TERMINAL).await?;
        browser.type_text(&format!("echo made > {made}")).await?;
        browser.press([Key::Enter]).await
    })
    .await
}

/// The pod at its own address answers nobody whom the gateway does not attest.
async fn only_attested_requests_reach_it(workspace: &Workspace) -> anyhow::Result<()> {
    let pod = Direct::of(workspace).await?;
    let uid = workspace.uid().unwrap_or_default();
    for path in ["", "healthz", "static/", "login", "jupyter-k8s/ssh"] {
        let status = pod.ask(path, &[]).await?;
        ensure!(status == 401, "{path}: {status}");
    }
    let operator = signer(&keys("operator").await?)?;
    let operator = operator.sign(&Claims::new(names::OPERATOR, &uid, names::OPERATOR, now()))?;
    ensure!(pod.ask("", &[&operator]).await? == 401);
    ensure!(pod.ask("healthz", &[&operator]).await? == 200);
    // The control.
    let gateway = signer(&keys("gateway").await?)?;
    let gateway = gateway.sign(&Claims::new(names::GATEWAY, &uid, "alice", now()))?;
    ensure!(pod.ask("healthz", &[&gateway]).await? == 200);
    Ok(())
}

/// The operator reads from the door what the user does. Nothing else is asked.
async fn its_use_is_known(workspaces: &Api<Workspace>) -> anyhow::Result<()> {
    wait::until("the operator to know of its use", wait::USUAL, || async {
        let status = workspaces
            .get(NAME)
            .await
            .map_err(|error| error.to_string())?
            .status;
        let idle = status.unwrap_or_default().idle;
        let signals: Vec<_> = idle.iter().flat_map(|idle| &idle.signals).collect();
        let is_known = |signal: &IdleSignal| signal.error.is_none() && signal.last_activity.is_some();
        let names: Vec<_> = signals.iter().map(|signal| signal.name.as_str()).collect();
        (names == ["user", "presence"] && signals.into_iter().all(is_known))
            .then_some(())
            .ok_or_else(|| format!("{idle:?}"))
    })
    .await
}
