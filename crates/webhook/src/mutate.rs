//! Request -> the smallest patch that records owner, who named them, and finalizer, and what a share is bound to; never
//! anything else (pure).

use api::names::{ASSIGNED_BY, CLEANUP_FINALIZER, CREATED_BY, SHARED_FOR};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::kind::Kind;
use crate::ownership;
use crate::review::{Answer, Request};
use crate::shares::Binding;

/// At creation records the requesting user as owner, or as the creator of a share, unless one is named, and sets the
/// finalizer of a workspace; at an update puts back what a full update left out. A share also gets what its workspace
/// says, which only the API server knows. The same object comes out when it is done twice.
pub(crate) fn mutate(request: &Request, binding: &Binding) -> Answer {
    let operations: Vec<_> = match request.kind {
        Kind::Workspace => annotate(request, CREATED_BY, Some(request.user_name()), true)
            .into_iter()
            .chain(assigned(request))
            .chain(finalizer(request))
            .collect(),
        Kind::Share => share(request, binding),
        Kind::Template | Kind::Manager | Kind::Profile => Vec::new(),
    };
    if operations.is_empty() {
        return Answer::Allow { warnings: Vec::new() };
    }
    Answer::Patch(Patch(operations))
}

/// Sets an annotation that is missing: at creation to `initial`, else to what is stored. An object that was stored
/// without it does not get it by the way. `first`: no earlier operation has made room for annotations.
fn annotate(request: &Request, key: &str, initial: Option<&str>, first: bool) -> Option<PatchOperation> {
    let read = |object: &DynamicObject| {
        let value = object.metadata.annotations.as_ref()?.get(key)?;
        Some(value.clone()).filter(|value| !value.is_empty())
    };
    if read(&request.object).is_some() {
        return None;
    }
    let value = match &request.old {
        None => initial?.to_owned(),
        Some(old) => read(old)?,
    };
    Some(match request.object.metadata.annotations {
        None if first => add(["metadata", "annotations"], json!({ key: value })),
        _ => add(["metadata", "annotations", key], json!(value)),
    })
}

/// Notes who named an owner, other than themselves at creation, and keeps that note as it is.
fn assigned(request: &Request) -> Option<PatchOperation> {
    let annotations = request.object.metadata.annotations.as_ref();
    let present = annotations
        .and_then(|all| all.get(ASSIGNED_BY))
        .map(String::as_str);
    let written = annotations
        .and_then(|all| all.get(CREATED_BY))
        .is_some_and(|owner| !owner.is_empty());
    // An owner who is left out is put in, and is then the stored one or who asks: nobody has named one.
    let due = if written {
        ownership::assigner(request)
    } else {
        request.old.as_ref().and_then(ownership::noted)
    };
    if present == due {
        return None;
    }
    let path = ["metadata", "annotations", ASSIGNED_BY];
    Some(match due {
        Some(name) => add(path, json!(name)),
        None => PatchOperation::Remove(RemoveOperation {
            path: PointerBuf::from_tokens(path),
        }),
    })
}

fn share(request: &Request, binding: &Binding) -> Vec<PatchOperation> {
    let creator = annotate(request, CREATED_BY, Some(request.user_name()), true);
    let shared_for = binding.shared_for.as_deref();
    let shared_for = annotate(request, SHARED_FOR, shared_for, creator.is_none());
    creator
        .into_iter()
        .chain(shared_for)
        .chain(bound_to(request, binding.uid.clone()))
        .collect()
}

fn finalizer(request: &Request) -> Option<PatchOperation> {
    let holds = |finalizers: Option<&Vec<String>>| {
        finalizers.is_some_and(|list| list.iter().any(|f| f == CLEANUP_FINALIZER))
    };
    let present = request.object.metadata.finalizers.as_ref();
    let wanted = match &request.old {
        None => true,
        // While the object is being deleted, finalizers are meant to go.
        Some(old) => !request.is_deleting() && holds(old.metadata.finalizers.as_ref()),
    };
    if !wanted || holds(present) {
        return None;
    }
    Some(match present {
        None => add(["metadata", "finalizers"], json!([CLEANUP_FINALIZER])),
        Some(_) => add(["metadata", "finalizers", "-"], json!(CLEANUP_FINALIZER)),
    })
}

/// The UID of a share's workspace: of the stored one, or at creation the one that was looked up.
fn bound_to(request: &Request, workspace_uid: Option<String>) -> Option<PatchOperation> {
    let stored = request
        .old
        .as_ref()
        .and_then(|old| old.data["spec"]["workspaceUID"].as_str().map(str::to_owned));
    let uid = if request.is_create() {
        workspace_uid
    } else {
        stored
    };
    let spec = request.object.data["spec"].as_object()?;
    let is_unset = spec.get("workspaceUID").is_none_or(Value::is_null);
    uid.filter(|_| is_unset)
        .map(|uid| add(["spec", "workspaceUID"], json!(uid)))
}

fn add<const N: usize>(path: [&str; N], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation {
        path: PointerBuf::from_tokens(path),
        value,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::review::tests::{create, update};

    /// `new` after the patch that a request to write it gets.
    fn patched(old: Option<&Value>, new: &Value) -> Value {
        let request = match old {
            None => create("alice", new),
            Some(old) => update("bob", old, new),
        };
        let mut object = new.clone();
        if let Answer::Patch(patch) = mutate(&request, &Binding::default()) {
            json_patch::patch(&mut object, &patch).unwrap();
        }
        object
    }

    fn owned() -> Value {
        json!({"metadata": {"annotations": {CREATED_BY: "alice"}, "finalizers": [CLEANUP_FINALIZER]}, "spec": {}})
    }

    #[test]
    fn creation_records_who_asks_and_sets_the_finalizer() {
        assert_eq!(patched(None, &json!({"metadata": {}, "spec": {}})), owned());
        let given = json!({"metadata": {"annotations": {"a": "b"}, "finalizers": ["f"]}});
        assert_eq!(
            patched(None, &given),
            json!({"metadata": {
                "annotations": {"a": "b", CREATED_BY: "alice"}, "finalizers": ["f", CLEANUP_FINALIZER]
            }})
        );
    }

    #[test]
    fn an_owner_who_is_named_stays_and_an_empty_one_is_filled_in() {
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
    fn an_update_gets_back_what_it_left_out() {
        assert_eq!(
            patched(Some(&owned()), &json!({"metadata": {}, "spec": {}})),
            owned()
        );
    }

    #[test]
    fn who_named_an_owner_stays_noted_and_nobody_is_noted_who_did_not() {
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
        let Answer::Patch(patch) = mutate(&request, &Binding::default()) else {
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
        let request = request.about(Kind::Share);
        let mut object = new.clone();
        let binding = Binding {
            uid: uid.map(str::to_owned),
            shared_for: uid.map(|_| "carol".to_owned()),
        };
        if let Answer::Patch(patch) = mutate(&request, &binding) {
            json_patch::patch(&mut object, &patch).unwrap();
        }
        object
    }

    #[test]
    fn a_share_is_bound_once_and_knows_its_creator() {
        let new = json!({"metadata": {}, "spec": {"workspaceRef": "lab"}});
        let bound = shared(None, &new, Some("u-1"));
        assert_eq!(
            bound,
            json!({
                "metadata": {"annotations": {CREATED_BY: "alice", SHARED_FOR: "carol"}},
                "spec": {"workspaceRef": "lab", "workspaceUID": "u-1"},
            })
        );
        assert_eq!(shared(Some(&bound), &new, Some("u-2")), bound);
        let given = json!({
            "metadata": {"annotations": {CREATED_BY: "alice", SHARED_FOR: "carol"}}, "spec": {"workspaceUID": "mine"}
        });
        assert_eq!(shared(None, &given, Some("u-1")), given);
        let early = shared(None, &new, None);
        assert_eq!(early["spec"], new["spec"]);
        assert_eq!(shared(Some(&early), &new, Some("u-1")), early);
    }

    #[test]
    fn what_belongs_to_nobody_is_left_alone() {
        for kind in [Kind::Template, Kind::Manager, Kind::Profile] {
            let request = create("alice", &json!({"metadata": {}, "spec": {}})).about(kind);
            assert_eq!(
                mutate(&request, &Binding::default()),
                Answer::Allow { warnings: Vec::new() }
            );
        }
    }

    proptest! {
        #[test]
        fn twice_is_as_good_as_once(owner in prop::option::of(".{0,5}"), finalizers in prop::collection::vec("[a-z]{1,3}", 0..3)) {
            let annotations = owner.map(|owner| json!({CREATED_BY: owner}));
            let new = json!({"metadata": {"annotations": annotations, "finalizers": finalizers}});
            let once = patched(None, &new);
            prop_assert_eq!(&patched(None, &once), &once);
            prop_assert_eq!(&patched(Some(&once), &once), &once);
        }
    }
}
