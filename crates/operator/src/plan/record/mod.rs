//! Valid workspace -> record of its pod's inputs; record, today's inputs -> pending changes (pure).
//!
//! This module also decides whether a run restarts. `compare.rs`: two records -> the fields that differ.
//!
//! The record is an annotation of the pod. It holds what users wrote in Workspace, template and
//! execution profile, under the names of their fields. It holds nothing that settings or this build filled in. So an upgrade or a new
//! setting is never a pending update (docs/decisions/0025). Images are recorded as written, aliases included. A request that no user
//! set is absent. One value of a manager affects a pod: the path under which the application is served (`routing.mode`).

mod compare;

use api::{template::PodTemplate, workspace::UpdatePolicy};
use rules::{Home, ValidWorkspace};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Longest record in bytes. In a longer one, whole fields are recorded by their digest.
const MAX_RECORD: usize = 32 * 1024;
/// Longest text that is recorded as it is. A longer one is recorded by its digest.
const MAX_TEXT: usize = 256;
const DIGEST: &str = "sha256:";
/// The format that is written. New fields need no new number: an absent field counts as unset.
const FORMAT: u64 = 2;
/// The path in a record that says which claim is the home.
const CLAIM_NAME: &str = "spec.storage.claimName";
/// The path in a record that says whether the run is in recovery.
const RECOVERY_MODE: &str = "spec.recoveryMode";
/// The path in a record of a template's disks.
const VOLUME_CLAIMS: &str = "template.volumeClaims";
/// The pending path if the record cannot be read: any field may be pending.
const WHOLE_SPEC: &str = "spec";

/// The record of a workspace, as canonical JSON: keys sorted, no spaces.
pub(crate) fn record(workspace: &ValidWorkspace) -> String {
    today(workspace).to_string()
}

/// Sorted paths of the fields whose value today differs from the record: what the next start changes.
pub(crate) fn pending(recorded: &str, workspace: &ValidWorkspace) -> Vec<String> {
    let today = today(workspace);
    let text = today.to_string();
    // The common case, checked in every reconcile.
    if text == recorded {
        return Vec::new();
    }
    match readable(recorded) {
        Some(recorded) => {
            let mut paths = compare::differences(&recorded, &today);
            if recorded.get("templateUID") == today.get("templateUID") {
                // The disks of one template differ only by options, which are listed themselves.
                paths.retain(|path| path != VOLUME_CLAIMS);
            }
            if paths.iter().any(|path| path == RECOVERY_MODE) {
                // It decides about nearly all other fields, which no user changed with it.
                return vec![RECOVERY_MODE.to_owned()];
            }
            if !names_a_claim(&recorded, workspace) && !names_a_claim(&today, workspace) {
                // No user wrote that field: the change is to or from a disk of its own.
                for path in paths.iter_mut().filter(|path| *path == CLAIM_NAME) {
                    "spec.storage".clone_into(path);
                }
            }
            paths
        }
        None => vec![WHOLE_SPEC.to_owned()],
    }
}

/// Whether the home of a record is a claim that a user named.
fn names_a_claim(record: &Value, workspace: &ValidWorkspace) -> bool {
    let claim = record.pointer("/spec/storage/claimName").and_then(Value::as_str);
    claim.is_some_and(|claim| claim != workspace.child_name())
}

/// Whether a running workspace has to be stopped and started: because of a new restart request, or because `Always` applies pending
/// changes. A new template under the old name does not restart it. Neither does a record that cannot be read.
pub(crate) fn asks_for_restart(recorded: &str, workspace: &ValidWorkspace, policy: UpdatePolicy) -> bool {
    if policy == UpdatePolicy::OnStop && workspace.restarted_at.is_none() {
        return false;
    }
    let today = today(workspace);
    // The common case, checked in every reconcile until the run has started.
    let as_recorded = today.to_string();
    if as_recorded == recorded {
        return false;
    }
    let Some(recorded) = readable(recorded) else {
        return false;
    };
    let same = |key: &str| recorded.get(key) == today.get(key);
    let asked = today.get("restartedAt").is_some_and(|time| !time.is_null()) && !same("restartedAt");
    let applies = policy == UpdatePolicy::Always && same("templateUID");
    asked || (applies && !compare::differences(&recorded, &today).is_empty())
}

/// The base path that the application of a run was given; `None` if it has its own host. Records without this value are of applications
/// with their own host.
pub(crate) fn base_path(recorded: &str) -> Option<String> {
    let recorded: Value = serde_json::from_str(recorded).ok()?;
    let path = recorded.pointer("/manager/basePath").and_then(Value::as_str);
    path.map(str::to_owned)
}

/// Whether a run was to have a user namespace of its own.
pub(crate) fn has_user_namespace(recorded: &str) -> bool {
    let recorded: Option<Value> = serde_json::from_str(recorded).ok();
    recorded.is_some_and(|it| it.pointer("/template/userNamespace") == Some(&Value::Bool(true)))
}

/// Whether a run is in recovery.
pub(crate) fn is_recovery(recorded: &str) -> bool {
    // The common case, checked in every reconcile.
    if !recorded.contains("recoveryMode") {
        return false;
    }
    let recorded: Option<Value> = serde_json::from_str(recorded).ok();
    recorded.is_some_and(|it| it.pointer("/spec/recoveryMode").is_some())
}

/// Names of the init containers of a run that users or its template asked for.
pub(crate) fn init_containers(recorded: &str) -> Vec<String> {
    let recorded: Option<Value> = serde_json::from_str(recorded).ok();
    let lists = ["/spec/initContainers", "/template/podTemplate/initContainers"];
    let lists = lists.map(|path| recorded.as_ref().and_then(|it| it.pointer(path)));
    let all = lists.into_iter().flatten().filter_map(Value::as_array).flatten();
    all.filter_map(|it| Some(it["name"].as_str()?.to_owned()))
        .collect()
}

/// A record in this format.
fn readable(recorded: &str) -> Option<Value> {
    let recorded: Value = serde_json::from_str(recorded).ok()?;
    (recorded.get("format")?.as_u64() == Some(FORMAT)).then_some(recorded)
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

/// Everything that users wrote and that affects the pod.
fn inputs(workspace: &ValidWorkspace) -> Value {
    let (given, pod) = (&workspace.given, &workspace.pod);
    let mut init_containers = pod.init_containers.clone();
    for (container, image) in init_containers.iter_mut().zip(&given.init_images) {
        container.image.clone_from(image);
    }
    for (container, resources) in init_containers.iter_mut().zip(&given.init_resources) {
        container.resources.clone_from(resources);
    }
    let mut inputs = json!({
        "format": FORMAT,
        "restartedAt": workspace.restarted_at,
        "templateUID": workspace.template_uid,
        "spec": {
            "executionProfileRef": workspace.profile.as_ref().map(|profile| &profile.name),
            // Absent without options, so that the record of other pods does not change.
            "options": (!given.options.is_empty()).then_some(&given.options),
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
            // Absent for other pods, so that their record does not change.
            "recoveryMode": workspace.recovery_home.is_some().then_some(true),
            "nodeSelector": pod.node_selector,
            "affinity": pod.affinity,
            "tolerations": pod.tolerations,
            "podSecurityContext": pod.pod_security_context,
            "containerSecurityContext": pod.container_security_context,
            "podAnnotations": workspace.annotations,
        },
        // Absent for other pods, so that their record does not change.
        "template": {
            "baseLabels": workspace.base_labels,
            "podTemplate": pod.pod_template.as_ref().map(|given| pod_template(workspace, given)),
            "volumeClaims": (!workspace.volume_claims.is_empty()).then(|| json!({"templateUID": workspace.template_uid})),
            "userNamespace": pod.user_namespace.then_some(true),
        },
        "executionProfile": {"spec": workspace.profile.as_ref().map(|profile| &profile.spec)},
    });
    // Absent for other pods, so that their record does not change.
    if !workspace.required_labels.is_empty() {
        inputs["metadata"] = json!({"labels": workspace.required_labels});
    }
    // Absent for a workspace with its own host, so that its record does not change.
    if let Some(path) = &workspace.base_path {
        inputs["manager"] = json!({"basePath": path});
    }
    inputs
}

/// The `podTemplate`, which the UID of its immutable template stands for, and the init containers that it adds.
fn pod_template(workspace: &ValidWorkspace, given: &PodTemplate) -> Value {
    let pod = given.spec.iter();
    let init = pod.flat_map(|pod| pod.init_containers.iter().flatten());
    let names: Vec<_> = init.map(|container| json!({"name": container.name})).collect();
    json!({"templateUID": workspace.template_uid, "initContainers": names})
}

/// The claim that is the home. If it changes, the kind of home changes.
fn claim_name(workspace: &ValidWorkspace) -> Option<String> {
    match &workspace.home {
        Home::Disk { .. } => Some(workspace.child_name()),
        Home::Claim { name, .. } => Some(name.clone()),
        Home::Ephemeral { .. } => None,
    }
}

/// The value without unset fields of a section, and with long texts replaced by their digest.
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
    Value::String(format!("{DIGEST}{:x}", Sha256::digest(value.to_string())))
}

#[cfg(test)]
mod tests;
