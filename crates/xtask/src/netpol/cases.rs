//! Tests: clusters and packets -> results of the rendered rules, from a table.

use std::net::Ipv4Addr;

use k8s_openapi::api::{
    core::v1::{Namespace, Pod},
    networking::v1::NetworkPolicy,
};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use serde_json::{Value, json};

use super::{allow, cidr::Cidr, render, snapshot::Snapshot};

#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) from: Ipv4Addr,
    pub(super) to: Ipv4Addr,
    pub(super) protocol: &'static str,
    pub(super) port: u16,
}

/// Follows a new connection's first packet through the rendered chains, as iptables would.
pub(super) fn passes(chains: &render::Chains, chain: &str, packet: Packet) -> bool {
    for rule in &chains[chain] {
        let mut words = rule.split(' ');
        let mut hit = true;
        while let Some(flag) = words.next() {
            let value = words.next().unwrap();
            let within = |ip| value.parse::<Cidr>().unwrap().contains(Cidr::host(ip));
            match flag {
                "-s" => hit &= within(packet.from),
                "-d" => hit &= within(packet.to),
                "-p" => hit &= value == packet.protocol,
                "-m" => assert!(["conntrack", "tcp", "udp"].contains(&value)),
                "--ctstate" => hit = false,
                "--dport" => {
                    let (first, last) = value.split_once(':').unwrap_or((value, value));
                    hit &= (first.parse().unwrap()..=last.parse().unwrap()).contains(&packet.port);
                }
                "-j" if !hit => {}
                "-j" if value == "RETURN" => return true,
                "-j" if value == "REJECT" => return false,
                "-j" => {
                    if !passes(chains, value, packet) {
                        return false;
                    }
                }
                other => panic!("{other} is no flag that we render"),
            }
        }
    }
    true
}

fn snapshot(namespaces: &[Value], pods: &[Value], policies: &[Value]) -> Snapshot {
    let parse = |objects: &[Value]| Value::Array(objects.to_vec());
    let namespaces: Vec<PartialObjectMeta<Namespace>> = serde_json::from_value(parse(namespaces)).unwrap();
    let pods: Vec<DeserializeGuard<Pod>> = serde_json::from_value(parse(pods)).unwrap();
    let policies: Vec<DeserializeGuard<NetworkPolicy>> = serde_json::from_value(parse(policies)).unwrap();
    Snapshot::new(&namespaces, &pods, &policies)
}

fn namespace(name: &str, team: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, "team": team}}})
}

fn pod(namespace: &str, app: &str, last: u8, http: u16) -> Value {
    json!({
        "metadata": {"name": format!("{app}-{last}"), "namespace": namespace, "labels": {"app": app}},
        "spec": {"containers": [{"name": "c", "ports": [
            {"name": "http", "containerPort": http}, {"name": "dns", "containerPort": 53, "protocol": "UDP"},
        ]}]},
        "status": {"podIP": format!("10.244.0.{last}"), "phase": "Running"},
    })
}

fn policy(spec: &Value) -> Value {
    json!({"metadata": {"name": "p", "namespace": "a"}, "spec": spec})
}

pub(super) const WEB: &str = "10.244.0.1"; // namespace a, app web, http = 8080
pub(super) const DB: &str = "10.244.0.2"; // namespace a, app db, http = 9090
pub(super) const OTHER: &str = "10.244.0.3"; // namespace b (team x), app web, http = 8081
pub(super) const FAR: &str = "10.244.0.4"; // namespace c (team y), app db, http = 8082
pub(super) const NODE: &str = "10.250.0.2";
pub(super) const OUT: &str = "93.184.216.34";

pub(super) fn cluster(policies: &[Value]) -> Snapshot {
    snapshot(
        &[namespace("a", "x"), namespace("b", "x"), namespace("c", "y")],
        &[
            pod("a", "web", 1, 8080),
            pod("a", "db", 2, 9090),
            pod("b", "web", 3, 8081),
            pod("c", "db", 4, 8082),
        ],
        policies,
    )
}

/// `from>to/protocol/port`, each with whether it is allowed.
type Expected = &'static [(&'static str, &'static str, &'static str, u16, bool)];

#[expect(clippy::too_many_lines, reason = "a table reads best in one piece")]
fn table() -> Vec<(&'static str, Vec<Value>, Expected)> {
    let web = json!({"matchLabels": {"app": "web"}});
    vec![
        (
            "no policy: everything passes",
            vec![],
            &[(OUT, WEB, "tcp", 1, true), (WEB, FAR, "udp", 9, true)],
        ),
        (
            "an empty ingress list is default deny for the selected pods only, and egress stays open",
            vec![json!({"podSelector": web, "policyTypes": ["Ingress"], "ingress": []})],
            &[
                (DB, WEB, "tcp", 80, false),
                (OUT, WEB, "tcp", 80, false),
                (WEB, OUT, "tcp", 80, true),
                (OUT, DB, "tcp", 80, true),
                (OUT, OTHER, "tcp", 80, true),
            ],
        ),
        (
            "an empty pod selector selects every pod of the namespace and no other",
            vec![json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})],
            &[
                (OUT, WEB, "tcp", 80, false),
                (OUT, DB, "tcp", 80, false),
                (WEB, OUT, "tcp", 80, false),
                (DB, WEB, "tcp", 80, false),
                (OUT, OTHER, "tcp", 80, true),
                (OTHER, FAR, "tcp", 80, true),
            ],
        ),
        (
            "an empty rule allows everything",
            vec![
                json!({"podSelector": web, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}),
            ],
            &[(OUT, WEB, "icmp", 0, true), (WEB, OUT, "udp", 53, true)],
        ),
        (
            "policies add up",
            vec![
                json!({"podSelector": {}, "policyTypes": ["Ingress"]}),
                json!({"podSelector": web, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "db"}}}]}]}),
                json!({"podSelector": web, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 443}]}]}),
            ],
            &[
                (DB, WEB, "tcp", 80, true),
                (OUT, WEB, "tcp", 443, true),
                (OUT, WEB, "tcp", 80, false),
                (WEB, DB, "tcp", 80, false),
            ],
        ),
        (
            "a pod selector alone means this namespace, a namespace selector alone all its pods, both together both",
            vec![json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [
                {"from": [{"podSelector": web}], "ports": [{"port": 1}]},
                {"from": [{"namespaceSelector": {"matchLabels": {"team": "y"}}}], "ports": [{"port": 2}]},
                {"from": [{"namespaceSelector": {"matchLabels": {"team": "x"}}, "podSelector": web}], "ports": [{"port": 3}]},
                {"from": [{"namespaceSelector": {}}], "ports": [{"port": 4}]},
            ]})],
            &[
                (WEB, DB, "tcp", 1, true),
                (OTHER, DB, "tcp", 1, false),
                (FAR, DB, "tcp", 2, true),
                (WEB, DB, "tcp", 2, false),
                (WEB, DB, "tcp", 3, true),
                (OTHER, DB, "tcp", 3, true),
                (FAR, DB, "tcp", 3, false),
                (OTHER, DB, "tcp", 4, true),
                (FAR, DB, "tcp", 4, true),
                (OUT, DB, "tcp", 4, false),
            ],
        ),
        (
            "namespaces can be chosen by the label that carries their name, and by expressions",
            vec![json!({"podSelector": web, "ingress": [
                {"from": [{"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["c"]}]}}]},
            ]})],
            &[(FAR, WEB, "tcp", 80, true), (OTHER, WEB, "tcp", 80, false)],
        ),
        (
            "an exception of a block does not match, and refuses nothing that another peer or rule allows",
            vec![json!({"podSelector": web, "policyTypes": ["Egress"], "egress": [
                {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "192.168.0.0/16"]}}, {"podSelector": {"matchLabels": {"app": "db"}}}]},
                {"to": [{"ipBlock": {"cidr": "10.250.0.0/24"}}], "ports": [{"port": 6443}]},
            ]})],
            &[
                (WEB, OUT, "tcp", 80, true),
                (WEB, "192.168.1.1", "tcp", 80, false),
                (WEB, DB, "udp", 5, true),
                (WEB, OTHER, "tcp", 80, false),
                (WEB, NODE, "tcp", 6443, true),
                (WEB, NODE, "tcp", 10250, false),
            ],
        ),
        (
            "ports: number, protocol alone, a range; TCP where no protocol is named",
            vec![
                json!({"podSelector": web, "ingress": [{"ports": [{"port": 80}, {"protocol": "UDP"}, {"port": 8000, "endPort": 8010}]}]}),
            ],
            &[
                (OUT, WEB, "tcp", 80, true),
                (OUT, WEB, "tcp", 81, false),
                (OUT, WEB, "udp", 81, true),
                (OUT, WEB, "tcp", 7999, false),
                (OUT, WEB, "tcp", 8000, true),
                (OUT, WEB, "tcp", 8010, true),
                (OUT, WEB, "tcp", 8011, false),
                (OUT, WEB, "icmp", 0, false),
            ],
        ),
        (
            "a named port in ingress is the selected pod's own number, in the rule's protocol",
            vec![
                json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": "http"}, {"port": "dns"}, {"port": "none"}]}]}),
            ],
            &[
                (OUT, WEB, "tcp", 8080, true),
                (OUT, WEB, "tcp", 9090, false),
                (OUT, DB, "tcp", 9090, true),
                (OUT, WEB, "udp", 53, false),
                (OUT, WEB, "tcp", 53, false),
            ],
        ),
        (
            "a named port in egress is the destination's number",
            vec![
                json!({"podSelector": web, "policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": {"matchLabels": {"team": "x"}}}], "ports": [{"port": "http"}, {"port": "dns", "protocol": "UDP"}]}]}),
            ],
            &[
                (WEB, DB, "tcp", 9090, true),
                (WEB, DB, "tcp", 8080, false),
                (WEB, OTHER, "tcp", 8081, true),
                (WEB, FAR, "tcp", 8082, false),
                (WEB, DB, "udp", 53, true),
                (WEB, OUT, "tcp", 9090, false),
            ],
        ),
        (
            "a named port in egress towards any address or a block means the pods there that have it",
            vec![
                json!({"podSelector": web, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "http"}]}, {"to": [{"ipBlock": {"cidr": "10.244.0.4/32"}}], "ports": [{"port": "dns", "protocol": "UDP"}]}]}),
            ],
            &[
                (WEB, FAR, "tcp", 8082, true),
                (WEB, OUT, "tcp", 8082, false),
                (WEB, FAR, "udp", 53, true),
                (WEB, DB, "udp", 53, false),
            ],
        ),
        (
            "both ends must agree",
            vec![
                json!({"podSelector": web, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 80}]}]}),
                json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 81}]}]}),
            ],
            &[
                (WEB, DB, "tcp", 80, false),
                (WEB, DB, "tcp", 81, false),
                (WEB, OUT, "tcp", 80, true),
                (OUT, DB, "tcp", 81, true),
            ],
        ),
        (
            "without policyTypes ingress is always meant, egress where it has rules",
            vec![
                json!({"podSelector": web}),
                json!({"podSelector": {"matchLabels": {"app": "db"}}, "egress": [{"ports": [{"port": 1}]}]}),
            ],
            &[
                (OUT, WEB, "tcp", 80, false),
                (WEB, OUT, "tcp", 80, true),
                (OUT, DB, "tcp", 80, false),
                (DB, OUT, "tcp", 1, true),
                (DB, OUT, "tcp", 2, false),
            ],
        ),
        (
            "rules of a direction that policyTypes leaves out do not count",
            vec![
                json!({"podSelector": web, "policyTypes": ["Egress"], "ingress": [{"ports": [{"port": 1}]}], "egress": [{}]}),
            ],
            &[(OUT, WEB, "tcp", 2, true)],
        ),
        (
            "a pod always reaches itself",
            vec![json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})],
            &[(WEB, WEB, "tcp", 8080, true), (DB, WEB, "tcp", 8080, false)],
        ),
        (
            "what cannot be understood allows nothing and spoils nothing beside it",
            vec![json!({"podSelector": web, "ingress": [
                {"from": [{"ipBlock": {"cidr": "fd00::/8"}}, {"ipBlock": {"cidr": "nonsense"}}, {}, {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["fd00::/8"]}}]},
                {"ports": [{"protocol": "SCTP", "port": 7}, {"port": 70000}, {"port": 9, "endPort": 8}]},
                {"from": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "Like", "values": ["db"]}]}}]},
                {"ports": [{"port": 443}]},
            ]})],
            &[
                (DB, WEB, "tcp", 7, false),
                (OUT, WEB, "tcp", 9, false),
                (OUT, WEB, "tcp", 443, true),
            ],
        ),
    ]
}

#[test]
fn rendered_rules_allow_what_the_api_documents() {
    for (name, specs, packets) in table() {
        let policies: Vec<Value> = specs.iter().map(policy).collect();
        let chains = render::chains(&allow::isolated(&cluster(&policies)));
        for &(from, to, protocol, port, expected) in packets {
            let packet = Packet {
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
                protocol,
                port,
            };
            assert_eq!(
                passes(&chains, "NP-ROOT", packet),
                expected,
                "{name}: {from} > {to} {protocol}/{port}"
            );
        }
    }
}

#[test]
fn pods_of_a_namespace_that_is_not_known_yet_are_found_by_its_name() {
    let by_name = json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "b"}}}]}]});
    let snapshot = snapshot(
        &[],
        &[pod("a", "web", 1, 80), pod("b", "web", 3, 80)],
        &[policy(&by_name)],
    );
    let chains = render::chains(&allow::isolated(&snapshot));
    let packet = Packet {
        from: OTHER.parse().unwrap(),
        to: WEB.parse().unwrap(),
        protocol: "tcp",
        port: 80,
    };
    assert!(passes(&chains, "NP-ROOT", packet));
}
