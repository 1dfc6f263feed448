//! Spec -> texts that no container can have (pure).

use serde::Serialize;
use serde_json::Value;

use crate::violation::Violation;

/// Longest text that Linux passes to a program, in bytes: an argument, or a variable with its name (`MAX_ARG_STRLEN`).
const MAX_BYTES: usize = 128 * 1024 - 1;

/// Reports texts and keys in `spec` that contain a NUL byte or are too long. For the kernel, a NUL byte ends a text.
/// A pod with such a text could be created, but would never start.
pub(super) fn unusable(spec: &impl Serialize) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Ok(spec) = serde_json::to_value(spec) {
        search("spec", &spec, &mut found);
    }
    found
}

fn search(path: &str, value: &Value, found: &mut Vec<Violation>) {
    match value {
        Value::String(text) => found.extend(text_of(path, text)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                search(&format!("{path}[{index}]"), item, found);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric());
                let path = if is_plain {
                    format!("{path}.{key}")
                } else {
                    format!("{path}[{}]", key.escape_debug())
                };
                found.extend(text_of(&path, key));
                search(&path, value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn text_of(path: &str, text: &str) -> Option<Violation> {
    let rule = if text.contains('\0') {
        "holds a NUL character, which no container can have: leave it out".to_owned()
    } else if text.len() > MAX_BYTES {
        format!(
            "has {} bytes, more than the maximum {MAX_BYTES} that a program can be given: shorten it",
            text.len()
        )
    } else {
        return None;
    };
    Some(Violation::new(path, text, rule))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_nul_character_is_found_wherever_it_stands() {
        let found = unusable(&json!({
            "env": [{"name": "A", "value": "fine\n\t\u{1}"}, {"name": "B", "value": "a\0b"}],
            "containerConfig": {"args": ["x", "\0"]},
            "nodeSelector": {"a\0b": "c"},
            "port": 8888,
        }));
        let fields: Vec<_> = found.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "spec.containerConfig.args[1]",
                "spec.env[1].value",
                r"spec.nodeSelector[a\0b]"
            ]
        );
        assert_eq!(
            found[1].to_string(),
            r#"spec.env[1].value: "a\0b" holds a NUL character, which no container can have: leave it out"#
        );
    }

    #[test]
    fn a_text_longer_than_a_process_argument_is_refused() {
        assert_eq!(unusable(&json!({"a": "x".repeat(MAX_BYTES)})), []);
        let found = unusable(&json!({"a": "x".repeat(MAX_BYTES + 1)}));
        assert!(found[0].message.contains("131072 bytes"), "{found:?}");
    }
}
