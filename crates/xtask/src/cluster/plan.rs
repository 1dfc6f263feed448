//! Layout -> files, manifests and processes of a node, and their hash (pure).

use anyhow::Context as _;

use super::layout::Layout;
use super::process::Service;
use super::{addons, containerd, control_plane, images, kubelet};
use crate::components::{
    COREDNS, Component, ETCD, HYPERKUBE, KUBECTL, NODE_TOOLS, PROVISIONER, short_digest,
};

/// All binaries of a node.
pub(crate) const COMPONENTS: [&Component; 6] =
    [&NODE_TOOLS, &ETCD, &KUBECTL, &HYPERKUBE, &COREDNS, &PROVISIONER];
/// Clients of the API server with their own kubeconfig.
pub(crate) const CLIENTS: [&str; 5] = ["admin", "controllers", "scheduler", "kubelet", "proxy"];

/// The desired node of this checkout.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Configuration files below the state folder.
    pub(crate) files: Vec<(&'static str, String)>,
    /// Applied once the API server answers.
    pub(crate) manifests: String,
    /// Its processes, in the order of their start.
    pub(crate) services: Vec<Service>,
}

impl Plan {
    /// The plan for a layout (pure).
    pub(crate) fn new(layout: &Layout) -> Self {
        let files = vec![
            (
                "containerd.toml",
                containerd::config(layout, &images::node_image(&NODE_TOOLS)),
            ),
            ("cni/10-pods.conflist", containerd::pod_network(layout)),
            ("kubelet.yaml", kubelet::config(layout)),
            ("audit-policy.yaml", control_plane::AUDIT_POLICY.to_owned()),
            (
                control_plane::AUTHENTICATION.0,
                control_plane::AUTHENTICATION.1.to_owned(),
            ),
            ("hosts", control_plane::hosts()),
        ];
        let services = vec![
            control_plane::etcd(layout),
            control_plane::apiserver_with_providers(layout),
            containerd::containerd(layout),
            control_plane::controllers(layout),
            control_plane::scheduler(layout),
            kubelet::kubelet(layout),
            kubelet::proxy(layout),
        ];
        Self {
            files,
            manifests: addons::manifests(layout),
            services,
        }
    }

    /// Hash of everything in which nodes can differ, binaries included.
    pub(crate) fn hash(&self) -> String {
        let binaries: Vec<String> = COMPONENTS.iter().map(|component| component.hash()).collect();
        short_digest(format!("{binaries:?} {self:?}").as_bytes())
    }

    /// One of the processes, by name.
    pub(crate) fn service(&self, name: &str) -> anyhow::Result<&Service> {
        self.services
            .iter()
            .find(|service| service.name == name)
            .with_context(|| format!("no service {name}"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cluster::process::Network;
    use crate::cluster::{agents, pki};

    fn plan(cache: &str) -> Plan {
        Plan::new(&Layout::of_cache(Path::new(cache)))
    }

    #[test]
    fn the_hash_is_stable_and_differs_with_any_file_argument_or_place() {
        let hash = plan("/cache").hash();
        assert_eq!(hash, plan("/cache").hash());
        assert_ne!(hash, plan("/other").hash());
        let mut changed = plan("/cache");
        changed.services[1].args.push("--v=4".to_owned());
        assert_ne!(hash, changed.hash());
        let mut changed = plan("/cache");
        changed.files[2].1.push_str("maxPods: 10\n");
        assert_ne!(hash, changed.hash());
    }

    #[test]
    fn every_kubeconfig_a_process_is_given_is_written() {
        let layout = Layout::of_cache(Path::new("/cache"));
        let args = plan("/cache")
            .services
            .into_iter()
            .flat_map(|service| service.args);
        for arg in args.filter(|arg| arg.ends_with(".kubeconfig")) {
            let known = CLIENTS
                .iter()
                .any(|client| arg.ends_with(&layout.kubeconfig(client).display().to_string()));
            assert!(known, "{arg}");
        }
    }

    #[test]
    fn every_key_and_certificate_a_process_is_given_is_made() {
        let files = pki::generate().unwrap();
        let plan = plan("/cache");
        let texts = plan.services.iter().flat_map(|service| service.args.clone());
        let texts = texts.chain(
            plan.files
                .iter()
                .flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>()),
        );
        for text in texts {
            let Some((_, rest)) = text.split_once("/cache/cluster/pki/") else {
                continue;
            };
            let name = rest.trim_end_matches('}');
            assert!(files.iter().any(|(file, _)| file == name), "{text}");
        }
    }

    #[test]
    fn every_file_that_the_api_server_is_given_is_written() {
        let plan = plan("/cache");
        let api_server = plan.service("kube-apiserver").unwrap();
        for name in ["hosts", "authentication.json", "audit-policy.yaml"] {
            let path = format!("/cache/cluster/{name}");
            assert!(api_server.args.iter().any(|arg| arg.ends_with(&path)), "{name}");
            assert!(plan.files.iter().any(|(file, _)| *file == name), "{name}");
        }
    }

    #[test]
    fn only_the_forwarder_runs_in_the_machines_network() {
        let layout = Layout::of_cache(Path::new("/cache"));
        let agents = agents::services(&layout, Path::new("/xtask"));
        let services = plan("/cache").services.into_iter().chain(agents);
        let host: Vec<_> = services
            .filter(|service| service.network == Network::Host)
            .map(|service| service.name)
            .collect();
        assert_eq!(host, ["forwarder"]);
    }
}
