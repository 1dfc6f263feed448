//! Templates that were found without fault, so that they need not be judged again for every workspace that names them (pure: what is
//! remembered is told by content alone, so it never changes an answer).
//!
//! Judging compiles every pattern of a template; one template serves thousands of workspaces.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use api::WorkspaceTemplateSpec;
use sha2::{Digest as _, Sha256};

use crate::settings::Settings;

/// Most templates that are remembered; then all are forgotten.
const MAX: usize = 1024;

type Key = [u8; 32];

/// Contents without fault.
#[derive(Debug)]
pub(super) struct Clean(Mutex<BTreeSet<Key>>);

impl Clean {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeSet::new()))
    }

    /// What `judge` finds, which is not asked where it found nothing in the same content before.
    pub(super) fn or<T>(&self, key: Option<Key>, judge: impl FnOnce() -> Vec<T>) -> Vec<T> {
        let Some(key) = key else {
            return judge();
        };
        if self.known(|known| known.contains(&key)) {
            return Vec::new();
        }
        let found = judge();
        if found.is_empty() {
            self.known(|known| {
                if known.len() >= MAX {
                    known.clear();
                }
                known.insert(key)
            });
        }
        found
    }

    fn known<T>(&self, look: impl FnOnce(&mut BTreeSet<Key>) -> T) -> T {
        // A set is whole, whoever panicked with it in hand.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Everything that a judgement depends on.
pub(super) fn key(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Option<Key> {
    let spec = serde_json::to_vec(spec).ok()?;
    let mut digest = Digest(Sha256::new_with_prefix(&spec));
    // Their length keeps the two parts apart.
    write!(digest, "{}{settings:?}", spec.len()).ok()?;
    Some(digest.0.finalize().into())
}

struct Digest(Sha256);

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(more: Value) -> WorkspaceTemplateSpec {
        let mut spec = more;
        spec["displayName"] = json!("t");
        spec["defaultImage"] = json!("uv");
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn what_was_found_without_fault_is_not_judged_again_and_what_has_faults_is() {
        let clean = Clean::new();
        let mut judged = 0;
        for (key, faults) in [(1, 0), (1, 0), (2, 1), (2, 1), (2, 0), (2, 0)] {
            let found = clean.or(Some([key; 32]), || {
                judged += 1;
                vec![(); faults]
            });
            assert_eq!(found.len(), faults);
        }
        assert_eq!(judged, 4);
    }

    #[test]
    fn another_spec_or_another_setting_is_judged_anew() {
        let settings = |image: &str| Settings::parse(&format!("{{defaultImage: {image}}}")).unwrap();
        let base = key(&spec(json!({})), &settings("a:1"));
        assert_eq!(base, key(&spec(json!({})), &settings("a:1")));
        assert_ne!(base, key(&spec(json!({})), &settings("a:2")));
        assert_ne!(base, key(&spec(json!({"defaultPort": 9000})), &settings("a:1")));
    }

    #[test]
    fn the_memory_is_bounded() {
        let clean = Clean::new();
        for index in 0..=u32::try_from(MAX).unwrap() * 2 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&index.to_be_bytes());
            clean.or(Some(key), Vec::<()>::new);
        }
        assert!(clean.known(|known| known.len()) <= MAX);
    }
}
