//! Request -> the smallest patch that records owner, who named them, and finalizer, and what a share is bound to; never
//! anything else (pure).

use api::names::{ASSIGNED_BY, CLEANUP_FINALIZER, CREATED_BY, SHARED_FOR, VOUCHED_TEMPLATE};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::review::{Answer, Request};
use crate::shares::Binding;
use crate::{ownership, vouched};

/// What only the API server knows of what is written.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Of a share: its workspace.
    pub(crate) binding: Binding,
    /// Of a new workspace: the UID of the template that it names, if that exists.
    pub(crate) template_uid: Option<String>,
}

/// An annotation of ours and the value that it must have.
type Due = (&'static str, Option<String>);

/// At creation records the requesting user as owner, or as the creator of a share, unless one is named, and sets the
/// finalizer of a workspace and the UID of its template; at an update puts back what a full update left out. A share also gets
/// what its workspace says. The same object comes out when it is done twice.
pub(crate) fn mutate(request: &Request, known: &Known) -> Answer {
    let due = match request.kind {
        Kind::Workspace => of_workspace(request, known),
        Kind::Share => of_share(request, known),
        Kind::Template | Kind::Manager | Kind::Profile => Vec::new(),
    };
    let mut operations = settle(&request.object, &due);
    match request.kind {
        Kind::Workspace => operations.extend(finalizer(request)),
        Kind::Share => operations.extend(bound_to(request, known.binding.uid.clone())),
        Kind::Template | Kind::Manager | Kind::Profile => {}
    }
    if operations.is_empty() {
        return Answer::Allow { warnings: Vec::new() };
    }
    Answer::Patch {
        patch: Patch(operations),
        warnings: due.iter().filter_map(|due| put_right(request, due)).collect(),
    }
}

fn of_workspace(request: &Request, known: &Known) -> Vec<Due> {
    // An owner who is left out is put in, and is then the stored one or who asks: nobody has named one.
    let assigner = if read(&request.object, CREATED_BY).is_some() {
        ownership::assigner(request)
    } else {
        request.old.as_ref().and_then(ownership::noted)
    };
    let template = match &request.old {
        None => known.template_uid.as_deref(),
        Some(stored) => vouched::noted(stored),
    };
    vec![
        filled(request, CREATED_BY, Some(request.user_name())),
        (ASSIGNED_BY, assigner.map(str::to_owned)),
        (VOUCHED_TEMPLATE, template.map(str::to_owned)),
    ]
}

fn of_share(request: &Request, known: &Known) -> Vec<Due> {
    vec![
        filled(request, CREATED_BY, Some(request.user_name())),
        filled(request, SHARED_FOR, known.binding.shared_for.as_deref()),
    ]
}

/// What is written, unless it is empty.
fn read<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    raw(object, key).filter(|value| !value.is_empty())
}

fn raw<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    object.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// An annotation that stays as it is written; where it is missing it gets, at creation, `initial`, else what is stored. An object
/// that was stored without it does not get it by the way.
fn filled(request: &Request, key: &'static str, initial: Option<&str>) -> Due {
    let missing = || match &request.old {
        None => initial,
        Some(old) => read(old, key),
    };
    let value = read(&request.object, key)
        .or_else(missing)
        .or_else(|| raw(&request.object, key));
    (key, value.map(str::to_owned))
}

/// The changes that give annotations the values that are due.
fn settle(object: &DynamicObject, due: &[Due]) -> Vec<PatchOperation> {
    let changed = due
        .iter()
        .filter(|(key, value)| raw(object, key) != value.as_deref());
    if object.metadata.annotations.is_none() {
        let all: Map<String, Value> = changed
            .filter_map(|(key, value)| Some(((*key).to_owned(), json!(value.as_ref()?))))
            .collect();
        let whole = (!all.is_empty()).then(|| add(["metadata", "annotations"], Value::Object(all)));
        return whole.into_iter().collect();
    }
    let operation = |(key, value): &Due| {
        let path = ["metadata", "annotations", *key];
        match value {
            Some(value) => add(path, json!(value)),
            None => PatchOperation::Remove(RemoveOperation {
                path: PointerBuf::from_tokens(path),
            }),
        }
    };
    changed.map(operation).collect()
}

/// What is said where somebody wrote another value than is due: not where they kept what was stored. Nobody was asked here for a
/// right to the template: so which one is due, and whether any is, is not said.
fn put_right(request: &Request, (key, value): &Due) -> Option<String> {
    let given = read(&request.object, key)?;
    let stored = request.old.as_ref().and_then(|old| raw(old, key));
    if Some(given) == value.as_deref() || Some(given) == stored {
        return None;
    }
    let instead = match value {
        _ if *key == VOUCHED_TEMPLATE => String::new(),
        Some(value) => format!(": it is {value:?}"),
        None => ": it is left out".to_owned(),
    };
    Some(format!(
        "metadata.annotations[{key}]: {given:?} is not taken over, because only the webhook writes it{instead}"
    ))
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
        patched_seeing(None, old, new).0
    }

    /// The same where the template of that UID is there; and what is said.
    fn patched_seeing(template_uid: Option<&str>, old: Option<&Value>, new: &Value) -> (Value, Vec<String>) {
        let request = match old {
            None => create("alice", new),
            Some(old) => update("bob", old, new),
        };
        let known = Known {
            template_uid: template_uid.map(str::to_owned),
            ..Known::default()
        };
        let mut object = new.clone();
        match mutate(&request, &known) {
            Answer::Patch { patch, warnings } => {
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

    fn noting(uid: Option<&str>) -> Value {
        let mut object = owned();
        if let Some(uid) = uid {
            object["metadata"]["annotations"][VOUCHED_TEMPLATE] = json!(uid);
        }
        object
    }

    #[test]
    fn the_template_that_is_there_at_creation_is_noted_for_good() {
        let bare = json!({"metadata": {}, "spec": {}});
        let noted = noting(Some("t-1"));
        assert_eq!(
            patched_seeing(Some("t-1"), None, &bare),
            (noted.clone(), Vec::new())
        );
        assert_eq!(patched_seeing(None, None, &bare), (noting(None), Vec::new()));
        // Whatever is there later, and whatever an update says.
        for new in [&bare, &noting(None), &noting(Some("t-2")), &noted] {
            assert_eq!(patched_seeing(Some("t-2"), Some(&noted), new).0, noted);
        }
        assert_eq!(patched_seeing(Some("t-2"), Some(&owned()), &noted).0, owned());
    }

    #[test]
    fn a_note_that_is_not_taken_over_is_said_and_one_that_is_kept_is_not() {
        let (object, said) = patched_seeing(Some("t-1"), None, &noting(Some("x")));
        assert_eq!(object, noting(Some("t-1")));
        assert_eq!(
            said,
            [format!(
                "metadata.annotations[{VOUCHED_TEMPLATE}]: \"x\" is not taken over, because only the webhook writes it"
            )]
        );
        let stored = noting(Some("t-1"));
        assert!(patched_seeing(None, Some(&stored), &stored).1.is_empty());
        assert_eq!(patched_seeing(None, Some(&stored), &noting(Some("x"))).1.len(), 1);
        let mut assigned = owned();
        assigned["metadata"]["annotations"][ASSIGNED_BY] = json!("hub");
        let said = patched_seeing(None, None, &assigned).1;
        assert!(
            said[0].contains(ASSIGNED_BY) && said[0].contains("\"hub\""),
            "{said:?}"
        );
        // A hand-over leaves the note to us, as it should.
        let mut over = assigned.clone();
        over["metadata"]["annotations"][CREATED_BY] = json!("carol");
        let (object, said) = patched_seeing(None, Some(&assigned), &over);
        assert_eq!(object["metadata"]["annotations"][ASSIGNED_BY], "bob");
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn a_forged_note_tells_nobody_whether_a_template_is_there() {
        let there = patched_seeing(Some("t-1"), None, &noting(Some("x"))).1;
        let not_there = patched_seeing(None, None, &noting(Some("x"))).1;
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
        let Answer::Patch { patch, .. } = mutate(&request, &Known::default()) else {
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
        let known = Known {
            binding,
            ..Known::default()
        };
        if let Answer::Patch { patch, .. } = mutate(&request, &known) {
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
                mutate(&request, &Known::default()),
                Answer::Allow { warnings: Vec::new() }
            );
        }
    }

    proptest! {
        #[test]
        fn twice_is_as_good_as_once(
            owner in prop::option::of(".{0,5}"),
            noted in prop::option::of("[a-c]{0,1}"),
            seen in prop::option::of("[a-c]"),
            finalizers in prop::collection::vec("[a-z]{1,3}", 0..3),
        ) {
            let annotations = owner.map(|owner| match noted {
                Some(noted) => json!({CREATED_BY: owner, VOUCHED_TEMPLATE: noted}),
                None => json!({CREATED_BY: owner}),
            });
            let new = json!({"metadata": {"annotations": annotations, "finalizers": finalizers}});
            let write = |old: Option<&Value>, new: &Value| patched_seeing(seen.as_deref(), old, new).0;
            let once = write(None, &new);
            prop_assert_eq!(&write(None, &once), &once);
            prop_assert_eq!(&write(Some(&once), &once), &once);
            // The manifest once more, in whole.
            prop_assert_eq!(&write(Some(&once), &new), &once);
        }
    }
}
