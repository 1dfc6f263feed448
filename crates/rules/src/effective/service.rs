//! Specs of workspace, template, profile, manager -> whether it gets a Service (pure).

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate};
use serde::Serialize;

use super::variables::names_in;

/// The prefix of the variables that describe a Service.
const PREFIX: &str = "service.";

/// Whether the manager routes by objects, or a text names a variable of the Service. Any text counts, also one without variables.
pub(crate) fn is_used(
    workspace: &Workspace,
    template: Option<&WorkspaceTemplate>,
    profile: Option<&WorkspaceExecutionProfile>,
    manager: &WorkspaceManager,
) -> bool {
    manager.spec.routing.custom.is_some()
        || is_named(&manager.spec)
        || is_named(&workspace.spec)
        || template.is_some_and(|template| is_named(&template.spec))
        || profile.is_some_and(|profile| is_named(&profile.spec))
}

/// Whether a text of a spec names a variable of the Service. Braces and quotes of JSON itself are no part of a name.
fn is_named(spec: &impl Serialize) -> bool {
    let text = serde_json::to_string(spec).unwrap_or_default();
    let names = names_in(&text, &|_| false);
    names.iter().any(|name| name.starts_with(PREFIX))
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    /// An object whose spec is `base`, with the fields of `spec` beside or in place of its own.
    fn object<T: DeserializeOwned>(mut base: Value, spec: Option<&Value>) -> T {
        for (field, value) in spec.and_then(Value::as_object).into_iter().flatten() {
            base[field] = value.clone();
        }
        serde_json::from_value(json!({"metadata": {"name": "a", "namespace": "team"}, "spec": base})).unwrap()
    }

    /// Whether a workspace gets a Service if the object of this kind has these fields.
    fn is_used_with(kind: &str, spec: &Value) -> bool {
        let of = |other: &str| (kind == other).then_some(spec);
        let routing = json!({"baseDomain": "example.org", "traefik": {}});
        is_used(
            &object(json!({"displayName": "a"}), of("workspace")),
            Some(&object(
                json!({"displayName": "a", "defaultImage": "i"}),
                of("template"),
            )),
            Some(&object(json!({}), of("profile"))),
            &object(
                json!({"routing": routing, "authentication": {"none": {}}}),
                of("manager"),
            ),
        )
    }

    #[test]
    fn a_workspace_gets_a_service_where_a_text_names_it_or_routes_are_objects() {
        assert!(!is_used_with("none", &json!({})));
        let url = json!({"external": {"urlTemplate": "https://example.org/{service.name}"}});
        let objects = json!({"baseDomain": "example.org", "custom": {"resources": []}});
        for (kind, spec) in [
            ("workspace", json!({"variables": {"address": "{service.name}"}})),
            (
                "template",
                json!({"defaultNodeSelector": {"{service.name}": "x"}}),
            ),
            (
                "template",
                json!({"defaultContainerConfig": {"args": ["--port={service.port}"]}}),
            ),
            (
                "profile",
                json!({"env": [{"name": "A", "value": "http://{service.name}"}]}),
            ),
            ("manager", json!({"routing": url})),
            ("manager", json!({"routing": objects})),
        ] {
            assert!(is_used_with(kind, &spec), "{kind} {spec}");
        }
        for text in [
            "{workspace.name}",
            "{{service.name}}",
            "${service.name}",
            "service.name",
            "{services.name}",
        ] {
            let spec = json!({"defaultContainerConfig": {"args": [text]}});
            assert!(!is_used_with("template", &spec), "{text}");
        }
    }
}
