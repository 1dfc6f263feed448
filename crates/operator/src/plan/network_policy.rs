//! A manager's settings -> labels and network policies of the pods of its workspaces (pure).
//!
//! Each namespace has one policy that denies, for all its isolated pods, and one for each manager that allows. If an allowing one is late
//! or missing, the pod is closed. By default ingress is allowed from proxy, gateway and operator, and egress to DNS and the public
//! internet.

use std::collections::BTreeMap;

use api::{
    WorkspaceManager,
    manager::{Egress, NetworkPolicySettings},
    names,
};
use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use kube::ResourceExt as _;
use rules::networks::{NotPublic, PUBLIC_IPV6};

use super::Installation;
use crate::cache::observed::{Identity, PORT_NAME};

/// The components that connect to the application for users.
const CALLERS: [&str; 2] = ["proxy", "gateway"];
/// The component that asks whether a workspace is idle.
const OPERATOR: &str = "operator";
/// Label that Kubernetes sets on every namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// What names of children begin with.
const CHILD: &str = "workspace-";
/// In place of a hash: the policy that denies.
const BASE: &str = "isolated";
/// Namespace of the cluster's DNS.
const DNS_NAMESPACE: &str = "kube-system";
const DNS_PORT: i32 = 53;

/// IPv4 ranges that are not the public internet (IANA special-purpose registry). One more is a public address of a cloud metadata
/// service.
const NOT_PUBLIC: [&str; 15] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];
/// Public IPv6 ranges that lead to IPv4 addresses, private ones included.
const IPV4_IN_IPV6: [&str; 2] = ["2001::/32", "2002::/16"];

/// The manager by whose settings a pod is isolated.
#[derive(Clone, Debug, PartialEq)]
pub struct Isolation {
    /// Its name.
    pub manager: String,
    /// Its settings.
    pub settings: NetworkPolicySettings,
}

impl Isolation {
    /// By the settings of this manager.
    pub fn from_manager(manager: &WorkspaceManager) -> Self {
        Self {
            manager: manager.name_any(),
            settings: manager.spec.network_policy.clone().unwrap_or_default(),
        }
    }

    /// The labels that the policies select, with their values on a pod. `None`: the pod must not have it.
    pub(crate) fn labels(&self) -> [(&'static str, Option<String>); 2] {
        let is_isolated = self.settings.enabled;
        [
            (
                names::ISOLATED_LABEL,
                is_isolated.then(|| names::IS_ISOLATED.to_owned()),
            ),
            (
                names::MANAGER,
                is_isolated.then(|| rules::names::manager_hash(&self.manager)),
            ),
        ]
    }

    /// The policies of pods with these labels, in the order in which they are made.
    pub(crate) fn policies(&self, namespace: &str, installation: &Installation) -> Vec<NetworkPolicy> {
        if !self.settings.enabled {
            return Vec::new();
        }
        vec![base(namespace), self.policy(namespace, installation)]
    }

    /// Allows pods of the manager what its settings say.
    pub(crate) fn policy(&self, namespace: &str, installation: &Installation) -> NetworkPolicy {
        let hash = rules::names::manager_hash(&self.manager);
        let mut policy = policy(namespace, (names::MANAGER, &hash));
        let annotations = policy.metadata.annotations.get_or_insert_default();
        annotations.insert(names::MANAGER.to_owned(), self.manager.clone());
        if let Some(spec) = &mut policy.spec {
            spec.ingress = Some(ingress(installation, &self.settings));
            spec.egress = Some(egress(&self.settings));
        }
        policy
    }
}

/// Denies all isolated pods of a namespace every connection.
pub(crate) fn base(namespace: &str) -> NetworkPolicy {
    policy(namespace, (names::ISOLATED_LABEL, names::IS_ISOLATED))
}

/// What a policy is written as: the child of a workspace, whose name would begin with a hyphen. `None`: it is not one of these policies.
pub(crate) fn identity_of(meta: &ObjectMeta) -> Option<Identity> {
    let name = meta.name.as_deref()?.strip_prefix(CHILD)?;
    name.starts_with('-').then(|| Identity {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: name.to_owned(),
        uid: String::new(),
    })
}

/// Selects the pods that the policy of this identity selects.
pub(crate) fn selector_of(identity: &Identity) -> String {
    let (key, value) = match identity.name.trim_start_matches('-') {
        BASE => (names::ISOLATED_LABEL, names::IS_ISOLATED),
        hash => (names::MANAGER, hash),
    };
    format!("{key}={value}")
}

/// Name of the policy of pods with this label.
pub(crate) fn name_for(key: &str, value: &str) -> String {
    let suffix = if key == names::MANAGER { value } else { BASE };
    rules::names::child(&format!("-{suffix}"))
}

/// Whether the operator made a policy.
pub(crate) fn is_ours(meta: &ObjectMeta) -> bool {
    let labels = meta.labels.as_ref();
    labels.is_some_and(|labels| {
        labels.get(names::APP_MANAGED_BY_LABEL).map(String::as_str) == Some(names::OPERATOR)
    })
}

/// A policy without rules for pods with this label. It has no owner: it stays for as long as a pod needs it.
fn policy(namespace: &str, (key, value): (&str, &str)) -> NetworkPolicy {
    let ours = [
        (names::APP_NAME_LABEL, names::PRODUCT),
        (names::APP_COMPONENT_LABEL, "network-policy"),
        (names::APP_PART_OF_LABEL, names::PRODUCT),
        (names::APP_MANAGED_BY_LABEL, names::OPERATOR),
    ];
    NetworkPolicy {
        metadata: ObjectMeta {
            name: Some(name_for(key, value)),
            namespace: Some(namespace.to_owned()),
            labels: Some(ours.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            annotations: Some(rules::names::not_pruned().collect()),
            ..ObjectMeta::default()
        },
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels([(key.to_owned(), value.to_owned())].into())),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// Callers may connect to the application's port. The operator may connect to every port, as idle detection may ask another one; not if
/// the manager names the callers.
fn ingress(installation: &Installation, settings: &NetworkPolicySettings) -> Vec<NetworkPolicyIngressRule> {
    let mut rules = vec![NetworkPolicyIngressRule {
        from: Some(callers(installation, settings)),
        // By port name: it follows the running pod.
        ports: Some(vec![port("TCP", IntOrString::String(PORT_NAME.to_owned()))]),
    }];
    if settings.ingress_from.is_empty() {
        rules.push(NetworkPolicyIngressRule {
            from: Some(vec![caller(installation, OPERATOR)]),
            ports: None,
        });
    }
    rules
}

/// The allowed callers. Never an empty list, which would allow all.
fn callers(installation: &Installation, settings: &NetworkPolicySettings) -> Vec<NetworkPolicyPeer> {
    if settings.ingress_from.is_empty() {
        CALLERS
            .iter()
            .map(|component| caller(installation, component))
            .collect()
    } else {
        settings.ingress_from.clone()
    }
}

fn egress(settings: &NetworkPolicySettings) -> Vec<NetworkPolicyEgressRule> {
    match settings.egress {
        Egress::PublicInternet => vec![dns(settings), public_internet(settings)],
        Egress::None => vec![dns(settings)],
        // One rule without restrictions.
        Egress::Any => vec![NetworkPolicyEgressRule::default()],
    }
}

/// One peer with both selectors: pods of that component, and only in the system namespace.
fn caller(installation: &Installation, component: &str) -> NetworkPolicyPeer {
    let pod = [
        (names::APP_PART_OF_LABEL, names::PRODUCT),
        (names::APP_INSTANCE_LABEL, &installation.release),
        (names::APP_COMPONENT_LABEL, component),
    ];
    NetworkPolicyPeer {
        namespace_selector: Some(namespace(&installation.system_namespace)),
        pod_selector: Some(labels(
            pod.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        )),
        ip_block: None,
    }
}

/// Egress to DNS. `to` and `ports` always have entries: an empty list would allow all peers or all ports.
fn dns(settings: &NetworkPolicySettings) -> NetworkPolicyEgressRule {
    let given = settings.dns.clone().unwrap_or_default();
    let usual = || NetworkPolicyPeer {
        namespace_selector: Some(namespace(DNS_NAMESPACE)),
        ..NetworkPolicyPeer::default()
    };
    let to = if given.to.is_empty() {
        vec![usual()]
    } else {
        given.to
    };
    let ports = if given.ports.is_empty() {
        vec![DNS_PORT]
    } else {
        given.ports
    };
    let both = ports
        .into_iter()
        .flat_map(|number| ["UDP", "TCP"].map(|protocol| port(protocol, IntOrString::Int(number))));
    NetworkPolicyEgressRule {
        to: Some(to),
        ports: Some(both.collect()),
    }
}

fn public_internet(settings: &NetworkPolicySettings) -> NetworkPolicyEgressRule {
    let named = NotPublic::from_networks(&settings.not_public);
    let block = |cidr: &str, except: &[&str], named: Vec<String>| NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_owned(),
            except: Some(except.iter().map(ToString::to_string).chain(named).collect()),
        }),
        ..NetworkPolicyPeer::default()
    };
    let ipv4 = named.ipv4.iter().map(ToString::to_string).collect();
    let ipv6 = named.ipv6.iter().map(ToString::to_string).collect();
    NetworkPolicyEgressRule {
        to: Some(vec![
            block("0.0.0.0/0", &NOT_PUBLIC, ipv4),
            block(PUBLIC_IPV6, &IPV4_IN_IPV6, ipv6),
        ]),
        ports: None,
    }
}

fn port(protocol: &str, port: IntOrString) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(port),
        end_port: None,
    }
}

fn namespace(name: &str) -> LabelSelector {
    labels([(NAMESPACE_NAME.to_owned(), name.to_owned())].into())
}

fn labels(match_labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(match_labels),
        match_expressions: None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use serde_json::json;

    use super::*;
    use crate::testing;

    fn policy(settings: &NetworkPolicySettings) -> NetworkPolicySpec {
        let settings = settings.clone();
        let isolation = Isolation {
            manager: "main".to_owned(),
            settings,
        };
        isolation.policy("team", &testing::installation()).spec.unwrap()
    }

    fn spec() -> NetworkPolicySpec {
        policy(&NetworkPolicySettings::default())
    }

    #[test]
    fn only_proxy_and_gateway_of_this_release_reach_the_application_and_only_the_operator_other_ports() {
        let ingress = spec().ingress.unwrap();
        let components = |rule: &NetworkPolicyIngressRule| -> Vec<_> {
            let from = rule.from.iter().flatten().map(|peer| {
                let labels = |selector: &Option<LabelSelector>| {
                    selector.as_ref().unwrap().match_labels.clone().unwrap()
                };
                let (namespace, pod) = (labels(&peer.namespace_selector), labels(&peer.pod_selector));
                assert_eq!(namespace[NAMESPACE_NAME], "jupyter-k8s-system");
                assert_eq!(pod[names::APP_INSTANCE_LABEL], "jupyter-k8s");
                pod[names::APP_COMPONENT_LABEL].clone()
            });
            from.collect()
        };
        assert_eq!(ingress.len(), 2);
        assert_eq!(components(&ingress[0]), CALLERS);
        assert_eq!(ingress[0].ports.as_ref().unwrap().len(), 1);
        assert_eq!(
            (components(&ingress[1]), &ingress[1].ports),
            (vec![OPERATOR.to_owned()], &None)
        );
    }

    #[test]
    fn a_manager_names_other_callers_and_they_may_connect_to_the_application_s_port_alone() {
        let proxy = json!({
            "namespaceSelector": {"matchLabels": {"team": "edge"}},
            "podSelector": {"matchLabels": {"app": "proxy"}},
        });
        let settings = NetworkPolicySettings {
            ingress_from: vec![serde_json::from_value(proxy.clone()).unwrap()],
            ..NetworkPolicySettings::default()
        };
        let ingress = policy(&settings).ingress.unwrap();
        assert_eq!(ingress.len(), 1, "the operator is kept out");
        let rule = &ingress[0];
        assert_eq!(serde_json::to_value(&rule.from).unwrap(), json!([proxy]));
        assert_eq!(
            serde_json::to_value(&rule.ports).unwrap(),
            json!([{"protocol": "TCP", "port": "http"}])
        );
    }

    #[test]
    fn each_policy_selects_one_label_and_a_manager_can_disable_both() {
        let mut isolation = Isolation {
            manager: "m".repeat(253),
            settings: NetworkPolicySettings::default(),
        };
        let policies = isolation.policies("team", &testing::installation());
        for (policy, (key, value)) in policies.iter().zip(isolation.labels()) {
            let spec = policy.spec.as_ref().unwrap();
            let selected = spec.pod_selector.as_ref().unwrap().match_labels.clone().unwrap();
            assert_eq!(selected, [(key.to_owned(), value.unwrap())].into());
            assert_eq!(spec.policy_types.as_ref().unwrap(), &["Ingress", "Egress"]);
            assert_eq!(policy.metadata.owner_references, None);
            let identity = identity_of(&policy.metadata).unwrap();
            assert_eq!(identity.child_name(), *policy.metadata.name.as_ref().unwrap());
            assert!(selector_of(&identity).starts_with(key));
        }
        let [base, manager] = &policies[..] else {
            panic!("{policies:?}")
        };
        assert_eq!(base.metadata.name.as_deref(), Some("workspace--isolated"));
        let spec = base.spec.as_ref().unwrap();
        assert_eq!((&spec.ingress, &spec.egress), (&None, &None));
        assert_eq!(
            manager.metadata.annotations.as_ref().unwrap()[names::MANAGER],
            isolation.manager
        );
        isolation.settings.enabled = false;
        assert_eq!(isolation.policies("team", &testing::installation()), []);
        assert!(isolation.labels().into_iter().all(|(_, value)| value.is_none()));
    }

    /// Whether a pod may connect to this address, DNS in the cluster aside.
    fn allows(spec: &NetworkPolicySpec, address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        let contains = |cidr: &str| {
            let (net, bits) = cidr.split_once('/').unwrap();
            let bits: u32 = bits.parse().unwrap();
            match (net.parse().unwrap(), address) {
                (IpAddr::V4(net), IpAddr::V4(address)) => {
                    let shift = 32 - bits;
                    net.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
                }
                (IpAddr::V6(net), IpAddr::V6(address)) => {
                    let shift = 128 - bits;
                    net.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
                }
                _ => false,
            }
        };
        let rules = spec.egress.as_ref().unwrap();
        rules.iter().any(|rule| {
            let Some(to) = &rule.to else { return true };
            to.iter().filter_map(|peer| peer.ip_block.as_ref()).any(|block| {
                contains(&block.cidr) && !block.except.iter().flatten().any(|except| contains(except))
            })
        })
    }

    const PRIVATE: [&str; 14] = [
        "10.96.0.1",
        "172.31.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "127.0.0.1",
        "::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::a9fe:a9fe",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
    ];
    const PUBLIC: [&str; 5] = [
        "1.1.1.1",
        "172.32.0.1",
        "151.101.0.223",
        "2606:4700:4700::1111",
        "2a00:1450::200e",
    ];

    #[test]
    fn private_and_metadata_addresses_are_left_out_of_both_families() {
        let spec = spec();
        for address in PRIVATE {
            assert!(!allows(&spec, address), "{address}");
        }
        for address in PUBLIC {
            assert!(allows(&spec, address), "{address}");
        }
    }

    #[test]
    fn networks_of_the_cluster_with_public_addresses_are_left_out_where_the_manager_names_them() {
        let cluster = ["30.1.2.3", "2600:1f14:aaaa::7"];
        let named = policy(&NetworkPolicySettings {
            not_public: vec!["30.0.0.0/8".to_owned(), "2600:1f14::/32".to_owned()],
            ..NetworkPolicySettings::default()
        });
        for address in cluster {
            assert!(allows(&spec(), address) && !allows(&named, address), "{address}");
        }
        for address in PUBLIC {
            assert!(allows(&named, address), "{address}");
        }
    }

    #[test]
    fn dns_egress_follows_the_manager() {
        let node_local = json!([{"ipBlock": {"cidr": "169.254.20.10/32"}}]);
        for egress in [Egress::PublicInternet, Egress::None] {
            let of = |dns| {
                let settings = NetworkPolicySettings {
                    egress,
                    dns: Some(serde_json::from_value(dns).unwrap()),
                    ..NetworkPolicySettings::default()
                };
                serde_json::to_value(&policy(&settings).egress.unwrap()[0]).unwrap()
            };
            let moved = of(json!({"to": node_local}));
            assert_eq!(moved["to"], node_local);
            assert_eq!(
                moved["ports"],
                json!([{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}])
            );
            let port = of(json!({"ports": [5353]}));
            assert_eq!(
                port["ports"],
                json!([{"protocol": "UDP", "port": 5353}, {"protocol": "TCP", "port": 5353}])
            );
            assert_eq!(
                port["to"][0]["namespaceSelector"]["matchLabels"][NAMESPACE_NAME],
                DNS_NAMESPACE
            );
        }
    }

    #[test]
    fn egress_is_all_or_dns_alone_as_the_manager_sets() {
        let of = |egress| {
            policy(&NetworkPolicySettings {
                egress,
                ..NetworkPolicySettings::default()
            })
        };
        let (any, none) = (of(Egress::Any), of(Egress::None));
        for address in PRIVATE.into_iter().chain(PUBLIC) {
            assert!(allows(&any, address) && !allows(&none, address), "{address}");
        }
        let rules = none.egress.unwrap();
        assert_eq!(rules, [dns(&NetworkPolicySettings::default())]);
        assert_eq!(none.policy_types.unwrap(), ["Ingress", "Egress"]);
    }
}
