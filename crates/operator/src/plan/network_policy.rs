//! Workspace's identity, its manager's settings -> network policy of its pod (pure).
//!
//! By default ingress is allowed from proxy, gateway and operator, and egress to DNS and the public internet.

use std::collections::BTreeMap;

use api::{
    manager::{Egress, NetworkPolicySettings},
    names,
};
use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use rules::{
    ValidWorkspace,
    networks::{NotPublic, PUBLIC_IPV6},
};

use super::{Installation, run::COMPONENT};
use crate::cache::observed::{Identity, PORT_NAME};

/// The components that may connect to a workspace's pod: those that serve users, and the one that asks whether it is idle.
const CALLERS: [&str; 3] = ["proxy", "gateway", OPERATOR];
/// The component that asks whether a workspace is idle.
const OPERATOR: &str = "operator";
/// Label that Kubernetes sets on every namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
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

/// The network policy of a pod, unless its manager wants none. It depends on no field of the workspace. So the pod of a workspace that
/// became invalid has one as well.
pub fn plan(
    identity: &Identity,
    installation: &Installation,
    settings: &NetworkPolicySettings,
) -> Option<NetworkPolicy> {
    if !settings.enabled {
        return None;
    }
    let mut metadata = super::meta(identity, COMPONENT);
    // With an owner reference, the garbage collector would delete it while its pod is still ending.
    metadata.owner_references = None;
    metadata
        .annotations
        .get_or_insert_default()
        .extend(rules::names::not_pruned());
    Some(NetworkPolicy {
        metadata,
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels(rules::names::selector(&identity.name))),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: Some(callers(installation, settings)),
                // By port name, like the Service: it follows the running pod.
                ports: Some(vec![port("TCP", IntOrString::String(PORT_NAME.to_owned()))]),
            }]),
            egress: Some(egress(settings)),
        }),
    })
}

/// The same policy with ingress for the operator if the idle question has its own port. The callers that a manager names are not
/// extended.
pub(super) fn with_idle_port(
    mut policy: NetworkPolicy,
    installation: &Installation,
    workspace: &ValidWorkspace,
) -> NetworkPolicy {
    // Also if the spec names the same port twice: the rule above follows the port of the running pod, which may still be the old one.
    let asked = workspace.idle.as_ref().and_then(|idle| idle.question.port);
    let ingress = policy.spec.as_mut().and_then(|spec| spec.ingress.as_mut());
    if let (Some(asked), Some(ingress)) = (asked, ingress)
        && workspace.network_policy.ingress_from.is_empty()
    {
        ingress.push(NetworkPolicyIngressRule {
            from: Some(vec![caller(installation, OPERATOR)]),
            ports: Some(vec![port("TCP", IntOrString::Int(i32::from(asked)))]),
        });
    }
    policy
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
        let identity = super::super::identity(&testing::valid());
        plan(&identity, &testing::installation(), settings)
            .unwrap()
            .spec
            .unwrap()
    }

    fn spec() -> NetworkPolicySpec {
        policy(&NetworkPolicySettings::default())
    }

    #[test]
    fn only_proxy_gateway_and_operator_of_this_release_come_in() {
        let ingress = spec().ingress.unwrap();
        assert_eq!(ingress.len(), 1);
        let from = ingress[0].from.clone().unwrap();
        let components: Vec<_> = from
            .iter()
            .map(|peer| {
                let namespace = peer
                    .namespace_selector
                    .as_ref()
                    .unwrap()
                    .match_labels
                    .as_ref()
                    .unwrap();
                assert_eq!(namespace[NAMESPACE_NAME], "jupyter-k8s-system");
                let pod = peer.pod_selector.as_ref().unwrap().match_labels.as_ref().unwrap();
                assert_eq!(pod[names::APP_INSTANCE_LABEL], "jupyter-k8s");
                pod[names::APP_COMPONENT_LABEL].clone()
            })
            .collect();
        assert_eq!(components, CALLERS);
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
        let rule = &policy(&settings).ingress.unwrap()[0];
        assert_eq!(serde_json::to_value(&rule.from).unwrap(), json!([proxy]));
        assert_eq!(
            serde_json::to_value(&rule.ports).unwrap(),
            json!([{"protocol": "TCP", "port": "http"}])
        );
    }

    #[test]
    fn only_the_operator_may_connect_to_the_port_of_idle_detection() {
        let ingress = |port: Option<i32>, ingress_from: serde_json::Value| {
            let mut workspace = testkit::objects::workspace("demo");
            workspace.spec.idle_shutdown =
                serde_json::from_value(json!({"detection": {"httpGet": {"port": port}}})).unwrap();
            let mut valid = testing::admit(&workspace);
            valid.network_policy.ingress_from = serde_json::from_value(ingress_from).unwrap();
            let policy = super::super::lasting(&valid, &testing::installation())
                .policy
                .unwrap();
            policy.spec.unwrap().ingress.unwrap()
        };
        assert_eq!(ingress(None, json!([])).len(), 1);
        assert_eq!(
            ingress(Some(8888), json!([])).len(),
            2,
            "the running pod may have another port"
        );
        let rules = ingress(Some(9000), json!([]));
        assert_eq!(rules.len(), 2);
        assert_eq!(
            serde_json::to_value(&rules[1].ports).unwrap(),
            json!([{"protocol": "TCP", "port": 9000}])
        );
        let from = serde_json::to_value(&rules[1].from).unwrap();
        assert_eq!(from.as_array().unwrap().len(), 1);
        assert_eq!(
            from[0]["podSelector"]["matchLabels"][names::APP_COMPONENT_LABEL],
            "operator"
        );
        assert_eq!(ingress(Some(9000), json!([{"podSelector": {}}])).len(), 1);
    }

    #[test]
    fn a_manager_can_disable_the_network_policy() {
        let none = NetworkPolicySettings {
            enabled: false,
            ..NetworkPolicySettings::default()
        };
        let identity = super::super::identity(&testing::valid());
        assert_eq!(plan(&identity, &testing::installation(), &none), None);
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
