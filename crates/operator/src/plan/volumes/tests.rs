//! Home, disks, shared memory, tokens, secrets -> volumes of the pod (tests).

use serde_json::{Value, json};

use super::*;
use crate::testing;

fn mounted(change: impl FnOnce(&mut ValidWorkspace)) -> Vec<(Value, Value)> {
    let mut workspace = testing::valid();
    change(&mut workspace);
    let volumes = plan(&workspace, &testing::installation());
    let mounted = volumes.mounted.iter();
    mounted.map(|one| (json!(one.volume), json!(one.mount))).collect()
}

#[test]
fn shared_memory_is_memory_of_the_size_that_is_asked_for() {
    let found = mounted(|workspace| workspace.shm_size = Some(Quantity("256Mi".to_owned())));
    let expected = (
        json!({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}}),
        json!({"name": "shm", "mountPath": "/dev/shm"}),
    );
    assert_eq!(found[1], expected);
}

#[test]
fn shared_memory_that_nobody_asks_for_is_half_of_the_memory_limit() {
    let sized = |limit: Option<&str>, volume: Value, init: Value| {
        let found = mounted(|workspace| {
            workspace.shm_size = None;
            workspace.resources.limits.remove("memory");
            let limit = limit.map(|limit| ("memory".to_owned(), Quantity(limit.to_owned())));
            workspace.resources.limits.extend(limit);
            workspace.volumes = serde_json::from_value(volume).unwrap();
            workspace.pod.init_containers = serde_json::from_value(init).unwrap();
        });
        let shm = found.iter().find(|(_, mount)| mount["mountPath"] == "/dev/shm");
        shm.map(|(volume, _)| volume["emptyDir"]["sizeLimit"].clone())
    };
    let size = |limit, volume| sized(limit, volume, json!([]));
    assert_eq!(size(Some("2Gi"), json!([])), Some(json!("1024Mi")));
    assert_eq!(size(Some("3000000000"), json!([])), Some(json!("1430Mi")));
    assert_eq!(size(Some("128Mi"), json!([])), None, "the runtime gives as much");
    assert_eq!(size(None, json!([])), None);
    let disk = |path| json!([{"name": "mine", "persistentVolumeClaimName": "c", "mountPath": path}]);
    assert_eq!(size(Some("2Gi"), disk("/dev//shm/")), None);
    assert_eq!(size(Some("2Gi"), disk("/mine")), Some(json!("1024Mi")));
    let init = |volume| json!([{"name": "seed", "volumeMounts": [{"name": volume, "mountPath": "/seed"}]}]);
    assert_eq!(sized(None, json!([]), init("shm")), Some(json!("64Mi")));
    assert_eq!(sized(Some("128Mi"), json!([]), init("shm")), Some(json!("64Mi")));
    assert_eq!(sized(Some("128Mi"), json!([]), init(HOME_VOLUME)), None);
}

#[test]
fn a_path_is_taken_however_it_is_written() {
    for path in ["/tmp", "/tmp/", "//tmp", "/./tmp/."] {
        let mounts = with_scratch(vec![mount("mine", path)], true);
        assert_eq!(mounts.len(), 1, "{path}");
    }
    assert_eq!(with_scratch(vec![mount("mine", "/tmp/below")], true).len(), 2);
}

#[test]
fn further_disks_are_mounted_and_one_to_be_read_only_is_read_only_twice() {
    let found = mounted(|workspace| {
        workspace.volumes = serde_json::from_value(json!([
            {"name": "data", "persistentVolumeClaimName": "shared", "mountPath": "/data", "readOnly": true},
            {"name": "more", "persistentVolumeClaimName": "mine", "mountPath": "/more"},
        ]))
        .unwrap();
    });
    let claim = json!({"name": "data", "persistentVolumeClaim": {"claimName": "shared", "readOnly": true}});
    assert_eq!(
        found[2],
        (
            claim,
            json!({"name": "data", "mountPath": "/data", "readOnly": true})
        )
    );
    assert_eq!(found[3].1, json!({"name": "more", "mountPath": "/more"}));
}

#[test]
fn an_existing_claim_and_a_folder_of_it_are_the_home() {
    let found = mounted(|workspace| {
        workspace.home = Home::Claim {
            name: "shared".to_owned(),
            mount_path: "/home/jovyan".to_owned(),
            sub_path: Some("alice/work".to_owned()),
        };
    });
    assert_eq!(
        found[0].0["persistentVolumeClaim"],
        json!({"claimName": "shared"})
    );
    assert_eq!(found[0].1["subPath"], "alice/work");
}

#[test]
fn tokens_of_one_folder_share_a_volume_and_secrets_are_read_only() {
    let found = mounted(|workspace| {
        let spec = serde_json::from_value(json!({
            "projectedTokens": [
                {"audience": "vault", "path": "/var/run/tokens/vault", "expirationSeconds": 900},
                {"audience": "sts", "path": "/var/run/tokens/sts"},
                {"audience": "x", "path": "/other/x"},
            ],
            "secretMounts": [{"secretName": "keys", "mountPath": "/etc/keys"}],
        }))
        .unwrap();
        workspace.profile = Some(ExecutionProfile {
            name: "p".to_owned(),
            spec,
            service_account: None,
        });
    });
    let paths: Vec<_> = found[1..].iter().map(|(_, mount)| &mount["mountPath"]).collect();
    assert_eq!(
        paths,
        [
            SHM_PATH,
            "/other",
            "/var/run/tokens",
            "/etc/keys",
            ASSERTION_KEYS_PATH,
            RUNTIME_PATH
        ]
    );
    let writable: Vec<_> = found[1..]
        .iter()
        .filter(|(_, mount)| mount["readOnly"] != true)
        .collect();
    let writable: Vec<_> = writable.iter().map(|(_, mount)| &mount["mountPath"]).collect();
    assert_eq!(writable, [SHM_PATH, RUNTIME_PATH]);
    let sources = json!([
        {"serviceAccountToken": {"audience": "vault", "path": "vault", "expirationSeconds": 900}},
        {"serviceAccountToken": {"audience": "sts", "path": "sts"}},
    ]);
    assert_eq!(found[3].0["projected"]["sources"], sources);
    assert_eq!(found[4].0["secret"], json!({"secretName": "keys"}));
}

#[test]
fn the_assertion_keys_are_mounted_as_optional() {
    let volume =
        json!({"name": ASSERTION_KEYS_VOLUME, "configMap": {"name": ASSERTION_KEYS, "optional": true}});
    assert!(
        mounted(|_| ())
            .iter()
            .any(|(found, mount)| *found == volume && mount["readOnly"] == true)
    );
    let open = mounted(|workspace| workspace.has_assertions = false);
    assert!(!open.iter().any(|(found, _)| *found == volume));
}

#[test]
fn sockets_have_a_small_memory_of_their_own() {
    let volume = json!({"name": RUNTIME_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}});
    let mount = json!({"name": RUNTIME_VOLUME, "mountPath": "/run/workspace"});
    assert!(mounted(|_| ()).contains(&(volume, mount)));
}

#[test]
fn temporary_files_have_a_place_unless_there_is_one() {
    let volumes = plan(&testing::valid(), &testing::installation());
    let names = |mounts: Vec<VolumeMount>| mounts.into_iter().map(|mount| mount.name).collect::<Vec<_>>();
    let with_keys = [HOME_VOLUME, SHM_VOLUME, ASSERTION_KEYS_VOLUME, RUNTIME_VOLUME];
    assert_eq!(
        names(volumes.of_application(true)),
        [&with_keys[..], &["tmp"]].concat()
    );
    assert_eq!(names(volumes.of_application(false)), with_keys);
    assert_eq!(volumes.all(volumes.of_application(true).iter()).len(), 5);
    assert_eq!(volumes.all(volumes.of_application(false).iter()).len(), 4);
    let own = [mount("data", "/tmp/")];
    assert_eq!(names(volumes.of_init(&own, true)), ["data", HOME_VOLUME]);
    let own = [mount(HOME_VOLUME, "/prepare")];
    assert_eq!(names(volumes.of_init(&own, false)), [HOME_VOLUME]);
}
