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
