//! A change -> finalizers and status of templates, managers and profiles (IO).
//!
//! One read of the caches serves all objects. It takes a millisecond for some thousand workspaces, and no API call if no write is due.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use api::{Workspace, WorkspaceTemplate, condition::reason, names};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::reflector::Store,
};
use rules::validate::{no_manager, no_profile};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    decide::{Due, decide, event},
    in_use,
    subject::{CatalogStatus, Key, Kind, Protected, Subject},
    usage::{Catalogue, Index, Usage, has_started, usage_of},
    validation::{self, Validation},
};
use crate::{
    cache::{
        observed::Identity,
        pending_writes::PendingStatuses,
        stores::{Parsed, Stores},
    },
    context::Context,
    controllers::{
        attempt::{Attempt, attempt},
        resync,
    },
    status::events,
};

/// A write that takes longer is stuck. It is cancelled and retried.
const LIMIT: Duration = Duration::from_secs(15);

/// State kept between reconciles: our last status of each object, and the validation result of its spec.
#[derive(Debug, Default)]
pub struct CatalogState {
    statuses: PendingStatuses<Key, CatalogStatus>,
    judged: Judged,
}

/// Validation results that depend only on the spec, by object and generation.
type Judged = HashMap<Key, (Option<i64>, Validation)>;

/// Reconciles all of them now and whenever something changed, until shutdown. Start it when the caches are filled.
pub async fn run(context: &Context, shutdown: &CancellationToken) {
    let mut state = CatalogState::default();
    let changes = &context.stores.changes;
    resync::make(changes, shutdown, async || {
        Box::pin(reconcile(context, &mut state)).await
    })
    .await;
}

/// Makes the writes that are due. Returns after which time a write becomes due without any change.
pub async fn reconcile(context: &Context, state: &mut CatalogState) -> Option<Duration> {
    let survey = survey(context, &mut state.judged);
    let keys: HashSet<&Key> = survey.objects.iter().map(|(subject, _)| &subject.key).collect();
    state.statuses.retain(|key| keys.contains(key));
    state.judged.retain(|key, _| keys.contains(key));

    let usage = survey.usage(context);
    let (state, usage) = (&*state, &usage);
    // An operator of one namespace reads the cluster's templates and managers, and writes none.
    let scope = &context.site.scope;
    let is_ours = |key: &Key| scope.is_cluster() || key.namespace.as_deref() == scope.namespace();
    let objects = survey.objects.iter().filter(|it| is_ours(&it.0.key));
    let objects = objects.map(|it| (it.0.key.namespace.clone(), it));
    resync::together(objects, |(subject, validation)| {
        let subject = state.with_pending_status(subject);
        let usage = usage.get(&subject.key).copied().unwrap_or_default();
        let since = state.statuses.age(&subject.key);
        let due = decide(&subject, usage, validation.as_ref(), since, (context.now)());
        Box::pin(async move { act(context, state, &subject, due).await })
    })
    .await
}

/// The content of the caches.
struct Survey {
    workspaces: Vec<Arc<Workspace>>,
    templates: Vec<Arc<WorkspaceTemplate>>,
    managers: Vec<Arc<api::WorkspaceManager>>,
    objects: Vec<(Subject, Option<Validation>)>,
}

impl Survey {
    fn usage(&self, context: &Context) -> HashMap<Key, Usage> {
        let templates = self.templates.iter().map(AsRef::as_ref);
        let catalogue = Catalogue::new(templates, self.managers.iter().map(AsRef::as_ref));
        let place = |(subject, _): &(Subject, _)| {
            let key = subject.key.clone();
            let namespace = key.namespace.clone().unwrap_or_default();
            ((key.kind, namespace, key.name.clone()), key)
        };
        let index: Index = self.objects.iter().map(place).collect();
        let workspaces = self.workspaces.iter().map(AsRef::as_ref);
        usage_of(workspaces, &catalogue, &index, |workspace| {
            has_children(workspace, &context.stores)
        })
    }
}

fn survey(context: &Context, judged: &mut Judged) -> Survey {
    let (stores, settings) = (&context.stores, &context.settings);
    let mut objects = Vec::new();
    let (known_managers, known_profiles) = (names(&stores.managers), names(&stores.profiles));
    let missing = |template: &WorkspaceTemplate| {
        let spec = &template.spec;
        let manager = spec
            .manager_ref
            .as_ref()
            .filter(|name| !known_managers.contains(*name));
        let profile = spec
            .execution_profile_ref
            .as_ref()
            .filter(|name| !known_profiles.contains(*name));
        manager
            .map(|name| (reason::MANAGER_NOT_FOUND, no_manager(name)))
            .or_else(|| profile.map(|name| (reason::EXECUTION_PROFILE_NOT_FOUND, no_profile(name))))
    };
    let templates = parsed(
        &stores.templates,
        Kind::Template,
        &mut objects,
        |subject, template| {
            let by_itself = once(judged, subject, || validation::template(template, settings));
            validation::naming(by_itself, missing(template))
        },
    );
    let managers = parsed(&stores.managers, Kind::Manager, &mut objects, |_, manager| {
        validation::manager(manager, settings, &stores.routes)
    });
    parsed(
        &stores.profiles,
        Kind::Profile,
        &mut objects,
        |subject, profile| once(judged, subject, || validation::profile(profile, settings)),
    );
    let all = stores.workspaces.state();
    let watched = all
        .iter()
        .filter_map(|workspace| workspace.0.as_ref().ok())
        .filter(|workspace| !context.site.ignores(&workspace.namespace().unwrap_or_default()));
    Survey {
        workspaces: watched.cloned().collect(),
        templates,
        managers,
        objects,
    }
}

/// Names of all objects of a kind, including those that cannot be parsed.
fn names<K: Protected<DynamicType = ()> + Clone>(store: &Store<Parsed<K>>) -> HashSet<String> {
    let name = |object: &Arc<Parsed<K>>| match &object.0 {
        Ok(object) => Some(object.name_any()),
        Err(invalid) => invalid.metadata.name.clone(),
    };
    store.state().iter().filter_map(name).collect()
}

fn parsed<K>(
    store: &Store<Parsed<K>>,
    kind: Kind,
    objects: &mut Vec<(Subject, Option<Validation>)>,
    mut judge: impl FnMut(&Subject, &K) -> Validation,
) -> Vec<Arc<K>>
where
    K: Protected<DynamicType = ()> + Clone,
{
    let mut found = Vec::new();
    for object in store.state() {
        match &object.0 {
            Ok(object) => {
                let subject = object.subject();
                let validation = judge(&subject, object);
                objects.push((subject, Some(validation)));
                found.push(object.clone());
            }
            Err(invalid) => {
                let subject = Subject::of(kind, &invalid.metadata, CatalogStatus::default());
                objects.push((subject, None));
            }
        }
    }
    found
}

/// The validation result of an object, computed once per generation of its spec.
fn once(judged: &mut Judged, subject: &Subject, judge: impl FnOnce() -> Validation) -> Validation {
    match judged.get(&subject.key) {
        Some((generation, validation)) if *generation == subject.generation => validation.clone(),
        _ => {
            let validation = judge();
            judged.insert(subject.key.clone(), (subject.generation, validation.clone()));
            validation
        }
    }
}

/// Whether the caches hold any child of the workspace.
fn has_children(workspace: &Workspace, stores: &Stores) -> bool {
    let identity = Identity::of(&workspace.metadata);
    let (namespace, name) = (&identity.namespace, identity.child_name());
    let service = stores.services.get(namespace, &name);
    let policy = stores.policies.get(namespace, &name);
    let claim = stores.claims.get(namespace, &name);
    let deployment = stores.deployments.get(namespace, &name);
    let children = [
        service.as_ref().map(|it| &it.metadata),
        policy.as_ref().map(|it| &it.metadata),
        claim.as_ref().map(|it| &it.metadata),
        deployment.as_ref().map(|it| &it.metadata),
    ];
    has_started(&identity, children)
}

impl CatalogState {
    /// The cached object with the status that we wrote last, if the cache does not show it yet.
    fn with_pending_status(&self, cached: &Subject) -> Subject {
        let version = cached.resource_version.as_deref();
        let newer = self
            .statuses
            .newer(&cached.key, version.and_then(|version| version.parse().ok()));
        Subject {
            status: newer.unwrap_or_else(|| cached.status.clone()),
            ..cached.clone()
        }
    }
}

/// Makes the write that is due. Returns when to check again if nothing changes meanwhile.
async fn act(context: &Context, state: &CatalogState, subject: &Subject, due: Due) -> Option<Duration> {
    let work = async {
        match due {
            Due::Nothing(again) => return Ok(again),
            Due::AddFinalizer => in_use::add_finalizer(context, subject).await?,
            Due::RemoveFinalizer => in_use::remove_finalizer(context, subject).await?,
            Due::WriteStatus(status) => write_status(context, state, subject, status).await?,
        }
        Ok(None)
    };
    let what = Attempt {
        step: "protect",
        key: subject.key.text(),
        limit: LIMIT,
        complaint: "protection or status cannot be written",
    };
    match attempt(context, &what, work).await {
        Ok(again) => again,
        Err(failed) => Some(failed.again),
    }
}

/// Writes the status and the Event of the transition. An Event that cannot be written is lost: the status says the same.
async fn write_status(
    context: &Context,
    state: &CatalogState,
    subject: &Subject,
    status: CatalogStatus,
) -> Result<(), kube::Error> {
    let key = &subject.key;
    let resource = key.kind.resource();
    let fields = json!({
        "observedGeneration": status.observed_generation,
        key.kind.count_field(): status.users,
        "conditions": status.conditions,
    });
    let intent = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": key.name, "uid": key.uid},
        "status": context.definitions.fit(key.kind.name(), fields),
    });
    let params = PatchParams::apply(names::OPERATOR_PROTECTION).force();
    let api = key.api(&context.client);
    let answer = api.patch_status(&key.name, &params, &Patch::Apply(&intent)).await;
    let answer = match answer {
        Ok(answer) => answer,
        // The object is gone, or a new one has its name.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => {
            context.definitions.suspect(&error);
            return Err(error);
        }
    };
    context.metrics.write("protect");
    if let Some(event) = event(key.kind, &subject.status, &status) {
        let regarding = ObjectReference {
            api_version: Some(resource.api_version),
            kind: Some(resource.kind),
            name: Some(key.name.clone()),
            namespace: key.namespace.clone(),
            uid: Some(key.uid.clone()),
            resource_version: answer.metadata.resource_version.clone(),
            ..ObjectReference::default()
        };
        events::publish(context, regarding, vec![event]).await;
    }
    state.statuses.wrote(key.clone(), &answer.metadata, status);
    Ok(())
}
