//! Changed keys of metadata -> those that are not the requester's to write (pure).

use std::collections::{BTreeMap, BTreeSet};

use api::names::{self, RESERVED_PREFIX};
use rules::Violation;

use crate::changes::Changes;
use crate::kind::Kind;
use crate::review::Request;

/// Annotations of ours that people write.
fn settable(kind: Kind) -> &'static [&'static str] {
    match kind {
        // Who owns a workspace and who said so has rules of its own.
        Kind::Workspace => &[names::CREATED_BY, names::ASSIGNED_BY, names::RESTARTED_AT],
        Kind::Template => &[names::DEPRECATED, names::REPLACED_BY],
        Kind::Manager => &[names::IS_DEFAULT],
        Kind::Profile => &[],
        // So have who made a share, and for whom.
        Kind::Share => &[names::CREATED_BY, names::SHARED_FOR],
    }
}

/// Keys of ours that are added or changed by somebody else. Those already stored may stay, and may go.
pub(crate) fn violations(request: &Request, changes: &Changes) -> Vec<Violation> {
    let metadata = &request.object.metadata;
    let mut found = in_map(
        "annotations",
        &changes.annotations_set,
        metadata.annotations.as_ref(),
        settable(request.kind),
    );
    found.extend(in_map(
        "labels",
        &changes.labels_set,
        metadata.labels.as_ref(),
        &[],
    ));
    found
}

fn in_map(
    map: &str,
    set: &BTreeSet<String>,
    values: Option<&BTreeMap<String, String>>,
    settable: &[&str],
) -> Vec<Violation> {
    set.iter()
        .filter(|key| key.starts_with(RESERVED_PREFIX) && !settable.contains(&key.as_str()))
        .map(|key| {
            let value = values
                .and_then(|values| values.get(key))
                .cloned()
                .unwrap_or_default();
            let rule = format!("is reserved, as everything under {RESERVED_PREFIX}: leave it out");
            Violation::new(format!("metadata.{map}[{key}]"), value, rule)
        })
        .collect()
}
