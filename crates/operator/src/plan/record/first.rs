//! A record in the first format -> the same in today's format, as far as it is known (pure).
//!
//! The first format held effective values, settings included: image, resources, port, command, the mount path of the disk and the
//! template's environment variables. If a value is not set today, or an alias stands for it, its origin is unknown: users or settings.
//! In doubt no running pod is restarted, so that is no difference.

use rules::ValidWorkspace;
use serde_json::{Map, Value, json};

pub(super) fn translated(mut record: Value, workspace: &ValidWorkspace) -> Option<Value> {
    let env = record
        .pointer_mut("/template/environmentVariables")
        .map(Value::take);
    record.as_object_mut()?.remove("template");
    let given = &workspace.given;
    let spec = record.get_mut("spec")?.as_object_mut()?;
    if let Some(env) = env {
        spec.insert("env".to_owned(), env);
    }
    let alias = given.image.as_ref() != Some(&workspace.image);
    if alias || spec.get("image") == Some(&json!(workspace.image)) {
        spec.insert("image".to_owned(), json!(given.image));
    }
    if given.port.is_none() {
        spec.remove("port");
    }
    if let Some(Value::Object(storage)) = spec.get_mut("storage") {
        if given.mount_path.is_none() {
            storage.remove("mountPath");
        }
        storage.insert("claimName".to_owned(), json!(workspace.child_name()));
    }
    let asked = json!(given.resources);
    for kind in ["requests", "limits"] {
        let recorded = spec.get_mut("resources").and_then(|all| all.get_mut(kind));
        if let Some(Value::Object(recorded)) = recorded {
            keep_named(recorded, asked.get(kind));
        }
    }
    Some(record)
}

/// Drops the values of `recorded` that `today` does not set.
fn keep_named(recorded: &mut Map<String, Value>, today: Option<&Value>) {
    recorded.retain(|name, _| today.is_some_and(|today| today.get(name).is_some()));
}
