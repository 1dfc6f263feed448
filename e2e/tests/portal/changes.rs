//! Output, YAML and deletion, where a kubelet runs and disks are real.

use anyhow::Context as _;
use api::Workspace;
use api::workspace::DesiredStatus;
use e2e::Environment;
use e2e::browser::Browser;
use e2e::cluster::{self, Scratch};
use e2e::{objects::workspace, wait};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use e2e::portal::{Portal, TYPE, address};

#[tokio::test]
async fn lines_come_to_the_open_page_of_logs_while_the_container_writes_them() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-logs", &["alice"]).await?;
    let running = workspace::running(&scratch, "ws").await?;
    let logs = format!("/w/{}/ws/logs", scratch.namespace);
    let portal = Portal::enter("alice").await?;
    // The chart's role has no right to them.
    let (_, page) = portal.open(&format!("/w/{}/ws", scratch.namespace)).await?;
    assert!(!page.contains(&format!("href=\"{logs}\"")), "{page}");
    let (_, page) = portal.open(&logs).await?;
    assert!(
        page.contains("Ask an administrator of the namespace") && page.contains("pods/log"),
        "{page}"
    );
    assert!(!page.contains("listening on port"), "{page}");

    let rules = json!([{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]);
    scratch.grant("logs", "alice", &rules).await?;
    let (pods, pod): (Api<Pod>, _) = (scratch.api(), workspace::pod(&running)?);
    let write = async |line: &str| {
        let line = format!("open('/proc/1/fd/1', 'w').write({} + chr(10))", json!(line));
        cluster::exec(&pods, &pod, &["python3", "-c", &line]).await
    };
    let browser = Browser::start().await?;
    browser.sign_in(&address(&logs)?, "alice").await?;
    wait::until("the page to show the output", wait::USUAL, || async {
        let text = browser.text().await.map_err(|error| format!("{error:#}"))?;
        if text.contains("listening on port") {
            return Ok(());
        }
        browser.page.refresh().await.map_err(|error| error.to_string())?;
        Err(text)
    })
    .await?;
    browser.sees("#following", "Following").await?;
    write("one <b>bold</b> line").await?;
    browser.sees("#log", "one <b>bold</b> line").await?;
    browser.click("#follow").await?;
    browser.sees("#following", "Not following").await?;
    write("two").await?;
    // It was written, and the open page did not get it.
    let (_, page) = portal.open(&logs).await?;
    assert!(page.contains("\ntwo\n"), "{page}");
    let shown = browser.find("#log").await?.text().await?;
    assert!(!shown.contains("two"), "{shown}");
    // While the stream is refused, the page asks for it again.
    let delete = DeleteParams::default();
    scratch.api::<Role>().delete("logs", &delete).await?;
    scratch.api::<RoleBinding>().delete("logs", &delete).await?;
    wait::until("the right to be gone", wait::USUAL, || async {
        let (_, page) = portal.open(&logs).await.map_err(|error| format!("{error:#}"))?;
        if page.contains("Ask an administrator of the namespace") {
            Ok(())
        } else {
            Err(page)
        }
    })
    .await?;
    browser.click("#follow").await?;
    browser.sees("#following", "Trying again").await?;
    scratch.grant("logs", "alice", &rules).await?;
    browser.sees("#following", "Following").await?;
    write("three").await?;
    browser.sees("#log", "three").await?;
    let (_, file) = portal.open(&format!("{logs}/file")).await?;
    for line in ["listening on port 8888", "one <b>bold</b> line", "two", "three"] {
        assert_eq!(file.lines().filter(|it| *it == line).count(), 1, "{line}: {file}");
    }
    browser.close().await?;
    scratch.finish().await
}

#[tokio::test]
async fn yaml_is_stored_as_it_was_typed_and_a_fault_is_named_with_its_line() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-yaml", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    workspace::stopped(&scratch, "alice", "ws").await?;
    let browser = Browser::start().await?;
    let at = format!("/w/{}/ws", scratch.namespace);
    browser.sign_in(&address(&format!("{at}/yaml"))?, "alice").await?;
    let yaml = async || -> anyhow::Result<String> {
        let text = browser
            .run("return document.getElementById('yaml').value", Vec::new())
            .await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    };
    let typed = async |text: &str| {
        let script = "const yaml = document.getElementById('yaml'); yaml.value = arguments[0]; \
                      yaml.dispatchEvent(new InputEvent('input', { bubbles: true }))";
        browser.run(script, vec![text.into()]).await
    };
    let first = yaml().await?;

    // A fault is named while one types, and its link leads there.
    let wrong = format!("{}\n  port: many\n", first.trim_end());
    let line = wrong.lines().count();
    typed(&wrong).await?;
    browser.sees("#summary", &format!("Line {line}, column")).await?;
    browser.click("#summary a[data-offset]").await?;
    let caret = "const yaml = document.getElementById('yaml'); return [document.activeElement === yaml, yaml.value.slice(yaml.selectionStart)]";
    let caret = browser.run(caret, Vec::new()).await?;
    assert_eq!(caret[0], Value::Bool(true), "{caret}");
    let rest = caret[1].as_str().unwrap_or_default();
    assert!(rest.starts_with("many") || rest.starts_with("port"), "{caret}");
    // The API server's own refusal has a line, too.
    let negative = format!("{}\n  port: 80\n", first.trim_end());
    typed(&negative).await?;
    browser.sees("#summary", "spec.port").await?;
    browser.sees("#summary", &format!("Line {line}, column")).await?;
    assert_eq!(alice.get("ws").await?.spec.port, None, "a check stores nothing");

    // A comment stays on the way to the form and back, and what is stored is what was typed.
    let right = format!(
        "# for the seminar\n{}\n  port: 8888 # as the image has it\n",
        first.trim_end()
    );
    typed(&right).await?;
    browser.click("button[name=view][value=form]").await?;
    browser.find("#f-spec\\.displayName").await?;
    browser.click("button[name=view][value=yaml]").await?;
    browser.find("#yaml").await?;
    assert_eq!(yaml().await?.trim_end(), right.trim_end());
    browser.click("main form .actions button[value=save]").await?;
    browser.sees("main", "The changes are stored").await?;
    assert_eq!(alice.get("ws").await?.spec.port, Some(8888));
    browser.close().await?;
    scratch.finish().await
}

#[tokio::test]
async fn a_form_sent_after_the_session_ended_stores_nothing_and_keeps_what_was_typed_for_the_next_try()
-> anyhow::Result<()> {
    const TYPED: &str = "typed before the end";
    let environment = Environment::get()?;
    let scratch = Scratch::new("portal-ended", &["alice"]).await?;
    workspace::stopped(&scratch, "alice", "ws").await?;
    let workspaces: Api<Workspace> = scratch.api();
    let name = async || anyhow::Ok(workspaces.get("ws").await?.spec.display_name);
    let before = name().await?;
    let browser = Browser::start().await?;
    let edit = address(&format!("/w/{}/ws/edit", scratch.namespace))?;
    let (field, save) = ("#f-spec\\.displayName", "main form .actions button[value=save]");
    browser.sign_in(&edit, "alice").await?;
    let input = browser.find(field).await?;
    input.clear().await?;
    input.send_keys(TYPED).await?;

    let form = browser.page.window().await?;
    let other = browser.page.new_window(true).await?.handle;
    browser.page.switch_to_window(other.clone()).await?;
    let auth = format!("{}/", environment.origin(&environment.auth_host()));
    browser.page.goto(&auth).await?;
    browser.sees("h1", "You are signed in").await?;
    browser.click("form button").await?;
    browser.sees("h1", "You are signed out").await?;

    browser.page.switch_to_window(form.clone()).await?;
    browser.click(save).await?;
    browser.sees("#gone", "What you typed stays on this page").await?;
    assert_eq!(name().await?, before);

    // As the page says.
    let link = browser.find("#gone a").await?;
    let link = link.prop("href").await?.context("no link")?;
    browser.page.switch_to_window(other).await?;
    browser.sign_in(&link, "alice").await?;
    browser.page.switch_to_window(form).await?;
    let kept = browser.find(field).await?.prop("value").await?;
    assert_eq!(kept.as_deref(), Some(TYPED));
    browser.click(save).await?;
    browser.sees("main", "The changes are stored").await?;
    assert_eq!(name().await?, TYPED);
    browser.close().await?;
    scratch.finish().await
}

/// Holds back what scripts fetch until `letGo` says whether it is answered.
const HOLD: &str = "
    const real = window.fetch;
    const held = new Promise((resolve) => { window.letGo = resolve; });
    window.fetch = async (...request) => {
        if (!(await held)) throw new TypeError('no connection');
        return real(...request);
    };
";

#[tokio::test]
async fn a_pressed_button_says_at_once_what_is_being_done_and_takes_it_back_if_nothing_was_sent()
-> anyhow::Result<()> {
    let scratch = Scratch::new("portal-pressed", &["alice"]).await?;
    workspace::stopped(&scratch, "alice", "ws").await?;
    let workspaces: Api<Workspace> = scratch.api();
    let browser = Browser::start().await?;
    let page = address(&format!("/w/{}/ws", scratch.namespace))?;
    browser.sign_in(&page, "alice").await?;
    let start = "#head form[action$='/start'] button";
    let says = async |button: &str, text: &str| {
        let shown = browser
            .find(&format!("{button}[aria-busy=true]"))
            .await?
            .text()
            .await?;
        assert_eq!(shown, text);
        browser.sees("#announce", text).await
    };
    browser.find(start).await?;
    browser.run(HOLD, Vec::new()).await?;
    browser.click(start).await?;
    says(start, "Starting…").await?;
    browser.run("window.letGo(false)", Vec::new()).await?;
    browser.sees("#away", "nothing was sent").await?;
    browser.find(&format!("{start}:not([aria-busy])")).await?;
    assert_eq!(browser.find(start).await?.text().await?.trim(), "Start");
    let desired = workspaces.get("ws").await?.spec.desired_status;
    assert_eq!(desired, DesiredStatus::Stopped, "nothing was sent");

    browser.page.goto(&page).await?;
    browser.find(start).await?;
    browser.run(HOLD, Vec::new()).await?;
    browser.click(start).await?;
    says(start, "Starting…").await?;
    browser.run("window.letGo(true)", Vec::new()).await?;
    browser.sees("#head", "Running").await?;

    let stop = "document.querySelector(\"a[data-dialog][href$='/stop']\").click()";
    let confirm = "dialog[open] button[type=submit]";
    browser.run(stop, Vec::new()).await?;
    browser.find(confirm).await?;
    browser.run(TYPE, Vec::new()).await?;
    browser.run(HOLD, Vec::new()).await?;
    browser.click(confirm).await?;
    says(confirm, "Stopping…").await?;
    browser.find("dialog[open] #announce").await?;
    browser.run("window.letGo(true)", Vec::new()).await?;
    browser.sees("#head", "Stopp").await?;
    browser.close().await?;
    scratch.finish().await
}
