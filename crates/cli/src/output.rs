//! Workspace and format -> text as kubectl prints it (pure).

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::DryRun;
use crate::args::Format;
use crate::console::plain;
use crate::failure::Failure;

/// Columns as kubectl prints them: three spaces apart, without trailing spaces.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|cell| plain(cell)).collect());
    let rows: Vec<Vec<String>> = rows.collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<_> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(line.join("   ").trim_end());
        text.push('\n');
    }
    text
}

/// Heads of a table's columns: the namespace in front if objects are of all, and further ones at the end of a wide table.
pub(crate) fn heads(all_namespaces: bool, names: &[&str], wide: &[&str]) -> Vec<String> {
    let namespace: &[&str] = if all_namespaces { &["NAMESPACE"] } else { &[] };
    let all = [namespace, names, wide].concat();
    all.into_iter().map(str::to_owned).collect()
}

/// How long ago `time` was, in kubectl's short form; `<unknown>` if it is no time.
pub(crate) fn age(time: Option<&str>, now: Timestamp) -> String {
    let Some(then) = time.and_then(|time| time.parse::<Timestamp>().ok()) else {
        return "<unknown>".to_owned();
    };
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Objects as one List, without the field managers, as kubectl prints it.
pub(crate) fn list(objects: &[Value], format: &Format) -> Result<String, Failure> {
    if *format == Format::Name {
        return Ok(objects.iter().map(|object| name(object) + "\n").collect());
    }
    let items: Vec<_> = objects.iter().map(without_managers).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    object(&list, format)
}

fn without_managers(object: &Value) -> Value {
    let mut shown = object.clone();
    if let Some(Value::Object(metadata)) = shown.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    shown
}

/// The resource name, such as `workspace.workspaces.jupyter.org/demo`.
pub(crate) fn name(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or("Workspace").to_lowercase();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    plain(&format!("{kind}.{}/{name}", api::names::GROUP))
}

/// The sentence that reports the result.
pub(crate) fn sentence(object: &Value, dry_run: DryRun) -> String {
    let how = match dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    };
    format!("{} created{how}", name(object))
}

/// What a command found, as an object of this kind in the given format.
pub(crate) fn report(kind: &str, found: &impl Serialize, format: &Format) -> Result<String, Failure> {
    let mut report = serde_json::to_value(found)?;
    report["apiVersion"] = json!(format!("cli.{}/v1alpha1", api::names::GROUP));
    report["kind"] = json!(kind);
    object(&report, format)
}

/// The object in the given format, with a line end. A template has its own line ends.
pub(crate) fn object(object: &Value, format: &Format) -> Result<String, Failure> {
    let shown = without_managers(object);
    let text = match format {
        Format::Name => Ok(name(object)),
        Format::Json => json(&shown),
        Format::Yaml => match serde_saphyr::to_string(&shown) {
            // YAML can escape in double quotes alone, as JSON does, which is YAML too.
            Ok(text) if text.contains(is_unescaped) => json(&shown),
            text => text.map_err(anyhow::Error::from),
        },
    };
    let text = text.context("the object cannot be printed")?;
    Ok(text.trim_end().to_owned() + "\n")
}

/// JSON in which nothing controls a terminal: the format leaves characters beyond U+001F as they are, and they are in strings alone.
fn json(object: &Value) -> anyhow::Result<String> {
    let text = serde_json::to_string_pretty(object)?;
    let escaped = text.chars().map(|character| match character {
        character if is_unescaped(character) => format!("\\u{:04x}", u32::from(character)),
        character => character.to_string(),
    });
    Ok(escaped.collect())
}

fn is_unescaped(character: char) -> bool {
    character != '\n' && api::controls_display(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Value {
        json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": "demo", "managedFields": [{"manager": "x"}]},
            "spec": {"displayName": "yes: no", "image": "on", "resources": {"limits": {"cpu": "1", "memory": "1e3"}}},
        })
    }

    #[test]
    fn sentences_are_those_of_kubectl() {
        let line = |dry_run| sentence(&workspace(), dry_run);
        assert_eq!(
            line(DryRun::None),
            "workspace.workspaces.jupyter.org/demo created"
        );
        assert_eq!(
            line(DryRun::Client),
            "workspace.workspaces.jupyter.org/demo created (dry run)"
        );
        assert_eq!(
            line(DryRun::Server),
            "workspace.workspaces.jupyter.org/demo created (server dry run)"
        );
    }

    #[test]
    fn yaml_and_json_read_back_as_the_same_object() {
        for format in [Format::Yaml, Format::Json] {
            let text = object(&workspace(), &format).unwrap();
            let mut expected = workspace();
            expected["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("managedFields");
            let read: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(read, expected, "{format:?}: {text}");
        }
    }

    #[test]
    fn yaml_and_json_keep_characters_that_control_a_terminal_and_escape_them() {
        let odd = "a\u{1b}[31m\u{7f}\u{9b}\u{202e}\u{2066}\u{2028}\r\n\tb";
        let mut wanted = workspace();
        wanted["metadata"] = json!({"name": "demo"});
        wanted["spec"]["displayName"] = json!(odd);
        for format in [Format::Yaml, Format::Json] {
            let text = object(&wanted, &format).unwrap();
            assert!(!text.contains(is_unescaped), "{format:?}: {text:?}");
            let read: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(read, wanted, "{format:?}: {text}");
        }
    }

    #[test]
    fn columns_are_aligned_and_free_of_control_characters() {
        let rows = [["NAME", "REASON"], ["a-long-name", "a\u{1b}[31m"], ["b", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "NAME          REASON\na-long-name   a [31m\nb\n");
    }

    #[test]
    fn an_age_has_one_unit() {
        let now = "2026-01-10T00:00:00Z".parse().unwrap();
        for (time, expected) in [
            ("2026-01-09T23:59:01Z", "59s"),
            ("2026-01-09T23:00:00Z", "60m"),
            ("2026-01-09T00:00:00Z", "24h"),
            ("2026-01-01T00:00:00Z", "9d"),
            ("2026-01-10T00:00:05Z", "0s"),
            ("yesterday", "<unknown>"),
        ] {
            assert_eq!(age(Some(time), now), expected, "{time}");
        }
    }
}
