//! Any JSON in the shape of the chart's values -> no panic, and each leaf told once (pure).

use import::{Error, Hub};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::z2jh;
use crate::shapes::{check_all, told_once, value};

/// Paths of values that are converted, with the shape of none.
const PATHS: &[&str] = &[
    "singleuser.cpu.limit",
    "singleuser.memory.guarantee",
    "singleuser.memory.limit",
    "singleuser.extraResource.limits",
    "singleuser.image.pullSecrets",
    "singleuser.image.tag",
    "singleuser.nodeSelector",
    "singleuser.extraTolerations",
    "singleuser.extraNodeAffinity.required",
    "singleuser.extraPodAntiAffinity.preferred",
    "singleuser.extraEnv",
    "singleuser.extraLabels",
    "singleuser.extraAnnotations",
    "singleuser.lifecycleHooks",
    "singleuser.initContainers",
    "singleuser.extraContainers",
    "singleuser.extraPodConfig",
    "singleuser.extraFiles",
    "singleuser.uid",
    "singleuser.fsGid",
    "singleuser.supplementalGids",
    "singleuser.serviceAccountName",
    "singleuser.cmd",
    "singleuser.startTimeout",
    "singleuser.storage.type",
    "singleuser.storage.capacity",
    "singleuser.storage.homeMountPath",
    "singleuser.storage.static",
    "singleuser.storage.dynamic",
    "singleuser.storage.extraVolumes",
    "singleuser.storage.extraVolumeMounts",
    "singleuser.profileList",
    "singleuser.networkPolicy",
    "singleuser.cloudMetadata",
    "singleuser.unknown",
    "scheduling.userPods",
    "scheduling.userPods.tolerations",
    "imagePullSecrets",
    "cull",
    "hub.config",
    "hub.baseUrl",
    "hub.extraConfig",
    "proxy",
    "unknown",
    "status",
];

/// Settings of profiles.
const OVERRIDES: &[&str] = &[
    "image",
    "cpu_limit",
    "mem_guarantee",
    "mem_limit",
    "extra_resource_limits",
    "node_selector",
    "tolerations",
    "environment",
    "volumes",
    "volume_mounts",
    "init_containers",
    "extra_containers",
    "extra_pod_config",
    "extra_container_config",
    "extra_labels",
    "container_security_context",
    "priority_class_name",
    "unknown",
];

fn overrides() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(prop::sample::select(OVERRIDES.to_vec()), value(), 0..4)
        .prop_map(|map| json!(map))
}

fn profile() -> impl Strategy<Value = Value> {
    (overrides(), overrides(), overrides(), value(), value(), any::<bool>()).prop_map(
        |(own, first, second, name, extra, is_default)| {
            json!({
                "display_name": name, "default": is_default, "kubespawner_override": own, "slug": extra,
                "profile_options": {"o": {"choices": {"a": {"kubespawner_override": first}, "b": {"kubespawner_override": second, "x": extra}},
                    "unlisted_choice": {"enabled": is_default, "kubespawner_override": {"image": name, "y": extra}}}},
            })
        },
    )
}

/// Values at some of the paths.
fn values() -> impl Strategy<Value = Value> {
    let some = prop::collection::btree_map(prop::sample::select(PATHS.to_vec()), value(), 0..9);
    let profiles = prop::option::of(prop::collection::vec(profile(), 1..3));
    (some, profiles).prop_map(|(some, profiles)| {
        let mut root = json!({"singleuser": {"image": {"name": "r.example.org/a", "tag": "1"}}});
        for (path, value) in some {
            let mut at = &mut root;
            for key in path.split('.') {
                if !at.is_object() {
                    *at = json!({});
                }
                at = &mut at[key];
            }
            *at = value;
        }
        if let Some(profiles) = profiles {
            root["singleuser"]["profileList"] = json!(profiles);
        }
        root
    })
}

#[test]
fn every_leaf_is_told_once_whatever_the_values_hold() {
    let sources = (values(), any::<[bool; 2]>(), "[a-zA-Z@.0-9 -]{1,40}");
    check_all(&sources, |(values, [below, keep], user)| {
        let values = if below {
            json!({"jupyterhub": values, "other": {"a": 1}})
        } else {
            values
        };
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {
            "name": "claim-a", "namespace": "team-a", "annotations": {"hub.jupyter.org/username": user}, "labels": {"a": "b"}}, "status": {"a": 1}});
        let hub = if keep { Hub::Keep } else { Hub::Replace };
        match z2jh(
            hub,
            &[("a.yaml", &values.to_string()), ("b.json", &claim.to_string())],
        ) {
            Ok(import) => {
                let objects = [
                    (&values, "Values a.yaml"),
                    (&claim, "PersistentVolumeClaim team-a/claim-a"),
                ];
                told_once(&import, &objects).map(|()| true)
            }
            Err(Error::Unreadable(words) | Error::Usage(words)) => {
                prop_assert!(words.contains("a.yaml") || words.contains("b.json"), "{}", words);
                Ok(false)
            }
            Err(Error::Bug(words)) => Err(TestCaseError::fail(format!("{words}\n{values}"))),
        }
    });
}
