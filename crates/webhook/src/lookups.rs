//! Names -> templates, managers and rights, from watched stores or the API server (IO).

use api::{WorkspaceManager, WorkspaceTemplate};
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{ListParams, PostParams};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource as _};

/// What else the cluster holds that a verdict depends on.
#[derive(Clone)]
pub struct Lookups {
    client: Client,
    templates: Cache<WorkspaceTemplate>,
    managers: Cache<WorkspaceManager>,
}

/// A store in which an object that cannot be read does not stop the watch.
pub type Cache<K> = Store<DeserializeGuard<K>>;

/// The API server could not say.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be read: {source}")]
pub struct LookupError {
    what: String,
    source: Box<kube::Error>,
}

impl LookupError {
    fn new(what: impl Into<String>, source: kube::Error) -> Self {
        Self {
            what: what.into(),
            source: Box::new(source),
        }
    }
}

impl Lookups {
    /// `templates` and `managers` are stores that watches keep filled.
    pub fn new(
        client: Client,
        templates: Cache<WorkspaceTemplate>,
        managers: Cache<WorkspaceManager>,
    ) -> Self {
        Self {
            client,
            templates,
            managers,
        }
    }

    /// The template of that name. Asks the API server when the store has none: the template may have been written
    /// an instant ago, in the same manifest.
    pub(crate) async fn template(&self, name: &str) -> Result<Option<WorkspaceTemplate>, LookupError> {
        let known = self.templates.get(&ObjectRef::new(name));
        if let Some(Ok(template)) = known.as_ref().map(|known| &known.0) {
            return Ok(Some(template.clone()));
        }
        let found = Api::<WorkspaceTemplate>::all(self.client.clone())
            .get_opt(name)
            .await;
        found.map_err(|error| LookupError::new(format!("WorkspaceTemplate {name:?}"), error))
    }

    /// Every manager that the watch has seen.
    pub(crate) fn managers(&self) -> Vec<WorkspaceManager> {
        self.managers
            .state()
            .iter()
            .filter_map(|known| known.0.as_ref().ok().cloned())
            .collect()
    }

    /// Every manager that the API server has.
    pub(crate) async fn managers_now(&self) -> Result<Vec<WorkspaceManager>, LookupError> {
        let all = Api::<DeserializeGuard<WorkspaceManager>>::all(self.client.clone());
        let all = all.list(&ListParams::default()).await;
        let all = all.map_err(|error| LookupError::new("WorkspaceManagers", error))?;
        Ok(all.items.into_iter().filter_map(|found| found.0.ok()).collect())
    }

    /// Whether `user` may name another owner for the workspace.
    pub(crate) async fn may_assign_owner(
        &self,
        user: &UserInfo,
        namespace: &str,
        name: &str,
    ) -> Result<bool, LookupError> {
        let attributes = ResourceAttributes {
            group: Some(api::names::GROUP.to_owned()),
            version: Some(api::names::VERSION.to_owned()),
            resource: Some(api::Workspace::plural(&()).into_owned()),
            verb: Some(api::names::ASSIGN_OWNER_VERB.to_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            ..ResourceAttributes::default()
        };
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username.clone(),
                uid: user.uid.clone(),
                groups: user.groups.clone(),
                extra: user.extra.clone(),
                resource_attributes: Some(attributes),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = Api::<SubjectAccessReview>::all(self.client.clone())
            .create(&PostParams::default(), &review)
            .await
            .map_err(|error| LookupError::new("the right to assign owners", error))?;
        Ok(answer
            .status
            .is_some_and(|status| status.allowed && !status.denied.unwrap_or(false)))
    }
}
