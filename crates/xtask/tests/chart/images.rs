//! values -> images, pull Secrets and mirrors of an installation (IO: runs `helm`).

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::contradictions::each_is_refused;
use crate::notes::{notes, notes_in};
use crate::render::{EXTERNAL, named, with_values};

/// The output of the command for these values.
fn listed(values: &Value) -> BTreeSet<String> {
    let file = std::env::temp_dir().join(format!("images-list-{}.json", std::process::id()));
    fs::write(&file, values.to_string()).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["images", "list", "-f"])
        .arg(&file)
        .output()
        .unwrap();
    fs::remove_file(&file).unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

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
fn the_list_of_images_is_what_the_chart_renders_and_all_of_it_follows_one_registry() {
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
    let objects = with_values(values.clone(), &[]).unwrap();
    let expected = mentioned(&objects, "mirror.example.com/k8s/");
    assert_eq!(listed(&values), expected);
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

#[test]
fn workspaces_get_the_pull_secrets_and_mirrors_that_the_values_name() {
    let mirrors = json!([
        {"source": "docker.io/library", "mirror": "registry.example.com:5000/hub"},
        {"source": "localhost:5000", "mirror": "registry.example.com/a__b"},
    ]);
    let objects = with_values(
        json!({"settings": {"imagePullSecrets": ["registry", "hub"], "imageMirrors": mirrors}}),
        &[],
    );
    let settings = |objects: &[Value]| -> Value {
        let text = named(objects, "ConfigMap", "jupyter-k8s-settings")["data"]["settings.yaml"].clone();
        serde_saphyr::from_str(text.as_str().unwrap()).unwrap()
    };
    let found = settings(&objects.unwrap());
    assert_eq!(found["imagePullSecrets"], json!(["registry", "hub"]));
    assert_eq!(found["imageMirrors"], mirrors);
    let found = settings(&with_values(json!({}), &[]).unwrap());
    assert_eq!(
        (&found["imagePullSecrets"], &found["imageMirrors"]),
        (&json!([]), &json!([]))
    );
}

#[test]
fn pull_secrets_and_mirrors_that_cannot_work_are_refused() {
    each_is_refused(&[
        (
            r#"settings.imagePullSecrets=["Not_OK"]"#,
            r#"settings.imagePullSecrets[0]: "Not_OK" is no name of a Kubernetes object"#,
        ),
        (
            r#"settings.imageMirrors=[{"source":"https://docker.io","mirror":"r.example.com"}]"#,
            r#"settings.imageMirrors[0].source: "https://docker.io" is no registry with or without a path"#,
        ),
        (
            r#"settings.imageMirrors=[{"source":"docker.io","mirror":"hub"}]"#,
            r#"settings.imageMirrors[0].mirror: "hub" is no registry"#,
        ),
        (
            r#"settings.imageMirrors=[{"source":"docker.io","mirror":"r.example.com/"}]"#,
            r#"settings.imageMirrors[0].mirror: "r.example.com/" is no registry"#,
        ),
        (
            r#"settings.imageMirrors=[{"source":"quay.io","mirror":"a.example.com"},{"source":"quay.io","mirror":"b.example.com"}]"#,
            r#"settings.imageMirrors[1].source: "quay.io" is named twice"#,
        ),
        (
            r#"settings.imageMirrors=[{"source":"index.docker.io/library","mirror":"a.example.com"}]"#,
            r#"settings.imageMirrors[0].source: "index.docker.io/library" matches nothing: write docker.io"#,
        ),
    ]);
}

#[test]
fn the_notes_name_the_pull_secret_of_workspaces_in_each_of_their_namespaces() {
    let command = |namespace: &str| {
        format!("kubectl create secret generic pull -n {namespace} --type=kubernetes.io/dockerconfigjson")
    };
    let secret = ["--set", "settings.imagePullSecrets={pull}"];
    let teams = [
        "--set",
        "userNamespaces[0].name=team-a,userNamespaces[1].name=team-b",
    ];
    let values = [&EXTERNAL[..], &secret, &teams].concat();
    let text = notes(&values);
    assert!(
        text.contains(&command("team-a")) && text.contains(&command("team-b")),
        "{text}"
    );
    let there = json!({"Secret/team-a/pull": {"data": {".dockerconfigjson": "e30="}}});
    let text = notes_in(&there, &values);
    assert!(text.contains("   ok    Secret pull in team-a\n"), "{text}");
    assert!(
        !text.contains(&command("team-a")) && text.contains(&command("team-b")),
        "{text}"
    );
    let text = notes(
        &[
            &EXTERNAL[..],
            &secret,
            &["--set", "scope=Namespace,objects=Namespace"],
        ]
        .concat(),
    );
    assert!(text.contains(&command("jupyter-k8s-system")), "{text}");
    let text = notes(&[&EXTERNAL[..], &teams].concat());
    assert!(!text.contains("imagePullSecrets"), "{text}");
}
