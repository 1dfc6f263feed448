//! Names -> objects and permissions, from watched stores or the API server (IO).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::names::DEFAULT_TEMPLATE_LABEL;
use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::core::{DeserializeGuard, GroupVersionKind};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt, discovery};
use rules::objects::ObjectKind;

use crate::review::{Kind, Request};

pub(crate) use kit::access_review::Right;
use kit::access_review::{AccessReviews, Settings};
use kit::scope::Scope;

/// How access reviews are asked for and cached. A refusal is cached shorter, because users try again when they have just got the permission.
const RIGHTS: Settings = Settings {
    granted: Duration::from_secs(10),
    refused: Duration::from_secs(2),
    must_be_certain: false,
    of_one_user: 16,
    timeout: Duration::from_secs(10),
};
/// The objects and permissions in the cluster that an answer depends on.
#[derive(Clone)]
pub struct Lookups {
    client: Client,
    rights: AccessReviews,
    templates: Cache<WorkspaceTemplate>,
    managers: Cache<WorkspaceManager>,
    profiles: Cache<WorkspaceExecutionProfile>,
}

/// A store whose watch continues when an object cannot be parsed.
pub type Cache<K> = Store<DeserializeGuard<K>>;

/// The API server did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be read: {source}")]
pub struct LookupError {
    what: String,
    source: Arc<kube::Error>,
}

impl LookupError {
    pub(crate) fn new(what: impl Into<String>, source: impl Into<Arc<kube::Error>>) -> Self {
        Self {
            what: what.into(),
            source: source.into(),
        }
    }
}

impl Lookups {
    /// Creates the lookups. Watches keep the given stores up to date.
    pub fn new(
        client: Client,
        templates: Cache<WorkspaceTemplate>,
        managers: Cache<WorkspaceManager>,
        profiles: Cache<WorkspaceExecutionProfile>,
    ) -> Self {
        Self {
            rights: AccessReviews::new(client.clone(), Scope::Cluster, RIGHTS),
            client,
            templates,
            managers,
            profiles,
        }
    }

    /// The template called `name`. If the store has none, this requests it from the API server.
    /// The same manifest may have created the template an instant ago.
    pub(crate) async fn template(&self, name: &str) -> Result<Option<WorkspaceTemplate>, LookupError> {
        let known = self.templates.get(&ObjectRef::new(name));
        if let Some(Ok(template)) = known.as_ref().map(|known| &known.0) {
            return Ok(Some(template.clone()));
        }
        let templates = Api::<WorkspaceTemplate>::all(self.client.clone());
        get(templates, name, || format!("WorkspaceTemplate {name:?}")).await
    }

    /// Names of the templates that are labelled as default and are not being deleted.
    pub(crate) fn default_templates(&self) -> BTreeSet<String> {
        let all = self.templates.state();
        let stays = |template: &&WorkspaceTemplate| template.metadata.deletion_timestamp.is_none();
        let is_default = |template: &&WorkspaceTemplate| {
            template
                .labels()
                .get(DEFAULT_TEMPLATE_LABEL)
                .is_some_and(|is| is == "true")
        };
        let known = all.iter().filter_map(|known| known.0.as_ref().ok());
        known
            .filter(stays)
            .filter(is_default)
            .map(ResourceExt::name_any)
            .collect()
    }

    /// All managers that the watch knows.
    pub(crate) fn managers(&self) -> Vec<WorkspaceManager> {
        self.managers
            .state()
            .iter()
            .filter_map(|known| known.0.as_ref().ok().cloned())
            .collect()
    }

    /// All managers, from the API server.
    pub(crate) async fn managers_now(&self) -> Result<Vec<WorkspaceManager>, LookupError> {
        let all = Api::<DeserializeGuard<WorkspaceManager>>::all(self.client.clone());
        let all = Box::pin(all.list(&ListParams::default())).await;
        let all = all.map_err(|error| LookupError::new("WorkspaceManagers", error))?;
        Ok(all.items.into_iter().filter_map(|found| found.0.ok()).collect())
    }

    /// The execution profile called `name`, from the cache or the API server.
    pub(crate) async fn profile(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<WorkspaceExecutionProfile>, LookupError> {
        let known = self.profiles.get(&ObjectRef::new(name).within(namespace));
        if let Some(Ok(profile)) = known.as_ref().map(|known| &known.0) {
            return Ok(Some(profile.clone()));
        }
        let profiles = Api::<WorkspaceExecutionProfile>::namespaced(self.client.clone(), namespace);
        get(profiles, name, || format!("WorkspaceExecutionProfile {name:?}")).await
    }

    /// The existing template that a workspace names, if any.
    pub(crate) async fn template_of(
        &self,
        workspace: &Workspace,
    ) -> Result<Option<WorkspaceTemplate>, LookupError> {
        match &workspace.spec.template_ref {
            Some(name) => self.template(name).await,
            None => Ok(None),
        }
    }

    /// The workspace as it is currently stored.
    pub(crate) async fn workspace(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Workspace>, LookupError> {
        let workspaces = Api::<Workspace>::namespaced(self.client.clone(), namespace);
        get(workspaces, name, || format!("Workspace {namespace}/{name}")).await
    }

    /// The claim called `name`.
    pub(crate) async fn claim(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<PersistentVolumeClaim>, LookupError> {
        let claims = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), namespace);
        get(claims, name, || {
            format!("PersistentVolumeClaim {namespace}/{name}")
        })
        .await
    }

    /// The storage class called `name`.
    pub(crate) async fn storage_class(&self, name: &str) -> Result<Option<StorageClass>, LookupError> {
        let classes = Api::<StorageClass>::all(self.client.clone());
        get(classes, name, || format!("StorageClass {name:?}")).await
    }

    /// Whether objects of this kind belong to the cluster and to no namespace. A kind that is not installed does not.
    pub(crate) async fn is_cluster_wide(&self, kind: &ObjectKind) -> Result<bool, LookupError> {
        let wanted = GroupVersionKind::gvk(kind.group(), kind.version(), &kind.kind);
        match Box::pin(discovery::pinned_kind(&self.client, &wanted)).await {
            Ok((_, found)) => Ok(found.scope == discovery::Scope::Cluster),
            Err(kube::Error::Discovery(_)) => Ok(false),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(LookupError::new(format!("the kind {kind}"), error)),
        }
    }

    /// Whether the namespace is being deleted.
    pub(crate) async fn namespace_is_terminating(&self, name: &str) -> Result<bool, LookupError> {
        let metadata = self.namespace(name).await?;
        Ok(metadata.is_some_and(|metadata| metadata.deletion_timestamp.is_some()))
    }

    /// The value of the namespace's annotation, unless it is empty.
    pub(crate) async fn annotation_of_namespace(
        &self,
        name: &str,
        key: &str,
    ) -> Result<Option<String>, LookupError> {
        let annotations = self
            .namespace(name)
            .await?
            .and_then(|metadata| metadata.annotations);
        let value = annotations.and_then(|mut annotations| annotations.remove(key));
        Ok(value.filter(|value| !value.is_empty()))
    }

    async fn namespace(&self, name: &str) -> Result<Option<ObjectMeta>, LookupError> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let found = Box::pin(namespaces.get_metadata_opt(name)).await;
        let found = found.map_err(|error| LookupError::new(format!("Namespace {name:?}"), error))?;
        Ok(found.map(|namespace| namespace.metadata))
    }

    /// Whether the user has `verb` on the workspace of the request.
    pub(crate) async fn may(&self, request: &Request, verb: &'static str) -> Result<bool, LookupError> {
        self.may_on_workspace(request, verb, &request.name).await
    }

    /// Whether the user has `verb` on this workspace of the request's namespace. Without a name yet, this means all workspaces.
    /// For an invalid name, no access review is requested.
    pub(crate) async fn may_on_workspace(
        &self,
        request: &Request,
        verb: &'static str,
        name: &str,
    ) -> Result<bool, LookupError> {
        if !name.is_empty() && !rules::names::is_dns_1123_subdomain(name) {
            return Ok(false);
        }
        let right = Right {
            verb,
            group: api::names::GROUP,
            version: api::names::VERSION,
            resource: Kind::Workspace.plural(),
            namespace: request.namespace.clone(),
            name: name.to_owned(),
        };
        self.has_right(request, &right).await
    }

    /// Whether the user has the permission `right`.
    pub(crate) async fn has_right(&self, request: &Request, right: &Right) -> Result<bool, LookupError> {
        let granted = self.rights.is_granted(&request.user, right).await;
        granted.map_err(|error| LookupError::new(format!("the right to {}", right.verb), error))
    }
}

/// The object called `name`. An invalid name has no object, and would change the request's URL.
async fn get<K>(api: Api<K>, name: &str, what: impl FnOnce() -> String) -> Result<Option<K>, LookupError>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    if !rules::names::is_dns_1123_subdomain(name) {
        return Ok(None);
    }
    let found = Box::pin(api.get_opt(name)).await;
    found.map_err(|error| LookupError::new(what(), error))
}
