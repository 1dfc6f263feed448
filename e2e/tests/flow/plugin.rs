//! `kubectl workspace`: each command's output and exit code on the cluster.

use api::{Workspace, WorkspaceShare, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    command::{Following, Outcome, administer, kubectl},
    objects::workspace,
    wait,
};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

/// Runs `kubectl workspace <line> -n <namespace>` as alice.
async fn plugin(scratch: &Scratch, line: &str) -> anyhow::Result<Outcome> {
    plugin_of("alice", scratch, line).await
}

async fn plugin_of(user: &str, scratch: &Scratch, line: &str) -> anyhow::Result<Outcome> {
    kubectl(user, &arguments(scratch, line)).await
}

fn arguments<'a>(scratch: &'a Scratch, line: &'a str) -> Vec<&'a str> {
    let words = ["workspace"].into_iter().chain(line.split_whitespace());
    words.chain(["-n", scratch.namespace.as_str()]).collect()
}

#[tokio::test]
async fn the_plugin_shares_stops_starts_restarts_and_deletes() -> anyhow::Result<()> {
    let scratch = Scratch::new("plugin", &["alice", "bob"]).await?;
    let alice = kube::Api::<Workspace>::namespaced(cluster::user("alice").await?, &scratch.namespace);
    workspace::stopped(&scratch, "alice", "demo").await?;
    let started = plugin(&scratch, "start demo --wait").await?;
    let sentence = "workspace.workspaces.jupyter.org/demo started\n";
    assert_eq!(
        (started.code, started.stdout.as_str()),
        (0, sentence),
        "{started:?}"
    );
    let running = workspace::reached(&scratch.api(), "demo", Phase::Running).await?;

    let listed = plugin(&scratch, "list --mine").await?;
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(listed.stdout.contains(&workspace::url(&running)?), "{listed:?}");
    let opened = plugin(&scratch, "open demo --print").await?;
    assert_eq!(opened.stdout.trim(), workspace::url(&running)?, "{opened:?}");
    let explained = plugin(&scratch, "explain demo").await?;
    assert_eq!(explained.code, 0, "{explained:?}");
    assert!(explained.stdout.starts_with("It runs."), "{explained:?}");
    shows_its_output(&scratch).await?;

    shares_with_a_user(&scratch).await?;
    shares_with_a_group_and_an_account(&scratch).await?;
    let set = plugin(&scratch, "set demo --idle never").await?;
    assert_eq!(set.code, 0, "{set:?}");
    assert!(
        set.stderr.contains("Takes effect now: spec.idleShutdown"),
        "{set:?}"
    );

    let first = workspace::run_id(&running)?;
    let restarted = plugin(&scratch, "restart demo --wait --yes").await?;
    assert_eq!(restarted.code, 0, "{restarted:?}");
    let second = workspace::reached(&scratch.api(), "demo", Phase::Running).await?;
    assert_ne!(workspace::run_id(&second)?, first, "{restarted:?}");

    let labels = Patch::Merge(json!({"metadata": {"labels": {"course": "ml"}}}));
    alice.patch("demo", &PatchParams::default(), &labels).await?;
    let none = plugin(&scratch, "stop -l course=other --yes").await?;
    assert_eq!((none.code, none.stdout.as_str()), (0, ""), "{none:?}");
    let mut changes = Following::start("alice", &arguments(&scratch, "list --watch"))?;
    changes.line_with("Running").await?;
    let stopped = plugin(&scratch, "stop -l course=ml --wait --yes").await?;
    assert_eq!(stopped.code, 0, "{stopped:?}");
    assert!(
        stopped.stderr.contains("kernels and terminals end"),
        "{stopped:?}"
    );
    let change = changes.line_with("Stopped").await?;
    assert!(change.starts_with("demo "), "{change}");
    drop(changes);
    let closed = plugin(&scratch, "open demo --print").await?;
    assert_eq!((closed.code, closed.stdout.as_str()), (3, ""), "{closed:?}");
    let refused = plugin_of("bob", &scratch, "start demo").await?;
    assert_eq!(refused.code, 1, "only the owner starts it: {refused:?}");
    let started = plugin(&scratch, "open demo --start --print").await?;
    assert_eq!(started.code, 0, "{started:?}");
    assert_eq!(started.stdout.trim(), workspace::url(&running)?, "{started:?}");

    let unasked = plugin(&scratch, "delete --all").await?;
    assert_eq!(unasked.code, 2, "files are deleted only after a yes: {unasked:?}");
    let deleted = plugin(&scratch, "delete --all --yes --wait").await?;
    assert_eq!(deleted.code, 0, "{deleted:?}");
    assert!(scratch.api::<Workspace>().get_opt("demo").await?.is_none());
    scratch.finish().await
}

/// A share of `demo` opens it to bob until it is ended.
async fn shares_with_a_user(scratch: &Scratch) -> anyhow::Result<()> {
    let own = plugin(scratch, "explain demo --access").await?;
    assert_eq!(own.code, 0, "{own:?}");
    let access_of_bob = arguments(scratch, "explain demo --access --user bob");
    let denied = administer(&access_of_bob).await?;
    assert_eq!(denied.code, 3, "{denied:?}");
    assert!(denied.stdout.contains("no rule admits the user"), "{denied:?}");
    let shared = plugin(scratch, "share demo --user bob --for 1h").await?;
    assert_eq!(shared.code, 0, "{shared:?}");
    let listed = plugin(scratch, "shares demo").await?;
    assert!(listed.stdout.contains("User bob"), "{listed:?}");
    wait::until("the share to count", wait::USUAL, || async {
        match administer(&access_of_bob)
            .await
            .map_err(|error| error.to_string())?
        {
            allowed if allowed.code == 0 && allowed.stdout.starts_with("The user may connect") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let shared = plugin_of("bob", scratch, "list --shared").await?;
    assert_eq!(shared.code, 0, "{shared:?}");
    assert!(shared.stdout.contains("\ndemo "), "{shared:?}");
    let own = plugin(scratch, "list --shared").await?;
    assert_eq!((own.code, own.stdout.as_str()), (0, ""), "{own:?}");
    let ended = plugin(scratch, "unshare demo --user bob").await?;
    assert_eq!(ended.code, 0, "{ended:?}");
    let left = scratch
        .api::<WorkspaceShare>()
        .list(&ListParams::default())
        .await?;
    assert!(left.items.is_empty(), "{ended:?}");
    Ok(())
}

/// One share of `demo` names a group and a service account. It ends for each of them.
async fn shares_with_a_group_and_an_account(scratch: &Scratch) -> anyhow::Result<()> {
    let account = format!("{}:robot", scratch.namespace);
    let share = format!("share demo --group crew --serviceaccount {account} --for 1h");
    let made = plugin(scratch, &share).await?;
    assert_eq!(made.code, 0, "{made:?}");
    let subjects = format!("Group crew, ServiceAccount {account}   True ");
    wait::until("the share to count", wait::USUAL, || async {
        match plugin(scratch, "shares demo").await {
            Ok(listed) if listed.stdout.contains(&subjects) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let stored = scratch.api::<WorkspaceShare>();
    for (subject, end, left) in [
        ("--group crew".to_owned(), " changed\n", 1),
        (format!("--serviceaccount {account}"), " deleted\n", 0),
    ] {
        let ended = plugin(scratch, &format!("unshare demo {subject}")).await?;
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.stdout.ends_with(end), "{ended:?}");
        let all = stored.list(&ListParams::default()).await?;
        assert_eq!(all.items.len(), left, "{ended:?}");
    }
    Ok(())
}

/// The output of the pod of `demo`: alice may read it once she has the right to.
async fn shows_its_output(scratch: &Scratch) -> anyhow::Result<()> {
    let refused = plugin(scratch, "logs demo").await?;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("for get on pods/log."), "{refused:?}");
    let rules = json!([
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]);
    scratch.grant("logs", "alice", &rules).await?;
    for flags in ["", " -c workspace --since 1h", " --tail 100"] {
        let logs = plugin(scratch, &format!("logs demo{flags}")).await?;
        assert_eq!(logs.code, 0, "{flags}: {logs:?}");
        assert!(logs.stdout.contains("listening on port"), "{flags}: {logs:?}");
    }
    let none = plugin(scratch, "logs demo --tail 0").await?;
    assert_eq!((none.code, none.stdout.as_str()), (0, ""), "{none:?}");
    let previous = plugin(scratch, "logs demo --previous").await?;
    assert_eq!(previous.code, 1, "{previous:?}");
    assert!(
        previous.stderr.contains("previous terminated container"),
        "{previous:?}"
    );
    Ok(())
}
