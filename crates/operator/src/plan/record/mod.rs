//! Valid workspace -> the record of what shaped its pod; record and today's inputs -> what is pending, and whether to restart
//! (pure).
//!
//! The record lies in an annotation of the Deployment from one start to the next. It holds what people wrote, in Workspace,
//! template and execution profile, under the names of their fields, and nothing that the installation's settings or this
//! build filled in: an upgrade or a new setting is nobody's pending update (docs/decisions/0025). So images stand there as they
//! were written, aliases included, and a request that nobody named is absent. Of a manager one thing shapes a pod: the path under
//! which the application is asked for (`routing.mode`).

mod compare;
mod first;

use api::workspace::UpdatePolicy;
use rules::{Home, ValidWorkspace};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Longest record in bytes; beyond it whole fields are recorded by their digest.
const MAX_RECORD: usize = 32 * 1024;
/// Longest text that is recorded as it is; beyond it by its digest.
const MAX_TEXT: usize = 256;
const DIGEST: &str = "sha256:";
/// The format that is written. Fields may be added without a new number: one that is absent counts as unset.
const FORMAT: u64 = 2;
/// Where a record says which claim is the home.
const CLAIM_NAME: &str = "spec.storage.claimName";
/// What is pending where the record cannot be read: anything may be.
const ANYTHING: &str = "spec";

/// The record of a workspace, as canonical JSON: keys sorted, no spaces.
pub fn of(workspace: &ValidWorkspace) -> String {
    today(workspace).to_string()
}

/// Paths of the fields whose value today is not that of the record, sorted: what the next start changes.
pub fn pending(recorded: &str, workspace: &ValidWorkspace) -> Vec<String> {
    let today = today(workspace);
    let text = today.to_string();
    // Nearly always, and read at every pass.
    if text == recorded {
        return Vec::new();
    }
    match readable(recorded, workspace) {
        Some(recorded) => {
            let mut paths = compare::differences(&recorded, &today);
            if !names_a_claim(&recorded, workspace) && !names_a_claim(&today, workspace) {
                // Nobody wrote that field: a disk of its own came, or went.
                for path in paths.iter_mut().filter(|path| *path == CLAIM_NAME) {
                    "spec.storage".clone_into(path);
                }
            }
            paths
        }
        None => vec![ANYTHING.to_owned()],
    }
}

/// Whether the home of a record is a claim that somebody named.
fn names_a_claim(record: &Value, workspace: &ValidWorkspace) -> bool {
    let claim = record.pointer("/spec/storage/claimName").and_then(Value::as_str);
    claim.is_some_and(|claim| claim != workspace.child_name())
}

/// Whether a running workspace is to be stopped and started: because it was asked to once more, or because `Always` applies
/// what is pending. A new template under the old name is nobody's wish, and a record that cannot be read tells nothing.
pub fn asks_for_restart(recorded: &str, workspace: &ValidWorkspace, policy: UpdatePolicy) -> bool {
    if policy == UpdatePolicy::OnStop && workspace.restarted_at.is_none() {
        return false;
    }
    let today = today(workspace);
    // Nearly always, and read at every pass until the run has begun.
    let as_recorded = today.to_string();
    if as_recorded == recorded {
        return false;
    }
    let Some(recorded) = readable(recorded, workspace) else {
        return false;
    };
    let same = |key: &str| recorded.get(key) == today.get(key);
    let asked = today.get("restartedAt").is_some_and(|time| !time.is_null()) && !same("restartedAt");
    let first = recorded.get("templateUID").is_none();
    let applies = policy == UpdatePolicy::Always && (first || same("templateUID"));
    asked || (applies && !compare::differences(&recorded, &today).is_empty())
}

/// The folder that the application of a run was told to be asked in; nothing where it has a host of its own, as all had of which
/// nothing is recorded.
pub fn base_path(recorded: &str) -> Option<String> {
    let recorded: Value = serde_json::from_str(recorded).ok()?;
    let path = recorded.pointer("/manager/basePath").and_then(Value::as_str);
    path.map(str::to_owned)
}

/// A record of this format, or of the first one as far as it tells.
fn readable(recorded: &str, workspace: &ValidWorkspace) -> Option<Value> {
    let recorded: Value = serde_json::from_str(recorded).ok()?;
    match recorded.as_object()?.get("format") {
        Some(format) => (format.as_u64() == Some(FORMAT)).then_some(recorded),
        None => first::translated(recorded, workspace),
    }
}

fn today(workspace: &ValidWorkspace) -> Value {
    let mut record = shorten(&inputs(workspace));
    if record.to_string().len() > MAX_RECORD {
        for section in record.as_object_mut().into_iter().flat_map(Map::values_mut) {
            for value in section.as_object_mut().into_iter().flat_map(Map::values_mut) {
                *value = digest(value);
            }
        }
    }
    record
}

/// Everything that people wrote and that shapes the pod.
fn inputs(workspace: &ValidWorkspace) -> Value {
    let mut inputs = written(workspace);
    // Absent on a host of its own, so that the record of such a workspace stays what it was.
    if let (Some(path), Some(inputs)) = (&workspace.base_path, inputs.as_object_mut()) {
        inputs.insert("manager".to_owned(), json!({"basePath": path}));
    }
    inputs
}

fn written(workspace: &ValidWorkspace) -> Value {
    let (given, pod) = (&workspace.given, &workspace.pod);
    let mut init_containers = pod.init_containers.clone();
    for (container, image) in init_containers.iter_mut().zip(&given.init_images) {
        container.image.clone_from(image);
    }
    for (container, resources) in init_containers.iter_mut().zip(&given.init_resources) {
        container.resources.clone_from(resources);
    }
    json!({
        "format": FORMAT,
        "restartedAt": workspace.restarted_at,
        "templateUID": workspace.template_uid,
        "spec": {
            "executionProfileRef": workspace.profile.as_ref().map(|profile| &profile.name),
            "image": given.image,
            "resources": given.resources,
            "storage": {
                "claimName": claim_name(workspace),
                "mountPath": given.mount_path,
                "subPath": workspace.home.sub_path(),
            },
            "shmSize": workspace.shm_size,
            "volumes": workspace.volumes,
            "port": given.port,
            "containerConfig": workspace.container,
            "env": given.env,
            "initContainers": init_containers,
            "lifecycle": pod.lifecycle,
            "readinessProbe": pod.readiness_probe,
            "nodeSelector": pod.node_selector,
            "affinity": pod.affinity,
            "tolerations": pod.tolerations,
            "podSecurityContext": pod.pod_security_context,
            "containerSecurityContext": pod.container_security_context,
            "podAnnotations": workspace.annotations,
        },
        "template": {"baseLabels": workspace.base_labels},
        "executionProfile": {"spec": workspace.profile.as_ref().map(|profile| &profile.spec)},
    })
}

/// The claim that is the home: where it changes, so does the kind of home.
fn claim_name(workspace: &ValidWorkspace) -> Option<String> {
    match &workspace.home {
        Home::Disk { .. } => Some(workspace.child_name()),
        Home::Claim { name, .. } => Some(name.clone()),
        Home::Ephemeral { .. } => None,
    }
}

/// Without what is unset in a section, and with long texts by their digest.
fn shorten(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > MAX_TEXT => digest(value),
        Value::Array(items) => Value::Array(items.iter().map(shorten).collect()),
        Value::Object(fields) => {
            let set = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(set.map(|(key, value)| (key.clone(), shorten(value))).collect())
        }
        other => other.clone(),
    }
}

fn digest(value: &Value) -> Value {
    let digest = Sha256::digest(value.to_string());
    let hex = digest
        .iter()
        .fold(String::from(DIGEST), |text, byte| format!("{text}{byte:02x}"));
    Value::String(hex)
}

#[cfg(test)]
mod tests;
