//! A template's options, what is chosen of them -> fields, choices that go together (pure).

use std::collections::BTreeMap;

use api::WorkspaceTemplateSpec;

use crate::effective::options::{Offered, OfferedChoice, offered, resolve};
use crate::form::model::{Choice, Kind};
use crate::violation::Violation;

/// What a user has chosen of a template's options.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chosen {
    /// Option -> choice.
    pub options: BTreeMap<String, String>,
    /// Choices that another one leaves no room for: they were cleared.
    pub cleared: Vec<Violation>,
}

/// The path of an option.
pub fn option_path(name: &str) -> String {
    format!("spec.options[{name}]")
}

/// The stored choices with those of a user in their place; an empty one clears. What these hide is cleared. So is a choice of the template
/// that they leave no room for, with a word. An unknown choice stays: the webhook refuses it. Without a change all of them stay, but not those of
/// options that the template does not have: no control could take them out.
pub fn choose(
    template: &WorkspaceTemplateSpec,
    stored: &BTreeMap<String, String>,
    sent: &BTreeMap<String, String>,
) -> Chosen {
    let mut chosen = Chosen {
        options: stored.clone(),
        cleared: Vec::new(),
    };
    for (name, choice) in sent {
        if choice.is_empty() {
            chosen.options.remove(name);
        } else {
            chosen.options.insert(name.clone(), choice.clone());
        }
    }
    let is_changed = chosen.options != *stored;
    let has = |name: &String| template.options.iter().any(|option| option.name == *name);
    chosen.options.retain(|name, _| has(name));
    if !is_changed {
        return chosen;
    }
    // A condition names options before its own, which are cleared by then.
    for option in &template.options {
        let Some(choice) = chosen.options.get(&option.name) else {
            continue;
        };
        let all = offered(template, &chosen.options);
        let shown = all.iter().find(|it| it.name == option.name);
        let is_known = option.choices.iter().any(|it| it.name == *choice);
        let has_room = |shown: &&Offered<'_>| !is_known || shown.choices.iter().any(|it| it.name == *choice);
        if shown.is_some_and(|it| has_room(&it)) {
            continue;
        }
        if shown.is_some() {
            let why = "does not go with what is chosen beside it and was cleared: choose again";
            let path = option_path(&option.name);
            chosen.cleared.push(Violation::new(path, choice, why));
        }
        chosen.options.remove(&option.name);
    }
    chosen
}

/// The options to show beside what is chosen, in the template's order. What the stored workspace has is offered as long as it is possible,
/// also if it is hidden or deprecated: its user may change back.
pub(super) fn shown<'a>(
    template: &'a WorkspaceTemplateSpec,
    stored: &BTreeMap<String, String>,
    chosen: &BTreeMap<String, String>,
) -> Vec<Offered<'a>> {
    let one = |name: &String| {
        let mut given = chosen.clone();
        given.extend(
            stored
                .get_key_value(name)
                .map(|(name, own)| (name.clone(), own.clone())),
        );
        offered(template, &given).into_iter().find(|it| it.name == *name)
    };
    template
        .options
        .iter()
        .filter_map(|option| one(&option.name))
        .collect()
}

/// The control of an option.
pub(super) fn control(option: &Offered<'_>) -> Kind {
    Kind::Option(option.choices.iter().map(choice).collect())
}

/// The choice of an option that is not named beside these; `None`: it must be named. It may be one that is not offered.
pub(super) fn default(
    template: &WorkspaceTemplateSpec,
    chosen: &BTreeMap<String, String>,
    option: &str,
) -> Option<String> {
    let mut others = chosen.clone();
    others.remove(option);
    let resolved = resolve(template, &others).chosen;
    let found = resolved.iter().find(|it| it.option.name == option);
    found.map(|it| it.choice.name.clone())
}

fn choice(choice: &OfferedChoice<'_>) -> Choice {
    Choice {
        value: choice.name.to_owned(),
        label: choice.display_name.to_owned(),
        help: sentences(choice.description, choice.deprecated),
    }
}

/// Description, and why it goes away.
pub(super) fn sentences(description: Option<&str>, deprecated: Option<&str>) -> String {
    let deprecated = deprecated.map(|why| format!("Deprecated: {why}"));
    let parts = description.map(str::to_owned).into_iter().chain(deprecated);
    parts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
