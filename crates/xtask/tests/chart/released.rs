//! The last release's chart, this chart -> templates whose specs changed (IO: runs `helm`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::render::{chart, here, of_kind, parse, rendering, text_of, with};

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

#[test]
fn templates_keep_the_spec_that_the_last_release_gave_their_names() {
    let before = last_release();
    assert!(
        !templates(&before).is_empty(),
        "the last release had a default template"
    );
    let wrong = wrong(&before, &rendering("default").objects);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_template_that_would_change_or_vanish_is_named_with_what_to_do() {
    let before = last_release();
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
        let now = with(&json!({}), &others).unwrap();
        let wrong = wrong(&before, &now);
        assert!(
            wrong.len() == 1 && wrong[0].contains(expected),
            "{setting}: {wrong:?}"
        );
    }
    let shown = ["--set-json", r#"templates.jupyterlab.presentation={"icon": "r"}"#];
    let now = with(&json!({}), &shown).unwrap();
    assert_eq!(wrong(&before, &now), [""; 0]);
}
