//! X-Forwarded-For as the proxy wrote it -> the client's address (pure).

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use http::header::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Maximum number of entries that are read: every proxy adds one, and a client any number.
const ENTRIES: usize = 16;

/// Addresses with a common prefix: `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    length: u32,
}

/// The text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a network such as 10.0.0.0/8 or 2001:db8::/32")]
pub struct NoNetwork;

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().map_err(|_| NoNetwork)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let (whole, before) = match address {
            IpAddr::V4(_) => (32, 96),
            IpAddr::V6(_) => (128, 0),
        };
        let length = length.unwrap_or(whole);
        if length > whole {
            return Err(NoNetwork);
        }
        let length = length + before;
        Ok(Self {
            bits: bits(address) & mask(length),
            length,
        })
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        bits(address) & mask(self.length) == self.bits
    }
}

/// IPv4 addresses in their IPv6 form, so that both compare alike.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn mask(length: u32) -> u128 {
    u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

/// The address of the client of a request. `None` when the proxy named no client.
///
/// Entries are read from the right, where the own proxy writes, and entries of `trusted` proxies before it are skipped. Anything
/// that the client itself wrote is further left.
pub(crate) fn client(headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let mut lines = headers.get_all(FORWARDED_FOR).iter();
    // There must be one header, or the order of the entries is not known.
    let (line, None) = (lines.next()?.to_str().ok()?, lines.next()) else {
        return None;
    };
    let mut nearest = None;
    for entry in line.rsplit(',').take(ENTRIES) {
        let Ok(address) = entry.trim().parse::<IpAddr>() else {
            break;
        };
        nearest = Some(address);
        if !trusted.iter().any(|network| network.contains(address)) {
            break;
        }
    }
    nearest.map(|address| address.to_canonical())
}

/// What identifies a client: its IPv4 address, or its IPv6 network of 64 bits, because one user has all of it.
pub(super) fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & mask(64)).into(),
        IpAddr::V4(_) => client,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str], trusted: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        client(&headers, &trusted).map(|address| network(address).to_string())
    }

    #[test]
    fn the_last_entry_that_no_trusted_proxy_made_is_the_client() {
        for (line, trusted, client) in [
            ("203.0.113.7", &[] as &[&str], Some("203.0.113.7")),
            ("1.1.1.1, 203.0.113.7", &[], Some("203.0.113.7")),
            (
                "1.1.1.1, 203.0.113.7,10.0.0.9",
                &["10.0.0.0/8"],
                Some("203.0.113.7"),
            ),
            (
                "203.0.113.7, 10.0.0.9, 10.1.0.9",
                &["10.0.0.9", "10.1.0.0/16"],
                Some("203.0.113.7"),
            ),
            ("10.0.0.8, 10.0.0.9", &["10.0.0.0/8"], Some("10.0.0.8")),
            ("not an address, 10.0.0.9", &["10.0.0.0/8"], Some("10.0.0.9")),
            ("2001:db8:1:2:3:4:5:6", &[], Some("2001:db8:1:2::")),
            ("::ffff:203.0.113.7", &[], Some("203.0.113.7")),
            (
                "203.0.113.7, ::ffff:10.0.0.9",
                &["10.0.0.0/8"],
                Some("203.0.113.7"),
            ),
            (
                "203.0.113.7, 2001:db8::1",
                &["2001:db8::/32"],
                Some("203.0.113.7"),
            ),
            ("203.0.113.7:4711", &[], None),
            ("", &[], None),
        ] {
            assert_eq!(of(&[line], trusted).as_deref(), client, "{line}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, "2001:db8:1:2:3:4:5:6".parse().unwrap());
        let whole = client(&headers, &[]).map(|address| address.to_string());
        assert_eq!(whole.as_deref(), Some("2001:db8:1:2:3:4:5:6"));
        assert_eq!(of(&[], &[]), None);
        assert_eq!(of(&["203.0.113.7", "203.0.113.8"], &[]), None);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "2001:db8::/129",
            "10.0.0.0/-1",
            "proxy",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NoNetwork), "{text}");
        }
        assert!(
            "0.0.0.0/0"
                .parse::<Network>()
                .unwrap()
                .contains("8.8.8.8".parse().unwrap())
        );
        assert!(
            "::/0"
                .parse::<Network>()
                .unwrap()
                .contains("8.8.8.8".parse().unwrap())
        );
        assert!(
            !"0.0.0.0/0"
                .parse::<Network>()
                .unwrap()
                .contains("2001:db8::1".parse().unwrap())
        );
    }
}
