//! Schema of the CRD -> its rules, as far as there are readable messages for them (pure).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::patterns::{PatternRule, rule_of};

/// The rules of a schema for one value.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) shape: Shape,
    pub(super) is_nullable: bool,
    pub(super) is_time: bool,
    pub(super) pattern: Option<&'static PatternRule>,
    /// Allowed texts; empty: any text.
    pub(super) choices: Vec<String>,
    pub(super) range: Range,
    /// Minimum and maximum number of characters or entries.
    pub(super) size: (u64, Option<u64>),
    pub(super) fields: BTreeMap<String, Self>,
    pub(super) required: Vec<String>,
    /// Schema of each list entry or map value.
    pub(super) each: Option<Box<Self>>,
    /// Fields whose values must be unique in a list; empty: the whole entry must be unique.
    pub(super) unique: Option<Vec<String>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Any value: this code does not know the schema's type.
    #[default]
    Any,
    Text,
    Number,
    Flag,
    List,
    Object,
    NumberOrText,
}

/// Allowed numbers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Range {
    pub(super) least: Option<i64>,
    pub(super) most: Option<i64>,
    /// Whether the number is a 32-bit integer in our programs.
    pub(super) is_small: bool,
}

impl Range {
    /// Numbers that our programs can represent, even if the schema allows others.
    pub(super) fn representable(self) -> RangeInclusive<i64> {
        if self.is_small {
            i64::from(i32::MIN)..=i64::from(i32::MAX)
        } else {
            i64::MIN..=i64::MAX
        }
    }

    pub(super) fn accepted(self) -> RangeInclusive<i64> {
        let representable = self.representable();
        self.least.unwrap_or(i64::MIN).max(*representable.start())
            ..=self.most.unwrap_or(i64::MAX).min(*representable.end())
    }
}

impl Node {
    pub(super) fn of(schema: &Value) -> Self {
        let texts = |key: &str| -> Vec<String> {
            let all = schema[key].as_array().into_iter().flatten();
            all.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let fields: BTreeMap<_, _> = schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.clone(), Self::of(schema)))
            .collect();
        let each = ["items", "additionalProperties"]
            .iter()
            .find_map(|key| schema.get(key).filter(|each| each.is_object()));
        let number = |keys: [&str; 3]| keys.iter().find_map(|key| schema[key].as_u64());
        let bound = |key: &str| schema[key].as_f64().and_then(whole);
        let unique = match schema["x-kubernetes-list-type"].as_str() {
            Some("map") => Some(texts("x-kubernetes-list-map-keys")),
            Some("set") => Some(Vec::new()),
            _ => None,
        };
        Self {
            shape: Shape::of(schema),
            is_nullable: schema["nullable"] == true,
            is_time: schema["format"] == "date-time",
            pattern: schema["pattern"].as_str().and_then(rule_of),
            choices: texts("enum"),
            range: Range {
                least: bound("minimum"),
                most: bound("maximum"),
                is_small: schema["format"] == "int32",
            },
            size: (
                number(["minLength", "minItems", "minProperties"]).unwrap_or_default(),
                number(["maxLength", "maxItems", "maxProperties"]),
            ),
            fields,
            required: texts("required"),
            each: each.map(|each| Box::new(Self::of(each))),
            unique,
        }
    }

    /// A readable replacement for an unreadable value.
    pub(super) fn replacement(&self) -> Value {
        match self.shape {
            Shape::Any => Value::Null,
            Shape::Text if self.is_time => json!("1970-01-01T00:00:00Z"),
            Shape::Text => json!(self.choices.first().map_or("", String::as_str)),
            Shape::Number | Shape::NumberOrText => json!(self.range.least.unwrap_or_default()),
            Shape::Flag => json!(false),
            Shape::List => json!([]),
            Shape::Object => {
                let needed = self.required.iter();
                let needed =
                    needed.filter_map(|name| Some((name.clone(), self.fields.get(name)?.replacement())));
                Value::Object(needed.collect::<Map<_, _>>())
            }
        }
    }
}

impl Shape {
    fn of(schema: &Value) -> Self {
        if schema["x-kubernetes-int-or-string"] == true {
            return Self::NumberOrText;
        }
        match schema["type"].as_str() {
            Some("string") => Self::Text,
            Some("integer") => Self::Number,
            Some("boolean") => Self::Flag,
            Some("array") => Self::List,
            Some("object") => Self::Object,
            _ => Self::Any,
        }
    }
}

/// Converts a bound. Bounds are whole numbers, but stored as floats.
fn whole(bound: f64) -> Option<i64> {
    serde_json::from_str(&format!("{bound:.0}")).ok()
}
