//! The system's randomness -> numbers for jitter and run identifiers, not for secrets (IO).

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// 64 random bits.
pub(crate) fn bits() -> u64 {
    // Each `RandomState` has its own key. The first key of a thread comes from the operating system.
    RandomState::new().build_hasher().finish()
}

/// A random identifier of ten characters that is valid in labels.
pub(crate) fn identifier() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bits = bits();
    (0..10)
        .map(|place| char::from(ALPHABET[(bits >> (place * 5) & 31) as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_differ_and_are_legal_labels() {
        let many: std::collections::BTreeSet<_> = (0..1000).map(|_| identifier()).collect();
        assert_eq!(many.len(), 1000);
        assert!(
            many.iter()
                .all(|id| id.len() == 10 && id.bytes().all(|b| b.is_ascii_alphanumeric()))
        );
    }
}
