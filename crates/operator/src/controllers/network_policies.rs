//! Pods, managers, network policies -> policies as planned, and no unneeded ones (IO).
//!
//! `apply/network_policy.rs` makes them before a pod needs them. They have no owner, so nothing deletes one that still isolates a pod.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use api::{Workspace, names};
use k8s_openapi::{api::networking::v1::NetworkPolicy, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Resource as _, ResourceExt as _};

use crate::{
    apply::network_policy,
    cache::{
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
/// What a policy lacks.
enum Due {
    /// It is missing, or not as planned.
    Restore(Box<NetworkPolicy>),
    /// No pod needs it.
    Remove(Identity),
}

/// Corrects policies that pods need and deletes those that none needs. Returns when to check again.
pub async fn reconcile(context: &Context) -> Option<Duration> {
    let mut again = None;
    let isolations = isolations(&context.stores);
    let due = of_namespaces(context, &isolations, &mut again);
    let due = due.into_iter().map(|due| (due.namespace(), due));
    let done = resync::for_each(due, |due| Box::pin(act(context, due))).await;
    again.into_iter().chain(done).min()
}

impl Due {
    fn namespace(&self) -> Option<String> {
        match self {
            Self::Restore(policy) => policy.metadata.namespace.clone(),
            Self::Remove(identity) => Some(identity.namespace.clone()),
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

fn label<'a>(pod: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    pod.labels.as_ref()?.get(key).map(String::as_str)
}

/// Does what is due. Returns when to check again.
async fn act(context: &Context, due: Due) -> Option<Duration> {
    let key = match &due {
        Due::Restore(policy) => [policy.namespace().unwrap_or_default(), policy.name_any()].join("/"),
        Due::Remove(identity) => identity.key(),
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
        }
    };
    match Box::pin(attempt(context, &what, work)).await {
        Ok(is_done) => (!is_done).then_some(RECHECK_INTERVAL),
        Err(failed) => Some(failed.again),
    }
}
