//! Objects that the API server refuses by schema and CEL.

use std::collections::BTreeMap;

use api::{Workspace, WorkspaceManager, WorkspaceTemplate};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
};
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

/// Creates by server-side dry run; the refusal's text, or nothing.
async fn refusal<K>(api: &Api<K>, object: Value) -> anyhow::Result<Option<String>>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let object: K = serde_json::from_value(object)?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    Ok(api
        .create(&dry, &object)
        .await
        .err()
        .map(|error| error.to_string()))
}

fn of_kind(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn malformed_objects_and_changes_of_immutable_fields_are_refused_with_the_field_s_path()
-> anyhow::Result<()> {
    let scratch = Scratch::new("schema", &[]).await?;
    let workspaces: Api<Workspace> = scratch.api();
    malformed_workspaces_are_refused(&workspaces).await?;
    quoted_values_in_messages_are_escaped_and_truncated(&workspaces).await?;
    Box::pin(immutable_fields_cannot_change(&workspaces)).await?;
    contradictory_templates_are_refused().await?;
    contradictory_managers_are_refused(cluster::admin().await?).await?;
    scratch.finish().await
}

async fn malformed_workspaces_are_refused(workspaces: &Api<Workspace>) -> anyhow::Result<()> {
    let seventeen: BTreeMap<_, _> = (0..17).map(|number| (format!("o{number}"), "x")).collect();
    let cases = [
        ("ok", json!({"displayName": "fine"}), None),
        (
            "options",
            json!({"displayName": "x", "options": {"gpu": "a100"}}),
            Some("options need a template that has them"),
        ),
        (
            "many-options",
            json!({"displayName": "x", "templateRef": "none-such", "options": seventeen}),
            Some("spec.options"),
        ),
        (
            "long-choice",
            json!({"displayName": "x", "templateRef": "none-such", "options": {"gpu": "a".repeat(300)}}),
            Some("spec.options.gpu"),
        ),
        ("Upper", json!({"displayName": "x"}), Some("metadata.name")),
        ("1st", json!({"displayName": "x"}), Some("metadata.name")),
        (
            &*"n".repeat(51),
            json!({"displayName": "x"}),
            Some("at most 50 characters"),
        ),
        ("empty", json!({"displayName": ""}), Some("spec.displayName")),
        (
            "bell",
            json!({"displayName": "a\u{7}b"}),
            Some("spec.displayName"),
        ),
        (
            "reversed",
            json!({"displayName": "a\u{202e}b"}),
            Some("spec.displayName"),
        ),
        (
            "escape",
            json!({"displayName": "a\u{9b}31mb"}),
            Some("spec.displayName"),
        ),
        ("umlaut", json!({"displayName": "Übung 1 – 東京"}), None),
        ("port", json!({"displayName": "x", "port": 80}), Some("spec.port")),
        (
            "cpu",
            json!({"displayName": "x", "resources": {"requests": {"cpu": "1 core"}}}),
            Some("spec.resources.requests.cpu"),
        ),
        (
            "negative",
            json!({"displayName": "x", "storage": {"size": "-1Gi"}}),
            Some("spec.storage.size"),
        ),
        (
            "path",
            json!({"displayName": "x", "storage": {"mountPath": "home"}}),
            Some("spec.storage.mountPath"),
        ),
    ];
    for (name, spec, expected) in cases {
        let refused = refusal(workspaces, of_kind("Workspace", name, spec)).await?;
        match expected {
            None => assert_eq!(refused, None, "{name}"),
            Some(part) => assert!(
                refused.as_ref().is_some_and(|text| text.contains(part)),
                "{name}: {refused:?}"
            ),
        }
    }
    Ok(())
}

async fn immutable_fields_cannot_change(workspaces: &Api<Workspace>) -> anyhow::Result<()> {
    let spec = json!({
        "displayName": "x", "desiredStatus": "Stopped", "templateRef": "none-such",
        "storage": {"size": "2Gi", "storageClassName": "standard"},
    });
    let object = serde_json::from_value(of_kind("Workspace", "fixed", spec))?;
    workspaces.create(&PostParams::default(), &object).await?;
    for (change, path, message) in [
        (
            json!({"templateRef": "other"}),
            "spec.templateRef: Invalid value: ",
            r#"templateRef is immutable, it is "none-such" and cannot become "other": delete"#,
        ),
        (json!({"storage": null}), "spec", "storage cannot be removed"),
    ] {
        let outcome = workspace::set(workspaces, "fixed", change.clone()).await;
        let error = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        // Before 1.36, the API server writes the type of the value between both.
        assert!(
            error.contains(path) && error.contains(message),
            "{change}: {error:?}"
        );
    }
    // It has no disk yet, so any class and size go.
    let moved = json!({"storage": {"storageClassName": "fast"}});
    workspace::set(workspaces, "fixed", moved).await?;
    for size in [json!("3072Mi"), json!("1Gi"), Value::Null] {
        workspace::set(workspaces, "fixed", json!({"storage": {"size": size}})).await?;
    }
    let left_out = json!({"templateRef": null, "desiredStatus": null});
    let kept = workspace::set(workspaces, "fixed", left_out).await?;
    assert_eq!(kept.spec.template_ref.as_deref(), Some("none-such"));
    assert_eq!(kept.spec.desired_status, api::workspace::DesiredStatus::Stopped);

    let bare = of_kind(
        "Workspace",
        "bare",
        json!({"displayName": "x", "desiredStatus": "Stopped"}),
    );
    workspaces
        .create(&PostParams::default(), &serde_json::from_value(bare)?)
        .await?;
    let added = workspace::set(workspaces, "bare", json!({"templateRef": "other"})).await;
    let part = r#"templateRef is immutable, it is unset and cannot become "other": delete"#;
    assert!(
        added
            .as_ref()
            .is_err_and(|error| error.to_string().contains(part)),
        "{added:?}"
    );
    Ok(())
}

async fn contradictory_templates_are_refused() -> anyhow::Result<()> {
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    let base = || json!({"displayName": "x", "defaultImage": "a"});
    let with = |extra: Value| {
        let mut spec = base();
        for (key, value) in extra.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        of_kind("WorkspaceTemplate", "contradiction", spec)
    };
    assert_eq!(refusal(&templates, with(json!({}))).await?, None);
    for (extra, part) in [
        (
            json!({"resourceBounds": {"cpu": {"min": "2", "max": 1}}}),
            "min must not be greater than max: 2 is more than 1",
        ),
        (
            json!({"primaryStorage": {"minSize": "1Gi", "maxSize": "1G"}}),
            "minSize must not be greater than maxSize: 1Gi is more than 1G, lower the one",
        ),
        (
            json!({"primaryStorage": {"defaultSize": "3Gi", "maxSize": "2Gi"}}),
            "defaultSize must not be greater than maxSize: 3Gi is more than 2Gi",
        ),
        (
            json!({"allowedImages": ["b"]}),
            "defaultImage must be one of allowedImages, \"a\" is not: add it there",
        ),
        (
            json!({"resourceBounds": {"cpu": {"max": "1"}}, "defaultResources": {"limits": {"cpu": "1001m"}}}),
            "defaultResources must be within resourceBounds.cpu, which is from open to 1: change",
        ),
        (
            json!({"resourceBounds": {"gpu": {"max": 0}}, "defaultResources": {"limits": {"nvidia.com/gpu": 1}}}),
            "defaultResources must be within resourceBounds.gpu",
        ),
        (
            json!({"defaultResources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1G"}}}),
            "must not exceed",
        ),
        (
            json!({"options": [{"name": "gpu", "choices": [{"name": "x"}, {"name": "x"}]}]}),
            "spec.options[0].choices[1]: Duplicate value",
        ),
        (
            json!({"options": [{"name": "gpu", "choices": [{"name": "-x"}]}]}),
            "spec.options[0].choices[0].name",
        ),
    ] {
        let refused = refusal(&templates, with(extra.clone())).await?;
        assert!(
            refused.as_ref().is_some_and(|text| text.contains(part)),
            "{extra}: {refused:?}"
        );
    }
    Ok(())
}

async fn contradictory_managers_are_refused(admin: Client) -> anyhow::Result<()> {
    let managers = Api::<WorkspaceManager>::all(admin);
    let walls = || json!({"ingressFrom": [{"podSelector": {}}]});
    for spec in [
        json!({"routing": {"external": {}}, "authentication": {"application": {}}, "networkPolicy": walls()}),
        json!({"routing": {"external": {}}, "authentication": {"none": {}}, "networkPolicy": {"enabled": false}}),
        json!({
            "routing": {"baseDomain": "x.example", "external": {"urlTemplate": "https://hub/{hub.path}"}},
            "authentication": {"application": {}}, "networkPolicy": walls(),
        }),
    ] {
        let manager = of_kind("WorkspaceManager", "contradiction", spec.clone());
        assert_eq!(refusal(&managers, manager).await?, None, "{spec}");
    }
    for (spec, part) in [
        (
            json!({"routing": {"baseDomain": "x.example"}, "authentication": {"gateway": {}}}),
            "exactly one proxy",
        ),
        (
            json!({"routing": {"baseDomain": "x.example", "traefik": {}}, "authentication": {}}),
            "exactly one way",
        ),
        (
            json!({"routing": {"baseDomain": "Not A Domain", "traefik": {}}, "authentication": {"gateway": {}}}),
            "baseDomain",
        ),
        (
            json!({"routing": {"custom": {"resources": []}}, "authentication": {"none": {}}}),
            "baseDomain must be set",
        ),
        (
            json!({"routing": {"baseDomain": "x.example", "traefik": {}, "external": {}}, "authentication": {"gateway": {}}}),
            "exactly one proxy",
        ),
        (
            json!({"routing": {"external": {}}, "authentication": {"application": {}, "none": {}}, "networkPolicy": walls()}),
            "exactly one way",
        ),
        (
            json!({"routing": {"baseDomain": "x.example", "traefik": {}}, "authentication": {"application": {}}}),
            "routing.traefik needs authentication.gateway",
        ),
        (
            json!({"routing": {"external": {}}, "authentication": {"gateway": {}}, "networkPolicy": walls()}),
            "routing.external needs authentication.application or none",
        ),
        (
            json!({"routing": {"external": {}}, "authentication": {"forwardAuth": {"address": "http://a"}}, "networkPolicy": walls()}),
            "routing.external needs authentication.application or none",
        ),
        (
            json!({"routing": {"external": {}}, "authentication": {"application": {}}}),
            "routing.external needs networkPolicy.ingressFrom",
        ),
        (
            json!({"routing": {"external": {}}, "authentication": {"application": {}}, "networkPolicy": {"egress": "Any"}}),
            "routing.external needs networkPolicy.ingressFrom",
        ),
    ] {
        let refused = refusal(
            &managers,
            of_kind("WorkspaceManager", "contradiction", spec.clone()),
        )
        .await?;
        assert!(
            refused.as_ref().is_some_and(|text| text.contains(part)),
            "{spec}: {refused:?}"
        );
    }
    Ok(())
}

async fn omitted_fields_read_back_defaulted_and_status_is_written_through_its_subresource_alone(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let workspaces: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut wanted = workspace::echo("omits")?;
    wanted.status = serde_json::from_value(json!({"phase": "Running", "url": "https://elsewhere.example/"}))?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let stored = workspaces.create(&dry, &wanted).await?;
    assert_eq!(serde_json::to_value(&stored.spec)?["desiredStatus"], "Running");
    wanted.spec.desired_status = api::workspace::DesiredStatus::Stopped;
    let stored = workspaces.create(&PostParams::default(), &wanted).await?;
    assert_eq!(stored.status, None, "a status in the main resource is ignored");
    let patch = kube::api::Patch::Merge(json!({"status": {"url": "https://elsewhere.example/"}}));
    let forged = workspaces
        .patch_status("omits", &kube::api::PatchParams::default(), &patch)
        .await;
    assert!(
        forged.is_err_and(|error| error.to_string().contains("forbidden")),
        "users may not write status"
    );
    Ok(())
}

async fn quoted_values_in_messages_are_escaped_and_truncated(
    workspaces: &Api<Workspace>,
) -> anyhow::Result<()> {
    let mount = format!("/a\"\n{}/../b", "x".repeat(200));
    let spec = json!({"displayName": "x", "storage": {"mountPath": mount}});
    let refused = refusal(workspaces, of_kind("Workspace", "w", spec)).await?;
    let message = refused.unwrap_or_default();
    let shown = format!(
        r#"mountPath must not hold "..", it is "/a\"\n{}..."#,
        "x".repeat(96)
    );
    assert!(message.contains(&shown), "{message}");
    Ok(())
}

async fn kubectl_get_shows_whether_templates_managers_and_profiles_are_valid(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    for (kind, columns) in [
        ("wst", ["VALID", "REASON"]),
        ("wsep", ["VALID", "REASON"]),
        ("wsm", ["READY", "REASON"]),
        ("wss", ["ACTIVE", "REASON"]),
    ] {
        // As kubectl requests it; the columns are listed even without an object.
        let path = match kind {
            "wst" => "workspacetemplates".to_owned(),
            "wsm" => "workspacemanagers".to_owned(),
            "wsep" => format!("namespaces/{}/workspaceexecutionprofiles", scratch.namespace),
            _ => format!("namespaces/{}/workspaceshares", scratch.namespace),
        };
        let request = http::Request::get(format!("/apis/workspaces.jupyter.org/v1alpha1/{path}"))
            .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
            .body(Vec::new())?;
        let table: Value = cluster::admin().await?.request(request).await?;
        let named = table["columnDefinitions"].to_string().to_uppercase();
        for column in columns {
            assert!(
                named.contains(&format!("{column:?}")),
                "{kind}: {column} in {named}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn kubectl_get_shows_a_status_that_its_subresource_alone_takes_and_fields_read_back_defaulted()
-> anyhow::Result<()> {
    let scratch = Scratch::new("columns", &["alice"]).await?;
    let ws = workspace::running(&scratch, "ws").await?;
    let table =
        e2e::command::kubectl("alice", &["get", "ws", "-n", &scratch.namespace, "-o", "wide"]).await?;
    for column in [
        "NAME",
        "STATUS",
        "REASON",
        "READY",
        "AGE",
        "URL",
        "OWNER",
        "STOPS",
        "Running",
        "True",
        &workspace::url(&ws)?,
    ] {
        assert!(table.stdout.contains(column), "{column}: {table:?}");
    }
    kubectl_get_shows_whether_templates_managers_and_profiles_are_valid(&scratch).await?;
    omitted_fields_read_back_defaulted_and_status_is_written_through_its_subresource_alone(&scratch).await?;
    scratch.finish().await
}
