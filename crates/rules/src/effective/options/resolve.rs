//! Options of a template, `spec.options` -> the choice of each option, and violations (pure).

use std::collections::BTreeMap;

use api::WorkspaceTemplateSpec;
use api::template::{OptionChoice, PresentedChoice, PresentedOption, TemplateOption, When};

use crate::violation::Violation;

/// An option and its choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen<'a> {
    /// The option.
    pub option: &'a TemplateOption,
    /// The choice.
    pub choice: &'a OptionChoice,
}

/// What a workspace chose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resolution<'a> {
    /// The choices, in the template's order. Without options that are hidden, and those with a violation.
    pub chosen: Vec<Chosen<'a>>,
    /// Why the map may not be as it is.
    pub violations: Vec<Violation>,
}

impl Resolution<'_> {
    /// Names of options and choices.
    pub fn names(&self) -> BTreeMap<String, String> {
        let chosen = self.chosen.iter();
        chosen
            .map(|it| (it.option.name.clone(), it.choice.name.clone()))
            .collect()
    }
}

/// Chooses in the template's order. An option is hidden if its `when` does not hold or no choice is left. A hidden option is not chosen, and
/// what hangs on it does not hold.
pub fn resolve<'a>(spec: &'a WorkspaceTemplateSpec, given: &BTreeMap<String, String>) -> Resolution<'a> {
    let options = &spec.options;
    let mut found = Resolution::default();
    let steps = walk(options, given);
    for step in &steps {
        let named = given.get(&step.option.name);
        match (step.state(), named) {
            (State::Chosen(choice), _) => found.chosen.push(Chosen {
                option: step.option,
                choice,
            }),
            (State::Open, named) => {
                let texts = spec.presentation.as_ref();
                let texts = texts.and_then(|it| it.options.get(&step.option.name));
                found.violations.push(step.not_chosen(named, texts));
            }
            (State::Hidden, Some(choice)) => found.violations.push(step.is_hidden(choice)),
            (State::Hidden, None) | (State::Unknown, _) => {}
        }
    }
    for (name, choice) in given {
        if !options.iter().any(|option| option.name == *name) {
            found.violations.push(unknown(options, name, choice));
        }
    }
    found
}

/// What became of an option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State<'a> {
    /// It has this choice.
    Chosen(&'a OptionChoice),
    /// It must be named otherwise.
    Open,
    /// It is not there.
    Hidden,
    /// An open option decides whether it is there.
    Unknown,
}

/// An option, and what may be chosen of it.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) option: &'a TemplateOption,
    /// The choices whose `when` holds; none if the option is not there.
    pub(super) left: Vec<&'a OptionChoice>,
    chosen: Option<&'a OptionChoice>,
    is_unknown: bool,
}

impl<'a> Step<'a> {
    pub(super) fn state(&self) -> State<'a> {
        match self.chosen {
            _ if self.is_unknown => State::Unknown,
            Some(choice) => State::Chosen(choice),
            None if self.left.is_empty() => State::Hidden,
            None => State::Open,
        }
    }

    /// Names the choices that are left and offered. If none is offered, it names all that are left.
    fn not_chosen(&self, named: Option<&String>, texts: Option<&PresentedOption>) -> Violation {
        let left: Vec<_> = self.left.iter().map(|choice| choice.name.as_str()).collect();
        let is_offered = |name: &&str| {
            let texts = texts.and_then(|it| it.choices.get(*name));
            !texts.is_some_and(is_withdrawn)
        };
        let offered: Vec<_> = left.iter().copied().filter(is_offered).collect();
        let left = if offered.is_empty() { left } else { offered }.join(", ");
        let Some(named) = named else {
            let rule = format!("must be set, because no choice is the default: choose one of {left}");
            return Violation::new(field(&self.option.name), "", rule);
        };
        let known = self.option.choices.iter().find(|it| it.name == *named);
        let rule = match known {
            Some(choice) => format!(
                "may be chosen only with {}: choose one of {left}",
                in_words(&choice.when)
            ),
            None => format!("is not a choice of this option: choose one of {left}"),
        };
        Violation::new(field(&self.option.name), named, rule)
    }

    fn is_hidden(&self, named: &str) -> Violation {
        let rule = if self.option.when.is_empty() {
            "may not be set, because no choice of this option fits the other options: leave it out".to_owned()
        } else {
            format!(
                "may be set only with {}: leave it out",
                in_words(&self.option.when)
            )
        };
        Violation::new(field(&self.option.name), named, rule)
    }
}

/// Follows the options in their order.
pub(super) fn walk<'a>(options: &'a [TemplateOption], given: &BTreeMap<String, String>) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> = Vec::new();
    for option in options {
        let is_there = holds(&option.when, &steps);
        let choices = option.choices.iter().filter(|_| is_there == Some(true));
        let (mut left, mut is_unknown) = (Vec::new(), is_there.is_none());
        for choice in choices {
            match holds(&choice.when, &steps) {
                Some(true) => left.push(choice),
                Some(false) => {}
                None => is_unknown = true,
            }
        }
        is_unknown &= left.is_empty();
        let chosen = match given.get(&option.name) {
            Some(name) => left.iter().find(|choice| choice.name == *name),
            None => left.iter().find(|choice| choice.default),
        };
        steps.push(Step {
            option,
            chosen: chosen.copied(),
            left,
            is_unknown,
        });
    }
    steps
}

/// Whether a `when` holds; `None`: an open option decides.
fn holds(when: &When, before: &[Step<'_>]) -> Option<bool> {
    let mut all = Some(true);
    for (option, choices) in when {
        let step = before.iter().find(|step| step.option.name == *option);
        match step.map(Step::state) {
            Some(State::Chosen(choice)) if choices.contains(&choice.name) => {}
            Some(State::Open | State::Unknown) => all = None,
            _ => return Some(false),
        }
    }
    all
}

/// Whether a `when` holds with these choices, of all that are made.
pub(crate) fn holds_with(when: &When, chosen: &[Chosen<'_>]) -> bool {
    when.iter().all(|(option, choices)| {
        let mut chosen = chosen.iter();
        chosen.any(|it| it.option.name == *option && choices.contains(&it.choice.name))
    })
}

/// Whether two conditions never hold together, because one option would have two choices.
pub(crate) fn exclude_each_other(left: &When, right: &When) -> bool {
    left.iter().any(|(option, choices)| {
        let others = right.get(option);
        others.is_some_and(|others| choices.iter().all(|choice| !others.contains(choice)))
    })
}

fn unknown(options: &[TemplateOption], name: &str, choice: &str) -> Violation {
    let names: Vec<_> = options.iter().map(|option| option.name.as_str()).collect();
    let rule = if names.is_empty() {
        "is set for an option that the template does not have, because it has no options: leave it out"
            .to_owned()
    } else {
        format!(
            "is set for an option that the template does not have: leave it out, its options are {}",
            names.join(", ")
        )
    };
    Violation::new(field(name), choice, rule)
}

fn field(name: &str) -> String {
    format!("spec.options[{}]", name.escape_debug())
}

/// A condition in words: `gpu: a100 or h100, and size: large`.
pub fn in_words(when: &When) -> String {
    let parts = when
        .iter()
        .map(|(option, choices)| format!("{option}: {}", choices.join(" or ")));
    parts.collect::<Vec<_>>().join(", and ")
}

/// Whether new workspaces are not to choose it.
pub fn is_withdrawn(texts: &PresentedChoice) -> bool {
    texts.hidden || texts.deprecated.is_some()
}
