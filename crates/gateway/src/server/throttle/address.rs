//! X-Forwarded-For as the proxy wrote it -> the client's address (pure).

use std::net::{IpAddr, Ipv6Addr};

use http::header::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Maximum number of entries that are read: every proxy adds one, and a client any number.
const ENTRIES: usize = 16;

/// The address of the client of a request. `None` when the proxy named no client.
///
/// Entries are read from the right, where the own proxy writes, and entries of `trusted` proxies before it are skipped. Anything
/// that the client itself wrote is further left.
pub(crate) fn client(headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
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
        let address = address.to_canonical();
        nearest = Some(address);
        if !trusted.iter().any(|network| network.contains(&address)) {
            break;
        }
    }
    nearest
}

/// What identifies a client: its IPv4 address, or its IPv6 network of 64 bits, because one user has all of it.
pub(super) fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        IpAddr::V4(_) => client,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_network(lines: &[&str], trusted: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|text| text.parse().unwrap()).collect();
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
                &["10.0.0.9/32", "10.1.0.0/16"],
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
            assert_eq!(client_network(&[line], trusted).as_deref(), client, "{line}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, "2001:db8:1:2:3:4:5:6".parse().unwrap());
        let whole = client(&headers, &[]).map(|address| address.to_string());
        assert_eq!(whole.as_deref(), Some("2001:db8:1:2:3:4:5:6"));
        assert_eq!(client_network(&[], &[]), None);
        assert_eq!(client_network(&["203.0.113.7", "203.0.113.8"], &[]), None);
    }
}
