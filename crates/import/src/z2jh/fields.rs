//! Text with fields of `KubeSpawner` -> text with variables of ours, or why it is lost (pure).

use serde_json::Value;

use super::Hub;

/// `KubeSpawner`'s fields, and the variables that our spawner sets.
const FIELDS: [(&str, Option<&str>); 9] = [
    ("{username}", Some("{hub.username}")),
    ("{servername}", Some("{hub.servername}")),
    ("{user_server}", Some("{hub.user_server}")),
    ("{userid}", Some("{hub.userid}")),
    ("{escaped_", None),
    ("{safe_", None),
    ("{unescaped_", None),
    ("{legacy_", None),
    ("{hubnamespace}", None),
];

/// `KubeSpawner`'s fields are variables of our spawner. `is_fixed`: a `podTemplate` has no variables.
pub(super) fn change(text: &str, hub: Hub, is_fixed: bool) -> Result<Option<String>, String> {
    let mut written = text.to_owned();
    for (field, ours) in FIELDS.iter().filter(|(field, _)| text.contains(field)) {
        match ours.filter(|_| hub == Hub::Keep && !is_fixed) {
            Some(ours) => written = written.replace(field, ours),
            None if is_fixed => {
                return Err(format!(
                    "{field}… is a field of KubeSpawner, and a podTemplate has fixed texts: a container knows its workspace by the downward API"
                ));
            }
            None => {
                return Err(format!(
                    "{field}… is a field of KubeSpawner, of which templates know none: docs/templates.md lists their variables"
                ));
            }
        }
    }
    Ok((written != text).then_some(written))
}

/// Whether a value holds a field of `KubeSpawner`.
pub(super) fn has_field(value: &Value) -> bool {
    match value {
        Value::String(text) => FIELDS.iter().any(|(field, _)| text.contains(field)),
        Value::Array(items) => items.iter().any(has_field),
        Value::Object(fields) => fields.values().any(has_field),
        _ => false,
    }
}
