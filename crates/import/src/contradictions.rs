//! Spec of ours -> what the CEL rules of its definition refuse, and `rules` does not repeat (pure).
//!
//! Only rules about fields that sources have are here.

use rules::{Quantity, Violation, is_gpu};
use serde_json::Value;

use crate::path::Path;

/// Names of volumes that every pod has.
const OWN_VOLUMES: [&str; 3] = [
    api::names::HOME_VOLUME,
    api::names::SCRATCH_VOLUME,
    api::names::SHM_VOLUME,
];

/// Contradictions in a Workspace.
pub(crate) fn of_workspace(spec: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    volumes(spec, "volumes", &mut found);
    let storage = Path::of("spec.storage");
    for field in ["mountPath", "subPath"] {
        way_up(&spec["storage"][field], &storage.key(field), &mut found);
    }
    detection(spec, "idleShutdown", &mut found);
    found
}

/// Contradictions in a template.
pub(crate) fn of_template(spec: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    volumes(spec, "defaultVolumes", &mut found);
    detection(spec, "defaultIdleShutdown", &mut found);
    resources(spec, &mut found);
    storage(&spec["primaryStorage"], &mut found);
    idle(spec, &mut found);
    found
}

fn volumes(spec: &Value, field: &str, found: &mut Vec<Violation>) {
    let list = Path::of("spec").key(field);
    for (index, volume) in spec[field].as_array().into_iter().flatten().enumerate() {
        let at = list.index(index);
        let name = volume["name"].as_str().unwrap_or_default();
        if OWN_VOLUMES.contains(&name) || name.starts_with("jupyter-k8s-") {
            add(
                found,
                &at,
                "must have another name, because every pod has a volume of this one",
            );
        }
        way_up(&volume["mountPath"], &at.key("mountPath"), found);
    }
}

fn way_up(path: &Value, at: &Path, found: &mut Vec<Violation>) {
    if path
        .as_str()
        .is_some_and(|path| path.split('/').any(|it| it == ".."))
    {
        add(found, at, "must not hold ..: write the path without it");
    }
}

fn detection(spec: &Value, field: &str, found: &mut Vec<Violation>) {
    let detection = &spec[field]["detection"];
    let path = detection["httpGet"]["path"].as_str();
    let is_jupyter = path.is_none_or(|path| path.ends_with("/api/status"));
    if !is_jupyter && detection["lastActivityTimestamp"].is_null() {
        let at = Path::of("spec")
            .key(field)
            .then(Path::of("detection.httpGet.path").0);
        let rule =
            "must end with /api/status, or lastActivityTimestamp must say where in the answer the time is";
        add(found, &at, rule);
    }
}

fn resources(spec: &Value, found: &mut Vec<Violation>) {
    let (bounds, defaults) = (&spec["resourceBounds"], &spec["defaultResources"]);
    let at = Path::of("spec.resourceBounds");
    let named = bounds["resources"].as_object().into_iter().flatten();
    let named = named.map(|(name, bound)| (Some(name.as_str()), at.key("resources").key(name), bound));
    let known = ["cpu", "memory", "gpu"].map(|name| (None, at.key(name), &bounds[name]));
    for (name, at, bound) in known.into_iter().chain(named) {
        let (min, max) = (amount(&bound["min"]), amount(&bound["max"]));
        if is_more(min, max) {
            add(found, &at, "must have a min that is not greater than its max");
            continue;
        }
        for map in ["requests", "limits"] {
            for (key, value) in defaults[map].as_object().into_iter().flatten() {
                let selects = match name {
                    Some(name) => name == key,
                    None if at.ends_with("gpu") => is_gpu(key),
                    None => at.ends_with(key),
                };
                let value = amount(value);
                if selects && (is_more(min, value) || is_more(value, max)) {
                    let at = Path::of("spec.defaultResources").key(map).key(key);
                    add(
                        found,
                        &at,
                        "must be within the bounds of its name in resourceBounds",
                    );
                }
            }
        }
    }
    for (name, request) in defaults["requests"].as_object().into_iter().flatten() {
        if is_more(amount(request), amount(&defaults["limits"][name])) {
            let at = Path::of("spec.defaultResources.requests").key(name);
            add(found, &at, "must not be greater than the limit of its name");
        }
    }
}

fn storage(storage: &Value, found: &mut Vec<Violation>) {
    let at = Path::of("spec.primaryStorage");
    for (less, more, wrong) in [
        ("minSize", "maxSize", "minSize"),
        ("minSize", "defaultSize", "defaultSize"),
        ("defaultSize", "maxSize", "defaultSize"),
    ] {
        if is_more(amount(&storage[less]), amount(&storage[more])) {
            let rule = format!("{less} must not be greater than {more}");
            add(found, &at.key(wrong), &rule);
        }
    }
}

fn idle(spec: &Value, found: &mut Vec<Violation>) {
    let overrides = &spec["idleShutdownOverrides"];
    let at = Path::of("spec.idleShutdownOverrides");
    let default = &spec["defaultIdleShutdown"];
    if overrides["allow"] == false && default.is_null() {
        let rule = "must not be false without defaultIdleShutdown, which says when workspaces are stopped";
        add(found, &at.key("allow"), rule);
    }
    let min = overrides["minIdleTimeoutInMinutes"].as_i64();
    let max = overrides["maxIdleTimeoutInMinutes"].as_i64();
    let default = default["idleTimeoutInMinutes"].as_i64();
    if is_more(min, max) {
        let rule = "must not be greater than maxIdleTimeoutInMinutes";
        add(found, &at.key("minIdleTimeoutInMinutes"), rule);
    } else if is_more(min, default) || is_more(default, max) {
        let at = Path::of("spec.defaultIdleShutdown.idleTimeoutInMinutes");
        add(found, &at, "must be within idleShutdownOverrides");
    }
}

fn add(found: &mut Vec<Violation>, at: &Path, rule: &str) {
    found.push(Violation::new(at.to_string(), "", rule));
}

fn amount(value: &Value) -> Option<Quantity> {
    value.as_str()?.parse().ok()
}

/// Whether both are known, and the first is more.
fn is_more<T: PartialOrd>(first: Option<T>, second: Option<T>) -> bool {
    first.zip(second).is_some_and(|(first, second)| first > second)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_definitions_refuse_is_found_with_its_field() {
        let fields = |found: Vec<Violation>| found.into_iter().map(|it| it.field).collect::<Vec<_>>();
        for (spec, expected) in [
            (
                json!({"volumes": [{"name": "tmp", "mountPath": "/a"}]}),
                "spec.volumes[0]",
            ),
            (
                json!({"volumes": [{"name": "a", "mountPath": "/a/../b"}]}),
                "spec.volumes[0].mountPath",
            ),
            (
                json!({"storage": {"mountPath": "/a/.."}}),
                "spec.storage.mountPath",
            ),
            (
                json!({"idleShutdown": {"detection": {"httpGet": {"path": "/idle"}}}}),
                "spec.idleShutdown.detection.httpGet.path",
            ),
        ] {
            assert_eq!(fields(of_workspace(&spec)), [expected], "{spec}");
        }
        for (spec, expected) in [
            (
                json!({"resourceBounds": {"cpu": {"min": "2", "max": "1"}}}),
                "spec.resourceBounds.cpu",
            ),
            (
                json!({"resourceBounds": {"gpu": {"max": "1"}}, "defaultResources": {"limits": {"nvidia.com/gpu": "2"}}}),
                "spec.defaultResources.limits[nvidia.com/gpu]",
            ),
            (
                json!({"resourceBounds": {"resources": {"cpu": {"min": "2"}}}, "defaultResources": {"requests": {"cpu": "1"}}}),
                "spec.defaultResources.requests.cpu",
            ),
            (
                json!({"defaultResources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
                "spec.defaultResources.requests.cpu",
            ),
            (
                json!({"primaryStorage": {"minSize": "2Gi", "defaultSize": "1Gi"}}),
                "spec.primaryStorage.defaultSize",
            ),
            (
                json!({"idleShutdownOverrides": {"allow": false}}),
                "spec.idleShutdownOverrides.allow",
            ),
            (
                json!({"idleShutdownOverrides": {"maxIdleTimeoutInMinutes": 5}, "defaultIdleShutdown": {"idleTimeoutInMinutes": 6}}),
                "spec.defaultIdleShutdown.idleTimeoutInMinutes",
            ),
        ] {
            assert_eq!(fields(of_template(&spec)), [expected], "{spec}");
        }
        let sound = json!({
            "resourceBounds": {"cpu": {"min": "1", "max": "2"}}, "primaryStorage": {"minSize": "1Gi", "defaultSize": "1Gi"},
            "defaultResources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}, "defaultIdleShutdown": {"idleTimeoutInMinutes": 5},
            "idleShutdownOverrides": {"allow": false, "minIdleTimeoutInMinutes": 5, "maxIdleTimeoutInMinutes": 5},
            "defaultVolumes": [{"name": "a", "mountPath": "/a"}],
        });
        assert!(of_template(&sound).is_empty());
    }
}
