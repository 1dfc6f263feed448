//! World -> the cause of what goes wrong (pure), from the status of claim, Deployment and pod.

use std::time::Duration;

use api::condition::reason;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ContainerStateTerminated, ContainerStatus, PersistentVolumeClaim, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt as _;

use crate::{
    refusal,
    trouble::Trouble,
    world::{CONTAINER, World},
};

/// Evidence that often passes by itself within the second is looked at again after this time before it is told.
const DOUBT: Duration = Duration::from_secs(1);
/// How long a pod without a node still counts as starting: autoscalers need their time.
const SCHEDULING_GRACE: Duration = Duration::from_mins(5);
/// How long the making of a volume, or the way from started to ready, may take before it is told.
const SLOW: Duration = Duration::from_mins(1);
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// What the world shows now, and when it may show something else without anything being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// The cause, if something goes wrong.
    pub(super) trouble: Option<Trouble>,
    /// When to look again.
    pub(super) recheck: Option<Duration>,
}

impl Evidence {
    fn certain(reason: &'static str, message: String) -> Self {
        Self {
            trouble: Some(Trouble {
                reason,
                message,
                failed: true,
            }),
            recheck: None,
        }
    }

    fn later(after: Duration) -> Self {
        Self {
            trouble: None,
            recheck: Some(after),
        }
    }
}

/// What keeps the pod of the current run from being ready.
pub(super) fn find(world: &World, now: Timestamp) -> Evidence {
    let candidates = [
        missing_class(world, now),
        world
            .current_pod()
            .map_or_else(|| no_pod(world, now), |pod| pod_trouble(world, pod, now)),
        slow_volume(world, now),
    ];
    let recheck = candidates.iter().filter_map(|evidence| evidence.recheck).min();
    Evidence {
        trouble: candidates.into_iter().find_map(|evidence| evidence.trouble),
        recheck,
    }
}

/// Quota, Pod Security and other admission rules speak through the Deployment: it cannot make its pod.
fn no_pod(world: &World, now: Timestamp) -> Evidence {
    let conditions = world
        .own_deployment()
        .and_then(|it| it.status.as_ref())
        .and_then(|it| it.conditions.as_ref());
    let failure = conditions
        .into_iter()
        .flatten()
        .find(|it| it.type_ == "ReplicaFailure" && it.status == "True");
    let Some(failure) = failure else {
        return Evidence::default();
    };
    if let Some(rest) = remaining(failure.last_transition_time.as_ref(), DOUBT, now) {
        return Evidence::later(rest);
    }
    let refusal = refusal::of_message("Pod", failure.message.as_deref().unwrap_or_default());
    Evidence::certain(refusal.reason, refusal.message)
}

fn pod_trouble(world: &World, pod: &Pod, now: Timestamp) -> Evidence {
    let status = pod.status.clone().unwrap_or_default();
    let scheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled");
    if let Some(unscheduled) = scheduled.filter(|condition| condition.status == "False") {
        let message = unscheduled.message.as_deref().unwrap_or_default();
        // The disk is being made; a disk that cannot be made is told by `slow_volume`.
        if message.contains("unbound immediate PersistentVolumeClaims") {
            return Evidence::default();
        }
        let since = unscheduled.last_transition_time.as_ref();
        if let Some(rest) = remaining(since, DOUBT, now) {
            return Evidence::later(rest);
        }
        let grace = remaining(since, SCHEDULING_GRACE, now);
        return Evidence {
            trouble: Some(Trouble {
                reason: reason::UNSCHEDULABLE,
                message: format!(
                    "No node can take the pod: {}. Ask for less cpu and memory, stop another workspace, or have \
                     nodes added.",
                    message.trim_end_matches(['.', ' '])
                ),
                failed: grace.is_none(),
            }),
            recheck: grace,
        };
    }
    let container = status
        .container_statuses
        .iter()
        .flatten()
        .find(|container| container.name == CONTAINER);
    container.map_or_else(Evidence::default, |container| {
        container_trouble(world, pod, container, now)
    })
}

fn container_trouble(world: &World, pod: &Pod, container: &ContainerStatus, now: Timestamp) -> Evidence {
    if container.ready {
        return Evidence::default();
    }
    let state = container.state.clone().unwrap_or_default();
    let waiting = state.waiting.unwrap_or_default();
    let (why, text) = (
        waiting.reason.unwrap_or_default(),
        waiting.message.unwrap_or_default(),
    );
    match why.as_str() {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            let image = pod
                .spec
                .as_ref()
                .and_then(|spec| spec.containers.first()?.image.as_deref());
            let message = format!(
                "The image {:?} cannot be pulled: {text}. Check its name and tag, and that the cluster may pull it.",
                image.unwrap_or_default()
            );
            return Evidence::certain(reason::IMAGE_PULL_FAILED, message);
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            let message = format!(
                "The container cannot be started: {text}. Check spec.containerConfig, spec.resources and the image."
            );
            return Evidence::certain(reason::CONTAINER_START_FAILED, message);
        }
        _ => {}
    }
    let last = container.last_state.clone().unwrap_or_default().terminated;
    if let Some(ended) = state.terminated.or(last) {
        return exited(world, pod, container, why == "CrashLoopBackOff", &ended);
    }
    let Some(running) = state.running else {
        return Evidence::default();
    };
    if let Some(rest) = remaining(running.started_at.as_ref(), SLOW, now) {
        return Evidence::later(rest);
    }
    let message = format!(
        "The container runs for over {} s, but nothing answers on its port. Check that the application listens on \
         0.0.0.0 and on spec.port. {}",
        SLOW.as_secs(),
        logs_hint(world, pod, "")
    );
    Evidence::certain(reason::READINESS_FAILED, message)
}

/// The words depend on nothing that changes from one restart to the next, so that a crash loop is written once.
fn exited(
    world: &World,
    pod: &Pod,
    container: &ContainerStatus,
    backing_off: bool,
    ended: &ContainerStateTerminated,
) -> Evidence {
    let hint = logs_hint(world, pod, " --previous");
    let code = ended.exit_code;
    let memory = || {
        let limits = pod
            .spec
            .as_ref()?
            .containers
            .first()?
            .resources
            .as_ref()?
            .limits
            .as_ref()?;
        Some(limits.get("memory")?.0.clone())
    };
    match ended.reason.as_deref() {
        Some("OOMKilled") => Evidence::certain(
            reason::OOM_KILLED,
            format!(
                "The container used more memory than its limit{}. Raise spec.resources.limits.memory, stop and start. {hint}",
                memory().map_or_else(String::new, |limit| format!(" of {limit}"))
            ),
        ),
        Some("StartError" | "ContainerCannotRun") => Evidence::certain(
            reason::CONTAINER_START_FAILED,
            format!(
                "The container cannot be started: {}. Check spec.containerConfig, spec.resources and the image.",
                ended.message.as_deref().unwrap_or("no reason is given").trim()
            ),
        ),
        _ if backing_off || container.restart_count >= 2 => Evidence::certain(
            reason::CRASH_LOOPING,
            format!(
                "The container ends again and again, last with exit code {code}, and is restarted ever later. {hint}"
            ),
        ),
        _ => Evidence::certain(
            reason::CONTAINER_EXITED,
            format!("The container ended with exit code {code} and is restarted. {hint}"),
        ),
    }
}

fn logs_hint(world: &World, pod: &Pod, options: &str) -> String {
    format!(
        "See its output: kubectl logs -n {} {}{options}",
        world.identity.namespace,
        pod.name_any()
    )
}

/// The claim that waits for a volume, if there is one.
fn pending_claim(world: &World) -> Option<&PersistentVolumeClaim> {
    let claim = world.claim.as_deref()?;
    let phase = claim.status.as_ref()?.phase.as_deref()?;
    (phase == "Pending").then_some(claim)
}

fn missing_class(world: &World, now: Timestamp) -> Evidence {
    let Some(claim) = pending_claim(world) else {
        return Evidence::default();
    };
    let class = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref());
    let classes = &world.storage_classes;
    let message = match class {
        Some(name) if classes.iter().all(|class| class.name_any() != name) => format!(
            "The disk's storage class {name:?} does not exist. Have it made, or create the workspace anew with another \
             spec.storage.storageClassName."
        ),
        None if classes.iter().all(|class| class.annotations().get(DEFAULT_CLASS).is_none_or(|it| it != "true")) => {
            "The disk names no storage class and the cluster has no default one. Have a default made, or create the \
             workspace anew with spec.storage.storageClassName."
                .to_owned()
        }
        _ => return Evidence::default(),
    };
    // A volume made by hand may carry the name of a class that has no object.
    match remaining(claim.metadata.creation_timestamp.as_ref(), DOUBT, now) {
        Some(rest) => Evidence::later(rest),
        None => Evidence::certain(reason::STORAGE_CLASS_NOT_FOUND, message),
    }
}

fn slow_volume(world: &World, now: Timestamp) -> Evidence {
    let name = world.identity.child_name();
    let phase = world
        .claim
        .as_ref()
        .and_then(|claim| claim.status.as_ref()?.phase.as_deref());
    if phase == Some("Lost") {
        let message =
            format!("The volume of the disk {name} is gone. Restore it, or create the workspace anew.");
        return Evidence::certain(reason::VOLUME_UNBOUND, message);
    }
    let (Some(_), Some(pod)) = (pending_claim(world), world.current_pod()) else {
        return Evidence::default();
    };
    match remaining(pod.metadata.creation_timestamp.as_ref(), SLOW, now) {
        Some(rest) => Evidence::later(rest),
        None => Evidence::certain(
            reason::VOLUME_UNBOUND,
            format!(
                "The disk has waited for a volume for over {} s. See why: kubectl describe -n {} pvc/{name}",
                SLOW.as_secs(),
                world.identity.namespace
            ),
        ),
    }
}

/// What is left of `span` since `since`. Nothing is left when the time is unknown or lies in the future: then the
/// clocks differ, and waiting would hide the evidence.
fn remaining(since: Option<&Time>, span: Duration, now: Timestamp) -> Option<Duration> {
    let age = Duration::try_from(now.duration_since(since?.0)).ok()?;
    span.checked_sub(age).filter(|rest| !rest.is_zero())
}
