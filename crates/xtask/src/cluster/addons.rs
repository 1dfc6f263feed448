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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_place_is_filled_and_every_document_is_an_object() {
        let text = manifests(&Layout::of_cache(Path::new("/cache")));
        assert_eq!(text.lines().find(|line| line.contains('@')), None);
        for document in text.split("\n---\n") {
            let value: serde_json::Value = serde_saphyr::from_str(document).unwrap();
            assert!(value["kind"].is_string(), "{document}");
        }
    }

    #[test]
    fn what_is_waited_for_is_in_the_manifests() {
        let text = manifests(&Layout::of_cache(Path::new("/cache")));
        for (namespace, name) in DEPLOYMENTS {
            assert!(text.contains(&format!(
                "kind: Deployment\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
            )));
        }
    }
}
