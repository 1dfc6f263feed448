//! Facts -> isolated pods per direction, and their allowed peers and ports (pure).
//!
//! The meaning is that of the NetworkPolicy API: a pod is isolated in a direction as soon as one policy of that
//! direction selects it, and then exactly the union of what those policies allow is allowed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use k8s_openapi::{
    api::networking::v1::{IPBlock, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{
    cidr::Cidr,
    select::{Labels, matches},
    snapshot::{Endpoint, Snapshot},
};

/// The direction of a connection, seen from the pod that a policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    /// Connections to the pod.
    Ingress,
    /// Connections from the pod.
    Egress,
}

/// One peer, with the ports for it, that an isolated pod may exchange packets with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Allow {
    /// The other end: where the connection comes from (ingress) or goes to (egress).
    pub(super) peer: Cidr,
    /// `None`: every protocol and port.
    pub(super) ports: Option<Ports>,
}

/// Destination ports of one protocol, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ports {
    pub(super) protocol: Protocol,
    pub(super) first: u16,
    pub(super) last: u16,
}

/// Protocols whose ports the rules can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

/// The allowed traffic of each isolated pod. A pod that is absent in a direction is not isolated in it.
pub(super) type Isolated = BTreeMap<(Direction, Ipv4Addr), BTreeSet<Allow>>;

/// Decides for every pod. Unsupported parts of a policy (an IPv6 range, SCTP, an unknown operator) allow nothing.
pub(super) fn isolated(snapshot: &Snapshot) -> Isolated {
    let mut isolated = Isolated::new();
    for (namespace, spec) in &snapshot.policies {
        let selector = spec.pod_selector.clone().unwrap_or_default();
        let chosen = |pod: &Endpoint| pod.namespace == *namespace && matches(&selector, &pod.labels);
        for (ip, pod) in snapshot.pods.iter().filter(|(_, pod)| chosen(pod)) {
            for direction in directions(spec) {
                let allows = isolated.entry((direction, *ip)).or_default();
                allows.extend(rules(snapshot, namespace, spec, direction, pod));
            }
        }
    }
    isolated
}

/// The directions of a policy. Without policyTypes they follow from its rules, as the API server would fill in.
fn directions(spec: &NetworkPolicySpec) -> Vec<Direction> {
    let Some(types) = &spec.policy_types else {
        let egress = spec.egress.as_ref().is_some_and(|rules| !rules.is_empty());
        return [Direction::Ingress]
            .into_iter()
            .chain(egress.then_some(Direction::Egress))
            .collect();
    };
    let known = |name: &String| match name.as_str() {
        "Ingress" => Some(Direction::Ingress),
        "Egress" => Some(Direction::Egress),
        _ => None,
    };
    types.iter().filter_map(known).collect()
}

fn rules(
    snapshot: &Snapshot,
    namespace: &str,
    spec: &NetworkPolicySpec,
    direction: Direction,
    subject: &Endpoint,
) -> Vec<Allow> {
    let ingress = spec
        .ingress
        .iter()
        .flatten()
        .map(|rule| (&rule.from, &rule.ports));
    let egress = spec.egress.iter().flatten().map(|rule| (&rule.to, &rule.ports));
    let rules: Vec<_> = match direction {
        Direction::Ingress => ingress.collect(),
        Direction::Egress => egress.collect(),
    };
    let mut allows = Vec::new();
    for (peers, ports) in rules {
        let peers = reachable(snapshot, namespace, peers.as_deref().unwrap_or_default());
        let ports = ports.as_deref().unwrap_or_default();
        if ports.is_empty() {
            allows.extend(peers.iter().map(|peer| Allow {
                peer: *peer,
                ports: None,
            }));
        }
        for port in ports {
            match (&port.port, direction) {
                (Some(IntOrString::String(name)), Direction::Ingress) => {
                    let numbers = named(subject, name, port);
                    allows
                        .extend(numbers.flat_map(|ports| peers.iter().map(move |peer| allow(*peer, ports))));
                }
                // The destination pod defines the name, so its number may differ between destination pods.
                (Some(IntOrString::String(name)), Direction::Egress) => {
                    let within = |ip: Ipv4Addr| peers.iter().any(|peer| peer.contains(Cidr::host(ip)));
                    let there = snapshot.pods.iter().filter(|(ip, _)| within(**ip));
                    allows.extend(there.flat_map(|(ip, pod)| {
                        named(pod, name, port).map(|ports| allow(Cidr::host(*ip), ports))
                    }));
                }
                _ => {
                    let ports = numbered(port);
                    allows.extend(
                        ports
                            .iter()
                            .flat_map(|ports| peers.iter().map(|peer| allow(*peer, *ports))),
                    );
                }
            }
        }
    }
    allows
}

fn allow(peer: Cidr, ports: Ports) -> Allow {
    Allow {
        peer,
        ports: Some(ports),
    }
}

/// The addresses that a rule's `from` or `to` names; an empty list means every address.
fn reachable(snapshot: &Snapshot, namespace: &str, peers: &[NetworkPolicyPeer]) -> Vec<Cidr> {
    if peers.is_empty() {
        return vec![Cidr::ALL];
    }
    let mut ranges = Vec::new();
    for peer in peers {
        match (&peer.ip_block, &peer.pod_selector, &peer.namespace_selector) {
            (Some(block), None, None) => ranges.extend(block_ranges(block)),
            // The API server refuses the other two; neither can mean "every address".
            (Some(_), ..) | (None, None, None) => {}
            (None, pods, namespaces) => {
                let chosen = |pod: &Endpoint| {
                    in_namespace(snapshot, namespace, namespaces.as_ref(), &pod.namespace)
                        && pods
                            .as_ref()
                            .is_none_or(|selector| matches(selector, &pod.labels))
                };
                ranges.extend(
                    snapshot
                        .pods
                        .iter()
                        .filter(|(_, pod)| chosen(pod))
                        .map(|(ip, _)| Cidr::host(*ip)),
                );
            }
        }
    }
    ranges
}

fn in_namespace(snapshot: &Snapshot, own: &str, selector: Option<&LabelSelector>, namespace: &str) -> bool {
    let Some(selector) = selector else {
        return own == namespace;
    };
    match snapshot.namespaces.get(namespace) {
        Some(labels) => matches(selector, labels),
        // Its pods were seen before the namespace itself: the API server labels every namespace with its name.
        None => matches(
            selector,
            &Labels::from([("kubernetes.io/metadata.name".into(), namespace.into())]),
        ),
    }
}

fn block_ranges(block: &IPBlock) -> Vec<Cidr> {
    let Ok(range) = block.cidr.parse::<Cidr>() else {
        return Vec::new();
    };
    let holes: Result<Vec<Cidr>, _> = block.except.iter().flatten().map(|hole| hole.parse()).collect();
    // An unreadable exception could be any part of the range.
    holes.map(|holes| range.without(&holes)).unwrap_or_default()
}

/// The port numbers that the pod's containers give this name, for the rule's protocol.
fn named<'a>(
    pod: &'a Endpoint,
    name: &'a str,
    port: &'a NetworkPolicyPort,
) -> impl Iterator<Item = Ports> + 'a {
    let wanted = port.protocol.as_deref().unwrap_or("TCP");
    let found = pod
        .ports
        .iter()
        .filter(move |own| own.name == name && own.protocol == wanted);
    found.filter_map(move |own| {
        Some(Ports {
            protocol: protocol(port)?,
            first: own.number,
            last: own.number,
        })
    })
}

fn numbered(port: &NetworkPolicyPort) -> Option<Ports> {
    let protocol = protocol(port)?;
    let Some(IntOrString::Int(first)) = port.port else {
        return Some(Ports {
            protocol,
            first: 0,
            last: u16::MAX,
        });
    };
    let last = port.end_port.unwrap_or(first);
    let (first, last) = (u16::try_from(first).ok()?, u16::try_from(last).ok()?);
    (first <= last).then_some(Ports {
        protocol,
        first,
        last,
    })
}

fn protocol(port: &NetworkPolicyPort) -> Option<Protocol> {
    match port.protocol.as_deref().unwrap_or("TCP") {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        _ => None,
    }
}
