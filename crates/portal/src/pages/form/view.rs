//! Form or YAML, with what is wrong, and quotas -> the pages of both (pure).

use askama::Template;
use serde::Serialize;

use crate::views::{Icon, Layout, Tone, filters, part};

/// The pages `/new?template=…` and `…/edit`, and short forms about a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/edit.html")]
pub struct Edit {
    /// What surrounds it.
    pub layout: Layout,
    /// Of a new workspace: the name of its template.
    pub template: String,
    /// Address of the choice of another. Empty: there is none.
    pub change_template: String,
    /// Quotas.
    pub quotas: Option<Quotas>,
    /// The form.
    pub form: Form,
    /// Values that the form has no field for, which are kept.
    pub kept: Vec<String>,
}

/// The page `…/yaml` and the YAML view of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/yaml.html")]
#[serde(rename_all = "camelCase")]
pub struct Yaml {
    /// What surrounds it.
    pub layout: Layout,
    /// Where it goes, by POST; the text is the field `yaml`. Empty: it is only shown.
    pub to: String,
    /// Where a script sends it after each change. Empty: nowhere.
    pub check: String,
    /// Hidden fields.
    pub hidden: Vec<(String, String)>,
    /// The text.
    pub text: String,
    /// What is wrong.
    pub marks: Marks,
    /// Buttons: name, value and label.
    pub buttons: Vec<(String, String, String)>,
    /// The button `view=form` leads back to a form.
    pub form: bool,
    /// Where `Cancel` leads.
    pub cancel: String,
    /// A command that does it, where nothing can be changed here. Empty: none.
    pub command: String,
}

/// A form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/parts.html", block = "form")]
#[serde(rename_all = "camelCase")]
pub struct Form {
    /// Where it goes, by POST.
    pub to: String,
    /// Where a script sends it after each change (`/new/check`); the answer is a list of parts with ids. Empty: nowhere.
    pub check: String,
    /// Hidden fields, such as `uid`.
    pub hidden: Vec<(String, String)>,
    /// What is wrong.
    pub summary: Summary,
    /// The fields, in sections.
    pub sections: Vec<Section>,
    /// Buttons: name, value and label. The first is the one of the Enter key.
    pub buttons: Vec<(String, String, String)>,
    /// It has a button that shows the same as YAML; it sends `view=yaml` to the same address.
    pub yaml: bool,
    /// Where `Cancel` leads.
    pub cancel: String,
    /// In place of the buttons, where nothing can be changed: a manifest or a command. Empty: the buttons.
    pub command: String,
}

/// Fields under one heading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Section {
    /// Such as `Size`. Empty: no heading.
    pub title: String,
    /// In order.
    pub fields: Vec<Field>,
}

/// One field (`id="field-<name>"`). The `id` of its control is `f-<name>`: errors link there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/parts.html", block = "field")]
pub struct Field {
    /// Name in the form, unique in it: without spaces, such as `spec.resources.limits[nvidia.com/gpu]`.
    pub name: String,
    /// Such as `Memory`.
    pub label: String,
    /// Bound, unit and default, in the label: `1 to 8 GiB, default 2 GiB`. Empty: none.
    pub hint: String,
    /// A sentence. Empty: none.
    pub help: String,
    /// What it is, with its value.
    pub input: Input,
    /// What counts if it is empty, shown in the empty control. Empty: nothing.
    pub placeholder: String,
    /// Whether it must be filled.
    pub required: bool,
    /// Why it cannot be changed. Empty: it can.
    pub fixed: String,
    /// When a change takes effect: `at the next start`, `restarts now`. Empty: it is not changed.
    pub takes_effect: String,
    /// What is wrong with it, in the webhook's words.
    pub errors: Vec<String>,
}

/// What a field is, with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Input {
    /// One line.
    Text {
        /// The value.
        value: String,
        /// Values that the browser proposes.
        suggestions: Vec<String>,
    },
    /// A number or a quantity with its unit, such as `4Gi`.
    Number {
        /// The value. It is sent as it was typed.
        value: String,
        /// `None`: no useful one.
        slider: Option<Slider>,
    },
    /// One of few or many.
    Choice {
        /// The chosen value.
        value: String,
        /// In order.
        choices: Vec<Choice>,
    },
    /// One of few, with signs and descriptions.
    Cards {
        /// The chosen value.
        value: String,
        /// In order.
        cards: Vec<Card>,
        /// Label and text of a further card for another value: the radio button sends `other`, the text `<name>.other`. `None`: no other.
        other: Option<(String, String)>,
    },
}

impl Default for Input {
    fn default() -> Self {
        Self::text("")
    }
}

impl Input {
    /// One line without proposals.
    pub fn text(value: &str) -> Self {
        Self::Text {
            value: value.to_owned(),
            suggestions: Vec::new(),
        }
    }
}

/// A slider beside a field. It has a place for each of these texts of the field; a script adds one for another text that is typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Slider {
    /// Texts of the field, by their amounts; at least one.
    pub values: Vec<String>,
    /// Which of them it stands at: that of the field, or of its default.
    pub at: usize,
}

/// One of several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// Value in the form.
    pub value: String,
    /// Text.
    pub label: String,
}

/// One of several, with sign and description.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Card {
    /// Value in the form.
    pub value: String,
    /// Sign.
    pub icon: Icon,
    /// Name for users.
    pub title: String,
    /// Sentence. Empty: none.
    pub text: String,
    /// Exact value, such as the image. Empty: not shown.
    pub exact: String,
}

/// Everything that is wrong (`id="summary"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/parts.html", block = "summary")]
pub struct Summary {
    /// Heading; empty for the usual one.
    pub title: String,
    /// In the order of the fields. Empty: nothing is wrong; the part is there all the same.
    pub problems: Vec<Problem>,
    /// What holds, such as `The API server would accept this.` Empty: not asked yet.
    pub good: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Name of the field. Empty: of none.
    pub field: String,
    /// Its label, or path.
    pub label: String,
    /// In the webhook's words.
    pub text: String,
}

/// Everything that is wrong (`id="summary"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/parts.html", block = "marks")]
pub struct Marks {
    /// In order of the lines.
    pub marks: Vec<Mark>,
    /// What holds. Empty: not asked yet.
    pub good: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// From 1; 0: not known.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// In UTF-16 units from the beginning, for the caret.
    pub offset: usize,
    /// Path of the field. Empty: none.
    pub path: String,
    /// What is wrong.
    pub text: String,
}

/// Quotas of a namespace (`id="quotas"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/parts.html", block = "quotas")]
pub struct Quotas {
    /// Of this namespace.
    pub namespace: String,
    /// One for each line of each `ResourceQuota`. Empty, and known: nothing is shown.
    pub lines: Vec<QuotaLine>,
    /// Why they are not known. Empty: they are.
    pub absent: String,
}

/// A line of a quota.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct QuotaLine {
    /// Name of the `ResourceQuota`.
    pub quota: String,
    /// Such as `requests.memory`.
    pub resource: String,
    /// What is used.
    pub used: String,
    /// The bound.
    pub hard: String,
    /// What is used of the bound, in percent.
    pub percent: Option<u8>,
    /// `Warn`: nothing is left.
    pub tone: Tone,
}

/// What a label says besides the name.
#[derive(Template)]
#[template(path = "pages/form/parts.html", block = "hints")]
struct Hints<'a> {
    hint: &'a str,
    required: bool,
}

/// Help and errors of a field.
#[derive(Template)]
#[template(path = "pages/form/parts.html", block = "about")]
struct About<'a> {
    name: &'a str,
    help: &'a str,
    takes_effect: &'a str,
    errors: &'a [String],
}

/// Attributes that tie a control to its help and errors.
#[derive(Template)]
#[template(path = "pages/form/parts.html", block = "attributes")]
struct Attributes<'a> {
    name: &'a str,
    placeholder: &'a str,
    required: bool,
    wrong: bool,
}

impl Field {
    fn is_group(&self) -> bool {
        matches!(self.input, Input::Cards { .. })
    }

    /// The value as text, for a field that cannot be changed.
    fn value(&self) -> String {
        match &self.input {
            Input::Text { value, .. } | Input::Number { value, .. } => value.clone(),
            Input::Choice { value, choices } => {
                let chosen = choices.iter().find(|choice| choice.value == *value);
                chosen.map_or_else(|| value.clone(), |choice| choice.label.clone())
            }
            Input::Cards { value, cards, .. } => {
                let chosen = cards.iter().find(|card| card.value == *value);
                chosen.map_or_else(|| value.clone(), |card| card.title.clone())
            }
        }
    }

    fn hints(&self) -> Hints<'_> {
        Hints {
            hint: &self.hint,
            required: self.required,
        }
    }

    fn about(&self) -> About<'_> {
        About {
            name: &self.name,
            help: &self.help,
            takes_effect: &self.takes_effect,
            errors: &self.errors,
        }
    }

    fn attributes(&self) -> Attributes<'_> {
        Attributes {
            name: &self.name,
            placeholder: &self.placeholder,
            required: self.required,
            wrong: !self.errors.is_empty(),
        }
    }
}

part!(
    Form,
    Field,
    Summary,
    Marks,
    Quotas,
    Hints<'_>,
    About<'_>,
    Attributes<'_>
);
