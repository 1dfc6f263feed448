//! Figures of a pod's disk, capacity of its claim -> how much of it is used (pure).
//!
//! The pod is the user's, so its figures are checked: nonsense tells nothing.

use serde::Deserialize;

/// What a door tells of the file system of its disk.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DiskReading {
    /// Size of the file system.
    pub size_bytes: u64,
    /// Used bytes.
    pub used_bytes: u64,
    /// Bytes that the user may still write.
    pub available_bytes: u64,
    /// Used inodes.
    pub used_inodes: u64,
    /// Inodes that the user may still use; 0 with `used_inodes`: the file system counts none.
    pub available_inodes: u64,
    /// Whether a block could not be written for lack of space or quota.
    pub full: bool,
}

/// How much of a disk is used. By default nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Percent of the bytes that users may write.
    pub bytes: Option<u8>,
    /// Percent of the inodes.
    pub inodes: Option<u8>,
    /// Whether a block could not be written for lack of space or quota.
    pub is_full: bool,
}

impl DiskReading {
    /// What the figures tell of a disk of this capacity, in bytes.
    pub(crate) fn judge(&self, capacity: u64) -> DiskUse {
        let written = self.used_bytes.checked_add(self.available_bytes);
        let is_nonsense = written.is_none_or(|written| written > self.size_bytes);
        let (size, capacity) = (u128::from(self.size_bytes), u128::from(capacity));
        // A file system on the claim's volume is a little smaller than it. One of half its size is another folder, such as a `HOME` that
        // the template sets.
        if is_nonsense || size * 2 < capacity {
            return DiskUse::default();
        }
        // A server's file system, which the claim has a folder of: its size is not the user's.
        let is_shared = size * 10 > capacity * 11;
        let percent = |used, available| percent(used, available).filter(|_| !is_shared);
        DiskUse {
            bytes: percent(self.used_bytes, self.available_bytes),
            inodes: percent(self.used_inodes, self.available_inodes),
            is_full: self.full,
        }
    }
}

/// Rounded down, so 100 is only what is wholly used.
fn percent(used: u64, available: u64) -> Option<u8> {
    let all = u128::from(used) + u128::from(available);
    let percent = (u128::from(used) * 100).checked_div(all)?;
    u8::try_from(percent).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1 << 30;

    /// A disk of a GiB, of which this is used.
    fn reading(used_bytes: u64) -> DiskReading {
        DiskReading {
            size_bytes: GIB,
            used_bytes,
            available_bytes: GIB - used_bytes,
            used_inodes: 10,
            available_inodes: 90,
            full: false,
        }
    }

    #[test]
    fn bytes_and_inodes_are_counted_of_what_the_user_may_use() {
        let half = reading(GIB / 2).judge(GIB);
        assert_eq!(
            (half.bytes, half.inodes, half.is_full),
            (Some(50), Some(10), false)
        );
        let reserved = DiskReading {
            available_bytes: 0,
            ..reading(GIB / 10 * 9)
        };
        assert_eq!(reserved.judge(GIB).bytes, Some(100), "what is left is root's");
        let without_inodes = DiskReading {
            used_inodes: 0,
            available_inodes: 0,
            ..reading(0)
        };
        assert_eq!(without_inodes.judge(GIB).inodes, None);
    }

    #[test]
    fn a_file_system_of_another_size_than_the_claim_shows_at_most_that_it_is_full() {
        let full = DiskReading {
            full: true,
            ..reading(GIB / 2)
        };
        let shown = |capacity| {
            let found = full.judge(capacity);
            (found.bytes, found.is_full)
        };
        // A tenth larger than the claim, and a little more.
        assert_eq!(shown(GIB / 11 * 10 + 1), (Some(50), true));
        assert_eq!(shown(GIB / 11 * 10 - 10), (None, true));
        // Half of the claim, and less.
        assert_eq!(shown(GIB * 2), (Some(50), true));
        assert_eq!(shown(GIB * 2 + 1), (None, false));
    }

    #[test]
    fn figures_that_cannot_be_tell_nothing() {
        for nonsense in [
            DiskReading {
                used_bytes: GIB + 1,
                ..reading(0)
            },
            DiskReading {
                used_bytes: u64::MAX,
                full: true,
                ..reading(0)
            },
            DiskReading {
                size_bytes: 0,
                full: true,
                ..reading(0)
            },
        ] {
            assert_eq!(nonsense.judge(GIB), DiskUse::default(), "{nonsense:?}");
        }
        assert_eq!(
            DiskReading {
                used_inodes: u64::MAX,
                available_inodes: u64::MAX,
                ..reading(0)
            }
            .judge(GIB)
            .inodes,
            Some(50)
        );
    }

    proptest! {
        /// A pod says what it likes.
        #[test]
        fn whatever_is_told_no_percentage_is_above_100(numbers: [u64; 5], full: bool, capacity: u64) {
            let [size_bytes, used_bytes, available_bytes, used_inodes, available_inodes] = numbers;
            let told = DiskReading { size_bytes, used_bytes, available_bytes, used_inodes, available_inodes, full };
            let found = told.judge(capacity);
            prop_assert!(found.bytes.into_iter().chain(found.inodes).all(|percent| percent <= 100));
        }
    }
}
