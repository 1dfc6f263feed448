//! User, verb and object -> whether the user has the right, by access reviews (IO).

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use kit::access_review::{AccessReviews, Right, Settings};
use kit::scope::Scope;
use kube::Client;
use tokio::time::timeout;

use crate::index::Index;
use crate::user::User;

/// How access reviews are asked for, and how long they are cached when a page is loaded.
const REVIEWS: Settings = Settings {
    granted: Duration::from_secs(30),
    refused: Duration::from_secs(30),
    must_be_certain: false,
    of_one_user: CONCURRENCY,
    timeout: Duration::from_secs(10),
};
/// Time for which a refusal is cached on an open page while no role changes. Such a page reviews rights in each namespace,
/// and most users have rights in few.
const REFUSED_ON_OPEN_PAGE: Duration = Duration::from_mins(30);
/// Concurrent access reviews of one page.
const CONCURRENCY: usize = 16;
/// Timeout of one question, and of all about namespaces. Namespaces without answer are left out, and the page says so.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The group that the API server gives to every authenticated user.
const EVERYBODY: &str = "system:authenticated";

/// Namespaces of a user.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespaces {
    /// All of them.
    pub(crate) all: bool,
    /// These.
    pub(crate) named: BTreeSet<String>,
    /// Whether the API server did not say in time of some.
    pub(crate) is_partial: bool,
}

impl Namespaces {
    /// Whether the namespace is one of them.
    pub(crate) fn holds(&self, namespace: &str) -> bool {
        self.all || self.named.contains(namespace)
    }
}

/// Asks what users may do.
#[derive(Debug, Clone)]
pub(crate) struct Rights {
    reviews: AccessReviews,
    scope: Scope,
    /// For how long a refusal counts.
    refused: Duration,
}

/// The user as access reviews name them.
fn info(user: &User) -> k8s_openapi::api::authentication::v1::UserInfo {
    let mut groups = user.groups.clone();
    if !groups.iter().any(|group| group == EVERYBODY) {
        groups.push(EVERYBODY.to_owned());
    }
    k8s_openapi::api::authentication::v1::UserInfo {
        username: Some(user.name.clone()),
        groups: Some(groups),
        ..Default::default()
    }
}

impl Rights {
    pub(crate) fn new(client: &Client, scope: &Scope) -> Self {
        Self {
            reviews: AccessReviews::new(client.clone(), scope.clone(), REVIEWS),
            scope: scope.clone(),
            refused: REVIEWS.refused,
        }
    }

    /// Follows changes of roles forever.
    pub(crate) async fn follow_roles(self) {
        self.reviews.follow_roles(|_| {}).await;
    }

    /// The same for a page that is open and not loaded: a right that is given by something else than a role shows up later there, in exchange
    /// for few access reviews.
    pub(crate) fn of_open_page(&self) -> Self {
        // In one namespace there are few questions, and ClusterRoles are not watched.
        let refused = if self.scope.is_cluster() {
            REFUSED_ON_OPEN_PAGE
        } else {
            REVIEWS.refused
        };
        Self {
            refused,
            ..self.clone()
        }
    }

    /// Whether anybody can have a right in this namespace, or in all if that is empty.
    pub(crate) fn is_possible(&self, namespace: &str) -> bool {
        let in_scope = self.scope.namespace().is_none_or(|only| only == namespace);
        in_scope && (namespace.is_empty() || rules::checks::namespace("namespace", namespace).is_none())
    }

    /// Whether the user has `verb` on `resource` of our group, in a namespace, or in all if that is empty. `None`: no answer in time.
    /// No user has a right on what no object can be called, or outside of the scope.
    pub(crate) async fn may(
        &self,
        user: &User,
        verb: &'static str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Option<bool> {
        let is_name = name.is_empty() || rules::names::is_dns_1123_subdomain(name);
        if !self.is_possible(namespace) || !is_name {
            return Some(false);
        }
        let right = Right {
            verb,
            group: if is_core(resource) { "" } else { api::names::GROUP },
            version: if is_core(resource) {
                "v1"
            } else {
                api::names::VERSION
            },
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let user = info(user);
        match timeout(
            TIMEOUT,
            self.reviews.is_granted_within(&user, &right, self.refused),
        )
        .await
        {
            Ok(Ok(granted)) => Some(granted),
            Ok(Err(error)) => {
                tracing::warn!(%error, "an access review is not answered");
                None
            }
            Err(_) => {
                tracing::warn!("an access review is not answered in time");
                None
            }
        }
    }

    /// Whether the user has the right in the namespace. `None`: no answer in time. The question about all namespaces comes first: its answer
    /// serves every namespace.
    pub(crate) async fn may_in(
        &self,
        user: &User,
        verb: &'static str,
        resource: &str,
        namespace: &str,
    ) -> Option<bool> {
        match self.may(user, verb, resource, "", "").await {
            Some(false) => self.may(user, verb, resource, namespace, "").await,
            // Without an answer in time another question would only take as long.
            answer => answer,
        }
    }

    /// Those of the `candidates` in which the user has the right on objects of this name, or of any if that is empty. One question about all
    /// namespaces comes first.
    pub(crate) async fn namespaces(
        &self,
        user: &User,
        (verb, resource, name): (&'static str, &str, &str),
        candidates: impl IntoIterator<Item = String>,
    ) -> Namespaces {
        let mut deadline = std::pin::pin!(tokio::time::sleep(TIMEOUT));
        if self.may(user, verb, resource, "", name).await == Some(true) {
            return Namespaces {
                all: true,
                ..Namespaces::default()
            };
        }
        let answers = stream::iter(candidates).map(|namespace| async move {
            (self.may(user, verb, resource, &namespace, name).await, namespace)
        });
        let mut answers = std::pin::pin!(answers.buffer_unordered(CONCURRENCY));
        let mut found = Namespaces::default();
        loop {
            tokio::select! {
                answer = answers.next() => match answer {
                    None => return found,
                    Some((Some(true), namespace)) => { found.named.insert(namespace); }
                    Some((Some(false), _)) => {}
                    Some((None, _)) => found.is_partial = true,
                },
                () = &mut deadline => {
                    found.is_partial = true;
                    return found;
                }
            }
        }
    }

    /// Namespaces in which the user may create workspaces, by name: of those that the index knows, and of the `named` one, if it is not empty.
    /// And whether the API server did not say in time of some.
    pub(crate) async fn to_create(
        &self,
        user: &User,
        index: &Index,
        named: &str,
    ) -> (BTreeSet<String>, bool) {
        let mut candidates = index.namespaces();
        candidates.extend(Some(named.to_owned()).filter(|named| !named.is_empty()));
        let found = self
            .namespaces(user, ("create", "workspaces", ""), candidates.clone())
            .await;
        candidates.retain(|namespace| found.holds(namespace));
        (candidates, found.is_partial)
    }
}

/// Whether the resource is Kubernetes' own.
fn is_core(resource: &str) -> bool {
    resource.starts_with("pods")
}
