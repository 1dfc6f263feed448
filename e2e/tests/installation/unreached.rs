//! Namespace -> a webhook for its Workspaces that the API server cannot reach (IO).

use api::Workspace;
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Service, discovery::v1::EndpointSlice,
};
use kube::{
    Api, Resource,
    api::{DeleteParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Name of its Service.
const NAME: &str = "unreached";
/// An unused address (RFC 5737).
const UNUSED: &str = "192.0.2.1";
/// The name that the release's own webhook has.
const WEBHOOK: &str = "workspaces.workspaces.jupyter.org";

/// A webhook behind an address from which no answer comes, as through a closed firewall. The local cluster's network policies do not
/// apply to what the node sends, so none would stop the API server. Its configuration has the name of the namespace, so the API server
/// calls it before that of the release.
pub(crate) struct Unreached<'a> {
    scratch: &'a Scratch,
    configurations: Api<MutatingWebhookConfiguration>,
}

impl<'a> Unreached<'a> {
    pub(crate) async fn new(scratch: &'a Scratch) -> anyhow::Result<Self> {
        Ok(Self {
            scratch,
            configurations: Api::all(cluster::admin().await?),
        })
    }

    /// Makes its Service.
    async fn start(&self) -> anyhow::Result<()> {
        let service = json!({"metadata": {"name": NAME}, "spec": {"ports": [{"port": 443}]}});
        create::<Service>(&self.scratch.api(), service).await?;
        let slice = json!({
            "metadata": {"name": NAME, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [UNUSED], "conditions": {"ready": true}}],
            "ports": [{"name": "", "port": 443, "protocol": "TCP"}],
        });
        create::<EndpointSlice>(&self.scratch.api(), slice).await
    }

    /// Has the API server ask it, and waits until creations fail.
    pub(crate) async fn ask(&self) -> anyhow::Result<()> {
        self.start().await?;
        let namespace = self.scratch.namespace.as_str();
        let configuration = json!({
            "metadata": {"name": namespace, "labels": {"e2e.test/scratch": "true"}},
            "webhooks": [{
                "name": WEBHOOK,
                "clientConfig": {"service": {"namespace": namespace, "name": NAME, "path": "/mutate"}},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{
                    "apiGroups": ["workspaces.jupyter.org"], "apiVersions": ["*"],
                    "operations": ["CREATE"], "resources": ["workspaces"],
                }],
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "timeoutSeconds": 2,
                "admissionReviewVersions": ["v1"],
            }],
        });
        create(&self.configurations, configuration).await?;
        let workspaces = self.scratch.api::<Workspace>();
        let wanted = workspace::echo("refused")?;
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        wait::until("the API server not to reach the webhook", wait::USUAL, || async {
            match workspaces.create(&dry_run, &wanted).await {
                Err(error) if is_unreached(&error.to_string()) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// Has the API server ask it no more.
    pub(crate) async fn end(&self) -> anyhow::Result<()> {
        let deleted = self
            .configurations
            .delete(&self.scratch.namespace, &DeleteParams::default())
            .await;
        match deleted {
            Err(kube::Error::Api(error)) if error.code == 404 => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }
}

fn is_unreached(error: &str) -> bool {
    let reasons = [
        "deadline exceeded",
        "connection refused",
        "i/o timeout",
        "no route to host",
        "network is unreachable",
    ];
    error.contains("failed calling webhook") && reasons.iter().any(|reason| error.contains(reason))
}

async fn create<K>(api: &Api<K>, object: Value) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    api.create(&PostParams::default(), &serde_json::from_value(object)?)
        .await?;
    Ok(())
}
