//! Warnings -> the newest of each reason and object, up to a total (in memory, bounded).

use std::collections::{BTreeMap, HashMap};

use super::Warning;

/// Warnings that are kept. Beyond it, the namespace with most warnings loses its oldest. So many problems, or a user who writes Events
/// by hand, displace no warning of a namespace with few.
const CAPACITY: usize = 4096;

/// The kept warnings.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    by_namespace: HashMap<String, OfNamespace>,
    count: usize,
}

/// By UID and reason. UIDs are not secret, so a UID counts only within the namespace of its Event.
type OfNamespace = BTreeMap<(String, &'static str), Warning>;

impl Warnings {
    /// Warnings in this namespace about the object with this UID.
    pub(super) fn about<'a>(
        &'a self,
        namespace: &str,
        uid: &'a str,
    ) -> impl Iterator<Item = &'a Warning> + use<'a> {
        let all = self.by_namespace.get(namespace).into_iter();
        let from = move |all: &'a OfNamespace| all.range((uid.to_owned(), "")..);
        let found = all.flat_map(from).take_while(move |((of, _), _)| of == uid);
        found.map(|(_, warning)| warning)
    }

    /// Records a warning. Returns whether it is new.
    pub(super) fn note(&mut self, namespace: &str, warning: Warning) -> bool {
        let known = self.by_namespace.entry(namespace.to_owned()).or_default();
        let key = (warning.about.clone(), warning.reason);
        let earlier = known.get(&key);
        if earlier.is_some_and(|earlier| earlier.last > warning.last) {
            return false;
        }
        let is_new = earlier.is_none_or(|earlier| earlier.message != warning.message);
        if known.insert(key, warning).is_none() {
            self.count += 1;
        }
        if self.count > CAPACITY {
            self.remove_oldest();
        }
        is_new
    }

    /// Removes the warning of an Event that is gone. A later Event with the same reason stays.
    pub(super) fn expire(&mut self, namespace: &str, warning: &Warning) {
        let key = (warning.about.clone(), warning.reason);
        let kept = self.by_namespace.get(namespace).and_then(|all| all.get(&key));
        if kept.is_some_and(|kept| kept.last <= warning.last) {
            self.remove(namespace, &key);
        }
    }

    fn remove_oldest(&mut self) {
        let most = self.by_namespace.values().map(BTreeMap::len).max();
        let fullest = self
            .by_namespace
            .iter()
            .filter(|(_, all)| Some(all.len()) == most);
        let candidates = fullest.flat_map(|(namespace, all)| all.iter().map(move |one| (namespace, one)));
        let oldest = candidates.min_by_key(|(_, (_, warning))| &warning.last);
        if let Some((namespace, key)) = oldest.map(|(namespace, (key, _))| (namespace.clone(), key.clone())) {
            self.remove(&namespace, &key);
        }
    }

    fn remove(&mut self, namespace: &str, key: &(String, &'static str)) {
        let Some(all) = self.by_namespace.get_mut(namespace) else {
            return;
        };
        if all.remove(key).is_some() {
            self.count -= 1;
        }
        if all.is_empty() {
            self.by_namespace.remove(namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn warning(uid: &str, second: usize) -> Warning {
        Warning {
            about: uid.to_owned(),
            reason: "FailedMount",
            message: "m".to_owned(),
            last: serde_json::from_value(json!(format!(
                "2026-01-01T{:02}:{:02}:{:02}Z",
                second / 3600,
                second / 60 % 60,
                second % 60
            )))
            .unwrap(),
        }
    }

    fn count(warnings: &Warnings, namespace: &str) -> usize {
        warnings.by_namespace.get(namespace).map_or(0, BTreeMap::len)
    }

    #[test]
    fn a_namespace_with_many_warnings_loses_its_own_the_oldest_first() {
        let mut warnings = Warnings::default();
        for index in 0..10 {
            warnings.note("quiet", warning(&format!("q-{index}"), 0));
        }
        for index in 0..CAPACITY + 100 {
            warnings.note("loud", warning(&format!("l-{index}"), 60 + index));
        }
        assert_eq!(warnings.count, CAPACITY);
        assert_eq!(
            (count(&warnings, "quiet"), count(&warnings, "loud")),
            (10, CAPACITY - 10)
        );
        assert_eq!(warnings.about("loud", "l-109").count(), 0);
        assert_eq!(warnings.about("loud", "l-110").count(), 1);
        // A new namespace gets its warnings stored too, although all of them are older than the existing ones.
        warnings.note("late", warning("late", 1));
        assert_eq!(warnings.about("late", "late").count(), 1);
        assert_eq!(count(&warnings, "loud"), CAPACITY - 11);
    }

    #[test]
    fn among_namespaces_with_as_many_the_oldest_goes_first() {
        let mut warnings = Warnings::default();
        for index in 0..=CAPACITY {
            let second = if index == 7 { 0 } else { 1 + index };
            warnings.note(&format!("n-{index}"), warning("u", second));
        }
        assert_eq!(warnings.by_namespace.len(), CAPACITY);
        assert_eq!(count(&warnings, "n-7"), 0);
        assert_eq!(count(&warnings, &format!("n-{CAPACITY}")), 1);
    }

    #[test]
    fn a_uid_counts_only_in_the_namespace_of_the_event() {
        let mut warnings = Warnings::default();
        warnings.note("theirs", warning("u", 1));
        assert_eq!(warnings.about("ours", "u").count(), 0);
        assert_eq!(warnings.about("theirs", "u").count(), 1);
        warnings.note("ours", warning("u", 0));
        warnings.expire("theirs", &warning("u", 1));
        assert_eq!(warnings.about("ours", "u").count(), 1);
        assert_eq!(warnings.about("theirs", "u").count(), 0);
        assert_eq!(warnings.count, 1);
    }
}
