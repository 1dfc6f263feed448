//! Secrets that a template names, those of the settings -> violations (pure).

use api::WorkspaceTemplateSpec;
use serde_json::Value;

use crate::settings::Settings;
use crate::violation::Violation;

/// Fields with the reference to a Secret that a pod can read. Pull Secrets stay with the kubelet.
const REFERENCES: [&str; 3] = ["secretKeyRef", "secretRef", "secret"];

/// Checks variables, containers, volumes and choices: not `objects`, which their own operators read.
pub(super) fn beyond(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Vec<Violation> {
    let mut found = Vec::new();
    if !settings.template_secrets.iter().any(|pattern| pattern == "*") {
        let mut spec = serde_json::to_value(spec).unwrap_or_default();
        spec["objects"].take();
        walk("spec", &spec, &settings.template_secrets, &mut found);
    }
    found
}

fn walk(path: &str, value: &Value, allowed: &[String], found: &mut Vec<Violation>) {
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        walk(&format!("{path}[{index}]"), item, allowed, found);
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        for field in ["name", "secretName"] {
            let name = inner[field]
                .as_str()
                .filter(|_| REFERENCES.contains(&key.as_str()));
            if let Some(name) = name.filter(|name| !allowed.iter().any(|pattern| fits(pattern, name))) {
                let rule = format!(
                    "must be one of the Secrets that templates may name: choose one of {allowed:?}, or ask an administrator to list it in \
                     settings.templateSecrets of the chart"
                );
                found.push(Violation::new(format!("{path}.{field}"), name, rule));
            }
        }
        walk(&path, inner, allowed, found);
    }
}

/// Whether a name is the pattern, or begins with it if it ends in `*`.
fn fits(pattern: &str, name: &str) -> bool {
    let start = pattern.strip_suffix('*');
    start.map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::template;
    use super::*;

    fn settings(allowed: &str) -> Settings {
        Settings::parse(&format!("{{defaultImage: d:1, templateSecrets: {allowed}}}")).unwrap()
    }

    #[test]
    fn each_secret_that_a_template_gives_a_pod_must_be_listed() {
        let key =
            |name: &str| json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}});
        let amounts = json!({"requests": {"cpu": "1m", "memory": "16Mi"}});
        let spec = serde_json::from_value(json!({
            "displayName": "t", "defaultImage": "i",
            "environmentVariables": [key("ok")],
            "defaultInitContainers": [{"name": "a", "image": "i", "envFrom": [{"secretRef": {"name": "from"}}]}],
            "options": [{"name": "gpu", "choices": [{"name": "none", "default": true, "set": {"env": [key("chosen")]}}]}],
            "podTemplate": {"spec": {
                "imagePullSecrets": [{"name": "registry"}],
                "containers": [{"name": "b", "image": "i", "resources": amounts, "env": [key("team-a")]}],
                "volumes": [
                    {"name": "v", "secret": {"secretName": "mounted"}},
                    {"name": "p", "projected": {"sources": [{"secret": {"name": "projected"}}]}},
                    {"name": "c", "configMap": {"name": "map"}},
                ],
            }},
        }))
        .unwrap();
        let fields = |allowed: &str| {
            let found = template(&spec, &settings(allowed)).into_iter();
            found
                .map(|it| format!("{} {}", it.field, it.value))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            fields("[ok, team-*]"),
            [
                "spec.defaultInitContainers[0].envFrom[0].secretRef.name from",
                "spec.options[0].choices[0].set.env[0].valueFrom.secretKeyRef.name chosen",
                "spec.podTemplate.spec.volumes[0].secret.secretName mounted",
                "spec.podTemplate.spec.volumes[1].projected.sources[0].secret.name projected",
            ]
        );
        assert_eq!(fields("[ok, team-*, from, chosen, mounted, projected]"), [""; 0]);
        assert_eq!(fields("['*']"), [""; 0]);
        let by_default = Settings::parse("defaultImage: d:1").unwrap();
        assert!(template(&spec, &by_default).is_empty());
    }
}
