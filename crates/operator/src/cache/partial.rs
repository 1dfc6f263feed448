//! JSON of a Pod -> the fields that the operator reads (pure).
//!
//! These partial types and their fields have the names of Kubernetes' own. All other fields are dropped while a watch event or an answer
//! is decoded. So they take no memory, and their changes trigger no reconcile. Code that needs another field adds it here. Objects that
//! the operator writes have the full types of `k8s_openapi`.
//!
//! Lists are boxed slices: a `Vec` would keep room for at least four elements.

use k8s_openapi::{
    api::core::v1::{
        self as core_v1, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, EnvVar,
        PersistentVolumeClaimVolumeSource, PodSchedulingGate, TCPSocketAction,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, Time},
    },
};
use kube::Resource;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Resource)]
#[resource(inherit = core_v1::Pod)]
#[serde(default)]
pub struct Pod {
    pub metadata: ObjectMeta,
    pub spec: Option<PodSpec>,
    pub status: Option<PodStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    pub node_name: Option<String>,
    pub host_users: Option<bool>,
    pub scheduling_gates: Option<Box<[PodSchedulingGate]>>,
    pub service_account_name: Option<String>,
    pub volumes: Option<Box<[Volume]>>,
    pub init_containers: Option<Box<[Container]>>,
    pub containers: Box<[Container]>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    pub name: String,
    pub image: Option<String>,
    /// Of the variables, only the identifier of the run is kept.
    pub env: Option<Box<[EnvVar]>>,
    pub ports: Option<Box<[ContainerPort]>>,
    pub readiness_probe: Option<Probe>,
    pub resources: Option<ResourceRequirements>,
    pub restart_policy: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort {
    pub name: Option<String>,
    pub container_port: i32,
}

/// Messages distinguish the probe of the application's port from other readiness probes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    pub tcp_socket: Option<TCPSocketAction>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceRequirements {
    pub limits: Option<Limits>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub memory: Option<Quantity>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    pub phase: Option<String>,
    pub reason: Option<String>,
    pub message: Option<String>,
    pub conditions: Option<Box<[PodCondition]>>,
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    pub init_container_statuses: Option<Box<[ContainerStatus]>>,
    pub container_statuses: Option<Box<[ContainerStatus]>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodCondition {
    #[serde(rename = "type")]
    pub type_: String,
    pub status: String,
    pub message: Option<String>,
    pub last_transition_time: Option<Time>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    pub name: String,
    pub ready: bool,
    pub restart_count: i32,
    pub state: Option<ContainerState>,
    pub last_state: Option<ContainerState>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerState {
    pub running: Option<ContainerStateRunning>,
    pub waiting: Option<ContainerStateWaiting>,
    pub terminated: Option<Box<ContainerStateTerminated>>,
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    /// `json` has every field of the partial type once. The full type drops names that Kubernetes does not have.
    fn assert_is_read<Full, Partial>(json: &Value)
    where
        Full: Serialize + DeserializeOwned,
        Partial: Serialize + DeserializeOwned,
    {
        let full: Full = serde_json::from_value(json.clone()).unwrap();
        let partial: Partial = serde_json::from_value(serde_json::to_value(full).unwrap()).unwrap();
        assert_eq!(serde_json::to_value(partial).unwrap(), *json);
    }

    fn spec() -> Value {
        let container = json!({
            "name": "c", "image": "i", "restartPolicy": "Always", "env": [{"name": "A", "value": "b"}],
            "ports": [{"name": "http", "containerPort": 8888}],
            "readinessProbe": {"tcpSocket": {"port": 8888}},
            "resources": {"limits": {"memory": "1Gi"}},
        });
        json!({
            "nodeName": "n", "hostUsers": false, "serviceAccountName": "a", "schedulingGates": [{"name": "g"}],
            "volumes": [{"persistentVolumeClaim": {"claimName": "d"}}],
            "initContainers": [container], "containers": [container],
        })
    }

    #[test]
    fn every_field_of_a_partial_type_is_read_by_its_name_in_kubernetes() {
        let time = "2026-01-01T00:00:00Z";
        let state = json!({
            "running": {"startedAt": time}, "waiting": {"reason": "ImagePullBackOff"}, "terminated": {"exitCode": 1},
        });
        let container =
            json!({"name": "c", "ready": true, "restartCount": 2, "state": state, "lastState": state});
        assert_is_read::<core_v1::Pod, Pod>(&json!({
            "metadata": {"name": "p"},
            "spec": spec(),
            "status": {
                "phase": "Running", "reason": "Evicted", "message": "m", "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "True", "message": "m", "lastTransitionTime": time}],
                "initContainerStatuses": [container], "containerStatuses": [container],
            },
        }));
    }
}
