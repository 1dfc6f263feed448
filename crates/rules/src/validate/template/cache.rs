//! Template spec and settings -> cached result that it has no violations (pure).
//!
//! Validation compiles every pattern of a template, and one template serves thousands of workspaces.
//! The cache key is the content alone, so the cache never changes a result.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use api::WorkspaceTemplateSpec;
use sha2::{Digest as _, Sha256};

use crate::settings::Settings;

/// Maximum number of cached specs. A full cache is cleared.
const MAX: usize = 1024;

/// Specs without violations.
#[derive(Debug)]
pub(super) struct ValidTemplates(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// The settings of that validation, which are those of the process.
    by: Option<Settings>,
    specs: BTreeSet<[u8; 32]>,
}

impl ValidTemplates {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Known {
            by: None,
            specs: BTreeSet::new(),
        }))
    }

    /// Returns the result of `validate`. Skips the call if the same spec had no violations with the same settings.
    pub(super) fn or<T>(
        &self,
        spec: &WorkspaceTemplateSpec,
        settings: &Settings,
        validate: impl FnOnce() -> Vec<T>,
    ) -> Vec<T> {
        let Ok(spec) = serde_json::to_vec(spec) else {
            return validate();
        };
        let spec = Sha256::digest(spec).into();
        if self.known(|known| known.by.as_ref() == Some(settings) && known.specs.contains(&spec)) {
            return Vec::new();
        }
        let found = validate();
        if found.is_empty() {
            self.known(|known| known.add(spec, settings));
        }
        found
    }

    fn known<T>(&self, read: impl FnOnce(&mut Known) -> T) -> T {
        // The data is complete, even if a thread panicked while it held the lock.
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn add(&mut self, spec: [u8; 32], settings: &Settings) {
        let is_other = self.by.as_ref() != Some(settings);
        if is_other || self.specs.len() >= MAX {
            self.specs.clear();
        }
        if is_other {
            self.by = Some(settings.clone());
        }
        self.specs.insert(spec);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(port: u32) -> WorkspaceTemplateSpec {
        let spec = json!({"displayName": "t", "defaultImage": "uv", "defaultPort": port});
        serde_json::from_value(spec).unwrap()
    }

    fn settings(image: &str) -> Settings {
        Settings::parse(&format!("{{defaultImage: {image}}}")).unwrap()
    }

    #[test]
    fn only_templates_without_violations_are_cached() {
        let cache = ValidTemplates::new();
        let mut validated = 0;
        for (port, faults) in [(1, 0), (1, 0), (2, 1), (2, 1), (2, 0), (2, 0)] {
            let found = cache.or(&spec(port), &settings("a:1"), || {
                validated += 1;
                vec![(); faults]
            });
            assert_eq!(found.len(), faults);
        }
        assert_eq!(validated, 4);
    }
}
