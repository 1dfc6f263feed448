//! Affinity of a workspace itself -> terms about other users' pods that it may not have (pure).
//!
//! The scheduler applies a required anti-affinity in both directions.
//! It also keeps pods of all namespaces away from the place of a pod with such a term.
//! Only administrators may do that, in templates.

use k8s_openapi::api::core::v1::{Affinity, PodAffinityTerm};

use crate::violation::Violation;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
/// The topology key for which each node is its own domain.
const ONE_NODE: &str = "kubernetes.io/hostname";

/// One term about pods to be near to or far from.
struct PodTerm<'a> {
    /// Path of the term.
    at: String,
    term: &'a PodAffinityTerm,
    is_required_anti_affinity: bool,
}

/// Reports terms about pods of other namespaces, and anti-affinity to domains of more than one node.
pub(in crate::validate) fn violations(path: &str, given: &Affinity) -> Vec<Violation> {
    let terms = pod_terms(path, given);
    let of_other_namespaces = terms.iter().flat_map(of_other_namespaces);
    let away = terms.iter().filter(|term| term.is_required_anti_affinity);
    of_other_namespaces
        .chain(away.filter_map(from_many_nodes))
        .collect()
}

/// All terms about pods, as they are written.
fn pod_terms<'a>(path: &str, given: &'a Affinity) -> Vec<PodTerm<'a>> {
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
        let required = required.iter().flatten().enumerate();
        terms.extend(required.map(|(index, term)| PodTerm {
            at: format!("{path}.{name}.{REQUIRED}[{index}]"),
            term,
            is_required_anti_affinity: is_far,
        }));
        let preferred = preferred.iter().flatten().enumerate();
        terms.extend(preferred.map(|(index, weighted)| PodTerm {
            at: format!("{path}.{name}.{PREFERRED}[{index}].podAffinityTerm"),
            term: &weighted.pod_affinity_term,
            is_required_anti_affinity: false,
        }));
    }
    terms
}

fn of_other_namespaces(pods: &PodTerm<'_>) -> Vec<Violation> {
    let named = pods.term.namespaces.iter().flatten().next().is_some();
    let selected = pods.term.namespace_selector.is_some();
    let rule = "selects pods of other namespaces, which a workspace may not attract or keep away: leave it out, which selects \
                pods of its own namespace";
    [("namespaces", named), ("namespaceSelector", selected)]
        .into_iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(name, _)| Violation::new(format!("{}.{name}", pods.at), "", rule))
        .collect()
}

fn from_many_nodes(pods: &PodTerm<'_>) -> Option<Violation> {
    let place = pods.term.topology_key.as_str();
    // Kubernetes refuses a term without a key.
    if ["", ONE_NODE].contains(&place) {
        return None;
    }
    let rule = format!("keeps other pods away from more than one node: use {ONE_NODE}, or {PREFERRED}");
    Some(Violation::new(format!("{}.topologyKey", pods.at), place, rule))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(given: Value) -> Vec<String> {
        let given: Affinity = serde_json::from_value(given).unwrap();
        violations("a", &given)
            .into_iter()
            .map(|it| it.field.replace(REQUIRED, "req").replace(PREFERRED, "pref"))
            .collect()
    }

    #[test]
    fn affinity_to_pods_of_other_namespaces_is_refused() {
        let all = json!({"topologyKey": ONE_NODE, "namespaceSelector": {}, "labelSelector": {}});
        let some = json!({"topologyKey": ONE_NODE, "namespaces": ["team-b"]});
        assert_eq!(
            fields(json!({
                "podAffinity": {REQUIRED: [all], PREFERRED: [{"weight": 1, "podAffinityTerm": some}]},
                "podAntiAffinity": {REQUIRED: [all, some], PREFERRED: [{"weight": 1, "podAffinityTerm": all}]},
            })),
            [
                "a.podAffinity.req[0].namespaceSelector",
                "a.podAffinity.pref[0].podAffinityTerm.namespaces",
                "a.podAntiAffinity.req[0].namespaceSelector",
                "a.podAntiAffinity.req[1].namespaces",
                "a.podAntiAffinity.pref[0].podAffinityTerm.namespaceSelector",
            ]
        );
    }

    #[test]
    fn anti_affinity_within_the_namespace_is_allowed_per_node() {
        let on = |place: &str| json!({"topologyKey": place, "labelSelector": {"matchLabels": {"a": "b"}}});
        let zone = on("topology.kubernetes.io/zone");
        let fine = json!({
            "podAffinity": {REQUIRED: [zone], PREFERRED: [{"weight": 1, "podAffinityTerm": zone}]},
            "podAntiAffinity": {REQUIRED: [on(ONE_NODE)], PREFERRED: [{"weight": 1, "podAffinityTerm": zone}]},
        });
        assert_eq!(fields(fine), [""; 0]);
        let wide = json!({"podAntiAffinity": {REQUIRED: [on("kubernetes.io/os"), on(ONE_NODE), zone]}});
        assert_eq!(
            fields(wide),
            [
                "a.podAntiAffinity.req[0].topologyKey",
                "a.podAntiAffinity.req[2].topologyKey"
            ]
        );
        assert_eq!(fields(json!({"nodeAffinity": {}})), [""; 0]);
    }
}
