//! Workspaces and an action -> one GET and one PATCH or DELETE each, and the result (IO).

use api::Workspace;
use api::names::RESTARTED_AT;
use api::request;
use api::workspace::DesiredStatus;
use explain::consequence::{Action, Consequence};
use futures::{StreamExt as _, stream};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::targets::{Target, parse, resolve};
use crate::args::{Change, Format};
use crate::cluster::Cluster;
use crate::cluster::wait::{self, Deadline, Goal};
use crate::console::Console;
use crate::failure::Failure;
use crate::output;

/// Requests at the same time.
const AT_ONCE: usize = 8;
/// How often a change is tried on an object that others change meanwhile.
pub(super) const ATTEMPTS: usize = 5;

/// What became of one workspace.
#[derive(Debug)]
pub(super) struct Done {
    /// After the change; before a deletion.
    pub(super) workspace: Workspace,
    /// What is said of it, such as `started`.
    what: &'static str,
    /// What to wait for.
    goal: Goal,
}

/// Changes all workspaces that the arguments name. Each is a line, and the highest exit code counts.
pub(crate) async fn run(
    cluster: &Cluster,
    action: Action,
    args: &Change,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if action == Action::Delete && !matches!(args.output, None | Some(Format::Name)) {
        return Err(Failure::Usage(
            "delete prints names at most: use -o name, or list -o before it".to_owned(),
        ));
    }
    let deadline = Deadline::after(args.timeout);
    let mut targets = resolve(cluster, &args.targets).await?;
    if targets.is_empty() {
        writeln!(
            console.err,
            "No workspaces found in namespace {}.",
            cluster.namespace()
        )?;
        return Ok(());
    }
    let all = targets.len();
    let mut failed = Vec::new();
    read_all(cluster, &mut targets, &mut failed, console).await?;
    announce(action, &targets, args.yes, console)?;
    let changes =
        stream::iter(&targets).map(|target| async move { (target, one(cluster, action, target).await) });
    let mut changes = changes.buffered(AT_ONCE);
    let mut waiting = Vec::new();
    while let Some((target, outcome)) = changes.next().await {
        cluster.show_notes(&mut console.err)?;
        match outcome {
            Ok(done) => {
                let object = serde_json::to_value(&done.workspace)?;
                match &args.output {
                    None => writeln!(console.out, "{} {}", output::name(&object), done.what)?,
                    Some(Format::Name) => writeln!(console.out, "{}", output::name(&object))?,
                    // Whole objects are printed once, in their final state.
                    Some(_) => {}
                }
                waiting.push((target, done));
            }
            Err(failure) => report(target, failure, all, &mut failed, console)?,
        }
    }
    console.out.flush()?;
    for (target, done) in waiting.iter_mut().filter(|_| args.wait) {
        let waited = wait::until(
            cluster.client(),
            &done.workspace,
            &done.goal,
            deadline,
            &mut console.err,
        )
        .await;
        match waited {
            Ok(workspace) => done.workspace = workspace,
            Err(failure) => report(target, failure, all, &mut failed, console)?,
        }
    }
    let format = args.output.as_ref().filter(|format| **format != Format::Name);
    if let Some(format) = format.filter(|_| !waiting.is_empty()) {
        let objects = waiting
            .iter()
            .map(|(_, done)| serde_json::to_value(&done.workspace));
        let objects = objects.collect::<Result<Vec<_>, _>>()?;
        let text = match objects.as_slice() {
            [only] if all == 1 => output::object(only, format)?,
            objects => output::list(objects, format)?,
        };
        console.out.data(&text)?;
    }
    match (failed.pop(), failed.iter().map(Failure::code).max()) {
        (None, _) => Ok(()),
        (Some(only), _) if all == 1 => Err(only),
        (Some(last), others) => Err(Failure::Several {
            failed: failed.len() + 1,
            all,
            code: last.code().max(others.unwrap_or(0)),
        }),
    }
}

/// Shows the failure at once if there are several workspaces; a single one is the command's failure.
fn report(
    target: &Target,
    failure: Failure,
    all: usize,
    failed: &mut Vec<Failure>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if all > 1 {
        console.show_failure(&format!("{}: {failure}", target.name))?;
    }
    failed.push(failure);
    Ok(())
}

/// Reads the workspaces that no list had. Those that cannot be read are reported, and left out.
async fn read_all(
    cluster: &Cluster,
    targets: &mut Vec<Target>,
    failed: &mut Vec<Failure>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let all = targets.len();
    let reads = stream::iter(targets.drain(..)).map(|target| async move {
        let workspace = match target.listed.clone() {
            Some(workspace) => Ok(workspace),
            None => target.read(cluster).await,
        };
        (target, workspace)
    });
    let reads: Vec<_> = reads.buffered(AT_ONCE).collect().await;
    for (target, workspace) in reads {
        match workspace {
            Ok(workspace) => targets.push(Target {
                listed: Some(workspace),
                ..target
            }),
            Err(failure) => report(&target, failure, all, failed, console)?,
        }
    }
    Ok(())
}

/// Says what the action takes along and whether it leaves recovery, and asks where files are lost.
fn announce(action: Action, targets: &[Target], yes: bool, console: &mut Console<'_>) -> Result<(), Failure> {
    let leaves_recovery = |workspace: &Workspace| {
        let is_stopped = workspace.spec.desired_status == DesiredStatus::Stopped;
        action == Action::Start && is_stopped && workspace.spec.recovery_mode
    };
    for target in targets {
        if target.listed.as_ref().is_some_and(leaves_recovery) {
            writeln!(
                console.err,
                "{}: it leaves recovery and starts normally",
                target.name
            )?;
        }
    }
    let consequences = targets
        .iter()
        .filter_map(|target| Consequence::from_action(action, target.listed.as_ref()?));
    let consequences: Vec<_> = consequences.collect();
    for consequence in &consequences {
        writeln!(console.err, "{}", consequence.text)?;
    }
    if yes || !consequences.iter().any(|consequence| consequence.loses_files) {
        return Ok(());
    }
    let Some(answers) = console.answers.as_deref_mut() else {
        return Err(Failure::Usage(
            "files would be deleted, and there is no terminal to ask: add --yes".to_owned(),
        ));
    };
    write!(console.err, "Continue? [y/N] ")?;
    console.err.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Usage("nothing was changed".to_owned())),
    }
}

/// Reads a workspace, unless a list had it, and changes it if it is still as read. If others change it meanwhile, it is read again.
pub(super) async fn one(cluster: &Cluster, action: Action, target: &Target) -> Result<Done, Failure> {
    let mut known = target.listed.clone();
    let mut attempt = 1;
    loop {
        let workspace = match known.take() {
            Some(workspace) => workspace,
            None => target.read(cluster).await?,
        };
        match change(cluster, action, target, workspace).await {
            Err(failure) if failure.is_conflict() && attempt < ATTEMPTS => attempt += 1,
            outcome => return outcome.map_err(|failure| target.missing(failure)),
        }
    }
}

async fn change(
    cluster: &Cluster,
    action: Action,
    target: &Target,
    workspace: Workspace,
) -> Result<Done, Failure> {
    let namespace = Some(target.namespace.as_str());
    let desired = workspace.spec.desired_status;
    let unchanged = |what, goal, workspace| {
        Ok(Done {
            workspace,
            what,
            goal,
        })
    };
    let run = workspace.status.as_ref().and_then(|status| status.run_id.clone());
    let (what, goal, mut patch) = match action {
        Action::Delete if workspace.metadata.deletion_timestamp.is_some() => {
            return unchanged("is already being deleted", Goal::Gone, workspace);
        }
        Action::Delete => {
            let uid = workspace.metadata.uid.as_deref();
            cluster.delete::<Workspace>(namespace, &target.name, uid).await?;
            return unchanged("deleted", Goal::Gone, workspace);
        }
        Action::Stop if workspace.metadata.deletion_timestamp.is_some() => {
            return unchanged("is being deleted", Goal::Gone, workspace);
        }
        _ if workspace.metadata.deletion_timestamp.is_some() => {
            return Err(Failure::NotAsWanted {
                name: target.name.clone(),
                wanted: "as wanted",
                reason: api::condition::reason::DELETING.to_owned(),
                message: "it is being deleted: create it anew when it is gone".to_owned(),
            });
        }
        Action::Stop if desired == DesiredStatus::Stopped => {
            return unchanged("is already stopped", Goal::Stopped, workspace);
        }
        Action::Restart if desired == DesiredStatus::Stopped => {
            return Err(Failure::NotAsWanted {
                name: target.name.clone(),
                wanted: "running",
                reason: api::condition::reason::STOPPED.to_owned(),
                message: format!(
                    "start it: kubectl workspace start {} -n {}",
                    target.name, target.namespace
                ),
            });
        }
        Action::Start | Action::Recover => {
            let in_recovery = action == Action::Recover;
            let runs = desired == DesiredStatus::Running;
            let replaces = request::replaces_run(&workspace, in_recovery);
            let Some(patch) = request::start(&workspace, in_recovery, Timestamp::now()) else {
                let what = if in_recovery {
                    "is already started in recovery"
                } else {
                    "is already started"
                };
                return unchanged(what, Goal::AVAILABLE, workspace);
            };
            let what = match (replaces, in_recovery) {
                (false, false) if runs => "runs on normally",
                (false, true) if runs => "runs on in recovery",
                (false, false) => "started",
                (false, true) => "started in recovery",
                (true, false) => "restarted normally",
                (true, true) => "restarted in recovery",
            };
            let other_than = run.filter(|_| replaces);
            (what, Goal::Available { other_than }, patch)
        }
        Action::Stop => ("stopped", Goal::Stopped, desires("Stopped")),
        Action::Restart => {
            let now = Timestamp::now();
            let patch = json!({"metadata": {"annotations": {RESTARTED_AT: now.to_string()}}});
            ("restarted", Goal::Available { other_than: run }, patch)
        }
    };
    // The change is of the version that was read and, for a stop, announced.
    patch["metadata"]["resourceVersion"] = json!(workspace.metadata.resource_version);
    let changed = cluster
        .merge::<Workspace>(namespace, &target.name, &patch)
        .await?;
    unchanged(what, goal, parse(changed)?)
}

fn desires(status: &str) -> Value {
    json!({"spec": {"desiredStatus": status}})
}
