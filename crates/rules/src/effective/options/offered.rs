//! Options of a template, `spec.options` -> what users may choose now, as they see it (pure).

use std::collections::BTreeMap;

use api::WorkspaceTemplateSpec;
use api::template::{OptionChoice, PresentedChoice, PresentedOption, TemplateOption};

use super::resolve::{Chosen, State, Step, is_withdrawn, resolve, walk};

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
        if texts.is_some_and(is_hidden) && chosen.is_some() && !given.contains_key(&step.option.name) {
            continue;
        }
        all.push(option(&step, chosen, texts));
    }
    all
}

/// Most ways to one choice that are looked at.
const MAX_WAYS: usize = 32;

/// Images that choices of new workspaces set, in the template's order, each with all choices of such a workspace: those that the conditions
/// ask for, one entry for each way to meet them, and the default ones. Without what the presentation withdraws, unless it is the default.
pub fn offered_images(spec: &WorkspaceTemplateSpec) -> Vec<(Vec<Chosen<'_>>, &str)> {
    let mut all = Vec::new();
    for (index, option) in spec.options.iter().enumerate() {
        for choice in &option.choices {
            let image = choice.set.as_ref().and_then(|set| set.image.as_deref());
            let Some(image) = image.filter(|_| is_for_new(spec, option, choice)) else {
                continue;
            };
            let made = Chosen { option, choice };
            let ways = ways(spec, index, made).into_iter();
            let chosen = ways.map(|given| resolve(spec, &given).chosen);
            all.extend(
                chosen
                    .filter(|all| all.contains(&made))
                    .map(|chosen| (chosen, image)),
            );
        }
    }
    all
}

/// The choices that must be named so that this one of the option at `index` can be made.
fn ways(spec: &WorkspaceTemplateSpec, index: usize, made: Chosen<'_>) -> Vec<BTreeMap<String, String>> {
    let mut ways = vec![vec![made]];
    // A condition names only options before its own.
    for option in spec.options[..index].iter().rev() {
        let mut longer = Vec::new();
        for way in ways {
            let conditions = way.iter().flat_map(|it| [&it.option.when, &it.choice.when]);
            let asked: Vec<_> = conditions.filter_map(|when| when.get(&option.name)).collect();
            if asked.is_empty() {
                longer.push(way);
                continue;
            }
            let fits = |choice: &&OptionChoice| {
                asked.iter().all(|names| names.contains(&choice.name)) && is_for_new(spec, option, choice)
            };
            for choice in option.choices.iter().filter(fits) {
                longer.push([way.as_slice(), &[Chosen { option, choice }]].concat());
            }
        }
        longer.truncate(MAX_WAYS);
        ways = longer;
    }
    let named = |it: &Chosen<'_>| (it.option.name.clone(), it.choice.name.clone());
    ways.iter().map(|way| way.iter().map(named).collect()).collect()
}

/// Whether new workspaces may have the choice: it is offered, or it is the default.
fn is_for_new(spec: &WorkspaceTemplateSpec, option: &TemplateOption, choice: &OptionChoice) -> bool {
    let presentation = spec.presentation.as_ref();
    let Some(texts) = presentation.and_then(|it| it.options.get(&option.name)) else {
        return true;
    };
    // An option without a default must be named, so it is offered.
    let is_left_out = is_hidden(texts) && option.choices.iter().any(|it| it.default);
    choice.default || !is_left_out && !texts.choices.get(&choice.name).is_some_and(is_withdrawn)
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

/// Whether new workspaces are not to name the option.
fn is_hidden(texts: &PresentedOption) -> bool {
    texts.hidden || texts.deprecated.is_some()
}
