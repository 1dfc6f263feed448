//! Layout -> the node's network namespace, link and routes (IO); conflicts with others (pure).

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::layout::{
    HOST_ADDRESS, LINK, LINK_RANGE, Layout, NODE_ADDRESS, POD_RANGE, PROXY_PORT, SERVICE_RANGE,
};
use crate::exec::Cmd;

/// An IPv4 range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    address: u32,
    bits: u32,
}

impl Range {
    /// `10.0.0.0/8`, or a single address.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
        let (address, bits) = (address.parse::<Ipv4Addr>().ok()?, bits.parse::<u32>().ok()?);
        (bits <= 32).then_some(Self {
            address: address.to_bits(),
            bits,
        })
    }

    fn contains(self, other: Self) -> bool {
        let shift = 32 - self.bits;
        self.bits <= other.bits && self.address.checked_shr(shift) == other.address.checked_shr(shift)
    }
}

/// Which of the node's ranges are in use, according to `ip -json route` and `ip -json address`. A wider route is no conflict: the node's
/// narrower routes win, and clusters commonly use exactly such wider ranges.
pub(crate) fn conflicts(routes: &Value, addresses: &Value) -> Vec<String> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let each = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for wanted in [LINK_RANGE, SERVICE_RANGE, POD_RANGE] {
        let Some(range) = Range::parse(wanted) else {
            continue;
        };
        let inside = |text: &str| Range::parse(text).is_some_and(|other| range.contains(other));
        for route in each(routes).iter().filter(|route| inside(&text(route, "dst"))) {
            found.push(format!(
                "{wanted} is routed already: {} via {}",
                text(route, "dst"),
                text(route, "dev")
            ));
        }
        for link in each(addresses) {
            let local = each(&link["addr_info"])
                .into_iter()
                .map(|info| text(&info, "local"));
            for address in local.filter(|local| inside(local)) {
                let device = text(&link, "ifname");
                found.push(format!(
                    "{wanted} holds an address of this machine: {address} on {device}"
                ));
            }
        }
    }
    found
}

/// The reasons why the node's addresses and ports cannot be used; empty when all are free.
pub(crate) fn taken() -> anyhow::Result<Vec<String>> {
    let ask = |what: &str| -> anyhow::Result<Value> {
        let text = Cmd::new("ip").args(["-json", "-4", what, "show"]).output()?;
        Ok(if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        })
    };
    let mut found = conflicts(&ask("route")?, &ask("address")?);
    found.extend(port_taken(PROXY_PORT));
    Ok(found)
}

/// Why a port on the host's loopback cannot be used, if it cannot.
pub(crate) fn port_taken(port: u16) -> Option<String> {
    let error = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).err()?;
    let sockets = Cmd::new("ss")
        .args(["-Hltnp", &format!("sport = :{port}")])
        .output()
        .unwrap_or_default();
    let holder = holder(&sockets)
        .map(|holder| format!("; held by {holder}"))
        .unwrap_or_default();
    Some(format!(
        "port {port} of 127.0.0.1 cannot be used: {error}{holder}"
    ))
}

/// The first process in a line of `ss -p`, which ends with `users:(("name",pid=1,fd=3))` (pure).
fn holder(sockets: &str) -> Option<String> {
    let users = sockets
        .lines()
        .find_map(|line| line.split_once("users:((\"")?.1.split_once(')'))?
        .0;
    let (name, rest) = users.split_once("\",pid=")?;
    Some(format!("{name} (pid {})", rest.split(',').next()?))
}

/// Creates namespace, link, addresses and routes. The machine's own settings and firewall rules do not change.
pub(crate) fn create(layout: &Layout) -> anyhow::Result<()> {
    let namespace = layout.network();
    File::create(&namespace).with_context(|| format!("cannot make {}", namespace.display()))?;
    // Not `ip netns add`: that also turns /run/netns into a mount, which nothing removes again.
    Cmd::new("unshare")
        .arg(format!("--net={}", namespace.display()))
        .arg("true")
        .run()?;
    if !Path::new("/proc/sys/net/bridge").exists() {
        Cmd::new("modprobe")
            .arg("br_netfilter")
            .run()
            .context("NetworkPolicy needs the kernel's br_netfilter")?;
    }
    let ip = |line: &str| Cmd::new("ip").args(line.split(' ')).run();
    let inside = |line: &str| enter(layout).args(line.split(' ')).run();
    ip(&format!(
        "link add {LINK} type veth peer name eth0 netns {}",
        namespace.display()
    ))?;
    ip(&format!("address add {HOST_ADDRESS}/24 dev {LINK}"))?;
    ip(&format!("link set {LINK} up"))?;
    inside(&format!("ip address add {NODE_ADDRESS}/24 dev eth0"))?;
    inside("ip link set eth0 up")?;
    inside("ip link set lo up")?;
    inside(&format!("ip route add default via {HOST_ADDRESS}"))?;
    for range in [SERVICE_RANGE, POD_RANGE] {
        ip(&format!("route add {range} via {NODE_ADDRESS}"))?;
    }
    // Traffic between pods crosses a bridge. The firewall, and with it the policy enforcer, sees it only with this setting.
    inside("sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1")
}

/// Removes the link with its routes, and the mount of the namespace. The namespace ends with its last process.
pub(crate) fn remove(layout: &Layout) -> anyhow::Result<()> {
    let link = Path::new("/sys/class/net").join(LINK);
    if link.exists() {
        let removed = Cmd::new("ip").args(["link", "delete", LINK]).run();
        // The kernel also removes it with a namespace whose last process has just ended.
        if link.exists() {
            removed?;
        }
    }
    let namespace = layout.network();
    if namespace.exists() {
        // Fails when no namespace is mounted there, which is fine.
        let _ = Cmd::new("umount").arg(&namespace).run();
        fs::remove_file(&namespace).with_context(|| format!("cannot remove {}", namespace.display()))?;
    }
    Ok(())
}

/// A command in the node's network. Append its program and arguments.
pub(crate) fn enter(layout: &Layout) -> Cmd {
    // Not `ip netns exec`: that mounts /sys again, without the control groups below it.
    Cmd::new("nsenter").arg(format!("--net={}", layout.network().display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn routes(destinations: &[&str]) -> Value {
        destinations
            .iter()
            .map(|dst| json!({"dst": dst, "dev": "tun0"}))
            .collect()
    }

    #[test]
    fn an_equal_or_narrower_route_is_a_conflict_that_names_both() {
        let found = conflicts(
            &routes(&["10.96.0.0/16", "10.244.7.0/24", "10.250.0.9"]),
            &Value::Null,
        );
        let expected = [
            "10.250.0.0/24 is routed already: 10.250.0.9 via tun0",
            "10.96.0.0/16 is routed already: 10.96.0.0/16 via tun0",
            "10.244.0.0/16 is routed already: 10.244.7.0/24 via tun0",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn wider_and_other_routes_are_no_conflict() {
        let free = routes(&[
            "default",
            "10.0.0.0/8",
            "10.97.0.0/16",
            "172.17.0.0/16",
            "0.0.0.0/0",
        ]);
        assert!(conflicts(&free, &Value::Null).is_empty());
    }

    #[test]
    fn an_address_of_the_machine_in_a_range_is_a_conflict() {
        let addresses = json!([{"ifname": "eth0", "addr_info": [{"local": "10.96.3.4", "prefixlen": 8}]}]);
        let found = conflicts(&Value::Null, &addresses);
        assert_eq!(
            found,
            ["10.96.0.0/16 holds an address of this machine: 10.96.3.4 on eth0"]
        );
    }

    #[test]
    fn the_holder_of_a_port_is_named_with_its_pid() {
        let line = r#"LISTEN 0 5 127.0.0.1:8443 0.0.0.0:* users:(("python3",pid=29384,fd=3))"#;
        assert_eq!(holder(line).as_deref(), Some("python3 (pid 29384)"));
        assert_eq!(holder("LISTEN 0 5 127.0.0.1:8443 0.0.0.0:*"), None);
    }

    #[test]
    fn a_range_contains_by_its_leading_bits() {
        let range = |text: &str| Range::parse(text).unwrap();
        assert!(range("0.0.0.0/0").contains(range("255.0.0.1")));
        assert!(range("10.96.0.0/16").contains(range("10.96.255.255")));
        assert!(!range("10.96.0.0/16").contains(range("10.0.0.0/8")));
        assert_eq!(Range::parse("10.0.0.0/33"), None);
        assert_eq!(Range::parse("default"), None);
    }
}
