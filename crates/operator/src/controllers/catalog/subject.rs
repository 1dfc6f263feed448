//! Template, manager or profile -> one common form for finalizer and status (pure).

use api::{
    WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate,
    condition::{self, reason},
    names::IN_USE_FINALIZER,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::{Api, Client, Resource, api::DynamicObject, core::ApiResource};

/// The kinds that workspaces refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `WorkspaceTemplate`.
    Template,
    /// `WorkspaceManager`.
    Manager,
    /// `WorkspaceExecutionProfile`.
    Profile,
}

impl Kind {
    /// The kind's name in Kubernetes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Template => "WorkspaceTemplate",
            Self::Manager => "WorkspaceManager",
            Self::Profile => "WorkspaceExecutionProfile",
        }
    }

    /// Reason of the rejection if a workspace needs an object of this kind that is being deleted.
    pub fn terminating(self) -> &'static str {
        match self {
            Self::Template => reason::TEMPLATE_TERMINATING,
            Self::Manager => reason::MANAGER_TERMINATING,
            Self::Profile => reason::EXECUTION_PROFILE_TERMINATING,
        }
    }

    /// Reason of the condition if an object of this kind is being deleted and still in use.
    pub(super) fn in_use(self) -> &'static str {
        match self {
            Self::Template => reason::TEMPLATE_IN_USE,
            Self::Manager => reason::MANAGER_IN_USE,
            Self::Profile => reason::EXECUTION_PROFILE_IN_USE,
        }
    }

    /// The condition that says whether an object of this kind is valid.
    pub(super) fn condition(self) -> &'static str {
        match self {
            Self::Template | Self::Profile => condition::VALID,
            Self::Manager => condition::READY,
        }
    }

    /// The status field that holds the number of users.
    pub(super) fn count_field(self) -> &'static str {
        match self {
            Self::Template | Self::Profile => "inUseBy",
            Self::Manager => "workspaces",
        }
    }

    pub(super) fn resource(self) -> ApiResource {
        match self {
            Self::Template => ApiResource::erase::<WorkspaceTemplate>(&()),
            Self::Manager => ApiResource::erase::<WorkspaceManager>(&()),
            Self::Profile => ApiResource::erase::<WorkspaceExecutionProfile>(&()),
        }
    }
}

/// Identity of an object, including its UID: later objects may have the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    /// Its kind.
    pub(super) kind: Kind,
    /// Its namespace, if the kind has one.
    pub(super) namespace: Option<String>,
    /// Its name.
    pub(super) name: String,
    /// Its UID.
    pub(super) uid: String,
}

impl Key {
    /// The key of a stored object.
    pub(super) fn from_meta(kind: Kind, meta: &ObjectMeta) -> Self {
        Self {
            kind,
            namespace: meta.namespace.clone(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
        }
    }

    /// Kind, namespace and name, for logs.
    pub(super) fn text(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind.name(), self.name),
            None => format!("{} {}", self.kind.name(), self.name),
        }
    }

    /// The API of its kind.
    pub(super) fn api(&self, client: &Client) -> Api<DynamicObject> {
        let resource = self.kind.resource();
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        }
    }
}

/// The status of an object, in the common form.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CatalogStatus {
    pub(super) observed_generation: Option<i64>,
    pub(super) users: Option<i32>,
    pub(super) conditions: Vec<Condition>,
}

impl CatalogStatus {
    fn new(observed_generation: Option<i64>, users: Option<i32>, conditions: Vec<Condition>) -> Self {
        Self {
            observed_generation,
            users,
            conditions,
        }
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CatalogObject {
    pub(super) key: Key,
    pub(super) resource_version: Option<String>,
    pub(super) generation: Option<i64>,
    pub(super) finalizers: Vec<String>,
    pub(super) is_terminating: bool,
    pub(super) status: CatalogStatus,
}

impl CatalogObject {
    /// The subject of a stored object with this status.
    pub(super) fn new(kind: Kind, meta: &ObjectMeta, status: CatalogStatus) -> Self {
        Self {
            key: Key::from_meta(kind, meta),
            resource_version: meta.resource_version.clone(),
            generation: meta.generation,
            finalizers: meta.finalizers.clone().unwrap_or_default(),
            is_terminating: meta.deletion_timestamp.is_some(),
            status,
        }
    }

    /// Whether the in-use finalizer is set.
    pub(super) fn is_held(&self) -> bool {
        is_in_use(&self.finalizers)
    }
}

/// Whether the in-use finalizer is among these.
pub(super) fn is_in_use(finalizers: &[String]) -> bool {
    finalizers.iter().any(|finalizer| finalizer == IN_USE_FINALIZER)
}

/// An object that can carry the in-use finalizer.
pub(super) trait Protected: Resource {
    fn subject(&self) -> CatalogObject;
}

impl Protected for WorkspaceTemplate {
    fn subject(&self) -> CatalogObject {
        let mut status = self.status.clone().unwrap_or_default();
        // Another controller writes it.
        status
            .conditions
            .retain(|condition| condition.type_ != condition::PREPARED);
        let status = CatalogStatus::new(status.observed_generation, status.in_use_by, status.conditions);
        CatalogObject::new(Kind::Template, &self.metadata, status)
    }
}

impl Protected for WorkspaceManager {
    fn subject(&self) -> CatalogObject {
        let status = self.status.clone().unwrap_or_default();
        let status = CatalogStatus::new(status.observed_generation, status.workspaces, status.conditions);
        CatalogObject::new(Kind::Manager, &self.metadata, status)
    }
}

impl Protected for WorkspaceExecutionProfile {
    fn subject(&self) -> CatalogObject {
        let status = self.status.clone().unwrap_or_default();
        let status = CatalogStatus::new(status.observed_generation, status.in_use_by, status.conditions);
        CatalogObject::new(Kind::Profile, &self.metadata, status)
    }
}
