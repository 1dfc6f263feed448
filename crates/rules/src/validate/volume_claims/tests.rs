//! Templates with `volumeClaims`, and their workspaces -> violations.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::template;
use super::*;
use crate::effective::effective;
use crate::settings::Settings;

fn settings() -> Settings {
    Settings::parse("{defaultImage: d:1, imageAliases: {uv: r/jupyter:1}}").unwrap()
}

fn disk(fields: Value) -> Value {
    let mut disk = json!({
        "name": "db",
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    json_patch::merge(&mut disk, &fields);
    disk
}

fn spec(disks: Value, more: Value) -> WorkspaceTemplateSpec {
    let mut spec = json!({"displayName": "t", "defaultImage": "uv", "volumeClaims": disks});
    json_patch::merge(&mut spec, &more);
    serde_json::from_value(spec).unwrap()
}

/// Violations of a template with these disks.
fn lines(disks: Value, more: Value) -> Vec<String> {
    let found = template(&spec(disks, more), &settings());
    found.iter().map(ToString::to_string).collect()
}

fn options() -> Value {
    json!([{"name": "kind", "choices": [{"name": "small", "default": true}, {"name": "large"}]}])
}

fn mounting(claim: &str) -> Value {
    let amounts = json!({"cpu": "10m", "memory": "16Mi"});
    json!({"podTemplate": {"spec": {
        "containers": [{
            "name": "database", "image": "r/db:1", "resources": {"requests": amounts, "limits": amounts},
            "volumeMounts": [{"name": "files", "mountPath": "/files"}],
        }],
        "volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": claim}}],
    }}})
}

#[test]
fn disks_for_the_application_and_for_other_containers_pass() {
    let disks = json!([
        disk(json!({})),
        disk(
            json!({"name": "data", "mountPath": "/data", "readOnly": true, "retain": "Retain", "spec": {
                "accessModes": ["ReadOnlyMany"], "storageClassName": "fast", "selector": {"matchLabels": {"a": "b"}},
                "dataSourceRef": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "golden"},
            }})
        ),
        disk(json!({"name": "small", "mountPath": "/scratch", "when": {"kind": ["small"]}})),
        disk(json!({"name": "large", "mountPath": "/scratch", "when": {"kind": ["large"]}})),
        disk(json!({"name": "raw", "spec": {"volumeMode": "Block"}})),
    ]);
    let mut more = mounting("{pvcs.db}");
    more["options"] = options();
    let init = |disk: &str| json!([{"name": "a", "image": "i", "volumeMounts": [{"name": disk, "mountPath": "/x"}]}]);
    for (mounted, is_refused) in [("data", false), ("small", false), ("large", true)] {
        more["defaultInitContainers"] = init(mounted);
        let found = lines(disks.clone(), more.clone());
        assert_eq!(!found.is_empty(), is_refused, "{found:?}");
        assert!(found.iter().all(|it| it.contains(mounted)), "{found:?}");
    }
}

#[test]
fn a_retention_for_every_workspace_needs_the_fate_of_each_disk() {
    let retention = || json!({"defaultLimits": {"stoppedRetentionDays": 30}});
    let disks = |retain: Value| {
        json!([
            disk(json!({"retain": "Delete", "name": "data"})),
            disk(json!({"retain": retain}))
        ])
    };
    assert_eq!(
        lines(disks(json!(null)), retention()),
        [
            "spec.volumeClaims[1].retain: must be set where spec.defaultLimits.stoppedRetentionDays is (30): write Retain to keep the \
             disk, or Delete to delete its files with the workspace"
        ]
    );
    for retain in ["Retain", "Delete"] {
        assert_eq!(lines(disks(json!(retain)), retention()), [""; 0]);
    }
    // A workspace may choose to have none.
    for more in [
        json!({}),
        json!({"defaultLimits": {"maxAgeMinutes": 30}}),
        json!({"limitBounds": {"stoppedRetentionDays": {"min": 30}}}),
    ] {
        assert_eq!(lines(disks(json!(null)), more), [""; 0]);
    }
}

#[test]
fn each_disk_that_no_workspace_could_have_is_refused_with_field_value_rule_and_remedy() {
    let volume = |name: &str, path: &str| json!({"defaultVolumes": [{"name": name, "persistentVolumeClaimName": "c", "mountPath": path}]});
    for (fields, more, expected) in [
        (
            json!({"name": "shm"}),
            json!({}),
            r#"name: "shm" is the name of a volume of the operator: choose another"#,
        ),
        (
            json!({"name": "tmp"}),
            json!({}),
            r#"name: "tmp" is the name of a volume"#,
        ),
        (
            json!({"name": "home"}),
            json!({}),
            r#"name: "home" is the name of the home"#,
        ),
        (
            json!({}),
            volume("db", "/x"),
            r#"name: "db" is the name of a volume of spec.defaultVolumes: choose another"#,
        ),
        (
            json!({"name": "files"}),
            mounting("other"),
            r#"name: "files" is the name of a volume of spec.podTemplate: choose another"#,
        ),
        (
            json!({"when": {"gpu": ["a100"]}}),
            json!({}),
            r#"when[gpu]: "gpu" is not an option that stands before this one: there is none, leave it out"#,
        ),
        (
            json!({"when": {"kind": ["huge"]}}),
            json!({"options": options()}),
            r#"when[kind][0]: "huge" is not a choice of the option "kind": choose from small, large"#,
        ),
        (
            json!({"mountPath": "/x/../etc"}),
            json!({}),
            r#"mountPath: "/x/../etc" must be an absolute path below /, without ':' and '..'"#,
        ),
        (
            json!({"mountPath": "//proc/./self/"}),
            json!({}),
            "mountPath: \"//proc/./self/\" belongs to the system",
        ),
        (
            json!({"mountPath": "/{workspace.name}"}),
            json!({}),
            "mountPath: \"/{workspace.name}\" must be fixed text",
        ),
        (
            json!({"mountPath": "//dev/shm/."}),
            json!({}),
            r#"mountPath: "//dev/shm/." "#,
        ),
        (
            json!({"mountPath": "/run//workspace/"}),
            json!({}),
            r#"mountPath: "/run//workspace/" is the place of sockets already: mount the disk "db" of volumeClaims elsewhere"#,
        ),
        (
            json!({"mountPath": "/x", "spec": {"volumeMode": "Block"}}),
            json!({}),
            r#"mountPath: "/x" must not be set for a volumeMode without file system"#,
        ),
        (
            json!({"readOnly": true}),
            json!({}),
            r#"readOnly: "true" must not be set without mountPath: add mountPath"#,
        ),
    ] {
        check(fields, more, expected);
    }
}

#[test]
fn a_claim_of_fixed_texts_and_one_size_is_asked_for() {
    for (fields, more, expected) in [
        (
            json!({"spec": {"resources": {"requests": {"storage": null}}}}),
            json!({}),
            "spec.resources.requests.storage: must be set: write the size of the disk, such as 5Gi",
        ),
        (
            json!({"spec": {"resources": {"requests": {"storage": "5"}}}}),
            json!({}),
            r#"spec.resources.requests[storage]: "5" is smaller than any disk"#,
        ),
        (
            json!({"spec": {"resources": {"requests": {"cpu": "1"}}}}),
            json!({}),
            r#"spec.resources.requests[cpu]: "cpu" is not a resource of a claim"#,
        ),
        (
            json!({"spec": {"selector": {"matchLabels": {"owner": "{owner.slug}"}}}}),
            json!({}),
            r#"spec.selector.matchLabels.owner: "{owner.slug}" must be fixed text"#,
        ),
        (
            json!({"spec": {"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "{course}"}}}),
            json!({}),
            r#"spec.dataSourceRef.name: "{course}" must be fixed text, because variables are not replaced here: write the value"#,
        ),
        (
            json!({"spec": {"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "c", "namespace": "other"}}}),
            json!({}),
            r#"spec.dataSourceRef.namespace: "other" must not be set: name an object of the workspace's own namespace"#,
        ),
        (
            json!({"spec": {"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "workspace-lab"}}}),
            json!({}),
            r#"spec.dataSourceRef.name: "workspace-lab" is named as the disk of a workspace, which is never copied: name another claim"#,
        ),
        (
            json!({"spec": {"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "wsc-db-lab"}}}),
            json!({}),
            r#"spec.dataSourceRef.name: "wsc-db-lab" is named as the disk of a workspace"#,
        ),
    ] {
        check(fields, more, expected);
    }
    for allowed in [
        json!({"kind": "PersistentVolumeClaim", "name": "golden"}),
        json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "workspace-lab"}),
    ] {
        let copy = disk(json!({"spec": {"dataSourceRef": allowed}}));
        assert_eq!(lines(json!([copy]), json!({})), [""; 0]);
    }
}

/// Checks that a template with this disk is refused by one violation, which begins so.
fn check(fields: Value, more: Value, expected: &str) {
    let found = lines(json!([disk(fields.clone())]), more);
    let expected = format!("spec.volumeClaims[0].{expected}");
    assert!(
        found.len() == 1 && found[0].starts_with(&expected),
        "{fields}: {expected}: {found:#?}"
    );
}

#[test]
fn two_disks_have_one_place_only_if_no_workspace_has_both() {
    let pair = |one: Value, other: Value| {
        let at = |name: &str, path: &str, when: Value| {
            disk(json!({"name": name, "mountPath": path, "when": when}))
        };
        let disks = json!([at("a", "/data", one), at("b", "//data/.", other)]);
        lines(disks, json!({"options": options()}))
    };
    assert_eq!(
        pair(json!({"kind": ["small"]}), json!({"kind": ["large"]})),
        [""; 0]
    );
    for other in [
        json!({}),
        json!({"kind": ["small"]}),
        json!({"kind": ["small", "large"]}),
    ] {
        let found = pair(json!({"kind": ["small"]}), other.clone());
        assert_eq!(
            found,
            [
                r#"spec.volumeClaims[1].mountPath: "//data/." is the place of the disk "a" of volumeClaims already: mount the disk "b" of volumeClaims elsewhere"#
            ],
            "{other}"
        );
    }
}

#[test]
fn the_home_and_other_volumes_of_the_template_have_other_places() {
    let at = |path: &str| json!([disk(json!({"mountPath": path}))]);
    let home = json!({"primaryStorage": {"defaultMountPath": "/work"}});
    let found = lines(at("//work/"), home.clone());
    assert!(
        found.len() == 1
            && found[0].starts_with(
                "spec.primaryStorage.defaultMountPath: \"/work\" is the place of the disk \"db\""
            ),
        "{found:#?}"
    );
    assert_eq!(lines(at("/work/db"), home), [""; 0]);
    let volumes =
        json!({"defaultVolumes": [{"name": "v", "persistentVolumeClaimName": "c", "mountPath": "/v"}]});
    assert_eq!(lines(at("/v"), volumes.clone()).len(), 1);
    assert_eq!(lines(at("/w"), volumes), [""; 0]);
    let mut more = mounting("c");
    let application =
        json!({"name": "workspace", "volumeMounts": [{"name": "files", "mountPath": "/files"}]});
    let containers = more["podTemplate"]["spec"]["containers"].as_array_mut().unwrap();
    containers.push(application);
    let found = lines(at("/files/"), more);
    assert!(
        found[0].starts_with("spec.volumeClaims[0].mountPath: \"/files/\" is the place of the volume"),
        "{found:#?}"
    );
}

#[test]
fn a_volume_of_the_pod_template_has_a_disk_of_every_workspace_or_none() {
    let found = |claim: &str, when: Value| {
        let mut more = mounting(claim);
        more["options"] = options();
        lines(json!([disk(json!({"when": when}))]), more)
    };
    assert_eq!(found("{pvcs.db}", json!({})), [""; 0]);
    let path = "spec.podTemplate.spec.volumes[0].persistentVolumeClaim.claimName";
    for (claim, when, expected) in [
        (
            "{pvcs.x}",
            json!({}),
            "must be a disk of spec.volumeClaims: choose from db",
        ),
        (
            "{pvcs.home}",
            json!({}),
            "must be a disk of spec.volumeClaims: choose from db",
        ),
        (
            "{pvcs.db}",
            json!({"kind": ["large"]}),
            "must be a disk of every workspace, and spec.volumeClaims has a `when` for \"db\"",
        ),
        ("x-{pvcs.db}", json!({}), "must be fixed text"),
        ("{{pvcs.db}}", json!({}), "must be fixed text"),
    ] {
        let found = found(claim, when);
        let expected = format!("{path}: {claim:?} {expected}");
        assert!(
            found.len() == 1 && found[0].starts_with(&expected),
            "{expected}: {found:#?}"
        );
    }
    let none = lines(json!([]), mounting("{pvcs.db}"));
    assert!(
        none[0].contains("which has none: add the disk there"),
        "{none:#?}"
    );
}

#[test]
fn a_workspace_mounts_none_of_its_disks_a_second_time() {
    let template = spec(json!([disk(json!({"mountPath": "/db"}))]), json!({}));
    let found = |given: Value| {
        let mut workspace = json!({"displayName": "w"});
        json_patch::merge(&mut workspace, &given);
        let given: WorkspaceSpec = serde_json::from_value(workspace).unwrap();
        let effective = effective(&given, Some(&template), &settings());
        let found = with_workspace(&given, &effective, "a-b");
        found.iter().map(|it| it.field.clone()).collect::<Vec<_>>()
    };
    let volume = |name: &str, claim: &str| json!({"volumes": [{"name": name, "persistentVolumeClaimName": claim, "mountPath": "/x"}]});
    assert_eq!(found(volume("own", "data")), [""; 0]);
    assert_eq!(found(volume("own", "wsc-db-b")), [""; 0], "of another workspace");
    assert_eq!(found(volume("db", "data")), ["spec.volumes[0].name"]);
    assert_eq!(
        found(volume("own", "wsc-old-a-b")),
        ["spec.volumes[0].persistentVolumeClaimName"]
    );
    assert_eq!(
        found(json!({"storage": {"claimName": "wsc-db-a-b"}})),
        ["spec.storage.claimName"]
    );
}

proptest! {
    #[test]
    fn a_claim_is_named_after_one_disk_of_one_workspace(
        disk in "[a-z0-9]{1,8}", name in "[a-z]([-a-z0-9]{0,48}[a-z0-9])?",
        other_disk in "[a-z0-9]{1,8}", other in "[a-z]([-a-z0-9]{0,48}[a-z0-9])?",
    ) {
        let claim = names::further_claim(&disk, &name);
        prop_assert!(claim.len() <= 63);
        prop_assert!(names::is_dns_1123_subdomain(&claim));
        prop_assert!(names::is_further_claim(&claim, &name));
        prop_assert_eq!(names::is_further_claim(&claim, &other), name == other);
        let same = (disk.as_str(), name.as_str()) == (other_disk.as_str(), other.as_str());
        prop_assert_eq!(claim == names::further_claim(&other_disk, &other), same);
        prop_assert_ne!(&claim, &names::child(&other));
    }
}
