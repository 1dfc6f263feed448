//! Objects of the API server -> the facts for decisions about network policies (pure).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use k8s_openapi::{
    api::{
        core::v1::{Container, Namespace, Pod},
        networking::v1::{NetworkPolicy, NetworkPolicySpec},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    ResourceExt,
    core::{DeserializeGuard, PartialObjectMeta},
};

use super::select::Labels;

/// The enforcer's knowledge of the cluster at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    /// Labels of each namespace.
    pub(super) namespaces: BTreeMap<String, Labels>,
    /// Pods with their own IPv4 address, by that address.
    pub(super) pods: BTreeMap<Ipv4Addr, Endpoint>,
    /// Policies with their namespace.
    pub(super) policies: Vec<(String, NetworkPolicySpec)>,
}

/// The properties of a pod that policies use.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) namespace: String,
    pub(super) labels: Labels,
    pub(super) ports: Vec<NamedPort>,
}

/// A container port that has a name.
#[derive(Clone, Debug)]
pub(super) struct NamedPort {
    pub(super) name: String,
    pub(super) protocol: String,
    pub(super) number: u16,
}

impl Snapshot {
    /// Collects the facts. Each unreadable object is handled separately.
    pub(super) fn new<'a>(
        namespaces: impl IntoIterator<Item = &'a PartialObjectMeta<Namespace>>,
        pods: impl IntoIterator<Item = &'a DeserializeGuard<Pod>>,
        policies: impl IntoIterator<Item = &'a DeserializeGuard<NetworkPolicy>>,
    ) -> Self {
        let namespaces = namespaces
            .into_iter()
            .map(|n| (n.name_any(), n.labels().clone()))
            .collect();
        let policies = policies
            .into_iter()
            .map(|policy| (policy.namespace().unwrap_or_default(), readable(policy)))
            .collect();
        let mut running: Vec<&Pod> = pods.into_iter().filter_map(|pod| pod.0.as_ref().ok()).collect();
        // An address may belong to an ending pod and to a new one: the youngest pod counts.
        running.sort_by_key(|pod| pod.creation_timestamp());
        let pods = running.into_iter().filter_map(endpoint).collect();
        Self {
            namespaces,
            pods,
            policies,
        }
    }
}

/// A policy's spec. An unreadable one isolates its whole namespace, which is safe.
fn readable(policy: &DeserializeGuard<NetworkPolicy>) -> NetworkPolicySpec {
    match &policy.0 {
        Ok(policy) => policy.spec.clone().unwrap_or_default(),
        Err(_) => NetworkPolicySpec {
            pod_selector: Some(LabelSelector::default()),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ..NetworkPolicySpec::default()
        },
    }
}

/// The pod's endpoint, if it has its own: pods on the node's network count as the node itself.
fn endpoint(pod: &Pod) -> Option<(Ipv4Addr, Endpoint)> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
    let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if spec.host_network == Some(true) || over {
        return None;
    }
    let several = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let ip = several
        .chain(status.pod_ip.as_deref())
        .find_map(|ip| match ip.parse() {
            Ok(IpAddr::V4(ip)) => Some(ip),
            _ => None,
        })?;
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec
        .containers
        .iter()
        .chain(sidecars)
        .flat_map(named_ports)
        .collect();
    let namespace = pod.namespace().unwrap_or_default();
    Some((
        ip,
        Endpoint {
            namespace,
            labels: pod.labels().clone(),
            ports,
        },
    ))
}

fn named_ports(container: &Container) -> impl Iterator<Item = NamedPort> {
    container.ports.iter().flatten().filter_map(|port| {
        Some(NamedPort {
            name: port.name.clone()?,
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
            number: u16::try_from(port.container_port).ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::Resource as _;
    use serde_json::{Value, json};

    fn pod(name: &str, spec: &Value, status: &Value) -> DeserializeGuard<Pod> {
        let metadata = json!({"name": name, "namespace": "a", "creationTimestamp": "2026-01-01T00:00:00Z"});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
    }

    fn addresses(pods: &[DeserializeGuard<Pod>]) -> Vec<String> {
        Snapshot::new([], pods, [])
            .pods
            .keys()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn only_live_pods_with_an_own_ipv4_address_are_endpoints() {
        let containers = json!({"containers": [{"name": "c"}]});
        let host = json!({"containers": [{"name": "c"}], "hostNetwork": true});
        let pods = [
            pod(
                "up",
                &containers,
                &json!({"podIP": "10.244.0.2", "phase": "Running"}),
            ),
            pod(
                "dual",
                &containers,
                &json!({"podIP": "fd00::3", "podIPs": [{"ip": "fd00::3"}, {"ip": "10.244.0.3"}]}),
            ),
            pod(
                "done",
                &containers,
                &json!({"podIP": "10.244.0.4", "phase": "Succeeded"}),
            ),
            pod(
                "failed",
                &containers,
                &json!({"podIP": "10.244.0.5", "phase": "Failed"}),
            ),
            pod("host", &host, &json!({"podIP": "10.250.0.2", "phase": "Running"})),
            pod("new", &containers, &json!({"phase": "Pending"})),
            pod(
                "six",
                &containers,
                &json!({"podIP": "fd00::7", "phase": "Running"}),
            ),
        ];
        assert_eq!(addresses(&pods), ["10.244.0.2", "10.244.0.3"]);
    }

    #[test]
    fn an_unreadable_pod_is_left_out_and_the_others_stay() {
        let good = pod("up", &json!({"containers": []}), &json!({"podIP": "10.244.0.2"}));
        let bad = pod(
            "bad",
            &json!({"containers": "none"}),
            &json!({"podIP": "10.244.0.3"}),
        );
        assert!(bad.0.is_err());
        assert_eq!(addresses(&[bad, good]), ["10.244.0.2"]);
    }

    #[test]
    fn the_youngest_pod_holds_an_address_that_two_pods_report() {
        let mut old = pod("old", &json!({"containers": []}), &json!({"podIP": "10.244.0.2"}));
        let mut new = old.clone();
        old.labels_mut().insert("age".into(), "old".into());
        new.labels_mut().insert("age".into(), "new".into());
        let later = serde_json::from_value(json!("2026-01-02T00:00:00Z")).unwrap();
        new.meta_mut().creation_timestamp = Some(later);
        for pods in [[&old, &new], [&new, &old]] {
            let snapshot = Snapshot::new([], pods, []);
            assert_eq!(snapshot.pods[&Ipv4Addr::new(10, 244, 0, 2)].labels["age"], "new");
        }
    }

    #[test]
    fn ports_of_containers_and_sidecars_are_known_by_name() {
        let spec = json!({
            "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 80}, {"containerPort": 81}]}],
            "initContainers": [
                {"name": "sidecar", "restartPolicy": "Always", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
                {"name": "setup", "ports": [{"name": "setup", "containerPort": 82}]},
            ],
        });
        let snapshot = Snapshot::new([], &[pod("up", &spec, &json!({"podIP": "10.244.0.2"}))], []);
        let ports = &snapshot.pods[&Ipv4Addr::new(10, 244, 0, 2)].ports;
        let shown: Vec<String> = ports
            .iter()
            .map(|p| format!("{} {} {}", p.name, p.protocol, p.number))
            .collect();
        assert_eq!(shown, ["http TCP 80", "dns UDP 53"]);
    }

    #[test]
    fn an_unreadable_policy_isolates_its_whole_namespace() {
        let metadata = json!({"name": "broken", "namespace": "a"});
        let bad: DeserializeGuard<NetworkPolicy> =
            serde_json::from_value(json!({"metadata": metadata, "spec": {"podSelector": 7}})).unwrap();
        assert!(bad.0.is_err());
        let snapshot = Snapshot::new([], [], [&bad]);
        let (namespace, spec) = &snapshot.policies[0];
        assert_eq!(namespace, "a");
        assert_eq!(
            spec.policy_types,
            Some(vec!["Ingress".to_owned(), "Egress".to_owned()])
        );
        assert_eq!(spec.pod_selector, Some(LabelSelector::default()));
        assert!(spec.ingress.is_none() && spec.egress.is_none());
    }
}
