//! Template, manager or profile -> its state while workspaces use it (IO).
//!
//! These objects stay while workspaces use them. The methods are the same for each kind.

use api::{
    Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate,
    condition::{self, READY, TERMINATING, VALID, reason},
    names::IN_USE_FINALIZER,
    workspace::DesiredStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, PostParams},
};
use serde_json::{Value, json};

use crate::{
    Environment,
    cluster::{self, Scratch},
    wait,
};

/// A kind that workspaces refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `WorkspaceTemplate`, cluster-scoped.
    Template,
    /// `WorkspaceManager`, cluster-scoped.
    Manager,
    /// `WorkspaceExecutionProfile`, namespaced.
    Profile,
}

/// An object of such a kind.
#[derive(Clone, Debug)]
pub struct CatalogObject {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// API client for its kind and scope.
    pub api: Api<DynamicObject>,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Template, Self::Manager, Self::Profile];

    /// The field of a workspace that refers to it.
    pub fn field(self) -> &'static str {
        match self {
            Self::Template => "templateRef",
            Self::Manager => "managerRef",
            Self::Profile => "executionProfileRef",
        }
    }

    /// Whether the kind is cluster-scoped.
    pub fn is_cluster_scoped(self) -> bool {
        self != Self::Profile
    }

    /// Why an object that is being deleted still exists.
    pub fn in_use(self) -> &'static str {
        match self {
            Self::Template => reason::TEMPLATE_IN_USE,
            Self::Manager => reason::MANAGER_IN_USE,
            Self::Profile => reason::EXECUTION_PROFILE_IN_USE,
        }
    }

    fn resource(self) -> ApiResource {
        match self {
            Self::Template => ApiResource::erase::<WorkspaceTemplate>(&()),
            Self::Manager => ApiResource::erase::<WorkspaceManager>(&()),
            Self::Profile => ApiResource::erase::<WorkspaceExecutionProfile>(&()),
        }
    }

    fn spec(self, name: &str) -> anyhow::Result<Value> {
        Ok(match self {
            Self::Template => json!({"displayName": name, "defaultImage": Environment::get()?.images.echo}),
            Self::Manager => json!({
                "routing": {"baseDomain": format!("{name}.example.org"), "custom": {"resources": [{
                    "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                    "spec": {"defaultBackend": {"service": {"name": "{service.name}", "port": {"name": "http"}}}},
                }]}},
                "authentication": {"none": {}},
            }),
            Self::Profile => json!({"env": [{"name": "A", "value": "b"}]}),
        })
    }
}

impl CatalogObject {
    /// An object called `name`, which is not created yet. The name of a cluster-scoped object must contain the namespace's name.
    pub async fn of(kind: Kind, scratch: &Scratch, name: &str) -> anyhow::Result<Self> {
        let (client, resource) = (cluster::admin().await?, kind.resource());
        let api = if kind.is_cluster_scoped() {
            Api::all_with(client, &resource)
        } else {
            Api::namespaced_with(client, &scratch.namespace, &resource)
        };
        Ok(Self {
            kind,
            name: name.to_owned(),
            api,
        })
    }

    /// Creates it: a template with the echo server and no disk, a manager with its own route and sign-in, or a profile with one
    /// variable.
    pub async fn make(&self) -> anyhow::Result<DynamicObject> {
        let resource = self.kind.resource();
        let object = serde_json::from_value(json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": self.name, "labels": {"e2e.test/scratch": "true"}},
            "spec": self.kind.spec(&self.name)?,
        }))?;
        Ok(self.api.create(&PostParams::default(), &object).await?)
    }

    /// Requests its deletion.
    pub async fn delete(&self) -> anyhow::Result<()> {
        self.api.delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until the object meets the condition.
    pub async fn says(
        &self,
        what: &str,
        holds: impl Fn(&DynamicObject) -> bool,
    ) -> anyhow::Result<DynamicObject> {
        let what = format!("{:?} {}: {what}", self.kind, self.name);
        wait::until(&what, wait::USUAL, || async {
            let object = self.api.get(&self.name).await;
            let object = object.map_err(|error| error.to_string())?;
            if holds(&object) {
                Ok(object)
            } else {
                Err(format!("{object:?}"))
            }
        })
        .await
    }

    /// Waits until its status counts `users` workspaces and reports no problem.
    pub async fn counts(&self, users: i32) -> anyhow::Result<DynamicObject> {
        let (count, good) = match self.kind {
            Kind::Template | Kind::Profile => ("inUseBy", VALID),
            Kind::Manager => ("workspaces", READY),
        };
        self.says(&format!("{users} users"), |object| {
            let status = &object.data["status"];
            status[count] == json!(users)
                && status["observedGeneration"] == json!(object.metadata.generation)
                && condition::holds(&conditions(object), good)
        })
        .await
    }

    /// Waits until its status says that it stays because it is in use, with a message that starts with `text`.
    pub async fn stays(&self, text: &str) -> anyhow::Result<()> {
        let catalog_object = self.says(text, |object| {
            let conditions = conditions(object);
            let reported = condition::find(&conditions, TERMINATING);
            reported.is_some_and(|reported| {
                reported.reason == self.kind.in_use() && reported.message.starts_with(text)
            })
        });
        let catalog_object = catalog_object.await?;
        anyhow::ensure!(
            catalog_object.metadata.deletion_timestamp.is_some(),
            "{catalog_object:?}"
        );
        Ok(())
    }

    /// Waits until it is gone.
    pub async fn gone(&self) -> anyhow::Result<()> {
        let what = format!("{:?} {} to be gone", self.kind, self.name);
        wait::until(&what, wait::USUAL, || async {
            match self.api.get_opt(&self.name).await {
                Ok(None) => Ok(()),
                Ok(Some(object)) => Err(format!("{object:?}")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// A stopped workspace that uses it. It counts as a user, but needs no pod.
    pub fn user(&self, name: &str) -> anyhow::Result<Workspace> {
        stopped(name, [self])
    }
}

/// A stopped workspace that refers to all of these.
pub fn stopped<'a>(
    name: &str,
    all: impl IntoIterator<Item = &'a CatalogObject>,
) -> anyhow::Result<Workspace> {
    let mut spec = json!({"displayName": name, "desiredStatus": DesiredStatus::Stopped});
    for catalog_object in all {
        spec[catalog_object.kind.field()] = json!(catalog_object.name);
    }
    Ok(Workspace::new(name, serde_json::from_value(spec)?))
}

/// Whether the object has the operator's finalizer.
pub fn has_in_use_finalizer(object: &DynamicObject) -> bool {
    object.finalizers().iter().any(|it| it == IN_USE_FINALIZER)
}

fn conditions(object: &DynamicObject) -> Vec<Condition> {
    serde_json::from_value(object.data["status"]["conditions"].clone()).unwrap_or_default()
}
