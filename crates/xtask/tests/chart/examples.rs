//! charts/jupyter-k8s/examples -> each installs as described, without a warning (IO: runs `helm`).
//!
//! Tests of every installation (`render::installations`) include each example.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::notes::{notes, used};
use crate::render::{chart, examples, of_kind, pods, template};

fn read(file: &str) -> String {
    let path = chart().join("../..").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn no_example_causes_a_warning() {
    for example in examples() {
        let notes = notes(&["-f", &format!("examples/{example}")]);
        assert!(notes.contains("helm test jupyter-k8s"), "{example}: {notes}");
        assert!(!notes.contains("WARNING"), "{example}: {notes}");
    }
}

#[test]
fn every_example_says_whom_it_is_for_what_must_exist_and_how_it_is_installed() {
    for example in examples() {
        let file = format!("charts/jupyter-k8s/examples/{example}");
        let text = read(&file);
        assert!(text.starts_with("# For "), "{file}");
        assert!(text.contains("\n# Must exist:\n"), "{file}");
        assert!(
            text.contains(&format!(" -f {file}\n")),
            "{file} is not in its own command"
        );
    }
}

#[test]
fn the_guide_leads_to_every_example() {
    let guide = read("docs/install.md");
    for example in examples() {
        let link = format!("(../charts/jupyter-k8s/examples/{example})");
        assert!(guide.contains(&link), "docs/install.md does not link {link}");
    }
}

/// Secrets and ConfigMaps that pods use, and that neither the chart nor a program creates.
fn made_by_administrators(objects: &[Value]) -> BTreeSet<String> {
    let mut names = used(
        objects,
        &["secret", "secretKeyRef", "configMap", "configMapKeyRef"],
    );
    for (_, pod) in pods(objects) {
        let pull_secrets = pod["imagePullSecrets"].as_array().into_iter().flatten();
        names.extend(pull_secrets.filter_map(|secret| secret["name"].as_str().map(str::to_owned)));
    }
    let made = of_kind(objects, "ConfigMap");
    let made = |name: &str| made.iter().any(|map| map["metadata"]["name"] == name);
    names.retain(|name| name == "jupyter-k8s-oidc" || !(name.starts_with("jupyter-k8s-") || made(name)));
    names
}

#[test]
fn every_secret_and_config_map_that_pods_wait_for_is_made_by_a_command_of_the_example() {
    for example in examples() {
        let objects = template(&["-f", &format!("examples/{example}")]).unwrap();
        let expected = made_by_administrators(&objects);
        assert!(expected.contains("jupyter-k8s-oidc"), "{example}: {expected:?}");
        let text = read(&format!("charts/jupyter-k8s/examples/{example}"));
        for name in expected {
            let made = |line: &str| line.contains(" create ") && line.contains(&format!(" {name} -n"));
            assert!(text.lines().any(made), "{example}: no command makes {name}");
        }
    }
}
