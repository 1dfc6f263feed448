//! Stored and new objects -> objects after the patch (tests).

use api::names::{ASSIGNED_BY, ATTESTED_TEMPLATE, CLEANUP_FINALIZER, CREATED_BY, GROUP, LAST_UPDATED_BY};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::patch::{Values, answer};
use crate::records::share_binding::Binding;
use crate::review::tests::{COLLECTOR, accounts, create, update};
use crate::review::{Decision, Kind, Request};

/// `new` after the patch of the webhook's answer.
fn patched(old: Option<&Value>, new: &Value) -> Value {
    patched_seeing(None, old, new).0
}

/// The same with an existing template of that UID, and with the warnings. It omits the last user, which `last_updated_by.rs` tests.
fn patched_seeing(template_uid: Option<&str>, old: Option<&Value>, new: &Value) -> (Value, Vec<String>) {
    let (mut object, warnings) = patched_whole(template_uid, old, new);
    let annotations = object.pointer_mut("/metadata/annotations");
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.remove(LAST_UPDATED_BY);
    }
    (object, warnings)
}

fn patched_whole(template_uid: Option<&str>, old: Option<&Value>, new: &Value) -> (Value, Vec<String>) {
    let request = match old {
        None => create("alice", new),
        Some(old) => update("bob", old, new),
    };
    let values = Values {
        template_uid: template_uid.map(str::to_owned),
        ..Values::default()
    };
    let mut object = new.clone();
    match answer(&request, &values, &accounts()) {
        Decision::Patch { patch, warnings } => {
            json_patch::patch(&mut object, &patch).unwrap();
            (object, warnings)
        }
        _ => (object, Vec::new()),
    }
}

fn owned() -> Value {
    json!({"metadata": {"annotations": {CREATED_BY: "alice"}, "finalizers": [CLEANUP_FINALIZER]}, "spec": {}})
}

#[test]
fn the_last_user_is_recorded_independent_of_the_object() {
    let last = |object: &Value| object["metadata"]["annotations"][LAST_UPDATED_BY].clone();
    let (made, _) = patched_whole(None, None, &json!({"metadata": {}, "spec": {}}));
    assert_eq!(last(&made), "alice");
    let mut changed = made.clone();
    changed["spec"]["port"] = json!(9999);
    changed["metadata"]["annotations"][LAST_UPDATED_BY] = json!("carol");
    let (changed, warnings) = patched_whole(None, Some(&made), &changed);
    assert_eq!(last(&changed), "bob", "the request is bob's");
    assert!(
        warnings[0].contains(LAST_UPDATED_BY) && warnings[0].contains("\"bob\""),
        "{warnings:?}"
    );
    let (again, _) = patched_whole(None, Some(&made), &json!({"metadata": {}, "spec": {}}));
    assert_eq!(last(&again), "alice", "the manifest once more, in whole");
}

#[test]
fn an_owner_that_is_set_stays_and_an_empty_one_is_filled_in() {
    let named = |by: Option<&str>| {
        let mut annotations = json!({CREATED_BY: "carol"});
        if let Some(by) = by {
            annotations[ASSIGNED_BY] = json!(by);
        }
        json!({"metadata": {"annotations": annotations, "finalizers": [CLEANUP_FINALIZER]}})
    };
    assert_eq!(patched(None, &named(None)), named(Some("alice")));
    assert_eq!(patched(None, &named(Some("carol"))), named(Some("alice")));
    let empty = json!({"metadata": {"annotations": {CREATED_BY: ""}}, "spec": {}});
    assert_eq!(patched(None, &empty), owned());
}

#[test]
fn only_the_user_who_assigned_an_owner_is_recorded() {
    let with = |owner: Option<&str>, by: Option<&str>| {
        let pairs = [(CREATED_BY, owner), (ASSIGNED_BY, by)];
        let annotations: std::collections::BTreeMap<_, _> =
            pairs.into_iter().filter(|(_, value)| value.is_some()).collect();
        json!({"metadata": {"annotations": annotations, "finalizers": [CLEANUP_FINALIZER]}, "spec": {}})
    };
    for given in [with(Some("alice"), Some("x")), with(None, Some("x"))] {
        assert_eq!(patched(None, &given), with(Some("alice"), None));
    }
    let stored = with(Some("alice"), Some("hub"));
    for given in [
        with(Some("alice"), None),
        with(None, None),
        with(None, Some("x")),
        json!({"metadata": {}, "spec": {}}),
    ] {
        assert_eq!(patched(Some(&stored), &given), stored);
    }
    let over = patched(Some(&stored), &with(Some("carol"), Some("hub")));
    assert_eq!(over, with(Some("carol"), Some("bob")), "the request is bob's");
    let taken = patched(Some(&owned()), &with(Some("bob"), None));
    assert_eq!(taken, with(Some("bob"), Some("bob")));
}

fn annotated(uid: Option<&str>) -> Value {
    let mut object = owned();
    if let Some(uid) = uid {
        object["metadata"]["annotations"][ATTESTED_TEMPLATE] = json!(uid);
    }
    object
}

#[test]
fn a_replaced_annotation_gives_a_warning_and_a_stored_one_does_not() {
    let (object, warnings) = patched_seeing(Some("t-1"), None, &annotated(Some("x")));
    assert_eq!(object, annotated(Some("t-1")));
    assert_eq!(
        warnings,
        [format!(
            "metadata.annotations[{ATTESTED_TEMPLATE}]: \"x\" is ignored, because only the webhook writes it"
        )]
    );
    let stored = annotated(Some("t-1"));
    assert!(patched_seeing(None, Some(&stored), &stored).1.is_empty());
    assert_eq!(
        patched_seeing(None, Some(&stored), &annotated(Some("x"))).1.len(),
        1
    );
    let mut assigned = owned();
    assigned["metadata"]["annotations"][ASSIGNED_BY] = json!("hub");
    let warnings = patched_seeing(None, None, &assigned).1;
    assert!(
        warnings[0].contains(ASSIGNED_BY) && warnings[0].contains("\"hub\""),
        "{warnings:?}"
    );
    // The webhook adds the annotation to a new owner without one.
    let mut over = assigned.clone();
    over["metadata"]["annotations"][CREATED_BY] = json!("carol");
    let (object, warnings) = patched_seeing(None, Some(&assigned), &over);
    assert_eq!(object["metadata"]["annotations"][ASSIGNED_BY], "bob");
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_forged_annotation_does_not_show_whether_a_template_exists() {
    let there = patched_seeing(Some("t-1"), None, &annotated(Some("x"))).1;
    let not_there = patched_seeing(None, None, &annotated(Some("x"))).1;
    assert_eq!(there, not_there);
    assert_eq!(there.len(), 1);
}

#[test]
fn an_update_adds_nothing_that_was_not_there() {
    let bare = json!({"metadata": {"name": "demo"}, "spec": {}});
    assert_eq!(patched(Some(&bare), &bare), bare);
}

#[test]
fn the_finalizer_may_go_while_the_workspace_is_deleted() {
    let mut deleting = owned();
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut released = deleting.clone();
    released["metadata"]["finalizers"] = json!([]);
    assert_eq!(patched(Some(&deleting), &released), released);
}

#[test]
fn nothing_but_metadata_is_ever_patched() {
    let request = create("alice", &json!({"metadata": {}, "spec": {"displayName": "d"}}));
    let Decision::Patch { patch, .. } = answer(&request, &Values::default(), &accounts()) else {
        panic!("a patch is due")
    };
    assert!(patch.0.iter().all(|operation| {
        operation
            .path()
            .starts_with(json_patch::jsonptr::Pointer::from_static("/metadata"))
    }));
}

fn shared(old: Option<&Value>, new: &Value, uid: Option<&str>) -> Value {
    let request = match old {
        None => create("alice", new),
        Some(old) => update("bob", old, new),
    };
    shared_by(request, new, uid)
}

fn shared_by(request: Request, new: &Value, uid: Option<&str>) -> Value {
    let request = request.about(Kind::Share);
    let mut object = new.clone();
    let binding = Binding {
        uid: uid.map(str::to_owned),
        shared_for: uid.map(|_| "carol".to_owned()),
    };
    let values = Values {
        binding,
        ..Values::default()
    };
    if let Decision::Patch { patch, .. } = answer(&request, &values, &accounts()) {
        json_patch::patch(&mut object, &patch).unwrap();
    }
    object
}

#[test]
fn a_full_update_of_a_share_leaves_the_workspace_as_its_owner() {
    let new = json!({"metadata": {}, "spec": {"workspaceRef": "lab"}});
    let mut stored = shared(None, &new, Some("u-1"));
    let owner = |uid: &str, kind: &str| json!({"apiVersion": format!("{GROUP}/v1alpha1"), "kind": kind, "name": "n", "uid": uid});
    stored["metadata"]["ownerReferences"] = json!([owner("u-1", "Workspace")]);
    assert_eq!(shared(Some(&stored), &new, None), stored, "a replacement");
    assert_eq!(shared(Some(&stored), &stored, None), stored);
    let mut with_another = new.clone();
    with_another["metadata"]["ownerReferences"] = json!([owner("u-2", "ConfigMap")]);
    let updated = shared(Some(&stored), &with_another, None);
    let both = json!([owner("u-2", "ConfigMap"), owner("u-1", "Workspace")]);
    assert_eq!(updated["metadata"]["ownerReferences"], both);
    stored["metadata"]["ownerReferences"] = json!([owner("u-2", "ConfigMap")]);
    let left_out = shared(Some(&stored), &new, None);
    assert!(
        left_out["metadata"]["ownerReferences"].is_null(),
        "other owners are not restored"
    );
    stored["metadata"]["ownerReferences"] = json!([owner("u-3", "Workspace"), owner("u-1", "Workspace")]);
    let without = shared(Some(&stored), &new, None);
    let its_own = json!([owner("u-1", "Workspace")]);
    assert_eq!(without["metadata"]["ownerReferences"], its_own);
}

#[test]
fn the_garbage_collector_takes_the_owner_from_a_share_that_it_orphans() {
    let bound = json!({"metadata": {}, "spec": {"workspaceRef": "lab"}});
    let bound = shared(None, &bound, Some("u-1"));
    let mut stored = bound.clone();
    let lab =
        json!({"apiVersion": format!("{GROUP}/v1alpha1"), "kind": "Workspace", "name": "lab", "uid": "u-1"});
    stored["metadata"]["ownerReferences"] = json!([lab]);
    let orphaned = |user: &str| shared_by(update(user, &stored, &bound), &bound, None);
    assert_eq!(orphaned(COLLECTOR), bound);
    assert_eq!(orphaned("bob"), stored);
}

#[test]
fn kinds_without_owner_are_not_patched() {
    for kind in [Kind::Template, Kind::Manager, Kind::Profile] {
        let request = create("alice", &json!({"metadata": {}, "spec": {}})).about(kind);
        assert_eq!(
            answer(&request, &Values::default(), &accounts()),
            Decision::Allow { warnings: Vec::new() }
        );
    }
}

proptest! {
    #[test]
    fn twice_is_as_good_as_once(
        owner in prop::option::of(".{0,5}"),
        assigner in prop::option::of("[a-c]{0,1}"),
        seen in prop::option::of("[a-c]"),
        finalizers in prop::collection::vec("[a-z]{1,3}", 0..3),
    ) {
        let annotations = owner.map(|owner| match assigner {
            Some(noted) => json!({CREATED_BY: owner, ATTESTED_TEMPLATE: noted}),
            None => json!({CREATED_BY: owner}),
        });
        let new = json!({"metadata": {"annotations": annotations, "finalizers": finalizers}});
        let write = |old: Option<&Value>, new: &Value| patched_seeing(seen.as_deref(), old, new).0;
        let once = write(None, &new);
        prop_assert_eq!(&write(None, &once), &once);
        prop_assert_eq!(&write(Some(&once), &once), &once);
        // The complete manifest again.
        prop_assert_eq!(&write(Some(&once), &new), &once);
    }
}
