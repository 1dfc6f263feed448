//! Objects of a template, a workspace's choices -> violations, or that workspace's objects (pure).

use std::collections::{BTreeMap, BTreeSet};

use api::template::{TemplateObject, When};
use api::{Workspace, WorkspaceTemplate, WorkspaceTemplateSpec};
use serde_json::{Map, Value};

use super::check::{AllowList, name, shape};
use super::identity::{Described, Identity, kind_of, second};
use super::render::render as render_manifest;
use super::{Objects, RenderedObject};
use crate::effective::options::{Resolution, exclude_each_other, holds_with, resolve};
use crate::effective::variables::Scope;
use crate::names;
use crate::settings::{ObjectKind, Settings};
use crate::violation::{Violation, Violations};

/// Variables with a distinct value for each workspace of a namespace.
const DISTINCT: [&str; 2] = ["workspace.name", "workspace.uid"];
/// The only namespace of an object.
const NAMESPACE: &str = "{workspace.namespace}";
/// Value of a workspace's name, and of a choice's variable, while it is not known which workspace and choice it is.
const SAMPLE: &str = "sample";

/// All violations of the objects, independent of a workspace. While there is one, no workspace gets new objects from the template, and
/// existing ones stay as they are.
pub fn check(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Vec<Violation> {
    if spec.objects.is_empty() {
        return Vec::new();
    }
    let choices = spec.options.iter().flat_map(|option| &option.choices);
    let set = choices.filter_map(|choice| choice.set.as_ref());
    let names = set.flat_map(|set| set.variables.keys());
    let scope = Scope::sample().of_objects(names.map(|name| (name.clone(), SAMPLE.to_owned())).collect());
    let allowed = AllowList {
        kinds: &settings.object_kinds,
        setting: "objectKinds",
        never: "can never be an object of a template, because it runs something, gives rights or holds secrets, or is of a group of \
                Kubernetes itself: leave it out",
        author: "a template",
    };
    let mut found = Vec::new();
    let (any, mut described) = ("{workspace.name}", Vec::<(Identity, &When)>::new());
    for (index, object) in spec.objects.iter().enumerate() {
        let manifest = &object.manifest;
        let path = format!("spec.objects[{index}].manifest");
        let of_shape = shape(&path, manifest, allowed);
        found.extend(of_shape);
        found.extend(name(&path, manifest, &DISTINCT));
        found.extend(of_the_operator(&path, manifest));
        let Some(identity) = Identity::from_manifest(manifest, &names::object(any, &object.name)) else {
            continue;
        };
        found.extend(of_routes(&path, &identity, any));
        let earlier = described
            .iter()
            .filter(|(_, when)| !exclude_each_other(when, &object.when));
        found.extend(second(&path, &identity, earlier.map(|(identity, _)| identity)));
        described.push((identity, &object.when));
        let sample = render_one(&path, object, SAMPLE, &scope);
        found.extend(sample.err().into_iter().flatten());
    }
    found
}

/// The default name of routes. `workspace`: the name of the workspace, or its variable.
fn of_routes(path: &str, identity: &Identity, workspace: &str) -> Option<Violation> {
    let rule = "is the name of routes: choose another, or leave it out";
    let is_taken = identity.name == names::child(workspace);
    is_taken.then(|| Violation::new(format!("{path}.metadata.name"), &identity.name, rule))
}

/// What only the operator and other controllers write.
fn of_the_operator(path: &str, manifest: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    if manifest.get("status").is_some() {
        let rule = "must not be set by a template, because a controller writes it: leave it out";
        found.push(Violation::new(format!("{path}.status"), "", rule));
    }
    let metadata = &manifest["metadata"];
    match &metadata["namespace"] {
        Value::Null => {}
        Value::String(namespace) if namespace == NAMESPACE => {}
        other => {
            let rule = "must not name another namespace than the workspace's: leave it out";
            let value = other.as_str().unwrap_or_default();
            found.push(Violation::new(format!("{path}.metadata.namespace"), value, rule));
        }
    }
    for map in ["labels", "annotations"] {
        let keys = metadata[map].as_object().into_iter().flat_map(Map::keys);
        for key in keys.filter(|key| key.starts_with(api::names::RESERVED_PREFIX)) {
            let field = format!("{path}.metadata.{map}[{}]", key.escape_debug());
            let rule = "must not be set, because only the operator sets keys with this prefix: leave it out";
            found.push(Violation::new(field, key, rule));
        }
    }
    found
}

/// The kinds that a template's objects have.
pub fn kinds_of(spec: &WorkspaceTemplateSpec) -> BTreeSet<ObjectKind> {
    let manifests = spec.objects.iter().map(|object| &object.manifest);
    manifests.filter_map(kind_of).collect()
}

/// Those of them that the settings do not list, although they could. A text that names no kind is none of them.
pub fn unlisted_kinds(spec: &WorkspaceTemplateSpec, settings: &Settings) -> BTreeSet<ObjectKind> {
    let mut kinds = kinds_of(spec);
    kinds.retain(|kind| !settings.object_kinds.contains(kind) && kind.is_well_formed() && !kind.is_denied());
    kinds
}

/// The objects of a workspace with these choices, or the violation of the workspace for values that cannot be part of them.
pub(crate) fn render(
    workspace: &Workspace,
    template: &WorkspaceTemplate,
    choices: &Resolution<'_>,
    settings: &Settings,
) -> Result<Objects, Violation> {
    let spec = &template.spec;
    if let Some(violations) = Violations::from_list(check(spec, settings)) {
        return Ok(Objects::Unknown(violations));
    }
    let name = workspace.metadata.name.as_deref().unwrap_or_default();
    let (mut rendered, mut described, mut faults) = (Vec::new(), Described::default(), Vec::new());
    for (path, _, object) in of_workspace(workspace, spec, choices) {
        match object {
            Ok(object) => {
                let identity = object.identity();
                faults.extend(of_routes(&path, &identity, name));
                faults.extend(described.add(&path, identity));
                rendered.push(object);
            }
            Err(found) => faults.extend(found),
        }
    }
    let Some(found) = Violations::from_list(faults) else {
        return Ok(Objects::These(rendered));
    };
    let rule = format!(
        "has objects that cannot be made with the choices of this workspace ({found}): choose otherwise in spec.options, or ask for a \
         corrected template"
    );
    let template = template.metadata.name.as_deref().unwrap_or_default();
    Err(Violation::new("spec.templateRef", template, rule))
}

/// The objects of a workspace with these choices, each with its name in the template. Without those that cannot be made.
pub fn of_choices<'a>(
    workspace: &Workspace,
    spec: &'a WorkspaceTemplateSpec,
    chosen: &BTreeMap<String, String>,
) -> Vec<(&'a str, RenderedObject)> {
    let choices = resolve(spec, chosen);
    let all = of_workspace(workspace, spec, &choices);
    all.filter_map(|(_, object, rendered)| Some((object.name.as_str(), rendered.ok()?)))
        .collect()
}

/// Those whose `when` holds, each with its place in the template, or why it cannot be made.
fn of_workspace<'a>(
    workspace: &Workspace,
    spec: &'a WorkspaceTemplateSpec,
    choices: &Resolution<'_>,
) -> impl Iterator<Item = (String, &'a TemplateObject, Result<RenderedObject, Vec<Violation>>)> {
    let scope = Scope::for_workspace(workspace).of_objects(variables(choices));
    let name = workspace.metadata.name.as_deref().unwrap_or_default();
    let wanted = spec.objects.iter().enumerate();
    let wanted = wanted.filter(|(_, object)| holds_with(&object.when, &choices.chosen));
    wanted.map(move |(index, object)| {
        let path = format!("spec.objects[{index}].manifest");
        let rendered = render_one(&path, object, name, &scope);
        (path, object, rendered)
    })
}

fn render_one(
    path: &str,
    object: &TemplateObject,
    workspace: &str,
    scope: &Scope,
) -> Result<RenderedObject, Vec<Violation>> {
    let usual = names::object(workspace, &object.name);
    render_manifest(path, &object.manifest, &usual, scope)
}

/// The variables that the choices set, the later before the earlier.
fn variables(choices: &Resolution<'_>) -> BTreeMap<String, String> {
    let set = choices.chosen.iter().filter_map(|it| it.choice.set.as_ref());
    set.flat_map(|set| set.variables.clone()).collect()
}
