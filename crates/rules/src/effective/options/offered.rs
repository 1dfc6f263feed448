//! Options of a template, `spec.options` -> what users may choose now, as they see it (pure).

use std::collections::BTreeMap;

use api::WorkspaceTemplateSpec;
use api::template::{OptionChoice, PresentedChoice, PresentedOption};

use super::resolve::{Chosen, State, Step, walk};

/// An option that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered<'a> {
    /// Name of the option.
    pub name: &'a str,
    /// Name that users see.
    pub display_name: &'a str,
    /// What is chosen.
    pub description: Option<&'a str>,
    /// Why the option goes away.
    pub deprecated: Option<&'a str>,
    /// The choices that are left, in the template's order.
    pub choices: Vec<OfferedChoice<'a>>,
}

impl<'a> Offered<'a> {
    /// The choice that the workspace has, named or by default. `None`: one must be named.
    pub fn chosen(&self) -> Option<&OfferedChoice<'a>> {
        self.choices.iter().find(|choice| choice.is_chosen)
    }
}

/// A choice that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedChoice<'a> {
    /// Name of the choice.
    pub name: &'a str,
    /// Name that users see.
    pub display_name: &'a str,
    /// What the choice gives.
    pub description: Option<&'a str>,
    /// Why the choice goes away.
    pub deprecated: Option<&'a str>,
    /// Whether a workspace that names no choice gets it.
    pub is_default: bool,
    /// Whether the workspace has it, named or by default.
    pub is_chosen: bool,
}

/// The options that are there with what `given` chooses, in the template's order. What `presentation` hides or calls deprecated is left out,
/// unless it is chosen. A hidden option is not left out if it must be named.
pub fn offered<'a>(spec: &'a WorkspaceTemplateSpec, given: &BTreeMap<String, String>) -> Vec<Offered<'a>> {
    let texts = spec.presentation.as_ref().map(|it| &it.options);
    let mut all = Vec::new();
    for step in walk(&spec.options, given) {
        let texts = texts.and_then(|texts| texts.get(&step.option.name));
        let chosen = match step.state() {
            State::Chosen(choice) => Some(choice),
            State::Open => None,
            State::Hidden | State::Unknown => continue,
        };
        let is_hidden = texts.is_some_and(|it| it.hidden || it.deprecated.is_some());
        if is_hidden && chosen.is_some() && !given.contains_key(&step.option.name) {
            continue;
        }
        all.push(option(&step, chosen, texts));
    }
    all
}

/// Choices with an image that new workspaces may choose, in the template's order, each with the image. A choice that the presentation hides
/// or calls deprecated is not among them.
pub fn offered_images(spec: &WorkspaceTemplateSpec) -> Vec<(Chosen<'_>, &str)> {
    let mut all = Vec::new();
    for option in &spec.options {
        let texts = spec
            .presentation
            .as_ref()
            .and_then(|it| it.options.get(&option.name));
        for choice in &option.choices {
            let texts = texts.and_then(|texts| texts.choices.get(&choice.name));
            let image = choice.set.as_ref().and_then(|set| set.image.as_deref());
            if let Some(image) = image.filter(|_| !texts.is_some_and(is_withdrawn)) {
                all.push((Chosen { option, choice }, image));
            }
        }
    }
    all
}

fn option<'a>(
    step: &Step<'a>,
    chosen: Option<&'a OptionChoice>,
    texts: Option<&'a PresentedOption>,
) -> Offered<'a> {
    let name = step.option.name.as_str();
    let choices = step.left.iter().copied().filter_map(|choice| {
        let texts = texts.and_then(|it| it.choices.get(&choice.name));
        offer(choice, chosen == Some(choice), texts)
    });
    Offered {
        name,
        display_name: texts.and_then(|it| it.display_name.as_deref()).unwrap_or(name),
        description: texts.and_then(|it| it.description.as_deref()),
        deprecated: texts.and_then(|it| it.deprecated.as_deref()),
        choices: choices.collect(),
    }
}

/// The choice with its texts; `None`: it is not offered.
fn offer<'a>(
    choice: &'a OptionChoice,
    is_chosen: bool,
    texts: Option<&'a PresentedChoice>,
) -> Option<OfferedChoice<'a>> {
    let name = choice.name.as_str();
    (is_chosen || !texts.is_some_and(is_withdrawn)).then(|| OfferedChoice {
        name,
        display_name: texts.and_then(|it| it.display_name.as_deref()).unwrap_or(name),
        description: texts.and_then(|it| it.description.as_deref()),
        deprecated: texts.and_then(|it| it.deprecated.as_deref()),
        is_default: choice.default,
        is_chosen,
    })
}

/// Whether new workspaces are not to choose it.
fn is_withdrawn(texts: &PresentedChoice) -> bool {
    texts.hidden || texts.deprecated.is_some()
}
