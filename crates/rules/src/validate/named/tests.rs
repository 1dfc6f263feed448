use serde_json::{Value, json};

use super::*;

fn workspace(metadata: Value) -> Workspace {
    let mut workspace = json!({
        "metadata": {"name": "lab", "namespace": "team", "uid": "u-1"},
        "spec": {
            "displayName": "d",
            "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
            ],
            "initContainers": [{"name": "i", "image": "i", "envFrom": [{"secretRef": {"name": "git"}}]}],
            "storage": {"claimName": "home"},
            "volumes": [{"name": "v", "persistentVolumeClaimName": "data", "mountPath": "/v"}],
            "variables": {"course": "ml"},
        },
    });
    for (key, value) in metadata.as_object().unwrap() {
        workspace["metadata"][key] = value.clone();
    }
    serde_json::from_value(workspace).unwrap()
}

fn template(spec: Value) -> WorkspaceTemplate {
    let mut spec = spec;
    spec["displayName"] = json!("t");
    spec["defaultImage"] = json!("i");
    serde_json::from_value(json!({"metadata": {"name": "t"}, "spec": spec})).unwrap()
}

fn reading(name: &str, key: &str) -> WorkspaceTemplate {
    template(json!({
        "environmentVariables": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}],
    }))
}

fn manager() -> WorkspaceManager {
    let mut manager = unlike_any();
    manager.spec.routing.base_domain = "example.net".to_owned();
    manager.spec.routing.port = None;
    manager
}

fn chosen(
    workspace: &Workspace,
    template: &WorkspaceTemplate,
    manager: Option<&WorkspaceManager>,
) -> Result<Vec<String>, Vec<Violation>> {
    let settings = Settings::parse("{defaultImage: i, admission: true}").unwrap();
    let found = by_choice(workspace, template, manager, &settings)?;
    Ok(found
        .into_iter()
        .map(|it| format!("{:?} {}/{} {}", it.resource, it.name, it.key, it.field))
        .collect())
}

#[test]
fn what_the_author_names_is_found_wherever_it_is() {
    let template = template(json!({
        "environmentVariables": [
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "key-{course}", "key": "k"}}},
            {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "key-{workspace.namespace}", "key": "k"}}},
        ],
        "defaultVolumes": [{"name": "v", "persistentVolumeClaimName": "{course}-data", "mountPath": "/v"}],
    }));
    let settings = Settings::parse("{defaultImage: i, admission: true}").unwrap();
    let found = named_by_author(&workspace(json!({})), Some(&template), None, &settings).unwrap();
    let found: Vec<_> = found
        .into_iter()
        .map(|it| format!("{:?} {} {}", it.resource, it.name, it.field))
        .collect();
    assert_eq!(
        found,
        [
            "Secret s spec.env[0].valueFrom.secretKeyRef.name",
            "ConfigMap c spec.env[1].valueFrom.configMapKeyRef.name",
            "Secret git spec.initContainers[0].envFrom[0].secretRef.name",
            "Claim home spec.storage.claimName",
            "Claim data spec.volumes[0].persistentVolumeClaimName",
            "Secret key-ml spec.variables",
            "Claim ml-data spec.variables",
        ]
    );
}

#[test]
fn a_key_that_the_author_chose_is_theirs_as_a_name_is() {
    let found = chosen(&workspace(json!({})), &reading("team-keys", "{course}"), None);
    assert_eq!(found.unwrap(), ["Secret team-keys/ml spec.variables"]);
}

#[test]
fn given_and_built_in_variables_in_one_name_are_expanded_together() {
    for (name, expected) in [
        ("{course}-{service.port}", "ml-8888"),
        ("{course}-{workspace.host}", "ml-"),
        (
            "{course}-{routing.baseDomain}-{routing.port}",
            "ml-example.net-443",
        ),
        ("{course}-{pvcs.v}-{pvcs.home}", "ml-data-home"),
        ("{course}-{workspace.uid}", "ml-u-1"),
    ] {
        let found = chosen(&workspace(json!({})), &reading(name, "k"), Some(&manager())).unwrap();
        assert_eq!(found.len(), 1, "{name}");
        assert!(
            found[0].starts_with(&format!("Secret {expected}")) && found[0].ends_with("spec.variables"),
            "{found:?}"
        );
    }
}

#[test]
fn what_follows_from_the_name_or_the_disks_is_the_author_s_choice() {
    for name in [
        "{workspace.name}-creds",
        "{service.name}",
        "{workspace.host}",
        "{pvcs.home}",
        "{pvcs.v}",
    ] {
        let found = chosen(&workspace(json!({})), &reading(name, "k"), Some(&manager())).unwrap();
        assert_eq!(found.len(), 1, "{name}");
        assert!(found[0].ends_with("spec.templateRef"), "{found:?}");
    }
}

#[test]
fn what_uid_namespace_owner_and_the_default_manager_decide_is_nobody_s_choice() {
    let owned = workspace(json!({"annotations": {api::names::CREATED_BY: "alice"}}));
    let names = "{workspace.uid}-{workspace.namespace}-{owner.name}-{routing.baseDomain}";
    assert!(
        chosen(&owned, &reading(names, "{service.port}"), Some(&manager()))
            .unwrap()
            .is_empty()
    );
    let mut choosing = owned;
    choosing.spec.manager_ref = Some("m".to_owned());
    choosing.spec.port = Some(9999);
    for name in ["{routing.baseDomain}", "{service.port}"] {
        let found = chosen(&choosing, &reading(name, "k"), Some(&manager())).unwrap();
        assert_eq!(found.len(), 1, "{name}");
    }
}

#[test]
fn what_cannot_be_expanded_is_an_error_and_is_never_skipped() {
    assert!(
        chosen(
            &workspace(json!({})),
            &reading("{course}-{no.such}", "k"),
            Some(&manager())
        )
        .is_err()
    );
    // The host is not known before the manager is.
    let faults = chosen(&workspace(json!({})), &reading("{workspace.host}", "k"), None).unwrap_err();
    assert!(faults[0].message.contains("does not exist yet"), "{faults:?}");
}

#[test]
fn variables_that_are_keys_of_one_map_stay_apart() {
    let mut workspace = workspace(json!({}));
    workspace
        .spec
        .variables
        .insert("other".to_owned(), "db".to_owned());
    let mut template = reading("{course}", "k");
    template.spec.default_node_selector = [("{course}", "x"), ("{other}", "y")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    assert_eq!(
        chosen(&workspace, &template, None).unwrap(),
        ["Secret ml/k spec.variables"]
    );
}
