//! Effective values -> a workspace's spec that says all of them, as JSON (pure).

use api::WorkspaceSpec;
use api::workspace::Storage;
use rules::{Effective, Home};
use serde_json::{Value, json};

/// The spec with all values filled in. Names of people and of the template are left out.
pub(super) fn spec(effective: &Effective) -> serde_json::Result<Value> {
    let Effective { home, pod, .. } = effective;
    let (storage, ephemeral) = match home.clone() {
        Home::Disk {
            size,
            class,
            mount_path,
            sub_path,
            retain,
        } => (
            Some(Storage {
                storage_class_name: class,
                size: Some(size),
                mount_path: Some(mount_path),
                sub_path,
                retain: Some(retain),
                claim_name: None,
            }),
            None,
        ),
        Home::Claim {
            name,
            mount_path,
            sub_path,
        } => (
            Some(Storage {
                claim_name: Some(name),
                mount_path: Some(mount_path),
                sub_path,
                ..Storage::default()
            }),
            None,
        ),
        Home::Ephemeral {
            size_limit,
            mount_path,
        } => (
            None,
            Some(json!({"size": size_limit, "mountPath": mount_path, "ephemeral": true})),
        ),
    };
    let spec = WorkspaceSpec {
        image: Some(effective.image.clone()),
        resources: Some(effective.resources.clone()),
        storage,
        shm_size: effective.shm_size.clone(),
        volumes: effective.volumes.clone(),
        port: Some(effective.port),
        container_config: Some(effective.container.clone()),
        env: effective.env.clone(),
        init_containers: pod.init_containers.clone(),
        lifecycle: pod.lifecycle.clone(),
        readiness_probe: pod.readiness_probe.clone(),
        node_selector: pod.node_selector.clone(),
        affinity: pod.affinity.clone(),
        tolerations: pod.tolerations.clone(),
        pod_security_context: pod.pod_security_context.clone(),
        container_security_context: pod.container_security_context.clone(),
        pod_annotations: effective.annotations.clone(),
        idle_shutdown: effective.idle.clone(),
        limits: Some(effective.limits),
        ownership_type: Some(effective.ownership),
        access_type: Some(effective.access),
        app_type: effective.app_type.clone(),
        manager_ref: effective.manager_ref.clone(),
        execution_profile_ref: effective.profile_ref.clone(),
        ..WorkspaceSpec::default()
    };
    let mut spec = serde_json::to_value(spec)?;
    if let Some(fields) = spec.as_object_mut() {
        for not_shown in ["displayName", "desiredStatus", "updatePolicy"] {
            fields.remove(not_shown);
        }
        if let Some(ephemeral) = ephemeral {
            fields.insert("storage".to_owned(), ephemeral);
        }
        let labels: serde_json::Map<_, _> = effective
            .base_labels
            .iter()
            .map(|label| (label.name.clone(), json!(label.value)))
            .collect();
        fields.insert("podLabels".to_owned(), Value::Object(labels));
        fields.insert("podSecurity".to_owned(), json!(effective.pod_security));
    }
    Ok(spec)
}
