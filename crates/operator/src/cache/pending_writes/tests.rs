//! Our own writes, compared with what a cache shows later.

use super::*;

fn meta(uid: &str, version: &str) -> ObjectMeta {
    ObjectMeta {
        uid: Some(uid.to_owned()),
        resource_version: Some(version.to_owned()),
        ..ObjectMeta::default()
    }
}

#[test]
fn a_cache_is_behind_until_it_has_seen_our_write() {
    let pending = PendingWrites::default();
    let status = WorkspaceStatus {
        owner: Some("alice".to_owned()),
        ..WorkspaceStatus::default()
    };
    pending.wrote_status("team/a", &meta("u", "12"), status.clone());
    assert_eq!(pending.newer_status("team/a", &meta("u", "9")), Some(status));
    assert_eq!(pending.newer_status("team/a", &meta("u", "12")), None);
    assert_eq!(pending.newer_status("team/b", &meta("u", "9")), None);
    pending.forget("team/a");
    assert_eq!(pending.newer_status("team/a", &meta("u", "9")), None);
}

#[test]
fn statuses_that_the_cache_shows_are_pruned() {
    let pending = PendingWrites::default();
    let workspace = |version: &str| {
        Arc::new(Deployment {
            metadata: meta("u", version),
            ..Deployment::default()
        })
    };
    for number in 0..PRUNE_INTERVAL {
        let status = WorkspaceStatus::default();
        pending.wrote_status(&format!("team/{number}"), &meta("u", "12"), status);
        pending.prune_statuses(|key| Some(workspace(if key == "team/7" { "9" } else { "12" })));
    }
    assert_eq!(pending.statuses.lock().len(), 1);
    assert!(pending.newer_status("team/7", &meta("u", "9")).is_some());
}

fn deployment(uid: &str, version: &str, generation: i64) -> Arc<Deployment> {
    let mut deployment = Deployment {
        metadata: meta(uid, version),
        ..Deployment::default()
    };
    deployment.metadata.generation = Some(generation);
    Arc::new(deployment)
}

#[tokio::test(start_paused = true)]
async fn our_deployment_is_recalled_until_the_cache_shows_it_or_a_later_one() {
    let pending = PendingWrites::default();
    let ours = deployment("u", "12", 2);
    pending.expect_deployment("team/a", Some(&ours));
    let expected = Expectation::Pending(ours.clone(), CACHE_LAG);
    assert_eq!(pending.deployment("team/a", None), expected);
    tokio::time::advance(CACHE_LAG).await;
    assert_eq!(pending.deployment("team/a", None), Expectation::Expired);
    let older = deployment("u", "11", 1);
    assert_eq!(
        pending.deployment("team/a", Some(&older)),
        Expectation::Newer(ours.clone())
    );
    assert_eq!(pending.deployment("team/a", Some(&ours)), Expectation::Fulfilled);
    // The cache has shown it, so if it is missing now, it was deleted.
    assert_eq!(pending.deployment("team/a", None), Expectation::Fulfilled);
}

#[test]
fn a_successor_of_the_same_name_and_a_version_that_is_no_number_are_never_behind() {
    let pending = PendingWrites::default();
    for (uid, version) in [("new", "9"), ("u", "abc")] {
        pending.expect_deployment("team/a", Some(&deployment("u", "12", 1)));
        let cached = deployment(uid, version, 1);
        assert_eq!(
            pending.deployment("team/a", Some(&cached)),
            Expectation::Fulfilled
        );
    }
}

fn workspace(uid: &str) -> Identity {
    Identity {
        namespace: "team".to_owned(),
        name: "a".to_owned(),
        uid: uid.to_owned(),
    }
}

#[test]
fn a_released_workspace_is_distinguished_from_its_successor() {
    let pending = PendingWrites::default();
    pending.released(&workspace("u"));
    assert!(pending.is_released(&workspace("u")));
    assert!(!pending.is_released(&workspace("v")));
    pending.forget("team/a");
    assert!(!pending.is_released(&workspace("u")));
}

#[test]
fn a_deleted_child_is_distinguished_from_its_successor_and_other_kinds() {
    let pending = PendingWrites::default();
    let (old, new) = (workspace("1"), workspace("2"));
    pending.deleted(&old, "Service", "u");
    assert!(pending.is_deleted(&old, "Service", Some("u")));
    assert!(pending.is_deleted(&old, "Service", None));
    assert!(!pending.is_deleted(&old, "Service", Some("v")));
    assert!(!pending.is_deleted(&old, "Deployment", None));
    assert!(!pending.is_deleted(&new, "Service", None));
    pending.deleted(&new, "Deployment", "v");
    assert!(pending.is_deleted(&new, "Deployment", None));
    assert!(!pending.is_deleted(&new, "Service", None));
    pending.forget("team/a");
    assert!(!pending.is_deleted(&new, "Deployment", None));
}

#[test]
fn nothing_is_certain_any_more_after_another_has_led() {
    let pending = PendingWrites::default();
    let workspace = workspace("1");
    pending.deleted(&workspace, "Service", "u");
    pending.confirm_scaled_down("team/a", None);
    pending.released(&workspace);
    pending.expect_deployment("team/a", Some(&deployment("u", "12", 2)));
    pending.wrote_status("team/a", &meta("u", "12"), WorkspaceStatus::default());
    pending.clear();
    assert!(!pending.is_confirmed("team/a", None) && !pending.is_released(&workspace));
    assert!(!pending.is_deleted(&workspace, "Service", None));
    assert_eq!(pending.deployment("team/a", None), Expectation::Fulfilled);
    assert_eq!(pending.newer_status("team/a", &meta("u", "9")), None);
}

#[test]
fn a_confirmation_lasts_until_the_deployment_or_its_spec_changes() {
    let pending = PendingWrites::default();
    assert!(!pending.is_confirmed("team/a", None));
    pending.confirm_scaled_down("team/a", None);
    assert!(pending.is_confirmed("team/a", None));
    let ours = deployment("u", "1", 1);
    for other in [Some(deployment("u", "2", 2)), Some(deployment("v", "2", 1)), None] {
        pending.confirm_scaled_down("team/a", Some(&ours));
        assert!(pending.is_confirmed("team/a", Some(&deployment("u", "2", 1))));
        assert!(!pending.is_confirmed("team/a", other.as_deref()));
    }
}

#[test]
fn a_confirmation_does_not_come_back_when_a_deployment_has_come_and_gone_or_was_about_to_come() {
    let pending = PendingWrites::default();
    pending.confirm_scaled_down("team/a", None);
    assert!(!pending.is_confirmed("team/a", Some(&deployment("u", "1", 1))));
    assert!(!pending.is_confirmed("team/a", None), "it may have left a pod");
    pending.confirm_scaled_down("team/a", None);
    pending.confirm_scaled_down("team/b", None);
    pending.expect_creation("team/a");
    assert!(!pending.is_confirmed("team/a", None), "no cache has shown it");
    assert!(pending.is_confirmed("team/b", None));
}

#[test]
fn our_scale_down_counts_until_the_deployment_or_its_spec_changes() {
    let pending = PendingWrites::default();
    let ours = deployment("u", "12", 2);
    assert!(!pending.is_unchanged("team/a", Some(&ours)));
    pending.wrote_scale_down("team/a", &ours);
    assert!(pending.is_unchanged("team/a", Some(&deployment("u", "15", 2))));
    for other in [deployment("u", "15", 3), deployment("v", "15", 2)] {
        assert!(!pending.is_unchanged("team/a", Some(&other)));
    }
    assert!(!pending.is_unchanged("team/a", None));
    pending.clear();
    assert!(
        !pending.is_unchanged("team/a", Some(&ours)),
        "another led meanwhile"
    );
    pending.wrote_scale_down("team/a", &ours);
    pending.forget("team/a");
    assert!(!pending.is_unchanged("team/a", Some(&ours)));
}

#[test]
fn a_confirmation_needs_our_scale_down_no_more_and_outlasts_a_repeated_one() {
    let pending = PendingWrites::default();
    let ours = deployment("u", "12", 2);
    pending.wrote_scale_down("team/a", &ours);
    assert!(
        !pending.is_confirmed("team/a", Some(&ours)),
        "its pod may be there"
    );
    assert!(pending.is_unchanged("team/a", Some(&ours)));
    pending.confirm_scaled_down("team/a", Some(&ours));
    assert!(pending.is_unchanged("team/a", Some(&ours)));
    pending.wrote_scale_down("team/a", &deployment("u", "13", 2));
    assert!(pending.is_confirmed("team/a", Some(&ours)));
    pending.wrote_scale_down("team/a", &deployment("u", "15", 4));
    assert!(!pending.is_confirmed("team/a", Some(&deployment("u", "15", 4))));
}
