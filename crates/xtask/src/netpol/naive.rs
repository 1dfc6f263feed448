//! Tests: random policies -> results of the rendered rules, compared with a naive implementation.

use std::{collections::BTreeMap, net::Ipv4Addr};

use k8s_openapi::api::networking::v1::{NetworkPolicyPeer, NetworkPolicyPort};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::cases::{DB, FAR, NODE, OTHER, OUT, Packet, WEB, cluster, passes};
use super::{allow, cidr::Cidr, render, select::matches, snapshot::Snapshot};

/// The API's documentation implemented naively, packet by packet, without ranges or rules.
fn naive(snapshot: &Snapshot, packet: Packet) -> bool {
    packet.from == packet.to || (naive_end(snapshot, packet, true) && naive_end(snapshot, packet, false))
}

fn naive_end(snapshot: &Snapshot, packet: Packet, ingress: bool) -> bool {
    let (own, other) = if ingress {
        (packet.to, packet.from)
    } else {
        (packet.from, packet.to)
    };
    let Some(pod) = snapshot.pods.get(&own) else {
        return true;
    };
    let kind = if ingress { "Ingress" } else { "Egress" };
    let selecting: Vec<_> = snapshot
        .policies
        .iter()
        .filter(|(namespace, spec)| {
            *namespace == pod.namespace
                && matches(spec.pod_selector.as_ref().unwrap(), &pod.labels)
                && spec.policy_types.as_ref().unwrap().iter().any(|one| one == kind)
        })
        .collect();
    let rules = selecting.iter().flat_map(
        |(_, spec)| -> Vec<(Vec<NetworkPolicyPeer>, Vec<NetworkPolicyPort>)> {
            let plain = |peers: &Option<Vec<_>>, ports: &Option<Vec<_>>| {
                (
                    peers.clone().unwrap_or_default(),
                    ports.clone().unwrap_or_default(),
                )
            };
            if ingress {
                spec.ingress
                    .iter()
                    .flatten()
                    .map(|rule| plain(&rule.from, &rule.ports))
                    .collect()
            } else {
                spec.egress
                    .iter()
                    .flatten()
                    .map(|rule| plain(&rule.to, &rule.ports))
                    .collect()
            }
        },
    );
    let receiver = snapshot.pods.get(&packet.to);
    let allowed = |(peers, ports): (Vec<NetworkPolicyPeer>, Vec<NetworkPolicyPort>)| {
        let peer = peers.is_empty()
            || peers
                .iter()
                .any(|peer| naive_peer(snapshot, &pod.namespace, peer, other));
        let port = ports.is_empty()
            || ports.iter().any(|port| {
                let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
                let number = serde_json::to_value(&port.port).unwrap();
                let hit = match number {
                    Value::Null => true,
                    Value::String(name) => receiver.is_some_and(|receiver| {
                        receiver
                            .ports
                            .iter()
                            .any(|p| p.name == name && p.protocol == protocol && p.number == packet.port)
                    }),
                    number => {
                        let first = number.as_i64().unwrap();
                        (first..=port.end_port.map_or(first, i64::from)).contains(&i64::from(packet.port))
                    }
                };
                hit && protocol.to_lowercase() == packet.protocol
            });
        peer && port
    };
    selecting.is_empty() || rules.into_iter().any(allowed)
}

fn naive_peer(snapshot: &Snapshot, own: &str, peer: &NetworkPolicyPeer, other: Ipv4Addr) -> bool {
    if let Some(block) = &peer.ip_block {
        let within = |range: &String| range.parse::<Cidr>().unwrap().contains(Cidr::host(other));
        return within(&block.cidr) && !block.except.iter().flatten().any(within);
    }
    let Some(pod) = snapshot.pods.get(&other) else {
        return false;
    };
    let namespace = match &peer.namespace_selector {
        Some(selector) => matches(selector, &snapshot.namespaces[&pod.namespace]),
        None => pod.namespace == own,
    };
    namespace
        && peer
            .pod_selector
            .as_ref()
            .is_none_or(|selector| matches(selector, &pod.labels))
}

fn selector() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        Just(json!({"matchLabels": {"app": "web"}})),
        Just(json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]})),
    ]
}

fn peer() -> impl Strategy<Value = Value> {
    let space = prop_oneof![Just(json!({})), Just(json!({"matchLabels": {"team": "x"}}))];
    let block = prop_oneof![
        Just(json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.244.0.0/30", "93.0.0.0/8"]}})),
        Just(json!({"ipBlock": {"cidr": "10.244.0.0/24", "except": ["10.244.0.2/32"]}})),
    ];
    prop_oneof![
        selector().prop_map(|pods| json!({"podSelector": pods})),
        space
            .clone()
            .prop_map(|space| json!({"namespaceSelector": space})),
        (space, selector())
            .prop_map(|(space, pods)| json!({"namespaceSelector": space, "podSelector": pods})),
        block,
    ]
}

fn port() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"port": 8080})),
        Just(json!({"port": 8080, "endPort": 8082})),
        Just(json!({"protocol": "UDP"})),
        Just(json!({"port": "http"})),
        Just(json!({"port": "dns", "protocol": "UDP"})),
    ]
}

fn random_policy() -> impl Strategy<Value = Value> {
    let list = |key: &'static str| {
        let rule = (
            prop::collection::vec(peer(), 0..3),
            prop::collection::vec(port(), 0..3),
        );
        prop::collection::vec(
            rule.prop_map(move |(peers, ports)| json!({key: peers, "ports": ports})),
            0..3,
        )
    };
    let types = prop::sample::select(vec![vec!["Ingress"], vec!["Egress"], vec!["Ingress", "Egress"]]);
    (
        prop::sample::select(vec!["a", "b", "c"]),
        selector(),
        types,
        list("from"),
        list("to"),
    )
        .prop_map(|(namespace, pods, types, ingress, egress)| {
            let spec =
                json!({"podSelector": pods, "policyTypes": types, "ingress": ingress, "egress": egress});
            json!({"metadata": {"name": "p", "namespace": namespace}, "spec": spec})
        })
}

proptest! {
    #[test]
    fn rendered_rules_agree_with_a_naive_reading_of_the_api(policies in prop::collection::vec(random_policy(), 0..5)) {
        let snapshot = cluster(&policies);
        let chains = render::chains(&allow::isolated(&snapshot));
        let ends: BTreeMap<&str, Ipv4Addr> =
            [WEB, DB, OTHER, FAR, NODE, OUT].iter().map(|ip| (*ip, ip.parse().unwrap())).collect();
        for from in ends.values() {
            for to in ends.values() {
                for (protocol, port) in [("tcp", 8080), ("tcp", 8082), ("tcp", 9090), ("udp", 53), ("icmp", 0)] {
                    let packet = Packet { from: *from, to: *to, protocol, port };
                    prop_assert_eq!(passes(&chains, "NP-ROOT", packet), naive(&snapshot, packet), "{:?}", packet);
                }
            }
        }
    }
}
