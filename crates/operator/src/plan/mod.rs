//! Valid workspace -> every child as a typed object (pure; cannot fail).
//!
//! Every workspace that passes the rules can be planned. The same workspace always gives the same objects.
//!
//! | name | valid workspace -> |
//! |---|---|
//! | `run.rs` | the pod of one run |
//! | `pod`, `volumes`, `security.rs` | its spec |
//! | `overlay` | its spec, laid over the template's `podTemplate` |
//! | `container.rs` | the container: image, command, environment, probes |
//! | `claim.rs` | the claims of its disks |
//! | `disks` | whose an existing claim is, and whether it is retained |
//! | `service.rs`, `service_account.rs` | the children of these kinds |
//! | `record` | the inputs of its pod, recorded on the pod; which of them have changed since |
//! | `network_policy.rs` | not of a workspace: a manager's policies in a namespace |
//! | `images.rs` | not of a workspace: where images are pulled in advance |

pub(crate) mod claim;
mod container;
pub(crate) mod disks;
mod images;
pub(crate) mod network_policy;
mod overlay;
mod pod;
pub(crate) mod record;
mod run;
pub(crate) mod security;
mod service;
mod service_account;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use api::names;
use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Pod, Service, ServiceAccount},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use kit::scope::Scope;
use rules::{PodIdentifiers, Settings, ValidWorkspace, Violations, pod_security};

pub use self::{
    images::{ImagesNamespace, PAUSE},
    network_policy::Isolation,
};
use crate::cache::observed::Identity;

/// Settings of the installation that affect children.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Namespace of proxy and gateway.
    pub system_namespace: String,
    /// Helm release of proxy and gateway.
    pub release: String,
    /// Namespaces whose workspaces are reconciled.
    pub scope: Scope,
    /// Images that are made to run with a read-only root file system: the installation's default and its aliases.
    pub own_images: BTreeSet<String>,
    /// Size limit of the emptyDir on `/tmp`.
    pub scratch_limit: Quantity,
    /// User and groups of pods that set none.
    pub identifiers: PodIdentifiers,
    /// Where images are pulled in advance; `None`: nowhere.
    pub images: Option<ImagesNamespace>,
}

impl Installation {
    /// Whether the operator ignores the workspaces of a namespace. No webhook validates workspaces in the excluded ones.
    pub fn ignores(&self, namespace: &str) -> bool {
        if let Some(watched) = self.scope.namespace() {
            return namespace != watched;
        }
        let images = self.images.as_ref().map(|images| images.name.as_str());
        namespace == "kube-system" || namespace == self.system_namespace || images == Some(namespace)
    }

    /// From the process's arguments and settings.
    pub fn new(system_namespace: String, release: String, settings: &Settings) -> Self {
        let default = settings.resolve_image(&settings.default_image).to_owned();
        let aliases = settings.image_aliases.values().cloned();
        Self {
            system_namespace,
            release,
            scope: Scope::default(),
            own_images: aliases.chain([default]).collect(),
            scratch_limit: settings.ephemeral_home_size_limit.clone(),
            identifiers: settings.pod_security_context,
            images: None,
        }
    }
}

/// The children that a workspace should have.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The disk, unless the home is ephemeral.
    pub claim: Option<PersistentVolumeClaim>,
    /// Further disks, by its template.
    pub further_claims: Vec<PersistentVolumeClaim>,
    /// The pod's name inside the cluster, if its routes or a text use it.
    pub service: Option<Service>,
    /// The workspace's own service account, if its profile requests one.
    pub account: Option<ServiceAccount>,
}

/// Every child that stays from one run to the next.
pub fn lasting(workspace: &ValidWorkspace) -> Plan {
    let disks = workspace.volume_claims.iter();
    Plan {
        claim: claim::plan(workspace),
        further_claims: disks.map(|disk| claim::further(workspace, disk)).collect(),
        service: workspace.has_service.then(|| service::plan(workspace)),
        account: service_account::plan(workspace),
    }
}

/// The pod of one run.
pub fn run(workspace: &ValidWorkspace, installation: &Installation, run_id: &str) -> Pod {
    run::plan(workspace, installation, run_id)
}

/// What a workspace's pod breaks of the rules for every pod; `None`: nothing. It is asked of every pod before it is made, whatever it was
/// made from.
pub fn violations(workspace: &ValidWorkspace, pod: &Pod) -> Option<Violations> {
    let policy_labels = isolation(workspace).labels();
    let judged = pod_security::Pod {
        prefix: "",
        metadata: &pod.metadata,
        spec: pod.spec.as_ref()?,
    };
    let grants = pod_security::Grants {
        profile: workspace.profile.as_ref(),
        policy_labels: &policy_labels,
    };
    let stage = pod_security::Stage::Finished(grants);
    Violations::from_list(pod_security::violations(judged, workspace.pod_security, stage))
}

/// By whose settings the pods of a workspace are isolated.
pub fn isolation(workspace: &ValidWorkspace) -> Isolation {
    Isolation {
        manager: workspace.manager.clone(),
        settings: workspace.network_policy.clone(),
    }
}

/// The metadata that is put back on a pod. It is the same in every build, so an upgrade writes no running pod.
pub fn marks_of_run(identity: &Identity, run_id: Option<&str>) -> ObjectMeta {
    run::marks(identity, run_id)
}

/// Metadata of a child with this component label.
pub(crate) fn meta(identity: &Identity, component: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(identity.child_name()),
        namespace: Some(identity.namespace.clone()),
        labels: Some(rules::names::labels(&identity.name, component)),
        annotations: Some(marks(identity)),
        owner_references: Some(vec![identity.owner_reference()]),
        ..ObjectMeta::default()
    }
}

/// Annotations of everything that belongs to the workspace.
fn marks(identity: &Identity) -> BTreeMap<String, String> {
    [(names::WORKSPACE_UID.to_owned(), identity.uid.clone())].into()
}

/// The identity of a valid workspace.
fn identity(workspace: &ValidWorkspace) -> Identity {
    Identity {
        namespace: workspace.namespace.clone(),
        name: workspace.name.clone(),
        uid: workspace.uid.clone(),
    }
}

#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod tests {
    use api::workspace::{ContainerConfig, Storage};
    use proptest::prelude::*;
    use rules::References;
    use serde_json::{Value, json};
    use testkit::random;

    use super::*;
    use crate::testing;

    #[test]
    fn workspaces_in_namespaces_of_the_cluster_and_the_installation_are_ignored() {
        let mut installation = testing::installation();
        installation.images = Some(testing::images());
        for namespace in ["kube-system", "jupyter-k8s-system", "images"] {
            assert!(installation.ignores(namespace), "{namespace}");
        }
        assert!(!installation.ignores("team"));
        installation.images = None;
        assert!(!installation.ignores("images"));
    }

    /// Every planned object as JSON.
    fn objects(workspace: &ValidWorkspace) -> Vec<Value> {
        let installation = testing::installation();
        let plan = lasting(workspace);
        let run = run(workspace, &installation, "run1");
        let mut objects: Vec<Value> = plan
            .claim
            .iter()
            .map(|claim| serde_json::to_value(claim).unwrap())
            .collect();
        objects.push(serde_json::to_value(plan.service.unwrap()).unwrap());
        objects.push(serde_json::to_value(&run).unwrap());
        objects
    }

    fn is_label_value(text: &str) -> bool {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        text.len() <= 63
            && text.chars().all(inner)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    }

    fn is_name(text: &str) -> bool {
        text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    }

    prop_compose! {
        fn any_valid()(
            name in "[a-z]([-a-z0-9]{0,48}[a-z0-9])?",
            image in prop_oneof![Just(None), Just(Some("uv".to_owned())), "[a-z]{1,9}:[a-z0-9]{1,9}".prop_map(Some)],
            port in proptest::option::of(1024..=65535_i32),
            storage in proptest::option::of(Just(Storage::default())),
            args in proptest::collection::vec("\\PC{0,20}", 0..3),
        ) -> ValidWorkspace {
            let mut workspace = testkit::objects::workspace(&name);
            workspace.spec.image = image;
            workspace.spec.port = port;
            workspace.spec.storage = storage;
            workspace.spec.variables = [("address".to_owned(), "{service.name}".to_owned())].into();
            workspace.spec.container_config = Some(ContainerConfig { args, ..ContainerConfig::default() });
            testing::admit(&workspace)
        }
    }

    /// Contexts that level `baseline` alone allows.
    fn baseline_contexts() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!({"podSecurityContext": {"runAsUser": 0}})),
            Just(json!({"containerSecurityContext": {"runAsUser": 0, "capabilities": {"add": ["CHOWN"]}}})),
            Just(json!({"containerSecurityContext": {"allowPrivilegeEscalation": true}})),
            Just(json!({})),
        ]
    }

    #[test]
    fn a_pod_that_breaks_a_rule_is_named_by_its_field_value_and_level() {
        let found = |change: fn(&mut ValidWorkspace)| {
            let mut workspace = testing::valid();
            change(&mut workspace);
            let pod = run(&workspace, &testing::installation(), "run1");
            violations(&workspace, &pod).map(|found| found.to_string())
        };
        let escalate = |workspace: &mut ValidWorkspace| {
            let context = json!({"allowPrivilegeEscalation": true});
            workspace.pod.container_security_context = serde_json::from_value(context).unwrap();
        };
        assert_eq!(found(|_| ()), None);
        assert_eq!(
            found(escalate).as_deref(),
            Some(
                "spec.containers[0].securityContext.allowPrivilegeEscalation: \"true\" is not allowed by Pod Security restricted: \
                 leave it out"
            )
        );
    }

    proptest! {
        #[test]
        fn every_pod_of_a_valid_workspace_keeps_the_rules_for_every_pod(
            mut spec in random::workspace_spec(false),
            mut of_template in random::template_spec(false),
            refers: bool,
            in_recovery: bool,
            contexts in baseline_contexts(),
        ) {
            if refers {
                of_template["podSecurity"] = json!("Baseline");
                json_patch::merge(&mut spec, &contexts);
            }
            spec["recoveryMode"] = json!(in_recovery && spec.get("storage").is_some());
            let (workspace, template) = (random::workspace(spec, refers), random::template(&of_template));
            let (manager, profile) = (random::manager(), random::profile());
            let references = References::managed_by([&manager])
                .with_template(refers.then_some(&template))
                .with_profile(Some(&profile));
            let settings = Settings::parse(random::SETTINGS).unwrap();
            let valid = rules::admit(&workspace, &references, &settings).unwrap();
            let installation = Installation::new("system".to_owned(), "jupyter-k8s".to_owned(), &settings);
            let pod = run(&valid, &installation, "run1");
            prop_assert_eq!(violations(&valid, &pod), None);
        }

        #[test]
        fn every_child_is_named_labelled_marked_and_owned(workspace in any_valid()) {
            for object in objects(&workspace) {
                let meta: ObjectMeta = serde_json::from_value(object["metadata"].clone()).unwrap();
                prop_assert!(is_name(meta.name.as_deref().unwrap()), "{:?}", meta.name);
                prop_assert_eq!(meta.namespace.as_deref(), Some(testkit::objects::NAMESPACE));
                let labels = meta.labels.unwrap();
                for key in [
                    names::APP_NAME_LABEL, names::APP_COMPONENT_LABEL, names::APP_PART_OF_LABEL,
                    names::APP_MANAGED_BY_LABEL, names::WORKSPACE_LABEL,
                ] {
                    prop_assert!(is_label_value(&labels[key]), "{key}: {:?}", labels.get(key));
                }
                let annotations = meta.annotations.unwrap();
                prop_assert_eq!(&annotations[names::WORKSPACE_UID], &workspace.uid);
                let owners = meta.owner_references.unwrap();
                prop_assert_eq!(owners.len(), 1);
                prop_assert_eq!(owners[0].controller, Some(true));
                prop_assert_eq!(&owners[0].uid, &workspace.uid);
            }
        }

        #[test]
        fn service_and_network_policies_select_the_pod(workspace in any_valid()) {
            let installation = testing::installation();
            let pod_labels = run(&workspace, &installation, "run1").metadata.labels.unwrap();
            let policies = isolation(&workspace).policies(&workspace.namespace, &installation).into_iter();
            let selected = policies.map(|policy| policy.spec.unwrap().pod_selector.unwrap().match_labels.unwrap());
            let service = lasting(&workspace).service.unwrap().spec.unwrap().selector.unwrap();
            for selector in selected.chain([service]) {
                prop_assert!(!selector.is_empty());
                prop_assert!(selector.iter().all(|(key, value)| pod_labels.get(key) == Some(value)));
            }
        }
    }
}
