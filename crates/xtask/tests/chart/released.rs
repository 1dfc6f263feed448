//! The kept chart of an earlier version, this chart -> what upgrades could not change (IO: runs `helm`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::render::{chart, here, of_kind, parse, read, run, text_of, with};

/// Values that keep the templates of the kept version, as docs/operations.md says. None are needed once the package is a release's.
const KEPT_TEMPLATES: &str =
    "templates.jupyterlab.defaultIdleShutdown=null,templates.jupyterlab.idleShutdownOverrides=null";

/// Fields of that version that no CRD has now. Only operators wrote it, for Deployments that they no longer make.
const GONE: [&str; 1] = ["workspaces.workspaces.jupyter.org.status.deploymentName: is gone"];

/// The package in `charts/released`.
fn package() -> PathBuf {
    let folder = chart().with_file_name("released");
    let files = std::fs::read_dir(&folder).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut packages: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "tgz"))
        .collect();
    assert_eq!(packages.len(), 1, "not one package: {packages:?}");
    packages.remove(0).canonicalize().unwrap()
}

/// The spec of each template, by name. The presentation of templates may change (docs/decisions/0024).
fn templates(rendered: &[Value]) -> BTreeMap<&str, Value> {
    let specs = of_kind(rendered, "WorkspaceTemplate")
        .into_iter()
        .map(|template| {
            let mut spec = template["spec"].clone();
            spec.as_object_mut().unwrap().remove("presentation");
            (template["metadata"]["name"].as_str().unwrap(), spec)
        });
    specs.collect()
}

/// Wrong changes of a chart's templates, for an upgrade from another chart.
fn wrong(before: &[Value], now: &[Value]) -> Vec<String> {
    let now = templates(now);
    let problem = |(name, spec): (&str, Value)| match now.get(name) {
        None => Some(format!(
            "templates.{name}: is missing, and helm would delete it under the workspaces that use it: keep the entry as it was"
        )),
        Some(other) if *other != spec => Some(format!(
            "templates.{name}: the last release has {spec}, and this chart {other}. Upgrades fail, because the spec of a template never \
             changes: keep this entry as it was, and give the new one another name, such as {name}-v2, with defaultTemplate"
        )),
        Some(_) => None,
    };
    templates(before).into_iter().filter_map(problem).collect()
}

fn last_release() -> Vec<Value> {
    let values = here("values/default.yaml");
    parse(&text_of(package().to_str().unwrap(), &["-f", values.to_str().unwrap()]).unwrap())
}

/// This chart, with values by which templates are those of the last release.
fn upgraded() -> Vec<Value> {
    with(&json!({}), &["--set", KEPT_TEMPLATES]).unwrap()
}

/// What the API server lets nobody change: selectors of Deployments, and the roles of bindings.
fn fixed(rendered: &[Value]) -> BTreeMap<String, Value> {
    let parts = [
        ("Deployment", "/spec/selector"),
        ("RoleBinding", "/roleRef"),
        ("ClusterRoleBinding", "/roleRef"),
        ("Service", "/spec/clusterIP"),
    ];
    let of = |(kind, part): (&str, &str)| {
        let objects = of_kind(rendered, kind).into_iter();
        let described = objects.map(|object| {
            let (namespace, name) = (&object["metadata"]["namespace"], &object["metadata"]["name"]);
            let fixed = object.pointer(part).cloned().unwrap_or_default();
            (format!("{kind} {namespace} {name}"), fixed)
        });
        described.collect::<Vec<_>>()
    };
    parts.into_iter().flat_map(of).collect()
}

/// Objects of both charts whose fixed parts differ.
fn unchangeable(before: &[Value], now: &[Value]) -> Vec<String> {
    let now = fixed(now);
    let differs = |(name, part): &(String, Value)| now.get(name).is_some_and(|other| other != part);
    fixed(before)
        .into_iter()
        .filter(differs)
        .map(|(name, _)| name)
        .collect()
}

/// The schema of each CRD, by its name.
fn schemas(manifests: &str) -> BTreeMap<String, Value> {
    // The package's files begin without a mark between documents, and Helm adds none.
    let crds = parse(&manifests.replace("\napiVersion:", "\n---\napiVersion:"));
    let described = crds.iter().map(|crd| {
        let name = crd["metadata"]["name"].as_str().unwrap().to_owned();
        (
            name,
            crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone(),
        )
    });
    described.collect()
}

fn shown(chart: &str) -> BTreeMap<String, Value> {
    let output = run(&["show", "crds", chart]);
    assert!(output.status.success(), "{output:?}");
    schemas(&String::from_utf8(output.stdout).unwrap())
}

/// What a newer schema takes from stored objects: fields, their types, and the right to leave one out. Narrower bounds are no problem:
/// the API server accepts an unchanged value.
fn lost(path: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
    if before["type"] != now["type"] {
        found.push(format!("{path}: was {}, and is {}", before["type"], now["type"]));
    }
    let required = |schema: &Value| schema["required"].as_array().cloned().unwrap_or_default();
    for field in required(now) {
        if !required(before).contains(&field) {
            found.push(format!("{path}: now requires {field}"));
        }
    }
    for (name, field) in before["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match now["properties"].get(name) {
            None => found.push(format!("{path}: is gone")),
            Some(now) => lost(&path, field, now, found),
        }
    }
    for part in ["items", "additionalProperties"] {
        if before[part].is_object() && now[part].is_object() {
            lost(&format!("{path}[]"), &before[part], &now[part], found);
        }
    }
}

/// [`lost`] of all CRDs.
fn all_lost(before: &BTreeMap<String, Value>, now: &BTreeMap<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, schema) in before {
        lost(name, schema, now.get(name).unwrap_or(&Value::Null), &mut found);
    }
    found
}

#[test]
fn the_kept_chart_is_an_earlier_version_s() {
    let package = package();
    let kept = run(&["show", "chart", package.to_str().unwrap()]);
    let kept: Value = serde_saphyr::from_slice(&kept.stdout).unwrap();
    assert_ne!(kept["version"], env!("CARGO_PKG_VERSION"));
    let today = shown(".");
    assert_ne!(
        shown(package.to_str().unwrap()),
        today,
        "the kept package has the CRDs of this chart"
    );
}

#[test]
fn templates_keep_the_spec_that_the_last_release_gave_their_names() {
    let before = last_release();
    assert!(
        !templates(&before).is_empty(),
        "the last release had a default template"
    );
    let wrong = wrong(&before, &upgraded());
    assert!(wrong.is_empty(), "{wrong:#?}");
    let guide = read("docs/operations.md");
    assert!(guide.contains(KEPT_TEMPLATES), "no page says {KEPT_TEMPLATES}");
}

#[test]
fn no_object_of_the_last_release_changes_what_is_fixed() {
    let (before, now) = (last_release(), upgraded());
    assert_eq!(unchangeable(&before, &now), [""; 0]);
    let mut changed = now.clone();
    let proxy = changed
        .iter_mut()
        .find(|it| it["kind"] == "Deployment" && it["metadata"]["name"] == "jupyter-k8s-proxy");
    proxy.unwrap()["spec"]["selector"]["matchLabels"]["part"] = json!("proxy");
    let named = unchangeable(&before, &changed);
    assert_eq!(named, [r#"Deployment "jupyter-k8s-system" "jupyter-k8s-proxy""#]);
}

#[test]
fn stored_objects_of_the_last_release_lose_no_field_but_these() {
    let (before, now) = (shown(package().to_str().unwrap()), shown("."));
    assert_eq!(all_lost(&before, &now), GONE);
    let mut stricter = now;
    let name = "workspacetemplates.workspaces.jupyter.org";
    let spec = &mut stricter.get_mut(name).unwrap()["properties"]["spec"];
    spec["required"]
        .as_array_mut()
        .unwrap()
        .push(json!("description"));
    spec["properties"]["displayName"]["type"] = json!("integer");
    let found = all_lost(&before, &stricter);
    assert_eq!(found.len(), GONE.len() + 2, "{found:?}");
}

#[test]
fn a_template_that_would_change_or_vanish_is_named_with_what_to_do() {
    let before = last_release();
    // As KEPT_TEMPLATES.
    let kept =
        json!({"templates": {"jupyterlab": {"defaultIdleShutdown": null, "idleShutdownOverrides": null}}});
    for (setting, expected) in [
        (
            r#"templates.jupyterlab.primaryStorage.defaultSize="6Gi""#,
            "give the new one another name, such as jupyterlab-v2",
        ),
        (
            "templates.jupyterlab.allowCustomImages=true",
            "keep this entry as it was",
        ),
        ("templates.jupyterlab=null", "templates.jupyterlab: is missing"),
    ] {
        let others = ["--set", "defaultTemplate=", "--set-json", setting];
        let now = with(&kept, &others).unwrap();
        let wrong = wrong(&before, &now);
        assert!(
            wrong.len() == 1 && wrong[0].contains(expected),
            "{setting}: {wrong:?}"
        );
    }
    let shown = ["--set-json", r#"templates.jupyterlab.presentation={"icon": "r"}"#];
    let now = with(&kept, &shown).unwrap();
    assert_eq!(wrong(&before, &now), [""; 0]);
}
