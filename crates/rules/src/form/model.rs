//! Fields of a form -> the types that pages read (pure).

use std::collections::BTreeMap;

use api::template::Icon;

use crate::quantity::Quantity;

/// The fields that a user may set, in the order of the page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Form {
    /// Name of the template, for `spec.templateRef`.
    pub template: Option<String>,
    /// Every control.
    pub fields: Vec<Field>,
}

impl Form {
    /// The field whose control shows a violation at `path`: the field of that path, or the closest one above it. `spec.env[2].value`
    /// belongs to `spec.env`.
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
    /// The part of the page.
    pub group: Group,
    /// Whether it belongs under "More".
    pub is_further: bool,
    /// Its name for people.
    pub label: String,
    /// Its meaning, in one sentence; may be empty.
    pub help: &'static str,
    /// The control.
    pub kind: Kind,
    /// The effective value if the control is empty, as text of the control; `None`: nothing.
    pub default: Option<String>,
    /// Where the default comes from.
    pub default_from: Source,
    /// Whether a new workspace needs a value here: there is no default.
    pub is_required: bool,
    /// Whether it may change, and when a change takes effect.
    pub change: Change,
}

/// A part of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Name, display name, labels that the template requires.
    General,
    /// Image.
    Image,
    /// CPU, memory, GPUs, shared memory.
    Resources,
    /// The home disk and further disks.
    Storage,
    /// When it stops by itself, time limits, update policy.
    Lifetime,
    /// Execution profile, variables, environment variables, port.
    Runtime,
    /// Who may connect and change.
    Access,
}

/// A control.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// One line of text.
    Text {
        /// Longest text, in characters.
        max_length: usize,
        /// The rule for the value, as a sentence or as the template's pattern; `None`: any text.
        rule: Option<String>,
    },
    /// A Kubernetes quantity.
    Quantity {
        /// Smallest admitted value.
        min: Bound,
        /// Largest admitted value.
        max: Bound,
        /// Difference between one value and the next: `1m` of a CPU, one byte, one device.
        step: Quantity,
        /// Values for a slider; `None`: no useful one, because a bound is open or both are the same.
        scale: Option<Scale>,
    },
    /// A whole number.
    Number {
        /// Smallest admitted value.
        min: i32,
        /// Largest admitted value.
        max: i32,
        /// `minutes`, or empty.
        unit: &'static str,
    },
    /// One of these values.
    Choice(Vec<Choice>),
    /// `true` or `false`. Empty is a third state: the default applies. Render it as a choice.
    Toggle {
        /// Values that may be chosen: `false` alone, `true` alone, or both.
        values: Vec<bool>,
    },
    /// One of these images.
    Image {
        /// The images, in the order in which they are offered.
        choices: Vec<ImageChoice>,
        /// Whether any other image may be typed.
        custom: bool,
    },
    /// Environment variables: rows of `spec.env[i].name` with either `spec.env[i].value`,
    /// `spec.env[i].valueFrom.secretKeyRef.{name,key}` or `spec.env[i].valueFrom.configMapKeyRef.{name,key}`.
    Env {
        /// Largest number of rows.
        max: usize,
        /// The template's rules for variables; those that are required and have no default need a row.
        rules: Vec<EnvRule>,
    },
    /// Further disks: rows of `spec.volumes[i].{name,persistentVolumeClaimName,mountPath,readOnly}`.
    Volumes {
        /// Largest number of rows.
        max: usize,
    },
}

/// An end of a range. It belongs to the range.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The amount.
    pub value: Quantity,
    /// The source of the value.
    pub by: By,
}

/// The source of a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The template: worth showing in the label.
    Template,
    /// A bound of any node or container, which need not be shown.
    Nature,
    /// Another field of the workspace, by its path: the size of its disk, or the memory limit that includes shared memory.
    Field(String),
}

/// Values of a slider: `min`, `min + step`, … up to `max`, in whole `unit`s. All of them are admitted.
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

/// The template's rule for one environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvRule {
    /// Name of the variable.
    pub name: String,
    /// Whether the workspace must set it: it is required, and the template has no value for it.
    pub is_required: bool,
    /// Regular expression that the whole value must match.
    pub pattern: Option<String>,
    /// The template's value.
    pub default: Option<String>,
}

/// Where a default comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The template.
    Template,
    /// The settings of the installation, or built-in values.
    Installation,
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
