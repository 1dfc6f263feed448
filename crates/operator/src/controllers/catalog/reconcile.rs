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
use parking_lot::Mutex;
use rules::validate::{no_manager, no_profile};
use serde_json::json;
use tokio::time::Instant;

use super::{
    decide::{NextWrite, decide, event},
    in_use,
    subject::{CatalogObject, CatalogStatus, Key, Kind, Protected},
    usage::{Catalog, Index, Usage, has_started, usage_of},
    validation::{self, Validation},
};
use crate::{
    cache::{observe, observed::Identity, stores::Parsed},
    context::Context,
    controllers::{
        attempt::{Attempt, attempt},
        resync,
    },
    status::events,
};

/// A write that takes longer is stuck. It is cancelled and retried.
const LIMIT: Duration = Duration::from_secs(15);

/// When we last wrote the status of each object. It is kept between reconciles.
#[derive(Debug, Default)]
pub struct CatalogState(Mutex<HashMap<Key, Instant>>);

/// Makes the writes that are due. Returns after which time a write becomes due without any change.
pub async fn reconcile(context: &Context, state: &CatalogState) -> Option<Duration> {
    let survey = survey(context);
    let keys: HashSet<&Key> = survey.objects.iter().map(|(subject, _)| &subject.key).collect();
    state.0.lock().retain(|key, _| keys.contains(key));
    let usage = &survey.usage(context);
    // An operator of one namespace reads the cluster's templates and managers, and writes none.
    let scope = &context.installation.scope;
    let is_ours = |key: &Key| scope.is_cluster() || key.namespace.as_deref() == scope.namespace();
    let objects = survey.objects.iter().filter(|it| is_ours(&it.0.key));
    let objects = objects.map(|it| (it.0.key.namespace.clone(), it));
    resync::for_each(objects, |(subject, validation)| {
        let usage = usage.get(&subject.key).copied().unwrap_or_default();
        let since = state.0.lock().get(&subject.key).map(Instant::elapsed);
        let due = decide(subject, usage, validation.as_ref(), since, (context.now)());
        Box::pin(act(context, state, subject, due))
    })
    .await
}

/// The content of the caches.
struct Survey {
    workspaces: Vec<Arc<Workspace>>,
    templates: Vec<Arc<WorkspaceTemplate>>,
    managers: Vec<Arc<api::WorkspaceManager>>,
    objects: Vec<(CatalogObject, Option<Validation>)>,
}

impl Survey {
    fn usage(&self, context: &Context) -> HashMap<Key, Usage> {
        let templates = self.templates.iter().map(AsRef::as_ref);
        let catalog = Catalog::new(templates, self.managers.iter().map(AsRef::as_ref));
        let place = |(subject, _): &(CatalogObject, _)| {
            let key = subject.key.clone();
            let namespace = key.namespace.clone().unwrap_or_default();
            ((key.kind, namespace, key.name.clone()), key)
        };
        let index: Index = self.objects.iter().map(place).collect();
        let workspaces = self.workspaces.iter().map(AsRef::as_ref);
        usage_of(workspaces, &catalog, &index, |workspace| {
            let identity = Identity::from_meta(&workspace.metadata);
            has_started(&observe::from_caches(&identity, &context.stores))
        })
    }
}

fn survey(context: &Context) -> Survey {
    let (stores, settings) = (&context.stores, &context.settings);
    let mut objects = Vec::new();
    let (managers, profiles) = (names(&stores.managers), names(&stores.profiles));
    let missing = |template: &WorkspaceTemplate| {
        let spec = &template.spec;
        let manager = spec.manager_ref.as_ref();
        let manager = manager.filter(|name| !managers.contains(*name));
        let profile = spec.execution_profile_ref.as_ref();
        let profile = profile.filter(|name| !profiles.contains(*name));
        manager
            .map(|name| (reason::MANAGER_NOT_FOUND, no_manager(name)))
            .or_else(|| profile.map(|name| (reason::EXECUTION_PROFILE_NOT_FOUND, no_profile(name))))
    };
    let templates = parse_all(&stores.templates, Kind::Template, &mut objects, |template| {
        validation::naming(
            validation::template(template, settings, &stores.objects),
            missing(template),
        )
    });
    let managers = parse_all(&stores.managers, Kind::Manager, &mut objects, |manager| {
        validation::manager(manager, settings, &stores.objects)
    });
    parse_all(&stores.profiles, Kind::Profile, &mut objects, |profile| {
        validation::profile(profile, settings)
    });
    let all = stores.workspaces.state();
    let watched = all
        .iter()
        .filter_map(|workspace| workspace.0.as_ref().ok())
        .filter(|workspace| {
            !context
                .installation
                .ignores(&workspace.namespace().unwrap_or_default())
        });
    Survey {
        workspaces: watched.cloned().collect(),
        templates,
        managers,
        objects,
    }
}

/// Names of all objects of a kind, including those that cannot be parsed.
fn names<K: Protected<DynamicType = ()> + Clone>(store: &Store<Parsed<K>>) -> HashSet<String> {
    store.state().iter().map(|object| object.name_any()).collect()
}

fn parse_all<K>(
    store: &Store<Parsed<K>>,
    kind: Kind,
    objects: &mut Vec<(CatalogObject, Option<Validation>)>,
    validate: impl Fn(&K) -> Validation,
) -> Vec<Arc<K>>
where
    K: Protected<DynamicType = ()> + Clone,
{
    let mut found = Vec::new();
    for object in store.state() {
        match &object.0 {
            Ok(object) => {
                objects.push((object.subject(), Some(validate(object))));
                found.push(object.clone());
            }
            Err(invalid) => {
                let subject = CatalogObject::new(kind, &invalid.metadata, CatalogStatus::default());
                objects.push((subject, None));
            }
        }
    }
    found
}

/// Makes the write that is due. Returns when to check again if nothing changes meanwhile.
async fn act(
    context: &Context,
    state: &CatalogState,
    subject: &CatalogObject,
    due: NextWrite,
) -> Option<Duration> {
    let work = async {
        match due {
            NextWrite::Nothing(again) => return Ok(again),
            NextWrite::AddFinalizer => in_use::add_finalizer(context, subject).await?,
            NextWrite::RemoveFinalizer => in_use::remove_finalizer(context, subject).await?,
            NextWrite::WriteStatus(status) => write_status(context, state, subject, status).await?,
        }
        Ok(None)
    };
    let what = Attempt {
        step: "catalog",
        key: subject.key.text(),
        limit: LIMIT,
        complaint: "an in-use finalizer or a status cannot be written",
    };
    let again = attempt(context, &what, work).await;
    again.unwrap_or_else(|failed| Some(failed.again))
}

/// Writes the status and the Event of the transition. An Event that cannot be written is lost: the status says the same.
async fn write_status(
    context: &Context,
    state: &CatalogState,
    subject: &CatalogObject,
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
    context.metrics.write("catalog");
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
    state.0.lock().insert(key.clone(), Instant::now());
    Ok(())
}
