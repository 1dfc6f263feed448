//! DaemonSets, Deployments, causes -> what the status of a template says (pure).

use std::collections::BTreeSet;

use api::condition::reason;

use super::{
    causes::{Refusals, problems, without_node},
    desired::Wanted,
    live::Live,
};
use crate::{plan::ImagesNamespace, support::text::join_first};

/// Most images with a problem in a message.
const MAX_LISTED: usize = 3;

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

/// `images`: the namespace for it, if there is one.
pub(super) fn assess(
    wanted: &Wanted,
    live: &Live,
    refusals: &Refusals,
    images: Option<&ImagesNamespace>,
) -> Report {
    let count = Count::new(wanted, live);
    let problems = images.map(|images| problems(wanted, live, refusals, images));
    let problems = problems.unwrap_or_default();
    let (reason, message) = if !wanted.request.violations.is_empty() {
        (reason::LABEL_INVALID, wanted.request.violations.join("; "))
    } else if images.is_none() {
        let message = "This installation pulls no images in advance and keeps no room: set the chart's value prePull.enabled, or remove \
                       the label.";
        (reason::PRE_PULL_DISABLED, message.to_owned())
    } else if let Some(profile) = &wanted.profile {
        let message = format!(
            "The execution profile {profile:?} pulls the images with its own Secrets (spec.imagePullSecrets), which only namespaces of \
             workspaces have: remove the label, or name the Secrets in settings.imagePullSecrets and no longer in the profile."
        );
        (reason::PULL_SECRET_OF_PROFILE, message)
    } else if !problems.is_empty() {
        (reason::PRE_PULL_FAILED, join_first(&problems, MAX_LISTED))
    } else if !count.nowhere.is_empty() {
        (reason::NO_NODE, count.message(wanted, live))
    } else if !count.is_complete {
        (reason::PULLING_IMAGES, count.message(wanted, live))
    } else if count.lacks_placeholders(wanted) {
        (reason::PLACEHOLDERS_PENDING, count.message(wanted, live))
    } else {
        (reason::PREPARED, count.message(wanted, live))
    };
    Report {
        pulled: count.pulled(),
        reason,
        message,
    }
}

/// Pulls of a template, and its placeholders.
struct Count<'a> {
    /// Images that no node may have, for want of its labels or because of its taints.
    nowhere: BTreeSet<&'a str>,
    done: i32,
    wanted: i32,
    /// Whether every DaemonSet reports that all its nodes are served.
    is_complete: bool,
    placed: i32,
}

impl<'a> Count<'a> {
    fn new(wanted: &'a Wanted, live: &Live) -> Self {
        let mut count = Self {
            nowhere: BTreeSet::new(),
            done: 0,
            wanted: 0,
            is_complete: true,
            placed: 0,
        };
        for (image, name) in &wanted.pulls {
            let set = live.daemon_set(name);
            // A status of an earlier generation counts other nodes.
            let status = set.and_then(|set| {
                let status = set.status.as_ref()?;
                (status.observed_generation >= set.metadata.generation).then_some(status)
            });
            let Some(status) = status else {
                count.is_complete = false;
                continue;
            };
            if status.desired_number_scheduled == 0 {
                count.nowhere.insert(image);
            }
            count.done += status.number_ready;
            count.wanted += status.desired_number_scheduled;
            count.is_complete &= status.number_ready >= status.desired_number_scheduled;
        }
        if let Some(name) = &wanted.placeholders {
            let deployment = live.deployment(name);
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

    fn lacks_placeholders(&self, template: &Wanted) -> bool {
        let placeholders = template.request.placeholders;
        placeholders.is_some_and(|placeholders| self.placed < placeholders.count)
    }

    fn without_nodes(&self) -> Option<String> {
        let images: Vec<_> = self.nowhere.iter().collect();
        let which = match self.wanted {
            _ if images.is_empty() => return None,
            0 => "of the template".to_owned(),
            _ => format!("with {}", join_first(&images, MAX_LISTED)),
        };
        Some(format!(
            "No node may run workspaces {which}: add one, or correct node selector, affinity and tolerations in a new template."
        ))
    }

    fn message(&self, template: &Wanted, live: &Live) -> String {
        let mut parts: Vec<_> = self.without_nodes().into_iter().collect();
        let Self { done, wanted, .. } = self;
        let images: BTreeSet<_> = template.pulls.iter().map(|(image, _)| image).collect();
        match images.len() {
            0 => {}
            _ if *wanted == 0 && !parts.is_empty() => {}
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
        parts.extend(without_node(template, live));
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::names::{APP_NAME_LABEL, PLACEHOLDERS_LABEL, PRE_PULL_LABEL};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        controllers::images::live::fixtures::{live, wanted},
        testing,
    };

    fn pulls() -> Wanted {
        wanted(json!({PRE_PULL_LABEL: "true"}))
    }

    fn said(wanted: &Wanted, live: &Live) -> (Option<String>, &'static str, String) {
        let report = assess(wanted, live, &Refusals::new(), Some(&testing::images()));
        (report.pulled, report.reason, report.message)
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
    fn an_image_that_no_node_may_have_is_named_with_the_remedy() {
        let wanted = pulls();
        let mut live = live(&wanted, 8);
        let expected = |pulled: Option<&str>, message: &str| {
            let remedy = ": add one, or correct node selector, affinity and tolerations in a new template.";
            let message = message.replace('*', remedy);
            (pulled.map(str::to_owned), reason::NO_NODE, message)
        };
        for (at, pulled, message) in [
            (
                1,
                Some("8/8"),
                "No node may run workspaces with r.example.com/b:1* 8 of 8 pulls of 2 images are done.",
            ),
            (0, None, "No node may run workspaces of the template*"),
        ] {
            let status = Arc::make_mut(&mut live.daemon_sets[at]).status.as_mut().unwrap();
            (status.number_ready, status.desired_number_scheduled) = (0, 0);
            assert_eq!(said(&wanted, &live), expected(pulled, message));
        }
    }

    #[test]
    fn placeholders_that_do_not_run_are_counted_with_the_cause() {
        let wanted = wanted(json!({PLACEHOLDERS_LABEL: "3"}));
        let name = wanted.placeholders.clone().unwrap();
        let refusals: Refusals = [(name.clone(), "exceeded quota".to_owned())].into();
        let refused = assess(&wanted, &Live::default(), &refusals, Some(&testing::images()));
        assert_eq!(refused.reason, reason::PRE_PULL_FAILED);
        assert!(refused.message.ends_with("exceeded quota"), "{}", refused.message);
        let deployment = |status: Value| {
            let deployment = json!({"metadata": {"name": name}, "status": status});
            vec![Arc::new(serde_json::from_value(deployment).unwrap())]
        };
        let pod = json!({
            "metadata": {"labels": {APP_NAME_LABEL: name}},
            "status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available."}]},
        });
        let mut live = Live {
            deployments: deployment(json!({"readyReplicas": 2})),
            pods: vec![Arc::new(serde_json::from_value(pod).unwrap())],
            ..Live::default()
        };
        let message = "2 of 3 placeholders run. 1 pod has no node: 0/1 nodes are available.";
        let pending = (None, reason::PLACEHOLDERS_PENDING, message.to_owned());
        assert_eq!(said(&wanted, &live), pending);
        live.pods.clear();
        live.deployments = deployment(json!({"readyReplicas": 3}));
        let all = (None, reason::PREPARED, "3 of 3 placeholders run.".to_owned());
        assert_eq!(said(&wanted, &live), all);
        let failure = json!({"type": "ReplicaFailure", "status": "True", "message": "pods \"p\" is forbidden: exceeded quota: images"});
        live.deployments = deployment(json!({"conditions": [failure]}));
        let (_, reason, message) = said(&wanted, &live);
        assert_eq!(reason, reason::PRE_PULL_FAILED);
        assert!(
            message.starts_with("placeholders: pods are refused: exceeded quota: images: raise"),
            "{message}"
        );
    }

    #[test]
    fn what_keeps_all_of_it_from_happening_comes_first() {
        let wrong = wanted(json!({PRE_PULL_LABEL: "yes"}));
        assert_eq!(said(&wrong, &Live::default()).1, reason::LABEL_INVALID);
        let off = assess(&pulls(), &Live::default(), &Refusals::new(), None);
        assert_eq!((off.reason, off.holds()), (reason::PRE_PULL_DISABLED, false));
        let mut of_profile = pulls();
        of_profile.profile = Some("p".to_owned());
        assert_eq!(
            said(&of_profile, &Live::default()).1,
            reason::PULL_SECRET_OF_PROFILE
        );
    }
}
