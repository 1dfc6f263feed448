//! docs/install.md -> its images and settings are those of chart and build files (IO: runs `helm`).

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::render::{chart, named, pods, template};

fn read(path: &str) -> String {
    let path = chart().join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap()
}

/// Cells of the tables' rows that begin with code.
fn rows(page: &str) -> Vec<Vec<String>> {
    page.lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            line.trim_matches('|')
                .split(" | ")
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect()
}

#[test]
fn every_image_of_the_chart_is_listed_with_its_tag_and_nothing_else_is() {
    let (page, values) = (read("docs/install.md"), yaml("charts/jupyter-k8s/values.yaml"));
    let version = yaml("charts/jupyter-k8s/Chart.yaml")["appVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    let expected: BTreeSet<(String, String)> = values["images"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, image)| {
            let tag = image["tag"]
                .as_str()
                .filter(|tag| !tag.is_empty())
                .unwrap_or(&version);
            let repository = image["repository"].as_str().unwrap();
            (format!("`images.{name}`"), format!("`{repository}:{tag}`"))
        })
        .collect();
    let listed: BTreeSet<(String, String)> = rows(&page)
        .into_iter()
        .filter(|row| row[0].starts_with("`images."))
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    assert_eq!(listed, expected);
    for (_, image) in &expected {
        let pushed = format!("$R/{}", image.trim_matches('`'));
        let in_loop = page.contains("$R/$bin:")
            && ["operator", "webhook", "gateway", "portal"]
                .iter()
                .any(|bin| image.contains(bin));
        assert!(
            in_loop || page.contains(&pushed),
            "{pushed} is not built and pushed"
        );
    }
    assert!(page.contains(&format!("$R/$bin:{version}")));
}

#[test]
fn every_image_of_others_that_builds_and_pods_need_is_listed_for_mirrors() {
    let page = read("docs/install.md");
    let values = yaml("charts/jupyter-k8s/values.yaml");
    let listed: BTreeSet<String> = rows(&page)
        .iter()
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    let mut needed = BTreeSet::new();
    // Images for tests alone (echo) are not installed.
    for folder in ["server", "jupyter-uv", "keycloak"] {
        let file = read(&format!("deploy/images/{folder}/Containerfile"));
        for line in file.lines() {
            let default = ["ARG BASE=", "ARG RUST="]
                .iter()
                .find_map(|start| line.strip_prefix(start));
            let from = line.strip_prefix("FROM ").and_then(|rest| rest.split(' ').next());
            let image = default.or_else(|| from.filter(|image| image.contains(':')));
            needed.extend(image.map(str::to_owned));
        }
    }
    let traefik = values["images"]["proxy"]["tag"].as_str().unwrap();
    needed.insert(format!("docker.io/library/traefik:v{traefik}"));
    assert!(needed.len() >= 4, "{needed:?}");
    let mirrored: BTreeSet<String> = listed.into_iter().filter(|name| name.contains(':')).collect();
    assert_eq!(mirrored, needed);
}

#[test]
fn the_command_of_the_guide_installs_and_its_secrets_are_those_that_pods_wait_for() {
    let page = read("docs/install.md");
    let step = page.split("## Step 4").nth(1).unwrap();
    let command = step.split("helm install jupyter-k8s").nth(1).unwrap();
    let command = command.split("\n\n").next().unwrap();
    let settings: Vec<&str> = command
        .split("--set ")
        .skip(1)
        .map(|rest| rest.trim_end_matches(['\\', '\n', ' ']).trim_matches('\''))
        .collect();
    assert!(settings.len() >= 4, "{settings:?}");
    let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let objects = template(&arguments).unwrap();
    let text = pods(&objects)
        .iter()
        .map(|(_, pod)| pod.to_string())
        .collect::<String>();
    for secret in ["workspaces-tls", "jupyter-k8s-oidc"] {
        assert!(
            text.contains(secret) && page.contains(&format!(" {secret} -n ")),
            "{secret}"
        );
    }
    named(&objects, "Namespace", "team-a");
}

#[test]
fn every_value_that_names_a_secret_is_in_the_table_of_secrets() {
    let page = read("docs/install.md");
    let table = page
        .split("## Step 3")
        .nth(1)
        .unwrap()
        .split("## Step 4")
        .next()
        .unwrap();
    let schema: Value = serde_json::from_str(&read("charts/jupyter-k8s/values.schema.json")).unwrap();
    let main = schema["properties"]["oidc"]["properties"].as_object().unwrap();
    let others = main["others"]["items"]["properties"].as_object().unwrap();
    let names = |keys: &serde_json::Map<String, Value>| -> Vec<String> {
        let named = |key: &&String| key.ends_with("SecretName") || key.ends_with("ConfigMapName");
        keys.keys().filter(named).cloned().collect()
    };
    assert!(names(main).len() == 3 && names(others).len() == 3);
    for name in names(main) {
        assert!(table.contains(&format!("`oidc.{name}`")), "oidc.{name}");
    }
    for name in names(others) {
        let row = |line: &&str| line.contains("`oidc.others`") && line.contains(&format!("`{name}`"));
        assert!(table.lines().any(|line| row(&line)), "{name} of oidc.others");
    }
    for name in [
        "proxy.tls.secretName",
        "identity.passwordsSecretName",
        "image.pullSecrets",
    ] {
        assert!(table.contains(&format!("`{name}`")), "{name}");
    }
}
