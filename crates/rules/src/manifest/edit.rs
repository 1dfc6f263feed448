//! Text and a changed workspace -> text with the changes, with its comments and order (pure).

use api::Workspace;
use serde_json::Value;

use super::check::workspace as read;
use super::document::{Inner, Node};
use super::write::{entry_lines, scalar};
use crate::form::{Form, Kind};

/// The text with what `workspace` has in the fields of the form. `None`: the text cannot be changed in place; then [`super::yaml`] writes
/// another one.
pub fn edited(text: &str, form: &Form, workspace: &Workspace) -> Option<String> {
    let wanted = serde_json::to_value(workspace).ok()?;
    let mut text = text.to_owned();
    for field in &form.fields {
        let manifest = read(&text).ok()?;
        let given = serde_json::to_value(&manifest.workspace).ok()?;
        let steps = steps(&field.path);
        let (before, after) = (get(&given, &steps), get(&wanted, &steps));
        if before == after {
            continue;
        }
        let is_list = matches!(field.kind, Kind::Env { .. } | Kind::Volumes { .. });
        text = changed(&text, &manifest.document.root, &steps, after, is_list)?;
    }
    let result = read(&text).ok()?;
    // Whatever is left, such as a map that is empty now, is written anew.
    (result.workspace.spec == workspace.spec).then_some(text)
}

fn steps(path: &str) -> Vec<&str> {
    let (names, key) = match path.split_once('[') {
        Some((names, key)) => (names, key.strip_suffix(']')),
        None => (path, None),
    };
    names.split('.').chain(key).collect()
}

fn get<'v>(value: &'v Value, steps: &[&str]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| value.get(*step))
}

fn changed(text: &str, root: &Node, steps: &[&str], after: Option<&Value>, is_list: bool) -> Option<String> {
    let mut node = root;
    for (depth, step) in steps.iter().enumerate() {
        let Inner::Map(entries) = &node.inner else {
            return None;
        };
        let Some(entry) = entries.iter().find(|entry| entry.key == **step) else {
            // The first entry of a map in lines of their own shows where the new one goes.
            let first = entries.first()?;
            let start = above_comments(text, line_start(text, first.start)?);
            let lines = entry_lines(&steps[depth..], after?, first.place.column - 1);
            return Some(format!("{}{lines}{}", &text[..start], &text[start..]));
        };
        if depth + 1 < steps.len() {
            node = &entry.node;
            continue;
        }
        let (start, end) = entry.node.bytes;
        return match (after, &entry.node.inner) {
            (Some(value), Inner::Leaf) if !is_list => {
                Some(format!("{}{}{}", &text[..start], scalar(value), &text[end..]))
            }
            (after, _) => {
                let start = line_start(text, entry.start)?;
                let end = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
                let lines = after.map(|value| entry_lines(&steps[depth..], value, entry.place.column - 1));
                Some(format!(
                    "{}{}{}",
                    &text[..start],
                    lines.unwrap_or_default(),
                    &text[end..]
                ))
            }
        };
    }
    None
}

/// Where the line of `at` begins, if there are only spaces before.
fn line_start(text: &str, at: usize) -> Option<usize> {
    let before = text.get(..at)?;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    before[start..].chars().all(|c| c == ' ').then_some(start)
}

/// The start of the comment lines right above the line that begins at `start`: they belong to it.
fn above_comments(text: &str, start: usize) -> usize {
    let mut start = start;
    while let Some(line) = text[..start]
        .strip_suffix('\n')
        .and_then(|above| above.rsplit('\n').next())
        && line.trim_start().starts_with('#')
    {
        start -= line.len() + 1;
    }
    start
}
