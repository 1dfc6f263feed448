//! A workspace and a time -> the annotation by which no idle rule stops it before (IO).

use api::Workspace;
use api::names::KEEP_UNTIL;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rules::keep;
use rules::stops::{self, Stop, Times};
use serde_json::json;

use super::targets::{Target, parse};
use crate::args::Keep;
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;
use crate::output;

/// Keeps the workspace, or no longer. How long is allowed is the API server's to judge.
pub(crate) async fn run(cluster: &Cluster, args: &Keep, console: &mut Console<'_>) -> Result<(), Failure> {
    let target = Target::new(cluster, &args.name);
    let until = end(args);
    let patch = json!({"metadata": {"annotations": {KEEP_UNTIL: until.map(|until| until.to_string())}}});
    let kept = cluster
        .merge::<Workspace>(Some(&target.namespace), &target.name, &patch)
        .await;
    cluster.show_notes(&mut console.err)?;
    let object = kept.map_err(|failure| target.missing(failure))?;
    match &args.output {
        None => {
            let what = until.map_or_else(|| "is kept no longer".to_owned(), keep::words);
            writeln!(console.out, "{} {what}", output::name(&object))?;
        }
        Some(format) => console.out.data(&output::object(&object, format)?)?,
    }
    let workspace = parse(object)?;
    if let Some(line) = until.and_then(|until| effect(&workspace, until)) {
        writeln!(console.err, "{line}")?;
    }
    Ok(())
}

fn end(args: &Keep) -> Option<Timestamp> {
    let after = |lasts| {
        Timestamp::now()
            .checked_add(SignedDuration::try_from(lasts).ok()?)
            .ok()
    };
    let end = args.until.or_else(|| after(args.lasts?))?;
    Timestamp::from_second(end.as_second()).ok()
}

/// What the time does not change, if a user could expect it.
fn effect(workspace: &Workspace, until: Timestamp) -> Option<String> {
    let status = workspace.status.as_ref()?;
    let values = status.resolved.as_ref()?;
    if values.idle_timeout_in_minutes.is_none() {
        return Some("No idle rule stops this workspace now: the time counts once one does.".to_owned());
    }
    // The status announces idleness alone while that comes first.
    let failing_since = status.failing_since.as_ref();
    let times = Times {
        running_since: status.running_since.as_ref().map(|since| since.0),
        failing_since: failing_since
            .filter(|_| status.endpoint.is_none())
            .map(|since| since.0),
        ..Times::default()
    };
    let limits = stops::times(values, &times).filter(|stop| stop.at < until);
    let Stop { rule, at } = limits.min_by_key(|stop| stop.at)?;
    let when = stops::when(rule, Some(values));
    Some(format!("It is stopped all the same at {at}, {when}."))
}
