//! Flags -> a patch of a workspace, and what of it counts now (IO).

use api::Workspace;
use api::workspace::{DesiredStatus, UpdatePolicy};
use serde_json::{Value, json};

use super::targets::{Target, parse};
use crate::args::{Idle, Set};
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::output;
use crate::run::Console;

/// Fields of which a change needs no restart (docs/changes.md).
const WITHOUT_RESTART: [&str; 3] = ["spec.storage.size", "spec.idleShutdown", "spec.displayName"];

/// Changes the workspace by one patch, and says what counts now and what at the next start.
pub(crate) async fn run(cluster: &Cluster, args: &Set, console: &mut Console<'_>) -> Result<(), Failure> {
    let target = Target::named(cluster, &args.name);
    let (spec, fields) = change(args);
    let patched = cluster
        .merge::<Workspace>(Some(&target.namespace), &target.name, &json!({ "spec": spec }))
        .await;
    cluster.show_notes(console.err)?;
    let object = patched.map_err(|failure| target.missing(failure))?;
    match &args.output {
        None => writeln!(console.out, "{} changed", output::name(&object))?,
        Some(format) => write!(console.out, "{}", output::object(&object, format)?)?,
    }
    for line in effects(&parse(object)?, &fields, &target) {
        writeln!(console.err, "{line}")?;
    }
    Ok(())
}

/// The changed spec, and the paths of the changed fields.
fn change(args: &Set) -> (Value, Vec<&'static str>) {
    let mut spec = json!({});
    let mut fields = Vec::new();
    if let Some(name) = &args.display_name {
        spec["displayName"] = json!(name);
        fields.push("spec.displayName");
    }
    if let Some(image) = &args.image {
        spec["image"] = json!(image);
        fields.push("spec.image");
    }
    for (name, field, value) in [
        ("cpu", "spec.resources (cpu)", &args.cpu),
        ("memory", "spec.resources (memory)", &args.memory),
    ] {
        if let Some(value) = value {
            spec["resources"]["requests"][name] = json!(value);
            spec["resources"]["limits"][name] = json!(value);
            fields.push(field);
        }
    }
    if let Some(size) = &args.storage {
        spec["storage"]["size"] = json!(size);
        fields.push("spec.storage.size");
    }
    if let Some(idle) = args.idle {
        spec["idleShutdown"] = match idle {
            Idle::After(minutes) => json!({"enabled": true, "idleTimeoutInMinutes": minutes}),
            Idle::Never => json!({"enabled": false}),
        };
        fields.push("spec.idleShutdown");
    }
    (spec, fields)
}

/// What counts when.
fn effects(workspace: &Workspace, fields: &[&str], target: &Target) -> Vec<String> {
    let is_immediate = |field: &&&str| WITHOUT_RESTART.contains(*field);
    let now: Vec<&str> = fields.iter().filter(is_immediate).copied().collect();
    let later: Vec<&str> = fields
        .iter()
        .filter(|field| !is_immediate(field))
        .copied()
        .collect();
    let has_started = workspace
        .status
        .as_ref()
        .is_some_and(|status| status.started_at.is_some());
    let mut lines = Vec::new();
    if !now.is_empty() {
        lines.push(format!("Counts now: {}", now.join(", ")));
    }
    if later.is_empty() {
        return lines;
    }
    let later = later.join(", ");
    lines.push(
        match (workspace.spec.desired_status, workspace.spec.update_policy) {
            (DesiredStatus::Running, UpdatePolicy::Always) => {
                format!("Counts now, by a restart (updatePolicy: Always): {later}")
            }
            (DesiredStatus::Running, UpdatePolicy::OnStop) if has_started => format!(
                "Counts at the next start: {later}. To restart now: kubectl workspace restart {} -n {}",
                target.name, target.namespace
            ),
            (DesiredStatus::Running, UpdatePolicy::OnStop) => {
                format!("Counts now, because no container has started yet: {later}")
            }
            (DesiredStatus::Stopped, _) => format!("Counts at the next start: {later}"),
        },
    );
    lines
}
