//! Affinity -> terms that Kubernetes refuses, or that no node can ever meet (pure).

use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm,
    PreferredSchedulingTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::labels::{key, value};
use crate::checks::syntax::is_dns_1123_label;
use crate::violation::Violation;

pub(in crate::validate) const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
pub(in crate::validate) const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const OF_SELECTORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];
const OF_NODES: [&str; 6] = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];

/// One term about pods to be near to or far from.
pub(in crate::validate) struct PodTerm<'a> {
    /// Path of its list entry.
    entry: String,
    pub(in crate::validate) term: &'a PodAffinityTerm,
    /// Weight of the preference; `None`: the term is required.
    weight: Option<i32>,
    is_far: bool,
}

impl PodTerm<'_> {
    /// Path of the term itself.
    pub(in crate::validate) fn at(&self) -> String {
        match self.weight {
            None => self.entry.clone(),
            Some(_) => format!("{}.podAffinityTerm", self.entry),
        }
    }

    /// Whether the term is a required anti-affinity.
    pub(in crate::validate) fn is_required_anti_affinity(&self) -> bool {
        self.is_far && self.weight.is_none()
    }
}

/// All terms about pods, as they are written.
pub(in crate::validate) fn pod_terms<'a>(path: &str, given: &'a Affinity) -> Vec<PodTerm<'a>> {
    let near = given.pod_affinity.as_ref().map(|near| {
        let required = &near.required_during_scheduling_ignored_during_execution;
        let preferred = &near.preferred_during_scheduling_ignored_during_execution;
        (false, "podAffinity", required, preferred)
    });
    let far = given.pod_anti_affinity.as_ref().map(|far| {
        let required = &far.required_during_scheduling_ignored_during_execution;
        let preferred = &far.preferred_during_scheduling_ignored_during_execution;
        (true, "podAntiAffinity", required, preferred)
    });
    let mut terms = Vec::new();
    for (is_far, name, required, preferred) in near.into_iter().chain(far) {
        terms.extend(
            required
                .iter()
                .flatten()
                .enumerate()
                .map(|(index, term)| PodTerm {
                    entry: format!("{path}.{name}.{REQUIRED}[{index}]"),
                    term,
                    weight: None,
                    is_far,
                }),
        );
        terms.extend(
            preferred
                .iter()
                .flatten()
                .enumerate()
                .map(|(index, weighted)| PodTerm {
                    entry: format!("{path}.{name}.{PREFERRED}[{index}]"),
                    term: &weighted.pod_affinity_term,
                    weight: Some(weighted.weight),
                    is_far,
                }),
        );
    }
    terms
}

/// Checks the affinity at `path`.
pub(in crate::validate) fn affinity(path: &str, given: &Affinity) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(nodes) = &given.node_affinity {
        found.extend(of_nodes(&format!("{path}.nodeAffinity"), nodes));
    }
    for pods in pod_terms(path, given) {
        found.extend(pods.weight.and_then(|weight| weight_fault(&pods.entry, weight)));
        found.extend(pod_term(&pods.at(), pods.term));
    }
    found
}

fn of_nodes(path: &str, nodes: &NodeAffinity) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(required) = &nodes.required_during_scheduling_ignored_during_execution {
        let at = format!("{path}.{REQUIRED}.nodeSelectorTerms");
        if required.node_selector_terms.is_empty() {
            found.push(Violation::new(
                &at,
                "",
                "is empty, which no node meets: add a term",
            ));
        }
        for (index, term) in required.node_selector_terms.iter().enumerate() {
            found.extend(node_term(&format!("{at}[{index}]"), term));
        }
    }
    let preferred = nodes.preferred_during_scheduling_ignored_during_execution.iter();
    for (index, PreferredSchedulingTerm { weight, preference }) in preferred.flatten().enumerate() {
        let at = format!("{path}.{PREFERRED}[{index}]");
        found.extend(weight_fault(&at, *weight));
        found.extend(node_term(&format!("{at}.preference"), preference));
    }
    found
}

fn node_term(at: &str, term: &NodeSelectorTerm) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        let at = format!("{at}.matchExpressions[{index}]");
        let NodeSelectorRequirement {
            key,
            operator,
            values,
        } = requirement;
        found.extend(expression(&at, key, operator, values.as_deref(), &OF_NODES));
    }
    for (index, requirement) in term.match_fields.iter().flatten().enumerate() {
        found.extend(match_field(&format!("{at}.matchFields[{index}]"), requirement));
    }
    found
}

/// Checks a match on a node's field. The only such field is the node's name.
fn match_field(at: &str, requirement: &NodeSelectorRequirement) -> Vec<Violation> {
    let mut found = Vec::new();
    if requirement.key != "metadata.name" {
        let rule = "is no field that selects nodes: use metadata.name, or matchExpressions for labels";
        found.push(Violation::new(format!("{at}.key"), &requirement.key, rule));
    }
    if !["In", "NotIn"].contains(&requirement.operator.as_str()) {
        let rule = "is no operator for fields: use In or NotIn";
        found.push(Violation::new(
            format!("{at}.operator"),
            &requirement.operator,
            rule,
        ));
    }
    let count = requirement.values.iter().flatten().count();
    if count != 1 {
        let rule = format!("has {count} entries: name exactly one node");
        found.push(Violation::new(format!("{at}.values"), "", rule));
    }
    found
}

/// Checks an expression: a label's key, an operator and its values.
fn expression(
    at: &str,
    label: &str,
    operator: &str,
    values: Option<&[String]>,
    operators: &[&str],
) -> Vec<Violation> {
    let label = key(&format!("{at}.key"), label);
    let operands = operation(at, operator, values.unwrap_or_default(), operators);
    label.into_iter().chain(operands).collect()
}

fn operation(at: &str, operator: &str, values: &[String], operators: &[&str]) -> Vec<Violation> {
    if !operators.contains(&operator) {
        let rule = format!("is no operator: use one of {}", operators.join(", "));
        return vec![Violation::new(format!("{at}.operator"), operator, rule)];
    }
    let rule = match (operator, values) {
        ("In" | "NotIn", []) => "is empty: name at least one value",
        ("Exists" | "DoesNotExist", [_, ..]) => {
            "stands beside an operator that takes no values: leave it out"
        }
        ("Gt" | "Lt", [number]) if number.parse::<i64>().is_ok() => return Vec::new(),
        ("Gt" | "Lt", _) => "is not one whole number, which Gt and Lt compare with: name one",
        _ => {
            let each = values.iter().enumerate();
            return each
                .filter_map(|(index, text)| value(&format!("{at}.values[{index}]"), text))
                .collect();
        }
    };
    vec![Violation::new(format!("{at}.values"), values.join(", "), rule)]
}

fn pod_term(at: &str, term: &PodAffinityTerm) -> Vec<Violation> {
    let mut found = Vec::new();
    let topology = format!("{at}.topologyKey");
    if term.topology_key.is_empty() {
        let rule = "is missing: name the label of nodes that makes a place, such as kubernetes.io/hostname";
        found.push(Violation::new(topology, "", rule));
    } else {
        found.extend(key(&topology, &term.topology_key));
    }
    for (name, labels) in [
        ("labelSelector", &term.label_selector),
        ("namespaceSelector", &term.namespace_selector),
    ] {
        found.extend(
            labels
                .iter()
                .flat_map(|it| label_selector(&format!("{at}.{name}"), it)),
        );
    }
    for (index, namespace) in term.namespaces.iter().flatten().enumerate() {
        if !is_dns_1123_label(namespace) {
            let rule = "cannot be the name of a namespace: use lower-case letters, digits and '-'";
            found.push(Violation::new(
                format!("{at}.namespaces[{index}]"),
                namespace,
                rule,
            ));
        }
    }
    for (name, keys) in [
        ("matchLabelKeys", &term.match_label_keys),
        ("mismatchLabelKeys", &term.mismatch_label_keys),
    ] {
        let keys = keys.as_deref().unwrap_or_default();
        if !keys.is_empty() && term.label_selector.is_none() {
            let rule = "needs a labelSelector beside it: add one, or leave it out";
            found.push(Violation::new(format!("{at}.{name}"), keys.join(", "), rule));
        }
        for (index, text) in keys.iter().enumerate() {
            found.extend(key(&format!("{at}.{name}[{index}]"), text));
        }
    }
    let mismatched = term.mismatch_label_keys.as_deref().unwrap_or_default();
    for (index, text) in term.match_label_keys.iter().flatten().enumerate() {
        if mismatched.contains(text) {
            let rule = "is among mismatchLabelKeys too: leave one out";
            found.push(Violation::new(
                format!("{at}.matchLabelKeys[{index}]"),
                text,
                rule,
            ));
        }
    }
    found
}

fn label_selector(at: &str, selector: &LabelSelector) -> Vec<Violation> {
    let mut found = Vec::new();
    for (name, text) in selector.match_labels.iter().flatten() {
        let field = format!("{at}.matchLabels[{}]", name.escape_debug());
        found.extend(key(&field, name));
        found.extend(value(&field, text));
    }
    for (index, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let at = format!("{at}.matchExpressions[{index}]");
        let LabelSelectorRequirement {
            key,
            operator,
            values,
        } = requirement;
        found.extend(expression(&at, key, operator, values.as_deref(), &OF_SELECTORS));
    }
    found
}

fn weight_fault(at: &str, weight: i32) -> Option<Violation> {
    let rule = "is no weight: choose 1 to 100";
    (!(1..=100).contains(&weight)).then(|| Violation::new(format!("{at}.weight"), weight.to_string(), rule))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(given: Value) -> Vec<String> {
        let given: Affinity = serde_json::from_value(given).unwrap();
        affinity("a", &given)
            .into_iter()
            .map(|it| it.field.replace(REQUIRED, "req").replace(PREFERRED, "pref"))
            .collect()
    }

    fn of_nodes(requirement: Value) -> Vec<String> {
        fields(
            json!({"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}}}),
        )
        .into_iter()
        .map(|it| it.replace("a.nodeAffinity.req.nodeSelectorTerms[0].matchExpressions[0].", ""))
        .collect()
    }

    #[test]
    fn values_that_kubernetes_accepts_pass() {
        let term = json!({
            "topologyKey": "kubernetes.io/hostname", "namespaces": ["team"], "namespaceSelector": {},
            "labelSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["d"]}]},
            "matchLabelKeys": ["e"], "mismatchLabelKeys": ["f"],
        });
        let fine = json!({
            "nodeAffinity": {
                REQUIRED: {"nodeSelectorTerms": [
                    {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}, {},
                ]},
                PREFERRED: [{"weight": 100, "preference": {"matchExpressions": [{"key": "x.org/y", "operator": "Exists"}]}}],
            },
            "podAffinity": {REQUIRED: [term]},
            "podAntiAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": term}]},
        });
        assert_eq!(fields(fine), [""; 0]);
        for fine in [
            json!({"key": "a", "operator": "NotIn", "values": ["", "b"]}),
            json!({"key": "a", "operator": "Gt", "values": ["-4"]}),
            json!({"key": "a", "operator": "DoesNotExist"}),
        ] {
            assert_eq!(of_nodes(fine.clone()), [""; 0], "{fine}");
        }
        assert_eq!(fields(json!({})), [""; 0]);
    }

    #[test]
    fn each_operator_accepts_only_its_values() {
        for (faulty, field) in [
            (json!({"key": "a", "operator": "in", "values": ["b"]}), "operator"),
            (json!({"key": "a", "operator": "In"}), "values"),
            (
                json!({"key": "a", "operator": "Exists", "values": ["b"]}),
                "values",
            ),
            (json!({"key": "a", "operator": "Gt", "values": ["b"]}), "values"),
            (
                json!({"key": "a", "operator": "Lt", "values": ["1", "2"]}),
                "values",
            ),
            (json!({"key": "a b", "operator": "Exists"}), "key"),
            (
                json!({"key": "a", "operator": "In", "values": ["b c"]}),
                "values[0]",
            ),
        ] {
            assert_eq!(of_nodes(faulty.clone()), [field], "{faulty}");
        }
    }

    #[test]
    fn every_fault_is_named_at_its_place() {
        let faulty = json!({
            "nodeAffinity": {
                REQUIRED: {"nodeSelectorTerms": []},
                PREFERRED: [{"weight": 0, "preference": {"matchFields": [{"key": "spec.x", "operator": "Exists"}]}}],
            },
            "podAffinity": {REQUIRED: [{
                "topologyKey": "", "namespaces": ["A"], "matchLabelKeys": ["x"], "mismatchLabelKeys": ["x"],
            }]},
            "podAntiAffinity": {PREFERRED: [{
                "weight": 101,
                "podAffinityTerm": {"topologyKey": "a b", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]}},
            }]},
        });
        assert_eq!(
            fields(faulty),
            [
                "a.nodeAffinity.req.nodeSelectorTerms",
                "a.nodeAffinity.pref[0].weight",
                "a.nodeAffinity.pref[0].preference.matchFields[0].key",
                "a.nodeAffinity.pref[0].preference.matchFields[0].operator",
                "a.nodeAffinity.pref[0].preference.matchFields[0].values",
                "a.podAffinity.req[0].topologyKey",
                "a.podAffinity.req[0].namespaces[0]",
                "a.podAffinity.req[0].matchLabelKeys",
                "a.podAffinity.req[0].mismatchLabelKeys",
                "a.podAffinity.req[0].matchLabelKeys[0]",
                "a.podAntiAffinity.pref[0].weight",
                "a.podAntiAffinity.pref[0].podAffinityTerm.topologyKey",
                "a.podAntiAffinity.pref[0].podAffinityTerm.labelSelector.matchExpressions[0].operator",
            ]
        );
    }
}
