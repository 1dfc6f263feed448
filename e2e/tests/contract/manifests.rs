//! Broken manifests, by kubectl, plugin and portal -> each refusal names the field and what is allowed.

use e2e::{
    cluster::Scratch,
    command::{Outcome, kubectl_with},
    objects::template,
    portal::Portal,
    wait,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

/// Manifests that are sent at once.
const AT_ONCE: usize = 4;
/// What no refusal may contain.
const NEVER: [&str; 3] = ["panicked", "Internal Server Error", "error calling include"];

/// Text of a manifest, part of the field's name, and words about what is allowed: those of the API server, or those of whoever says it
/// before.
struct Case {
    manifest: String,
    field: &'static str,
    words: &'static [&'static str],
}

/// Lines of a spec, part of the field's name, and words.
type Row = (&'static str, &'static str, &'static [&'static str]);

/// A case for each row.
fn cases<const N: usize>(scratch: &Scratch, rows: [Row; N]) -> Vec<Case> {
    let case = |(lines, field, words)| spec(scratch, lines, field, words);
    rows.map(case).into()
}

/// A workspace of the template with these lines in its spec.
fn spec(scratch: &Scratch, lines: &str, field: &'static str, words: &'static [&'static str]) -> Case {
    let name = if lines.contains("displayName") {
        ""
    } else {
        "  displayName: d\n"
    };
    let rest: String = lines.lines().flat_map(|line| ["  ", line, "\n"]).collect();
    Case {
        manifest: format!(
            "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata:\n  name: wrong\n  namespace: {0}\nspec:\n  \
             templateRef: {0}\n{name}{rest}",
            scratch.namespace
        ),
        field,
        words,
    }
}

/// Shapes, which the API server judges by the schema, and a type that does not fit by whoever reads the object first.
fn shapes(scratch: &Scratch) -> Vec<Case> {
    const TEXT: &[&str] = &["of type string", "must be text"];
    const CHOICE: &[&str] = &["Unsupported value", "must be "];
    const UNKNOWN: &[&str] = &["unknown field"];
    let rows: [Row; _] = [
        ("displayName: 5", "displayName", TEXT),
        ("displayName: \"\"", "displayName", &["at least 1 chars"]),
        ("displayName: \"a\\tb\"", "displayName", &["should match"]),
        (
            "port: \"8888\"",
            "port",
            &["of type integer", "must be a whole number"],
        ),
        ("port: 80", "port", &["greater than or equal to 1024"]),
        ("port: 65536", "port", &["less than or equal to 65535"]),
        (
            "templateRef: My_Template",
            "templateRef",
            &["should match", "is set twice"],
        ),
        ("managerRef: Main Manager", "managerRef", &["should match"]),
        ("env: [{name: A, value: 1}]", "env[0].value", TEXT),
        (
            "storage: 1Gi",
            "storage",
            &["of type object", "must be an object"],
        ),
        ("storage: {size: 10 GB}", "size", &["should match"]),
        ("storage: {mountPath: home}", "mountPath", &["should match"]),
        (
            "storage: {mountPath: /home/../etc}",
            "mountPath",
            &["must not hold"],
        ),
        (
            "storage: {claimName: c, size: 1Gi}",
            "claimName",
            &["claimName may not be set together with"],
        ),
        ("storage: {sise: 1Gi}", "sise", UNKNOWN),
        ("colour: red", "colour", UNKNOWN),
        (
            "idleShutdown: {enabled: \"yes\"}",
            "enabled",
            &["of type boolean", "must be true or false"],
        ),
        (
            "idleShutdown: {idleTimeoutInMinutes: 0}",
            "idleTimeoutInMinutes",
            &["greater than or equal to 1"],
        ),
        (
            "idleShutdown: {detection: {httpGet: {path: /healthz}}}",
            "httpGet.path",
            &["must end with /api/status"],
        ),
        (
            "limits: {startTimeoutMinutes: 0}",
            "startTimeoutMinutes",
            &["greater than or equal to 1"],
        ),
        ("desiredStatus: running", "desiredStatus", CHOICE),
        ("accessType: public", "accessType", CHOICE),
        ("resources: {limits: {cpu: two}}", "cpu", &["should match"]),
        ("resources: {limits: {memory: 4GB}}", "memory", &["should match"]),
        (
            "volumes: [{name: tmp, persistentVolumeClaimName: c, mountPath: /data}]",
            "name",
            &["name is taken"],
        ),
    ];
    cases(scratch, rows)
}

/// Rules, which the webhook judges.
fn rules(scratch: &Scratch) -> Vec<Case> {
    let rows: [Row; _] = [
        ("image: x:y:z", "spec.image", &["must be [registry"]),
        ("image: evil:1", "spec.image", &["choose one of"]),
        ("resources: {limits: {memory: 900Gi}}", "memory", &["maximum 1Gi"]),
        (
            "resources: {limits: {memory: 512}}",
            "memory",
            &["less than any container starts in"],
        ),
        ("storage: {size: 9Ti}", "size", &["maximum 2Gi"]),
        ("storage: {size: 10}", "size", &["smaller than any disk"]),
        (
            "env: [{name: A, value: a}, {name: A, value: b}]",
            "env[1]",
            &["twice", "Duplicate value"],
        ),
        (
            "env: [{name: WORKSPACE_UID, value: x}]",
            "env[0].name",
            &["must not be set"],
        ),
        (
            "env: [{name: JUPYTER_PORT, value: '9'}]",
            "env[0].name",
            &["use spec.port"],
        ),
        (
            "nodeSelector: {a: b}",
            "nodeSelector",
            &["allowCustomScheduling is false"],
        ),
        (
            "containerSecurityContext: {privileged: true}",
            "containerSecurityContext",
            &["Pod Security"],
        ),
        (
            "readinessProbe: {httpGet: {host: elsewhere, port: 80}}",
            "readinessProbe.httpGet.host",
            &["the pod"],
        ),
    ];
    cases(scratch, rows)
}

/// What names the object.
fn heads(scratch: &Scratch) -> Vec<Case> {
    let of = |from: &str, to: &str, field, words| {
        let mut case = spec(scratch, "", field, words);
        case.manifest = case.manifest.replace(from, to);
        case
    };
    vec![
        of(
            "name: wrong",
            "name: My_Lab",
            "name",
            &["lower case", "lower-case"],
        ),
        of(
            "kind: Workspace",
            "kind: Workspac",
            "Workspac",
            &["no matches for kind", "write kind"],
        ),
        of(
            "v1alpha1",
            "v9",
            "v9",
            &["no matches for kind", "write apiVersion"],
        ),
        of("spec:", "spec: [", "", &["line", "YAML"]),
    ]
}

async fn check(case: &Case, portal: &Portal, scratch: &Scratch) -> anyhow::Result<()> {
    let Case {
        manifest,
        field,
        words,
    } = case;
    let said = |by: &str, text: &str| {
        anyhow::ensure!(
            text.contains(field) && words.iter().any(|words| text.contains(words)),
            "{by}, on {manifest}: {field:?} or {words:?} is missing in {text}"
        );
        let never = NEVER.iter().find(|part| text.contains(*part));
        anyhow::ensure!(never.is_none(), "{by}, on {manifest}: {text}");
        Ok(())
    };
    // kubectl looks for an unknown kind among the definitions, which users may not list.
    let is_known = manifest.contains("/v1alpha1\nkind: Workspace\n");
    let validate = if is_known {
        "--validate=strict"
    } else {
        "--validate=ignore"
    };
    for arguments in [
        &["apply", "--dry-run=server", validate, "-f", "-"][..],
        &["workspace", "create", "--dry-run=server", "-f", "-"],
    ] {
        let Outcome { code, stdout, stderr } = kubectl_with("alice", arguments, manifest).await?;
        anyhow::ensure!(code != 0, "{arguments:?} takes {manifest}: {stdout}");
        said(&arguments.join(" "), &stderr)?;
    }
    let form = [
        ("namespace", scratch.namespace.as_str()),
        ("template", &scratch.namespace),
        ("written", "yaml"),
        ("yaml", manifest),
    ];
    // A user has five checks a second.
    let answer = wait::until("the portal to check it", wait::USUAL, || async {
        let answer = portal
            .post("/new/check", &form)
            .await
            .map_err(|error| format!("{error:#}"))?;
        if answer.status() == 200 {
            Ok(answer)
        } else {
            Err(answer.status().to_string())
        }
    })
    .await?;
    let text = scraper::Html::parse_fragment(&answer.text().await?);
    said("the portal", &text.root_element().text().collect::<String>())
}

#[tokio::test]
async fn each_broken_manifest_is_refused_with_its_field_by_kubectl_plugin_and_portal() -> anyhow::Result<()> {
    let scratch = Scratch::new("manifests", &["alice"]).await?;
    let bounds = json!({
        "defaultImage": "uv",
        "resourceBounds": {"memory": {"min": "64Mi", "max": "1Gi"}},
        "primaryStorage": {"minSize": "1Gi", "maxSize": "2Gi", "defaultSize": "1Gi"},
    });
    template::make(&scratch, &bounds).await?;
    let portal = Portal::enter("alice").await?;
    let cases: Vec<_> = [shapes(&scratch), rules(&scratch), heads(&scratch)]
        .into_iter()
        .flatten()
        .collect();
    let checked = stream::iter(&cases).map(async |case| match check(case, &portal, &scratch).await {
        Ok(()) => Ok(None),
        Err(error) => Ok::<_, anyhow::Error>(Some(format!("{error:#}"))),
    });
    let failed: Vec<_> = checked.buffer_unordered(AT_ONCE).try_collect().await?;
    let failed: Vec<_> = failed.into_iter().flatten().collect();
    anyhow::ensure!(
        failed.is_empty(),
        "{} of {}:\n{}",
        failed.len(),
        cases.len(),
        failed.join("\n\n")
    );
    template::finish(scratch).await
}
