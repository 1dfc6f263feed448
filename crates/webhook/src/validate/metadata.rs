//! Changed metadata -> reserved keys, invalid values and excessive size (pure).

use std::collections::BTreeSet;

use api::names::{self, RESERVED_PREFIX};
use kube::api::DynamicObject;
use rules::Violation;

use crate::review::{Changes, Kind, Request};

/// Maximum size of labels, finalizers and owner references, as JSON, in bytes.
/// Kubernetes limits the size of each, not their number. Operator and gateway cache them. Kubernetes limits annotations itself.
const MAX_METADATA: usize = 32 * 1024;

/// Our annotations that users may write.
fn settable(kind: Kind) -> &'static [&'static str] {
    match kind {
        // Owner, assigner and attested template have their own rules.
        Kind::Workspace => &[
            names::CREATED_BY,
            names::ASSIGNED_BY,
            names::ATTESTED_TEMPLATE,
            names::RESTARTED_AT,
            names::KEEP_UNTIL,
        ],
        Kind::Template => &[names::DEPRECATED, names::REPLACED_BY],
        Kind::Manager => &[names::IS_DEFAULT],
        Kind::Profile => &[],
        // Creator and owner of a share have their own rules, too.
        Kind::Share => &[names::CREATED_BY, names::SHARED_FOR],
    }
}

/// Reserved keys that a user adds or changes. Stored ones may stay or be removed.
pub(super) fn reserved_keys(request: &Request, changes: &Changes) -> Vec<Violation> {
    let mut found = in_map("annotations", &changes.annotations_set, settable(request.kind));
    found.extend(in_map(
        "labels",
        &changes.labels_set,
        match request.kind {
            Kind::Template => &[
                names::DEFAULT_TEMPLATE_LABEL,
                names::PRE_PULL_LABEL,
                names::PLACEHOLDERS_LABEL,
            ],
            _ => &[],
        },
    ));
    found
}

/// Reports invalid new values of our annotations.
pub(super) fn unusable(request: &Request, changes: &Changes) -> Vec<Violation> {
    let annotations = request.object.metadata.annotations.as_ref();
    let written = |key: &str| {
        let value = annotations?.get(key)?;
        changes.annotations_set.contains(key).then_some(value.as_str())
    };
    let field = |key: &str| format!("metadata.annotations[{key}]");
    let mut found = Vec::new();
    if let Some(time) = written(names::RESTARTED_AT).filter(|_| request.kind == Kind::Workspace) {
        found.extend(rules::checks::restarted_at(&field(names::RESTARTED_AT), time));
    }
    // The user's own name is recorded exactly as the API server reports it.
    let owner = written(names::CREATED_BY).filter(|name| *name != request.user_name());
    found.extend(owner.and_then(|name| rules::checks::user_name(&field(names::CREATED_BY), name)));
    found
}

/// Reports too large metadata, unless the stored metadata is at least as large.
pub(super) fn too_large(request: &Request, changes: &Changes) -> Option<Violation> {
    let touched = changes.labels() || !changes.finalizers_added.is_empty() || changes.owner_references;
    let size = |object: &DynamicObject| {
        let meta = &object.metadata;
        let counted = (&meta.labels, &meta.finalizers, &meta.owner_references);
        serde_json::to_vec(&counted).map_or(usize::MAX, |json| json.len())
    };
    let now = size(&request.object);
    let before = request.old.as_ref().map_or(0, size);
    (touched && now > MAX_METADATA && now > before).then(|| {
        let rule = format!(
            "has {now} bytes of labels, finalizers and ownerReferences as JSON, more than the maximum {MAX_METADATA}: leave some out"
        );
        Violation::new("metadata", "", rule)
    })
}

fn in_map(map: &str, set: &BTreeSet<String>, settable: &[&str]) -> Vec<Violation> {
    set.iter()
        .filter(|key| key.starts_with(RESERVED_PREFIX) && !settable.contains(&key.as_str()))
        .map(|key| {
            let rule = format!("this key is reserved, as all keys under {RESERVED_PREFIX}: leave it out");
            Violation::new(format!("metadata.{map}[{key}]"), "", rule)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::review::tests::{create, update};

    fn refused(request: &Request) -> Vec<String> {
        let found = unusable(request, &Changes::from_request(request));
        found.into_iter().map(|it| it.to_string()).collect()
    }

    fn annotated(key: &str, value: &str) -> Value {
        json!({"metadata": {"annotations": {key: value}}, "spec": {}})
    }

    #[test]
    fn a_restart_is_requested_only_by_a_time() {
        let stored = annotated(names::RESTARTED_AT, "now");
        let message = refused(&create("alice", &stored));
        assert_eq!(
            message,
            [
                "metadata.annotations[workspaces.jupyter.org/restarted-at]: \"now\" must be a time by RFC 3339, such as \
              2026-01-31T12:00:00Z (date -u +%FT%TZ)"
            ]
        );
        assert_eq!(
            refused(&update("alice", &stored, &stored)),
            [""; 0],
            "what was stored stays"
        );
        let fine = annotated(names::RESTARTED_AT, "2026-01-31T12:00:00Z");
        assert_eq!(refused(&update("alice", &stored, &fine)), [""; 0]);
    }

    #[test]
    fn a_reserved_key_is_named() {
        let message = |key: &str| {
            let request = create("alice", &annotated(key, "true"));
            let found = reserved_keys(&request, &Changes::from_request(&request));
            found.into_iter().map(|it| it.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            message("workspaces.jupyter.org/started-by"),
            [
                "metadata.annotations[workspaces.jupyter.org/started-by]: this key is reserved, as all keys under \
              workspaces.jupyter.org/: leave it out"
            ]
        );
        assert_eq!(message(names::RESTARTED_AT), [""; 0]);
    }

    #[test]
    fn metadata_is_limited_and_may_shrink() {
        let labelled = |count: usize| {
            let labels: BTreeMap<_, _> = (0..count).map(|n| (format!("k{n:04}"), "v".repeat(63))).collect();
            json!({"metadata": {"labels": labels}, "spec": {}})
        };
        let message =
            |request: &Request| too_large(request, &Changes::from_request(request)).map(|it| it.to_string());
        assert_eq!(message(&create("alice", &labelled(400))), None);
        let refused = message(&create("alice", &labelled(500))).unwrap_or_default();
        assert!(refused.starts_with("metadata: has 37"), "{refused}");
        assert!(message(&update("alice", &labelled(1), &labelled(500))).is_some());
        assert!(message(&update("alice", &labelled(500), &labelled(501))).is_some());
        assert_eq!(
            message(&update("alice", &labelled(500), &labelled(499))),
            None,
            "it may become less"
        );
        let mut stored = labelled(500);
        stored["spec"] = json!({"port": 9999});
        assert_eq!(
            message(&update("alice", &labelled(500), &stored)),
            None,
            "what is stored may stay"
        );
        let held: Vec<_> = (0..600).map(|n| format!("example.com/{n:060}")).collect();
        assert!(message(&create("alice", &json!({"metadata": {"finalizers": held}}))).is_some());
    }

    #[test]
    fn an_owner_s_name_can_be_seen_unless_it_is_one_s_own() {
        let odd = annotated(names::CREATED_BY, "a\u{202e}b");
        assert_eq!(refused(&create("alice", &odd)).len(), 1);
        assert_eq!(refused(&create("a\u{202e}b", &odd)), [""; 0]);
        assert_eq!(
            refused(&create("hub", &annotated(names::CREATED_BY, "alice"))),
            [""; 0]
        );
    }
}
