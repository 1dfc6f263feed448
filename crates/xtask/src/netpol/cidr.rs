//! IPv4 ranges -> their differences (pure).

use std::{fmt, net::Ipv4Addr, str::FromStr};

/// An IPv4 range such as `10.0.0.0/8`; host bits are cleared when it is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cidr {
    base: u32,
    len: u8,
}

impl Cidr {
    /// Every IPv4 address.
    pub(super) const ALL: Self = Self { base: 0, len: 0 };

    /// The range that holds one address.
    pub(super) fn host(ip: Ipv4Addr) -> Self {
        Self {
            base: ip.to_bits(),
            len: 32,
        }
    }

    /// Whether every address of `other` lies in this range.
    pub(super) fn contains(self, other: Self) -> bool {
        other.len >= self.len && other.base & mask(self.len) == self.base
    }

    /// The addresses of this range that lie in none of `holes`, as the fewest ranges, ascending.
    ///
    /// Rules built from the result match only what they allow. So an exception never has to refuse anything, and another rule may still
    /// allow what this one leaves out.
    pub(super) fn without(self, holes: &[Self]) -> Vec<Self> {
        if holes.iter().any(|hole| hole.contains(self)) {
            return Vec::new();
        }
        let inside: Vec<Self> = holes
            .iter()
            .copied()
            .filter(|hole| self.contains(*hole))
            .collect();
        if inside.is_empty() {
            return vec![self];
        }
        // A hole strictly inside means that this range has two halves (len < 32).
        let len = self.len + 1;
        let upper = self.base | (1 << (32 - u32::from(len)));
        [self.base, upper]
            .into_iter()
            .flat_map(|base| Self { base, len }.without(&inside))
            .collect()
    }
}

fn mask(len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = String;

    /// Parses `address/length`; for IPv6 ranges and anything else, the error quotes the text.
    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is not an IPv4 range such as 10.0.0.0/8");
        let (address, len) = text.split_once('/').ok_or_else(error)?;
        let address: Ipv4Addr = address.parse().map_err(|_| error())?;
        let len: u8 = len.parse().ok().filter(|len| *len <= 32).ok_or_else(error)?;
        Ok(Self {
            base: address.to_bits() & mask(len),
            len,
        })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn shown(range: &str, holes: &[&str]) -> Vec<String> {
        let holes: Vec<Cidr> = holes.iter().map(|hole| cidr(hole)).collect();
        cidr(range)
            .without(&holes)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn parsing_clears_host_bits_and_refuses_everything_else() {
        assert_eq!(cidr("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(cidr("1.2.3.4/0"), Cidr::ALL);
        assert_eq!(cidr("1.2.3.4/32"), Cidr::host(Ipv4Addr::new(1, 2, 3, 4)));
        for bad in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "fd00::/8",
            "",
            "/",
            "10.0.0.0/-1",
        ] {
            assert!(bad.parse::<Cidr>().unwrap_err().contains("IPv4"), "{bad}");
        }
    }

    #[test]
    fn an_exception_leaves_the_ranges_around_it() {
        assert_eq!(
            shown("10.0.0.0/30", &["10.0.0.1/32"]),
            ["10.0.0.0/32", "10.0.0.2/31"]
        );
        assert_eq!(shown("10.0.0.0/8", &["10.128.0.0/9"]), ["10.0.0.0/9"]);
        assert_eq!(shown("10.0.0.0/8", &["11.0.0.0/8"]), ["10.0.0.0/8"]);
        assert!(shown("10.0.0.0/8", &["0.0.0.0/0"]).is_empty());
        assert!(shown("10.0.0.0/31", &["10.0.0.0/32", "10.0.0.1/32"]).is_empty());
    }

    proptest! {
        #[test]
        fn an_address_matches_if_it_is_in_the_range_and_in_no_exception(
            base in any::<u32>(), len in 0u8..=32, holes in prop::collection::vec((any::<u32>(), 0u8..=32), 0..4),
            near in any::<bool>(), offset in any::<u32>(),
        ) {
            let range = Cidr { base: base & mask(len), len };
            // Random holes rarely meet the range: move them into it half of the time.
            let holes: Vec<Cidr> = holes.into_iter().map(|(hole, hole_len)| {
                let hole = if near { range.base | (hole & !mask(len)) } else { hole };
                Cidr { base: hole & mask(hole_len), len: hole_len }
            }).collect();
            let probe = Cidr { base: range.base | (offset & !mask(len)), len: 32 };
            let expected = range.contains(probe) && !holes.iter().any(|hole| hole.contains(probe));
            let hits = range.without(&holes).iter().filter(|part| part.contains(probe)).count();
            prop_assert_eq!(hits, usize::from(expected));
        }
    }
}
