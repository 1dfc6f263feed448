//! A stored workspace and a wanted one -> patch, command, differences (pure).

use std::collections::BTreeMap;

use api::Workspace;
use json_patch::{Patch, PatchOperation, TestOperation, jsonptr::PointerBuf};
use rules::form::{Form, Values, filled, values};
use rules::manifest;
use serde_json::{Map, Value, json};

use crate::index::hash;
use crate::views::Difference;

/// What users write of a workspace: spec, labels and annotations.
fn parts(workspace: &Workspace) -> Value {
    let object = serde_json::to_value(workspace).unwrap_or_default();
    let map = |name: &str| match &object["metadata"][name] {
        Value::Null => json!({}),
        map => map.clone(),
    };
    json!({"metadata": {"labels": map("labels"), "annotations": map("annotations")}, "spec": object["spec"]})
}

/// The version that a form or text shows: a hash of what a user may change there, so that neither a status, a start or stop, nor what
/// processes write is another version. The hasher's keys are fixed: replicas agree. Another build may hash otherwise, which costs who has
/// a form open one more page of a newer version.
pub(super) fn version(workspace: &Workspace) -> String {
    let mut shown = parts(workspace);
    if let Some(spec) = shown["spec"].as_object_mut() {
        spec.remove("desiredStatus");
    }
    if let Some(annotations) = shown["metadata"]["annotations"].as_object_mut() {
        annotations.retain(|key, _| !manifest::is_hidden(key));
    }
    format!("{:016x}", hash(shown.to_string()))
}

/// The stored workspace with what a user changed in a text that showed a part of it. `None`: the result is no workspace.
pub(super) fn over(stored: &Workspace, shown: &Workspace, typed: &Workspace) -> Option<Workspace> {
    let mut wanted = parts(stored);
    json_patch::patch(&mut wanted, &json_patch::diff(&parts(shown), &parts(typed))).ok()?;
    let mut object = serde_json::to_value(stored).ok()?;
    object["spec"] = wanted["spec"].take();
    for name in ["labels", "annotations"] {
        let map = wanted["metadata"][name].take();
        let is_empty = map.as_object().is_none_or(Map::is_empty);
        object["metadata"][name] = if is_empty { Value::Null } else { map };
    }
    serde_json::from_value(object).ok()
}

/// The JSON patch from the stored workspace to the wanted one; `None`: nothing changes.
fn change(stored: &Workspace, wanted: &Workspace) -> Option<Patch> {
    let object = |workspace: &Workspace| {
        let value = serde_json::to_value(workspace).unwrap_or_default();
        let maps = ["labels", "annotations"].into_iter();
        let metadata: Map<_, _> = maps
            .filter_map(|name| Some((name.to_owned(), value["metadata"].get(name)?.clone())))
            .collect();
        json!({"metadata": metadata, "spec": value["spec"]})
    };
    let patch = json_patch::diff(&object(stored), &object(wanted));
    (!patch.0.is_empty()).then_some(patch)
}

/// The patch, which the API server applies to the stored generation alone. A status does not change it.
pub(super) fn patch(stored: &Workspace, wanted: &Workspace) -> Option<Patch> {
    let of = |name: &str, value: Value| {
        let path = PointerBuf::from_tokens(["metadata", name]);
        PatchOperation::Test(TestOperation { path, value })
    };
    let mut patch = change(stored, wanted)?;
    let version = [
        of("uid", json!(stored.metadata.uid)),
        of("generation", json!(stored.metadata.generation)),
    ];
    patch.0.splice(0..0, version);
    Some(patch)
}

/// The command that makes the change.
pub(super) fn command(stored: &Workspace, wanted: &Workspace) -> String {
    let name = stored.metadata.name.as_deref().unwrap_or_default();
    let namespace = stored.metadata.namespace.as_deref().unwrap_or_default();
    let Some(patch) = change(stored, wanted) else {
        return format!("kubectl edit workspace {name} -n {namespace}");
    };
    let patch = json!(patch).to_string().replace('\'', r"'\''");
    format!("kubectl patch workspace {name} -n {namespace} --type=json -p '{patch}'")
}

/// The fields in which the two differ: those of the form, and others by their path.
pub(super) fn differences(form: &Form, stored: &Workspace, yours: &Workspace) -> Vec<Difference> {
    let [theirs, mine] = [stored, yours].map(|workspace| values(form, workspace));
    let of_field = |values: &Values, path: &str| values.get(path).unwrap_or_default().to_owned();
    let fields = form.fields.iter().map(|field| Difference {
        label: field.label.clone(),
        theirs: of_field(&theirs, &field.path),
        yours: of_field(&mine, &field.path),
    });
    let empty: BTreeMap<_, _> = form
        .fields
        .iter()
        .map(|field| (field.path.clone(), String::new()))
        .collect();
    let empty = Values(empty);
    let [theirs, mine] = [stored, yours].map(|workspace| parts(&filled(form, &empty, workspace).workspace));
    let of_path =
        |object: &Value, path: &str| object.pointer(path).map(ToString::to_string).unwrap_or_default();
    let others = json_patch::diff(&theirs, &mine).0;
    let others = others.iter().map(|operation| {
        let path = operation.path();
        let tokens: Vec<_> = path.tokens().map(|token| token.decoded().into_owned()).collect();
        Difference {
            label: tokens.join("."),
            theirs: of_path(&theirs, path.as_str()),
            yours: of_path(&mine, path.as_str()),
        }
    });
    fields
        .filter(|one| one.theirs != one.yours)
        .chain(others)
        .collect()
}

#[cfg(test)]
mod tests {
    use rules::Settings;
    use rules::form::{Offer, form};

    use super::*;

    fn workspace(spec: Value) -> Workspace {
        let mut object = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace",
            "metadata": {"name": "lab", "namespace": "team", "uid": "u", "generation": 7},
            "spec": {"displayName": "lab", "image": "a", "env": [{"name": "A", "value": "1"}]},
        });
        json_patch::merge(&mut object["spec"], &spec);
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_patch_names_the_generation_it_was_made_for_and_only_what_changes() {
        let stored = workspace(json!({}));
        assert_eq!(
            json!(patch(&stored, &workspace(json!({"image": "b"}))).unwrap()),
            json!([
                {"op": "test", "path": "/metadata/uid", "value": "u"},
                {"op": "test", "path": "/metadata/generation", "value": 7},
                {"op": "replace", "path": "/spec/image", "value": "b"},
            ])
        );
        assert!(patch(&stored, &stored).is_none());
    }

    #[test]
    fn what_a_text_does_not_show_stays() {
        let mut stored = workspace(json!({"desiredStatus": "Stopped"}));
        stored.metadata.annotations =
            Some([("workspaces.jupyter.org/created-by".to_owned(), "alice".to_owned())].into());
        let typed = workspace(json!({"env": null, "tolerations": [{"key": "gpu"}]}));
        let wanted = over(&stored, &workspace(json!({})), &typed).unwrap();
        assert_eq!(wanted.metadata, stored.metadata);
        assert_eq!(wanted.spec.desired_status, stored.spec.desired_status);
        assert!(wanted.spec.env.is_empty() && wanted.spec.tolerations.len() == 1);
    }

    #[test]
    fn each_field_that_differs_is_shown_with_and_without_control() {
        let settings = Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap();
        let offer = Offer {
            template: None,
            settings: &settings,
        };
        let theirs = workspace(json!({"image": "b", "tolerations": [{"key": "gpu"}]}));
        let mut yours = workspace(json!({"image": "c", "resources": {"limits": {"memory": "1Gi"}}}));
        yours.metadata.annotations = Some([("example.org/a~b".to_owned(), "c".to_owned())].into());
        let found = differences(&form(&offer, Some(&theirs)), &theirs, &yours);
        let shown: Vec<_> = found
            .iter()
            .map(|it| [&*it.label, &*it.theirs, &*it.yours])
            .collect();
        assert_eq!(
            shown,
            [
                ["Image", "b", "c"],
                ["Memory", "", "1Gi"],
                ["metadata.annotations.example.org/a~b", "", "\"c\""],
                ["spec.tolerations", "[{\"key\":\"gpu\"}]", ""]
            ]
        );
    }
}
