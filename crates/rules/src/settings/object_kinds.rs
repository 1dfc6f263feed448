//! Kind -> whether it may be a route, or an object of a template (pure).
//!
//! The allow-lists are settings. The denied kinds below are fixed, and the same for both.

use std::fmt;

use serde::Deserialize;

use crate::violation::Violation;

/// A namespaced kind of object that managers may use as a route, or templates as an object of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectKind {
    /// Group and version, as in manifests.
    pub api_version: String,
    /// Kind, as in manifests.
    pub kind: String,
}

/// Kinds of Kubernetes' own groups that only route. All other kinds of these groups are denied.
/// They run code, hold secrets, grant permissions, admit requests, or weaken the network isolation between namespaces.
const ROUTES_OF_KUBERNETES: [(&str, &str); 7] = [
    ("networking.k8s.io", "Ingress"),
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("gateway.networking.k8s.io", "GRPCRoute"),
    ("gateway.networking.k8s.io", "TLSRoute"),
    ("gateway.networking.k8s.io", "TCPRoute"),
    ("gateway.networking.k8s.io", "UDPRoute"),
    ("gateway.networking.k8s.io", "BackendTLSPolicy"),
];

/// Kinds that are denied in every group: a kind with such a name also has that meaning. So has one whose name ends with `Secret`.
const NEVER: [&str; 30] = [
    "APIService",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "Configuration",
    "CronJob",
    "CustomResourceDefinition",
    "DaemonSet",
    "Deployment",
    "Endpoints",
    "EndpointSlice",
    "Job",
    "MutatingWebhookConfiguration",
    "Namespace",
    "NetworkPolicy",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodTemplate",
    "ReferenceGrant",
    "ReplicaSet",
    "ReplicationController",
    "Role",
    "RoleBinding",
    "Secret",
    "ServiceAccount",
    "StatefulSet",
    "ValidatingWebhookConfiguration",
];

/// The default of the setting for routes.
pub(super) fn built_in_routes() -> Vec<ObjectKind> {
    [
        ("networking.k8s.io/v1", "Ingress"),
        ("traefik.io/v1alpha1", "IngressRoute"),
        ("traefik.io/v1alpha1", "Middleware"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ]
    .map(|(api_version, kind)| ObjectKind {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
    })
    .into()
}

impl ObjectKind {
    /// Its API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Its version within the group.
    pub fn version(&self) -> &str {
        self.api_version
            .split_once('/')
            .map_or(&self.api_version, |(_, version)| version)
    }

    /// Whether both are one kind, in whatever versions.
    pub(crate) fn is_version_of(&self, other: &Self) -> bool {
        self.group() == other.group() && self.kind == other.kind
    }

    /// Whether kind, group and version can be those of a kind, so that they are safe to show in a command.
    pub(crate) fn is_well_formed(&self) -> bool {
        self.kind.starts_with(|c: char| c.is_ascii_uppercase())
            && self.kind.chars().all(|c| c.is_ascii_alphanumeric())
            && self.version().starts_with('v')
            && self.version().chars().all(|c| c.is_ascii_alphanumeric())
            && crate::names::is_dns_1123_subdomain(self.group())
    }

    /// Whether no setting can allow it.
    pub(crate) fn is_denied(&self) -> bool {
        let group = self.group();
        let within = |domain: &str| group == domain || group.ends_with(&format!(".{domain}"));
        let kubernetes = !group.contains('.')
            || ["k8s.io", "kubernetes.io", "x-k8s.io"]
                .iter()
                .any(|domain| within(domain));
        let routes = ROUTES_OF_KUBERNETES.contains(&(group, self.kind.as_str()));
        let is_never = NEVER.contains(&self.kind.as_str()) || self.kind.ends_with("Secret");
        (kubernetes && !routes) || within(api::names::GROUP) || is_never
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version, self.kind)
    }
}

/// Violations of an allow-list of `what`, such as `a route`. A kind that can never be allowed makes the start fail, and is not ignored.
pub(super) fn violations(field: &str, what: &str, kinds: &[ObjectKind]) -> Vec<Violation> {
    let fault = |(index, kind): (usize, &ObjectKind)| {
        let field = format!("{field}[{index}]");
        if kind.is_denied() {
            let rule = format!(
                "can never be {what}: list no kind that runs something, gives rights or holds secrets, and none of Kubernetes' own \
                 groups but those that route"
            );
            Some(Violation::new(field, kind.to_string(), rule))
        } else if !kind.is_well_formed() {
            let rule = "must have an apiVersion such as networking.k8s.io/v1 and a kind such as Ingress";
            Some(Violation::new(field, kind.to_string(), rule))
        } else {
            None
        }
    };
    kinds.iter().enumerate().filter_map(fault).collect()
}

/// Violations of kinds that the lists name twice, in whatever versions. A route could be replaced by an object of a template, and an object
/// of two watches would be deleted as not wanted.
pub(super) fn repeated(lists: [(&str, &[ObjectKind]); 2]) -> Vec<Violation> {
    let listed = lists.into_iter().flat_map(|(list, kinds)| {
        let kinds = kinds.iter().enumerate();
        kinds.map(move |(index, kind)| (format!("{list}[{index}]"), kind))
    });
    let mut before: Vec<(String, &ObjectKind)> = Vec::new();
    let mut found = Vec::new();
    for (field, kind) in listed {
        if let Some((first, _)) = before.iter().find(|(_, other)| other.is_version_of(kind)) {
            let rule = format!(
                "must not be listed twice, in whatever versions, because {first} is the same kind: list it once, in one of the two lists"
            );
            found.push(Violation::new(&field, kind.to_string(), rule));
        }
        before.push((field, kind));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(api_version: &str, kind: &str) -> ObjectKind {
        ObjectKind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        }
    }

    #[test]
    fn workloads_rbac_and_secrets_are_never_allowed_as_routes() {
        for (version, name) in [
            ("v1", "Secret"),
            ("v1", "ServiceAccount"),
            ("v1", "Pod"),
            ("v1", "ConfigMap"),
            ("v1", "Service"),
            ("apps/v1", "Deployment"),
            ("batch/v1", "Job"),
            ("rbac.authorization.k8s.io/v1", "RoleBinding"),
            ("rbac.authorization.k8s.io/v1beta1", "ClusterRole"),
            (
                "admissionregistration.k8s.io/v1",
                "ValidatingWebhookConfiguration",
            ),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            ("networking.k8s.io/v1", "NetworkPolicy"),
            ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"),
            ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"),
            ("discovery.k8s.io/v1", "EndpointSlice"),
            ("cluster.x-k8s.io/v1beta1", "Machine"),
            ("workspaces.jupyter.org/v1alpha1", "Workspace"),
            ("gateway.workspaces.jupyter.org/v1alpha1", "GatewaySession"),
            ("example.com/v1", "Deployment"),
            ("networking.k8s.io.example/v1", "Secret"),
            ("external-secrets.io/v1", "ExternalSecret"),
            ("kueue.x-k8s.io/v1beta1", "LocalQueue"),
        ] {
            let list = [kind(version, name)];
            assert!(list[0].is_denied(), "{}", list[0]);
            let message = violations("routeKinds", "a route", &list)[0].to_string();
            assert!(message.starts_with("routeKinds[0]: "), "{message}");
            assert!(message.contains("can never be a route"), "{message}");
        }
    }

    #[test]
    fn other_kinds_can_be_allowed_as_routes() {
        for allowed in built_in_routes().into_iter().chain([
            kind("route.openshift.io/v1", "Route"),
            kind("networking.istio.io/v1", "VirtualService"),
            kind("gateway.networking.k8s.io/v1", "GRPCRoute"),
            kind("projectcontour.io/v1", "HTTPProxy"),
        ]) {
            assert_eq!(
                violations("routeKinds", "a route", std::slice::from_ref(&allowed)),
                [],
                "{allowed}"
            );
        }
    }

    #[test]
    fn an_invalid_route_kind_is_named() {
        for (version, name) in [
            ("traefik.io", "IngressRoute"),
            ("traefik.io/v1alpha1", "ingressroutes"),
            ("traefik.io/", "IngressRoute"),
            ("traefik.io/v1 --all;", "IngressRoute"),
        ] {
            assert_eq!(
                violations("routeKinds", "a route", &[kind(version, name)]).len(),
                1,
                "{version} {name}"
            );
        }
    }

    #[test]
    fn a_kind_is_listed_once_whatever_its_versions_and_the_list() {
        let fields = |routes: &[ObjectKind], objects: &[ObjectKind]| -> Vec<String> {
            let found = repeated([("routeKinds", routes), ("objectKinds", objects)]).into_iter();
            found.map(|violation| violation.field).collect()
        };
        let middleware = |version: &str| kind(&format!("traefik.io/{version}"), "Middleware");
        let one = [middleware("v1alpha1")];
        assert_eq!(fields(&one, &[middleware("v1")]), ["objectKinds[0]"]);
        assert_eq!(
            fields(&[], &[middleware("v1"), middleware("v1alpha1")]),
            ["objectKinds[1]"]
        );
        assert_eq!(fields(&[one[0].clone(), one[0].clone()], &[]), ["routeKinds[1]"]);
        let others = [
            kind("traefik.io/v1alpha1", "IngressRoute"),
            kind("example.com/v1", "Middleware"),
        ];
        assert_eq!(fields(&one, &others), [""; 0]);
        let both = crate::Settings::parse(
            "{defaultImage: i, objectKinds: [{apiVersion: traefik.io/v1, kind: Middleware}]}",
        );
        let message = both.unwrap_err().to_string();
        let expected = "objectKinds[0]: \"traefik.io/v1 Middleware\" must not be listed twice, in whatever versions, because routeKinds[2] is the same kind";
        assert!(message.contains(expected), "{message}");
    }
}
