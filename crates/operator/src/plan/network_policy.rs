//! Whose pod -> the wall around it (pure): in come proxy and gateway, out go DNS and the public internet.

use std::collections::BTreeMap;

use api::names;
use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{Site, deployment::COMPONENT};
use crate::world::{Identity, PORT_NAME};

/// The components that may call a workspace's pod.
const CALLERS: [&str; 2] = ["proxy", "gateway"];
/// Label that every namespace carries by itself.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// Where the cluster's DNS lives.
const DNS_NAMESPACE: &str = "kube-system";

/// IPv4 that is not the public internet (IANA special-purpose registry), and one public address at which a cloud
/// answers its machines' questions about themselves.
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
/// The public part of IPv6. Private (`fc00::/7`), link-local and metadata addresses lie outside.
const PUBLIC_IPV6: &str = "2000::/3";
/// IPv6 ranges inside the public part that lead to IPv4 addresses, private ones included.
const IPV4_IN_IPV6: [&str; 2] = ["2001::/32", "2002::/16"];

pub(super) fn plan(identity: &Identity, site: &Site) -> NetworkPolicy {
    NetworkPolicy {
        metadata: super::meta(identity, COMPONENT),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels(rules::names::selector(&identity.name))),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: Some(CALLERS.iter().map(|component| caller(site, component)).collect()),
                // By name, like the Service: it follows the running pod.
                ports: Some(vec![port("TCP", IntOrString::String(PORT_NAME.to_owned()))]),
            }]),
            egress: Some(vec![dns(), public_internet()]),
        }),
    }
}

/// One element with both selectors: pods of that component, and only in the system namespace.
fn caller(site: &Site, component: &str) -> NetworkPolicyPeer {
    let pod = [
        (names::APP_PART_OF_LABEL, names::PRODUCT),
        (names::APP_INSTANCE_LABEL, &site.release),
        (names::APP_COMPONENT_LABEL, component),
    ];
    NetworkPolicyPeer {
        namespace_selector: Some(namespace(&site.system_namespace)),
        pod_selector: Some(labels(
            pod.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        )),
        ip_block: None,
    }
}

fn dns() -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(namespace(DNS_NAMESPACE)),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(vec![
            port("UDP", IntOrString::Int(53)),
            port("TCP", IntOrString::Int(53)),
        ]),
    }
}

fn public_internet() -> NetworkPolicyEgressRule {
    let block = |cidr: &str, except: &[&str]| NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_owned(),
            except: Some(except.iter().map(ToString::to_string).collect()),
        }),
        ..NetworkPolicyPeer::default()
    };
    NetworkPolicyEgressRule {
        to: Some(vec![
            block("0.0.0.0/0", &NOT_PUBLIC),
            block(PUBLIC_IPV6, &IPV4_IN_IPV6),
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
    use super::*;
    use crate::fixtures;

    fn spec() -> NetworkPolicySpec {
        plan(&super::super::identity(&fixtures::valid()), &fixtures::site())
            .spec
            .unwrap()
    }

    #[test]
    fn only_proxy_and_gateway_of_this_release_come_in() {
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
    fn private_and_metadata_addresses_are_left_out() {
        let egress = spec().egress.unwrap();
        let block = egress[1].to.clone().unwrap()[0].ip_block.clone().unwrap();
        let inside = |address: [u8; 4]| {
            let address = u32::from_be_bytes(address);
            block.except.as_ref().unwrap().iter().any(|cidr| {
                let (net, bits) = cidr.split_once('/').unwrap();
                let net: std::net::Ipv4Addr = net.parse().unwrap();
                let shift = 32 - bits.parse::<u32>().unwrap();
                address.checked_shr(shift) == net.to_bits().checked_shr(shift)
            })
        };
        for private in [
            [10, 96, 0, 1],
            [172, 31, 0, 1],
            [192, 168, 1, 1],
            [169, 254, 169, 254],
            [100, 100, 100, 200],
        ] {
            assert!(inside(private), "{private:?}");
        }
        for public in [[1, 1, 1, 1], [172, 32, 0, 1], [151, 101, 0, 223]] {
            assert!(!inside(public), "{public:?}");
        }
    }

    #[test]
    fn every_exception_lies_inside_its_block_and_names_its_own_network() {
        for cidr in NOT_PUBLIC {
            let (net, bits) = cidr.split_once('/').unwrap();
            let net: std::net::Ipv4Addr = net.parse().unwrap();
            let host_bits = 32 - bits.parse::<u32>().unwrap();
            assert_eq!(net.to_bits() & (1_u32 << host_bits).wrapping_sub(1), 0, "{cidr}");
        }
    }
}
