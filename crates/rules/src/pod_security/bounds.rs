//! Pod -> what it breaks of our own bounds of any pod (pure).

use std::ops::RangeInclusive;

use api::names::{APPLICATION_CONTAINER, APPLICATION_PORT};
use k8s_openapi::api::core::v1::{Container, ContainerPort};

use super::{Judged, Stage, identity, labels, mounts};
use crate::violation::Violation;

/// Seconds that a pod may have to end. Without any, the next pod could mount its disk too early.
const GRACE: RangeInclusive<i64> = 1..=3600;

/// A bound: what of the pod is beyond it.
type Bound = fn(&Judged<'_>) -> Vec<Violation>;

static BOUNDS: [Bound; 12] = [
    application,
    ports,
    resources,
    container_mounts,
    identity::service_account,
    identity::automounted_token,
    identity::projected_tokens,
    labels::of_pod,
    grace_period,
    restart_policy,
    system,
    ephemeral_containers,
];

pub(super) fn violations(judged: &Judged<'_>) -> Vec<Violation> {
    BOUNDS.iter().flat_map(|bound| bound(judged)).collect()
}

/// The application's container is one, and no init container has its name.
fn application(judged: &Judged<'_>) -> Vec<Violation> {
    let others = judged
        .init_containers
        .iter()
        .filter(|it| is_application(it.container));
    let others = others.map(|placed| {
        let rule = "is the name of the application's container: choose another";
        Violation::new(format!("{}.name", placed.path), APPLICATION_CONTAINER, rule)
    });
    let count = judged
        .containers
        .iter()
        .filter(|it| is_application(it.container))
        .count();
    let is_wrong = count > 1 || count == 0 && matches!(judged.stage, Stage::Finished(_));
    let wrong = is_wrong.then(|| {
        let rule =
            format!("must have exactly one container {APPLICATION_CONTAINER:?}, which runs the application");
        Violation::new(judged.field("containers"), "", rule)
    });
    others.chain(wrong).collect()
}

/// Only the application has a port of its name, and none is of the node.
fn ports(judged: &Judged<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for placed in judged.all_containers() {
        let is_named = matches!(judged.stage, Stage::Finished(_)) && is_application(placed.container);
        for (index, given) in placed.container.ports.iter().flatten().enumerate() {
            let at = format!("{}.ports[{index}]", placed.path);
            found.extend(host_ip(&at, given));
            if !is_named {
                found.extend(port_name(&at, given));
            }
        }
    }
    found
}

/// Checks the address of the node in a port at `at`.
pub(crate) fn host_ip(at: &str, port: &ContainerPort) -> Option<Violation> {
    let host = port.host_ip.as_ref().filter(|host| !host.is_empty())?;
    let rule = "would open a port of the node: leave it out";
    Some(Violation::new(format!("{at}.hostIP"), host, rule))
}

/// Checks the name of another container's port at `at`. Kubernetes takes the name in each container, and the Service finds its port by it.
pub(crate) fn port_name(at: &str, port: &ContainerPort) -> Option<Violation> {
    let rule = "is the name of the application's port: choose another";
    let is_taken = port.name.as_deref() == Some(APPLICATION_PORT);
    is_taken.then(|| Violation::new(format!("{at}.name"), APPLICATION_PORT, rule))
}

/// Containers beside the application say what they need. Those that run before it get what it has, where a workspace or template lists
/// them: in a finished pod they are complete.
fn resources(judged: &Judged<'_>) -> Vec<Violation> {
    let init_containers: &[_] = match judged.stage {
        Stage::Template => &judged.init_containers,
        Stage::Finished(_) => &[],
    };
    let others = init_containers.iter().chain(&judged.containers);
    let mut found = Vec::new();
    for placed in others.filter(|it| !is_application(it.container)) {
        let given = placed.container.resources.as_ref();
        let maps = given.map(|it| [it.requests.as_ref(), it.limits.as_ref()]);
        let is_set = |name: &str| maps.iter().flatten().flatten().any(|map| map.contains_key(name));
        for name in ["cpu", "memory"].into_iter().filter(|name| !is_set(name)) {
            let field = format!("{}.resources.requests.{name}", placed.path);
            let rule = "is missing: each container beside the application needs cpu and memory, as a request or a limit";
            found.push(Violation::new(field, "", rule));
        }
    }
    if judged.pod.spec.resources.is_some() {
        let rule = "are of the whole pod, which no bound of a template knows: set those of each container";
        found.push(Violation::new(judged.field("resources"), "", rule));
    }
    found
}

fn container_mounts(judged: &Judged<'_>) -> Vec<Violation> {
    let of_container = |placed: &super::Placed<'_>| {
        let given = placed.container.volume_mounts.as_deref().unwrap_or_default();
        mounts::of_container(&format!("{}.volumeMounts", placed.path), given)
    };
    judged.all_containers().flat_map(of_container).collect()
}

fn grace_period(judged: &Judged<'_>) -> Vec<Violation> {
    let given = judged.pod.spec.termination_grace_period_seconds;
    let wrong = given.filter(|seconds| !GRACE.contains(seconds)).map(|seconds| {
        let rule = format!("must be from {} to {} seconds", GRACE.start(), GRACE.end());
        Violation::new(
            judged.field("terminationGracePeriodSeconds"),
            seconds.to_string(),
            rule,
        )
    });
    wrong.into_iter().collect()
}

/// A run ends when its pod does, not when a container does.
fn restart_policy(judged: &Judged<'_>) -> Vec<Violation> {
    let given = judged.pod.spec.restart_policy.as_ref();
    let wrong = given.filter(|policy| *policy != "Always").map(|policy| {
        let rule = "must be Always: a workspace runs until it is stopped";
        Violation::new(judged.field("restartPolicy"), policy, rule)
    });
    wrong.into_iter().collect()
}

/// The Standards exempt Windows from checks of Linux.
fn system(judged: &Judged<'_>) -> Vec<Violation> {
    let given = judged.pod.spec.os.as_ref();
    let wrong = given.filter(|os| os.name != "linux").map(|os| {
        let rule = "must be linux, on which applications run";
        Violation::new(judged.field("os.name"), &os.name, rule)
    });
    wrong.into_iter().collect()
}

/// People add them to a running pod. Nothing else judges them.
fn ephemeral_containers(judged: &Judged<'_>) -> Vec<Violation> {
    let is_set = judged
        .pod
        .spec
        .ephemeral_containers
        .iter()
        .flatten()
        .next()
        .is_some();
    let rule = "must not be set: they are added to a running pod by kubectl debug";
    let wrong = is_set.then(|| Violation::new(judged.field("ephemeralContainers"), "", rule));
    wrong.into_iter().collect()
}

fn is_application(container: &Container) -> bool {
    container.name == APPLICATION_CONTAINER
}
