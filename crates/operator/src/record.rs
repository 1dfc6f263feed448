//! Valid workspace -> the record of what shaped its pod; two records -> the fields that differ (pure).
//!
//! The record lies in an annotation of the Deployment from one start to the next. It names fields as the Workspace does,
//! so a difference between it and today's inputs reads as a list of field paths.

use rules::{Home, ValidWorkspace};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Longest record in bytes; beyond it whole sections are recorded by their digest.
const MAX_RECORD: usize = 32 * 1024;
/// Longest text that is recorded as it is; beyond it by its digest.
const MAX_TEXT: usize = 256;
const DIGEST: &str = "sha256:";

/// The record of a workspace, as canonical JSON: keys sorted, no spaces.
pub fn of(workspace: &ValidWorkspace) -> String {
    let mut record = shorten(&inputs(workspace));
    if record.to_string().len() > MAX_RECORD {
        for section in record.as_object_mut().into_iter().flat_map(Map::values_mut) {
            for value in section.as_object_mut().into_iter().flat_map(Map::values_mut) {
                *value = digest(value);
            }
        }
    }
    record.to_string()
}

/// Paths of the fields in which two records differ, sorted. A record that cannot be read differs in everything.
pub fn differences(recorded: &str, today: &str) -> Vec<String> {
    if recorded == today {
        return Vec::new();
    }
    let parse = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let mut paths = Vec::new();
    compare("", &parse(recorded), &parse(today), &mut paths);
    paths
}

/// Everything of a workspace that shapes its pod, under the names of the Workspace's and the template's fields.
fn inputs(workspace: &ValidWorkspace) -> Value {
    let storage = match &workspace.home {
        Home::Disk { mount_path, .. } | Home::Claim { mount_path, .. } => json!({"mountPath": mount_path}),
        Home::Ephemeral { .. } => Value::Null,
    };
    json!({
        "spec": {
            "image": workspace.image,
            "resources": workspace.resources,
            "storage": storage,
            "port": workspace.port,
            "containerConfig": workspace.container,
        },
        "template": {
            "environmentVariables": workspace.env,
        },
    })
}

fn shorten(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > MAX_TEXT => digest(value),
        Value::Array(items) => Value::Array(items.iter().map(shorten).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), shorten(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn digest(value: &Value) -> Value {
    let digest = Sha256::digest(value.to_string());
    let hex = digest
        .iter()
        .fold(String::from(DIGEST), |text, byte| format!("{text}{byte:02x}"));
    Value::String(hex)
}

/// A list is one field; a digest is compared with the digest of what stands on the other side.
fn compare(path: &str, left: &Value, right: &Value, paths: &mut Vec<String>) {
    let empty = Map::new();
    match (left, right) {
        (Value::Object(_), Value::Object(_) | Value::Null) | (Value::Null, Value::Object(_)) => {
            let (left, right) = (
                left.as_object().unwrap_or(&empty),
                right.as_object().unwrap_or(&empty),
            );
            let mut keys: Vec<_> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let at = |side: &Map<String, Value>| side.get(key).cloned().unwrap_or(Value::Null);
                compare(&path, &at(left), &at(right), paths);
            }
        }
        (left, right) if left == right || same_digest(left, right) || same_digest(right, left) => {}
        _ => paths.push(path.to_owned()),
    }
}

fn same_digest(digested: &Value, plain: &Value) -> bool {
    digested.as_str().is_some_and(|text| text.starts_with(DIGEST)) && *digested == digest(plain)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::EnvVar;
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures;

    #[test]
    fn a_workspace_does_not_differ_from_itself() {
        let record = of(&fixtures::valid());
        assert_eq!(differences(&record, &record), Vec::<String>::new());
    }

    #[test]
    fn each_changed_field_is_named_by_its_path() {
        let before = of(&fixtures::valid());
        let mut workspace = testkit::objects::workspace("demo");
        workspace.spec.image = Some("example.com/other:1".to_owned());
        workspace.spec.port = Some(9000);
        workspace.spec.container_config = Some(api::workspace::ContainerConfig {
            args: vec!["--debug".to_owned()],
            ..Default::default()
        });
        let after = of(&fixtures::admit(&workspace));
        assert_eq!(
            differences(&before, &after),
            ["spec.containerConfig.args", "spec.image", "spec.port"]
        );
    }

    #[test]
    fn a_new_size_or_name_or_access_rule_is_no_pending_update() {
        let before = of(&fixtures::valid());
        let mut workspace = testkit::objects::workspace("demo");
        workspace.spec.display_name = "another".to_owned();
        workspace.spec.access_type = Some(api::workspace::AccessType::Public);
        workspace.spec.storage.as_mut().unwrap().size = Some(
            k8s_openapi::apimachinery::pkg::api::resource::Quantity("2Gi".to_owned()),
        );
        assert_eq!(
            differences(&before, &of(&fixtures::admit(&workspace))),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_record_stays_small_and_still_tells_a_difference() {
        let mut large = fixtures::valid();
        large.env = (0..2000)
            .map(|number| EnvVar {
                name: format!("VARIABLE_{number}"),
                value: Some("x".repeat(300)),
                value_from: None,
            })
            .collect();
        let before = of(&large);
        assert!(before.len() <= MAX_RECORD, "{}", before.len());
        large.env[7].value = Some("y".repeat(300));
        assert_eq!(
            differences(&before, &of(&large)),
            ["template.environmentVariables"]
        );
    }

    #[test]
    fn an_unreadable_record_differs_in_everything_and_does_not_fail() {
        let today = of(&fixtures::valid());
        let paths = differences("{broken", &today);
        assert!(paths.contains(&"spec.image".to_owned()), "{paths:?}");
    }

    proptest! {
        #[test]
        fn comparing_never_panics(left in "\\PC{0,60}", right in "\\PC{0,60}") {
            let _ = differences(&left, &right);
        }
    }
}
