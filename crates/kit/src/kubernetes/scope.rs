//! Watched namespace, or none -> the API of a kind there, or in all namespaces (pure).

use std::fmt;

use kube::core::{ApiResource, DynamicObject, NamespaceResourceScope};
use kube::{Api, Client, Resource};

/// Namespaces that a process watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All namespaces.
    #[default]
    Cluster,
    /// This one alone. Kinds of the cluster are read if a role allows it, and never written.
    Namespace(String),
}

impl Scope {
    /// One namespace, or all.
    #[must_use]
    pub fn from_namespace(namespace: Option<String>) -> Self {
        namespace.map_or(Self::Cluster, Self::Namespace)
    }

    /// The watched namespace; `None`: all.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Cluster => None,
            Self::Namespace(namespace) => Some(namespace),
        }
    }

    /// Whether all namespaces are watched.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        *self == Self::Cluster
    }

    /// Objects of a namespaced kind.
    #[must_use]
    pub fn api<K>(&self, client: Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::Cluster => Api::all(client),
            Self::Namespace(namespace) => Api::namespaced(client, namespace),
        }
    }

    /// Objects of a namespaced kind that is known at run time.
    #[must_use]
    pub fn dynamic(&self, client: Client, resource: &ApiResource) -> Api<DynamicObject> {
        match self {
            Self::Cluster => Api::all_with(client, resource),
            Self::Namespace(namespace) => Api::namespaced_with(client, namespace, resource),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("all namespaces"),
            Self::Namespace(namespace) => write!(f, "namespace {namespace}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};

    use super::*;

    #[tokio::test]
    async fn one_namespace_is_listed_or_all() {
        let (_, client) = testkit::api_server::ApiServer::start();
        let team = Scope::from_namespace(Some("team".to_owned()));
        let resource = ApiResource::erase::<ConfigMap>(&());
        for (scope, pods, maps) in [
            (Scope::from_namespace(None), "/api/v1/pods", "/api/v1/configmaps"),
            (
                team,
                "/api/v1/namespaces/team/pods",
                "/api/v1/namespaces/team/configmaps",
            ),
        ] {
            assert_eq!(scope.api::<Pod>(client.clone()).resource_url(), pods);
            assert_eq!(scope.dynamic(client.clone(), &resource).resource_url(), maps);
            assert_eq!(scope.is_cluster(), scope.namespace().is_none(), "{scope}");
        }
    }
}
