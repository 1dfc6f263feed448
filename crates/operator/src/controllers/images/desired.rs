//! Templates, settings -> DaemonSets that pull their images, Deployments of placeholders (pure).
//!
//! Templates share a DaemonSet by image and placement. Its name is a hash of both, so it never changes into another one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{WorkspaceExecutionProfile, WorkspaceTemplate, names, workspace::WorkspaceSpec};
use k8s_openapi::{
    api::apps::v1::{
        DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, Deployment, DeploymentSpec, DeploymentStrategy,
        RollingUpdateDaemonSet,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use kube::ResourceExt as _;
use rules::{Effective, Settings, effective};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    labels::{Placeholders, Request, request},
    offered,
    pods::{self, Placement},
};
use crate::plan::ImagesNamespace;

/// Most images of one template that are pulled: the first ones. One for two kinds of nodes counts twice.
const MAX_IMAGES: usize = 10;
/// Annotation that tells people what an object is for.
const DESCRIPTION: &str = "kubernetes.io/description";

/// The objects of all templates.
#[derive(Debug, Default)]
pub(super) struct Desired {
    pub(super) daemon_sets: BTreeMap<String, DaemonSet>,
    pub(super) deployments: BTreeMap<String, Deployment>,
    /// Templates that ask for something.
    pub(super) templates: Vec<Wanted>,
}

/// What is made for one template.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) template: Arc<WorkspaceTemplate>,
    pub(super) request: Request,
    /// Each image with a DaemonSet of it: one for each kind of nodes.
    pub(super) pulls: BTreeSet<(String, String)>,
    /// Images that are not pulled because there are too many.
    pub(super) left_out: usize,
    /// The execution profile whose Secrets pull its images, so that none is pulled.
    pub(super) profile: Option<String>,
    /// The Deployment of its placeholders.
    pub(super) placeholders: Option<String>,
}

/// What the templates ask for. Without a namespace for it, no object is desired.
pub(super) fn desired(
    templates: &[Arc<WorkspaceTemplate>],
    profiles: &[Arc<WorkspaceExecutionProfile>],
    settings: &Settings,
    images: Option<&ImagesNamespace>,
) -> Desired {
    let mut all = Desired::default();
    for template in templates {
        let Some(request) = request(template) else {
            continue;
        };
        let mut wanted = Wanted {
            template: template.clone(),
            request,
            pulls: BTreeSet::new(),
            left_out: 0,
            profile: None,
            placeholders: None,
        };
        if let Some(images) = images {
            let laid = offered::by_default(&template.spec);
            let effective = effective(&WorkspaceSpec::default(), Some(&laid), settings);
            let placement = Placement::new(&effective.pod);
            if wanted.request.pre_pull {
                wanted.profile = profile_that_pulls(template, profiles);
            }
            if wanted.request.pre_pull && wanted.profile.is_none() {
                let references = offered::images(&template.spec, settings);
                wanted.left_out = references.len().saturating_sub(MAX_IMAGES);
                for (image, placement) in references.into_iter().take(MAX_IMAGES) {
                    let set = daemon_set(&image, settings, &placement, images);
                    wanted.pulls.insert((image, set.name_any()));
                    all.daemon_sets.insert(set.name_any(), set);
                }
            }
            if let Some(placeholders) = wanted.request.placeholders {
                let deployment = deployment(template, placeholders, effective, &placement, images);
                wanted.placeholders = Some(deployment.name_any());
                all.deployments.insert(deployment.name_any(), deployment);
            }
        }
        all.templates.push(wanted);
    }
    all
}

/// The template's profile, if one of that name in any namespace has Secrets that pull images.
fn profile_that_pulls(
    template: &WorkspaceTemplate,
    profiles: &[Arc<WorkspaceExecutionProfile>],
) -> Option<String> {
    let name = template.spec.execution_profile_ref.as_ref()?;
    let mut named = profiles
        .iter()
        .filter(|profile| profile.metadata.name.as_ref() == Some(name));
    named
        .any(|profile| !profile.spec.image_pull_secrets.is_empty())
        .then(|| name.clone())
}

fn daemon_set(
    image: &str,
    settings: &Settings,
    placement: &Placement,
    images: &ImagesNamespace,
) -> DaemonSet {
    let name = format!("pull-{}", hash(&json!([image, placement]).to_string()));
    let labels = labels(&name, "pre-pull");
    let policy = settings.image_pull_policy.to_string();
    DaemonSet {
        metadata: meta(&name, images, &labels, format!("Has nodes pull {image}.")),
        spec: Some(DaemonSetSpec {
            selector: selector(&labels),
            template: pods::puller(image, policy, placement, images, labels),
            revision_history_limit: Some(1),
            // Nobody waits for these pods to run.
            update_strategy: Some(DaemonSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDaemonSet {
                    max_unavailable: Some(IntOrString::String("100%".to_owned())),
                    max_surge: None,
                }),
            }),
            ..DaemonSetSpec::default()
        }),
        status: None,
    }
}

fn deployment(
    template: &WorkspaceTemplate,
    placeholders: Placeholders,
    effective: Effective,
    placement: &Placement,
    images: &ImagesNamespace,
) -> Deployment {
    let name = format!("placeholder-{}", hash(&template.uid().unwrap_or_default()));
    let labels = labels(&name, "placeholder");
    let mut requests = effective.resources.requests;
    let of_nodes = |name: &String| ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str());
    requests.retain(|name, _| placeholders.with_gpu || of_nodes(name));
    let about = format!(
        "Keeps room for workspaces of the template {}.",
        template.name_any()
    );
    Deployment {
        metadata: meta(&name, images, &labels, about),
        spec: Some(DeploymentSpec {
            replicas: Some(placeholders.count),
            selector: selector(&labels),
            template: pods::placeholder(requests, placement, images, labels),
            revision_history_limit: Some(1),
            // More pods at once would ask for more nodes.
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                rolling_update: None,
            }),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn meta(
    name: &str,
    images: &ImagesNamespace,
    labels: &BTreeMap<String, String>,
    description: String,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(images.name.clone()),
        labels: Some(labels.clone()),
        annotations: Some([(DESCRIPTION.to_owned(), description)].into()),
        ..ObjectMeta::default()
    }
}

/// Labels of an object and its pods. No other object has the first one.
fn labels(name: &str, component: &str) -> BTreeMap<String, String> {
    [
        (names::APP_NAME_LABEL, name),
        (names::APP_COMPONENT_LABEL, component),
        (names::APP_PART_OF_LABEL, names::PRODUCT),
        (names::APP_MANAGED_BY_LABEL, names::OPERATOR),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn selector(labels: &BTreeMap<String, String>) -> LabelSelector {
    let name = labels.get_key_value(names::APP_NAME_LABEL);
    LabelSelector {
        match_labels: Some(
            name.into_iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        ),
        match_expressions: None,
    }
}

/// Twelve hexadecimal digits.
fn hash(text: &str) -> String {
    format!("{:.12x}", Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use api::names::{PLACEHOLDERS_LABEL, PRE_PULL_LABEL};
    use serde_json::Value;
    use testkit::objects;

    use super::*;
    use crate::testing;

    fn template(name: &str, labels: Value, spec: &Value) -> Arc<WorkspaceTemplate> {
        let mut template = json!(objects::template(name));
        template["metadata"]["labels"] = labels;
        json_patch::merge(&mut template["spec"], spec);
        Arc::new(serde_json::from_value(template).unwrap())
    }

    fn pulls() -> Value {
        json!({PRE_PULL_LABEL: "true"})
    }

    fn desired_of(templates: &[Arc<WorkspaceTemplate>]) -> Desired {
        desired(templates, &[], &testing::settings(), Some(&testing::images()))
    }

    #[test]
    fn templates_share_a_daemon_set_by_image_and_placement() {
        let more = |spec: Value| template("t", pulls(), &spec);
        let all = desired_of(&[
            template(
                "a",
                pulls(),
                &json!({"allowedImages": ["uv", "r.example.com/x:1"]}),
            ),
            // The alias, and what it stands for.
            more(json!({"defaultImage": "localhost/jk8s-application-jupyter-uv:1"})),
            more(json!({"defaultAffinity": {"podAntiAffinity": {}}})),
            more(json!({"defaultNodeSelector": {"pool": "gpu"}})),
            more(json!({"defaultTolerations": [{"key": "gpu", "operator": "Exists"}]})),
            template("unlabelled", json!({}), &json!({})),
        ]);
        assert_eq!(all.templates.len(), 5);
        assert_eq!(all.daemon_sets.len(), 4, "{:?}", all.daemon_sets.keys());
        let names: Vec<_> = all
            .templates
            .iter()
            .map(|it| it.pulls.iter().map(|(_, set)| set).collect::<Vec<_>>())
            .collect();
        assert_eq!(names[0].len(), 2);
        assert!(names[0].contains(&names[1][0]));
        assert_eq!(names[1], names[2]);
        let tolerating = &all.daemon_sets[names[4][0]];
        let spec = tolerating.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        assert_eq!(
            json!(spec.tolerations),
            json!([{"key": "gpu", "operator": "Exists"}])
        );
        assert!(all.deployments.is_empty());
    }

    #[test]
    fn the_first_ten_images_are_pulled_through_mirrors() {
        let allowed: Vec<_> = (0..12).map(|number| format!("i:{number}")).collect();
        let mut settings = testing::settings();
        settings.image_mirrors = vec![rules::ImageMirror {
            source: "docker.io/library".to_owned(),
            mirror: "r.example.com/hub".to_owned(),
        }];
        let many = template(
            "t",
            pulls(),
            &json!({"allowedImages": allowed, "allowCustomImages": true}),
        );
        let all = desired(&[many], &[], &settings, Some(&testing::images()));
        let wanted = &all.templates[0];
        assert_eq!((wanted.pulls.len(), wanted.left_out), (10, 3));
        let pulled: Vec<_> = wanted.pulls.iter().map(|(image, _)| &**image).collect();
        assert!(pulled.contains(&"localhost/jk8s-application-jupyter-uv:1"));
        assert!(pulled.contains(&"r.example.com/hub/i:8"));
    }

    #[test]
    fn images_that_only_a_profile_can_pull_are_left_out() {
        let profile = |name: &str, spec: Value| Arc::new(objects::execution_profile(name, &spec));
        let named = template("t", pulls(), &json!({"executionProfileRef": "p"}));
        let made = |profiles: &[Arc<_>]| {
            let templates = std::slice::from_ref(&named);
            let images = testing::images();
            let mut all = desired(templates, profiles, &testing::settings(), Some(&images));
            (all.daemon_sets.len(), all.templates.remove(0).profile)
        };
        let secret = json!({"imagePullSecrets": [{"name": "registry"}]});
        assert_eq!(
            made(&[profile("p", json!({})), profile("q", secret.clone())]),
            (1, None)
        );
        assert_eq!(made(&[profile("p", secret)]), (0, Some("p".to_owned())));
    }

    #[test]
    fn placeholders_take_the_requests_of_a_workspace_and_gpus_only_on_demand() {
        let gpu = json!({"defaultResources": {
            "requests": {"cpu": "500m", "nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"},
        }, "resourceBounds": null});
        let requests = |count: &str| {
            let all = desired_of(&[template("t", json!({PLACEHOLDERS_LABEL: count}), &gpu)]);
            assert!(all.daemon_sets.is_empty());
            let spec = all.deployments.into_values().next().unwrap().spec.unwrap();
            let mut pod = spec.template.spec.unwrap();
            let resources = pod.containers.remove(0).resources.unwrap();
            assert_eq!(resources.limits, resources.requests);
            (spec.replicas.unwrap(), json!(resources.requests))
        };
        let plain = json!({"cpu": "500m", "memory": "128Mi"});
        assert_eq!(requests("3"), (3, plain.clone()));
        let mut with_gpu = plain;
        with_gpu["nvidia.com/gpu"] = json!("1");
        assert_eq!(requests("2-with-gpu"), (2, with_gpu));
    }

    #[test]
    fn no_pod_has_a_token_a_volume_a_variable_or_a_right_on_its_host() {
        let labels = json!({PRE_PULL_LABEL: "true", PLACEHOLDERS_LABEL: "1"});
        let all = desired_of(&[template("t", labels, &json!({}))]);
        let sets = all
            .daemon_sets
            .into_values()
            .map(|set| set.spec.unwrap().template);
        let deployments = all.deployments.into_values();
        let templates = sets.chain(deployments.map(|it| it.spec.unwrap().template));
        let mut count = 0;
        for pod in templates.map(|template| template.spec.unwrap()) {
            assert_eq!(pod.automount_service_account_token, Some(false));
            assert_eq!((pod.volumes, pod.host_network, pod.host_pid), (None, None, None));
            let security = pod.security_context.unwrap();
            assert_eq!(
                (security.run_as_non_root, security.run_as_user),
                (Some(true), Some(65532))
            );
            for container in pod.containers.iter().chain(pod.init_containers.iter().flatten()) {
                assert_eq!((&container.env, &container.volume_mounts), (&None, &None));
                assert!(
                    container
                        .resources
                        .as_ref()
                        .unwrap()
                        .limits
                        .as_ref()
                        .unwrap()
                        .contains_key("memory")
                );
            }
            count += 1;
        }
        assert_eq!(count, 2);
    }

    #[test]
    fn without_a_namespace_for_it_nothing_is_made() {
        let labelled = template("t", pulls(), &json!({}));
        let all = desired(&[labelled], &[], &testing::settings(), None);
        assert!(all.daemon_sets.is_empty());
        assert_eq!(all.templates.len(), 1);
    }
}
