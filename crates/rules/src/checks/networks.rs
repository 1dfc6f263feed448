//! Networks from an administrator -> exceptions from the public internet, by IP family (pure).

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The public part of IPv6. Private (`fc00::/7`), link-local and metadata addresses are outside of it.
pub const PUBLIC_IPV6: &str = "2000::/3";

/// Networks inside the public ranges, by IP family.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NotPublic {
    /// Inside `0.0.0.0/0`.
    pub ipv4: Vec<Ipv4Net>,
    /// Inside [`PUBLIC_IPV6`].
    pub ipv6: Vec<Ipv6Net>,
}

impl NotPublic {
    /// The networks that can be excluded. [`fault`] reports invalid networks and those that cover a whole family.
    pub fn from_networks(networks: &[String]) -> Self {
        let mut found = Self::default();
        for network in networks.iter().filter(|network| fault(network).is_none()) {
            match network.parse() {
                Ok(IpNet::V4(network)) => found.ipv4.push(network),
                // IPv6 addresses outside of this range are not public.
                Ok(IpNet::V6(network)) if public_ipv6().contains(&network) => found.ipv6.push(network),
                _ => {}
            }
        }
        found
    }
}

/// Why this network cannot be excluded from the public internet.
pub fn fault(network: &str) -> Option<&'static str> {
    match network.parse::<IpNet>() {
        Err(_) => Some("must be a network such as 10.1.0.0/16 or 2001:db8::/48"),
        Ok(network) if network.network() != network.addr() => {
            Some("has bits behind its prefix: write the first address of the network")
        }
        Ok(IpNet::V4(network)) if network.prefix_len() == 0 => Some(ALL),
        Ok(IpNet::V6(network)) if network.contains(&public_ipv6()) => Some(ALL),
        Ok(_) => None,
    }
}

const ALL: &str = "leaves nothing that is public: set egress to None";

fn public_ipv6() -> Ipv6Net {
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_networks_are_excluded_from_their_address_family() {
        let named = [
            "11.0.0.0/8",
            "10.0.0.0/8",
            "2600:1f00::/24",
            "fd00::/8",
            "nonsense",
            "::/0",
        ];
        let found = NotPublic::from_networks(&named.map(str::to_owned));
        let shown = |all: &[String]| all.join(" ");
        let ipv4: Vec<_> = found.ipv4.iter().map(ToString::to_string).collect();
        let ipv6: Vec<_> = found.ipv6.iter().map(ToString::to_string).collect();
        assert_eq!(
            (shown(&ipv4), shown(&ipv6)),
            ("11.0.0.0/8 10.0.0.0/8".to_owned(), "2600:1f00::/24".to_owned())
        );
        assert_eq!(public_ipv6().to_string(), PUBLIC_IPV6);
    }

    #[test]
    fn networks_that_cannot_be_excluded_are_violations() {
        for good in [
            "11.0.0.0/8",
            "1.2.3.4/32",
            "2600::/12",
            "fd00::/8",
            "2001:db8::1/128",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in [
            "",
            "11.0.0.0",
            "11.0.0.1/8",
            "0.0.0.0/0",
            "::/0",
            "2000::/3",
            "2000::1/64",
            "1.2.3.4/33",
            "a/8",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }
}
