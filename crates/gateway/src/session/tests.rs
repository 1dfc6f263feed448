//! Sessions against an API server in memory.

use super::upkeep::CLEANUP_GRACE;
use super::*;
use crate::oidc::Tokens;
use crate::tokens::redacted::Secret;
use crate::tokens::seal::{KeyId, SealingKey};
use http::Method;
use testkit::api_server::{ApiServer, Fault};

const NAMESPACE: &str = "system";

fn keys() -> Arc<KeyRing> {
    Arc::new(KeyRing::new(vec![
        SealingKey::derive(KeyId::new([1; 8]), 0, &[1; 32]).unwrap(),
    ]))
}

fn replica(client: &kube::Client, clock: &Clock) -> Sessions {
    Sessions::new(Api::namespaced(client.clone(), NAMESPACE), keys(), clock.clone())
}

fn content(clock: &Clock) -> Content {
    let identity = Identity {
        user_name: "alice".into(),
        groups: vec![],
    };
    let tokens = Tokens {
        refresh_token: Some(Secret::new("r".into())),
        renew_in: 300,
        ..Tokens::default()
    };
    let life = Lifetimes::default().life;
    let now = clock.now();
    Content::new("https://issuer", "1", identity, &tokens, now..now + life)
}

fn stored(server: &ApiServer, id: RandomId) -> GatewaySession {
    server.get(Some(NAMESPACE), &object_name(id)).unwrap()
}

#[tokio::test]
async fn concurrent_requests_read_a_session_of_another_replica_once() {
    let (server, client) = ApiServer::start();
    let clock = Clock::manual(1000);
    let id = replica(&client, &clock).create(&content(&clock)).await.unwrap();
    server.take_calls();
    let other = replica(&client, &clock);
    let found = futures::future::join_all((0..20).map(|_| other.find(id))).await;
    for session in found {
        assert_eq!(session.unwrap().unwrap().identity.user_name, "alice");
    }
    assert_eq!(server.take_calls().len(), 1);
}

#[tokio::test]
async fn watched_sessions_need_no_read() {
    let (server, client) = ApiServer::start();
    let clock = Clock::manual(1000);
    let sessions = replica(&client, &clock);
    let id = sessions.create(&content(&clock)).await.unwrap();
    sessions.apply(watcher::Event::Apply(stored(&server, id))).await;
    server.take_calls();
    assert!(sessions.find(id).await.unwrap().is_some());
    assert!(server.take_calls().is_empty());
}

#[tokio::test]
async fn an_absent_session_is_remembered_as_absent() {
    let (server, client) = ApiServer::start();
    let sessions = replica(&client, &Clock::manual(1000));
    let id = RandomId::new().unwrap();
    for _ in 0..3 {
        assert_eq!(sessions.find(id).await.unwrap(), None);
    }
    assert_eq!(server.take_calls().len(), 1);
}

#[tokio::test]
async fn a_deleted_session_is_gone_at_once_even_if_it_was_just_asked_for() {
    let (server, client) = ApiServer::start();
    let clock = Clock::manual(1000);
    let sessions = replica(&client, &clock);
    let id = sessions.create(&content(&clock)).await.unwrap();
    assert!(sessions.find(id).await.unwrap().is_some());
    let object = stored(&server, id);
    let mut changes = sessions.subscribe();
    sessions.apply(watcher::Event::Apply(object.clone())).await;
    sessions.apply(watcher::Event::Delete(object)).await;
    assert_eq!(sessions.find(id).await.unwrap(), None);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
}

#[tokio::test]
async fn a_session_that_a_new_list_no_longer_holds_is_gone() {
    let (server, client) = ApiServer::start();
    let clock = Clock::manual(1000);
    let sessions = replica(&client, &clock);
    let (kept, gone) = (
        sessions.create(&content(&clock)).await.unwrap(),
        sessions.create(&content(&clock)).await.unwrap(),
    );
    for id in [kept, gone] {
        sessions.apply(watcher::Event::Apply(stored(&server, id))).await;
    }
    sessions.apply(watcher::Event::Init).await;
    sessions
        .apply(watcher::Event::InitApply(stored(&server, kept)))
        .await;
    assert!(sessions.peek(gone).is_some());
    sessions.apply(watcher::Event::InitDone).await;
    assert!(sessions.peek(kept).is_some());
    assert_eq!(sessions.peek(gone), None);
}

#[tokio::test]
async fn a_read_is_cached_unless_a_list_or_deletion_came_between() {
    let (server, client) = ApiServer::start();
    let clock = Clock::manual(1000);
    let sessions = replica(&client, &clock);
    let list = async || {
        sessions.apply(watcher::Event::Init).await;
        sessions.apply(watcher::Event::InitDone).await;
    };
    let early = sessions.create(&content(&clock)).await.unwrap();
    assert_eq!(sessions.peek(early), None);
    list().await;
    let id = sessions.create(&content(&clock)).await.unwrap();
    assert!(sessions.peek(id).is_some());

    let known = || Arc::new(sessions.read(&stored(&server, id)).unwrap().1);
    let asked_at = sessions.stage();
    list().await;
    assert!(sessions.view.write().add(id, known(), asked_at).is_some());
    assert_eq!(sessions.peek(id), None);

    let asked_at = sessions.stage();
    sessions.apply(watcher::Event::Delete(stored(&server, id))).await;
    assert!(sessions.view.write().add(id, known(), asked_at).is_none());
    assert_eq!(sessions.peek(id), None);
}

#[tokio::test]
async fn an_unused_session_ends_and_is_deleted_later() {
    let (server, client) = ApiServer::start();
    let clock = Clock::manual(1000);
    let sessions = replica(&client, &clock);
    let id = sessions.create(&content(&clock)).await.unwrap();
    sessions.apply(watcher::Event::Apply(stored(&server, id))).await;
    let limits = Lifetimes::default();
    clock.advance(limits.unrefreshed - 1);
    assert!(sessions.find(id).await.unwrap().is_some());
    clock.advance(limits.idle - limits.unrefreshed + 1);
    assert_eq!(sessions.find(id).await.unwrap(), None);
    sessions.remove_ended().await;
    assert!(
        server
            .get::<GatewaySession>(Some(NAMESPACE), &object_name(id))
            .is_some()
    );
    clock.advance(CLEANUP_GRACE + 1);
    sessions.remove_ended().await;
    assert!(
        server
            .get::<GatewaySession>(Some(NAMESPACE), &object_name(id))
            .is_none()
    );
}

#[tokio::test]
async fn errors_of_the_api_server_are_errors_not_absence_and_are_not_remembered() {
    let (server, client) = ApiServer::start();
    let clock = Clock::manual(1000);
    let sessions = replica(&client, &clock);
    let id = sessions.create(&content(&clock)).await.unwrap();
    server.fail(Fault {
        method: Method::GET,
        path_part: "gatewaysessions",
        code: 503,
        reason: "ServiceUnavailable",
        message: "later".into(),
        times: 1,
    });
    assert!(sessions.find(id).await.is_err());
    assert!(sessions.find(id).await.unwrap().is_some());
}

#[tokio::test]
async fn of_many_attempts_with_one_code_on_two_replicas_one_succeeds() {
    let (_server, client) = ApiServer::start();
    let clock = Clock::manual(1000);
    let (one, two) = (replica(&client, &clock), replica(&client, &clock));
    let id = one.create(&content(&clock)).await.unwrap();
    let code = RandomId::new().unwrap();
    let attempts =
        (0..8).map(|n| if n % 2 == 0 { &one } else { &two }.spend(id, code, 1030, CodeUser::Browser));
    let outcomes = futures::future::join_all(attempts).await;
    let counted = outcomes
        .iter()
        .filter(|outcome| **outcome == Ok(Spent::Now))
        .count();
    assert_eq!(counted, 1, "{outcomes:?}");
    assert_eq!(
        one.spend(id, RandomId::new().unwrap(), 1030, CodeUser::Program)
            .await,
        Ok(Spent::Now)
    );
    assert_eq!(
        one.spend(RandomId::new().unwrap(), code, 1030, CodeUser::Browser)
            .await,
        Ok(Spent::NoSession)
    );
}

#[tokio::test]
async fn the_oldest_session_of_a_user_with_too_many_makes_room_for_a_new_one() {
    let (server, client) = ApiServer::start();
    let clock = Clock::manual(1000);
    let sessions = replica(&client, &clock);
    let mut ids = Vec::new();
    for _ in 0..=ending::MAX {
        ids.push(sessions.create(&content(&clock)).await.unwrap());
        clock.advance(1);
    }
    assert_eq!(server.all::<GatewaySession>().len(), ending::MAX);
    assert_eq!(sessions.find(ids[0]).await.unwrap(), None);
    assert!(sessions.find(ids[1]).await.unwrap().is_some());
}

#[tokio::test]
async fn a_session_that_began_later_makes_no_room_though_it_ends_first() {
    let (server, client) = ApiServer::start();
    let clock = Clock::manual(1000);
    let sessions = replica(&client, &clock);
    let mut ids = Vec::new();
    for number in 0..ending::MAX {
        let id = sessions.create(&content(&clock)).await.unwrap();
        // The first was created last, with a shorter lifetime.
        let created = if number == 0 {
            "2026-01-02T00:00:00Z"
        } else {
            "2026-01-01T00:00:00Z"
        };
        server.edit::<GatewaySession>(Some(NAMESPACE), &object_name(id), |object| {
            object["metadata"]["creationTimestamp"] = created.into();
        });
        ids.push(id);
        clock.advance(1);
    }
    sessions.create(&content(&clock)).await.unwrap();
    assert!(sessions.find(ids[0]).await.unwrap().is_some());
    assert_eq!(sessions.find(ids[1]).await.unwrap(), None);
}

#[tokio::test]
async fn many_logins_in_one_browser_end_no_session_of_another() {
    let (server, client) = ApiServer::start();
    let clock = Clock::manual(1000);
    let sessions = replica(&client, &clock);
    let [here, there] = [1, 2].map(|number| RandomId::from_bytes([number; 16]));
    let elsewhere = sessions.create(&content(&clock).in_browser(there)).await.unwrap();
    for _ in 0..ending::MAX + 10 {
        clock.advance(1);
        sessions.create(&content(&clock).in_browser(here)).await.unwrap();
    }
    assert_eq!(server.all::<GatewaySession>().len(), ending::MAX);
    assert!(sessions.find(elsewhere).await.unwrap().is_some());
    // A browser without one replaces the oldest.
    let third = content(&clock).in_browser(RandomId::from_bytes([3; 16]));
    sessions.create(&third).await.unwrap();
    assert_eq!(sessions.find(elsewhere).await.unwrap(), None);
}
