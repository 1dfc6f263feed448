//! DaemonSets, their pods, refused writes -> what the status of a template says (pure).

use std::{collections::BTreeMap, sync::Arc};

use api::{condition::reason, names::APP_NAME_LABEL};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::Pod,
};
use kube::ResourceExt as _;

use super::desired::Wanted;
use crate::support::text::{brief, join_first};

/// Longest text about one image, in bytes.
const MAX_CAUSE: usize = 300;
/// Most images with a problem in a message.
const MAX_LISTED: usize = 3;
/// What a container waits for when nothing is wrong.
const USUAL: [&str; 2] = ["PodInitializing", "ContainerCreating"];

/// What the caches show of the namespace.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// DaemonSets that pull images.
    pub daemon_sets: Vec<Arc<DaemonSet>>,
    /// Deployments of placeholders.
    pub deployments: Vec<Arc<Deployment>>,
    /// Pods that do not run yet.
    pub pods: Vec<Arc<Pod>>,
}

/// Why the API server did not take an object, by the object's name.
pub(super) type Refusals = BTreeMap<String, String>;

/// What the status of a template says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Pulls that are done, and that are wanted.
    pub(super) pulled: Option<String>,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Report {
    /// Whether the template is prepared.
    pub(super) fn holds(&self) -> bool {
        self.reason == reason::PREPARED
    }
}

/// `is_enabled`: whether there is a namespace for it.
pub(super) fn assess(wanted: &Wanted, live: &Live, refusals: &Refusals, is_enabled: bool) -> Report {
    let count = Count::new(wanted, live);
    let problems = problems(wanted, live, refusals);
    let (reason, message) = if !wanted.request.violations.is_empty() {
        (reason::LABEL_INVALID, wanted.request.violations.join("; "))
    } else if !is_enabled {
        let message = "This installation pulls no images in advance and keeps no room: set the chart's value prePull.enabled, or remove \
                       the label.";
        (reason::PRE_PULL_DISABLED, message.to_owned())
    } else if let Some(profile) = &wanted.profile {
        let message = format!(
            "The execution profile {profile:?} pulls the images with its own Secrets (spec.imagePullSecrets), which only namespaces of \
             workspaces have: remove the label, or use a Secret of the installation (setting imagePullSecrets)."
        );
        (reason::PULL_SECRET_OF_PROFILE, message)
    } else if !problems.is_empty() {
        (reason::PRE_PULL_FAILED, join_first(&problems, MAX_LISTED))
    } else if !count.is_complete {
        (reason::PULLING_IMAGES, count.message(wanted))
    } else {
        (reason::PREPARED, count.message(wanted))
    };
    Report {
        pulled: count.pulled(),
        reason,
        message,
    }
}

/// Pulls of a template, and its placeholders.
struct Count {
    done: i32,
    wanted: i32,
    /// Whether every DaemonSet reports that all its nodes are served.
    is_complete: bool,
    placed: i32,
}

impl Count {
    fn new(wanted: &Wanted, live: &Live) -> Self {
        let mut count = Self {
            done: 0,
            wanted: 0,
            is_complete: true,
            placed: 0,
        };
        for name in wanted.pulls.values() {
            let set = live.daemon_sets.iter().find(|set| set.name_any() == *name);
            // A status of an earlier generation counts other nodes.
            let status = set.and_then(|set| {
                let status = set.status.as_ref()?;
                (status.observed_generation >= set.metadata.generation).then_some(status)
            });
            let Some(status) = status else {
                count.is_complete = false;
                continue;
            };
            count.done += status.number_ready;
            count.wanted += status.desired_number_scheduled;
            count.is_complete &= status.number_ready >= status.desired_number_scheduled;
        }
        if let Some(name) = &wanted.placeholders {
            let deployment = live.deployments.iter().find(|it| it.name_any() == *name);
            let status = deployment.and_then(|it| it.status.as_ref());
            count.placed = status
                .and_then(|status| status.ready_replicas)
                .unwrap_or_default();
        }
        count
    }

    /// Nothing where no DaemonSet has counted its nodes.
    fn pulled(&self) -> Option<String> {
        let Self { done, wanted, .. } = self;
        (*wanted > 0).then(|| format!("{done}/{wanted}"))
    }

    fn message(&self, template: &Wanted) -> String {
        let mut parts = Vec::new();
        let Self { done, wanted, .. } = self;
        match template.pulls.len() {
            0 => {}
            _ if *wanted == 0 && self.is_complete => parts.push("No node can run its workspaces.".to_owned()),
            _ if *wanted == 0 => parts.push("Nodes begin to pull.".to_owned()),
            1 => parts.push(format!("{done} of {wanted} nodes have the image.")),
            images => parts.push(format!("{done} of {wanted} pulls of {images} images are done.")),
        }
        if template.left_out > 0 {
            parts.push(format!(
                "{} further images are not pulled: {} is the maximum.",
                template.left_out,
                template.pulls.len()
            ));
        }
        if let Some(placeholders) = template.request.placeholders {
            parts.push(format!(
                "{} of {} placeholders run.",
                self.placed, placeholders.count
            ));
        }
        parts.join(" ")
    }
}

/// What is wrong with images and placeholders, one text for each.
fn problems(wanted: &Wanted, live: &Live, refusals: &Refusals) -> Vec<String> {
    let refused = |what: &str, name: &String| {
        let refusal = refusals.get(name)?;
        Some(format!(
            "{what}: the API server refuses {name}: {}",
            brief(refusal, MAX_CAUSE)
        ))
    };
    let images = wanted.pulls.iter();
    let images =
        images.filter_map(|(image, name)| refused(image, name).or_else(|| failure(image, name, live)));
    let placeholders = wanted.placeholders.iter();
    images
        .chain(placeholders.filter_map(|name| refused("placeholders", name)))
        .collect()
}

/// Why nodes cannot pull an image, and how many.
fn failure(image: &str, daemon_set: &str, live: &Live) -> Option<String> {
    let pods = live.pods.iter();
    let own = pods.filter(|pod| {
        pod.labels()
            .get(APP_NAME_LABEL)
            .is_some_and(|name| name == daemon_set)
    });
    let causes: Vec<_> = own.filter_map(|pod| cause(pod)).collect();
    let first = brief(causes.first()?, MAX_CAUSE);
    let nodes = match causes.len() {
        1 => "1 node".to_owned(),
        many => format!("{many} nodes"),
    };
    Some(format!("{image}: {first} ({nodes})"))
}

/// Why a pod does not start; `None`: nothing is wrong.
fn cause(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let lists = [&status.init_container_statuses, &status.container_statuses];
    let containers = lists.into_iter().flatten().flatten();
    let mut waiting = containers.filter_map(|container| container.state.as_ref()?.waiting.as_ref());
    waiting.find_map(|waiting| {
        let reason = waiting
            .reason
            .as_deref()
            .filter(|reason| !USUAL.contains(reason))?;
        let message = waiting.message.as_deref().unwrap_or_default();
        // Between two tries the text has a prefix. Without it, the status is the same all the time.
        let message = message
            .rsplit_once("ErrImagePull: ")
            .map_or(message, |(_, cause)| cause);
        Some(match reason {
            "ErrImagePull" | "ImagePullBackOff" => format!("it cannot be pulled: {message}"),
            _ => format!("its container, which runs `true`, does not start: {reason}: {message}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use api::names::{PLACEHOLDERS_LABEL, PRE_PULL_LABEL};
    use serde_json::{Value, json};
    use testkit::objects;

    use super::*;
    use crate::{controllers::images::desired::desired, testing};

    /// A template with this profile and two images, its DaemonSets, and its placeholders.
    fn wanted(labels: Value) -> Wanted {
        let mut template = objects::template("t");
        template.metadata.labels = serde_json::from_value(labels).unwrap();
        template.spec.allowed_images = vec!["uv".to_owned(), "r.example.com/b:1".to_owned()];
        let images = testing::images();
        desired(&[Arc::new(template)], &[], &testing::settings(), Some(&images))
            .templates
            .remove(0)
    }

    fn pulls() -> Wanted {
        wanted(json!({PRE_PULL_LABEL: "true"}))
    }

    fn daemon_set(name: &str, done: i32, nodes: i32) -> Arc<DaemonSet> {
        let set = json!({
            "metadata": {"name": name, "generation": 2},
            "status": {
                "observedGeneration": 2, "numberReady": done, "desiredNumberScheduled": nodes,
                "currentNumberScheduled": nodes, "numberMisscheduled": 0,
            },
        });
        Arc::new(serde_json::from_value(set).unwrap())
    }

    /// Both DaemonSets: eight nodes have the first image, so many the second one.
    fn live(wanted: &Wanted, second: i32) -> Live {
        let mut names = wanted.pulls.values();
        Live {
            daemon_sets: vec![
                daemon_set(names.next().unwrap(), 8, 8),
                daemon_set(names.next().unwrap(), second, 8),
            ],
            ..Live::default()
        }
    }

    fn said(wanted: &Wanted, live: &Live) -> (Option<String>, &'static str, String) {
        let report = assess(wanted, live, &Refusals::new(), true);
        (report.pulled, report.reason, report.message)
    }

    fn pod(daemon_set: &str, waiting: &Value) -> Arc<Pod> {
        let pod = json!({
            "metadata": {"labels": {APP_NAME_LABEL: daemon_set}},
            "status": {"initContainerStatuses": [{
                "name": "image", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": {"waiting": waiting},
            }]},
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn each_image_counts_once_per_node_and_a_node_that_lacks_one_is_seen() {
        let wanted = pulls();
        let expected =
            |pulled: &str, reason, message: &str| (Some(pulled.to_owned()), reason, message.to_owned());
        assert_eq!(
            said(&wanted, &live(&wanted, 7)),
            expected(
                "15/16",
                reason::PULLING_IMAGES,
                "15 of 16 pulls of 2 images are done."
            )
        );
        assert_eq!(
            said(&wanted, &live(&wanted, 8)),
            expected("16/16", reason::PREPARED, "16 of 16 pulls of 2 images are done.")
        );
    }

    #[test]
    fn counts_of_an_earlier_generation_and_of_nobody_are_not_believed() {
        let wanted = pulls();
        assert_eq!(
            said(&wanted, &Live::default()),
            (None, reason::PULLING_IMAGES, "Nodes begin to pull.".to_owned())
        );
        let mut live = live(&wanted, 8);
        Arc::make_mut(&mut live.daemon_sets[1]).metadata.generation = Some(3);
        let (pulled, reason, _) = said(&wanted, &live);
        assert_eq!((pulled.as_deref(), reason), (Some("8/8"), reason::PULLING_IMAGES));
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_named_with_the_cause_between_tries_too() {
        let wanted = pulls();
        let names: Vec<_> = wanted.pulls.values().collect();
        let mut live = live(&wanted, 6);
        for waiting in [
            json!({"reason": "ErrImagePull", "message": "not found"}),
            json!({"reason": "ImagePullBackOff", "message": "Back-off pulling image \"b\": ErrImagePull: not found"}),
        ] {
            live.pods = vec![pod(names[1], &waiting), pod(names[1], &waiting)];
            let (pulled, reason, message) = said(&wanted, &live);
            assert_eq!(
                (pulled.as_deref(), reason),
                (Some("14/16"), reason::PRE_PULL_FAILED)
            );
            assert_eq!(
                message,
                "r.example.com/b:1: it cannot be pulled: not found (2 nodes)"
            );
        }
        live.pods = vec![pod(
            names[1],
            &json!({"reason": "RunContainerError", "message": "no true"}),
        )];
        assert!(
            said(&wanted, &live)
                .2
                .contains("runs `true`, does not start: RunContainerError: no true")
        );
        live.pods = vec![
            pod(names[1], &json!({"reason": "PodInitializing"})),
            pod("other", &json!({"reason": "ErrImagePull"})),
        ];
        assert_eq!(said(&wanted, &live).1, reason::PULLING_IMAGES);
    }

    #[test]
    fn a_refused_object_is_told_and_placeholders_are_counted() {
        let wanted = wanted(json!({PLACEHOLDERS_LABEL: "3"}));
        let name = wanted.placeholders.clone().unwrap();
        let refusals: Refusals = [(name.clone(), "exceeded quota".to_owned())].into();
        let refused = assess(&wanted, &Live::default(), &refusals, true);
        assert_eq!(refused.reason, reason::PRE_PULL_FAILED);
        assert!(refused.message.ends_with("exceeded quota"), "{}", refused.message);
        let deployment = json!({"metadata": {"name": name}, "status": {"readyReplicas": 2}});
        let live = Live {
            deployments: vec![Arc::new(serde_json::from_value(deployment).unwrap())],
            ..Live::default()
        };
        assert_eq!(
            said(&wanted, &live),
            (None, reason::PREPARED, "2 of 3 placeholders run.".to_owned())
        );
    }

    #[test]
    fn what_keeps_all_of_it_from_happening_comes_first() {
        let wrong = wanted(json!({PRE_PULL_LABEL: "yes"}));
        assert_eq!(said(&wrong, &Live::default()).1, reason::LABEL_INVALID);
        let off = assess(&pulls(), &Live::default(), &Refusals::new(), false);
        assert_eq!((off.reason, off.holds()), (reason::PRE_PULL_DISABLED, false));
        let mut of_profile = pulls();
        of_profile.profile = Some("p".to_owned());
        assert_eq!(
            said(&of_profile, &Live::default()).1,
            reason::PULL_SECRET_OF_PROFILE
        );
    }
}
