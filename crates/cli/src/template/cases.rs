//! A template and cases -> which cases hold, and which fields no case notices (pure).
//!
//! A field is noticed if a case fails without it. So the list is about what the cases expect, not about what they mention.

use std::collections::{BTreeSet, HashSet};

use api::{Workspace, WorkspaceTemplate};
use kube::{CustomResourceExt as _, ResourceExt as _};
use rules::{Quantity, References, Settings, Violation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{effective, unnoticed};
use crate::lint::{Known, check, owned};

/// A file of cases.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Path of the template's manifest, from the folder of this file.
    pub(crate) template: std::path::PathBuf,
    /// Path of the installation's settings, from the folder of this file.
    pub(crate) settings: Option<std::path::PathBuf>,
    pub(crate) cases: Vec<Case>,
}

/// A workspace and what is expected of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Fields of its spec.
    #[serde(default)]
    workspace: serde_json::Map<String, Value>,
    /// All rules that it breaks.
    refused: Option<Vec<Refusal>>,
    /// Parts of the effective workspace.
    admitted: Option<Value>,
}

/// A broken rule that is expected.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    field: String,
    /// Text of the message, where `*` is any text.
    message: Option<String>,
}

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    /// Empty: it holds.
    pub(crate) problems: Vec<String>,
}

/// What became of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) cases: Vec<Outcome>,
    /// Fields of the template that could be another, or be missing, without a case that fails.
    pub(crate) unnoticed: Vec<String>,
}

impl File {
    /// What is wrong with the file itself.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.cases.is_empty() {
            return Some("it has no cases".to_owned());
        }
        let mut names = HashSet::new();
        for case in &self.cases {
            let name = &case.name;
            if !names.insert(name) {
                return Some(format!("two cases have the name {name:?}"));
            }
            match (&case.refused, &case.admitted) {
                (None, None) => {
                    return Some(format!(
                        "case {name:?} expects nothing: add refused, a list of fields, or admitted, which may be {{}}"
                    ));
                }
                (Some(_), Some(_)) => return Some(format!("case {name:?} cannot be refused and admitted")),
                (Some(refused), None) if refused.is_empty() => {
                    return Some(format!("case {name:?}: refused names no field"));
                }
                (None, Some(admitted)) if !admitted.is_object() => {
                    return Some(format!("case {name:?}: admitted must hold fields, or be {{}}"));
                }
                _ => {}
            }
        }
        None
    }
}

/// Runs all cases with the template, and with each of the fields changed that its manifest writes.
pub(crate) fn run(manifest: &Value, cases: &[Case], settings: &Settings) -> serde_json::Result<Report> {
    let template: WorkspaceTemplate = serde_json::from_value(manifest.clone())?;
    let mut outcomes = Vec::new();
    for case in cases {
        outcomes.push(Outcome {
            name: case.name.clone(),
            problems: problems(case, &template, settings)?,
        });
    }
    let holding: Vec<_> = cases
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| outcome.problems.is_empty())
        .map(|(case, _)| case)
        .collect();
    let notices = |changed: Value| {
        let Ok(spec) = serde_json::from_value(changed) else {
            return None;
        };
        let changed = WorkspaceTemplate {
            spec,
            ..template.clone()
        };
        let fails = |case: &&Case| problems(case, &changed, settings).is_ok_and(|found| !found.is_empty());
        Some(holding.iter().any(fails))
    };
    Ok(Report {
        cases: outcomes,
        unnoticed: unnoticed::fields(&manifest["spec"], &notices),
    })
}

/// What is not as the case expects.
fn problems(
    case: &Case,
    template: &WorkspaceTemplate,
    settings: &Settings,
) -> serde_json::Result<Vec<String>> {
    let mut spec = Value::Object(case.workspace.clone());
    if spec["displayName"].is_null() {
        spec["displayName"] = json!("case");
    }
    spec["templateRef"] = json!(template.name_any());
    let object = json!({
        "apiVersion": format!("{}/v1alpha1", api::names::GROUP), "kind": "Workspace",
        "metadata": {"name": "case", "namespace": "default"}, "spec": spec,
    });
    let known = Known {
        templates: vec![template.clone()],
        ..Known::default()
    };
    let violations = check(&object, &Workspace::crd(), &known, settings, &mut BTreeSet::new());
    if let Some(expected) = &case.refused {
        return Ok(of_refusals(expected, &violations));
    }
    if !violations.is_empty() {
        return Ok(violations.iter().map(|it| format!("is refused: {it}")).collect());
    }
    let workspace: Workspace = serde_json::from_value(object)?;
    let references = References::default().with_template(Some(template));
    let judged = rules::judge(&owned(&workspace), &references, settings);
    let actual = effective::spec(&judged.effective)?;
    let mut found = Vec::new();
    differences(
        "",
        case.admitted.as_ref().unwrap_or(&Value::Null),
        &actual,
        settings,
        &mut found,
    );
    Ok(found)
}

fn of_refusals(expected: &[Refusal], violations: &[Violation]) -> Vec<String> {
    let fits = |refusal: &Refusal, violation: &Violation| {
        let message = refusal.message.as_deref();
        refusal.field == violation.field && message.is_none_or(|glob| matches(glob, &violation.detail()))
    };
    let missing = expected
        .iter()
        .filter(|refusal| !violations.iter().any(|violation| fits(refusal, violation)))
        .map(|refusal| match &refusal.message {
            None => format!("{}: expected to be refused", refusal.field),
            Some(message) => format!("{}: expected to be refused with {message:?}", refusal.field),
        });
    let others = violations
        .iter()
        .filter(|violation| !expected.iter().any(|refusal| fits(refusal, violation)))
        .map(|violation| format!("is refused otherwise: {violation}"));
    missing.chain(others).collect()
}

/// Whether a text fits a pattern in which `*` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Where the actual value lacks parts of the expected one.
fn differences(path: &str, expected: &Value, actual: &Value, settings: &Settings, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(expected), _) => {
            for (name, expected) in expected {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                differences(&path, expected, &actual[name], settings, found);
            }
        }
        (Value::Array(expected), Value::Array(items)) => {
            for (at, expected) in expected.iter().enumerate() {
                let is_like = |item: &&Value| {
                    let mut found = Vec::new();
                    differences(path, expected, item, settings, &mut found);
                    found.is_empty()
                };
                if !items.iter().any(|item| is_like(&item)) {
                    found.push(format!(
                        "{path}[{at}]: expected {expected}, is not among {actual}"
                    ));
                }
            }
        }
        _ if is_same(path, expected, actual, settings) => {}
        (_, Value::Null) => found.push(format!("{path}: expected {expected}, is not set")),
        _ => found.push(format!("{path}: expected {expected}, is {actual}")),
    }
}

fn is_same(path: &str, expected: &Value, actual: &Value, settings: &Settings) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let (Some(one), Some(other)) = (text(expected), text(actual)) else {
        return expected == actual;
    };
    let last = path.rsplit('.').next().unwrap_or_default();
    if last == "image" {
        return settings.resolve_image(&one) == settings.resolve_image(&other);
    }
    if path.starts_with("resources.") || path.contains(".resources.") || matches!(last, "size" | "shmSize") {
        return match (one.parse::<Quantity>(), other.parse::<Quantity>()) {
            (Ok(one), Ok(other)) => one == other,
            _ => one == other,
        };
    }
    expected == actual
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Value {
        json!({
            "metadata": {"name": "production"},
            "spec": {
                "displayName": "Production", "defaultImage": "uv", "allowedImages": ["uv", "a/b:1"],
                "defaultResources": {"limits": {"cpu": "1", "memory": "2Gi"}},
                "resourceBounds": {"cpu": {"min": "100m", "max": "4"}},
            },
        })
    }

    fn report(cases: &str) -> Report {
        let file: File = serde_saphyr::from_str(&format!("template: t.yaml\ncases:\n{cases}")).unwrap();
        assert_eq!(file.fault(), None);
        let settings =
            Settings::parse("{defaultImage: uv, imageAliases: {uv: registry.example/uv:1}}").unwrap();
        run(&template(), &file.cases, &settings).unwrap()
    }

    fn problems(cases: &str) -> Vec<String> {
        report(cases)
            .cases
            .into_iter()
            .flat_map(|outcome| outcome.problems)
            .collect()
    }

    #[test]
    fn a_case_holds_when_all_it_expects_is_so() {
        let found = problems(
            "- {name: a, workspace: {resources: {limits: {cpu: '5'}}}, refused: [{field: 'spec.resources.limits.cpu', message: '*at most 4*'}]}\n\
             - {name: b, workspace: {}, admitted: {image: uv, resources: {limits: {memory: 2048Mi, cpu: 1}}}}\n\
             - {name: c, workspace: {image: 'a/b:1', env: [{name: A, value: b}, {name: C, value: d}]}, admitted: {image: 'a/b:1', env: [{name: C, value: d}]}}\n",
        );
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn what_is_otherwise_is_said_with_both_values() {
        let found = problems(
            "- {name: a, workspace: {resources: {limits: {cpu: '5'}}}, admitted: {}}\n\
             - {name: b, workspace: {}, refused: [{field: spec.image}]}\n\
             - {name: c, workspace: {}, admitted: {resources: {limits: {memory: 3Gi}}, appType: x, env: [{name: A}]}}\n\
             - {name: d, workspace: {image: other, colour: red}, refused: [{field: spec.image, message: nonsense}]}\n",
        );
        assert!(
            found[0].starts_with("is refused: spec.resources.limits.cpu"),
            "{found:?}"
        );
        assert_eq!(found[1], "spec.image: expected to be refused");
        assert_eq!(
            &found[2..5],
            [
                "appType: expected \"x\", is not set",
                "env: expected [{\"name\":\"A\"}], is not set",
                "resources.limits.memory: expected \"3Gi\", is \"2Gi\"",
            ]
        );
        assert_eq!(found[5], "spec.image: expected to be refused with \"nonsense\"");
        assert!(
            found[6].starts_with("is refused otherwise: spec.colour"),
            "{found:?}"
        );
        assert!(
            found[7].starts_with("is refused otherwise: spec.image"),
            "{found:?}"
        );
    }

    #[test]
    fn fields_that_no_case_notices_are_listed_and_those_that_one_notices_are_not() {
        let nothing = report("- {name: a, workspace: {}, admitted: {}}\n").unnoticed;
        for field in [
            "spec.allowedImages[1]",
            "spec.defaultResources",
            "spec.resourceBounds",
        ] {
            assert!(nothing.iter().any(|it| it == field), "{field}: {nothing:?}");
        }
        let some = report(
            "- {name: a, workspace: {resources: {limits: {cpu: '5'}}}, refused: [{field: spec.resources.limits.cpu}]}\n\
             - {name: b, workspace: {image: 'a/b:1'}, admitted: {resources: {limits: {memory: 2Gi}}}}\n",
        )
        .unnoticed;
        for field in [
            "spec.resourceBounds",
            "spec.resourceBounds.cpu.max",
            "spec.allowedImages[1]",
            "spec.defaultResources.limits.memory",
        ] {
            assert!(!some.iter().any(|it| it == field), "{field}: {some:?}");
        }
        assert!(
            some.contains(&"spec.resourceBounds.cpu.min".to_owned()),
            "{some:?}"
        );
    }

    #[test]
    fn a_case_must_say_what_it_expects() {
        for (cases, part) in [
            ("[]", "no cases"),
            ("[{name: a, workspace: {}}]", "expects nothing"),
            ("[{name: a, refused: []}]", "names no field"),
            (
                "[{name: a, refused: [{field: spec.image}], admitted: {}}]",
                "refused and admitted",
            ),
            ("[{name: a, admitted: {}}, {name: a, admitted: {}}]", "two cases"),
            ("[{name: a, admitted: yes}]", "must hold fields"),
        ] {
            let file: File = serde_saphyr::from_str(&format!("{{template: t, cases: {cases}}}")).unwrap();
            let fault = file.fault().unwrap();
            assert!(fault.contains(part), "{cases}: {fault}");
        }
    }

    #[test]
    fn an_asterisk_is_any_text() {
        for (pattern, text, expected) in [
            ("*at most 4*", "5 is at most 4 here", true),
            ("a*c", "abc", true),
            ("a*c", "abd", false),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*b*a", "aba", true),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
