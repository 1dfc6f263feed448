//! Isolated pods and the current iptables rules -> the input of one `iptables-restore -n` (pure).
//!
//! The names of all our chains start with `NP-`. `FORWARD` (traffic to and from pods, bridged traffic included) and `INPUT` (pods to the
//! node itself, such as to the API server) jump to `NP-ROOT`. `OUTPUT` does not: traffic from the node itself, such as the kubelet's
//! probes, reaches every pod, as the API requires.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{
    allow::{Allow, Direction, Isolated, Protocol},
    cidr::Cidr,
};

const ROOT: &str = "NP-ROOT";
const HOOKS: [&str; 2] = ["FORWARD", "INPUT"];

/// Our chains with their rules, each without the leading `-A <chain>`.
pub(super) type Chains = BTreeMap<String, Vec<String>>;

/// One chain per isolated pod and direction. RETURN means allowed in such a chain. The root chain then passes the packet to the chain of
/// its other end, so both ends must allow it.
pub(super) fn chains(isolated: &Isolated) -> Chains {
    // Replies, and connections that a changed policy no longer allows, continue: policies apply to new connections.
    let mut root = vec!["-m conntrack --ctstate ESTABLISHED,RELATED -j RETURN".to_owned()];
    let mut chains = Chains::new();
    for ((direction, ip), allows) in isolated {
        let (letter, own, other) = match direction {
            Direction::Ingress => ('I', "-d", "-s"),
            Direction::Egress => ('E', "-s", "-d"),
        };
        let name = format!("NP-{letter}-{ip}");
        let itself = Allow {
            peer: Cidr::host(*ip),
            ports: None,
        };
        let mut rules: Vec<String> = [&itself]
            .into_iter()
            .chain(allows)
            .map(|allow| format!("{}-j RETURN", condition(other, allow)))
            .collect();
        // Rejected, not dropped: a client gets the error at once, and tests need not wait for a timeout.
        rules.push("-j REJECT".to_owned());
        root.push(format!("{own} {ip}/32 -j {name}"));
        chains.insert(name, rules);
    }
    chains.insert(ROOT.to_owned(), root);
    chains
}

fn condition(peer_flag: &str, allow: &Allow) -> String {
    let peer = if allow.peer == Cidr::ALL {
        String::new()
    } else {
        format!("{peer_flag} {} ", allow.peer)
    };
    let Some(ports) = allow.ports else { return peer };
    let protocol = match ports.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    match (ports.first, ports.last) {
        (0, u16::MAX) => format!("{peer}-p {protocol} "),
        (first, last) if first == last => format!("{peer}-p {protocol} -m {protocol} --dport {first} "),
        (first, last) => format!("{peer}-p {protocol} -m {protocol} --dport {first}:{last} "),
    }
}

/// Our part of the output of `iptables-save -t filter`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Present {
    chains: BTreeSet<String>,
    /// For each hook: the jumps to our root among its rules, by position.
    jumps: BTreeMap<&'static str, Vec<usize>>,
}

impl Present {
    /// Parses the output of `iptables-save`.
    pub(super) fn parse(save: &str) -> Self {
        let mut present = Self::default();
        let mut position: BTreeMap<&str, usize> = BTreeMap::new();
        for line in save.lines() {
            if let Some(chain) = line.strip_prefix(':').and_then(|rest| rest.split(' ').next()) {
                if chain.starts_with("NP-") {
                    present.chains.insert(chain.to_owned());
                }
                continue;
            }
            let Some((chain, rule)) = line.strip_prefix("-A ").and_then(|rest| rest.split_once(' ')) else {
                continue;
            };
            let Some(hook) = HOOKS.into_iter().find(|hook| *hook == chain) else {
                continue;
            };
            let at = position.entry(hook).or_default();
            if rule.strip_prefix("-j ") == Some(ROOT) {
                present.jumps.entry(hook).or_default().push(*at);
            }
            *at += 1;
        }
        present
    }

    /// Whether each hook jumps to our root exactly once and first. A jump after kube-proxy's would be too late, because kube-proxy accepts
    /// what it has marked.
    pub(super) fn hooked(&self) -> bool {
        HOOKS
            .iter()
            .all(|hook| self.jumps.get(hook).is_some_and(|jumps| jumps == &[0]))
    }
}

/// The input that changes the current rules to `chains`, in one atomic step, without changing rules of other programs.
pub(super) fn restore(chains: &Chains, present: &Present) -> String {
    let mut text = String::from("*filter\n");
    let stale: Vec<&String> = present
        .chains
        .iter()
        .filter(|name| !chains.contains_key(*name))
        .collect();
    // Naming a chain creates or empties it.
    for name in chains.keys().chain(stale.iter().copied()) {
        let _ = writeln!(text, ":{name} - [0:0]");
    }
    for (name, rules) in chains {
        for rule in rules {
            let _ = writeln!(text, "-A {name} {rule}");
        }
    }
    for hook in HOOKS {
        let jumps = present.jumps.get(hook).map_or(&[][..], Vec::as_slice);
        if jumps != [0] {
            for _ in jumps {
                let _ = writeln!(text, "-D {hook} -j {ROOT}");
            }
            let _ = writeln!(text, "-I {hook} 1 -j {ROOT}");
        }
    }
    for name in stale {
        let _ = writeln!(text, "-X {name}");
    }
    text + "COMMIT\n"
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::netpol::allow::Ports;

    fn example() -> Chains {
        let web = Some(Ports {
            protocol: Protocol::Tcp,
            first: 80,
            last: 80,
        });
        let range = Some(Ports {
            protocol: Protocol::Udp,
            first: 53,
            last: 60,
        });
        let any = Some(Ports {
            protocol: Protocol::Tcp,
            first: 0,
            last: u16::MAX,
        });
        let peer = "10.244.0.9/32".parse().unwrap();
        let allows = [
            Allow { peer, ports: web },
            Allow {
                peer: Cidr::ALL,
                ports: range,
            },
            Allow {
                peer: Cidr::ALL,
                ports: any,
            },
            Allow {
                peer: Cidr::ALL,
                ports: None,
            },
        ];
        let ip = Ipv4Addr::new(10, 244, 0, 5);
        chains(&Isolated::from([
            ((Direction::Ingress, ip), BTreeSet::from(allows)),
            ((Direction::Egress, ip), BTreeSet::from([allows[0]])),
        ]))
    }

    const FRESH: &str = "*filter
:NP-E-10.244.0.5 - [0:0]
:NP-I-10.244.0.5 - [0:0]
:NP-ROOT - [0:0]
-A NP-E-10.244.0.5 -d 10.244.0.5/32 -j RETURN
-A NP-E-10.244.0.5 -d 10.244.0.9/32 -p tcp -m tcp --dport 80 -j RETURN
-A NP-E-10.244.0.5 -j REJECT
-A NP-I-10.244.0.5 -s 10.244.0.5/32 -j RETURN
-A NP-I-10.244.0.5 -j RETURN
-A NP-I-10.244.0.5 -p tcp -j RETURN
-A NP-I-10.244.0.5 -p udp -m udp --dport 53:60 -j RETURN
-A NP-I-10.244.0.5 -s 10.244.0.9/32 -p tcp -m tcp --dport 80 -j RETURN
-A NP-I-10.244.0.5 -j REJECT
-A NP-ROOT -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN
-A NP-ROOT -d 10.244.0.5/32 -j NP-I-10.244.0.5
-A NP-ROOT -s 10.244.0.5/32 -j NP-E-10.244.0.5
-I FORWARD 1 -j NP-ROOT
-I INPUT 1 -j NP-ROOT
COMMIT
";

    #[test]
    fn a_fresh_node_gets_chains_and_jumps() {
        assert_eq!(restore(&example(), &Present::default()), FRESH);
    }

    #[test]
    fn chains_of_pods_that_are_gone_are_emptied_and_deleted() {
        let present = Present::parse(
            ":INPUT ACCEPT [0:0]\n:NP-ROOT - [0:0]\n:NP-I-10.244.0.7 - [0:0]\n:KUBE-X - [0:0]\n\
             -A INPUT -j NP-ROOT\n-A FORWARD -j NP-ROOT\n",
        );
        let text = restore(&chains(&Isolated::new()), &present);
        let expected = "*filter\n:NP-ROOT - [0:0]\n:NP-I-10.244.0.7 - [0:0]\n\
                        -A NP-ROOT -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN\n-X NP-I-10.244.0.7\nCOMMIT\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_jump_that_is_missing_late_or_repeated_is_put_first() {
        let cases = [
            (
                "",
                false,
                vec!["-I FORWARD 1 -j NP-ROOT", "-I INPUT 1 -j NP-ROOT"],
            ),
            (
                "-A FORWARD -j NP-ROOT\n-A FORWARD -j KUBE-FORWARD\n-A INPUT -j NP-ROOT\n",
                true,
                vec![],
            ),
            (
                "-A FORWARD -j KUBE-FORWARD\n-A FORWARD -j NP-ROOT\n-A INPUT -j NP-ROOT\n",
                false,
                vec!["-D FORWARD -j NP-ROOT", "-I FORWARD 1 -j NP-ROOT"],
            ),
            (
                "-A FORWARD -j NP-ROOT\n-A INPUT -j NP-ROOT\n-A INPUT -j NP-ROOT\n",
                false,
                vec![
                    "-D INPUT -j NP-ROOT",
                    "-D INPUT -j NP-ROOT",
                    "-I INPUT 1 -j NP-ROOT",
                ],
            ),
        ];
        for (save, hooked, expected) in cases {
            let present = Present::parse(save);
            assert_eq!(present.hooked(), hooked, "{save}");
            let text = restore(&Chains::new(), &present);
            let changes: Vec<&str> = text
                .lines()
                .filter(|line| line.starts_with("-D") || line.starts_with("-I"))
                .collect();
            assert_eq!(changes, expected, "{save}");
        }
    }

    #[test]
    fn the_same_pods_render_the_same_chains() {
        assert_eq!(example(), example());
        assert!(
            example().keys().all(|name| name.len() <= 28),
            "iptables allows 28 characters"
        );
    }
}
