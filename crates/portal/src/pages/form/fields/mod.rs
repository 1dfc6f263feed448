//! Form model and values -> the fields of a page (pure).

use rules::Quantity;
use rules::form::{Change, Choice, Field, Form, ImageChoice, Kind, Scale, Values};

use super::draft::OTHER;
use super::problems::Problems;
use super::view;

/// A larger maximum is no bound in practice: minutes of a year.
const BOUNDED: i32 = 65_535;
/// The `id` of the part with the template's options.
const OPTIONS: &str = "options";
/// Most steps of a slider. A text field is beside it for what lies between.
const MOST_STEPS: u64 = 100;

/// What is shown in a form.
#[derive(Debug, Clone, Copy)]
pub(in crate::pages) struct FormFields<'a> {
    pub(in crate::pages) form: &'a Form,
    /// Values of the controls.
    pub(in crate::pages) values: &'a Values,
    /// Values of an existing workspace, to find what changes.
    pub(in crate::pages) before: Option<&'a Values>,
    pub(in crate::pages) problems: &'a Problems,
}

impl FormFields<'_> {
    /// The sections of the page.
    pub(in crate::pages) fn sections(&self) -> Vec<view::Section> {
        let sections = self.form.fields.chunk_by(|one, next| one.section == next.section);
        let section = |fields: &[Field]| view::Section {
            title: fields[0].section.to_owned(),
            id: match fields[0].kind {
                Kind::Option(_) => OPTIONS.to_owned(),
                _ => String::new(),
            },
            fields: fields.iter().map(|field| self.field(field)).collect(),
        };
        sections.map(section).collect()
    }

    /// The parts of the page: sections that are one, and the fields of the others.
    pub(in crate::pages) fn parts(&self) -> (Vec<view::Section>, Vec<view::Field>) {
        let (parts, others): (Vec<_>, Vec<_>) = self
            .sections()
            .into_iter()
            .partition(|section| !section.id.is_empty());
        (
            parts,
            others.into_iter().flat_map(|section| section.fields).collect(),
        )
    }

    fn value(&self, path: &str) -> &str {
        self.values.get(path).unwrap_or_default()
    }

    fn field(&self, field: &Field) -> view::Field {
        view::Field {
            name: field.path.clone(),
            label: field.label.clone(),
            hint: hint(field),
            help: field.help.clone(),
            input: self.input(field),
            placeholder: match field.kind {
                Kind::Text { .. } | Kind::Quantity { .. } | Kind::Number { .. } => {
                    field.default.clone().unwrap_or_default()
                }
                _ => String::new(),
            },
            required: field.is_required && field.change == Change::New,
            fixed: match &field.change {
                Change::Refused(why) => format!("{} {why}.", field.label),
                _ => String::new(),
            },
            takes_effect: self.takes_effect(field),
            errors: self.problems.at(self.form, &field.path),
        }
    }

    fn input(&self, field: &Field) -> view::Input {
        let value = self.value(&field.path);
        match &field.kind {
            Kind::Text { .. } => view::Input::text(value),
            Kind::Quantity { scale, min, max } => view::Input::Number {
                value: value.to_owned(),
                slider: scale.map(|scale| {
                    let value = Some(value.trim()).filter(|it| !it.is_empty());
                    slider(scale, [*min, *max], value.or(field.default.as_deref()))
                }),
            },
            Kind::Number { .. } => view::Input::Number {
                value: value.to_owned(),
                slider: None,
            },
            Kind::Choice(choices) | Kind::Option(choices) => choice(field, value, choices),
            Kind::Image { choices, .. } if choices.is_empty() => view::Input::text(value),
            Kind::Image { choices, custom } => cards(value, choices, *custom),
        }
    }

    /// When a change counts, for a field that changes.
    fn takes_effect(&self, field: &Field) -> String {
        let is_changed = |before: &Values| {
            let now = self.values.get(&field.path);
            now.is_some_and(|now| now != before.get(&field.path).unwrap_or_default())
        };
        if !self.before.is_some_and(is_changed) {
            return String::new();
        }
        match &field.change {
            Change::New | Change::Refused(_) => "",
            Change::Now => "at once, without a restart",
            Change::NextStart => "at the next start",
            Change::RestartsNow => "at once: the workspace restarts now",
        }
        .to_owned()
    }
}

/// A slider that stands at the value. Bounds and the value have places of their own beside the steps, so that field and slider always
/// show the same.
fn slider(scale: Scale, bounds: [Option<Quantity>; 2], value: Option<&str>) -> view::Slider {
    let value = value.and_then(|value| value.parse::<Quantity>().ok());
    let count = (scale.max - scale.min) / scale.step;
    let step = scale.step * (count / MOST_STEPS + 1);
    let steps = (scale.min..=scale.max).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    let mut amounts: Vec<Quantity> = steps
        .filter_map(|number| scale.text(number).parse().ok())
        .chain(bounds.into_iter().flatten())
        .chain(value)
        .collect();
    amounts.sort_unstable();
    amounts.dedup();
    view::Slider {
        at: value
            .and_then(|value| amounts.iter().position(|amount| *amount == value))
            .unwrap_or_default(),
        values: amounts.iter().map(ToString::to_string).collect(),
    }
}

/// A choice with the default as its first value. Where a value is required, nothing is chosen until the user does.
fn choice(field: &Field, value: &str, choices: &[Choice]) -> view::Input {
    let label = |choice: &Choice| match &*choice.help {
        "" => choice.label.clone(),
        help => format!("{}. {help}", choice.label),
    };
    let of_default = field.default.as_deref().map(|default| {
        let known = choices.iter().find(|choice| choice.value == default);
        let known = known.map_or(default, |choice| &choice.label);
        format!("Default: {known}")
    });
    let default = view::Choice {
        label: of_default.unwrap_or_else(|| "Default".to_owned()),
        ..view::Choice::default()
    };
    let first = match (field.is_required, value) {
        (false, _) => Some(default),
        (true, "") => Some(view::Choice {
            label: "Choose one".to_owned(),
            ..view::Choice::default()
        }),
        (true, _) => None,
    };
    let mut shown = Vec::from_iter(first);
    shown.extend(choices.iter().map(|choice| view::Choice {
        value: choice.value.clone(),
        label: label(choice),
    }));
    if shown.iter().all(|choice| choice.value != value) {
        shown.push(view::Choice {
            value: value.to_owned(),
            label: value.to_owned(),
        });
    }
    view::Input::Choice {
        value: value.to_owned(),
        choices: shown,
    }
}

/// The default image is sent as no image, so that a later default of the template counts.
fn cards(value: &str, choices: &[ImageChoice], custom: bool) -> view::Input {
    let cards = choices.iter().map(|choice| view::Card {
        value: if choice.is_default && value != choice.image {
            String::new()
        } else {
            choice.image.clone()
        },
        icon: choice.icon.into(),
        title: choice.display_name.clone(),
        text: choice.description.clone().unwrap_or_default(),
        exact: choice.image.clone(),
    });
    let cards: Vec<_> = cards.collect();
    let is_other = cards.iter().all(|card| card.value != value);
    view::Input::Cards {
        value: if is_other && custom { OTHER } else { value }.to_owned(),
        cards,
        other: custom.then(|| {
            (
                "Another image".to_owned(),
                if is_other { value.to_owned() } else { String::new() },
            )
        }),
    }
}

/// Bounds, unit, rule and default, for the label.
fn hint(field: &Field) -> String {
    let with_unit = |text: String, unit: &str| {
        if unit.is_empty() {
            text
        } else {
            format!("{text} {unit}")
        }
    };
    let range = match &field.kind {
        Kind::Quantity { min, max, .. } => match (min, max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => String::new(),
        },
        Kind::Number { min, max, unit } => match (*min > 1, *max <= BOUNDED) {
            (_, true) => with_unit(format!("{min} to {max}"), unit),
            (true, false) => with_unit(format!("at least {min}"), unit),
            (false, false) => (*unit).to_owned(),
        },
        Kind::Text { rule } => rule.clone().unwrap_or_default(),
        _ => String::new(),
    };
    let default = match (&field.kind, field.default.as_deref()) {
        (Kind::Number { unit, .. }, Some(default)) => with_unit(default.to_owned(), unit),
        (Kind::Text { .. } | Kind::Quantity { .. }, Some(default)) => default.to_owned(),
        // Choices and cards show their default themselves.
        _ => String::new(),
    };
    match (&*range, &*default) {
        ("", "") => String::new(),
        (range, "") => range.to_owned(),
        ("", default) => format!("default {default}"),
        (range, default) => format!("{range}, default {default}"),
    }
}

#[cfg(test)]
mod tests;
