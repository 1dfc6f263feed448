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

fn pod(uid: &str, version: &str) -> Arc<Pod> {
    Arc::new(Pod {
        metadata: meta(uid, version),
        ..Pod::default()
    })
}

#[tokio::test(start_paused = true)]
async fn our_pod_is_recalled_until_the_cache_shows_it_or_a_later_one() {
    let (pending, workspace) = (PendingWrites::default(), workspace("1"));
    let (old, ours, next) = (pod("t", "11"), pod("u", "12"), pod("v", "13"));
    pending.expect_pod("team/a", &ours);
    for cached in [None, Some(old.clone())] {
        assert_eq!(
            pending.newest_pod(&workspace, cached),
            (Some(ours.clone()), Some(CACHE_LAG))
        );
    }
    assert_eq!(
        pending.newest_pod(&workspace, Some(next.clone())),
        (Some(next), None)
    );
    // The cache has shown it, so if it is missing now, it was deleted.
    assert_eq!(pending.newest_pod(&workspace, None), (None, None));
    pending.expect_pod("team/a", &ours);
    tokio::time::advance(CACHE_LAG).await;
    assert_eq!(
        pending.newest_pod(&workspace, None),
        (None, None),
        "it was deleted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_we_ended_is_not_recalled_when_the_cache_shows_none() {
    let (pending, workspace) = (PendingWrites::default(), workspace("1"));
    let mut ending = pod("u", "12").as_ref().clone();
    ending.metadata.deletion_timestamp = serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap();
    let ending = Arc::new(ending);
    pending.expect_pod("team/a", &ending);
    assert_eq!(
        pending.newest_pod(&workspace, Some(pod("u", "11"))).0,
        Some(ending)
    );
    assert_eq!(pending.newest_pod(&workspace, None).0, None);
    pending.deleted(&workspace, "Pod", "u");
    assert_eq!(pending.newest_pod(&workspace, Some(pod("u", "11"))).0, None);
    assert!(pending.newest_pod(&workspace, Some(pod("v", "13"))).0.is_some());
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
fn nothing_is_certain_any_more_after_another_has_led() {
    let pending = PendingWrites::default();
    let workspace = workspace("1");
    pending.deleted(&workspace, "Service", "u");
    pending.released(&workspace);
    pending.expect_pod("team/a", &pod("u", "12"));
    pending.wrote_status("team/a", &meta("u", "12"), WorkspaceStatus::default());
    pending.clear();
    assert!(!pending.is_released(&workspace));
    assert!(!pending.is_deleted(&workspace, "Service", None));
    assert_eq!(pending.newest_pod(&workspace, None), (None, None));
    assert_eq!(pending.newer_status("team/a", &meta("u", "9")), None);
}
