//! Labels -> those that the operator sets, and those that policies select (pure).

use api::names::{
    APP_COMPONENT_LABEL, APP_INSTANCE_LABEL, APP_MANAGED_BY_LABEL, APP_NAME_LABEL, APP_PART_OF_LABEL,
    RESERVED_PREFIX,
};

use super::{Judged, Stage};
use crate::violation::Violation;

/// Labels that the operator or Kubernetes sets.
const OURS: [&str; 6] = [
    APP_NAME_LABEL,
    APP_INSTANCE_LABEL,
    APP_COMPONENT_LABEL,
    APP_PART_OF_LABEL,
    APP_MANAGED_BY_LABEL,
    "pod-template-hash",
];

/// Checks a label's key, written by somebody else, at `field`.
pub(crate) fn key(field: impl Into<String>, key: &str) -> Option<Violation> {
    let is_ours = OURS.contains(&key) || key.starts_with(RESERVED_PREFIX);
    is_ours.then(|| Violation::new(field, key, "is set by the operator: choose another key"))
}

/// Checks the labels of the pod: in a template none is ours, and a finished pod is selected by its own network policies alone.
pub(super) fn of_pod(judged: &Judged<'_>) -> Vec<Violation> {
    let labels = judged.pod.metadata.labels.as_ref();
    let field = |key: &str| format!("{}metadata.labels[{key}]", judged.pod.prefix);
    match judged.stage {
        Stage::Template => {
            let keys = labels.into_iter().flat_map(|labels| labels.keys());
            keys.filter_map(|name| key(field(name), name)).collect()
        }
        Stage::Finished(grants) => {
            let found = |key: &str| labels.and_then(|labels| labels.get(key));
            let wrong = grants
                .policy_labels
                .iter()
                .filter(|(key, value)| found(key) != value.as_ref());
            wrong
                .map(|(key, value)| {
                    let rule = match value {
                        Some(value) => format!("must be {value:?}, by which network policies select the pod"),
                        None => "must not be set: network policies would select the pod".to_owned(),
                    };
                    Violation::new(field(key), found(key).cloned().unwrap_or_default(), rule)
                })
                .collect()
        }
    }
}
