//! Flags -> a patch of a workspace if they change anything, and what of it takes effect now (IO).

use std::collections::BTreeSet;

use api::Workspace;
use api::workspace::{DesiredStatus, UpdatePolicy};
use k8s_openapi::api::core::v1::EnvVar;
use serde_json::{Value, json};

use super::change::ATTEMPTS;
use super::targets::{Target, parse};
use crate::args::{Assignment, Gpus, Idle, Set};
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;
use crate::output;

/// Fields of which a change needs no restart (docs/using.md).
const WITHOUT_RESTART: [&str; 4] = [
    "spec.idleShutdown",
    "spec.displayName",
    "spec.limits",
    "spec.storage.retain",
];
/// A disk grows without a restart, if there is one.
const SIZE: &str = "spec.storage.size";

/// Changes the workspace by one patch, and says what takes effect now and what at the next start.
pub(crate) async fn run(cluster: &Cluster, args: &Set, console: &mut Console<'_>) -> Result<(), Failure> {
    if !needs_reading(args) && SpecChange::new(args, None).fields.is_empty() {
        return Err(Failure::Usage(
            "set must have a flag that changes the workspace, such as --cpu 2: see kubectl workspace set --help".to_owned(),
        ));
    }
    let target = Target::new(cluster, &args.name);
    let mut attempt = 1;
    let (object, change, outcome) = loop {
        let stored = if needs_reading(args) {
            Some(target.read(cluster).await?)
        } else {
            None
        };
        let change = SpecChange::new(args, stored.as_ref());
        if let Some(stored) = stored.as_ref().filter(|_| change.fields.is_empty()) {
            cluster.show_notes(&mut console.err)?;
            break (serde_json::to_value(stored)?, change, "unchanged");
        }
        let patched = cluster
            .merge::<Workspace>(Some(&target.namespace), &target.name, &change.patch)
            .await;
        cluster.show_notes(&mut console.err)?;
        match patched {
            Err(failure) if failure.is_conflict() && stored.is_some() && attempt < ATTEMPTS => attempt += 1,
            patched => {
                let object = patched.map_err(|failure| target.missing(failure))?;
                break (object, change, "changed");
            }
        }
    };
    match &args.output {
        None => writeln!(console.out, "{} {outcome}", output::name(&object))?,
        Some(format) => console.out.data(&output::object(&object, format)?)?,
    }
    for line in &change.notes {
        writeln!(console.err, "{line}")?;
    }
    for line in effects(&parse(object)?, &change.fields, &target) {
        writeln!(console.err, "{line}")?;
    }
    Ok(())
}

/// A list is replaced as a whole, and no GPUs of any kind are those that the workspace has.
fn needs_reading(args: &Set) -> bool {
    args.gpu == Some(Gpus::None) || !args.env.is_empty()
}

/// The kinds of GPUs that the workspace has by itself or by its template.
fn gpu_kinds(workspace: &Workspace) -> BTreeSet<&String> {
    let status = workspace.status.as_ref();
    let resolved = status.and_then(|status| status.resolved.as_ref()?.resources.as_ref());
    let all = [workspace.spec.resources.as_ref(), resolved]
        .into_iter()
        .flatten();
    let names = all.flat_map(|resources| resources.requests.keys().chain(resources.limits.keys()));
    names.filter(|name| rules::is_gpu(name)).collect()
}

/// A change of a workspace.
#[derive(Debug, Default)]
struct SpecChange {
    patch: Value,
    /// Paths of the changed fields.
    fields: Vec<String>,
    /// What the flags asked for in vain.
    notes: Vec<String>,
}

impl SpecChange {
    /// What the flags say.
    fn new(args: &Set, stored: Option<&Workspace>) -> Self {
        let mut change = Self {
            patch: json!({"spec": {}}),
            ..Self::default()
        };
        // The change is of the version that was read.
        if let Some(version) = stored.and_then(|stored| stored.metadata.resource_version.as_ref()) {
            change.patch["metadata"]["resourceVersion"] = json!(version);
        }
        for (name, value) in [
            ("displayName", &args.display_name),
            ("image", &args.image),
            ("executionProfileRef", &args.profile),
        ] {
            if let Some(value) = value {
                change.patch["spec"][name] = json!(value);
                change.fields.push(format!("spec.{name}"));
            }
        }
        for (name, value) in [("cpu", &args.cpu), ("memory", &args.memory)] {
            if let Some(value) = value {
                change.amount(name, value);
            }
        }
        change.gpus(args, stored);
        change.env(args, stored);
        change.map("variables", &args.variable);
        change.map("options", &args.option);
        if let Some(size) = &args.storage {
            change.patch["spec"]["storage"]["size"] = json!(size);
            change.fields.push(SIZE.to_owned());
        }
        if let Some(idle) = args.idle {
            change.patch["spec"]["idleShutdown"] = match idle {
                Idle::After(minutes) => json!({"enabled": true, "idleTimeoutInMinutes": minutes}),
                Idle::Never => json!({"enabled": false}),
            };
            change.fields.push("spec.idleShutdown".to_owned());
        }
        if let Some(minutes) = args.open_tab {
            change.patch["spec"]["idleShutdown"]["openTabMinutes"] = json!(minutes);
            change
                .fields
                .push("spec.idleShutdown (openTabMinutes)".to_owned());
        }
        for (path, value) in args.further.fields() {
            let field = path
                .iter()
                .fold(&mut change.patch["spec"], |parent, name| &mut parent[name]);
            *field = value;
            change.fields.push(match path {
                ["limits", name] => format!("spec.limits ({name})"),
                path => format!("spec.{}", path.join(".")),
            });
        }
        change
    }

    /// Request and limit of a resource.
    fn amount(&mut self, name: &str, value: &str) {
        for part in ["requests", "limits"] {
            self.patch["spec"]["resources"][part][name] = json!(value);
        }
        self.fields.push(format!("spec.resources ({name})"));
    }

    fn gpus(&mut self, args: &Set, stored: Option<&Workspace>) {
        match (&args.gpu, stored) {
            (Some(Gpus::Of(gpu)), _) => self.amount(&gpu.resource, &gpu.number.to_string()),
            (Some(Gpus::None), Some(stored)) => {
                let kinds = gpu_kinds(stored);
                if kinds.is_empty() {
                    self.notes.push("The workspace has no GPUs.".to_owned());
                }
                // Also in place of the template's.
                for kind in kinds {
                    self.amount(kind, "0");
                }
            }
            (Some(Gpus::None), None) | (None, _) => {}
        }
    }

    /// Environment variables are a list: those that no flag names stay as they are.
    fn env(&mut self, args: &Set, stored: Option<&Workspace>) {
        let Some(stored) = stored.filter(|_| !args.env.is_empty()) else {
            return;
        };
        let mut all = stored.spec.env.clone();
        for assignment in &args.env {
            let name = assignment.name();
            let at = all.iter().position(|variable| variable.name == name);
            match (assignment, at) {
                (Assignment::Set(_, value), at) => {
                    let variable = EnvVar {
                        name: name.to_owned(),
                        value: Some(value.clone()),
                        ..EnvVar::default()
                    };
                    match at {
                        Some(at) => all[at] = variable,
                        None => all.push(variable),
                    }
                }
                (Assignment::Remove(_), Some(at)) => drop(all.remove(at)),
                (Assignment::Remove(_), None) => {
                    self.notes.push(format!(
                        "spec.env has no {name}, so nothing is removed. A variable of the template stays."
                    ));
                    continue;
                }
            }
            self.fields.push(format!("spec.env ({name})"));
        }
        self.patch["spec"]["env"] = json!(all);
    }

    /// Entries of the map `field`.
    fn map(&mut self, field: &str, assignments: &[Assignment]) {
        for assignment in assignments {
            let name = assignment.name();
            self.patch["spec"][field][name] = match assignment {
                Assignment::Set(_, value) => json!(value),
                Assignment::Remove(_) => Value::Null,
            };
            self.fields.push(format!("spec.{field} ({name})"));
        }
    }
}

/// What takes effect when.
fn effects(workspace: &Workspace, fields: &[String], target: &Target) -> Vec<String> {
    let status = workspace.status.as_ref();
    let grows = |field: &String| field == SIZE && status.is_some_and(|status| status.disk.is_some());
    let is_immediate =
        |field: &String| WITHOUT_RESTART.contains(&field.split(' ').next().unwrap_or_default());
    let joined = |holds: &dyn Fn(&String) -> bool| {
        let found = fields.iter().filter(|field| holds(field));
        found.map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    let mut lines = Vec::new();
    let now = joined(&is_immediate);
    if !now.is_empty() {
        lines.push(format!("Takes effect now: {now}"));
    }
    if fields.iter().any(grows) {
        lines.push(format!(
            "Takes effect now, if the disk's storage class lets disks grow: {SIZE}"
        ));
    }
    let later = joined(&|field| !is_immediate(field) && !grows(field));
    if !later.is_empty() {
        lines.push(later_effect(workspace, &later, target));
    }
    lines
}

/// When a change of the pod takes effect.
fn later_effect(workspace: &Workspace, fields: &str, target: &Target) -> String {
    let has_started = workspace
        .status
        .as_ref()
        .is_some_and(|status| status.started_at.is_some());
    match (workspace.spec.desired_status, workspace.spec.update_policy) {
        (DesiredStatus::Running, UpdatePolicy::Always) => {
            format!("Takes effect now, by a restart (updatePolicy: Always): {fields}")
        }
        (DesiredStatus::Running, UpdatePolicy::OnStop) if has_started => format!(
            "Takes effect at the next start: {fields}. To restart now: kubectl workspace restart {} -n {}",
            target.name, target.namespace
        ),
        (DesiredStatus::Running, UpdatePolicy::OnStop) => {
            format!("Takes effect now, because no container has started yet: {fields}")
        }
        (DesiredStatus::Stopped, _) => format!("Takes effect at the next start: {fields}"),
    }
}
