//! Allowed kinds -> a watch of each installed kind, and which workspaces to reconcile (IO).
//!
//! Each kind is looked up once at the start, so that existing objects are found, whatever requested them. A kind that is not installed is
//! looked up again only while a manager or template names it.

use std::{collections::BTreeSet, time::Duration};

use api::names;
use futures::{Stream, StreamExt as _, channel::mpsc, stream};
use kube::{
    Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    discovery::{self, Scope},
    runtime::{
        WatchStreamExt as _,
        reflector::ObjectRef,
        watcher::{self, Event, watcher},
    },
};
use rules::{
    Settings,
    objects::{self, ObjectKind},
    routes,
};

use crate::{
    cache::{
        objects::{KindState, workspace_of},
        stores::{self, Stores},
        watch::{Trigger, all_workspaces},
    },
    support::{failure::message_of, spacing::space_out},
};

/// How often a missing kind is looked up, while a manager or template names it.
const PAUSE: Duration = Duration::from_secs(5);

/// Keeps the store of objects filled while the stream is polled. Yields which workspaces to reconcile.
pub fn start(
    client: &Client,
    scope: &kit::scope::Scope,
    settings: &Settings,
    stores: &Stores,
) -> impl Stream<Item = Trigger> + Send + use<> {
    let (sender, receiver) = mpsc::unbounded();
    let kinds: BTreeSet<_> = settings
        .route_kinds
        .iter()
        .chain(&settings.object_kinds)
        .collect();
    // All kinds at once: objects of a kind that is missing in the store would be reported as not watched.
    for kind in &kinds {
        stores.objects.allow(kind);
    }
    let follow = kinds.into_iter().map(|kind| {
        let follower = Follower {
            client: client.clone(),
            scope: scope.clone(),
            stores: stores.clone(),
            sender: sender.clone(),
            kind: kind.clone(),
        };
        follower.run()
    });
    let work = stream::once(futures::future::join_all(follow)).filter_map(|_| std::future::ready(None));
    stream::select(space_out(receiver), Box::pin(work))
}

/// Why a kind cannot be used.
struct Unusable {
    /// The reason as a text, and what to do.
    why: String,
    /// Whether the problem is transient.
    is_transient: bool,
}

/// Watches one kind.
struct Follower {
    client: Client,
    scope: kit::scope::Scope,
    stores: Stores,
    sender: mpsc::UnboundedSender<Vec<Trigger>>,
    kind: ObjectKind,
}

impl Follower {
    async fn run(self) {
        loop {
            let unusable = match self.resolve().await {
                Ok(resource) => self.watch(&resource).await,
                Err(unusable) => unusable,
            };
            if self.stores.objects.set_unavailable(&self.kind, &unusable.why) {
                tracing::info!(kind = %self.kind, why = unusable.why, "objects of this kind cannot be made");
                self.trigger_all();
            }
            tokio::time::sleep(PAUSE).await;
            if unusable.is_transient {
                continue;
            }
            while !self.is_named() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Whether a manager or template names the kind.
    fn is_named(&self) -> bool {
        let managers = stores::select(&self.stores.managers, |manager: &api::WorkspaceManager| {
            routes::kinds_of(manager).contains(&self.kind)
        });
        let templates = stores::select(&self.stores.templates, |template: &api::WorkspaceTemplate| {
            objects::kinds_of(&template.spec).contains(&self.kind)
        });
        !managers.is_empty() || !templates.is_empty()
    }

    /// The API resource of the kind, or why it cannot be used.
    async fn resolve(&self) -> Result<ApiResource, Unusable> {
        let kind = &self.kind;
        let wanted = GroupVersionKind::gvk(kind.group(), kind.version(), &kind.kind);
        let lasting = |why| Unusable {
            why,
            is_transient: false,
        };
        match discovery::pinned_kind(&self.client, &wanted).await {
            Ok((_, found)) if found.scope != Scope::Namespaced => Err(lasting(format!(
                "{kind} must be namespaced: use another kind, which the settings routeKinds or objectKinds allow."
            ))),
            Ok((resource, _)) => Ok(resource),
            Err(error) if is_missing(&error) => Err(lasting(not_installed(kind))),
            Err(error) => Err(Unusable {
                why: format!("{kind} cannot be looked up: {}.", message_of(&error)),
                is_transient: true,
            }),
        }
    }

    /// Watches until the kind is removed, and returns that reason.
    async fn watch(&self, resource: &ApiResource) -> Unusable {
        let api = self.scope.dynamic(self.client.clone(), resource);
        let config = watcher::Config::default().labels(names::WORKSPACE_LABEL);
        let mut events = std::pin::pin!(watcher(api, config).default_backoff());
        let mut listed = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.take(event, resource, &mut listed),
                Err(error) if has_code(&error, 404) => break,
                Err(error) => self.on_error(&error),
            }
        }
        Unusable {
            why: not_installed(&self.kind),
            is_transient: false,
        }
    }

    /// Handles a broken watch that is restarted. The earlier list still counts, unless rights are missing.
    fn on_error(&self, error: &watcher::Error) {
        tracing::warn!(%error, kind = %self.kind, "the watch failed and is restarted");
        let why = if has_code(error, 403) {
            not_allowed(&self.kind)
        } else if self.stores.objects.state(&self.kind) == Some(KindState::Unknown) {
            format!("{} cannot be listed: {error}.", self.kind)
        } else {
            return;
        };
        if self.stores.objects.set_unavailable(&self.kind, &why) {
            self.trigger_all();
        }
    }

    fn take(&self, event: Event<DynamicObject>, resource: &ApiResource, listed: &mut Vec<DynamicObject>) {
        let (store, kind) = (&self.stores.objects, &self.kind);
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => listed.push(object),
            Event::InitDone => {
                store.set_available(kind, resource, std::mem::take(listed));
                self.trigger_all();
            }
            Event::Apply(object) => {
                let namespace = object.namespace().unwrap_or_default();
                let before = store.get(kind, &namespace, &object.name_any());
                let both = before.as_deref().into_iter().chain([&object]);
                let triggers: Vec<_> = both.filter_map(trigger).collect();
                store.update(kind, object);
                for trigger in triggers {
                    self.trigger(vec![trigger]);
                }
            }
            Event::Delete(object) => {
                store.remove(kind, &object.namespace().unwrap_or_default(), &object.name_any());
                if let Some(trigger) = trigger(&object) {
                    self.trigger(vec![trigger]);
                }
            }
        }
    }

    fn trigger_all(&self) {
        // The status of managers and templates that name the kind reports it as well.
        self.stores.changes.send_replace(());
        self.trigger(all_workspaces(&self.stores));
    }

    fn trigger(&self, triggers: Vec<Trigger>) {
        // There is no receiver only when the operator ends.
        let _ = self.sender.unbounded_send(triggers);
    }
}

fn trigger(object: &DynamicObject) -> Option<Trigger> {
    let namespace = object.namespace().unwrap_or_default();
    Some(ObjectRef::new(workspace_of(object)?).within(&namespace))
}

fn is_missing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 404,
        kube::Error::Discovery(_) => true,
        _ => false,
    }
}

fn has_code(error: &watcher::Error, code: u16) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code == code,
        _ => false,
    }
}

fn not_installed(kind: &ObjectKind) -> String {
    format!(
        "{kind} is not installed on this cluster: have its CustomResourceDefinition installed, and its objects are made by themselves."
    )
}

fn not_allowed(kind: &ObjectKind) -> String {
    format!(
        "The operator may not watch {kind}: give it the verbs get, list, watch, create, patch and delete on that kind."
    )
}
