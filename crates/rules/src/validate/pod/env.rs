//! Environment variables of a container -> those that the operator or the template forbids (pure).

use api::names::instead_of_variable;
use k8s_openapi::api::core::v1::EnvVar;

use super::Author;
use crate::violation::Violation;

/// Beginning of the fields of a pod with addresses of its node. Only administrators may expose them.
const ADDRESSES_OF_NODE: &str = "status.host";

/// Checks the variables at `path`.
pub(in crate::validate) fn shape(path: &str, variables: &[EnvVar], author: Author) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, variable) in variables.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if let Some(instead) = instead_of_variable(&variable.name) {
            let rule = format!("must not be set: {instead}");
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
        let field = variable.value_from.as_ref().and_then(|it| it.field_ref.as_ref());
        if let Some(field) = field
            && author == Author::Workspace
            && field.field_path.starts_with(ADDRESSES_OF_NODE)
        {
            let rule = "is the address of the node, which only a template may expose: leave it out";
            let at = format!("{at}.valueFrom.fieldRef.fieldPath");
            found.push(Violation::new(at, &field.field_path, rule));
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
    fn names_of_ours_and_names_set_twice_are_refused() {
        let found = fields(
            json!([
                {"name": "X"}, {"name": "X"},
                {"name": "WORKSPACE_RUN_ID", "value": "forged"},
                {"name": "WORKSPACE_RECOVERY_DISK", "value": "forged"},
            ]),
            Author::Administrator,
        );
        assert_eq!(
            found,
            ["spec.env[1].name", "spec.env[2].name", "spec.env[3].name"]
        );
    }

    #[test]
    fn a_variable_that_moves_the_address_is_refused_with_the_field_to_use() {
        let rule = |name: &str| {
            let variables = [EnvVar {
                name: name.to_owned(),
                ..EnvVar::default()
            }];
            let found = shape("spec.env", &variables, Author::Administrator);
            found.first().map(ToString::to_string)
        };
        for (name, field) in [
            ("JUPYTER_PORT", "use spec.port"),
            ("JUPYTERHUB_SERVICE_URL", "use spec.port"),
            ("JUPYTERHUB_SERVICE_PREFIX", "the manager decide"),
            ("WORKSPACE_BASE_PATH", "the manager decide"),
        ] {
            assert!(
                rule(name).is_some_and(|it| it.contains(field)),
                "{:?}",
                rule(name)
            );
        }
        for name in [
            "JUPYTERHUB_ACTIVITY_INTERVAL",
            "JUPYTERHUB_API_TOKEN",
            "JUPYTERHUB_SINGLEUSER_APP",
            "PORT",
            "jupyter_port",
        ] {
            assert_eq!(rule(name), None);
        }
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
