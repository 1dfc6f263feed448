//! Schema of a definition and a value -> fields that the API server would refuse or drop (pure).
//!
//! Its CEL rules are not run: `rules` has the same, and `contradictions` those that it has not.

use std::collections::BTreeMap;

use regex::Regex;
use rules::Violation;
use serde_json::Value;

use crate::path::Path;

/// What is wrong with a field that is not there.
pub(crate) const MISSING: &str = "must be set";

/// A schema with its patterns.
#[derive(Debug)]
pub(crate) struct Schema {
    root: Value,
    patterns: BTreeMap<String, Regex>,
}

impl Schema {
    /// The schema of a definition's `spec`.
    pub(crate) fn new(definition: &Value) -> Self {
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let root = schema["properties"]["spec"].clone();
        let mut patterns = BTreeMap::new();
        find_patterns(&root, &mut patterns);
        Self { root, patterns }
    }

    /// What is wrong with a spec.
    pub(crate) fn violations(&self, spec: &Value) -> Vec<Violation> {
        let mut found = Vec::new();
        self.check(&self.root, spec, &Path::of("spec"), &mut found);
        found
    }

    fn check(&self, schema: &Value, value: &Value, at: &Path, found: &mut Vec<Violation>) {
        if schema["x-kubernetes-preserve-unknown-fields"] == true {
            return;
        }
        let rule = match value {
            Value::Null if schema["nullable"] == true => None,
            _ if !is_of_type(schema, value) => Some("has another type than this field".to_owned()),
            Value::String(text) => self.text(schema, text),
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                let (min, max) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
                let is_out = min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max);
                is_out.then(|| "is out of the field's range".to_owned())
            }
            Value::Array(items) => {
                let most = most(schema, "maxItems");
                for (index, item) in items.iter().enumerate() {
                    let at = at.index(index);
                    if index >= most {
                        let rule = format!("is one more than the list may hold, which is {most}");
                        found.push(Violation::new(at.to_string(), "", rule));
                    } else {
                        self.check(&schema["items"], item, &at, found);
                    }
                }
                None
            }
            Value::Object(fields) => {
                let known = schema["properties"].as_object();
                let any = &schema["additionalProperties"];
                let most = most(schema, "maxProperties");
                for (place, (name, inner)) in fields.iter().enumerate() {
                    let at = at.key(name);
                    match known.and_then(|known| known.get(name)) {
                        Some(schema) => self.check(schema, inner, &at, found),
                        None if !any.is_object() => {
                            found.push(Violation::new(at.to_string(), "", "is no field here"));
                        }
                        None if place >= most => {
                            let rule = format!("is one more than the field may hold, which is {most}");
                            found.push(Violation::new(at.to_string(), "", rule));
                        }
                        None => self.check(any, inner, &at, found),
                    }
                }
                let required = schema["required"].as_array().into_iter().flatten();
                for name in required.filter_map(Value::as_str) {
                    if !fields.contains_key(name) {
                        found.push(Violation::new(at.key(name).to_string(), "", MISSING));
                    }
                }
                None
            }
            _ => None,
        };
        found.extend(rule.map(|rule| Violation::new(at.to_string(), "", rule)));
    }

    fn text(&self, schema: &Value, text: &str) -> Option<String> {
        let length = text.chars().count();
        let most = most(schema, "maxLength");
        let pattern = schema["pattern"].as_str();
        if length > most {
            Some(format!("must have at most {most} characters"))
        } else if schema["minLength"]
            .as_u64()
            .is_some_and(|least| (length as u64) < least)
        {
            Some("is too short".to_owned())
        } else if let Some(values) = schema["enum"].as_array()
            && !values.iter().any(|value| value == text)
        {
            Some("must be one of the field's values".to_owned())
        } else if let Some(pattern) = pattern
            && !self.patterns.get(pattern).is_some_and(|it| it.is_match(text))
        {
            Some(format!("must match {pattern}"))
        } else {
            None
        }
    }
}

fn most(schema: &Value, name: &str) -> usize {
    let most = schema[name].as_u64();
    most.and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX)
}

fn is_of_type(schema: &Value, value: &Value) -> bool {
    if schema["x-kubernetes-int-or-string"] == true {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => {
            let is_32 = schema["format"] == "int32";
            value
                .as_i64()
                .is_some_and(|number| !is_32 || i32::try_from(number).is_ok())
        }
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    }
}

fn find_patterns(schema: &Value, found: &mut BTreeMap<String, Regex>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(pattern)) = fields.get("pattern")
                && let Ok(regex) = Regex::new(pattern)
            {
                found.insert(pattern.clone(), regex);
            }
            fields.values().for_each(|inner| find_patterns(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| find_patterns(inner, found)),
        _ => {}
    }
}
