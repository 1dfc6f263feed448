//! Form or YAML, with what is wrong, and quotas -> the pages of both (pure).

use askama::Template;
use serde::Serialize;

use crate::views::{Icon, Layout, Tone, filters, part};

/// The pages `/new?template=…` and `…/edit`, and short forms about a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/edit.html")]
pub(crate) struct Edit {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// Of a new workspace: the name of its template.
    pub(crate) template: String,
    /// Address of the choice of another. Empty: there is none.
    pub(crate) change_template: String,
    /// Quotas.
    pub(crate) quotas: Option<Quotas>,
    /// The form.
    pub(crate) form: Form,
    /// Values that the form has no field for, which are kept.
    pub(crate) kept: Vec<String>,
}

/// The page `…/yaml` and the YAML view of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/yaml.html")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Yaml {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// Where it goes, by POST; the text is the field `yaml`. Empty: it is only shown.
    pub(crate) to: String,
    /// Where a script sends it after each change. Empty: nowhere.
    pub(crate) check: String,
    /// Hidden fields.
    pub(crate) hidden: Vec<(String, String)>,
    /// The text.
    pub(crate) text: String,
    /// What is wrong.
    pub(crate) marks: Marks,
    /// Buttons: name, value and label.
    pub(crate) buttons: Vec<(String, String, String)>,
    /// The button `view=form` leads back to a form.
    pub(crate) form: bool,
    /// Where `Cancel` leads.
    pub(crate) cancel: String,
    /// A command that does it, where nothing can be changed here. Empty: none.
    pub(crate) command: String,
}

/// A form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/parts.html", block = "form")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Form {
    /// Where it goes, by POST.
    pub(crate) to: String,
    /// Where a script sends it after each change (`/new/check`); the answer is a list of parts with ids. Empty: nowhere.
    pub(crate) check: String,
    /// Hidden fields, such as `uid`.
    pub(crate) hidden: Vec<(String, String)>,
    /// What is wrong.
    pub(crate) summary: Summary,
    /// The fields, in sections.
    pub(crate) sections: Vec<Section>,
    /// Buttons: name, value and label. The first is the one of the Enter key.
    pub(crate) buttons: Vec<(String, String, String)>,
    /// It has a button that shows the same as YAML; it sends `view=yaml` to the same address.
    pub(crate) yaml: bool,
    /// Where `Cancel` leads.
    pub(crate) cancel: String,
    /// In place of the buttons, where nothing can be changed: a manifest or a command. Empty: the buttons.
    pub(crate) command: String,
}

/// Fields under one heading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/parts.html", block = "section")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Section {
    /// Such as `Size`. Empty: no heading.
    pub(crate) title: String,
    /// The `id` of its part. Its fields depend on what is chosen. Empty: they do not, and it is no part.
    pub(crate) id: String,
    /// In order.
    pub(crate) fields: Vec<Field>,
}

/// One field (`id="field-<name>"`). The `id` of its control is `f-<name>`: errors link there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/parts.html", block = "field")]
pub(crate) struct Field {
    /// Name in the form, unique in it: without spaces, such as `spec.resources.limits[nvidia.com/gpu]`.
    pub(crate) name: String,
    /// Such as `Memory`.
    pub(crate) label: String,
    /// Bound, unit and default, in the label: `1 to 8 GiB, default 2 GiB`. Empty: none.
    pub(crate) hint: String,
    /// A sentence. Empty: none.
    pub(crate) help: String,
    /// What it is, with its value.
    pub(crate) input: Input,
    /// What counts if it is empty, shown in the empty control. Empty: nothing.
    pub(crate) placeholder: String,
    /// Whether it must be filled.
    pub(crate) required: bool,
    /// Why it cannot be changed. Empty: it can.
    pub(crate) fixed: String,
    /// When a change takes effect: `at the next start`, `restarts now`. Empty: it is not changed.
    pub(crate) takes_effect: String,
    /// What is wrong with it, in the webhook's words.
    pub(crate) errors: Vec<String>,
}

/// What a field is, with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Input {
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
    pub(crate) fn text(value: &str) -> Self {
        Self::Text {
            value: value.to_owned(),
            suggestions: Vec::new(),
        }
    }
}

/// A slider beside a field. It has a place for each of these texts of the field; a script adds one for another text that is typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Slider {
    /// Texts of the field, by their amounts; at least one.
    pub(crate) values: Vec<String>,
    /// Which of them it stands at: that of the field, or of its default.
    pub(crate) at: usize,
}

/// One of several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Choice {
    /// Value in the form.
    pub(crate) value: String,
    /// Text.
    pub(crate) label: String,
}

/// One of several, with sign and description.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Card {
    /// Value in the form.
    pub(crate) value: String,
    /// Sign.
    pub(crate) icon: Icon,
    /// Name for users.
    pub(crate) title: String,
    /// Sentence. Empty: none.
    pub(crate) text: String,
    /// Exact value, such as the image. Empty: not shown.
    pub(crate) exact: String,
}

/// Everything that is wrong (`id="summary"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/parts.html", block = "summary")]
pub(crate) struct Summary {
    /// Heading; empty for the usual one.
    pub(crate) title: String,
    /// In the order of the fields. Empty: nothing is wrong; the part is there all the same.
    pub(crate) problems: Vec<Problem>,
    /// What holds, such as `The API server would accept this.` Empty: not asked yet.
    pub(crate) good: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// Name of the field. Empty: of none.
    pub(crate) field: String,
    /// Its label, or path.
    pub(crate) label: String,
    /// In the webhook's words.
    pub(crate) text: String,
}

/// Everything that is wrong (`id="summary"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/parts.html", block = "marks")]
pub(crate) struct Marks {
    /// In order of the lines.
    pub(crate) marks: Vec<Mark>,
    /// What holds. Empty: not asked yet.
    pub(crate) good: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Mark {
    /// From 1; 0: not known.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// In UTF-16 units from the beginning, for the caret.
    pub(crate) offset: usize,
    /// Path of the field. Empty: none.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) text: String,
}

/// Quotas of a namespace (`id="quotas"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/form/parts.html", block = "quotas")]
pub(crate) struct Quotas {
    /// Of this namespace.
    pub(crate) namespace: String,
    /// One for each line of each `ResourceQuota`. Empty, and known: nothing is shown.
    pub(crate) lines: Vec<QuotaLine>,
    /// Why they are not known. Empty: they are.
    pub(crate) absent: String,
}

/// A line of a quota.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct QuotaLine {
    /// Name of the `ResourceQuota`.
    pub(crate) quota: String,
    /// Such as `requests.memory`.
    pub(crate) resource: String,
    /// What is used.
    pub(crate) used: String,
    /// The bound.
    pub(crate) hard: String,
    /// What is used of the bound, in percent.
    pub(crate) percent: Option<u8>,
    /// `Warn`: nothing is left.
    pub(crate) tone: Tone,
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

impl Form {
    /// Where no script shows what fits a choice, a button sends `view=form` to the same address.
    fn depends(&self) -> bool {
        self.sections.iter().any(|section| !section.id.is_empty())
    }
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
    Section,
    Field,
    Summary,
    Marks,
    Quotas,
    Hints<'_>,
    About<'_>,
    Attributes<'_>
);
