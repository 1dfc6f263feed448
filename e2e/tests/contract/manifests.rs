//! Manifests with common errors -> a line per error, all at once.
//!
//! Each line has field, value, rule and remedy. `kubectl apply` shows the same lines, and so does `kubectl workspace lint` without a
//! cluster.

use std::path::Path;

use anyhow::Context as _;
use api::names::GROUP;
use e2e::{
    cluster::{self, Scratch},
    command::kubectl_with,
    objects::template,
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

/// Texts of the API server's own messages, which users should not see.
const RAW_SCHEMA_TEXTS: [&str; 4] = ["Invalid value", "must be of type", "should match", "<nil>"];

/// A wrong manifest, and the start of each line about it.
type Case = (Value, &'static [&'static str]);

/// The lines of a refusal by kubectl, without its prefix.
async fn lines_of_kubectl(manifest: &Value) -> anyhow::Result<Vec<String>> {
    let outcome = kubectl_with("alice", &["apply", "--dry-run=server", "-f", "-"], manifest).await?;
    anyhow::ensure!(outcome.code == 1, "{manifest}: {outcome:?}");
    let (_, causes) = outcome.stderr.split_once(" is invalid: ").unwrap_or_default();
    let lines = causes.lines().map(|line| line.trim().trim_start_matches("* "));
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// The causes of the API server's refusal, as kubectl writes them.
async fn lines(manifest: &Value) -> anyhow::Result<Vec<String>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(
        GROUP,
        "v1alpha1",
        &text(&manifest["kind"]),
    ));
    let namespace = text(&manifest["metadata"]["namespace"]);
    let alice = Api::<DynamicObject>::namespaced_with(cluster::user("alice").await?, &namespace, &resource);
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let made = alice
        .create(&dry, &serde_json::from_value(manifest.clone())?)
        .await;
    match made {
        Err(kube::Error::Api(status)) if status.reason == "Invalid" => {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            Ok(causes
                .map(|cause| format!("{}: {}", cause.field, cause.message))
                .collect())
        }
        other => anyhow::bail!("{manifest}: {other:?}"),
    }
}

/// What lint finds without a cluster, in the order of the file.
async fn lines_of_lint(manifest: &Value, template: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let mut arguments = vec!["workspace", "lint", "-", "--output", "json"];
    if let Some(template) = template {
        let file = template.to_str().context("a path that is no text")?;
        arguments.extend(["--template", file]);
    }
    let outcome = kubectl_with("alice", &arguments, manifest).await?;
    let report: Value = serde_json::from_str(&outcome.stdout).with_context(|| format!("{outcome:?}"))?;
    anyhow::ensure!(report["checked"] == 1, "{report}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let problems = report["problems"].as_array().into_iter().flatten();
    let lines = problems.map(|problem| format!("{}: {}", text(&problem["field"]), text(&problem["message"])));
    Ok(lines.collect())
}

/// Values that the API server refuses and lint does not check: labels and annotations, by Kubernetes' own rules.
fn not_judged_by_lint() -> [(Value, &'static str); 3] {
    [
        (
            json!({"labels": {"course": "machine learning"}}),
            "metadata.labels",
        ),
        (json!({"labels": {"my course": "ml"}}), "metadata.labels"),
        (json!({"annotations": {"my note": "x"}}), "metadata.annotations"),
    ]
}

async fn only_the_server_judges(scratch: &Scratch) -> anyhow::Result<()> {
    for (metadata, field) in not_judged_by_lint() {
        let mut manifest = manifest(scratch, "Workspace", "wrong", &json!({"displayName": "d"}));
        for (name, value) in metadata.as_object().into_iter().flatten() {
            manifest["metadata"][name] = value.clone();
        }
        let refused = lines(&manifest).await?;
        assert!(
            refused.iter().any(|line| line.starts_with(field)),
            "{metadata}: {refused:?}"
        );
        assert_eq!(lines_of_lint(&manifest, None).await?, [""; 0], "{metadata}");
    }
    Ok(())
}

/// Compares the API server's messages with the expected ones, and lint's fields and messages with the API server's.
async fn each(cases: impl IntoIterator<Item = (Value, Case)>, template: Option<&Path>) -> anyhow::Result<()> {
    for (manifest, (spec, expected)) in cases {
        let found = lines(&manifest).await?;
        let (mut by_server, mut by_lint) = (found.clone(), lines_of_lint(&manifest, template).await?);
        by_server.sort();
        by_lint.sort();
        assert_eq!(by_lint, by_server, "{spec}: lint differs from the API server");
        let message = found.join("\n");
        assert_eq!(found.len(), expected.len(), "{spec}: {message}");
        for (line, beginning) in found.iter().zip(expected) {
            assert!(line.starts_with(beginning), "{spec}: {beginning}: {message}");
        }
        for part in RAW_SCHEMA_TEXTS {
            assert!(!message.contains(part), "{spec}: {message}");
        }
    }
    Ok(())
}

fn manifest(scratch: &Scratch, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": scratch.namespace}, "spec": spec,
    })
}

fn types() -> Vec<Case> {
    vec![
        (
            json!({"displayName": 5}),
            &[r#"spec.displayName: "5" is no text: put it in quotes"#],
        ),
        (
            json!({"displayName": null}),
            &["spec.displayName: is missing: set it"],
        ),
        (
            json!({"displayName": ""}),
            &["spec.displayName: is empty: write a value"],
        ),
        (
            json!({"displayName": "a\u{202e}b"}),
            &[r#"spec.displayName: "a\u{202e}b" is no line of plain text: leave out"#],
        ),
        (
            json!({"port": "8888"}),
            &[r#"spec.port: "8888" is a text: write the number without quotes"#],
        ),
        (
            json!({"env": [{"name": "A", "value": 1}]}),
            &[r#"spec.env[0].value: "1" is no text: put it in quotes"#],
        ),
        (
            json!({"nodeSelector": {"gpu": true}}),
            &[
                "spec.nodeSelector: is the template's to decide",
                r#"spec.nodeSelector.gpu: "true" is no text: put it in quotes"#,
            ],
        ),
        (
            json!({"storage": "1Gi"}),
            &[r#"spec.storage: "1Gi" holds no fields: write its own on lines below it (claimName, "#],
        ),
        (
            json!({"idleShutdown": {"enabled": "yes", "idleTimeoutInMinutes": "30m"}}),
            &[
                r#"spec.idleShutdown.enabled: "yes" is neither true nor false: write one of them"#,
                r#"spec.idleShutdown.idleTimeoutInMinutes: "30m" is no whole number: write how many minutes, such as 30"#,
            ],
        ),
        (
            json!({"desiredStatus": "running", "accessType": "public"}),
            &[
                r#"spec.accessType: "public" may not be written here: choose one of OwnerOnly, Public"#,
                r#"spec.desiredStatus: "running" may not be written here: choose one of Running, Stopped"#,
            ],
        ),
    ]
}

fn amounts() -> Vec<Case> {
    vec![
        (
            json!({"port": 0}),
            &[r#"spec.port: "0" is less than the minimum 1024: choose 1024 to 65535"#],
        ),
        (
            json!({"port": 99_999_999_999_i64}),
            &[r#"spec.port: "99999999999" is more than the maximum 65535: choose 1024 to 65535"#],
        ),
        (
            json!({"readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 3_000_000_000_i64}}),
            &[r#"spec.readinessProbe.periodSeconds: "3000000000" is more than the maximum 2147483647"#],
        ),
        (
            json!({"resources": {"limits": {"cpu": 0.5}}}),
            &[
                r#"spec.resources.limits.cpu: "0.5" is no whole number of at most 18 digits: put it in quotes"#,
            ],
        ),
        (
            json!({"resources": {"limits": {"cpu": "two", "memory": "4GB"}}}),
            &[
                r#"spec.resources.limits.cpu: "two" is no amount: write a number"#,
                r#"spec.resources.limits.memory: "4GB" is no amount: write a number"#,
            ],
        ),
        (
            json!({"resources": {"limits": {"memory": -1}}}),
            &[
                r#"spec.resources.limits.memory: "-1" is negative: ask for 0 or more"#,
                r#"spec.resources.limits.memory: "-1" is less than the template's minimum 64Mi"#,
            ],
        ),
        (
            json!({"resources": {"limits": {"memory": 0}}}),
            &[
                r#"spec.resources.limits.memory: "0" is 0, which a node takes for no limit at all"#,
                r#"spec.resources.limits.memory: "0" is less than the template's minimum 64Mi"#,
            ],
        ),
        (
            json!({"storage": {"size": 10}}),
            &[r#"spec.storage.size: "10" is smaller than any disk: ask for at least 1Mi, and mind the unit"#],
        ),
        (
            json!({"storage": {"size": "10 GB"}}),
            &[r#"spec.storage.size: "10 GB" is no amount: write a number"#],
        ),
        (
            json!({"shmSize": "100Ti"}),
            &[r#"spec.shmSize: "100Ti" is more than the memory limit"#],
        ),
    ]
}

fn lists() -> Vec<Case> {
    vec![
        (
            json!({"env": [{"name": "A"}, {"name": "WORKSPACE_UID"}, {"name": "WORKSPACE_RUN_ID"}]}),
            &[
                r#"spec.env[1].name: "WORKSPACE_UID" is set by the operator: choose another name"#,
                r#"spec.env[2].name: "WORKSPACE_RUN_ID" is set by the operator: choose another name"#,
            ],
        ),
        (
            json!({"env": [{"name": "A"}, {"name": "A"}, {"value": "x"}]}),
            &[
                r#"spec.env[1].name: "A" is set twice: leave one out"#,
                "spec.env[2].name: is missing: set it",
            ],
        ),
        (
            json!({"image": "r\u{e9}g/x y"}),
            &[r#"spec.image: "rég/x y" has characters that no image's name has: name an image such as"#],
        ),
        (
            json!({
                "displayName": "a\nb", "image": "evil:1", "port": "80", "resources": {"limits": {"cpu": "lots", "memory": "900Gi"}},
                "storage": {"size": "9Ti", "mountPath": "home"},
            }),
            &[
                r#"spec.displayName: "a\nb" is no line of plain text"#,
                r#"spec.image: "evil:1" is not an image that the template allows: choose one of uv"#,
                r#"spec.port: "80" is a text: write the number without quotes"#,
                r#"spec.port: "80" is less than the minimum 1024: choose 1024 to 65535"#,
                r#"spec.resources.limits.cpu: "lots" is no amount"#,
                r#"spec.resources.limits.memory: "900Gi" is more than the template's maximum 1Gi: ask for at most 1Gi"#,
                r#"spec.storage.mountPath: "home" is no place in a container"#,
                r#"spec.storage.size: "9Ti" is more than the template's maximum 2Gi: ask for at most 2Gi"#,
            ],
        ),
    ]
}

#[tokio::test]
async fn each_fault_of_a_workspace_or_a_share_is_a_line_that_says_what_to_write() -> anyhow::Result<()> {
    let scratch = Scratch::new("manifests", &["alice"]).await?;
    let bounds = json!({
        "defaultImage": "uv",
        "resourceBounds": {"memory": {"min": "64Mi", "max": "1Gi"}},
        "primaryStorage": {"minSize": "1Gi", "maxSize": "2Gi", "defaultSize": "1Gi"},
    });
    template::make(&scratch, &bounds).await?;
    let mut template = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceTemplate", "metadata": {"name": scratch.namespace}, "spec": bounds,
    });
    template["spec"]["displayName"] = json!("Template of a test");
    let file = std::env::temp_dir().join(format!("{}.json", scratch.namespace));
    std::fs::write(&file, template.to_string())?;
    let cases = [types(), amounts(), lists()].concat();
    let of_workspace = |(rest, expected): Case| {
        let mut spec = json!({"displayName": "d", "templateRef": scratch.namespace});
        for (name, value) in rest.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
        (manifest(&scratch, "Workspace", "wrong", &spec), (rest, expected))
    };
    let cases: Vec<_> = cases.into_iter().map(of_workspace).collect();
    // The last one has the most faults.
    if let Some((manifest, _)) = cases.last() {
        assert_eq!(lines_of_kubectl(manifest).await?, lines(manifest).await?);
    }
    each(cases, Some(&file)).await?;
    std::fs::remove_file(&file)?;
    names_and_shares(&scratch).await?;
    only_the_server_judges(&scratch).await?;
    template::finish(scratch).await
}

async fn names_and_shares(scratch: &Scratch) -> anyhow::Result<()> {
    let fine = json!({"displayName": "d"});
    let long = "n".repeat(51);
    for (name, beginning) in [
        (
            "My_Lab",
            r#"metadata.name: "My_Lab" is not a valid name: use at most 50"#,
        ),
        (
            "1lab",
            r#"metadata.name: "1lab" is not a valid name: use at most 50"#,
        ),
        (&long, r#"metadata.name: "nnn"#),
    ] {
        let of_name = (json!(name), &*vec![beginning].leak());
        each([(manifest(scratch, "Workspace", name, &fine), of_name)], None).await?;
    }
    let shares: [Case; 2] = [
        (
            json!({"workspaceRef": "lab", "expiresAt": "tomorrow", "subjects": []}),
            &[
                r#"spec.expiresAt: "tomorrow" is no time that can be kept: write it by RFC 3339, such as 2026-12-31T18:00:00Z"#,
                "spec.subjects: has 0 entries, fewer than the minimum 1: add some",
            ],
        ),
        (
            json!({"workspaceRef": "My Lab", "subjects": [{"kind": "Person", "name": "bob"}, {"kind": "User", "name": "bob "}]}),
            &[
                r#"spec.subjects[0].kind: "Person" may not be written here: choose one of User, Group, ServiceAccount"#,
                r#"spec.subjects[1].name: "bob " has characters that cannot be seen"#,
                r#"spec.workspaceRef: "My Lab" is no name of an object"#,
            ],
        ),
    ];
    let of_share = shares.into_iter().map(|(spec, expected)| {
        let manifest = manifest(scratch, "WorkspaceShare", "wrong", &spec);
        (manifest, (spec, expected))
    });
    each(of_share, None).await
}
