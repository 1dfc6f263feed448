//! Fields of a form -> the types that pages read (pure).

use std::collections::BTreeMap;

use api::template::Icon;

use crate::quantity::Quantity;

/// The fields that a user may set, in the order of the page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Form {
    /// Every control.
    pub fields: Vec<Field>,
}

impl Form {
    /// The field whose control shows a violation at `path`: the field of that path, or the closest one above it.
    pub fn field_of(&self, path: &str) -> Option<&Field> {
        let above = |field: &&Field| {
            let rest = path.strip_prefix(field.path.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.fields
            .iter()
            .filter(above)
            .max_by_key(|field| field.path.len())
    }

    /// The field of exactly this path.
    pub fn field(&self, path: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.path == path)
    }
}

/// One control. Its name in the HTML form is its path.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Path in the object, such as `spec.resources.limits.cpu` or `spec.resources.limits[nvidia.com/gpu]`, as violations name it.
    pub path: String,
    /// The heading above it; may be empty.
    pub section: &'static str,
    /// Its name for people.
    pub label: String,
    /// Its meaning, in one sentence; may be empty.
    pub help: String,
    /// The control.
    pub kind: Kind,
    /// The effective value if the control is empty, as text of the control; `None`: nothing.
    pub default: Option<String>,
    /// Whether a new workspace needs a value here: there is no default.
    pub is_required: bool,
    /// Whether it may change, and when a change takes effect.
    pub change: Change,
}

/// A control.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// One line of text.
    Text {
        /// The rule for the value, as a sentence or as the template's pattern; `None`: any text.
        rule: Option<String>,
    },
    /// A Kubernetes quantity.
    Quantity {
        /// Smallest value of the template.
        min: Option<Quantity>,
        /// Largest value of the template.
        max: Option<Quantity>,
        /// Values for a slider; `None`: no useful one.
        scale: Option<Scale>,
    },
    /// A whole number.
    Number {
        /// Smallest value.
        min: i32,
        /// Largest value.
        max: i32,
        /// Such as `minutes`.
        unit: &'static str,
    },
    /// One of these values; `true` and `false` are no texts.
    Choice(Vec<Choice>),
    /// One of the choices that the template's option has beside the other chosen ones.
    Option(Vec<Choice>),
    /// One of these images.
    Image {
        /// The images, in the order in which they are offered.
        choices: Vec<ImageChoice>,
        /// Whether any other image may be typed.
        custom: bool,
    },
}

/// Values of a slider: `min`, `min + step`, … up to `max`, in whole `unit`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Suffix of the quantity: empty, `m`, `Mi`, `Gi`. [`Scale::text`] writes the quantity.
    pub unit: &'static str,
    /// First value.
    pub min: u64,
    /// Last value.
    pub max: u64,
    /// Distance.
    pub step: u64,
}

impl Scale {
    /// The quantity for `number`, in its usual notation: `1` for 1000 `m`.
    pub fn text(&self, number: u64) -> String {
        let written = format!("{number}{}", self.unit);
        written
            .parse()
            .map_or(written, |value: Quantity| value.to_string())
    }
}

/// One value of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The value in the object.
    pub value: String,
    /// Its name for people.
    pub label: String,
    /// Its meaning; may be empty.
    pub help: String,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageChoice {
    /// Image or alias: the value in the object.
    pub image: String,
    /// Name by the template's presentation, else the last part of the image's name.
    pub display_name: String,
    /// Its purpose.
    pub description: Option<String>,
    /// Its icon, else the template's.
    pub icon: Icon,
    /// Whether it is the default.
    pub is_default: bool,
}

/// Whether a field may change, and when a change takes effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The workspace is a new one.
    New,
    /// At once, without a restart.
    Now,
    /// At the next start.
    NextStart,
    /// At once, and the pod is replaced: `updatePolicy: Always`.
    RestartsNow,
    /// Never; why, and what to do, as end of a sentence about the field. The control is shown disabled; another value is refused.
    Refused(String),
}

/// Values of the controls by their names, as a form sends them. An empty value unsets the field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(pub BTreeMap<String, String>);

impl Values {
    /// The value of a control; `None`: it was not sent.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }
}
