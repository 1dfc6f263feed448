//! A workspace and what a user wrote about it -> patch, command, change (IO: as the user).

use std::collections::BTreeMap;

use api::Workspace;
use api::names::RESTARTED_AT;
use api::workspace::DesiredStatus;
use json_patch::{Patch, PatchOperation, TestOperation, jsonptr::PointerBuf};
use kube::ResourceExt as _;
use rules::form::{Form, values};
use rules::manifest;
use serde_json::{Map, Value, json};

use crate::app::Context;
use crate::cluster::Failure;
use crate::index::hash;
use crate::pages::form::draft::{Draft, Format, Hidden, Sent};
use crate::pages::form::place::Place;

/// What happens besides the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    Start,
    Restart,
}

/// A workspace that is being changed.
pub(super) struct Editing {
    /// As it is stored.
    pub(super) stored: Workspace,
    /// The version that the user saw, by [`version`].
    pub(super) seen: String,
    pub(super) place: Place,
    pub(super) form: Form,
}

/// A change that was sent.
pub(super) struct Sending {
    pub(super) editing: Editing,
    /// What was written, with the workspace as the user wants it.
    pub(super) draft: Draft,
    pub(super) next: Option<Format>,
    pub(super) then: Then,
    /// The address of the form.
    pub(super) at: String,
    /// Fields of the body, to be sent again.
    pub(super) again: Vec<(String, String)>,
}

impl Editing {
    /// `seen`: the version that the user saw; `None`: the stored one.
    pub(super) fn new(context: &Context, stored: Workspace, seen: Option<String>) -> Self {
        let place = Place {
            namespace: stored.namespace().unwrap_or_default(),
            template: context.app.index.template_of(&stored),
        };
        Self {
            form: place.form(context, Some(&stored), &stored.spec.options),
            seen: seen.unwrap_or_else(|| version(&stored)),
            place,
            stored,
        }
    }

    /// What was sent, with the workspace as the user wants it.
    pub(super) fn draft(&self, context: &Context, hidden: &Hidden, sent: Sent) -> Result<Draft, String> {
        let form = |options: &BTreeMap<_, _>| self.place.form(context, Some(&self.stored), options);
        let of_template = (self.place.template.as_deref(), form);
        if hidden.written == Format::Form && hidden.text.is_empty() {
            return Draft::from_form(of_template, self.stored.clone(), None, sent);
        }
        let name = self.stored.name_any();
        let mut fixed = vec![
            ("metadata.name", &*name),
            ("metadata.namespace", &*self.place.namespace),
        ];
        fixed.extend(
            self.stored
                .spec
                .template_ref
                .as_deref()
                .map(|it| ("spec.templateRef", it)),
        );
        let typed = Draft::from_text(form, hidden.text.clone(), &fixed);
        let wanted = if typed.is_readable() {
            self.wanted_by_text(&typed.workspace)?
        } else {
            self.stored.clone()
        };
        match (hidden.written, sent.0.first()) {
            (Format::Form, _) if !typed.is_readable() => {
                Err("The values that the form has no field for cannot be read.".to_owned())
            }
            (Format::Form, _) => Draft::from_form(of_template, wanted, typed.text, sent),
            (Format::Yaml, Some((name, _))) => {
                Err(format!("A YAML text must be sent without the field {name:?}."))
            }
            (Format::Yaml, None) => Ok(Draft {
                values: values(&typed.form, &wanted),
                workspace: wanted,
                ..typed
            }),
        }
    }

    /// A text does not show what other processes write. So it counts by what differs from the text of what is stored.
    fn wanted_by_text(&self, typed: &Workspace) -> Result<Workspace, String> {
        let shown = manifest::yaml(&self.form, &self.stored);
        let shown = manifest::workspace(&shown).map_err(|_| {
            "The workspace cannot be shown as YAML. Use the form, or kubectl edit.".to_owned()
        })?;
        over(&self.stored, &shown.workspace, typed).ok_or_else(|| "The text must be a workspace.".to_owned())
    }

    pub(super) fn runs(&self) -> bool {
        self.stored.spec.desired_status == DesiredStatus::Running
    }
}

impl Sending {
    /// Whether the stored workspace is a newer version than the one that the user saw, and not what the user wants, as it is after the
    /// same form was sent before.
    pub(super) fn is_newer(&self, context: &Context) -> bool {
        version(&self.editing.stored) != self.editing.seen && self.patch(context).is_some()
    }

    /// What changes.
    fn patch(&self, context: &Context) -> Option<Patch> {
        let mut wanted = self.draft.workspace.clone();
        if self.then != Then::Nothing {
            wanted.spec.desired_status = DesiredStatus::Running;
        }
        if self.then == Then::Restart {
            let annotations = wanted.metadata.annotations.get_or_insert_default();
            annotations.insert(RESTARTED_AT.to_owned(), context.now.to_string());
        }
        patch(&self.editing.stored, &wanted)
    }

    /// The workspace after the change; `None`: nothing changes.
    pub(super) async fn write(&self, context: &Context, dry_run: bool) -> Result<Option<Workspace>, Failure> {
        let Some(patch) = self.patch(context) else {
            return Ok(None);
        };
        let stored = &self.editing.stored;
        let (namespace, name) = (&*self.editing.place.namespace, stored.name_any());
        context
            .as_user()
            .patch(namespace, &name, kube::api::Patch::Json(patch), dry_run)
            .await
            .map(Some)
    }
}

/// What users write of a workspace: spec, labels and annotations.
pub(super) fn parts(workspace: &Workspace) -> Value {
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
fn over(stored: &Workspace, shown: &Workspace, typed: &Workspace) -> Option<Workspace> {
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
fn patch(stored: &Workspace, wanted: &Workspace) -> Option<Patch> {
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

#[cfg(test)]
mod tests {
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
}
