//! Lease -> which candidate leads (IO).

use std::{pin::pin, time::Duration};

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
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// A candidate for leadership.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Name of the Lease.
    pub lease: String,
    /// Identity, unique among the candidates: the pod's name.
    pub identity: String,
    /// Field manager of the writes.
    pub manager: &'static str,
    /// Time after the last renewal for which a silent leader still counts as the leader.
    pub duration: Duration,
    /// Interval at which the leader renews and the others read the lease.
    pub period: Duration,
}

impl Candidate {
    /// A candidate with the usual times: a lease of 15 s, renewed every 3 s.
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

/// The last content read from the Lease, and when that content last changed.
/// The time comes from our own clock. Clocks of different machines are never compared.
struct Observed {
    version: Option<String>,
    since: Instant,
}

/// Takes part in the election until `shutdown`. A leader then releases the lease, so that its successor need not wait.
///
/// The receiver reports whether this candidate leads. It turns false at the latest two thirds of the lease's duration
/// after the last successful renewal was sent, even while the task waits. Until then no other candidate can take the lease. A process
/// that was suspended meanwhile may still finish a write. Such writes name the version that they change.
pub fn campaign(
    leases: Api<Lease>,
    candidate: Candidate,
    shutdown: CancellationToken,
) -> watch::Receiver<bool> {
    let (leading, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let mut seen = Observed {
            version: None,
            since: Instant::now(),
        };
        let mut expiry = Instant::now();
        loop {
            let sent = Instant::now();
            let attempt = timeout(candidate.period, attempt(&leases, &candidate, &mut seen));
            match leading_until(expiry, &leading, &candidate, attempt).await {
                Ok(Ok(true)) => {
                    expiry = sent + candidate.duration * 2 / 3;
                    // The process may read an answer long after it arrived.
                    set(&leading, Instant::now() < expiry, &candidate);
                }
                Ok(Ok(false)) => set(&leading, false, &candidate),
                Ok(Err(error)) => {
                    tracing::warn!(%error, lease = candidate.lease, "the lease cannot be renewed");
                }
                Err(_) => tracing::warn!(lease = candidate.lease, "the lease is not renewed: no answer"),
            }
            let pause = timeout(candidate.period, shutdown.cancelled());
            if leading_until(expiry, &leading, &candidate, pause).await.is_ok() {
                break;
            }
        }
        if *leading.borrow() {
            let _ = leading.send(false);
            if let Err(error) = release(&leases, &candidate).await {
                tracing::warn!(%error, lease = candidate.lease, "the lease cannot be released");
            }
        }
    });
    receiver
}

/// Awaits `work`. Leadership ends at `expiry`, even while `work` runs.
async fn leading_until<T>(
    expiry: Instant,
    leading: &watch::Sender<bool>,
    candidate: &Candidate,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    tokio::select! {
        // Both branches may be ready when the process was suspended for a while.
        biased;
        () = sleep_until(expiry) => {}
        done = &mut work => return done,
    }
    set(leading, false, candidate);
    work.await
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

/// Renews the lease, or takes it where that is allowed. Returns whether this candidate holds it.
async fn attempt(leases: &Api<Lease>, me: &Candidate, seen: &mut Observed) -> Result<bool, kube::Error> {
    let Some(lease) = leases.get_opt(&me.lease).await? else {
        return is_taken(create(leases, me).await);
    };
    if lease.metadata.resource_version != seen.version {
        *seen = Observed {
            version: lease.metadata.resource_version.clone(),
            since: Instant::now(),
        };
    }
    let spec = lease.spec.unwrap_or_default();
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    let transitions = spec.lease_transitions.unwrap_or(0);
    match holder {
        // A conflict only means that the lease changed meanwhile. It does not tell who leads: the next attempt reads it.
        Some(holder) if holder == me.identity => {
            take(leases, me, seen, transitions, false).await?;
            Ok(true)
        }
        Some(_) if seen.since.elapsed() < me.duration => Ok(false),
        _ => is_taken(take(leases, me, seen, transitions.saturating_add(1), true).await),
    }
}

/// A conflict means that another candidate was faster. It is not an error.
fn is_taken(result: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
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
    seen: &Observed,
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
mod tests;
