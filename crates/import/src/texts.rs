//! A value's texts -> the same with some of them changed, or why it is lost (pure).

use serde_json::Value;

/// Fields of a container whose lists are one command.
pub(crate) const COMMAND: &str = "command";
pub(crate) const ARGUMENTS: &str = "args";

/// Changes all texts in a value, as `Draft::change` changes a value.
pub(crate) fn change_texts(
    value: &Value,
    change: &impl Fn(&str) -> Result<Option<String>, String>,
) -> Result<Option<Value>, String> {
    let mut found = value.clone();
    let is_changed = change_each(&mut found, change)?;
    Ok(is_changed.then_some(found))
}

fn change_each(
    value: &mut Value,
    change: &impl Fn(&str) -> Result<Option<String>, String>,
) -> Result<bool, String> {
    let mut is_changed = false;
    match value {
        Value::String(text) => {
            if let Some(new) = change(text)? {
                *text = new;
                is_changed = true;
            }
        }
        Value::Array(items) => {
            change(&joined([&*items]))?;
            for item in items {
                is_changed |= change_each(item, change)?;
            }
        }
        Value::Object(fields) => {
            let [command, arguments] =
                [COMMAND, ARGUMENTS].map(|name| fields.get(name).and_then(Value::as_array));
            if let (Some(command), Some(arguments)) = (command, arguments) {
                change(&joined([command, arguments]))?;
            }
            for inner in fields.values_mut() {
                is_changed |= change_each(inner, change)?;
            }
        }
        _ => {}
    }
    Ok(is_changed)
}

/// Texts of lists as one.
fn joined<const N: usize>(lists: [&Vec<Value>; N]) -> String {
    let texts: Vec<_> = lists.into_iter().flatten().filter_map(Value::as_str).collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_is_asked_about_as_one_text() {
        let change = |text: &str| match text {
            "b" => Ok(Some("c".to_owned())),
            text if text.contains("mysql -u x -p") => Err(String::new()),
            _ => Ok(None),
        };
        for value in [
            json!({"a": ["mysql", "-u", "x", "-px"]}),
            json!([{"command": ["mysql"], "args": ["-u", "x", "-px"]}]),
        ] {
            assert!(change_texts(&value, &change).is_err(), "{value}");
        }
        for (value, expected) in [
            (
                json!({"command": ["mysql"], "args": ["-u", "b"]}),
                Some(json!({"command": ["mysql"], "args": ["-u", "c"]})),
            ),
            (json!({"command": ["mysql"], "other": ["-u", "x", "-px"]}), None),
        ] {
            assert_eq!(change_texts(&value, &change), Ok(expected), "{value}");
        }
    }
}
