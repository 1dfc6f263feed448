//! Templates -> manifests of the cluster's add-ons: DNS and storage (pure).

use super::images::node_image;
use super::layout::{DNS_SERVICE, Layout};
use crate::components::{COREDNS, NODE_TOOLS, PROVISIONER};

/// Deployments that must be available before the cluster counts as up, as (namespace, name).
pub(crate) const DEPLOYMENTS: [(&str, &str); 2] = [
    ("kube-system", "coredns"),
    ("local-path-storage", "local-path-provisioner"),
];

/// All manifests, ready to be applied.
pub(crate) fn manifests(layout: &Layout) -> String {
    let templates = [
        include_str!("../../manifests/coredns.yaml"),
        include_str!("../../manifests/storage.yaml"),
    ];
    templates
        .join("---\n")
        .replace("@coredns@", &node_image(&COREDNS))
        .replace("@local-path-provisioner@", &node_image(&PROVISIONER))
        .replace("@node-tools@", &node_image(&NODE_TOOLS))
        .replace("@dns@", DNS_SERVICE)
        .replace("@volumes@", &layout.text("volumes"))
}
