//! Status of a workspace -> what becomes of its files, in words (tests).

use serde_json::{Value, json};

use super::*;

fn disk(spec: &Value, status: &Value) -> Disk {
    let mut object = json!({"metadata": {"name": "demo"}, "spec": spec, "status": status});
    object["spec"]["displayName"] = json!("d");
    Disks::from_workspace(&serde_json::from_value(object).unwrap()).home
}

#[test]
fn every_state_of_a_disk_has_its_words_at_a_stop_after_it_and_at_a_deletion() {
    const KEPT: (&str, bool) = ("the disk is kept", false);
    const DELETED: (&str, bool) = (
        "its disk workspace-demo and all files on it are deleted (spec.storage.retain: Retain would keep them)",
        true,
    );
    const RETAINED: (&str, bool) = (
        "its disk workspace-demo is kept: a workspace of the same name uses it again",
        false,
    );
    const NEW: (&str, bool) = (
        "its disk is a new, empty one: the disk that the workspace had before was deleted (see its Events)",
        false,
    );
    const TERMINATING: (&str, bool) = (
        "files are deleted with the PersistentVolumeClaim data, which a user deleted, unless its volume is kept",
        true,
    );
    const GONE: (&str, bool) = ("its disk is gone, and its files with it", false);
    const NOTHING: (&str, bool) = ("it has no files yet", false);
    const NO_DISK: (&str, bool) = (
        "the files in its home are deleted, because the home has no disk",
        true,
    );
    for (disk, stop, stopped, deletion) in [
        (
            Disk::None,
            NO_DISK,
            ("the files in its home are gone: the home has no disk", true),
            NO_DISK,
        ),
        (Disk::Own, KEPT, KEPT, DELETED),
        (Disk::Retained, KEPT, KEPT, RETAINED),
        (
            Disk::Named("course".to_owned()),
            KEPT,
            KEPT,
            (
                "the PersistentVolumeClaim course, which is its home, is kept",
                false,
            ),
        ),
        (Disk::Replaced(Retain::Delete), KEPT, NEW, DELETED),
        (Disk::Replaced(Retain::Retain), KEPT, NEW, RETAINED),
        (
            Disk::Terminating("data".to_owned()),
            TERMINATING,
            TERMINATING,
            TERMINATING,
        ),
        (Disk::Lost, GONE, GONE, GONE),
        (Disk::NeverMade, NOTHING, NOTHING, NOTHING),
    ] {
        for (moment, (text, loses_files)) in [
            (Moment::Stop, stop),
            (Moment::Stopped, stopped),
            (Moment::Deletion("demo"), deletion),
        ] {
            let expected = Fate {
                text: text.to_owned(),
                loses_files,
            };
            assert_eq!(disk.fate(moment), expected, "{disk:?} {moment:?}");
        }
    }
    let sentence = Disk::Own.fate(Moment::Stop).sentence();
    assert_eq!(sentence, "The disk is kept.");
}

#[test]
fn a_deletion_tells_each_disk_and_names_those_that_go() {
    let claim = |name: &str, phase: &str, retain: &str| json!({"name": name, "claim": format!("wsc-{name}-demo"), "phase": phase, "retain": retain});
    let gone =
        |name: &str| json!({"name": name, "claim": format!("wsc-{name}-demo"), "reason": "QuotaExceeded"});
    let going = "its further disk wsc-db-demo and all files on it are deleted";
    let staying = "its further disk wsc-db-demo is kept";
    let home = "its disk workspace-demo is kept: a workspace of the same name uses it again";
    let lost_home = "its disk workspace-demo and all files on it are deleted (spec.storage.retain: Retain would keep them)";
    let both = "its further disks wsc-db-demo, wsc-data-demo and all files on them are deleted";
    for (retain, claims, expected, loses_files) in [
        (
            "Retain",
            json!([claim("db", "Bound", "Delete")]),
            format!("{home}; {going}"),
            true,
        ),
        (
            "Retain",
            json!([claim("db", "Bound", "Retain")]),
            format!("{home}; {staying}"),
            false,
        ),
        (
            "Delete",
            json!([claim("db", "Bound", "Retain")]),
            format!("{lost_home}; {staying}"),
            true,
        ),
        (
            "Retain",
            json!([claim("db", "Bound", "Delete"), claim("data", "Lost", "Delete")]),
            format!("{home}; {both}"),
            true,
        ),
        // Neither has files.
        (
            "Retain",
            json!([claim("db", "Pending", "Delete"), gone("data")]),
            home.to_owned(),
            false,
        ),
    ] {
        let status = used(json!({"retain": retain}), json!({}), json!({"claims": claims}));
        let status: WorkspaceStatus = serde_json::from_value(status).unwrap();
        let disks = Disks::from_status("demo", &status);
        let told = disks.fate(Moment::Deletion("demo"));
        assert_eq!((told.text, told.loses_files), (expected, loses_files));
        let kept = if disks.further.is_empty() {
            "the disk is kept"
        } else {
            "its disks are kept"
        };
        let kept = (kept.to_owned(), false);
        let stop = disks.fate(Moment::Stop);
        assert_eq!((stop.text, stop.loses_files), kept);
    }
}

#[test]
fn without_a_home_on_a_disk_a_further_disk_is_told_too() {
    let further = FurtherDisk {
        claim: "wsc-db-demo".to_owned(),
        retain: Retain::Delete,
    };
    let disks = |home| Disks {
        home,
        further: vec![further.clone()],
        terminating: Vec::new(),
    };
    let told = |fate: Fate| (fate.text, fate.loses_files);
    let (kept, going) = (
        "its further disk wsc-db-demo is kept",
        "its further disk wsc-db-demo and all files on it are deleted",
    );
    let lost = "the files in its home are deleted, because the home has no disk";
    let gone = "the files in its home are gone: the home has no disk";
    assert_eq!(
        told(disks(Disk::None).fate(Moment::Stop)),
        (format!("{lost}; {kept}"), true)
    );
    assert_eq!(
        told(disks(Disk::None).fate(Moment::Stopped)),
        (format!("{gone}; {kept}"), true)
    );
    let stopped = disks(Disk::None).fate_of_stopped("demo");
    assert_eq!(told(stopped), (format!("{gone}; {going}"), true));
    assert_eq!(
        told(disks(Disk::NeverMade).fate(Moment::Stop)),
        (kept.to_owned(), false)
    );
    let replaced = disks(Disk::Replaced(Retain::Delete)).fate(Moment::Stopped).text;
    assert!(
        replaced.starts_with("its disk is a new") && replaced.ends_with(&format!("; {kept}")),
        "{replaced}"
    );
    let deletion = disks(Disk::NeverMade).fate(Moment::Deletion("demo"));
    assert_eq!(told(deletion), (going.to_owned(), true));
}

#[test]
fn a_claim_that_a_user_deleted_is_named_beside_what_becomes_of_the_others() {
    let claim = |name: &str| json!({"name": name, "claim": format!("wsc-{name}-demo"), "phase": "Bound", "retain": "Delete"});
    let home = "its disk workspace-demo and all files on it are deleted (spec.storage.retain: Retain would keep them)";
    let db = "files are deleted with the PersistentVolumeClaim wsc-db-demo, which a user deleted, unless its volume is kept";
    let both = "files are deleted with the PersistentVolumeClaims workspace-demo, wsc-db-demo, which a user deleted, unless their \
                volumes are kept";
    let course = "the PersistentVolumeClaim course, which is its home, is kept";
    let (going, staying) = (
        "its further disk wsc-data-demo and all files on it are deleted",
        "its further disk wsc-data-demo is kept",
    );
    for (spec, terminating, of_stop, of_deletion) in [
        (
            json!({}),
            json!(["wsc-db-demo"]),
            format!("its home is kept; {db}; {staying}"),
            format!("{home}; {db}; {going}"),
        ),
        (
            json!({}),
            json!(["workspace-demo", "wsc-db-demo"]),
            format!("{both}; {staying}"),
            format!("{both}; {going}"),
        ),
        (
            json!({"storage": {"claimName": "course"}}),
            json!(["wsc-db-demo"]),
            format!("its home is kept; {db}; {staying}"),
            format!("{course}; {db}; {going}"),
        ),
    ] {
        let more = json!({"claims": [claim("db"), claim("data")], "terminatingClaims": terminating});
        let mut object =
            json!({"metadata": {"name": "demo"}, "spec": spec, "status": used(json!({}), json!({}), more)});
        object["spec"]["displayName"] = json!("d");
        let disks = Disks::from_workspace(&serde_json::from_value(object).unwrap());
        let told = |moment| {
            let Fate { text, loses_files } = disks.fate(moment);
            assert!(loses_files, "{text}");
            text
        };
        assert_eq!(told(Moment::Stop), of_stop);
        assert_eq!(told(Moment::Deletion("demo")), of_deletion);
    }
}

#[test]
fn without_a_list_of_them_a_claim_that_a_user_deleted_is_told_by_degraded() {
    let degraded = |status: &str, reason: &str, message: &str| {
        let time = "2026-01-01T00:00:00Z";
        json!({"type": "Degraded", "status": status, "reason": reason, "message": message, "lastTransitionTime": time})
    };
    let reported = |message: &str| degraded("True", "VolumeTerminating", message);
    let lost = |claim: &str| {
        format!(
            "files are deleted with the PersistentVolumeClaim {claim}, which a user deleted, unless its volume is kept"
        )
    };
    let (db, kept) = ("its further disk wsc-db-demo is kept", "its disks are kept");
    let home =
        "A user deleted the disk workspace-demo. It is removed with its files when the workspace stops.";
    let further =
        "A user deleted the disk wsc-db-demo. It is removed with its files when the workspace stops.";
    let other = "A user deleted the claim workspace-demo-2, which the workspace mounts.";
    for (spec, listed, problem, of_db, expected) in [
        (
            json!({}),
            json!([]),
            reported(home),
            json!(null),
            format!("{}; {db}", lost("workspace-demo")),
        ),
        (
            json!({"storage": {"claimName": "course"}}),
            json!([]),
            reported("A user deleted the claim course, which the workspace mounts."),
            json!(null),
            format!("{}; {db}", lost("course")),
        ),
        (
            json!({}),
            json!([]),
            reported(further),
            json!("VolumeTerminating"),
            format!("its home is kept; {}", lost("wsc-db-demo")),
        ),
        // A word of the message is no name.
        (
            json!({"storage": {"claimName": "files"}}),
            json!([]),
            reported(further),
            json!("VolumeTerminating"),
            format!("its home is kept; {}", lost("wsc-db-demo")),
        ),
        // It is neither the home nor a further disk.
        (
            json!({}),
            json!([]),
            reported(other),
            json!(null),
            format!(
                "its home is kept; {}; {db}",
                lost("that the condition Degraded names")
            ),
        ),
        // The list tells more than the condition.
        (
            json!({}),
            json!(["wsc-db-demo"]),
            reported(home),
            json!("VolumeTerminating"),
            format!("its home is kept; {}", lost("wsc-db-demo")),
        ),
        // The controls: the same words, of something that is over, or of another problem.
        (
            json!({}),
            json!([]),
            degraded("False", "VolumeTerminating", home),
            json!(null),
            kept.to_owned(),
        ),
        (
            json!({}),
            json!([]),
            degraded("True", "VolumeAttachFailed", home),
            json!(null),
            kept.to_owned(),
        ),
    ] {
        let claim = json!({
            "name": "db", "claim": "wsc-db-demo", "phase": "Bound", "retain": "Delete", "reason": of_db,
        });
        let more = json!({
            "claims": [claim], "terminatingClaims": listed, "conditions": [problem], "podName": "workspace-demo",
        });
        let status = used(json!({}), json!({}), more);
        let mut object = json!({"metadata": {"name": "demo"}, "spec": spec, "status": status});
        object["spec"]["displayName"] = json!("d");
        let disks = Disks::from_workspace(&serde_json::from_value(object).unwrap());
        let Fate { text, loses_files } = disks.fate(Moment::Stop);
        assert_eq!(
            (text.as_str(), loses_files),
            (expected.as_str(), expected != kept)
        );
    }
    // It waits for the claim's end without a pod: a stop deletes nothing.
    let status = used(json!({}), json!({}), json!({"conditions": [reported(home)]}));
    let object = json!({"metadata": {"name": "demo"}, "spec": {"displayName": "d"}, "status": status});
    let disks = Disks::from_workspace(&serde_json::from_value(object).unwrap());
    assert!(!disks.fate(Moment::Stop).loses_files);
}

/// A disk of the workspace's own that a pod used, with these changes.
fn used(storage: Value, disk: Value, more: Value) -> Value {
    let mut status = json!({
        "resolved": {"storage": {"mountPath": "/h", "retain": "Delete"}},
        "disk": {"claimUID": "c", "size": "1Gi", "volumeName": "pv"},
    });
    for (at, changes) in [("/resolved/storage", storage), ("/disk", disk), ("", more)] {
        for (field, value) in changes.as_object().unwrap() {
            status.pointer_mut(at).unwrap()[field] = value.clone();
        }
    }
    status
}

#[test]
fn a_status_tells_the_disk() {
    let none = || json!({});
    let terminating = |claim: &str| json!({"terminatingClaims": [claim]});
    let phase = |phase: &str| json!({"phase": phase});
    let waits = |field: &str| json!({"pendingUpdate": [field]});
    // It may be a retained disk that the workspace took over.
    let fresh = || json!({"volumeName": null});
    let retain = |retain: &str| json!({"storage": {"retain": retain}});
    let named = || json!({"storage": {"claimName": "course"}});
    let course = || Disk::Named("course".to_owned());
    let no_claim = || json!({"size": null});
    let no_disk = || json!({"disk": null});
    for (spec, status, expected) in [
        (none(), used(none(), none(), none()), Disk::Own),
        (none(), used(none(), fresh(), none()), Disk::Own),
        (
            none(),
            used(json!({"retain": "Retain"}), none(), none()),
            Disk::Retained,
        ),
        (
            retain("Delete"),
            used(json!({"retain": "Retain"}), none(), none()),
            Disk::Own,
        ),
        (retain("Retain"), used(none(), none(), none()), Disk::Retained),
        (
            none(),
            used(json!({"ephemeral": true}), none(), no_disk()),
            Disk::None,
        ),
        // The present pod has no disk. The next one would have.
        (none(), used(none(), fresh(), waits("spec.storage")), Disk::None),
        (
            named(),
            used(none(), none(), waits("spec.storage.claimName")),
            Disk::None,
        ),
        (
            none(),
            used(none(), none(), waits("spec.storage.subPath")),
            Disk::Own,
        ),
        (named(), used(none(), none(), no_disk()), course()),
        (
            none(),
            used(json!({"claimName": "course"}), none(), no_disk()),
            course(),
        ),
        (named(), Value::Null, course()),
        (
            none(),
            used(none(), none(), terminating("workspace-demo")),
            Disk::Terminating("workspace-demo".to_owned()),
        ),
        (
            named(),
            used(none(), none(), terminating("course")),
            Disk::Terminating("course".to_owned()),
        ),
        (
            none(),
            used(none(), none(), terminating("wsc-db-demo")),
            Disk::Own,
        ),
        (named(), used(none(), none(), terminating("data")), course()),
        (
            none(),
            used(none(), json!({"replacesDeleted": true}), none()),
            Disk::Replaced(Retain::Delete),
        ),
        (none(), used(none(), no_claim(), none()), Disk::Lost),
        (none(), used(none(), phase("Lost"), none()), Disk::Lost),
        (
            none(),
            used(
                json!({"retain": "Retain"}),
                json!({"phase": "Lost", "volumeName": null}),
                none(),
            ),
            Disk::Lost,
        ),
        (
            none(),
            used(none(), json!({"phase": "Pending", "volumeName": null}), none()),
            Disk::NeverMade,
        ),
        (
            none(),
            used(none(), json!({"size": null, "volumeName": null}), none()),
            Disk::NeverMade,
        ),
        (none(), used(none(), none(), no_disk()), Disk::NeverMade),
        (none(), Value::Null, Disk::NeverMade),
    ] {
        assert_eq!(disk(&spec, &status), expected, "{spec} {status}");
    }
}
