//! Options of a template -> conditions that name nothing, and what choices may not set (pure).

use std::collections::BTreeMap;

use api::template::{ChoiceValues, OptionChoice, TemplateOption, When};
use api::workspace::ResourceRequirements;
use api::{WorkspaceSpec, WorkspaceTemplateSpec};

use super::super::pod::{Author, env, mounts, totals};
use super::super::{requirements, variables};
use crate::checks::{self, resources};
use crate::effective::options::{Chosen, apply, exclude_each_other, lay_all, resolve};
use crate::effective::resources::fill;
use crate::effective::variables::{Scope, expand_text, expand_value};
use crate::effective::{Effective, effective};
use crate::pod_security::labels;
use crate::settings::Settings;
use crate::violation::{Violation, Violations};

/// Checks what workspaces choose by: conditions, also of disks and objects, and defaults.
pub(super) fn conditions(spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    let options = &spec.options;
    let mut found = Vec::new();
    for (index, option) in options.iter().enumerate() {
        let path = format!("spec.options[{index}]");
        let before = &options[..index];
        found.extend(unknown_names(&format!("{path}.when"), &option.when, before));
        for (index, choice) in option.choices.iter().enumerate() {
            let path = format!("{path}.choices[{index}]");
            found.extend(unknown_names(&format!("{path}.when"), &choice.when, before));
            found.extend(second_default(&path, choice, &option.choices[..index]));
        }
    }
    let disks = spec.volume_claims.iter().map(|disk| &disk.when).enumerate();
    let objects = spec.objects.iter().map(|object| &object.when).enumerate();
    let all = disks.map(|it| ("volumeClaims", it));
    for (field, (index, when)) in all.chain(objects.map(|it| ("objects", it))) {
        found.extend(unknown_names(
            &format!("spec.{field}[{index}].when"),
            when,
            options,
        ));
    }
    found
}

/// Checks that a condition names choices of options that stand before.
fn unknown_names(path: &str, when: &When, before: &[TemplateOption]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (name, choices) in when {
        let path = format!("{path}[{}]", name.escape_debug());
        let Some(option) = before.iter().find(|option| option.name == *name) else {
            let names = before.iter().map(|option| option.name.as_str());
            let rule = match names.collect::<Vec<_>>().as_slice() {
                [] => "is not an option that stands before this one: there is none, leave it out".to_owned(),
                names => format!(
                    "is not an option that stands before this one: choose from {}",
                    names.join(", ")
                ),
            };
            found.push(Violation::new(path, name, rule));
            continue;
        };
        for (index, choice) in choices.iter().enumerate() {
            if !option.choices.iter().any(|known| known.name == *choice) {
                let known: Vec<_> = option.choices.iter().map(|it| it.name.as_str()).collect();
                let rule = format!(
                    "is not a choice of the option {name:?}: choose from {}",
                    known.join(", ")
                );
                found.push(Violation::new(format!("{path}[{index}]"), choice, rule));
            }
        }
    }
    found
}

/// Checks that a default is the only one that can be left.
fn second_default(path: &str, choice: &OptionChoice, before: &[OptionChoice]) -> Option<Violation> {
    let other = before
        .iter()
        .filter(|_| choice.default)
        .find(|other| other.default && !exclude_each_other(&other.when, &choice.when))?;
    let rule = format!(
        "must not be set beside the default {:?}: keep one default, or give each a `when` that excludes the other",
        other.name
    );
    Some(Violation::new(format!("{path}.default"), "true", rule))
}

/// Checks what the default choices set together, for a workspace that names none. Nothing if one must be named.
pub(super) fn defaults(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Option<Violation> {
    let by_default = resolve(spec, &BTreeMap::new());
    if by_default.chosen.is_empty() || !by_default.violations.is_empty() {
        return None;
    }
    let found = super::without_choices(&apply(spec, &by_default.chosen), settings);
    let found = Violations::from_list(found)?;
    let names = by_default.chosen.iter();
    let names: Vec<_> = names
        .map(|it| format!("{}: {}", it.option.name, it.choice.name))
        .collect();
    let rule =
        format!("are default choices that must not be made together ({found}): change what one of them sets");
    Some(Violation::new("spec.options", names.join(", "), rule))
}

/// Checks what each choice sets, laid over the template's defaults alone. What several choices set together is checked with a workspace.
pub(super) fn values(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Vec<Violation> {
    let mut found = Vec::new();
    let without_options = WorkspaceTemplateSpec {
        options: Vec::new(),
        ..spec.clone()
    };
    for (index, option) in spec.options.iter().enumerate() {
        for (number, choice) in option.choices.iter().enumerate() {
            let Some(set) = &choice.set else {
                continue;
            };
            let laid = lay_all(without_options.clone(), &[Chosen { option, choice }]);
            let case = Case {
                path: format!("spec.options[{index}].choices[{number}].set"),
                spec,
                effective: &effective(&WorkspaceSpec::default(), Some(&laid), settings),
                laid: &laid,
                settings,
            };
            found.extend(case.violations(set));
        }
    }
    found
}

/// A choice, and the template with it.
struct Case<'a> {
    path: String,
    spec: &'a WorkspaceTemplateSpec,
    laid: &'a WorkspaceTemplateSpec,
    effective: &'a Effective,
    settings: &'a Settings,
}

impl Case<'_> {
    fn violations(&self, set: &ChoiceValues) -> Vec<Violation> {
        let mut found = Vec::new();
        if let Some(image) = &set.image {
            found.extend(self.image(image));
        }
        found.extend(self.resources(set));
        found.extend(variables::names(
            &format!("{}.variables", self.path),
            &set.variables,
        ));
        match self.expanded(set) {
            Ok(set) => found.extend(self.texts(&set)),
            Err(faults) => found.extend(faults),
        }
        found
    }

    /// An image knows the variables that the operator sets, with sample values here.
    fn image(&self, image: &str) -> Option<Violation> {
        let field = format!("{}.image", self.path);
        match expand_text(image, &Scope::sample().without_workspace_variables()) {
            Ok(expanded) => checks::image_syntax(&field, &expanded),
            Err(error) => Some(Violation::new(field, image, error.to_string())),
        }
    }

    fn resources(&self, set: &ChoiceValues) -> Vec<Violation> {
        let mut found = Vec::new();
        let bounds = self.spec.resource_bounds.as_ref();
        if let Some(given) = &set.resources {
            let path = format!("{}.resources", self.path);
            // Without bounds, because they would cut what exceeds them.
            let defaults = self.laid.default_resources.as_ref();
            let filled = fill(None, defaults, &self.settings.default_resources, None);
            found.extend(resources::choice(&path, given, &filled, bounds));
            let init = &self.effective.pod.init_containers;
            found.extend(totals::beyond(
                Some(&path),
                &self.effective.resources,
                init,
                bounds,
            ));
        }
        if let Some(size) = &set.shm_size {
            // Other choices that it is made with may set other memory.
            let sets_memory = |it: &ResourceRequirements| it.limits.contains_key("memory");
            let memory = set.resources.as_ref().filter(|it| sets_memory(it));
            let memory = memory.and_then(|_| self.effective.resources.limits.get("memory"));
            let field = format!("{}.shmSize", self.path);
            found.extend(mounts::shm(&field, size, self.spec.max_shm_size.as_ref(), memory));
        }
        found
    }

    /// The texts that may contain variables, with sample values.
    fn expanded(&self, set: &ChoiceValues) -> Result<ChoiceValues, Vec<Violation>> {
        let texts = ChoiceValues {
            image: None,
            resources: None,
            shm_size: None,
            variables: BTreeMap::new(),
            ..set.clone()
        };
        let unreadable = |error: &serde_json::Error| {
            let rule = format!("cannot be read with its variables' values: {error}");
            vec![Violation::new(&self.path, "", rule)]
        };
        let texts = serde_json::to_value(texts).map_err(|error| unreadable(&error))?;
        let expanded = expand_value(&self.path, &texts, &Scope::sample())?;
        serde_json::from_value(expanded).map_err(|error| unreadable(&error))
    }

    fn texts(&self, set: &ChoiceValues) -> Vec<Violation> {
        let path = &self.path;
        let mut found = env::shape(&format!("{path}.env"), &set.env, Author::Administrator);
        let metadata = self
            .spec
            .pod_template
            .as_ref()
            .and_then(|it| it.metadata.as_ref());
        for key in set.pod_labels.keys() {
            let field = format!("{path}.podLabels[{}]", key.escape_debug());
            found.extend(labels::key(field.clone(), key));
            if metadata.is_some_and(|metadata| metadata.labels.contains_key(key)) {
                let rule = "is set in spec.podTemplate.metadata.labels too, which it replaces: leave one out";
                found.push(Violation::new(field, key, rule));
            }
        }
        found.extend(requirements::of_choice(path, set, self.spec));
        found
    }
}
