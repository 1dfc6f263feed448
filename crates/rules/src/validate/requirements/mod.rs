//! A template's requirements, environment variables and labels -> violations (pure).

use std::collections::BTreeMap;

use api::WorkspaceTemplateSpec;
use api::template::{ChoiceValues, Label, Requirement};
use k8s_openapi::api::core::v1::EnvVar;
use regex::{Regex, RegexBuilder};

use crate::checks::syntax;
use crate::violation::Violation;

/// Maximum memory of one compiled pattern, in bytes. Both webhook and operator compile the patterns of templates.
const MAX_COMPILED: usize = 1 << 18;

/// Compiles `regex` so that it matches whole values only. `a|b` matches `a` or `b`, and no text that merely begins with one of them.
fn anchor(regex: &str) -> Result<Regex, String> {
    let compile = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .nest_limit(32)
            .build()
            // The error of the compiler has several lines. The last one says what is wrong.
            .map_err(|error| {
                error
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            })
    };
    // First the pattern alone: `a)|(b` would escape from the parentheses.
    compile(regex)?;
    compile(&format!(r"\A(?:{regex})\z"))
}

/// The variables to check.
#[derive(Debug, Clone, Copy)]
pub(super) struct Environment<'a> {
    /// Effective variables of the main container.
    pub(super) effective: &'a [EnvVar],
    /// Variables that the workspace sets itself.
    pub(super) given: &'a [EnvVar],
    /// Variables that the execution profile sets, and its name. They override all others.
    pub(super) profile: Option<(&'a str, &'a [EnvVar])>,
}

/// Checks variables of the main container against the template's requirements.
pub(super) fn env(requirements: &[Requirement], environment: &Environment<'_>) -> Vec<Violation> {
    requirements
        .iter()
        .filter_map(|requirement| {
            let named = |variables: &[EnvVar]| variables.iter().position(|it| it.name == requirement.name);
            if let Some((profile, variables)) = environment.profile
                && let Some(index) = named(variables)
            {
                let rule = mismatch(requirement, &variables[index])?;
                let rule = format!("sets the variable {}, and its value {rule}", requirement.name);
                return Some(Violation::new("spec.executionProfileRef", profile, rule));
            }
            if let Some(index) = named(environment.given) {
                let variable = &environment.given[index];
                return of_variable(requirement, &format!("spec.env[{index}]"), variable);
            }
            let field = format!("spec.env[{}]", requirement.name.escape_debug());
            match named(environment.effective) {
                Some(index) => {
                    let variable = &environment.effective[index];
                    // An administrator chose the source of the value.
                    variable.value_from.is_none().then_some(())?;
                    let rule = mismatch(requirement, variable)?;
                    let rule = format!("is the template's value of {} and {rule}", requirement.name);
                    Some(Violation::new(field, value(variable), rule))
                }
                None => missing("variable", requirement).map(|rule| Violation::new(field, "", rule)),
            }
        })
        .collect()
}

/// Checks an init container's variables that the workspace sets. Requirements on values apply there, too.
pub(super) fn init_env(requirements: &[Requirement], path: &str, variables: &[EnvVar]) -> Vec<Violation> {
    variables
        .iter()
        .enumerate()
        .filter_map(|(index, variable)| {
            let requirement = requirements.iter().find(|it| it.name == variable.name)?;
            of_variable(requirement, &format!("{path}.env[{index}]"), variable)
        })
        .collect()
}

/// Checks a variable that the workspace sets at `path` against the requirement with its name.
fn of_variable(requirement: &Requirement, path: &str, variable: &EnvVar) -> Option<Violation> {
    let rule = mismatch(requirement, variable)?;
    let rule = format!("is the value of {} and {rule}", requirement.name);
    Some(Violation::new(format!("{path}.value"), value(variable), rule))
}

/// Checks the labels of a Workspace, and those that the template gives its pod, against the template's requirements.
/// The workspace's own labels win.
pub(super) fn labels(
    requirements: &[Requirement],
    labels: &BTreeMap<String, String>,
    base: &[Label],
) -> Vec<Violation> {
    requirements
        .iter()
        .filter_map(|requirement| {
            let field = format!("metadata.labels[{}]", requirement.name.escape_debug());
            let theirs = || base.iter().find(|label| label.name == requirement.name);
            if let Some(value) = labels.get(&requirement.name) {
                return value_mismatch(requirement, value).map(|rule| Violation::new(field, value, rule));
            }
            match theirs() {
                Some(Label { value, .. }) => {
                    let rule = value_mismatch(requirement, value)?;
                    let rule = format!("is the template's value (spec.baseLabels) and {rule}");
                    Some(Violation::new(field, value, rule))
                }
                None => missing("label", requirement).map(|rule| Violation::new(field, "", rule)),
            }
        })
        .collect()
}

/// Checks the requirements themselves, and the template's own variables and labels against them.
pub(super) fn of_template(spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    let (env_requirements, label_requirements) = (&spec.env_requirements, &spec.label_requirements);
    let mut found = Vec::new();
    let env = |name: &str| (!syntax::is_variable_name(name)).then_some("an environment variable");
    let label = |name: &str| (!syntax::is_qualified_name(name)).then_some("a label");
    found.extend(each("spec.envRequirements", env_requirements, env));
    found.extend(each("spec.labelRequirements", label_requirements, label));
    let variables = spec
        .environment_variables
        .iter()
        .enumerate()
        .filter(|(_, variable)| variable.value_from.is_none())
        .map(|(index, variable)| {
            let field = format!("spec.environmentVariables[{index}].value");
            (field, variable.name.as_str(), value(variable))
        });
    found.extend(mismatches(env_requirements, variables));
    let labels = spec.base_labels.iter().enumerate().map(|(index, label)| {
        let field = format!("spec.baseLabels[{index}].value");
        (field, label.name.as_str(), label.value.as_str())
    });
    found.extend(mismatches(label_requirements, labels));
    found
}

/// Checks variables and labels of a choice, whose values are at `path`, against the template's requirements.
pub(super) fn of_choice(path: &str, set: &ChoiceValues, spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    let variables = set.env.iter().enumerate();
    let variables = variables.filter(|(_, variable)| variable.value_from.is_none());
    let variables = variables.map(|(index, variable)| {
        let field = format!("{path}.env[{index}].value");
        (field, variable.name.as_str(), value(variable))
    });
    let mut found = mismatches(&spec.env_requirements, variables);
    let labels = set.pod_labels.iter().map(|(name, value)| {
        let field = format!("{path}.podLabels[{}]", name.escape_debug());
        (field, name.as_str(), value.as_str())
    });
    found.extend(mismatches(&spec.label_requirements, labels));
    found
}

/// Checks values of the template's author, each with its field and name.
fn mismatches<'a>(
    requirements: &[Requirement],
    own: impl Iterator<Item = (String, &'a str, &'a str)>,
) -> Vec<Violation> {
    // A value with braces may contain variables. It is known only together with a workspace.
    let known = own.filter(|(_, _, value)| !value.contains('{'));
    known
        .filter_map(|(field, name, value)| {
            let requirement = requirements.iter().find(|it| it.name == name)?;
            let rule = value_mismatch(requirement, value)?;
            Some(Violation::new(field, value, rule))
        })
        .collect()
}

/// Reports invalid patterns, and names for which `misnamed` returns a message.
fn each(
    path: &str,
    requirements: &[Requirement],
    misnamed: impl Fn(&str) -> Option<&'static str>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, Requirement { name, regex, .. }) in requirements.iter().enumerate() {
        if let Some(what) = misnamed(name) {
            let rule = format!("cannot be the name of {what}");
            found.push(Violation::new(format!("{path}[{index}].name"), name, rule));
        }
        if let Some(regex) = regex
            && let Err(error) = anchor(regex)
        {
            let rule = format!("must be a regular expression (RE2 syntax): {error}");
            found.push(Violation::new(format!("{path}[{index}].regex"), regex, rule));
        }
    }
    found
}

fn value(variable: &EnvVar) -> &str {
    variable.value.as_deref().unwrap_or_default()
}

/// Checks the value of a variable that a workspace or profile sets.
fn mismatch(requirement: &Requirement, variable: &EnvVar) -> Option<String> {
    requirement.regex.as_ref()?;
    if variable.value_from.is_some() {
        return Some(format!(
            "comes from elsewhere, so that it cannot be compared with {}, which the template requires: write the value itself",
            pattern(requirement)
        ));
    }
    if refers_to_another(value(variable)) {
        return Some(format!(
            "refers to another variable, so that it cannot be compared with {}, which the template requires: write the value itself",
            pattern(requirement)
        ));
    }
    value_mismatch(requirement, value(variable))
}

/// Whether Kubernetes would insert the value of another variable. It reads from the left, and `$$` is one `$`.
/// In `$$$(X)`, the last `$` is not part of such a pair.
fn refers_to_another(value: &str) -> bool {
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        match rest.as_bytes().first() {
            Some(b'$') => rest = &rest[1..],
            Some(b'(') if rest.contains(')') => return true,
            _ => {}
        }
    }
    false
}

/// A pattern that does not compile is a violation of the template, and is reported there.
fn value_mismatch(requirement: &Requirement, value: &str) -> Option<String> {
    let regex = anchor(requirement.regex.as_deref()?).ok()?;
    (!regex.is_match(value)).then(|| {
        format!(
            "does not match {} as a whole, which the template requires: choose another value",
            pattern(requirement)
        )
    })
}

fn missing(what: &str, requirement: &Requirement) -> Option<String> {
    requirement.required.then(|| match &requirement.regex {
        Some(_) => format!(
            "lacks the {what} {}, which the template requires: add it, with a value that matches {} as a whole",
            requirement.name,
            pattern(requirement)
        ),
        None => format!(
            "lacks the {what} {}, which the template requires: add it",
            requirement.name
        ),
    })
}

/// The pattern as its author wrote it.
fn pattern(requirement: &Requirement) -> String {
    format!("/{}/", requirement.regex.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests;
