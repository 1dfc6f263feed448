//! Annotations of pods -> those that the operator or the template forbids (pure).

use std::collections::BTreeMap;

use api::names::RESERVED_PREFIX;
use api::template::Annotation;
use api::{WorkspaceSpec, WorkspaceTemplateSpec};

use super::Author;
use crate::violation::Violation;

/// Path of the annotations in a workspace.
const GIVEN: &str = "spec.podAnnotations";
/// Domains of keys that control the cluster's components. In the past, they also controlled security.
const OF_THE_CLUSTER: [&str; 2] = ["kubernetes.io", "k8s.io"];
/// Exceptions for administrators: these annotations keep a pod on its node, or limit its traffic.
const FOR_ADMINISTRATORS: [&str; 4] = [
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "descheduler.alpha.kubernetes.io/prefer-no-eviction",
    "kubernetes.io/ingress-bandwidth",
    "kubernetes.io/egress-bandwidth",
];

/// Checks the pod's annotations in a template.
pub(in crate::validate) fn base(path: &str, annotations: &[Annotation]) -> Vec<Violation> {
    annotations
        .iter()
        .enumerate()
        .filter_map(|(index, Annotation { name, .. })| of_template(&format!("{path}[{index}].name"), name))
        .collect()
}

/// Checks the key of an annotation that a template's author chose.
pub(in crate::validate) fn of_template(field: &str, name: &str) -> Option<Violation> {
    key(field, name, Author::Administrator)
}

/// Checks the prefixes of keys that a template leaves to workspaces.
pub(in crate::validate) fn prefixes(path: &str, prefixes: &[String]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, prefix) in prefixes.iter().enumerate() {
        let rule = if is_ours(prefix) {
            "is reserved for the operator: leave it out".to_owned()
        } else if is_of_the_cluster(prefix) {
            format!(
                "begins keys that no workspace may set ({}): leave it out",
                domains()
            )
        } else {
            continue;
        };
        found.push(Violation::new(format!("{path}[{index}]"), prefix, rule));
    }
    found
}

/// Checks the annotations of a workspace on their own.
pub(in crate::validate) fn given(annotations: &BTreeMap<String, String>) -> Vec<Violation> {
    annotations
        .keys()
        .filter_map(|name| key(&field(name), name, Author::Workspace))
        .collect()
}

/// Annotations of the workspace that its template does not allow. A value that equals the template's is always allowed.
pub(in crate::validate) fn within(given: &WorkspaceSpec, template: &WorkspaceTemplateSpec) -> Vec<Violation> {
    let allowed = &template.allowed_pod_annotations;
    let is_allowed = |name: &str| allowed.iter().any(|prefix| name.starts_with(prefix.as_str()));
    let is_theirs = |name: &str, value: &str| {
        let mut base = template.base_annotations.iter();
        base.any(|it| it.name == name && it.value == value)
    };
    let remedy = if allowed.is_empty() {
        "which allows none: leave it out".to_owned()
    } else {
        format!(
            "which allows keys that begin with {}: choose another key, or leave it out",
            allowed.join(", ")
        )
    };
    let refused = given
        .pod_annotations
        .iter()
        // A key that is refused on its own is reported once.
        .filter(|(name, _)| key("", name, Author::Workspace).is_none())
        .filter(|(name, value)| !is_allowed(name) && !is_theirs(name, value));
    refused
        .map(|(name, value)| {
            let rule = format!("has a key that is not in the template's allowedPodAnnotations, {remedy}");
            Violation::new(field(name), value, rule)
        })
        .collect()
}

fn field(name: &str) -> String {
    format!("{GIVEN}[{}]", name.escape_debug())
}

fn key(field: &str, name: &str, author: Author) -> Option<Violation> {
    let is_exception = author == Author::Administrator && FOR_ADMINISTRATORS.contains(&name);
    let rule = if is_ours(name) {
        "is set by the operator: choose another key".to_owned()
    } else if is_of_the_cluster(name) && !is_exception {
        let exceptions = match author {
            Author::Workspace => String::new(),
            Author::Administrator => format!(", or one of {}", FOR_ADMINISTRATORS.join(", ")),
        };
        format!(
            "directs the cluster's own controllers ({}): choose another key{exceptions}",
            domains()
        )
    } else {
        return None;
    };
    Some(Violation::new(field, name, rule))
}

/// Kubernetes takes keys in any case.
fn is_ours(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with(RESERVED_PREFIX)
}

fn is_of_the_cluster(name: &str) -> bool {
    let domain = name
        .split_once('/')
        .map(|(domain, _)| domain.to_ascii_lowercase());
    domain.is_some_and(|domain| {
        OF_THE_CLUSTER
            .iter()
            .any(|theirs| domain == *theirs || domain.ends_with(&format!(".{theirs}")))
    })
}

fn domains() -> String {
    format!("{} and below", OF_THE_CLUSTER.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(found: Vec<Violation>) -> Vec<String> {
        found.iter().map(ToString::to_string).collect()
    }

    fn spec(annotations: Value) -> WorkspaceSpec {
        serde_json::from_value(json!({"displayName": "d", "templateRef": "t", "podAnnotations": annotations}))
            .unwrap()
    }

    fn template(fields: Value) -> WorkspaceTemplateSpec {
        let mut spec = json!({"displayName": "t", "defaultImage": "uv"});
        for (key, value) in fields.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn annotation_keys_of_ours_and_of_cluster_controllers_are_reserved() {
        for (key, expected) in [
            ("workspaces.jupyter.org/created-by", "is set by the operator"),
            ("Workspaces.Jupyter.org/created-by", "is set by the operator"),
            (
                "seccomp.security.alpha.kubernetes.io/pod",
                "directs the cluster's own controllers",
            ),
            (
                "container.apparmor.security.beta.kubernetes.io/workspace",
                "directs the cluster's own controllers",
            ),
            (
                "deployment.kubernetes.io/revision",
                "directs the cluster's own controllers",
            ),
            ("node.k8s.io/x", "directs the cluster's own controllers"),
            ("KUBERNETES.io/egress", "directs the cluster's own controllers"),
        ] {
            let by_workspace = message(given(&[(key.to_owned(), String::new())].into()));
            assert!(
                by_workspace.len() == 1 && by_workspace[0].contains(expected),
                "{by_workspace:?}"
            );
            let annotation = Annotation {
                name: key.to_owned(),
                value: String::new(),
            };
            let by_template = message(base("spec.baseAnnotations", &[annotation]));
            assert!(
                by_template.len() == 1 && by_template[0].contains(expected),
                "{by_template:?}"
            );
        }
    }

    #[test]
    fn only_administrators_set_autoscaler_annotations() {
        for key in FOR_ADMINISTRATORS {
            let annotation = Annotation {
                name: key.to_owned(),
                value: "false".to_owned(),
            };
            assert_eq!(message(base("b", &[annotation])), [""; 0]);
            assert_eq!(given(&[(key.to_owned(), "false".to_owned())].into()).len(), 1);
        }
        let karpenter = BTreeMap::from([("karpenter.sh/do-not-disrupt".to_owned(), "true".to_owned())]);
        assert_eq!(given(&karpenter), []);
    }

    #[test]
    fn a_workspace_sets_what_begins_with_an_allowed_prefix() {
        let theirs = template(json!({
            "allowedPodAnnotations": ["prometheus.io/", "team"],
            "baseAnnotations": [{"name": "x.org/a", "value": "1"}],
        }));
        let fine = json!({"prometheus.io/scrape": "true", "team": "ml", "x.org/a": "1"});
        assert_eq!(message(within(&spec(fine), &theirs)), [""; 0]);
        assert_eq!(
            message(within(&spec(json!({"x.org/a": "2"})), &theirs)),
            [
                r#"spec.podAnnotations[x.org/a]: "2" has a key that is not in the template's allowedPodAnnotations, which allows keys that begin with prometheus.io/, team: choose another key, or leave it out"#
            ]
        );
        let none = message(within(&spec(json!({"x.org/a": "2"})), &template(json!({}))));
        assert!(none[0].ends_with("which allows none: leave it out"), "{none:?}");
    }

    #[test]
    fn a_prefix_that_matches_only_reserved_keys_is_refused() {
        let prefix = |text: &str| message(prefixes("p", &[text.to_owned()]));
        for fine in ["prometheus.io/", "prometheus.io/scrape", "team", "x.org/a-"] {
            assert_eq!(prefix(fine), [""; 0], "{fine}");
        }
        for wrong in ["kubernetes.io/", "x.k8s.io/a", "workspaces.jupyter.org/"] {
            assert_eq!(prefix(wrong).len(), 1, "{wrong}");
        }
    }
}
