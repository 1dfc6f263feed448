//! A workspace before, as stored, as a user wants it -> the change, or the conflicts (pure).
//!
//! It writes only what the user changed, so that another user's change to another field is not lost.

use std::collections::{BTreeMap, BTreeSet};

use api::Workspace;
use api::names::RESERVED_PREFIX;
use rules::form::{Form, Kind, values};
use serde_json::{Map, Value, json};

use crate::views::Difference;

/// The parts of a workspace that its users write: spec, labels and annotations, as JSON.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Editable(Value);

impl Editable {
    pub(super) fn of(workspace: &Workspace) -> Self {
        let object = serde_json::to_value(workspace).unwrap_or_default();
        let map = |name: &str| match &object["metadata"][name] {
            Value::Null => json!({}),
            map => map.clone(),
        };
        Self(json!({
            "metadata": {"labels": map("labels"), "annotations": map("annotations")},
            "spec": object["spec"],
        }))
    }

    /// As it was sent with a form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let is_whole = value["spec"].is_object()
            && value["metadata"]["labels"].is_object()
            && value["metadata"]["annotations"].is_object();
        is_whole.then_some(Self(value))
    }

    /// To be sent with a form.
    pub(super) fn text(&self) -> String {
        self.0.to_string()
    }

    /// The workspace with these parts; `None`: they are no workspace's.
    pub(super) fn over(&self, workspace: &Workspace) -> Option<Workspace> {
        let mut object = serde_json::to_value(workspace).ok()?;
        object["spec"] = self.0["spec"].clone();
        for name in ["labels", "annotations"] {
            let map = &self.0["metadata"][name];
            let is_empty = map.as_object().is_none_or(Map::is_empty);
            object["metadata"][name] = if is_empty { Value::Null } else { map.clone() };
        }
        serde_json::from_value(object).ok()
    }

    /// Without what other processes write: start and stop, and annotations of this product.
    fn of_users(&self) -> Self {
        let mut value = self.0.clone();
        if let Some(spec) = value["spec"].as_object_mut() {
            spec.remove("desiredStatus");
        }
        if let Some(annotations) = value["metadata"]["annotations"].as_object_mut() {
            annotations.retain(|name, _| !name.starts_with(RESERVED_PREFIX));
        }
        Self(value)
    }

    /// Whether users changed nothing between the two. A start, a stop or a new status is no change.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.of_users() == other.of_users()
    }

    /// What turns `self` into `other`, as a merge patch.
    pub(super) fn change_to(&self, other: &Self) -> Value {
        merge_patch(&self.0, &other.0).unwrap_or_else(|| json!({}))
    }

    /// With the change.
    pub(super) fn with(&self, change: &Value) -> Self {
        let mut value = self.0.clone();
        json_patch::merge(&mut value, change);
        Self(value)
    }
}

/// The merge patch from one value to the other; `None` if they are the same. Lists are replaced as a whole.
fn merge_patch(from: &Value, to: &Value) -> Option<Value> {
    let (Value::Object(before), Value::Object(after)) = (from, to) else {
        return (from != to).then(|| to.clone());
    };
    let mut patch = Map::new();
    for (name, value) in after {
        match before.get(name) {
            None => {
                patch.insert(name.clone(), value.clone());
            }
            Some(before) => patch.extend(merge_patch(before, value).map(|change| (name.clone(), change))),
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The JSON patch from the stored workspace to the wanted one, which the API server applies to that version alone.
pub(super) fn patch(
    stored: &Workspace,
    wanted: &Workspace,
) -> Result<Option<json_patch::Patch>, serde_json::Error> {
    let object = |workspace: &Workspace| -> Result<Value, serde_json::Error> {
        let value = serde_json::to_value(workspace)?;
        let mut metadata = Map::new();
        for name in ["labels", "annotations"] {
            metadata.extend(
                value["metadata"]
                    .get(name)
                    .map(|map| (name.to_owned(), map.clone())),
            );
        }
        Ok(json!({"metadata": metadata, "spec": value["spec"]}))
    };
    let patch = json_patch::diff(&object(stored)?, &object(wanted)?);
    if patch.0.is_empty() {
        return Ok(None);
    }
    let version = &stored.metadata.resource_version;
    let test = json!([{"op": "test", "path": "/metadata/resourceVersion", "value": version}]);
    let mut all: json_patch::Patch = serde_json::from_value(test)?;
    all.0.extend(patch.0);
    Ok(Some(all))
}

/// Shown in place of a value that the user left as it was.
const UNCHANGED: &str = "not changed";

/// The fields in which the three differ.
pub(super) fn differences(
    form: &Form,
    before: &Workspace,
    theirs: &Workspace,
    yours: &Workspace,
) -> Vec<Difference> {
    let all = [before, theirs, yours].map(|workspace| values(form, workspace));
    let mut found = Vec::new();
    for field in &form.fields {
        let is_list = matches!(field.kind, Kind::Env { .. } | Kind::Volumes { .. });
        let [before, theirs, yours] = all.each_ref().map(|values| {
            if is_list {
                return rows(&field.path, &values.0);
            }
            values.get(&field.path).unwrap_or_default().to_owned()
        });
        if before != theirs || before != yours {
            let yours = if before == yours {
                UNCHANGED.to_owned()
            } else {
                yours
            };
            found.push(Difference {
                label: field.label.clone(),
                before,
                theirs,
                yours,
            });
        }
    }
    let others = [before, theirs, yours].map(|workspace| without_controls(form, workspace));
    let paths: BTreeSet<&String> = others.iter().flat_map(|other| other.keys()).collect();
    for path in paths {
        let [before, theirs, yours] = others
            .each_ref()
            .map(|other| other.get(path).cloned().unwrap_or_default());
        if before != theirs || before != yours {
            let yours = if before == yours {
                UNCHANGED.to_owned()
            } else {
                yours
            };
            found.push(Difference {
                label: path.clone(),
                before,
                theirs,
                yours,
            });
        }
    }
    found
}

/// Rows of a list in one text.
fn rows(path: &str, values: &BTreeMap<String, String>) -> String {
    let own = values
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(path)?, value)));
    let rows = own.filter(|(rest, _)| rest.starts_with('['));
    rows.map(|(rest, value)| format!("{rest}={value}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Path -> value as JSON, for fields that the form has no control for.
fn without_controls(form: &Form, workspace: &Workspace) -> BTreeMap<String, String> {
    let object = Editable::of(workspace).of_users().0;
    let mut found = BTreeMap::new();
    let mut put = |path: String, value: &Value| {
        if form.field_of(&path).is_none() && !form.fields.iter().any(|field| is_below(&field.path, &path)) {
            found.insert(path, value.to_string());
        }
    };
    for (name, value) in object["spec"].as_object().into_iter().flatten() {
        put(format!("spec.{name}"), value);
    }
    for map in ["labels", "annotations"] {
        for (name, value) in object["metadata"][map].as_object().into_iter().flatten() {
            put(format!("metadata.{map}[{name}]"), value);
        }
    }
    found
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use rules::Settings;
    use rules::form::{Offer, form};

    use super::*;

    fn workspace(spec: Value) -> Workspace {
        let mut object = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace",
            "metadata": {"name": "lab", "namespace": "team", "resourceVersion": "7"},
            "spec": {"displayName": "lab", "image": "a", "env": [{"name": "A", "value": "1"}]},
        });
        json_patch::merge(&mut object["spec"], &spec);
        serde_json::from_value(object).unwrap()
    }

    fn editable(spec: Value) -> Editable {
        Editable::of(&workspace(spec))
    }

    #[test]
    fn a_start_or_a_stop_is_no_change_of_a_user() {
        let before = editable(json!({}));
        assert!(before.is_same(&editable(json!({"desiredStatus": "Stopped"}))));
        assert!(!before.is_same(&editable(json!({"image": "b"}))));
        let mut touched = workspace(json!({}));
        let note = (
            "workspaces.jupyter.org/last-updated-by".to_owned(),
            "eve".to_owned(),
        );
        touched.metadata.annotations = Some([note].into());
        assert!(before.is_same(&Editable::of(&touched)));
        touched.metadata.labels = Some([("team".to_owned(), "ml".to_owned())].into());
        assert!(!before.is_same(&Editable::of(&touched)));
    }

    #[test]
    fn only_what_was_changed_is_written_over_what_is_stored() {
        let change = editable(json!({})).change_to(&editable(json!({"displayName": "mine", "env": null})));
        let stored = workspace(json!({"image": "theirs", "desiredStatus": "Stopped"}));
        let wanted = Editable::of(&stored).with(&change).over(&stored).unwrap();
        assert_eq!(wanted.spec.display_name, "mine");
        assert_eq!(wanted.spec.image.as_deref(), Some("theirs"));
        assert_eq!(wanted.spec.desired_status, api::workspace::DesiredStatus::Stopped);
        assert!(wanted.spec.env.is_empty());
    }

    #[test]
    fn a_patch_names_the_version_it_was_made_for_and_only_what_changes() {
        let stored = workspace(json!({}));
        let found = patch(&stored, &workspace(json!({"image": "b"})))
            .unwrap()
            .unwrap();
        assert_eq!(
            serde_json::to_value(&found).unwrap(),
            json!([
                {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
                {"op": "replace", "path": "/spec/image", "value": "b"},
            ])
        );
        assert!(patch(&stored, &stored).unwrap().is_none());
    }

    #[test]
    fn what_is_sent_with_a_form_is_read_back() {
        let before = editable(json!({"tolerations": [{"key": "gpu"}]}));
        assert_eq!(Editable::parse(&before.text()), Some(before));
        for wrong in [
            "",
            "{}",
            "7",
            r#"{"spec": {}}"#,
            r#"{"spec": 1, "metadata": {"labels": {}, "annotations": {}}}"#,
        ] {
            assert_eq!(Editable::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_conflict_shows_each_field_that_differs_with_and_without_control() {
        let settings = Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap();
        let offer = Offer {
            template: None,
            profiles: &[],
            settings: &settings,
        };
        let before = workspace(json!({}));
        let theirs = workspace(json!({"image": "b", "tolerations": [{"key": "gpu"}]}));
        let yours = workspace(json!({"image": "c", "env": [{"name": "A", "value": "2"}]}));
        let found = differences(&form(&offer, Some(&before)), &before, &theirs, &yours);
        let image = found.iter().find(|it| it.yours == "c").unwrap();
        assert_eq!((&*image.before, &*image.theirs), ("a", "b"));
        let other = found.iter().find(|it| it.label == "spec.tolerations").unwrap();
        assert!(other.theirs.contains("gpu") && other.before.is_empty() && other.yours == UNCHANGED);
        let env = found.iter().find(|it| it.yours.contains("value=2")).unwrap();
        assert_eq!(env.before, env.theirs);
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
