//! What a template requires of environment variables and labels, and what there is -> violations (pure).

use std::collections::BTreeMap;

use api::template::Requirement;
use k8s_openapi::api::core::v1::EnvVar;
use regex::{Regex, RegexBuilder};

use crate::checks::syntax;
use crate::violation::Violation;

/// Most memory that one compiled pattern may take, in bytes: templates are read by webhook and operator alike.
const MAX_COMPILED: usize = 1 << 18;

/// `regex`, so that it matches whole values alone. `a|b` means either of them, not what begins with one.
fn anchored(regex: &str) -> Result<Regex, String> {
    let compile = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .nest_limit(32)
            .build()
            // The compiler draws a picture over several lines; its last line says what is wrong.
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
    // By itself first: `a)|(b` would get out of the brackets.
    compile(regex)?;
    compile(&format!(r"\A(?:{regex})\z"))
}

/// Whose variables are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Environment<'a> {
    /// Of the main container, in effect.
    pub(super) effective: &'a [EnvVar],
    /// What the workspace sets itself.
    pub(super) given: &'a [EnvVar],
    /// What the execution profile sets, which wins, and its name.
    pub(super) profile: Option<(&'a str, &'a [EnvVar])>,
}

/// Variables of the main container against what the template requires.
pub(super) fn env(requirements: &[Requirement], environment: &Environment<'_>) -> Vec<Violation> {
    requirements
        .iter()
        .filter_map(|requirement| {
            let named = |variables: &[EnvVar]| variables.iter().position(|it| it.name == requirement.name);
            if let Some((profile, variables)) = environment.profile
                && let Some(index) = named(variables)
            {
                let rule = mismatch(requirement, &variables[index])?;
                let rule = format!("sets the variable {}, whose value {rule}", requirement.name);
                return Some(Violation::new("spec.executionProfileRef", profile, rule));
            }
            if let Some(index) = named(environment.given) {
                let variable = &environment.given[index];
                let rule = mismatch(requirement, variable)?;
                let field = format!("spec.env[{index}].value");
                return Some(Violation::new(field, value(variable), rule));
            }
            match named(environment.effective) {
                Some(index) => {
                    let variable = &environment.effective[index];
                    // An administrator chose where the value comes from.
                    variable.value_from.is_none().then_some(())?;
                    let rule = mismatch(requirement, variable)?;
                    let rule = format!("(the template's {}) {rule}", requirement.name);
                    Some(Violation::new("spec.env", value(variable), rule))
                }
                None => missing("variable", requirement).map(|rule| Violation::new("spec.env", "", rule)),
            }
        })
        .collect()
}

/// Variables of an init container that the workspace sets: what is required of a value holds there too.
pub(super) fn init_env(requirements: &[Requirement], path: &str, variables: &[EnvVar]) -> Vec<Violation> {
    variables
        .iter()
        .enumerate()
        .filter_map(|(index, variable)| {
            let requirement = requirements.iter().find(|it| it.name == variable.name)?;
            let rule = mismatch(requirement, variable)?;
            Some(Violation::new(
                format!("{path}.env[{index}].value"),
                value(variable),
                rule,
            ))
        })
        .collect()
}

/// Labels of a Workspace against what its template requires.
pub(super) fn labels(requirements: &[Requirement], labels: &BTreeMap<String, String>) -> Vec<Violation> {
    requirements
        .iter()
        .filter_map(|requirement| {
            let field = format!("metadata.labels[{}]", requirement.name.escape_debug());
            match labels.get(&requirement.name) {
                None => missing("label", requirement).map(|rule| Violation::new(field, "", rule)),
                Some(value) => unmatched(requirement, value).map(|rule| Violation::new(field, value, rule)),
            }
        })
        .collect()
}

/// What is wrong with the requirements themselves, and with the template's own variables under them.
pub(super) fn of_template(
    env_requirements: &[Requirement],
    label_requirements: &[Requirement],
    variables: &[EnvVar],
) -> Vec<Violation> {
    let mut found = Vec::new();
    let env = |name: &str| (!syntax::is_variable_name(name)).then_some("an environment variable");
    let label = |name: &str| (!syntax::is_qualified_name(name)).then_some("a label");
    found.extend(each("spec.envRequirements", env_requirements, env));
    found.extend(each("spec.labelRequirements", label_requirements, label));
    // A value with braces may hold variables: it is known only with a workspace.
    let is_known = |variable: &EnvVar| variable.value_from.is_none() && !value(variable).contains('{');
    for (index, variable) in variables.iter().enumerate().filter(|(_, it)| is_known(it)) {
        let requirement = env_requirements.iter().find(|it| it.name == variable.name);
        if let Some(rule) = requirement.and_then(|it| unmatched(it, value(variable))) {
            let field = format!("spec.environmentVariables[{index}].value");
            found.push(Violation::new(field, value(variable), rule));
        }
    }
    found
}

/// Names that `misnamed` cannot be, and patterns that are none.
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
            && let Err(error) = anchored(regex)
        {
            let rule = format!("is no regular expression (RE2 syntax): {error}");
            found.push(Violation::new(format!("{path}[{index}].regex"), regex, rule));
        }
    }
    found
}

fn value(variable: &EnvVar) -> &str {
    variable.value.as_deref().unwrap_or_default()
}

/// What is wrong with the value of a variable that a workspace or profile sets.
fn mismatch(requirement: &Requirement, variable: &EnvVar) -> Option<String> {
    requirement.regex.as_ref()?;
    if variable.value_from.is_some() {
        return Some(format!(
            "comes from elsewhere and cannot be held against {}, which the template requires: write the value itself",
            pattern(requirement)
        ));
    }
    if refers_to_another(value(variable)) {
        return Some(format!(
            "refers to another variable and cannot be held against {}, which the template requires: write the value itself",
            pattern(requirement)
        ));
    }
    unmatched(requirement, value(variable))
}

/// Whether Kubernetes would put another variable's value in. It reads from the left, and `$$` is one `$`: of `$$$(X)` the last
/// one is no part of such a pair.
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

/// A pattern that does not compile is the template's fault and told there.
fn unmatched(requirement: &Requirement, value: &str) -> Option<String> {
    let regex = anchored(requirement.regex.as_deref()?).ok()?;
    (!regex.is_match(value)).then(|| {
        format!(
            "does not match {}, as the template requires: choose another value",
            pattern(requirement)
        )
    })
}

fn missing(what: &str, requirement: &Requirement) -> Option<String> {
    requirement.required.then(|| match &requirement.regex {
        Some(_) => format!(
            "lacks the {what} {}, which the template requires: add it, with a value that matches {}",
            requirement.name,
            pattern(requirement)
        ),
        None => format!(
            "lacks the {what} {}, which the template requires: add it",
            requirement.name
        ),
    })
}

fn pattern(requirement: &Requirement) -> String {
    format!("/^({})$/", requirement.regex.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn requirement(name: &str, required: bool, regex: Option<&str>) -> Requirement {
        Requirement {
            name: name.into(),
            required,
            regex: regex.map(str::to_owned),
        }
    }

    fn variables(list: Value) -> Vec<EnvVar> {
        serde_json::from_value(list).unwrap()
    }

    fn given(requirement: Requirement, list: Value) -> Vec<String> {
        let list = variables(list);
        let environment = Environment {
            effective: &list,
            given: &list,
            profile: None,
        };
        env(&[requirement], &environment)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_whole_value_must_match() {
        let team = || requirement("TEAM", true, Some("[a-z]+|x1"));
        for value in ["ml", "x1"] {
            assert_eq!(
                given(team(), json!([{"name": "TEAM", "value": value}])),
                [""; 0],
                "{value}"
            );
        }
        for value in ["", "ml1", "1ml", "x12", "ml\n", "\nml", "ml\nx1", "ML"] {
            let found = given(team(), json!([{"name": "TEAM", "value": value}]));
            assert_eq!(found.len(), 1, "{value:?}");
            assert!(found[0].starts_with("spec.env[0].value: "), "{found:?}");
        }
        assert_eq!(
            given(team(), json!([{"name": "TEAM", "value": "ml1"}])),
            [
                r#"spec.env[0].value: "ml1" does not match /^([a-z]+|x1)$/, as the template requires: choose another value"#
            ]
        );
    }

    #[test]
    fn what_is_required_must_be_there_and_what_is_not_may_be_absent() {
        assert_eq!(
            given(requirement("TEAM", true, Some("a")), json!([])),
            [
                "spec.env: lacks the variable TEAM, which the template requires: add it, with a value that matches /^(a)$/"
            ]
        );
        assert_eq!(given(requirement("TEAM", false, Some("a")), json!([])), [""; 0]);
        assert_eq!(
            given(requirement("TEAM", true, None), json!([{"name": "TEAM"}])),
            [""; 0]
        );
    }

    #[test]
    fn a_value_that_cannot_be_seen_does_not_match() {
        let from = json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
        assert!(given(requirement("A", false, Some(".*")), from.clone())[0].contains("comes from elsewhere"));
        assert_eq!(given(requirement("A", true, None), from), [""; 0]);
        let other = json!([{"name": "B", "value": "@"}, {"name": "A", "value": "x$(B)"}]);
        assert!(given(requirement("A", false, Some("[^@]*")), other)[0].contains("refers to another"));
        let escaped = json!([{"name": "A", "value": "x$$(B) $("}]);
        assert_eq!(given(requirement("A", false, Some("[^@]*")), escaped), [""; 0]);
    }

    #[test]
    fn dollars_are_read_in_pairs_as_kubernetes_does() {
        for (value, refers) in [
            ("$(B)", true),
            ("$$(B)", false),
            ("$$$(B)", true),
            ("$$$$(B)", false),
            ("$$x$(B)", true),
            ("$x$(B)", true),
            ("$(B", false),
            ("é$", false),
            ("$(B $(C)", true),
        ] {
            assert_eq!(refers_to_another(value), refers, "{value}");
        }
    }

    #[test]
    fn a_profile_s_value_is_held_to_it_too_and_named() {
        let wins = variables(json!([{"name": "A", "value": "2"}]));
        let own = variables(json!([{"name": "A", "value": "1"}]));
        let environment = Environment {
            effective: &own,
            given: &own,
            profile: Some(("gpu", &wins)),
        };
        let found = env(&[requirement("A", false, Some("1"))], &environment);
        assert!(
            found[0]
                .to_string()
                .starts_with(r#"spec.executionProfileRef: "gpu" sets the variable A"#)
        );
    }

    #[test]
    fn labels_are_required_and_matched_by_key() {
        let requirements = [
            requirement("example.org/cost", true, Some("[0-9]{4}")),
            requirement("tier", false, Some("gold")),
        ];
        let labels_of = |pairs: &[(&str, &str)]| {
            let map = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            labels(&requirements, &map)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(labels_of(&[("example.org/cost", "1234")]), [""; 0]);
        let found = labels_of(&[("example.org/cost", "12345"), ("tier", "golden")]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with(r#"metadata.labels[example.org/cost]: "12345" does not match"#));
        assert!(labels_of(&[])[0].contains("lacks the label example.org/cost"));
    }

    #[test]
    fn bad_patterns_and_bad_names_are_the_template_s_own_fault() {
        let found = of_template(
            &[
                requirement("A", false, Some("(")),
                requirement("B", false, Some("a)|(b")),
                requirement("C", false, Some(&format!("({}{{1000}}){{1000}}", "\\pL"))),
                requirement("D=", false, Some("(?=x)")),
                requirement("E", false, Some("x")),
            ],
            &[requirement("-x", true, None)],
            &variables(json!([{"name": "E", "value": "xx"}, {"name": "A", "value": "1"}])),
        );
        let fields: Vec<_> = found.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "spec.envRequirements[0].regex",
                "spec.envRequirements[1].regex",
                "spec.envRequirements[2].regex",
                "spec.envRequirements[3].name",
                "spec.envRequirements[3].regex",
                "spec.labelRequirements[0].name",
                "spec.environmentVariables[0].value",
            ]
        );
        assert!(found.iter().all(|it| !it.message.contains('\n')), "{found:?}");
    }

    proptest! {
        #[test]
        fn no_pattern_panics_and_none_matches_more_than_whole_values(
            regex in "[ab|()*+?.$^\\[\\]{}1]{0,12}", value in "[ab1\n]{0,6}"
        ) {
            if let Ok(anchored) = anchored(&regex) {
                let whole = anchored.find(&value).map(|found| found.as_str() == value);
                prop_assert_ne!(whole, Some(false));
            }
        }
    }
}
