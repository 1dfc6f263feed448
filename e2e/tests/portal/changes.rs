//! Output, YAML and deletion, where a kubelet runs and disks are real.

use api::Workspace;
use api::workspace::{DesiredStatus, Phase};
use e2e::browser::Browser;
use e2e::cluster::{self, Scratch};
use e2e::{
    Environment,
    objects::{template, workspace},
    wait,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use e2e::portal::{Portal, address};

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

/// What a field of the open form holds.
async fn value_of(browser: &Browser, field: &str) -> anyhow::Result<Value> {
    let script = "return document.getElementById('f-' + arguments[0]).value";
    browser.run(script, vec![field.into()]).await
}

/// Types a text in place of what a field of the open form holds.
async fn type_into(browser: &Browser, field: &str, text: &str) -> anyhow::Result<()> {
    let script = "const field = document.getElementById('f-' + arguments[0]); \
                  for (let part = field.closest('details'); part; part = part.parentElement.closest('details')) part.open = true; \
                  field.select()";
    browser.run(script, vec![field.into()]).await?;
    let css = format!("#f-{}", field.replace('.', "\\."));
    Ok(browser.find(&css).await?.send_keys(text).await?)
}

#[tokio::test]
async fn two_users_who_edit_in_browsers_see_both_changes_and_save_and_start_starts() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-two", &["alice", "bob"]).await?;
    scratch.bind("workspace-admin", &["bob"]).await?;
    let stored = workspace::stopped(&scratch, "alice", "ws").await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let edit = address(&format!("/w/{}/ws/edit", scratch.namespace))?;
    let (hers, his) = futures::try_join!(Browser::start(), Browser::start())?;
    let (name, cpu) = ("spec.displayName", "spec.resources.limits.cpu");
    for (browser, user) in [(&hers, "alice"), (&his, "bob")] {
        Portal::enter(user)
            .await?
            .knows(&format!("/w/{}/ws/edit", scratch.namespace))
            .await?;
        browser.sign_in(&edit, user).await?;
        browser.find("#f-spec\\.displayName").await?;
    }
    type_into(&hers, name, "Of alice").await?;

    type_into(&his, name, "Of bob").await?;
    type_into(&his, cpu, "750m").await?;
    his.click("main form .actions button[value=save]").await?;
    his.sees("main", "The changes are stored").await?;
    assert_eq!(alice.get("ws").await?.spec.display_name, "Of bob");

    hers.click("main form .actions button[value=start]").await?;
    hers.sees("main", "Nothing is overwritten").await?;
    hers.sees("main", "bob").await?;
    for text in [&*stored.spec.display_name, "Of bob", "Of alice", "750m"] {
        hers.sees("main table", text).await?;
    }
    let meanwhile = alice.get("ws").await?;
    assert_eq!(
        (&*meanwhile.spec.display_name, meanwhile.spec.desired_status),
        ("Of bob", DesiredStatus::Stopped)
    );
    hers.click("main .actions form button[type=submit]").await?;
    let running = workspace::reached(&alice, "ws", Phase::Running).await?;
    hers.sees("#head", "Running").await?;
    assert_eq!(running.spec.display_name, "Of alice");
    let limits = running
        .spec
        .resources
        .map(|amounts| amounts.limits)
        .unwrap_or_default();
    assert_eq!(limits.get("cpu").map(|cpu| &*cpu.0), Some("750m"), "{limits:?}");
    futures::try_join!(hers.close(), his.close())?;
    scratch.finish().await
}

/// A namespace whose quota of pods is used up by `running`, a workspace of alice with a disk.
async fn full(scratch: &Scratch) -> anyhow::Result<()> {
    template::make(scratch, &json!({"defaultImage": Environment::get()?.images.echo})).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut new = serde_json::to_value(workspace::echo("running")?)?;
    new["spec"]["storage"] = json!({"size": "1Gi"});
    alice
        .create(&PostParams::default(), &serde_json::from_value(new)?)
        .await?;
    workspace::reached(&alice, "running", Phase::Running).await?;
    let quota = json!({"metadata": {"name": "one"}, "spec": {"hard": {"pods": "1"}}});
    let quotas: Api<ResourceQuota> = scratch.api();
    quotas
        .create(&PostParams::default(), &serde_json::from_value(quota)?)
        .await?;
    uses(scratch, "1").await
}

/// Waits until the quota counts so many pods.
async fn uses(scratch: &Scratch, pods: &str) -> anyhow::Result<()> {
    let quotas: Api<ResourceQuota> = scratch.api();
    wait::until(
        &format!("the quota to count {pods} pods"),
        wait::USUAL,
        || async {
            let status = quotas.get("one").await.map_err(|error| error.to_string())?.status;
            let used = status
                .as_ref()
                .and_then(|status| status.used.as_ref()?.get("pods"));
            let counts = used.is_some_and(|used| used.0 == pods);
            counts.then_some(()).ok_or_else(|| format!("{status:?}"))
        },
    )
    .await
}

#[tokio::test]
async fn what_does_not_fit_the_quota_is_said_first_and_a_stop_beside_it_loses_nothing_that_was_typed()
-> anyhow::Result<()> {
    let scratch = Scratch::new("portal-quota", &["alice"]).await?;
    full(&scratch).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let own = &scratch.namespace;
    let browser = Browser::start().await?;
    let new = address(&format!("/new?namespace={own}&template={own}"))?;
    browser.sign_in(&new, "alice").await?;
    browser.sees("#quotas", "Does not fit").await?;
    browser.sees("#quotas", "kernels and terminals end").await?;
    type_into(&browser, "spec.displayName", "Typed before the stop").await?;
    type_into(&browser, "spec.resources.limits.memory", "200Mi").await?;
    browser.click("#quotas button[name=stop]").await?;
    browser.sees("main", "What you typed is still here").await?;
    assert_eq!(
        value_of(&browser, "spec.displayName").await?,
        "Typed before the stop"
    );
    assert_eq!(value_of(&browser, "spec.resources.limits.memory").await?, "200Mi");
    workspace::reached(&alice, "running", Phase::Stopped).await?;
    let all = alice.list(&ListParams::default()).await?.items;
    assert_eq!(all.len(), 1, "the stop creates nothing: {all:?}");

    uses(&scratch, "0").await?;
    browser.click("main form .actions button[type=submit]").await?;
    browser.sees("#head", "Running").await?;
    let all = alice.list(&ListParams::default()).await?.items;
    let made = all
        .iter()
        .find(|it| it.spec.display_name == "Typed before the stop");
    let limits = made
        .and_then(|made| made.spec.resources.clone())
        .unwrap_or_default()
        .limits;
    assert_eq!(
        limits.get("memory").map(|memory| &*memory.0),
        Some("200Mi"),
        "{all:?}"
    );
    browser.close().await?;
    template::finish(scratch).await
}

/// Creates a stopped workspace with a disk of its own as alice.
async fn with_disk(scratch: &Scratch, name: &str, retain: &str) -> anyhow::Result<()> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut new = serde_json::to_value(workspace::echo(name)?)?;
    new["spec"]["storage"] = json!({"size": "1Gi", "retain": retain});
    new["spec"]["desiredStatus"] = json!(DesiredStatus::Stopped);
    alice
        .create(&PostParams::default(), &serde_json::from_value(new)?)
        .await?;
    workspace::reached(&alice, name, Phase::Stopped).await?;
    Ok(())
}

#[tokio::test]
async fn a_deleted_workspace_leaves_the_open_list_and_its_disk_stays_only_if_it_says_so() -> anyhow::Result<()>
{
    let scratch = Scratch::new("portal-delete", &["alice"]).await?;
    futures::try_join!(
        with_disk(&scratch, "kept", "Retain"),
        with_disk(&scratch, "lost", "Delete")
    )?;
    let workspaces: Api<Workspace> = scratch.api();
    let claims: Api<PersistentVolumeClaim> = scratch.api();
    let portal = Portal::enter("alice").await?;
    let browser = Browser::start().await?;
    let list = address(&format!("/?namespace={}", scratch.namespace))?;
    browser.sign_in(&list, "alice").await?;
    for (name, says, other, is_kept) in [
        ("lost", "deleted with all files", "kept", false),
        ("kept", "kept", "lost", true),
    ] {
        let at = format!("/w/{}/{name}/delete", scratch.namespace);
        portal.knows(&at).await?;
        let question = portal.json(&at).await?;
        let fates = question["consequences"].as_array().cloned().unwrap_or_default();
        let disk = fates
            .iter()
            .find(|it| it["what"].as_str().is_some_and(|what| what.starts_with("Disk ")));
        let effect = disk.and_then(|disk| disk["effect"].as_str()).unwrap_or_default();
        assert!(effect.ends_with(says), "{question}");
        // Where files are lost, the name must be typed.
        assert_eq!(question["typed"] == name, !is_kept, "{question}");
        let uid = workspaces.get(name).await?.uid().unwrap_or_default();
        let right = [("uid", &*uid), ("name", if is_kept { "" } else { name })];
        if !is_kept {
            let wrong = portal.post(&at, &[("uid", &uid), ("name", other)]).await?;
            assert_eq!(wrong.status(), 422);
            assert!(workspaces.get(name).await?.metadata.deletion_timestamp.is_none());
        }
        browser.sees("#rows", name).await?;
        let answer = portal.post(&at, &right).await?;
        assert_eq!(answer.status(), 303, "{}", answer.text().await?);
        wait::until("the row to leave the open list", wait::USUAL, || async {
            let text = browser.text().await.map_err(|error| format!("{error:#}"))?;
            let link = format!("{}/{name}", scratch.namespace);
            if text.contains(&link) { Err(text) } else { Ok(()) }
        })
        .await?;
        assert!(
            workspaces.get_opt(name).await?.is_none(),
            "{name} was shown as gone too early"
        );
    }
    wait::until("only the kept disk to be there", wait::USUAL, || async {
        let all = claims
            .list(&ListParams::default())
            .await
            .map_err(|error| vec![error.to_string()])?;
        let left: Vec<_> = all
            .iter()
            .filter(|claim| claim.metadata.deletion_timestamp.is_none())
            .map(kube::ResourceExt::name_any)
            .collect();
        if left == ["workspace-kept"] {
            Ok(())
        } else {
            Err(left)
        }
    })
    .await?;
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
    browser.run(HOLD, Vec::new()).await?;
    browser.click(confirm).await?;
    says(confirm, "Stopping…").await?;
    browser.find("dialog[open] #announce").await?;
    browser.run("window.letGo(true)", Vec::new()).await?;
    browser.sees("#head", "Stopp").await?;
    browser.close().await?;
    scratch.finish().await
}
