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
    let memory = PendingWrites::default();
    let status = WorkspaceStatus {
        owner: Some("alice".to_owned()),
        ..WorkspaceStatus::default()
    };
    memory.wrote_status("team/a", &meta("u", "12"), status.clone());
    assert_eq!(memory.newer_status("team/a", &meta("u", "9")), Some(status));
    assert_eq!(memory.newer_status("team/a", &meta("u", "12")), None);
    assert_eq!(memory.newer_status("team/b", &meta("u", "9")), None);
    memory.forget("team/a");
    assert_eq!(memory.newer_status("team/a", &meta("u", "9")), None);
}

#[test]
fn statuses_that_the_cache_shows_are_forgotten_although_nobody_asks() {
    let memory = PendingWrites::default();
    let workspace = |version: &str| {
        Arc::new(Deployment {
            metadata: meta("u", version),
            ..Deployment::default()
        })
    };
    for number in 0..SOME {
        let status = WorkspaceStatus::default();
        memory.wrote_status(&format!("team/{number}"), &meta("u", "12"), status);
        memory.shed(|key| Some(workspace(if key == "team/7" { "9" } else { "12" })));
    }
    assert_eq!(lock(&memory.statuses).len(), 1);
    assert!(memory.newer_status("team/7", &meta("u", "9")).is_some());
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
    let memory = PendingWrites::default();
    let ours = deployment("u", "12", 2);
    memory.saw_deployment("team/a", Some(&ours));
    let expected = Recalled::Expected(ours.clone(), SOON);
    assert_eq!(memory.deployment("team/a", None), expected);
    tokio::time::advance(SOON).await;
    assert_eq!(memory.deployment("team/a", None), Recalled::Unseen);
    let older = deployment("u", "11", 1);
    assert_eq!(
        memory.deployment("team/a", Some(&older)),
        Recalled::Newer(ours.clone())
    );
    assert_eq!(memory.deployment("team/a", Some(&ours)), Recalled::Nothing);
    // The cache has shown it, so if it is missing now, it was deleted.
    assert_eq!(memory.deployment("team/a", None), Recalled::Nothing);
}

#[test]
fn a_successor_of_the_same_name_and_a_version_that_is_no_number_are_never_behind() {
    let memory = PendingWrites::default();
    for (uid, version) in [("new", "9"), ("u", "abc")] {
        memory.saw_deployment("team/a", Some(&deployment("u", "12", 1)));
        let cached = deployment(uid, version, 1);
        assert_eq!(memory.deployment("team/a", Some(&cached)), Recalled::Nothing);
    }
}

#[test]
fn a_workspace_that_was_let_go_of_is_told_from_its_successor() {
    let memory = PendingWrites::default();
    memory.let_go("team/a", "u");
    assert!(memory.has_let_go("team/a", "u"));
    assert!(!memory.has_let_go("team/a", "v"));
    memory.forget("team/a");
    assert!(!memory.has_let_go("team/a", "u"));
}

#[test]
fn a_child_that_is_gone_is_told_from_its_successor_and_from_other_kinds() {
    let memory = PendingWrites::default();
    let workspace = |uid: &str| Identity {
        namespace: "team".to_owned(),
        name: "a".to_owned(),
        uid: uid.to_owned(),
    };
    let (old, new) = (workspace("1"), workspace("2"));
    memory.removed(&old, "Service", "u");
    assert!(memory.has_removed(&old, "Service", Some("u")));
    assert!(memory.has_removed(&old, "Service", None));
    assert!(!memory.has_removed(&old, "Service", Some("v")));
    assert!(!memory.has_removed(&old, "Deployment", None));
    assert!(!memory.has_removed(&new, "Service", None));
    memory.removed(&new, "Deployment", "v");
    assert!(memory.has_removed(&new, "Deployment", None));
    assert!(!memory.has_removed(&new, "Service", None));
    memory.forget("team/a");
    assert!(!memory.has_removed(&new, "Deployment", None));
}

#[test]
fn a_child_that_is_gone_is_remembered_once() {
    let memory = PendingWrites::default();
    let workspace = Identity::of(&meta("1", "1"));
    for _ in 0..3 {
        memory.removed(&workspace, "Service", "u");
    }
    assert_eq!(lock(&memory.removed)[&workspace.key()].children.len(), 1);
}

#[test]
fn nothing_is_certain_any_more_after_another_has_led() {
    let memory = PendingWrites::default();
    let workspace = Identity::of(&meta("1", "1"));
    memory.removed(&workspace, "Service", "u");
    memory.is_quiet("team/a", None);
    memory.let_go("team/a", "u");
    memory.saw_deployment("team/a", Some(&deployment("u", "12", 2)));
    memory.wrote_status("team/a", &meta("u", "12"), WorkspaceStatus::default());
    memory.clear();
    assert!(!memory.was_quiet("team/a", None) && !memory.has_let_go("team/a", "u"));
    assert!(!memory.has_removed(&workspace, "Service", None));
    assert_eq!(memory.deployment("team/a", None), Recalled::Nothing);
    assert_eq!(memory.newer_status("team/a", &meta("u", "9")), None);
}

#[test]
fn quiet_lasts_until_the_deployment_is_another_or_has_another_spec() {
    let memory = PendingWrites::default();
    assert!(!memory.was_quiet("team/a", None));
    memory.is_quiet("team/a", None);
    assert!(memory.was_quiet("team/a", None));
    let ours = deployment("u", "1", 1);
    for other in [Some(deployment("u", "2", 2)), Some(deployment("v", "2", 1)), None] {
        memory.is_quiet("team/a", Some(&ours));
        assert!(memory.was_quiet("team/a", Some(&deployment("u", "2", 1))));
        assert!(!memory.was_quiet("team/a", other.as_deref()));
    }
}

#[test]
fn quiet_does_not_come_back_when_a_deployment_has_come_and_gone_or_was_about_to_come() {
    let memory = PendingWrites::default();
    memory.is_quiet("team/a", None);
    assert!(!memory.was_quiet("team/a", Some(&deployment("u", "1", 1))));
    assert!(!memory.was_quiet("team/a", None), "it may have left a pod");
    memory.is_quiet("team/a", None);
    memory.is_quiet("team/b", None);
    memory.begins("team/a");
    assert!(!memory.was_quiet("team/a", None), "no cache has shown it");
    assert!(memory.was_quiet("team/b", None));
}

#[test]
fn an_end_of_a_run_is_ours_until_the_deployment_is_another_or_has_another_spec() {
    let memory = PendingWrites::default();
    let ours = deployment("u", "12", 2);
    assert!(!memory.has_ended("team/a", Some(&ours)));
    memory.ended("team/a", &ours);
    assert!(memory.has_ended("team/a", Some(&deployment("u", "15", 2))));
    for other in [deployment("u", "15", 3), deployment("v", "15", 2)] {
        assert!(!memory.has_ended("team/a", Some(&other)));
    }
    assert!(!memory.has_ended("team/a", None));
    memory.clear();
    assert!(!memory.has_ended("team/a", Some(&ours)), "another led meanwhile");
    memory.ended("team/a", &ours);
    memory.forget("team/a");
    assert!(!memory.has_ended("team/a", Some(&ours)));
}
