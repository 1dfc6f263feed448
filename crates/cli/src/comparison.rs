//! Two templates, workspaces of the first -> differences, and which the second refuses (pure).

use std::cmp::Ordering;
use std::collections::BTreeSet;

use api::{Workspace, WorkspaceTemplate};
use kube::ResourceExt as _;
use rules::{Quantity, References, Settings, Violations};
use serde::Serialize;
use serde_json::Value;

use crate::lint::{Catalog, with_owner};

/// What differs between two templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Comparison {
    pub(crate) differences: Vec<Difference>,
    /// Workspaces of the first that were judged; absent: none were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workspaces: Option<usize>,
    /// Those that the second would refuse.
    pub(crate) refused: Vec<Refused>,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    pub(crate) field: String,
    pub(crate) what: String,
}

/// A workspace that the second template would refuse, and the first does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Refused {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) violations: Vec<String>,
}

/// What differs, in the order of the fields.
pub(crate) fn differences(old: &Value, new: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk("spec", &old["spec"], &new["spec"], &mut found);
    found
}

fn walk(field: &str, old: &Value, new: &Value, found: &mut Vec<Difference>) {
    let mut say = |what: String| {
        found.push(Difference {
            field: field.to_owned(),
            what,
        });
    };
    match (old, new) {
        (old, new) if old == new => {}
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for name in names {
                walk(&below(field, name), &old[name], &new[name], found);
            }
        }
        (Value::Array(one), Value::Array(other)) if is_named(one) && is_named(other) => {
            let names: BTreeSet<_> = one
                .iter()
                .chain(other)
                .filter_map(|item| item["name"].as_str())
                .collect();
            let of = |items: &[Value], name: &str| items.iter().find(|item| item["name"] == name).cloned();
            for name in names {
                let (one, other) = (of(one, name), of(other, name));
                walk(
                    &format!("{field}[{name}]"),
                    &one.unwrap_or_default(),
                    &other.unwrap_or_default(),
                    found,
                );
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            let only = |items: &[Value], others: &[Value]| {
                let only = items.iter().filter(|item| !others.contains(item)).map(text);
                only.collect::<Vec<_>>().join(", ")
            };
            let (gone, added) = (only(one, other), only(other, one));
            let parts = [("no longer has", gone), ("also has", added)];
            let parts: Vec<_> = parts
                .iter()
                .filter(|(_, items)| !items.is_empty())
                .map(|(verb, items)| format!("{verb} {items}"))
                .collect();
            say(if parts.is_empty() {
                "has another order".to_owned()
            } else {
                parts.join("; ")
            });
        }
        (Value::Null, new) => say(format!("is new: {}", text(new))),
        (old, Value::Null) => say(format!("is gone; was {}", text(old))),
        (old, new) => say(format!(
            "was {}, is {}{}",
            text(old),
            text(new),
            direction(field, old, new)
        )),
    }
}

fn below(field: &str, name: &str) -> String {
    if name.contains(['.', '/']) {
        format!("{field}[{name}]")
    } else {
        format!("{field}.{name}")
    }
}

/// Whether all entries have different names.
fn is_named(items: &[Value]) -> bool {
    let names: BTreeSet<_> = items.iter().filter_map(|item| item["name"].as_str()).collect();
    names.len() == items.len()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// Whether a bound allows more or less than before.
fn direction(field: &str, old: &Value, new: &Value) -> &'static str {
    let last = field.rsplit('.').next().unwrap_or_default();
    let is_lower_bound = last.starts_with("min");
    if !is_lower_bound && !last.starts_with("max") {
        return "";
    }
    let amount = |value: &Value| text(value).parse::<Quantity>().ok();
    match amount(old).partial_cmp(&amount(new)) {
        Some(Ordering::Less) if !is_lower_bound => " (allows more)",
        Some(Ordering::Greater) if is_lower_bound => " (allows more)",
        Some(Ordering::Less | Ordering::Greater) => " (allows less)",
        _ => "",
    }
}

/// Which workspaces the second template would refuse. Rules that they break under the first already are left out: what is not known here,
/// such as the installation's settings, is the same for both.
pub(crate) fn refusals(
    workspaces: &[Workspace],
    old: &WorkspaceTemplate,
    new: &WorkspaceTemplate,
    catalog: &Catalog,
    settings: &Settings,
) -> Vec<Refused> {
    let of = |workspace: &Workspace| {
        let before = violations(workspace, old, catalog, settings);
        let after = violations(workspace, new, catalog, settings);
        let violations: Vec<_> = after.into_iter().filter(|it| !before.contains(it)).collect();
        (!violations.is_empty()).then(|| Refused {
            namespace: workspace.namespace().unwrap_or_default(),
            name: workspace.name_any(),
            violations,
        })
    };
    workspaces.iter().filter_map(of).collect()
}

fn violations(
    workspace: &Workspace,
    template: &WorkspaceTemplate,
    catalog: &Catalog,
    settings: &Settings,
) -> Vec<String> {
    let mut moved = with_owner(workspace);
    moved.spec.template_ref = Some(template.name_any());
    let profile = rules::profile_name(&moved.spec, Some(&template.spec));
    let profile = profile.and_then(|name| {
        let namespace = workspace.namespace();
        let mut all = catalog.profiles.iter();
        all.find(|profile| profile.name_any() == name && profile.namespace() == namespace)
    });
    let references = References::managed_by(&catalog.managers)
        .with_template(Some(template))
        .with_profile(profile);
    let judged = rules::judge(&moved, &references, settings).violations;
    let violations = judged.map(Violations::in_order);
    violations
        .iter()
        .flat_map(Violations::iter)
        .map(ToString::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_difference_is_said_with_both_values_and_whether_it_allows_more() {
        let old = json!({"spec": {
            "allowedImages": ["a", "b"], "resourceBounds": {"cpu": {"min": "1", "max": "4"}, "resources": {"x.org/y": {"max": "1"}}},
            "environmentVariables": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "appType": "x", "same": 1,
        }});
        let new = json!({"spec": {
            "allowedImages": ["b", "c"], "resourceBounds": {"cpu": {"min": "500m", "max": "2"}, "resources": {"x.org/y": {"max": "2"}}},
            "environmentVariables": [{"name": "B", "value": "3"}, {"name": "A", "value": "1"}], "defaultPort": 9000, "same": 1,
        }});
        let found = differences(&old, &new);
        let lines: Vec<_> = found
            .iter()
            .map(|it| format!("{} {}", it.field, it.what))
            .collect();
        assert_eq!(
            lines,
            [
                "spec.allowedImages no longer has a; also has c",
                "spec.appType is gone; was x",
                "spec.defaultPort is new: 9000",
                "spec.environmentVariables[B].value was 2, is 3",
                "spec.resourceBounds.cpu.max was 4, is 2 (allows less)",
                "spec.resourceBounds.cpu.min was 1, is 500m (allows more)",
                "spec.resourceBounds.resources[x.org/y].max was 1, is 2 (allows more)",
            ]
        );
        assert_eq!(differences(&old, &old), []);
    }
}
