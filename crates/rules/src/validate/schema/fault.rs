//! Refused value -> its message, and a readable replacement (pure).

use serde_json::Value;

use super::SHOWN;
use super::node::{Node, Range, Shape};
use super::path::Path;
use crate::checks;
use crate::violation::Violation;

/// Message about an empty text.
const EMPTY: &str = "is empty: write a value";
/// Maximum number of field names that a message lists.
const LISTED: usize = 6;

/// What is wrong with a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wrong {
    /// The value is missing.
    Missing,
    /// The type is wrong.
    Shape,
    /// The value is not one of the allowed values.
    Choice,
    Pattern,
    Time,
    Range,
    /// The number of characters or entries is too large or too small.
    Size,
    /// The list contains an equal entry.
    Twice,
}

/// A value that its schema refuses.
pub(super) struct Found<'a, 'p> {
    /// Schema node of the field.
    pub(super) node: &'p Node,
    pub(super) at: Path<'p>,
    pub(super) value: &'a Value,
    pub(super) wrong: Wrong,
    /// Whether the field is required.
    pub(super) is_required: bool,
}

/// A value that the API server would refuse.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) violation: Violation,
    replacement: Option<Replacement>,
}

/// The replacement that makes an object with an unreadable value readable.
#[derive(Debug)]
struct Replacement {
    steps: Vec<String>,
    /// `None`: the field is removed.
    value: Option<Value>,
}

impl Fault {
    /// Writes the replacement into `spec`.
    pub(super) fn make_readable(&self, spec: &mut Value) {
        let Some(Replacement { steps, value }) = &self.replacement else {
            return;
        };
        let Some((last, above)) = steps.split_last() else {
            *spec = value.clone().unwrap_or_default();
            return;
        };
        let parent = above.iter().try_fold(spec, |value, step| match value {
            Value::Object(fields) => fields.get_mut(step),
            Value::Array(entries) => entries.get_mut(step.parse::<usize>().ok()?),
            _ => None,
        });
        match (parent, value) {
            (Some(Value::Object(fields)), Some(value)) => {
                fields.insert(last.clone(), value.clone());
            }
            (Some(Value::Object(fields)), None) => {
                fields.remove(last);
            }
            (Some(Value::Array(entries)), value) => {
                let entry = last.parse().ok().and_then(|index: usize| entries.get_mut(index));
                if let (Some(entry), Some(value)) = (entry, value) {
                    *entry = value.clone();
                }
            }
            _ => {}
        }
    }
}

impl Found<'_, '_> {
    pub(super) fn fault(&self) -> Fault {
        Fault {
            violation: self.message(),
            replacement: self.is_unreadable().then(|| Replacement {
                steps: self.at.steps(),
                value: self.is_required.then(|| self.node.replacement()),
            }),
        }
    }

    /// Whether typed programs cannot deserialize the value.
    fn is_unreadable(&self) -> bool {
        match self.wrong {
            Wrong::Missing | Wrong::Shape | Wrong::Choice | Wrong::Time => true,
            Wrong::Range => self
                .value
                .as_i64()
                .is_none_or(|number| !self.node.range.representable().contains(&number)),
            Wrong::Pattern | Wrong::Size | Wrong::Twice => false,
        }
    }

    fn message(&self) -> Violation {
        let shown = match self.value {
            Value::String(text) => text.chars().take(SHOWN).collect(),
            Value::Bool(_) | Value::Number(_) => self.value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
        };
        let field = self.at.to_string();
        let is_empty = self.value == "";
        let node = self.node;
        let rule = match self.wrong {
            Wrong::Missing => "is missing: set it".to_owned(),
            Wrong::Shape => self.of_type(),
            Wrong::Choice => format!(
                "may not be written here: choose one of {}",
                node.choices.join(", ")
            ),
            Wrong::Pattern | Wrong::Size if is_empty => EMPTY.to_owned(),
            Wrong::Pattern => node.pattern.map_or("", |message| message.rule).to_owned(),
            Wrong::Time => {
                return checks::time(&field, &shown)
                    .unwrap_or_else(|| Violation::new(field, shown, "is no time"));
            }
            Wrong::Range => of_range(self.value, node.range),
            Wrong::Size => of_size(self.value, node.size),
            Wrong::Twice => "is set twice: leave one out".to_owned(),
        };
        Violation::new(field, shown, rule)
    }

    fn of_type(&self) -> String {
        let rule = match (self.node.shape, self.value) {
            (_, Value::Null) => "is empty: write a value, or leave it out",
            (Shape::Text, Value::Bool(_) | Value::Number(_)) => "is no text: put it in quotes",
            (Shape::Text, _) => "is no text: write one value",
            (Shape::Number, Value::String(text)) if text.parse::<i64>().is_ok() => {
                "is a text: write the number without quotes"
            }
            (Shape::Number, _) => return format!("is no whole number: {}", number_of(self.at.name())),
            (Shape::NumberOrText, Value::Number(_)) => {
                "is no whole number of at most 18 digits: put it in quotes"
            }
            (Shape::NumberOrText, _) => "is neither a whole number nor a text: write one of them",
            (Shape::Flag, Value::String(text)) if matches!(text.as_str(), "true" | "false") => {
                "is a text: write it without quotes"
            }
            (Shape::Flag, _) => "is neither true nor false: write one of them, without quotes",
            (Shape::List, _) => "is no list: write each entry on a line of its own, with '- ' in front",
            (Shape::Object | Shape::Any, _) => return with_fields(self.node),
        };
        rule.to_owned()
    }
}

/// The hint for a field that must be a number.
fn number_of(name: &str) -> &'static str {
    if name.ends_with("Minutes") {
        "write how many minutes, such as 30, without a unit"
    } else if name.ends_with("Seconds") {
        "write how many seconds, such as 30, without a unit"
    } else {
        "write digits alone, without quotes and without a unit"
    }
}

fn with_fields(node: &Node) -> String {
    let names: Vec<_> = node.fields.keys().take(LISTED).map(String::as_str).collect();
    if names.is_empty() {
        return "holds no fields: write 'name: value' on lines below it, or {}".to_owned();
    }
    let more = if node.fields.len() > LISTED { ", …" } else { "" };
    format!(
        "holds no fields: write its own on lines below it ({}{more})",
        names.join(", ")
    )
}

fn of_range(value: &Value, range: Range) -> String {
    let accepted = range.accepted();
    let (least, most) = (accepted.start(), accepted.end());
    let written = value.as_str().and_then(|text| text.parse().ok());
    let is_more = match value.as_i64().or(written) {
        Some(number) => number > *most,
        None => value.as_f64().is_some_and(|number| number > 0.0),
    };
    let rule = if is_more {
        format!("is more than the maximum {most}")
    } else {
        format!("is less than the minimum {least}")
    };
    match (range.least, is_more) {
        (Some(least), _) => format!("{rule}: choose {least} to {most}"),
        (None, true) => format!("{rule}: choose {most} or less"),
        (None, false) => format!("{rule}: choose {least} or more"),
    }
}

fn of_size(value: &Value, (least, most): (u64, Option<u64>)) -> String {
    let (has, what, less) = match value {
        Value::String(text) => (text.chars().count(), "characters", "shorten it"),
        Value::Array(entries) => (entries.len(), "entries", "leave some out"),
        Value::Object(fields) => (fields.len(), "entries", "leave some out"),
        Value::Null | Value::Bool(_) | Value::Number(_) => (0, "entries", "leave some out"),
    };
    match most {
        Some(most) if has as u64 > most => format!("has {has} {what}, more than the maximum {most}: {less}"),
        _ => format!("has {has} {what}, fewer than the minimum {least}: add some"),
    }
}
