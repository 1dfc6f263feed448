//! values.yaml, values.schema.json -> the same keys, valid for Helm (IO: runs `helm`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::render::{here, named, read, run, with, yaml};

#[test]
fn lint_accepts_every_way_of_installing() {
    let values = here("values/default.yaml");
    for values in [
        &["-f", values.to_str().unwrap()][..],
        &["-f", "values-local.yaml"],
        &[],
    ] {
        let output = run(&[&["lint", "--strict", "."], values].concat());
        assert!(
            output.status.success(),
            "{values:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn a_chart_that_is_switched_off_renders_nothing_and_requires_nothing() {
    let objects = with(&json!({"enabled": false, "image": {"registry": ""}}), &[]).unwrap();
    assert!(objects.is_empty(), "{objects:?}");
}

#[test]
fn every_default_is_in_the_schema_and_every_setting_has_a_default() {
    let schema: Value = serde_json::from_str(&read("charts/jupyter-k8s/values.schema.json")).unwrap();
    let values = yaml("charts/jupyter-k8s/values.yaml");
    compare("", &schema["properties"], &values);
    let pods = &schema["definitions"]["pods"]["properties"];
    compare("pods.", pods, &values["pods"]);
    for component in [
        "proxy",
        "gateway",
        "portal",
        "operator",
        "webhook",
        "identity",
        "crds",
        "uninstall",
        "tests",
    ] {
        for (key, _) in pods.as_object().unwrap() {
            let is_missing = match component {
                "identity" => key == "strategy",
                "crds" | "uninstall" | "tests" => {
                    ["strategy", "revisionHistoryLimit"].contains(&key.as_str())
                }
                _ => false,
            };
            let property = &schema["properties"][component]["properties"][key];
            assert_eq!(property.is_null(), is_missing, "{component}.{key}");
        }
    }
}

/// Keys of `values` must be exactly those that the schema's properties name, level by level. Components take what `pods` has by default.
fn compare(path: &str, properties: &Value, values: &Value) {
    let (Some(properties), Some(values)) = (properties.as_object(), values.as_object()) else {
        return;
    };
    let is_from_parent = |property: &Value| {
        let of = property["$ref"].as_str().unwrap_or_default();
        of.starts_with("#/definitions/pods/") || of == "#/definitions/serviceAccount"
    };
    let known = properties
        .iter()
        .filter(|(_, property)| !is_from_parent(property));
    let known: BTreeSet<_> = known.map(|(key, _)| key).collect();
    let given: BTreeSet<_> = values.keys().collect();
    assert_eq!(known, given, "below `{path}`");
    for (key, value) in values {
        compare(&format!("{path}{key}."), &properties[key]["properties"], value);
    }
}

#[test]
fn the_schema_of_templates_knows_every_field_of_the_custom_resource() {
    let schema: Value = serde_json::from_str(&read("charts/jupyter-k8s/values.schema.json")).unwrap();
    let ours: BTreeSet<_> = schema["definitions"]["template"]["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let crd = yaml("charts/jupyter-k8s/crds/workspacetemplates.yaml");
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let theirs: BTreeSet<_> = spec.as_object().unwrap().keys().cloned().collect();
    assert_eq!(ours, theirs);
}

#[test]
fn an_application_adds_a_template_with_the_bounds_of_the_first_and_an_image_of_its_own() {
    let offered = |values: &Value| {
        let objects = with(values, &[]).unwrap();
        let settings = named(&objects, "ConfigMap", "jupyter-k8s-settings")["data"]["settings.yaml"].clone();
        let settings: Value = serde_saphyr::from_str(settings.as_str().unwrap()).unwrap();
        let templates = objects
            .iter()
            .filter(|object| object["kind"] == "WorkspaceTemplate");
        let names = templates.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned());
        (
            names.collect::<Vec<_>>(),
            settings["imageAliases"].clone(),
            objects,
        )
    };
    let mut values = yaml("crates/xtask/tests/chart/values/default.yaml");
    let (names, aliases, _) = offered(&values);
    assert_eq!(names, ["jupyterlab"]);
    assert_eq!(aliases.as_object().unwrap().len(), 1, "{aliases}");

    values["applications"] = json!(["code-editor", "jupyterlab-r"]);
    values["templates"] = json!({"jupyterlab-r": {"displayName": "Our R", "defaultImage": "r"}});
    let (names, aliases, objects) = offered(&values);
    assert_eq!(names, ["code-editor", "jupyterlab", "jupyterlab-r"]);
    let image = aliases["code"].as_str().unwrap();
    assert!(image.contains("/jk8s-application-code:"), "{image}");
    assert!(aliases["scientific"].is_null(), "{aliases}");
    let spec = |name: &str| named(&objects, "WorkspaceTemplate", name)["spec"].clone();
    let (first, editor) = (spec("jupyterlab"), spec("code-editor"));
    for same in [
        "resourceBounds",
        "primaryStorage",
        "defaultResources",
        "idleShutdownOverrides",
    ] {
        assert_eq!(editor[same], first[same], "{same}");
    }
    assert_eq!(
        (&editor["defaultImage"], &editor["appType"]),
        (&json!("code"), &json!("code-editor"))
    );
    assert_eq!(editor["defaultIdleShutdown"]["idleTimeoutInMinutes"], 240);
    // The door tells its use: code-server's own time counts every open page.
    assert_eq!(editor["defaultIdleShutdown"]["detection"], json!(null));
    assert_eq!(
        spec("jupyterlab-r"),
        json!({"displayName": "Our R", "defaultImage": "r"})
    );
}
