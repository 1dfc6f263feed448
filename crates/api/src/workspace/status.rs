//! YAML of a workspace's status -> its observed state (pure).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::{
    api::resource::Quantity,
    apis::meta::v1::{Condition, Time},
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AccessType, ClaimStatus, DiskStatus, IdleStatus, Kept, OwnershipType, ResourceRequirements, Retain,
    StopRule, StoppedBecause,
};
use crate::{lenient::lenient, schema};

/// The observed state. The operator can rebuild all of it, except `disk`, `filesLost` and the times of the run: only they record
/// which disk existed before, and when a run started and had something to lose.
// It has one writer, who writes all of it. A record of field managers would make each write of the object more expensive
// (docs/decisions/0027).
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct WorkspaceStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The state, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Reason of the condition that decided the phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Message of the condition that decided the phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Address of the workspace. Set once the workspace is valid; absent if its manager knows none (`routing.external`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Name of the pod, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// Name of the Service, if the workspace has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Target of routes, also of those that others make. Present only while the workspace's pod is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Identifier of the current run, new at every start.
    #[serde(default, rename = "runID", skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Kubernetes user name of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The effective values, after template and defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// Paths of fields whose new value takes effect at the next start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending_update: Vec<String>,
    /// Containers of the pod, init containers and sidecars included. A finished init container is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<ContainerCounts>,
    /// Use of a running workspace that stops when idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdleStatus>,
    /// When a rule stops it, unless its use or state moves that time. The stop may be later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops_at: Option<Time>,
    /// The rule behind `stopsAt`: of several, the one that comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops_because: Option<StopRule>,
    /// Until when no idle rule stops it, by its annotation `workspaces.jupyter.org/keep-until`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// The rule that stopped it, if no user did; until the next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_because: Option<StoppedBecause>,
    /// When the stopped workspace is deleted. A start or more days (`limits.stoppedRetentionDays`) prevent that; another change gives a day
    /// more. It is stored at least a day before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletes_at: Option<Time>,
    /// When memory last ran out in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_memory: Option<OutOfMemory>,
    /// The disk of its own that the workspace has, or had last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskStatus>,
    /// Its further disks, by the `volumeClaims` of its template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub claims: Vec<ClaimStatus>,
    /// Names of the claims of the workspace that a user deleted and that are not gone yet. Each goes with its files once no
    /// pod uses it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terminating_claims: Vec<String>,
    /// When the first container of this run started. Until then it is absent, and a change of the spec applies at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the first container started since a user last started the workspace, if a maximum age applies. Unlike `startedAt` it stays when a
    /// lost pod is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Time>,
    /// Since when it was not ready for five minutes together, if `limits.failedTimeoutMinutes` applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Time>,
    /// When the workspace's container ended because `stop-workspace` was called in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_requested_at: Option<Time>,
    /// Whether the last run had a home without a disk, whose files went with its pod. Until the next run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub files_lost: bool,
    /// When this run began, or when the scheduling gates of its pod were removed. Absent after its first ready pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_since: Option<Time>,
    /// `Valid`, `Available`, `Progressing`, `Degraded`, `Stopped`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

lenient!(WorkspaceStatus);

/// The state of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// A rule is violated or a reference does not resolve; nothing runs.
    Invalid,
    /// A pod is starting.
    Starting,
    /// The pod is ready.
    Running,
    /// The pod is stopping.
    Stopping,
    /// No pod is left.
    Stopped,
    /// The pod cannot run; see reason and message.
    Failed,
    /// The workspace is being deleted.
    Deleting,
}

/// The end of a container or process because memory ran out: that of the container's limit, or seldom that of the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutOfMemory {
    /// When it ended. Of a process it is when that was seen, up to a minute later.
    pub time: Time,
    /// What ended.
    pub ended: EndedForMemory,
    /// Memory limit of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Quantity>,
}

/// What the node's kernel ends when a container's memory runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EndedForMemory {
    /// The whole container, which the kubelet started again.
    Container,
    /// A process, such as a notebook's kernel. The image's door tells this of workspaces that stop when idle or have a disk of their own.
    Process,
}

impl OutOfMemory {
    /// What ended, and why.
    pub fn message(&self) -> String {
        let what = match self.ended {
            EndedForMemory::Container => "The container was ended and started again",
            EndedForMemory::Process => "A process was ended",
        };
        let limit = self.limit.as_ref();
        let limit = limit.map_or_else(String::new, |limit| format!(": the limit is {}", limit.0));
        let time = self.time.0;
        format!("{what} at {time}, because memory ran out{limit}.")
    }
}

/// Address of the ready pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Name of the pod.
    pub pod_name: String,
    /// Address of the pod.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// Port of the application.
    pub port: i32,
}

/// How many containers a pod has and how many of them are ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerCounts {
    /// Ready ones.
    pub ready: i32,
    /// All of them.
    pub total: i32,
}

/// Effective values of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// What is chosen of the template's options, also by default: option -> choice.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Image after defaults and aliases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Requests and limits after defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// The home disk after defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<ResolvedStorage>,
    /// WorkspaceManager that routes here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// WorkspaceExecutionProfile that gives the pod its identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_profile: Option<String>,
    /// Minutes without activity before the stop; absent: no stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_in_minutes: Option<i32>,
    /// Minutes for which an open page counts as use after a user's last act; absent: no stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_tab_minutes: Option<i32>,
    /// Minutes that a start may take; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timeout_minutes: Option<i32>,
    /// Minutes that it may run; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_minutes: Option<i32>,
    /// Minutes that it may be without a ready pod; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_timeout_minutes: Option<i32>,
    /// Days from its stop to its deletion; absent: it is never deleted, or the installation deletes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_retention_days: Option<i32>,
    /// Who may change and delete the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership_type: Option<OwnershipType>,
    /// Who may connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_type: Option<AccessType>,
    /// Kind of application, if workspace or template set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_type: Option<String>,
    /// UID of the template that was applied.
    #[serde(default, rename = "templateUID", skip_serializing_if = "Option::is_none")]
    pub template_uid: Option<String>,
}

/// Effective home of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedStorage {
    /// Size of the disk, or size limit of the emptyDir. Absent for an existing claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub size: Option<Quantity>,
    /// Existing claim that is the home, if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_name: Option<String>,
    /// Storage class, if set: that of the disk, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// Path in the container.
    pub mount_path: String,
    /// What becomes of a disk of the workspace's own at deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<Retain>,
    /// True if the home is an emptyDir, whose files a stop deletes.
    #[serde(default)]
    pub ephemeral: bool,
}
