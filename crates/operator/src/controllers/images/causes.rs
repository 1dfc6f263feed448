//! DaemonSets, Deployments, pods, Events -> why images or placeholders are missing (pure).

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{ContainerStateWaiting, Pod},
};

use super::{desired::Wanted, live::Live};
use crate::{
    plan::{ImagesNamespace, PAUSE},
    support::text::brief,
};

/// Longest text about one image, in bytes.
const MAX_CAUSE: usize = 300;
/// What a container waits for when nothing is wrong.
const USUAL: [&str; 2] = ["PodInitializing", "ContainerCreating"];

/// Why the API server did not take an object, by the object's name.
pub(super) type Refusals = BTreeMap<String, String>;

/// What is wrong with images and placeholders, one text for each.
pub(super) fn problems(
    wanted: &Wanted,
    live: &Live,
    refusals: &Refusals,
    images: &ImagesNamespace,
) -> Vec<String> {
    let problem = |what: &str, name: &String, of_pods: Option<&str>| {
        let write = refusals.get(name);
        let write =
            write.map(|refusal| format!("the API server refuses {name}: {}", brief(refusal, MAX_CAUSE)));
        let refused = || of_pods.map(|refusal| refused_pods(refusal, images));
        let cause = write
            .or_else(refused)
            .or_else(|| failure(&live.pending_pods(name), images))?;
        Some(format!("{what}: {cause}"))
    };
    let pulls = wanted.pulls.iter().filter_map(|(image, name)| {
        let set = live.daemon_set(name);
        problem(image, name, set.and_then(|set| refusal_of_set(set, live)))
    });
    let placeholders = wanted.placeholders.iter().filter_map(|name| {
        let deployment = live.deployment(name);
        problem("placeholders", name, deployment.and_then(refusal_of_deployment))
    });
    pulls.chain(placeholders).collect()
}

/// Why pods of a template have no node yet. A full node may have room later, so it is no problem.
pub(super) fn without_node(wanted: &Wanted, live: &Live) -> Option<String> {
    let names = wanted.pulls.iter().map(|(_, name)| name);
    let pods = names
        .chain(&wanted.placeholders)
        .flat_map(|name| live.pending_pods(name));
    let causes: Vec<_> = pods.filter_map(unscheduled).collect();
    let first = brief(causes.first()?.trim_end_matches('.'), MAX_CAUSE);
    Some(match causes.len() {
        1 => format!("1 pod has no node: {first}."),
        many => format!("{many} pods have no node: {first}."),
    })
}

/// Why nodes have no pod of a DaemonSet: its status does not say, and an Event is kept for an hour.
fn refusal_of_set<'a>(set: &DaemonSet, live: &'a Live) -> Option<&'a str> {
    let status = set.status.as_ref()?;
    if status.current_number_scheduled >= status.desired_number_scheduled {
        return None;
    }
    let about = live
        .refused_pods
        .iter()
        .filter(|event| event.involved_object.uid == set.metadata.uid);
    let last = about.max_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
    last?.message.as_deref()
}

fn refusal_of_deployment(deployment: &Deployment) -> Option<&str> {
    let mut conditions = deployment.status.as_ref()?.conditions.iter().flatten();
    let failure = conditions.find(|it| it.type_ == "ReplicaFailure" && it.status == "True");
    failure?.message.as_deref()
}

/// A refusal of pods, and what lets them in.
fn refused_pods(refusal: &str, images: &ImagesNamespace) -> String {
    // Before it are a controller's words and the name of a pod, which is another one at each try.
    let cause = ["is forbidden: ", "Error creating: "]
        .into_iter()
        .find_map(|start| Some(refusal.split_once(start)?.1))
        .unwrap_or(refusal);
    let namespace = &images.name;
    let remedy = if cause.contains("quota: ") {
        "raise the quota (chart's value prePull.quota)".to_owned()
    } else if cause.contains("security context constraint") {
        format!("run `oc adm policy add-scc-to-user nonroot-v2 -z default -n {namespace}`")
    } else {
        format!("allow them in namespace {namespace}")
    };
    format!("pods are refused: {}: {remedy}", brief(cause, MAX_CAUSE))
}

/// Why pods do not start, and on how many nodes.
fn failure(pods: &[&Pod], images: &ImagesNamespace) -> Option<String> {
    let causes: Vec<_> = pods.iter().filter_map(|pod| cause(pod, images)).collect();
    let first = brief(causes.first()?, MAX_CAUSE);
    Some(match causes.len() {
        1 => format!("{first} (1 node)"),
        many => format!("{first} ({many} nodes)"),
    })
}

/// Why a pod does not start; `None`: nothing is wrong.
fn cause(pod: &Pod, images: &ImagesNamespace) -> Option<String> {
    let status = pod.status.as_ref()?;
    let lists = [&status.init_container_statuses, &status.container_statuses];
    let mut containers = lists.into_iter().flatten().flatten();
    containers.find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        not_started(waiting, container.name == PAUSE, images)
    })
}

/// Why a container does not start. `is_own`: it runs our own image, in place of the workspace's.
fn not_started(waiting: &ContainerStateWaiting, is_own: bool, images: &ImagesNamespace) -> Option<String> {
    let reason = waiting.reason.as_deref();
    let reason = reason.filter(|reason| !USUAL.contains(reason))?;
    let message = waiting.message.as_deref().unwrap_or_default();
    // Between two tries the text has a prefix. Without it, the status is the same all the time.
    let message = message
        .rsplit_once("ErrImagePull: ")
        .map_or(message, |(_, cause)| cause);
    let (image, runs) = if is_own {
        (
            format!(
                "the operator's image {}, which these pods run,",
                images.pause_image
            ),
            PAUSE,
        )
    } else {
        ("it".to_owned(), "true")
    };
    Some(match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            format!("{image} cannot be pulled{}: {message}", with_secrets(images))
        }
        "ErrImageNeverPull" => format!(
            "{image} is not on the node, and settings.imagePullPolicy is Never: load it there, or set another policy"
        ),
        "InvalidImageName" => {
            format!("{image} is not a valid reference of an image: correct it in a new template")
        }
        _ => format!("{image} does not run `{runs}`: {reason}: {message}"),
    })
}

/// The kubelet ignores a Secret that does not exist.
fn with_secrets(images: &ImagesNamespace) -> String {
    let (secrets, namespace) = (&images.pull_secrets, &images.name);
    match secrets.len() {
        0 => String::new(),
        1 => format!(" with the Secret {} of namespace {namespace}", secrets[0]),
        _ => format!(
            " with the Secrets {} of namespace {namespace}",
            secrets.join(", ")
        ),
    }
}

fn unscheduled(pod: &Pod) -> Option<&str> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let scheduled = conditions.find(|it| it.type_ == "PodScheduled" && it.status == "False")?;
    scheduled.message.as_deref().filter(|message| !message.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::names::{APP_NAME_LABEL, PLACEHOLDERS_LABEL, PRE_PULL_LABEL};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        controllers::images::live::fixtures::{live as sets, wanted as template},
        testing,
    };

    /// A pod of one container in this list of its status.
    fn pod_with(object: &str, list: &str, container: &str, waiting: &Value) -> Arc<Pod> {
        let pod = json!({
            "metadata": {"labels": {APP_NAME_LABEL: object}},
            "status": {list: [{
                "name": container, "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": {"waiting": waiting},
            }]},
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn pod(daemon_set: &str, waiting: &Value) -> Arc<Pod> {
        pod_with(daemon_set, "initContainerStatuses", "image", waiting)
    }

    fn told(wanted: &Wanted, live: &Live) -> Vec<String> {
        problems(wanted, live, &Refusals::new(), &testing::images())
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_named_with_the_cause_between_tries_too() {
        let wanted = template(json!({PRE_PULL_LABEL: "true"}));
        let names: Vec<_> = wanted.pulls.iter().map(|(_, name)| name).collect();
        let mut live = sets(&wanted, 6);
        for waiting in [
            json!({"reason": "ErrImagePull", "message": "not found"}),
            json!({"reason": "ImagePullBackOff", "message": "Back-off pulling image \"b\": ErrImagePull: not found"}),
        ] {
            live.pods = vec![pod(names[1], &waiting), pod(names[1], &waiting)];
            assert_eq!(
                told(&wanted, &live),
                ["r.example.com/b:1: it cannot be pulled: not found (2 nodes)"]
            );
        }
        for (reason, expected) in [
            (
                "RunContainerError",
                "r.example.com/b:1: it does not run `true`: RunContainerError: ",
            ),
            (
                "ErrImageNeverPull",
                "r.example.com/b:1: it is not on the node, and settings.imagePullPolicy is Never: ",
            ),
            (
                "InvalidImageName",
                "r.example.com/b:1: it is not a valid reference of an image: ",
            ),
        ] {
            live.pods = vec![pod(names[1], &json!({"reason": reason}))];
            let problems = told(&wanted, &live);
            assert!(problems[0].starts_with(expected), "{problems:?}");
        }
        live.pods = vec![
            pod(names[1], &json!({"reason": "PodInitializing"})),
            pod("other", &json!({"reason": "ErrImagePull"})),
        ];
        assert!(told(&wanted, &live).is_empty());
    }

    #[test]
    fn an_image_of_our_own_that_cannot_be_pulled_is_named_with_the_secrets_for_it() {
        let wanted = template(json!({PRE_PULL_LABEL: "true", PLACEHOLDERS_LABEL: "1"}));
        let mut images = testing::images();
        images.pull_secrets = vec!["a".to_owned(), "b".to_owned()];
        let waiting = json!({"reason": "ErrImagePull", "message": "denied"});
        let (set, deployment) = (
            &wanted.pulls.first().unwrap().1,
            wanted.placeholders.clone().unwrap(),
        );
        let live = Live {
            pods: [set, &deployment]
                .map(|name| pod_with(name, "containerStatuses", "pause", &waiting))
                .into(),
            ..sets(&wanted, 8)
        };
        let problems = problems(&wanted, &live, &Refusals::new(), &images);
        let cause = "the operator's image r.example.com/operator:1, which these pods run, cannot be pulled with the Secrets a, b of namespace \
                     images: denied (1 node)";
        let image = &wanted.pulls.first().unwrap().0;
        assert_eq!(
            problems,
            [format!("{image}: {cause}"), format!("placeholders: {cause}")]
        );
    }

    #[test]
    fn pods_that_are_refused_are_told_with_the_remedy_while_nodes_lack_them() {
        let wanted = template(json!({PRE_PULL_LABEL: "true"}));
        let name = &wanted.pulls.first().unwrap().1;
        let event = |uid: &str, minute: u8, message: &str| {
            let event = json!({
                "metadata": {}, "involvedObject": {"uid": uid}, "message": message, "lastTimestamp": format!("2026-01-01T00:{minute:02}:00Z"),
            });
            Arc::new(serde_json::from_value(event).unwrap())
        };
        let mut live = sets(&wanted, 8);
        for (cause, remedy) in [
            (
                "exceeded quota: images, requested: pods=1",
                "raise the quota (chart's value prePull.quota)",
            ),
            (
                "unable to validate against any security context constraint: []",
                "run `oc adm policy add-scc-to-user nonroot-v2 -z default -n images`",
            ),
            ("violates PodSecurity \"x\"", "allow them in namespace images"),
        ] {
            live.refused_pods = vec![
                event(
                    name,
                    2,
                    &format!("Error creating: pods \"pull-x7\" is forbidden: {cause}"),
                ),
                event(name, 1, "Error creating: an earlier one"),
                event("other", 3, "Error creating: of another one"),
            ];
            assert!(told(&wanted, &live).is_empty(), "each node has its pod");
            let mut short = live.clone();
            let status = Arc::make_mut(&mut short.daemon_sets[0]).status.as_mut().unwrap();
            status.current_number_scheduled = 7;
            let image = &wanted.pulls.first().unwrap().0;
            assert_eq!(
                told(&wanted, &short),
                [format!("{image}: pods are refused: {cause}: {remedy}")]
            );
        }
    }
}
