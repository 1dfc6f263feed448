//! Pods, managers, network policies -> policies as planned, and no unneeded ones (IO).
//!
//! `apply/network_policy.rs` makes them before a pod needs them. They have no owner, so nothing deletes one that still isolates a pod.
//! Earlier versions made one policy for each workspace. Such a policy is deleted when its pod has been isolated without it for ten minutes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use api::{Workspace, names};
use k8s_openapi::{api::networking::v1::NetworkPolicy, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Resource as _, ResourceExt as _, api::DeleteParams};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    apply::{delete, network_policy},
    cache::{
        observe,
        observed::Identity,
        stores::{self, Parsed, Stores},
    },
    context::Context,
    controllers::{
        attempt::{Attempt, attempt},
        resync,
    },
    plan::{
        Isolation,
        network_policy::{base, identity_of, name_for, selector_of},
    },
};

/// A write that takes longer is stuck. It is cancelled and retried.
const LIMIT: Duration = Duration::from_secs(15);
/// Nothing reports that a pod ended, got labels, or that another client gave up a policy: it is checked again after this time.
const RECHECK_INTERVAL: Duration = Duration::from_secs(5);
/// A network plugin has seen labels and policies by then.
const PLUGIN_LAG: Duration = Duration::from_mins(10);

/// Since when the pods of policies of earlier versions have been seen with the labels of today's, by UID.
#[derive(Debug, Default)]
pub struct LabelledSince(Mutex<HashMap<String, Instant>>);

/// What a policy lacks.
enum Due {
    /// It is missing, or not as planned.
    Restore(Box<NetworkPolicy>),
    /// No pod needs it.
    Remove(Identity),
    /// No pod needs this one of an earlier version.
    RemoveOld(Identity, Arc<NetworkPolicy>),
}

/// Corrects policies that pods need and deletes those that none needs. Returns when to check again.
pub async fn reconcile(context: &Context, since: &LabelledSince) -> Option<Duration> {
    let mut again = None;
    let isolations = isolations(&context.stores);
    let mut due = of_namespaces(context, &isolations, &mut again);
    let old = of_workspaces(context, &isolations, since, &mut again);
    due.extend(
        old.into_iter()
            .map(|(identity, policy)| Due::RemoveOld(identity, policy)),
    );
    let due = due.into_iter().map(|due| (due.namespace(), due));
    let done = resync::for_each(due, |due| Box::pin(act(context, due))).await;
    again.into_iter().chain(done).min()
}

impl Due {
    fn namespace(&self) -> Option<String> {
        match self {
            Self::Restore(policy) => policy.metadata.namespace.clone(),
            Self::Remove(identity) | Self::RemoveOld(identity, _) => Some(identity.namespace.clone()),
        }
    }
}

/// What is due about the policies of namespaces. `again`: when to check those that only pods need.
fn of_namespaces(context: &Context, isolations: &Isolations, again: &mut Option<Duration>) -> Vec<Due> {
    let (stores, installation) = (&context.stores, &context.installation);
    let by_pods = needed_by_pods(stores);
    let (by_workspaces, by_runs) = needed_by_workspaces(stores, isolations);
    let policies = stores.policies.state();
    let found: HashMap<_, _> = policies
        .iter()
        .filter_map(|policy| identity_of(policy.meta()).map(|identity| (place(policy.meta()), identity)))
        .collect();
    let mut due = Vec::new();
    let kept = found.keys().filter(|place| by_workspaces.contains(*place));
    // Anybody who may make pods may label them. So what allows is written only for runs.
    let made = by_pods
        .iter()
        .filter(|place| place.1 == base_name() || by_runs.contains(*place));
    for (namespace, name) in made.chain(kept) {
        let planned = match isolations.get(name) {
            Some(isolation) => Some(isolation.policy(namespace, installation)),
            None => Some(base(namespace)).filter(|_| *name == base_name()),
        };
        // The policy of a manager that is gone stays as it is.
        if let Some(planned) = planned.filter(|planned| !network_policy::is_stored(context, planned)) {
            due.push(Due::Restore(Box::new(planned)));
        }
    }
    for (place, identity) in found {
        if by_workspaces.contains(&place) || by_workspaces.contains(&undecided(&place.0)) {
            continue;
        }
        if by_pods.contains(&place) {
            *again = Some(RECHECK_INTERVAL);
        } else {
            due.push(Due::Remove(identity));
        }
    }
    due.retain(|due| {
        due.namespace()
            .is_some_and(|namespace| !installation.ignores(&namespace))
    });
    due
}

/// Namespace and name of a policy.
type Place = (String, String);

fn place(meta: &ObjectMeta) -> Place {
    (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

/// In place of the policies of a workspace whose manager is not known yet: it may be starting.
fn undecided(namespace: &str) -> Place {
    (namespace.to_owned(), String::new())
}

/// How pods of each manager are isolated, if they are, by the name of its policies.
type Isolations = HashMap<String, Isolation>;

fn isolations(stores: &Stores) -> Isolations {
    let managers = stores::select(&stores.managers, |_| true);
    let isolations = managers.iter().map(|manager| Isolation::from_manager(manager));
    let enabled = isolations.filter(|isolation| isolation.settings.enabled);
    enabled
        .map(|isolation| {
            (
                name_for(names::MANAGER, &rules::names::manager_hash(&isolation.manager)),
                isolation,
            )
        })
        .collect()
}

/// The policies that select pods.
fn needed_by_pods(stores: &Stores) -> HashSet<Place> {
    let mut needed = HashSet::new();
    for pod in stores.pods.state() {
        let labels = [names::ISOLATED_LABEL, names::MANAGER].into_iter();
        let labels = labels.filter_map(|key| Some((key, label(pod.meta(), key)?)));
        let namespace = pod.meta().namespace.as_deref().unwrap_or_default();
        needed.extend(labels.map(|(key, value)| (namespace.to_owned(), name_for(key, value))));
    }
    needed
}

/// The policies that stay for the next start of a workspace: the first of a namespace, and that of its manager. And those of the managers
/// of runs.
fn needed_by_workspaces(stores: &Stores, isolations: &Isolations) -> (HashSet<Place>, HashSet<Place>) {
    let by_manager: HashMap<&str, &String> = isolations
        .iter()
        .map(|(name, isolation)| (isolation.manager.as_str(), name))
        .collect();
    let base = base_name();
    let (mut needed, mut by_runs) = (HashSet::new(), HashSet::new());
    for workspace in stores.workspaces.state() {
        let identity = Identity::from_meta(workspace.meta());
        let namespace = &identity.namespace;
        needed.insert((namespace.clone(), base.clone()));
        let Some(manager) = manager_of(&workspace) else {
            needed.insert(undecided(namespace));
            continue;
        };
        let Some(policy) = by_manager.get(manager).copied() else {
            continue;
        };
        let place = (namespace.clone(), policy.clone());
        let pod = stores::get(&stores.pods, Some(namespace), &identity.child_name());
        let of_pod = pod
            .filter(|pod| identity.owns(&pod.metadata))
            .and_then(|pod| Some(name_for(names::MANAGER, label(&pod.metadata, names::MANAGER)?)));
        if of_pod.as_ref() == Some(policy) {
            by_runs.insert(place.clone());
        }
        needed.insert(place);
    }
    (needed, by_runs)
}

/// Name of the policy that denies.
fn base_name() -> String {
    name_for(names::ISOLATED_LABEL, names::IS_ISOLATED)
}

/// Name of the manager of a workspace, as far as it is known.
fn manager_of(workspace: &Parsed<Workspace>) -> Option<&str> {
    let status = workspace.0.as_ref().ok()?.status.as_ref()?;
    status.resolved.as_ref()?.manager.as_deref()
}

/// Policies of earlier versions that no pod needs. `again`: when to check those that may be needed.
fn of_workspaces(
    context: &Context,
    isolations: &Isolations,
    since: &LabelledSince,
    again: &mut Option<Duration>,
) -> Vec<(Identity, Arc<NetworkPolicy>)> {
    let stores = &context.stores;
    let (mut known, mut unneeded) = (since.0.lock(), Vec::new());
    let mut seen = HashMap::new();
    for policy in stores.policies.state() {
        let Some(identity) = workspace_of(policy.meta()) else {
            continue;
        };
        if context.installation.ignores(&identity.namespace) {
            continue;
        }
        let pod = stores::get(&stores.pods, Some(&identity.namespace), &identity.child_name());
        let pod = pod.filter(|pod| identity.owns(&pod.metadata));
        let left = match &pod {
            Some(pod) if is_isolated(context, isolations, &pod.metadata) => {
                let uid = pod.uid().unwrap_or_default();
                let since = known.get(&uid).copied().unwrap_or_else(Instant::now);
                seen.insert(uid, since);
                PLUGIN_LAG.saturating_sub(since.elapsed())
            }
            Some(_) if !is_disabled(&identity, stores) => RECHECK_INTERVAL,
            _ => Duration::ZERO,
        };
        if !left.is_zero() {
            *again = again.iter().copied().chain([left]).min();
        } else if let Some(policy) = policy.object() {
            unneeded.push((identity, policy));
        }
    }
    *known = seen;
    unneeded
}

/// The workspace of a policy of an earlier version.
fn workspace_of(policy: &ObjectMeta) -> Option<Identity> {
    let identity = Identity {
        namespace: policy.namespace.clone()?,
        name: policy.labels.as_ref()?.get(names::WORKSPACE_LABEL)?.clone(),
        uid: policy.annotations.as_ref()?.get(names::WORKSPACE_UID)?.clone(),
    };
    let is_child = policy.name.as_ref() == Some(&identity.child_name());
    (is_child && identity.owns(policy) && policy.deletion_timestamp.is_none()).then_some(identity)
}

/// Whether a pod has today's labels, and both policies that select it are stored as planned.
fn is_isolated(context: &Context, isolations: &Isolations, pod: &ObjectMeta) -> bool {
    let manager = label(pod, names::MANAGER);
    let isolation = manager.and_then(|hash| isolations.get(&name_for(names::MANAGER, hash)));
    let namespace = pod.namespace.as_deref().unwrap_or_default();
    let are_stored = |isolation: &Isolation| {
        let mut policies = isolation.policies(namespace, &context.installation).into_iter();
        policies.all(|policy| network_policy::is_stored(context, &policy))
    };
    label(pod, names::ISOLATED_LABEL) == Some(names::IS_ISOLATED) && isolation.is_some_and(are_stored)
}

fn label<'a>(pod: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    pod.labels.as_ref()?.get(key).map(String::as_str)
}

/// Whether the manager of a workspace wants no policies.
fn is_disabled(identity: &Identity, stores: &Stores) -> bool {
    let Some(workspace) = stores::get(&stores.workspaces, Some(&identity.namespace), &identity.name) else {
        return false;
    };
    let references = observe::references(&workspace, stores);
    let manager = references.last_manager(workspace.status.as_ref());
    manager.is_some_and(|manager| !Isolation::from_manager(manager).settings.enabled)
}

/// Does what is due. Returns when to check again.
async fn act(context: &Context, due: Due) -> Option<Duration> {
    let key = match &due {
        Due::Restore(policy) => [policy.namespace().unwrap_or_default(), policy.name_any()].join("/"),
        Due::Remove(identity) | Due::RemoveOld(identity, _) => identity.key(),
    };
    let what = Attempt {
        step: "network_policies",
        key: format!("NetworkPolicy {key}"),
        limit: LIMIT,
        complaint: "a NetworkPolicy cannot be written: pods that it selects may reach less, or more, than their manager says",
    };
    let work = async {
        match due {
            Due::Restore(policy) => {
                let blocker = network_policy::restore_one(context, *policy).await;
                Ok(blocker.map_err(|error| error.source)?.is_none())
            }
            Due::Remove(identity) => {
                network_policy::remove(context, &identity, &selector_of(&identity)).await
            }
            Due::RemoveOld(identity, policy) => remove_old(context, &identity, &policy).await,
        }
    };
    match Box::pin(attempt(context, &what, work)).await {
        Ok(is_done) => (!is_done).then_some(RECHECK_INTERVAL),
        Err(failed) => Some(failed.again),
    }
}

/// Deletes the policy of an earlier version, unless the API server has a pod of the workspace that nothing else isolates.
async fn remove_old(
    context: &Context,
    identity: &Identity,
    policy: &NetworkPolicy,
) -> Result<bool, kube::Error> {
    let cached = observe::from_caches(identity, &context.stores);
    let live = observe::with_live_pod(cached, &context.client)
        .await
        .map_err(|error| error.0)?;
    let mut pods = live.own_pods();
    let isolations = isolations(&context.stores);
    let are_isolated = pods.all(|pod| is_isolated(context, &isolations, &pod.metadata));
    if !are_isolated && !is_disabled(identity, &context.stores) {
        return Ok(false);
    }
    let policies = Api::namespaced(context.client.clone(), &identity.namespace);
    let ended = delete::end(context, &policies, policy, DeleteParams::background()).await?;
    Ok(matches!(ended, delete::Ended::Gone))
}
