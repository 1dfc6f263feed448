//! values -> images, the list of images of an installation, in output and guide (IO: runs `helm`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::render::{named, read, rendering, with, yaml};

/// Every text of rendered objects that is below this registry. It searches the whole text, so that no field is missed.
fn mentioned(objects: &[Value], registry: &str) -> BTreeSet<String> {
    let text = objects.iter().map(Value::to_string).collect::<String>();
    let starts = text.match_indices(registry).map(|(at, _)| at);
    let end = |c: char| c.is_whitespace() || "\"'\\,}]".contains(c);
    starts
        .map(|at| text[at..].split(end).next().unwrap().to_owned())
        .collect()
}

#[test]
fn all_images_that_the_chart_renders_follow_one_registry() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let values = json!({
        "global": {"imageRegistry": "mirror.example.com/k8s"},
        "image": {"registry": ""},
        "images": {"gateway": {"digest": digest}},
        "identity": {"enabled": true, "host": "id.example.com"},
        "oidc": {"issuerUrl": ""},
        "routing": {"baseDomain": "workspaces.example.org"},
        "proxy": {"tls": {"secretName": "tls"}},
        "settings": {"imageAliases": {"gpu": "mirror.example.com/k8s/gpu:1"}},
        "templates": {"r": {
            "displayName": "R", "defaultImage": "mirror.example.com/k8s/r:2", "allowedImages": ["gpu", "mirror.example.com/k8s/r:2"],
            "defaultInitContainers": [{"name": "clone", "image": "mirror.example.com/k8s/git:3"}],
        }},
    });
    let objects = with(&values, &[]).unwrap();
    let expected = mentioned(&objects, "mirror.example.com/k8s/");
    let names = [
        "operator",
        "webhook",
        "portal",
        "traefik",
        "keycloak",
        "jk8s-application-jupyter-uv",
        "gpu",
        "r",
        "git",
    ];
    for name in names {
        let starts = |image: &&String| image.starts_with(&format!("mirror.example.com/k8s/{name}:"));
        assert!(
            expected.iter().any(|image| starts(&image)),
            "{name}: {expected:?}"
        );
    }
    assert!(
        expected.contains(&format!("mirror.example.com/k8s/gateway@{digest}")),
        "{expected:?}"
    );
    assert_eq!(expected.len(), names.len() + 1, "{expected:?}");
    assert!(expected.iter().all(|image| !image.ends_with(":latest")));
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
    assert!(
        page.contains("for name in $(sed -n 's/^  image: //p' charts/jupyter-k8s/applications.yaml); do")
    );
    let applications: Vec<String> = yaml("charts/jupyter-k8s/applications.yaml")
        .as_object()
        .unwrap()
        .values()
        .map(|application| format!("-{}:", application["image"].as_str().unwrap()))
        .collect();
    for (_, image) in &expected {
        let pushed = format!("$R/{}", image.trim_matches('`'));
        let servers = ["operator:", "webhook:", "gateway:", "portal:"];
        let in_loop = page.contains("$R/$bin:") && servers.iter().any(|name| image.contains(name))
            || page.contains("$R/jk8s-application-$name:")
                && applications.iter().any(|name| image.contains(name));
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
fn workspaces_get_the_pull_secrets_and_mirrors_that_the_values_name() {
    let settings = |values: &str| -> Value {
        let map = named(&rendering(values).objects, "ConfigMap", "jupyter-k8s-settings");
        serde_saphyr::from_str(map["data"]["settings.yaml"].as_str().unwrap()).unwrap()
    };
    let (given, none) = (settings("everything"), settings("default"));
    assert_eq!(given["imagePullSecrets"], json!(["workspaces-pull"]));
    assert_eq!(given["imageMirrors"][0]["mirror"], "registry.example.com/hub");
    assert_eq!(
        (&none["imagePullSecrets"], &none["imageMirrors"]),
        (&json!([]), &json!([]))
    );
}

#[test]
fn images_come_from_their_own_registry_else_the_installation_s_else_the_global_one() {
    let text = |values: &str| &rendering(values).text;
    let digest = format!("image: other.example.com/x/gateway@sha256:{}", "0a".repeat(32));
    assert!(text("everything").replace('"', "").contains(&digest), "{digest}");
    assert!(text("everything").contains("mirror.example.com/webhook:2.0"));
    assert!(text("default").contains("registry.example.com/jupyter-k8s/webhook:"));
    for secret in ["own-pull", "other-pull", "global-pull"] {
        assert!(
            text("everything").contains(&format!("name: {secret}")),
            "{secret}"
        );
    }
}
