//! Versions of our own writes -> whether a watch event only repeats a known answer (in memory).

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Writes that are kept. A write whose watch event came before its answer is never looked up, so old ones are dropped.
const MOST: usize = 1024;

/// Our recent writes: children, and statuses of workspaces. A reconcile has the answer to each of its writes. So a watch event with the
/// same version triggers no other reconcile.
#[derive(Clone, Debug, Default)]
pub struct Echoes {
    written: Arc<Mutex<Written>>,
}

#[derive(Debug, Default)]
struct Written {
    states: HashSet<Arc<str>>,
    oldest_first: VecDeque<Arc<str>>,
}

impl Echoes {
    /// Records the answer to a write.
    pub fn expect(&self, answer: &ObjectMeta) {
        let Some(state) = state_of(answer) else { return };
        let mut written = self.lock();
        if written.states.insert(state.clone()) {
            written.oldest_first.push_back(state);
        }
        if written.oldest_first.len() > MOST
            && let Some(oldest) = written.oldest_first.pop_front()
        {
            written.states.remove(&oldest);
        }
    }

    /// Whether this version was made by a write of ours.
    pub fn is_one(&self, told: &ObjectMeta) -> bool {
        state_of(told).is_some_and(|state| self.lock().states.contains(&state))
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One version of one object.
fn state_of(meta: &ObjectMeta) -> Option<Arc<str>> {
    let (uid, version) = (meta.uid.as_deref()?, meta.resource_version.as_deref()?);
    Some(format!("{uid} {version}").into())
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
    fn what_we_wrote_is_known_again_and_nothing_else() {
        let echoes = Echoes::default();
        echoes.expect(&meta(None));
        echoes.expect(&meta(Some("7")));
        assert!(echoes.is_one(&meta(Some("7"))));
        assert!(!echoes.is_one(&meta(Some("8"))) && !echoes.is_one(&meta(None)));
        let mut other = meta(Some("7"));
        other.uid = Some("another".to_owned());
        assert!(!echoes.is_one(&other));
    }

    #[test]
    fn the_oldest_writes_are_forgotten() {
        let echoes = Echoes::default();
        for version in 0..=MOST {
            echoes.expect(&meta(Some(&version.to_string())));
        }
        assert!(!echoes.is_one(&meta(Some("0"))));
        assert!(echoes.is_one(&meta(Some("1"))));
        let written = echoes.lock();
        assert_eq!((written.states.len(), written.oldest_first.len()), (MOST, MOST));
    }
}
