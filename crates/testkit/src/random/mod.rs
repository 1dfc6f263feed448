//! Random seed -> workspaces, templates and the objects that they refer to (pure).
//!
//! - `fields`: the values of each field

mod fields;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate, names};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use self::fields::{Field, template_fields, workspace_fields};
use crate::objects::object;

/// Template fields that let a workspace set everything.
const OPEN: [&str; 3] = [
    "allowCustomInitContainers",
    "allowCustomScheduling",
    "allowCustomSecurityContext",
];

/// A spec of some of these fields, with accepted values only, or with any values.
fn spec_of(fields: Vec<Field>, base: Value, wild: bool) -> impl Strategy<Value = Value> {
    prop::collection::vec(any::<(Index, Index)>(), fields.len()).prop_map(move |picks| {
        let mut spec = base.clone();
        for ((name, fine, wrong), (whether, which)) in fields.iter().zip(picks) {
            let mut values = fine.clone();
            // Only some values are refused ones. With all of them, hardly any workspace would be valid.
            if wild && whether.index(5) == 0 {
                values.clone_from(wrong);
            }
            if !values.is_empty() && whether.index(2) == 0 {
                spec[*name] = which.get(&values).clone();
            }
        }
        spec
    })
}

/// Specs of workspaces. `wild`: also with values that a rule may refuse.
pub fn workspace_spec(wild: bool) -> impl Strategy<Value = Value> {
    spec_of(workspace_fields(), json!({"displayName": "d"}), wild)
}

/// Specs of templates that let workspaces set everything. `wild`: also others, and with values that a rule may refuse.
pub fn template_spec(wild: bool) -> impl Strategy<Value = Value> {
    let mut base = json!({"displayName": "t", "defaultImage": "uv"});
    for name in OPEN {
        base[name] = json!(true);
    }
    (spec_of(template_fields(), base, wild), any::<bool>()).prop_map(move |(mut spec, open)| {
        if wild && !open {
            for name in OPEN {
                spec[name] = json!(false);
            }
        }
        spec
    })
}

/// The settings for all of them.
pub const SETTINGS: &str = "{defaultImage: uv, imageAliases: {uv: r/jupyter:1}, recoveryImage: r/recovery:1, admission: true, \
                            objectKinds: [{apiVersion: monitoring.coreos.com/v1, kind: PodMonitor}]}";

/// A workspace of this spec. `refers`: to [`template`].
pub fn workspace(spec: Value, refers: bool) -> Workspace {
    let mut spec = spec;
    if refers {
        spec["templateRef"] = json!("t");
    }
    object(json!({
        "metadata": {
            "name": "demo", "namespace": "team", "uid": "u-1", "labels": {"tier": "gold"},
            "annotations": {names::CREATED_BY: "alice"},
        },
        "spec": spec,
    }))
}

/// The template of this spec.
pub fn template(spec: &Value) -> WorkspaceTemplate {
    object(json!({"metadata": {"name": "t", "uid": "t-1"}, "spec": spec}))
}

/// The default manager.
pub fn manager() -> WorkspaceManager {
    object(json!({
        "metadata": {"name": "main", "annotations": {names::IS_DEFAULT: "true"}},
        "spec": {"routing": {"baseDomain": "b.org", "traefik": {}}, "authentication": {"gateway": {}}},
    }))
}

/// The execution profile to which workspaces and templates refer.
pub fn profile() -> WorkspaceExecutionProfile {
    object(json!({
        "metadata": {"name": "id"},
        "spec": {"serviceAccount": {"name": "runner"}, "env": [{"name": "P", "value": "1"}], "secretMounts": [{"secretName": "s", "mountPath": "/s"}]},
    }))
}
