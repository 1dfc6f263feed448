//! Versions of our own writes -> whether a watch event only repeats a known answer (in memory).

use std::{collections::VecDeque, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;

/// Writes that are kept. A write whose watch event came before its answer is never looked up, so old ones are dropped.
const CAPACITY: usize = 1024;

/// Our recent writes: children, and statuses of workspaces. A reconcile has the answer to each of its writes. So a watch event with the
/// same version triggers no other reconcile.
#[derive(Clone, Debug, Default)]
pub struct OwnWrites(Arc<Mutex<VecDeque<Version>>>);

/// UID and version of an object.
type Version = (String, String);

impl OwnWrites {
    /// Records the answer to a write.
    pub fn record(&self, answer: &ObjectMeta) {
        let Some(version) = version_of(answer) else { return };
        let mut written = self.0.lock();
        written.push_back(version);
        if written.len() > CAPACITY {
            written.pop_front();
        }
    }

    /// Whether a write of ours made this version.
    pub fn contains(&self, seen: &ObjectMeta) -> bool {
        version_of(seen).is_some_and(|version| self.0.lock().contains(&version))
    }
}

fn version_of(meta: &ObjectMeta) -> Option<Version> {
    Some((meta.uid.clone()?, meta.resource_version.clone()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(version: Option<&str>) -> ObjectMeta {
        ObjectMeta {
            uid: Some("u".to_owned()),
            resource_version: version.map(str::to_owned),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn only_our_versions_are_ours() {
        let writes = OwnWrites::default();
        writes.record(&meta(None));
        writes.record(&meta(Some("7")));
        assert!(writes.contains(&meta(Some("7"))));
        assert!(!writes.contains(&meta(Some("8"))) && !writes.contains(&meta(None)));
        let mut other = meta(Some("7"));
        other.uid = Some("another".to_owned());
        assert!(!writes.contains(&other));
    }
}
