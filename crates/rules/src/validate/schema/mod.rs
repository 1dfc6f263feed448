//! Object and schema of its kind -> readable violations of that schema (pure).
//!
//! - `fault`: a refused value -> its message
//! - `node`: the rules of a schema
//! - `path`: the path of a field as text
//! - `patterns`: a pattern -> its message
//!
//! The API server reports a wrong text only as "should match '^[a-z…'", and a wrong type only by the type.
//! It does so before any other rule is checked.
//! The rules stay in the schema: they hold without a webhook, and cost least there.
//! The webhook runs before the schema check, and reports these violations readably, together with all others.
//! This code stays beside the API server's own check: without it users would get patterns instead of remedies, and one round of errors
//! after the other (docs/decisions/0002). `messageExpression` covers neither types, enums, sizes nor missing fields.

mod fault;
mod node;
mod path;
mod patterns;

use std::collections::HashSet;
use std::ops::ControlFlow;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value};

use crate::checks;
use crate::violation::Violation;
use fault::{Fault, Found, Wrong};
use node::{Node, Shape};
use path::Path;

/// Maximum number of violations in one answer. The object's size is not limited at this point.
const MAX_FAULTS: usize = 50;
/// Maximum length of a text, or of a map's key, in messages (characters).
const SHOWN: usize = 100;

/// The schema of the spec of one kind.
#[derive(Debug, Default)]
pub struct Schema(Node);

/// Values that the API server would refuse.
#[derive(Debug)]
pub struct Faults(Vec<Fault>);

/// Placeholder for a value that is absent.
static NOTHING: Value = Value::Null;

type Take<'t, 'a> = dyn FnMut(Found<'a, '_>) -> ControlFlow<()> + 't;

/// The whole schema of the kind's newest version; null if there is none.
pub(crate) fn newest(definition: &CustomResourceDefinition) -> Value {
    let version = definition.spec.versions.last();
    let schema = version.and_then(|version| serde_json::to_value(&version.schema).ok());
    schema.map_or(Value::Null, |mut schema| schema["openAPIV3Schema"].take())
}

impl Schema {
    /// The schema of the spec in the kind's newest version.
    pub fn of(definition: &CustomResourceDefinition) -> Self {
        let schema = newest(definition);
        let spec = schema.pointer("/properties/spec");
        Self(spec.map(Node::of).unwrap_or_default())
    }

    /// Violations in `spec`, limited in number. Values that `stored` already has in the same field do not count, independent of their list
    /// index or key.
    /// Like in the API server, values that were stored before a rule existed remain valid.
    pub fn faults(&self, spec: &Value, stored: Option<&Value>) -> Faults {
        let mut known: Option<HashSet<(*const Node, &Value)>> = None;
        let mut faults = Vec::new();
        let _: ControlFlow<()> = self.walk(spec, &mut |found| {
            let known = known.get_or_insert_with(|| self.all(stored));
            if !known.contains(&(std::ptr::from_ref(found.node), found.value)) {
                faults.push(found.fault());
            }
            if faults.len() < MAX_FAULTS {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        Faults(faults)
    }

    /// All refused values, each with its schema node.
    fn all<'a>(&self, spec: Option<&'a Value>) -> HashSet<(*const Node, &'a Value)> {
        let mut all = HashSet::new();
        if let Some(spec) = spec {
            let _: ControlFlow<()> = self.walk(spec, &mut |found| {
                all.insert((std::ptr::from_ref(found.node), found.value));
                ControlFlow::Continue(())
            });
        }
        all
    }

    fn walk<'a>(&self, spec: &'a Value, take: &mut Take<'_, 'a>) -> ControlFlow<()> {
        let at = Path::Spec;
        if spec.is_null() {
            let missing = Place {
                at,
                is_required: true,
            }
            .found(&self.0, spec, Wrong::Missing);
            return take(missing);
        }
        Place {
            at,
            is_required: true,
        }
        .visit(&self.0, spec, take)
    }
}

impl Faults {
    /// Whether there are no violations.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A message about each violation.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter().map(|fault| &fault.violation)
    }

    /// Whether `violation` is about an already reported value, or about a part of it.
    pub fn covers(&self, violation: &Violation) -> bool {
        self.violations().any(|message| {
            let rest = violation.field.strip_prefix(&message.field);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Whether the list is complete. The search stops at the maximum.
    pub fn is_complete(&self) -> bool {
        self.0.len() < MAX_FAULTS
    }

    /// Replaces unreadable values in `spec` by readable ones, so that other rules can check the rest.
    pub fn make_readable(&self, spec: &mut Value) {
        for fault in &self.0 {
            fault.make_readable(spec);
        }
    }
}

/// Place of a value.
#[derive(Clone, Copy)]
struct Place<'p> {
    at: Path<'p>,
    /// Whether the field is required.
    is_required: bool,
}

impl<'p> Place<'p> {
    fn found<'a>(self, node: &'p Node, value: &'a Value, wrong: Wrong) -> Found<'a, 'p> {
        Found {
            node,
            at: self.at,
            value,
            wrong,
            is_required: self.is_required,
        }
    }

    /// Passes each refused value to `take`, until `take` stops the search.
    fn visit<'a>(self, node: &Node, value: &'a Value, take: &mut Take<'_, 'a>) -> ControlFlow<()> {
        if value.is_null() && (node.is_nullable || node.shape == Shape::Any) {
            return ControlFlow::Continue(());
        }
        let tell = |wrong: Wrong, take: &mut Take<'_, 'a>| take(self.found(node, value, wrong));
        match (node.shape, value) {
            (Shape::Text | Shape::NumberOrText, Value::String(text)) => {
                for wrong in of_text(node, text) {
                    tell(wrong, take)?;
                }
            }
            (Shape::Number, Value::Number(number)) => {
                let is_whole = number.is_i64() || number.is_u64() || number.as_f64().is_some_and(is_huge);
                let is_taken = number
                    .as_i64()
                    .is_some_and(|it| node.range.accepted().contains(&it));
                if !is_whole {
                    tell(Wrong::Shape, take)?;
                } else if !is_taken {
                    tell(Wrong::Range, take)?;
                }
            }
            (Shape::Number, Value::String(text)) => {
                tell(Wrong::Shape, take)?;
                if text.parse().is_ok_and(|it| !node.range.accepted().contains(&it)) {
                    tell(Wrong::Range, take)?;
                }
            }
            (Shape::NumberOrText, Value::Number(number)) => {
                if number.as_i64().is_none() {
                    tell(Wrong::Shape, take)?;
                }
            }
            (Shape::List, Value::Array(entries)) => {
                if !fits(entries.len(), node.size) {
                    tell(Wrong::Size, take)?;
                }
                self.each(node, entries, take)?;
            }
            (Shape::Object | Shape::Any, Value::Object(fields)) => {
                if !fits(fields.len(), node.size) {
                    tell(Wrong::Size, take)?;
                }
                self.fields(node, fields, take)?;
            }
            (Shape::Flag, Value::Bool(_)) | (Shape::Any, _) => {}
            _ => tell(Wrong::Shape, take)?,
        }
        ControlFlow::Continue(())
    }

    fn each<'a>(self, node: &Node, entries: &'a [Value], take: &mut Take<'_, 'a>) -> ControlFlow<()> {
        let mut seen = HashSet::new();
        for (index, entry) in entries.iter().enumerate() {
            let at = Path::Index(&self.at, index);
            let place = Place {
                at,
                is_required: true,
            };
            if let Some(each) = &node.each {
                place.visit(each, entry, take)?;
            }
            let Some(names) = &node.unique else { continue };
            let keys = names
                .iter()
                .map(|name| entry.get(name))
                .collect::<Option<Vec<_>>>();
            let Some(keys) = keys else { continue };
            let is_new = if keys.is_empty() {
                seen.insert(vec![entry])
            } else {
                seen.insert(keys.clone())
            };
            if is_new {
                continue;
            }
            match (names.as_slice(), keys.as_slice()) {
                ([name], [key]) => {
                    let at = Path::Field(&at, name);
                    take(
                        Place {
                            at,
                            is_required: true,
                        }
                        .found(node, key, Wrong::Twice),
                    )?;
                }
                _ => take(place.found(node, entry, Wrong::Twice))?,
            }
        }
        ControlFlow::Continue(())
    }

    fn fields<'a>(
        self,
        node: &Node,
        fields: &'a Map<String, Value>,
        take: &mut Take<'_, 'a>,
    ) -> ControlFlow<()> {
        for (name, value) in fields {
            if let Some(field) = node.fields.get(name) {
                // The API server drops a null value of a field that is not nullable.
                if !value.is_null() {
                    let is_required = node.required.contains(name);
                    let at = Path::Field(&self.at, name);
                    Place { at, is_required }.visit(field, value, take)?;
                }
            } else if let Some(each) = node.each.as_deref().filter(|_| !value.is_null()) {
                let at = Path::Key(&self.at, name);
                // A refused text in a map is replaced, not removed. Otherwise the map could look as if it was not set.
                let is_required = each.shape == Shape::Text;
                Place { at, is_required }.visit(each, value, take)?;
            }
        }
        for name in &node.required {
            let Some(field) = node.fields.get(name) else {
                continue;
            };
            let is_missing = match fields.get(name) {
                None => true,
                Some(value) => value.is_null() && !field.is_nullable,
            };
            if is_missing {
                let at = Path::Field(&self.at, name);
                take(
                    Place {
                        at,
                        is_required: true,
                    }
                    .found(field, &NOTHING, Wrong::Missing),
                )?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Violations of a text.
fn of_text(node: &Node, text: &str) -> impl Iterator<Item = Wrong> {
    let is_choice = node.choices.is_empty() || node.choices.iter().any(|choice| choice == text);
    let is_time = !node.is_time || checks::time("", text).is_none();
    let matches = node.pattern.is_none_or(|message| message.pattern.is_match(text));
    // An empty text is reported once.
    let is_sized = fits(text.chars().count(), node.size) || (text.is_empty() && !matches);
    [
        (!is_choice).then_some(Wrong::Choice),
        (!is_time).then_some(Wrong::Time),
        (!matches).then_some(Wrong::Pattern),
        (!is_sized).then_some(Wrong::Size),
    ]
    .into_iter()
    .flatten()
}

fn fits(count: usize, (least, most): (u64, Option<u64>)) -> bool {
    let count = count as u64;
    count >= least && most.is_none_or(|most| count <= most)
}

/// Whether the number is too large to have a fraction.
fn is_huge(number: f64) -> bool {
    number.abs() >= 9e18
}

#[cfg(test)]
mod tests;
