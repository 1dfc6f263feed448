//! Workspaces and templates -> references that the author chose (tests).

use std::collections::BTreeSet;

use kube::CustomResourceExt;
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
    let mut manager = placeholder_manager();
    manager.spec.routing.base_domain = "example.net".to_owned();
    manager.spec.routing.port = None;
    manager
}

fn chosen(
    workspace: &Workspace,
    template: &WorkspaceTemplate,
    manager: Option<&WorkspaceManager>,
) -> Result<Vec<String>, Vec<Violation>> {
    chosen_by(ReferenceAuthor::Owner, workspace, template, manager)
}

fn chosen_by(
    requester: ReferenceAuthor,
    workspace: &Workspace,
    template: &WorkspaceTemplate,
    manager: Option<&WorkspaceManager>,
) -> Result<Vec<String>, Vec<Violation>> {
    let settings = Settings::parse("{defaultImage: i, admission: true}").unwrap();
    let found = chosen_by_author(requester, workspace, template, manager, &settings)?;
    let message = |it: Named| {
        let Part::Key(key) = it.part else {
            panic!("{it:?}");
        };
        format!("{:?} {}/{key} {}", it.resource, it.name, it.field)
    };
    Ok(found.into_iter().map(message).collect())
}

#[test]
fn references_of_the_author_are_found_in_every_field() {
    let template = template(json!({
        "environmentVariables": [
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "key-{course}", "key": "k"}}},
            {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "key-{workspace.namespace}", "key": "k"}}},
        ],
        "defaultVolumes": [{"name": "v", "persistentVolumeClaimName": "{course}-data", "mountPath": "/v"}],
    }));
    let settings = Settings::parse("{defaultImage: i, admission: true}").unwrap();
    let found = named_by_author(
        ReferenceAuthor::Owner,
        &workspace(json!({})),
        Some(&template),
        None,
        &settings,
    )
    .unwrap();
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

/// Fields of `schema` that name a Secret, a ConfigMap or a claim, by their names.
fn naming(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    let field = at.rsplit('.').next().unwrap_or_default().to_lowercase();
    // Of devices, which are no claims of volumes.
    if at.ends_with(".resources.claims") {
        return;
    }
    // Texts of the first two are fixed: nobody but their author chooses a name. Those of the last are laid over the other fields first.
    if ["spec.podTemplate", "spec.volumeClaims", "spec.options"].contains(&at) {
        return;
    }
    if ["secret", "configmap", "claim"]
        .iter()
        .any(|kind| field.contains(kind))
    {
        let inner = if schema["type"] == "object" { ".name" } else { "" };
        found.insert(format!("{at}{inner}"));
        return;
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        naming(inner, &format!("{at}.{name}"), found);
    }
    if schema["items"].is_object() {
        naming(&schema["items"], &format!("{at}[0]"), found);
    }
}

fn naming_fields<K: CustomResourceExt>() -> BTreeSet<String> {
    let definition = serde_json::to_value(K::crd()).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut found = BTreeSet::new();
    naming(&schema["properties"]["spec"], "spec", &mut found);
    found
}

#[test]
fn every_field_of_the_schema_that_names_a_secret_config_map_or_claim_is_found() {
    let reference = |kind: &str| json!([{"name": "X", "valueFrom": {kind: {"name": "n", "key": "k"}}}]);
    let source = |kind: &str| json!([{"name": "i", "envFrom": [{kind: {"name": "n"}}]}]);
    let volume = json!([{"name": "v", "persistentVolumeClaimName": "n", "mountPath": "/v"}]);
    let mut in_objects = [BTreeSet::new(), BTreeSet::new()];
    for (key, whole) in [("secretKeyRef", "secretRef"), ("configMapKeyRef", "configMapRef")] {
        let mut containers = source(whole);
        containers[0]["env"] = reference(key);
        let spec = json!({
            "displayName": "d", "env": reference(key), "initContainers": containers, "volumes": volume,
            "storage": {"claimName": "n"},
        });
        let found = in_spec(&serde_json::from_value(spec).unwrap());
        in_objects[0].extend(found.into_iter().map(|it| it.field));
        let template = template(json!({
            "environmentVariables": reference(key), "defaultInitContainers": containers, "defaultVolumes": volume,
        }));
        let found = in_template(&template.spec);
        in_objects[1].extend(found.into_iter().map(|it| it.field));
    }
    assert_eq!(
        in_objects,
        [naming_fields::<Workspace>(), naming_fields::<WorkspaceTemplate>()]
    );
}

#[test]
fn a_key_chosen_by_the_author_counts_like_a_name() {
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
fn references_from_workspace_name_or_disks_are_the_author_s_choice() {
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
fn references_from_uid_namespace_owner_or_default_manager_are_not_chosen() {
    let owned = workspace(json!({"annotations": {CREATED_BY: "alice"}}));
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
fn references_from_the_owner_name_are_chosen_by_another_requester() {
    let owned = workspace(json!({"annotations": {CREATED_BY: "alice"}}));
    for name in [
        "creds-{owner.name}",
        "{owner.slug}",
        "{workspace.namespace}-{owner.slug}",
    ] {
        let chosen = |requester| chosen_by(requester, &owned, &reading(name, "k"), None).unwrap();
        assert!(chosen(ReferenceAuthor::Owner).is_empty(), "{name}");
        let found = chosen(ReferenceAuthor::Other);
        assert!(
            found.len() == 1 && found[0].ends_with("/k spec.templateRef"),
            "{found:?}"
        );
    }
    let found = chosen_by(
        ReferenceAuthor::Other,
        &owned,
        &reading("{workspace.uid}", "k"),
        None,
    );
    assert!(found.unwrap().is_empty());
}

#[test]
fn a_claim_reference_has_its_folder_and_write_access() {
    let mut one = workspace(json!({}));
    let spec = &mut one.spec;
    spec.storage.as_mut().unwrap().sub_path = Some("alice".to_owned());
    spec.volumes[0].read_only = true;
    spec.init_containers[0].volume_mounts = serde_json::from_value(json!([
        {"name": "workspace-storage", "mountPath": "/all", "readOnly": true},
        {"name": "workspace-storage", "mountPath": "/some", "subPath": "bob"},
        {"name": "tmp", "mountPath": "/tmp"},
    ]))
    .unwrap();
    let settings = Settings::parse("{defaultImage: i}").unwrap();
    let found = named_by_author(ReferenceAuthor::Owner, &one, None, None, &settings).unwrap();
    let claims: Vec<_> = found
        .into_iter()
        .filter(|it| it.resource == Resource::Claim)
        .map(|it| (it.name, it.part, it.field))
        .collect();
    let folder = |path: &str, read_only| Part::Folder {
        path: path.to_owned(),
        read_only,
    };
    let expected = [
        ("home", folder("alice", false), "spec.storage.claimName"),
        ("home", folder("", true), "spec.initContainers[0].volumeMounts[0]"),
        (
            "home",
            folder("bob", false),
            "spec.initContainers[0].volumeMounts[1]",
        ),
        (
            "data",
            folder("", true),
            "spec.volumes[0].persistentVolumeClaimName",
        ),
    ];
    assert_eq!(
        claims,
        expected.map(|(name, part, field)| (name.to_owned(), part, field.to_owned()))
    );
}

#[test]
fn a_part_covers_itself_and_less() {
    let key = |key: &str| Part::Key(key.to_owned());
    let folder = |path: &str, read_only| Part::Folder {
        path: path.to_owned(),
        read_only,
    };
    for (had, wanted, expected) in [
        (Part::All, key("a"), true),
        (key("a"), key("a"), true),
        (key("a"), key("b"), false),
        (key("a"), Part::All, false),
        (folder("", false), folder("a", true), true),
        (folder("a", false), folder("a", true), true),
        (folder("a", true), folder("a", false), false),
        (folder("a", false), folder("b", false), false),
        (folder("a", false), folder("", true), false),
    ] {
        assert_eq!(had.covers(&wanted), expected, "{had:?} {wanted:?}");
    }
}

#[test]
fn a_reference_that_cannot_be_expanded_is_an_error() {
    assert!(
        chosen(
            &workspace(json!({})),
            &reading("{course}-{no.such}", "k"),
            Some(&manager())
        )
        .is_err()
    );
    // The host is unknown until the manager is known.
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

#[test]
fn a_choice_names_what_the_template_s_author_wrote_and_its_variables_are_the_author_s() {
    let variable =
        |name: &str| json!([{"name": "X", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}}]);
    let template = template(json!({
        "environmentVariables": [{"name": "Y", "valueFrom": {"secretKeyRef": {"name": "data-{set}", "key": "k"}}}],
        "options": [{"name": "data", "choices": [
            {"name": "fixed", "default": true, "set": {"env": variable("key"), "variables": {"set": "small"}}},
            {"name": "open", "set": {"env": variable("key-{course}"), "variables": {"set": "large"}}},
        ]}],
    }));
    let found = |choice: &str, variables: Value| {
        let mut workspace = workspace(json!({}));
        workspace.spec.options = [("data".to_owned(), choice.to_owned())].into();
        workspace.spec.variables = serde_json::from_value(variables).unwrap();
        chosen(&workspace, &template, None).unwrap()
    };
    assert_eq!(found("fixed", json!({"course": "ml"})), [""; 0]);
    assert_eq!(
        found("open", json!({"course": "ml"})),
        ["Secret key-ml/k spec.variables"]
    );
    assert_eq!(
        found("fixed", json!({"set": "theirs"})),
        ["Secret data-theirs/k spec.variables"]
    );
}
