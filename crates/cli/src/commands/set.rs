//! Flags -> a patch of a workspace if they change anything, and what of it takes effect now (IO).

use std::collections::BTreeSet;

use anyhow::Context as _;
use api::workspace::{DesiredStatus, ResourceRequirements, UpdatePolicy};
use api::{Workspace, WorkspaceTemplate};
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
const WITHOUT_RESTART: [&str; 2] = ["spec.idleShutdown", "spec.displayName"];
/// A disk grows without a restart, if there is one.
const SIZE: &str = "spec.storage.size";

/// Changes the workspace by one patch, and says what takes effect now and what at the next start.
pub(crate) async fn run(cluster: &Cluster, args: &Set, console: &mut Console<'_>) -> Result<(), Failure> {
    let target = Target::named(cluster, &args.name);
    let mut attempt = 1;
    let (object, change, outcome) = loop {
        let known = if needs_reading(args) {
            Some(Known::read(cluster, args, &target).await?)
        } else {
            None
        };
        let change = Change::of(args, known.as_ref());
        if let Some(known) = known.as_ref().filter(|_| change.fields.is_empty()) {
            cluster.show_notes(&mut console.err)?;
            break (known.object()?, change, "unchanged");
        }
        let patched = cluster
            .merge::<Workspace>(Some(&target.namespace), &target.name, &change.patch)
            .await;
        cluster.show_notes(&mut console.err)?;
        match patched {
            Err(failure) if failure.is_conflict() && known.is_some() && attempt < ATTEMPTS => attempt += 1,
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

/// A list is replaced as a whole, and no GPUs of any kind are those that the workspace and its template have.
fn needs_reading(args: &Set) -> bool {
    let removes_gpus = match &args.gpu {
        None => false,
        Some(Gpus::None) => true,
        Some(Gpus::Of(gpu)) => gpu.number == 0,
    };
    removes_gpus || !args.env.is_empty()
}

/// What the cluster has.
#[derive(Debug)]
struct Known {
    workspace: Workspace,
    /// Default amounts of its template; `None`: the template cannot be read.
    defaults: Option<ResourceRequirements>,
}

impl Known {
    async fn read(cluster: &Cluster, args: &Set, target: &Target) -> Result<Self, Failure> {
        let workspace = target.read(cluster).await?;
        let defaults = match &workspace.spec.template_ref {
            None => Some(ResourceRequirements::default()),
            Some(_) if args.gpu.is_none() => None,
            Some(name) => match cluster.get::<WorkspaceTemplate>(None, name).await {
                Ok(template) => serde_json::from_value(template)
                    .ok()
                    .map(|template: WorkspaceTemplate| template.spec.default_resources.unwrap_or_default()),
                Err(Failure::Refused(_)) => None,
                Err(failure) => return Err(failure),
            },
        };
        Ok(Self { workspace, defaults })
    }

    /// The workspace, to be printed.
    fn object(&self) -> Result<Value, Failure> {
        serde_json::to_value(&self.workspace)
            .context("the workspace cannot be printed")
            .map_err(Failure::Other)
    }

    /// The kinds of GPUs that the workspace has by itself or by its template.
    fn kinds(&self) -> BTreeSet<&String> {
        let status = self.workspace.status.as_ref();
        let resolved = status.and_then(|status| status.resolved.as_ref()?.resources.as_ref());
        let all = [
            self.workspace.spec.resources.as_ref(),
            resolved,
            self.defaults.as_ref(),
        ];
        all.into_iter().flatten().flat_map(kinds).collect()
    }

    /// Whether the workspace surely has no GPUs of this kind.
    fn lacks(&self, kind: &String) -> bool {
        self.defaults.is_some() && !self.kinds().contains(kind)
    }

    /// The amount that means none: nothing, if the template is known to set nothing.
    fn none_of(&self, kind: &String) -> Value {
        match &self.defaults {
            Some(defaults) if !kinds(defaults).any(|it| it == kind) => Value::Null,
            _ => json!("0"),
        }
    }
}

fn kinds(resources: &ResourceRequirements) -> impl Iterator<Item = &String> {
    let names = resources.requests.keys().chain(resources.limits.keys());
    names.filter(|name| rules::is_gpu(name))
}

/// A change of a workspace.
#[derive(Debug, Default)]
struct Change {
    patch: Value,
    /// Paths of the changed fields.
    fields: Vec<String>,
    /// What the flags asked for in vain.
    notes: Vec<String>,
}

impl Change {
    /// What the flags say.
    fn of(args: &Set, known: Option<&Known>) -> Self {
        let mut change = Self {
            patch: json!({"spec": {}}),
            ..Self::default()
        };
        // The change is of the version that was read.
        if let Some(version) = known.and_then(|known| known.workspace.metadata.resource_version.as_ref()) {
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
                change.amount(name, &json!(value));
            }
        }
        change.gpus(args, known);
        change.env(args, known);
        change.variables(args);
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
        change
    }

    /// Request and limit of a resource.
    fn amount(&mut self, name: &str, value: &Value) {
        for part in ["requests", "limits"] {
            self.patch["spec"]["resources"][part][name] = value.clone();
        }
        self.fields.push(format!("spec.resources ({name})"));
    }

    fn gpus(&mut self, args: &Set, known: Option<&Known>) {
        match (&args.gpu, known) {
            (Some(Gpus::None), Some(known)) => {
                let kinds = known.kinds();
                if kinds.is_empty() {
                    self.notes.push("The workspace has no GPUs.".to_owned());
                }
                for kind in kinds {
                    self.amount(kind, &known.none_of(kind));
                }
            }
            (Some(Gpus::Of(gpu)), Some(known)) if gpu.number == 0 && known.lacks(&gpu.resource) => {
                self.notes.push(format!("The workspace has no {}.", gpu.resource));
            }
            (Some(Gpus::Of(gpu)), Some(known)) if gpu.number == 0 => {
                self.amount(&gpu.resource, &known.none_of(&gpu.resource));
            }
            (Some(Gpus::Of(gpu)), _) => self.amount(&gpu.resource, &json!(gpu.number.to_string())),
            (Some(Gpus::None) | None, _) => {}
        }
    }

    /// Environment variables are a list: those that no flag names stay as they are.
    fn env(&mut self, args: &Set, known: Option<&Known>) {
        let Some(known) = known.filter(|_| !args.env.is_empty()) else {
            return;
        };
        let mut all = known.workspace.spec.env.clone();
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

    fn variables(&mut self, args: &Set) {
        for assignment in &args.variable {
            let name = assignment.name();
            self.patch["spec"]["variables"][name] = match assignment {
                Assignment::Set(_, value) => json!(value),
                Assignment::Remove(_) => Value::Null,
            };
            self.fields.push(format!("spec.variables ({name})"));
        }
    }
}

/// What takes effect when.
fn effects(workspace: &Workspace, fields: &[String], target: &Target) -> Vec<String> {
    let status = workspace.status.as_ref();
    let grows = |field: &String| field == SIZE && status.is_some_and(|status| status.disk.is_some());
    let is_immediate = |field: &String| WITHOUT_RESTART.contains(&field.as_str());
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
