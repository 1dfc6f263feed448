//! Status of a workspace -> what becomes of its files, in words (tests).

use serde_json::{Value, json};

use super::*;

fn disk(spec: &Value, status: &Value) -> Disk {
    let mut object = json!({"metadata": {"name": "demo"}, "spec": spec, "status": status});
    object["spec"]["displayName"] = json!("d");
    Disks::from_workspace(&serde_json::from_value(object).unwrap()).home
}

fn degraded(reason: &str, status: &str) -> Value {
    degraded_by(reason, status, "The disk workspace-demo: see why.")
}

fn degraded_by(reason: &str, status: &str, message: &str) -> Value {
    json!([{
        "type": "Degraded", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }])
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
        "files are deleted with a PersistentVolumeClaim that a user deleted, unless its volume is kept",
        true,
    );
    const GONE: (&str, bool) = ("its disk is gone, and its files with it", false);
    const NOTHING: (&str, bool) = ("it has no files yet", false);
    const NO_DISK: (&str, bool) = ("its files are deleted, because it has no disk", true);
    for (disk, stop, stopped, deletion) in [
        (
            Disk::None,
            NO_DISK,
            ("its files are gone: it has no disk", true),
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
        (Disk::Terminating, TERMINATING, TERMINATING, TERMINATING),
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
        let disks = Disks::from_status(&status);
        let told = disks.fate(Moment::Deletion("demo"));
        assert_eq!((told.text, told.loses_files), (expected, loses_files));
        let kept = ("the disk is kept".to_owned(), false);
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
    let deletion = disks(Disk::NeverMade).fate(Moment::Deletion("demo"));
    assert_eq!(told(deletion), (going.to_owned(), true));
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
    // The problem is of a further disk.
    let unbound_db = || {
        let claim = json!({"name": "db", "claim": "wsc-db-demo", "reason": "VolumeUnbound"});
        json!({"conditions": degraded("VolumeUnbound", "True"), "claims": [claim]})
    };
    // The problem is of a claim that the template names.
    let unbound_data =
        || json!({"conditions": degraded_by("VolumeUnbound", "True", "The claim data does not exist.")});
    let is = |reason: &str| json!({"conditions": degraded(reason, "True")});
    let was = |reason: &str| json!({"conditions": degraded(reason, "False")});
    let waits = |field: &str| json!({"pendingUpdate": [field]});
    // It may be a retained disk that the workspace took over.
    let fresh = || json!({"volumeName": null});
    let retain = |retain: &str| json!({"storage": {"retain": retain}});
    let volumes =
        || json!({"volumes": [{"name": "data", "persistentVolumeClaimName": "data", "mountPath": "/data"}]});
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
            used(none(), none(), is("VolumeTerminating")),
            Disk::Terminating,
        ),
        (none(), used(none(), none(), was("VolumeTerminating")), Disk::Own),
        (
            none(),
            used(none(), json!({"replacesDeleted": true}), none()),
            Disk::Replaced(Retain::Delete),
        ),
        (none(), used(none(), no_claim(), none()), Disk::Lost),
        (none(), used(none(), none(), is("VolumeUnbound")), Disk::Lost),
        (none(), used(none(), none(), was("VolumeUnbound")), Disk::Own),
        (none(), used(none(), none(), unbound_db()), Disk::Own),
        (none(), used(none(), none(), unbound_data()), Disk::Own),
        (volumes(), used(none(), none(), is("VolumeUnbound")), Disk::Own),
        (
            none(),
            used(none(), fresh(), is("VolumeUnbound")),
            Disk::NeverMade,
        ),
        (volumes(), used(none(), fresh(), is("VolumeUnbound")), Disk::Own),
        (
            none(),
            used(none(), fresh(), is("StorageClassNotFound")),
            Disk::NeverMade,
        ),
        (none(), used(none(), none(), no_disk()), Disk::NeverMade),
        (none(), Value::Null, Disk::NeverMade),
    ] {
        assert_eq!(disk(&spec, &status), expected, "{spec} {status}");
    }
}
