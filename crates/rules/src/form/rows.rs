//! Form values of lists <-> environment variables and further disks (pure).

use std::collections::BTreeMap;

use api::workspace::SecondaryVolume;
use k8s_openapi::api::core::v1::EnvVar;
use serde_json::{Map, Value, json};

use super::model::Values;

const SECRET: &str = "secretKeyRef";
const CONFIG_MAP: &str = "configMapKeyRef";

/// Whether the form sent the list at `path`, be it without any row.
pub(super) fn are_sent(path: &str, values: &Values) -> bool {
    let is_row = |name: &String| {
        name.strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
    };
    values.0.keys().any(is_row)
}

/// Whether blanks at the ends of what was typed count: in the value of a variable.
pub(super) fn is_verbatim(name: &str) -> bool {
    name.starts_with("spec.env[") && name.ends_with("].value")
}

/// Name within a row -> value.
type Row<'a> = BTreeMap<&'a str, &'a str>;

/// The rows at `path` by their numbers, without empty ones.
fn rows<'a>(path: &str, values: &'a Values) -> BTreeMap<usize, Row<'a>> {
    let mut rows: BTreeMap<usize, Row<'_>> = BTreeMap::new();
    for (name, value) in &values.0 {
        let row = name.strip_prefix(path).and_then(|rest| rest.strip_prefix('['));
        let Some((number, inner)) = row.and_then(|row| row.split_once("].")) else {
            continue;
        };
        if let Ok(number) = number.parse() {
            rows.entry(number).or_default().insert(inner, value.as_str());
        }
    }
    rows.retain(|_, row| {
        row.iter()
            .any(|(name, value)| *name != "readOnly" && !value.is_empty())
    });
    rows
}

/// Whether a row can hold the variable: its value is text, or a key of a Secret or ConfigMap.
pub(super) fn is_shown(variable: &EnvVar) -> bool {
    variable.value_from.as_ref().is_none_or(|from| {
        let is_key = from.secret_key_ref.is_some() || from.config_map_key_ref.is_some();
        is_key && from.field_ref.is_none() && from.resource_field_ref.is_none()
    })
}

/// Whether the object of its key may be missing, for which a row has no control.
pub(super) fn is_optional(variable: &EnvVar) -> bool {
    variable.value_from.as_ref().is_some_and(|from| {
        let secret = from.secret_key_ref.as_ref().and_then(|key| key.optional);
        let config_map = from.config_map_key_ref.as_ref().and_then(|key| key.optional);
        secret.or(config_map).is_some()
    })
}

pub(super) fn env_values(env: &[EnvVar], values: &mut Values) {
    for (index, variable) in env.iter().enumerate() {
        let at = format!("spec.env[{index}]");
        let mut put = |name: &str, value: &str| values.0.insert(format!("{at}.{name}"), value.to_owned());
        put("name", &variable.name);
        if let Some(value) = &variable.value {
            put("value", value);
        }
        let Some(from) = &variable.value_from else {
            continue;
        };
        if let Some(key) = &from.secret_key_ref {
            put("valueFrom.secretKeyRef.name", &key.name);
            put("valueFrom.secretKeyRef.key", &key.key);
        }
        if let Some(key) = &from.config_map_key_ref {
            put("valueFrom.configMapKeyRef.name", &key.name);
            put("valueFrom.configMapKeyRef.key", &key.key);
        }
    }
}

/// The variables of the rows; the number of a row is that of the variable in `base`, of which `shown` has the values. Values that a row
/// cannot express, such as a reference to a field of the pod, stay as in `base`.
pub(super) fn env(values: &Values, shown: &Values, base: &[EnvVar]) -> Value {
    let shown = rows("spec.env", shown);
    let variable = |(number, row): (usize, Row<'_>)| {
        let before = base.get(number);
        let was = |part: &str| shown.get(&number).and_then(|row| row.get(part));
        match before {
            Some(before) if row.iter().all(|(part, value)| was(part) == Some(value)) => json!(before),
            _ => variable(&row, before),
        }
    };
    Value::Array(rows("spec.env", values).into_iter().map(variable).collect())
}

fn variable(row: &Row<'_>, before: Option<&EnvVar>) -> Value {
    let name = row.get("name").copied().unwrap_or_default();
    let reference = |kind: &str| -> Option<Value> {
        let part = |part: &str| {
            row.get(format!("valueFrom.{kind}.{part}").as_str())
                .copied()
                .unwrap_or_default()
        };
        let (name, key) = (part("name"), part("key"));
        if name.is_empty() && key.is_empty() {
            return None;
        }
        // Keeps `optional`, which has no control.
        let mut kept = before
            .and_then(|it| serde_json::to_value(it.value_from.as_ref()?).ok())
            .unwrap_or_default();
        let mut kept = kept[kind].take().as_object().cloned().unwrap_or_default();
        kept.insert("name".to_owned(), json!(name));
        kept.insert("key".to_owned(), json!(key));
        Some(Value::Object(kept))
    };
    let mut variable = Map::new();
    variable.insert("name".to_owned(), json!(name));
    let mut from = Map::new();
    for kind in [SECRET, CONFIG_MAP] {
        from.extend(reference(kind).map(|reference| (kind.to_owned(), reference)));
    }
    let value = row
        .get("value")
        .copied()
        .filter(|value| !value.is_empty() || from.is_empty());
    if let Some(value) = value {
        variable.insert("value".to_owned(), json!(value));
    }
    if from.is_empty() && value.is_none() {
        let kept = before
            .filter(|before| !is_shown(before))
            .and_then(|it| serde_json::to_value(&it.value_from).ok());
        variable.extend(kept.map(|kept| ("valueFrom".to_owned(), kept)));
    } else if !from.is_empty() {
        variable.insert("valueFrom".to_owned(), Value::Object(from));
    }
    Value::Object(variable)
}

pub(super) fn volume_values(volumes: &[SecondaryVolume], values: &mut Values) {
    for (index, volume) in volumes.iter().enumerate() {
        let at = format!("spec.volumes[{index}]");
        let mut put = |name: &str, value: &str| values.0.insert(format!("{at}.{name}"), value.to_owned());
        put("name", &volume.name);
        put("persistentVolumeClaimName", &volume.persistent_volume_claim_name);
        put("mountPath", &volume.mount_path);
        put("readOnly", if volume.read_only { "true" } else { "" });
    }
}

pub(super) fn volumes(values: &Values) -> Value {
    let rows = rows("spec.volumes", values).into_values().map(|row| {
        let part = |name: &str| row.get(name).copied().unwrap_or_default();
        json!({
            "name": part("name"),
            "persistentVolumeClaimName": part("persistentVolumeClaimName"),
            "mountPath": part("mountPath"),
            "readOnly": matches!(part("readOnly"), "true" | "on"),
        })
    });
    Value::Array(rows.collect())
}
