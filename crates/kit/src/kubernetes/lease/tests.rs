//! Candidates and an in-memory API server -> who leads, in paused time (tests).

use http::Method;
use testkit::api_server::{ApiServer, Call, Disruption, Fault};
use tokio::time::sleep;

use super::*;

const LEASE: &str = "r-operator";

fn candidate(identity: &str) -> Candidate {
    Candidate::new(LEASE.to_owned(), identity.to_owned(), "tester")
}

fn start(client: &kube::Client, identity: &str) -> (watch::Receiver<bool>, CancellationToken) {
    let shutdown = CancellationToken::new();
    let leases = Api::namespaced(client.clone(), "sys");
    let leading = campaign(leases, candidate(identity), shutdown.clone());
    (leading, shutdown)
}

fn holder(server: &ApiServer, identity: &str) {
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(LEASE.to_owned()),
            namespace: Some("sys".to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(identity.to_owned()),
            lease_transitions: Some(4),
            // Every clock says that this time is long past. It must not count.
            renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            ..LeaseSpec::default()
        }),
    };
    server.put(&lease);
}

fn stored(server: &ApiServer) -> LeaseSpec {
    server
        .get::<Lease>(Some("sys"), LEASE)
        .and_then(|lease| lease.spec)
        .unwrap_or_default()
}

async fn until(leading: &mut watch::Receiver<bool>, wanted: bool) {
    leading.wait_for(|leads| *leads == wanted).await.unwrap();
}

async fn until_released(leading: &mut watch::Receiver<bool>) {
    while leading.changed().await.is_ok() {}
}

#[tokio::test(start_paused = true)]
async fn a_free_lease_is_taken_at_once_and_renewed() {
    let (server, client) = ApiServer::start();
    let begin = Instant::now();
    let (mut leading, _shutdown) = start(&client, "a");
    until(&mut leading, true).await;
    assert!(begin.elapsed() < candidate("a").period);
    assert_eq!(stored(&server).holder_identity.as_deref(), Some("a"));
    server.take_calls();
    sleep(candidate("a").duration * 4).await;
    assert!(*leading.borrow());
    let renewals = server.take_calls().into_iter().filter(Call::is_write).count();
    assert!(renewals >= 15, "{renewals}");
    assert_eq!(stored(&server).lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn one_of_two_candidates_leads_and_the_other_only_reads() {
    let (server, client) = ApiServer::start();
    let (mut first, _first) = start(&client, "a");
    until(&mut first, true).await;
    let (second, _second) = start(&client, "b");
    sleep(candidate("b").duration * 4).await;
    assert!(*first.borrow() && !*second.borrow());
    assert_eq!(stored(&server).holder_identity.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn candidates_that_start_at_once_elect_one() {
    let (server, client) = ApiServer::start();
    let (a, _a) = start(&client, "a");
    let (b, _b) = start(&client, "b");
    sleep(candidate("a").duration).await;
    let holder = stored(&server).holder_identity;
    assert_eq!(*a.borrow(), holder.as_deref() == Some("a"));
    assert_eq!(*b.borrow(), holder.as_deref() == Some("b"));
    assert_ne!(*a.borrow(), *b.borrow());
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_silent_holder_is_taken_after_its_duration_by_our_own_clock() {
    let (server, client) = ApiServer::start();
    holder(&server, "gone");
    let begin = Instant::now();
    let (mut leading, _shutdown) = start(&client, "a");
    until(&mut leading, true).await;
    let Candidate { duration, period, .. } = candidate("a");
    assert!(begin.elapsed() >= duration, "{:?}", begin.elapsed());
    assert!(begin.elapsed() <= duration + period, "{:?}", begin.elapsed());
    assert_eq!(stored(&server).holder_identity.as_deref(), Some("a"));
    assert_eq!(stored(&server).lease_transitions, Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_the_lease_expires() {
    let (server, client) = ApiServer::start();
    let (mut leading, _shutdown) = start(&client, "a");
    until(&mut leading, true).await;
    let begin = Instant::now();
    server.fail(Fault {
        method: Method::PATCH,
        path_part: "leases",
        code: 500,
        reason: "InternalError",
        message: "etcd is away".to_owned(),
        times: 5,
    });
    until(&mut leading, false).await;
    let Candidate { duration, .. } = candidate("a");
    assert!(begin.elapsed() > duration / 2, "{:?}", begin.elapsed());
    assert!(begin.elapsed() < duration, "{:?}", begin.elapsed());
    // No other candidate took the lease meanwhile.
    until(&mut leading, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_after_failures_does_not_prolong_leadership() {
    let (server, client) = ApiServer::start();
    let (mut leading, _shutdown) = start(&client, "a");
    until(&mut leading, true).await;
    let Candidate { duration, period, .. } = candidate("a");
    let begin = Instant::now();
    let fail = |times| {
        server.fail(Fault {
            method: Method::PATCH,
            path_part: "leases",
            code: 500,
            reason: "InternalError",
            message: "etcd is away".to_owned(),
            times,
        });
    };
    // The lease is renewed at 0 s. Renewals at 3, 6 and 9 s fail at once, except for the last, which hangs.
    fail(2);
    sleep(period * 2 + period / 2).await;
    server.disrupt(Method::PATCH, "leases", Disruption::Late(Duration::from_mins(1)));
    until(&mut leading, false).await;
    assert_eq!(begin.elapsed(), duration * 2 / 3);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_counts_from_when_it_was_sent() {
    let (server, client) = ApiServer::start();
    let (mut leading, _shutdown) = start(&client, "a");
    until(&mut leading, true).await;
    let Candidate { duration, period, .. } = candidate("a");
    let begin = Instant::now();
    let slow = Duration::from_secs(2);
    server.disrupt(Method::PATCH, "leases", Disruption::Late(slow));
    sleep(period + slow).await;
    assert_eq!(stored(&server).holder_identity.as_deref(), Some("a"));
    server.disrupt(Method::PATCH, "leases", Disruption::Late(Duration::from_mins(1)));
    until(&mut leading, false).await;
    assert_eq!(begin.elapsed(), period + duration * 2 / 3);
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_the_lease_by_another_client_does_not_end_leadership() {
    let (server, client) = ApiServer::start();
    let (mut leading, _shutdown) = start(&client, "a");
    until(&mut leading, true).await;
    server.fail(Fault {
        method: Method::PATCH,
        path_part: "leases",
        code: 422,
        reason: "Invalid",
        message: "testing path /metadata/resourceVersion failed".to_owned(),
        times: 1,
    });
    let ended = leading.wait_for(|leads| !leads);
    assert!(timeout(candidate("a").duration * 2, ended).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_reads_another_holder_stops_leading() {
    let (server, client) = ApiServer::start();
    let (mut leading, _shutdown) = start(&client, "a");
    until(&mut leading, true).await;
    holder(&server, "b");
    let begin = Instant::now();
    until(&mut leading, false).await;
    assert!(begin.elapsed() <= candidate("a").period);
    assert_eq!(stored(&server).holder_identity.as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_released_at_shutdown() {
    let (server, client) = ApiServer::start();
    let (mut first, shutdown) = start(&client, "a");
    until(&mut first, true).await;
    shutdown.cancel();
    until_released(&mut first).await;
    assert!(!*first.borrow());
    assert_eq!(stored(&server).holder_identity, None);
    let begin = Instant::now();
    let (mut second, _second) = start(&client, "b");
    until(&mut second, true).await;
    assert!(begin.elapsed() < candidate("b").period);
}
