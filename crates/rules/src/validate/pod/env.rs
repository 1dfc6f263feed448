//! Environment variables of one container -> those that Kubernetes or the operator refuses (pure).

use api::names::OWN_VARIABLES;
use k8s_openapi::api::core::v1::{
    ConfigMapKeySelector, EnvFromSource, EnvVar, EnvVarSource, SecretKeySelector,
};

use super::Author;
use crate::checks::syntax::{is_data_key, is_variable_name, object_name};
use crate::violation::Violation;

/// Fields of the pod that every user may read. Only administrators may expose addresses of nodes.
const FIELDS: [&str; 7] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.podIP",
    "status.podIPs",
];
const NODE_FIELDS: [&str; 2] = ["status.hostIP", "status.hostIPs"];

/// Checks the variables at `path`.
pub(in crate::validate) fn shape(path: &str, variables: &[EnvVar], author: Author) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, variable) in variables.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if !is_variable_name(&variable.name) {
            found.push(Violation::new(
                format!("{at}.name"),
                &variable.name,
                unusable(&variable.name),
            ));
        }
        if OWN_VARIABLES.contains(&variable.name.as_str()) {
            let rule = "is set by the operator: choose another name";
            found.push(Violation::new(format!("{at}.name"), &variable.name, rule));
        }
        if variables[..index].iter().any(|other| other.name == variable.name) {
            found.push(Violation::new(
                format!("{at}.name"),
                &variable.name,
                "is set twice: leave one out",
            ));
        }
        if let Some(source) = &variable.value_from {
            let at = format!("{at}.valueFrom");
            if variable.value.as_ref().is_some_and(|value| !value.is_empty()) {
                let rule = "stands beside value: set one of them";
                found.push(Violation::new(at.as_str(), &variable.name, rule));
            }
            found.extend(from(&at, source, author));
        }
    }
    found
}

/// The message for a name that no variable can have.
fn unusable(name: &str) -> &'static str {
    if name.is_empty() {
        "is empty: name the variable, such as HF_HOME"
    } else if name.contains('=') {
        "cannot be the name of an environment variable: write what stands before '=' as name and the rest as value"
    } else {
        "cannot be the name of an environment variable: use letters, digits, '_', '-' and '.', without a digit or '..' in front, such as \
         HF_HOME"
    }
}

fn from(path: &str, source: &EnvVarSource, author: Author) -> Vec<Violation> {
    let EnvVarSource {
        config_map_key_ref,
        field_ref,
        resource_field_ref,
        secret_key_ref,
    } = source;
    let mut found = Vec::new();
    let count = [
        config_map_key_ref.is_some(),
        field_ref.is_some(),
        resource_field_ref.is_some(),
        secret_key_ref.is_some(),
    ];
    if count.iter().filter(|is_set| **is_set).count() != 1 {
        let rule = "needs exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef";
        found.push(Violation::new(path, "", rule));
    }
    if let Some(SecretKeySelector { name, key, .. }) = secret_key_ref {
        found.extend(key_of(&format!("{path}.secretKeyRef"), "Secret", name, key));
    }
    if let Some(ConfigMapKeySelector { name, key, .. }) = config_map_key_ref {
        found.extend(key_of(&format!("{path}.configMapKeyRef"), "ConfigMap", name, key));
    }
    if let Some(field) = field_ref {
        found.extend(pod_field(
            &format!("{path}.fieldRef.fieldPath"),
            &field.field_path,
            author,
        ));
    }
    if let Some(field) = resource_field_ref {
        let known = ["limits.", "requests."]
            .iter()
            .any(|map| field.resource.starts_with(map));
        if !known {
            let rule = "is no resource of a container: name limits.cpu, requests.memory and the like";
            let field_path = format!("{path}.resourceFieldRef.resource");
            found.push(Violation::new(field_path, &field.resource, rule));
        }
    }
    found
}

fn key_of(path: &str, kind: &str, name: &str, key: &str) -> Vec<Violation> {
    let mut found: Vec<_> = object_name(format!("{path}.name"), name, kind)
        .into_iter()
        .collect();
    if !is_data_key(key) {
        let rule = format!("cannot be a key of a {kind}");
        found.push(Violation::new(format!("{path}.key"), key, rule));
    }
    found
}

fn pod_field(field: &str, path: &str, author: Author) -> Option<Violation> {
    let of_map = ["metadata.labels['", "metadata.annotations['"]
        .iter()
        .any(|map| path.starts_with(map) && path.ends_with("']"));
    let known =
        of_map || FIELDS.contains(&path) || (author == Author::Administrator && NODE_FIELDS.contains(&path));
    let rule = format!(
        "is no field of the pod that may be read here: choose one of {}, metadata.labels['<key>'] and \
         metadata.annotations['<key>']",
        FIELDS.join(", ")
    );
    (!known).then(|| Violation::new(field, path, rule))
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
        let secret = source
            .secret_ref
            .as_ref()
            .map(|it| ("Secret", "secretRef", &it.name));
        let map = source
            .config_map_ref
            .as_ref()
            .map(|it| ("ConfigMap", "configMapRef", &it.name));
        match (secret, map) {
            (Some((kind, field, name)), None) | (None, Some((kind, field, name))) => {
                found.extend(object_name(format!("{at}.{field}.name"), name, kind));
            }
            _ => found.push(Violation::new(
                at.as_str(),
                "",
                "needs exactly one of secretRef and configMapRef",
            )),
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
    fn every_fault_is_named_with_its_place() {
        let found = fields(
            json!([
                {"name": "A=B"},
                {"name": "X"}, {"name": "X"},
                {"name": "N", "valueFrom": {}},
                {"name": "T", "valueFrom": {"secretKeyRef": {"name": "S_", "key": "a/b"}, "configMapKeyRef": {"name": "c", "key": "k"}}},
                {"name": "V", "value": "v", "valueFrom": {"fieldRef": {"fieldPath": "spec.hostNetwork"}}},
                {"name": "R", "valueFrom": {"resourceFieldRef": {"resource": "cpu"}}},
                {"name": "WORKSPACE_RUN_ID", "value": "forged"},
            ]),
            Author::Workspace,
        );
        assert_eq!(
            found,
            [
                "spec.env[0].name",
                "spec.env[2].name",
                "spec.env[3].valueFrom",
                "spec.env[4].valueFrom",
                "spec.env[4].valueFrom.secretKeyRef.name",
                "spec.env[4].valueFrom.secretKeyRef.key",
                "spec.env[5].valueFrom",
                "spec.env[5].valueFrom.fieldRef.fieldPath",
                "spec.env[6].valueFrom.resourceFieldRef.resource",
                "spec.env[7].name",
            ]
        );
    }

    #[test]
    fn a_message_about_an_invalid_variable_name_contains_the_remedy() {
        for (name, expected) in [
            (
                "A B",
                r#"spec.env[0].name: "A B" cannot be the name of an environment variable: use letters, digits, '_', '-' and '.', without a digit or '..' in front, such as HF_HOME"#,
            ),
            (
                "1=x",
                r#"spec.env[0].name: "1=x" cannot be the name of an environment variable: write what stands before '=' as name and the rest as value"#,
            ),
            (
                "",
                "spec.env[0].name: is empty: name the variable, such as HF_HOME",
            ),
        ] {
            let variable = EnvVar {
                name: name.to_owned(),
                ..EnvVar::default()
            };
            let found = shape("spec.env", &[variable], Author::Workspace);
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, [expected]);
        }
        let twice = ["A", "B", "A"].map(|name| EnvVar {
            name: name.to_owned(),
            ..EnvVar::default()
        });
        let found = shape("spec.env", &twice, Author::Workspace);
        assert_eq!(
            found[0].to_string(),
            r#"spec.env[2].name: "A" is set twice: leave one out"#
        );
    }

    #[test]
    fn only_administrators_expose_the_address_of_the_node() {
        let host = json!([{"name": "H", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]);
        assert_eq!(fields(host.clone(), Author::Administrator), [""; 0]);
        assert_eq!(fields(host, Author::Workspace).len(), 1);
    }
}
