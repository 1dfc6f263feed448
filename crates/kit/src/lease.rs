//! a Lease -> who leads (IO).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// A candidate for leadership.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Name of the Lease.
    pub lease: String,
    /// Who this is, unique among the candidates: the pod's name.
    pub identity: String,
    /// Field manager of the writes.
    pub manager: &'static str,
    /// How long a leader that went silent is still taken for the leader.
    pub duration: Duration,
    /// How often the leader renews and the others look.
    pub period: Duration,
}

impl Candidate {
    /// A candidate with the usual times: leader for 15 s, renewed every 3 s.
    pub fn new(lease: String, identity: String, manager: &'static str) -> Self {
        Self {
            lease,
            identity,
            manager,
            duration: Duration::from_secs(15),
            period: Duration::from_secs(3),
        }
    }
}

/// What was last read of the Lease, and when its content last changed by our own clock: other clocks are never compared.
struct Seen {
    version: Option<String>,
    since: Instant,
}

/// Takes part in the election until `shutdown`; then, if leading, gives the lease back so that a successor need not wait.
///
/// The receiver says whether this candidate leads. It turns false before the lease can have passed to somebody else: when
/// no renewal succeeded for two thirds of the lease's duration.
pub fn campaign(
    leases: Api<Lease>,
    candidate: Candidate,
    shutdown: CancellationToken,
) -> watch::Receiver<bool> {
    let (leading, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let mut seen = Seen {
            version: None,
            since: Instant::now(),
        };
        let mut renewed = Instant::now();
        loop {
            let attempt = tokio::time::timeout(candidate.period, attempt(&leases, &candidate, &mut seen));
            match attempt.await {
                Ok(Ok(true)) => {
                    renewed = Instant::now();
                    set(&leading, true, &candidate);
                }
                Ok(Ok(false)) => set(&leading, false, &candidate),
                failed => {
                    if let Ok(Err(error)) = failed {
                        tracing::warn!(%error, lease = candidate.lease, "the lease cannot be renewed");
                    }
                    if renewed.elapsed() > candidate.duration * 2 / 3 {
                        set(&leading, false, &candidate);
                    }
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = sleep(candidate.period) => {}
            }
        }
        if *leading.borrow() {
            let _ = leading.send(false);
            if let Err(error) = release(&leases, &candidate).await {
                tracing::warn!(%error, lease = candidate.lease, "the lease cannot be given back");
            }
        }
    });
    receiver
}

fn set(leading: &watch::Sender<bool>, now: bool, candidate: &Candidate) {
    let changed = leading.send_if_modified(|current| std::mem::replace(current, now) != now);
    if changed {
        tracing::info!(
            lease = candidate.lease,
            identity = candidate.identity,
            leading = now,
            "leadership changed"
        );
    }
}

/// Renews or takes the lease where that is right; says whether this candidate holds it.
async fn attempt(leases: &Api<Lease>, me: &Candidate, seen: &mut Seen) -> Result<bool, kube::Error> {
    let Some(lease) = leases.get_opt(&me.lease).await? else {
        return accepted(create(leases, me).await);
    };
    if lease.metadata.resource_version != seen.version {
        *seen = Seen {
            version: lease.metadata.resource_version.clone(),
            since: Instant::now(),
        };
    }
    let spec = lease.spec.unwrap_or_default();
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    let transitions = spec.lease_transitions.unwrap_or(0);
    match holder {
        Some(holder) if holder == me.identity => accepted(take(leases, me, seen, transitions, false).await),
        Some(_) if seen.since.elapsed() < me.duration => Ok(false),
        _ => accepted(take(leases, me, seen, transitions.saturating_add(1), true).await),
    }
}

/// A conflict means that somebody else was faster; it is not an error.
fn accepted(result: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn create(leases: &Api<Lease>, me: &Candidate) -> Result<Lease, kube::Error> {
    let now = MicroTime(Timestamp::now());
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(me.lease.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(me.identity.clone()),
            lease_duration_seconds: i32::try_from(me.duration.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        }),
    };
    let params = PostParams {
        field_manager: Some(me.manager.to_owned()),
        ..PostParams::default()
    };
    leases.create(&params, &lease).await
}

async fn take(
    leases: &Api<Lease>,
    me: &Candidate,
    seen: &Seen,
    transitions: i32,
    acquired: bool,
) -> Result<Lease, kube::Error> {
    let now = MicroTime(Timestamp::now());
    let mut steps = vec![
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": seen.version}),
        json!({"op": "add", "path": "/spec/holderIdentity", "value": me.identity}),
        json!({"op": "add", "path": "/spec/leaseDurationSeconds", "value": me.duration.as_secs()}),
        json!({"op": "add", "path": "/spec/renewTime", "value": now}),
        json!({"op": "add", "path": "/spec/leaseTransitions", "value": transitions}),
    ];
    if acquired {
        steps.push(json!({"op": "add", "path": "/spec/acquireTime", "value": now}));
    }
    patch(leases, me, steps).await
}

async fn release(leases: &Api<Lease>, me: &Candidate) -> Result<Lease, kube::Error> {
    let steps = vec![
        json!({"op": "test", "path": "/spec/holderIdentity", "value": me.identity}),
        json!({"op": "remove", "path": "/spec/holderIdentity"}),
    ];
    patch(leases, me, steps).await
}

async fn patch(
    leases: &Api<Lease>,
    me: &Candidate,
    steps: Vec<serde_json::Value>,
) -> Result<Lease, kube::Error> {
    let patch: json_patch::Patch = serde_json::from_value(steps.into()).map_err(kube::Error::SerdeError)?;
    let params = PatchParams {
        field_manager: Some(me.manager.to_owned()),
        ..PatchParams::default()
    };
    leases
        .patch(&me.lease, &params, &Patch::<Lease>::Json(patch))
        .await
}

#[cfg(test)]
mod tests {
    use http::Method;
    use testkit::api_server::{ApiServer, Call, Fault};

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

    fn held_by(server: &ApiServer, identity: &str) {
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(LEASE.to_owned()),
                namespace: Some("sys".to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(identity.to_owned()),
                lease_transitions: Some(4),
                // Long past by any clock: it is not what counts.
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

    async fn until_given_back(leading: &mut watch::Receiver<bool>) {
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
    async fn of_two_candidates_one_leads_and_the_other_only_looks() {
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
        held_by(&server, "gone");
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
    async fn who_cannot_renew_stops_leading_before_another_may_start() {
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
        // Nobody took it meanwhile.
        until(&mut leading, true).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_another_holder_stops_leading_at_the_next_look() {
        let (server, client) = ApiServer::start();
        let (mut leading, _shutdown) = start(&client, "a");
        until(&mut leading, true).await;
        held_by(&server, "b");
        let begin = Instant::now();
        until(&mut leading, false).await;
        assert!(begin.elapsed() <= candidate("a").period);
        assert_eq!(stored(&server).holder_identity.as_deref(), Some("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn at_shutdown_the_lease_is_given_back_and_a_successor_need_not_wait() {
        let (server, client) = ApiServer::start();
        let (mut first, shutdown) = start(&client, "a");
        until(&mut first, true).await;
        shutdown.cancel();
        until_given_back(&mut first).await;
        assert!(!*first.borrow());
        assert_eq!(stored(&server).holder_identity, None);
        let begin = Instant::now();
        let (mut second, _second) = start(&client, "b");
        until(&mut second, true).await;
        assert!(begin.elapsed() < candidate("b").period);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_lead_gives_nothing_back() {
        let (server, client) = ApiServer::start();
        held_by(&server, "b");
        let (mut leading, shutdown) = start(&client, "a");
        shutdown.cancel();
        until_given_back(&mut leading).await;
        assert_eq!(stored(&server).holder_identity.as_deref(), Some("b"));
        assert!(!server.take_calls().iter().any(Call::is_write));
    }
}
