//! Environment variables of a container -> those that the operator or the template forbids (pure).

use api::names::OWN_VARIABLES;
use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, EnvVarSource};

use super::Author;
use crate::checks::syntax::object_name;
use crate::violation::Violation;

/// Beginning of the fields of a pod with addresses of its node. Only administrators may expose them.
const ADDRESSES_OF_NODE: &str = "status.host";

/// Checks the variables at `path`.
pub(in crate::validate) fn shape(path: &str, variables: &[EnvVar], author: Author) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, variable) in variables.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if OWN_VARIABLES.contains(&variable.name.as_str()) {
            let rule = "is set by the operator: choose another name";
            found.push(Violation::new(format!("{at}.name"), &variable.name, rule));
        }
        // Kubernetes would take both, and one would hide the other.
        if variables[..index].iter().any(|other| other.name == variable.name) {
            found.push(Violation::new(
                format!("{at}.name"),
                &variable.name,
                "is set twice: leave one out",
            ));
        }
        if let Some(source) = &variable.value_from {
            found.extend(from(&format!("{at}.valueFrom"), source, author));
        }
    }
    found
}

/// Checks where a value comes from. Kubernetes takes any name of a Secret or ConfigMap.
fn from(path: &str, source: &EnvVarSource, author: Author) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(secret) = &source.secret_key_ref {
        let field = format!("{path}.secretKeyRef.name");
        found.extend(object_name(field, &secret.name, "Secret"));
    }
    if let Some(map) = &source.config_map_key_ref {
        let field = format!("{path}.configMapKeyRef.name");
        found.extend(object_name(field, &map.name, "ConfigMap"));
    }
    if let Some(field) = &source.field_ref
        && author == Author::Workspace
        && field.field_path.starts_with(ADDRESSES_OF_NODE)
    {
        let rule = "is the address of the node, which only a template may expose: leave it out";
        let at = format!("{path}.fieldRef.fieldPath");
        found.push(Violation::new(at, &field.field_path, rule));
    }
    found
}

/// Checks whole Secrets and ConfigMaps as variables. Their content cannot be checked against a template's patterns.
pub(in crate::validate) fn sources(
    path: &str,
    sources: &[EnvFromSource],
    has_patterns: bool,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if let Some(secret) = &source.secret_ref {
            found.extend(object_name(
                format!("{at}.secretRef.name"),
                &secret.name,
                "Secret",
            ));
        }
        if let Some(map) = &source.config_map_ref {
            found.extend(object_name(
                format!("{at}.configMapRef.name"),
                &map.name,
                "ConfigMap",
            ));
        }
        if has_patterns {
            let rule =
                "adds variables whose values cannot be compared with the template's envRequirements: use env";
            found.push(Violation::new(at, "", rule));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(variables: Value, author: Author) -> Vec<String> {
        let variables: Vec<EnvVar> = serde_json::from_value(variables).unwrap();
        shape("spec.env", &variables, author)
            .into_iter()
            .map(|it| it.field)
            .collect()
    }

    #[test]
    fn ordinary_variables_pass() {
        let ordinary = json!([
            {"name": "A", "value": "b"},
            {"name": "my.var", "value": "multi\nline"},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k.yaml", "optional": true}}},
            {"name": "P", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}},
            {"name": "R", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        ]);
        assert_eq!(fields(ordinary, Author::Workspace), [""; 0]);
    }

    #[test]
    fn names_of_ours_names_set_twice_and_names_of_no_object_are_refused() {
        let found = fields(
            json!([
                {"name": "X"}, {"name": "X"},
                {"name": "T", "valueFrom": {"secretKeyRef": {"name": "S_", "key": "k"}}},
                {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "../c", "key": "k"}}},
                {"name": "WORKSPACE_RUN_ID", "value": "forged"},
            ]),
            Author::Administrator,
        );
        assert_eq!(
            found,
            [
                "spec.env[1].name",
                "spec.env[2].valueFrom.secretKeyRef.name",
                "spec.env[3].valueFrom.configMapKeyRef.name",
                "spec.env[4].name",
            ]
        );
    }

    #[test]
    fn only_administrators_expose_the_address_of_the_node() {
        for path in ["status.hostIP", "status.hostIPs"] {
            let host = json!([{"name": "H", "valueFrom": {"fieldRef": {"fieldPath": path}}}]);
            assert_eq!(fields(host.clone(), Author::Administrator), [""; 0], "{path}");
            assert_eq!(
                fields(host, Author::Workspace),
                ["spec.env[0].valueFrom.fieldRef.fieldPath"]
            );
        }
    }
}
