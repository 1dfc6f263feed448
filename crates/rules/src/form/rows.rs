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

/// The rows at `path` in the order of their numbers, without empty ones: name within the row -> value.
fn rows<'a>(path: &str, values: &'a Values) -> Vec<BTreeMap<&'a str, &'a str>> {
    let mut rows: BTreeMap<usize, BTreeMap<&str, &str>> = BTreeMap::new();
    for (name, value) in &values.0 {
        let row = name.strip_prefix(path).and_then(|rest| rest.strip_prefix('['));
        let Some((number, inner)) = row.and_then(|row| row.split_once("].")) else {
            continue;
        };
        if let Ok(number) = number.parse() {
            rows.entry(number).or_default().insert(inner, value.as_str());
        }
    }
    let is_used = |row: &BTreeMap<&str, &str>| {
        row.iter()
            .any(|(name, value)| *name != "readOnly" && !value.is_empty())
    };
    rows.into_values().filter(is_used).collect()
}

/// Whether a row can hold the variable: its value is text, or a key of a Secret or ConfigMap.
pub(super) fn is_shown(variable: &EnvVar) -> bool {
    variable.value_from.as_ref().is_none_or(|from| {
        let is_key = from.secret_key_ref.is_some() || from.config_map_key_ref.is_some();
        is_key && from.field_ref.is_none() && from.resource_field_ref.is_none()
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

/// The variables of the rows. Values that a row cannot express, such as a reference to a field of the pod, stay as in `base`.
pub(super) fn env(values: &Values, base: &[EnvVar]) -> Value {
    let rows = rows("spec.env", values).into_iter();
    Value::Array(rows.map(|row| variable(&row, base)).collect())
}

fn variable(row: &BTreeMap<&str, &str>, base: &[EnvVar]) -> Value {
    let name = row.get("name").copied().unwrap_or_default().trim();
    let before = base.iter().find(|variable| variable.name == name);
    let reference = |kind: &str| -> Option<Value> {
        let part = |part: &str| {
            row.get(format!("valueFrom.{kind}.{part}").as_str())
                .copied()
                .unwrap_or_default()
                .trim()
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
        if volume.read_only {
            put("readOnly", "true");
        }
    }
}

pub(super) fn volumes(values: &Values) -> Value {
    let rows = rows("spec.volumes", values).into_iter().map(|row| {
        let part = |name: &str| row.get(name).copied().unwrap_or_default().trim();
        json!({
            "name": part("name"),
            "persistentVolumeClaimName": part("persistentVolumeClaimName"),
            "mountPath": part("mountPath"),
            "readOnly": matches!(part("readOnly"), "true" | "on"),
        })
    });
    Value::Array(rows.collect())
}
