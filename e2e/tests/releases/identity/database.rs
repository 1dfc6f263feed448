//! Namespace -> a `PostgreSQL` server in it, with a certificate, whose pod can be replaced (IO).

use anyhow::Context as _;
use e2e::{
    Environment,
    cluster::{self, Scratch},
    wait,
};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod, Secret, Service},
};
use kit::pki::{self, Purpose};
use kube::{
    Api, Resource,
    api::{DeleteParams, ListParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Name of its objects.
pub(crate) const NAME: &str = "database";

/// The server. Its data is in a volume, its user is `keycloak`, its database `postgres`.
pub(crate) struct Database<'a> {
    scratch: &'a Scratch,
    /// Name of the Service, as the cluster resolves it.
    pub(crate) host: String,
    /// Authority of its certificate, PEM.
    pub(crate) authority: String,
}

impl<'a> Database<'a> {
    /// Starts it and waits until it answers.
    pub(crate) async fn start(scratch: &'a Scratch, password: &str) -> anyhow::Result<Self> {
        let host = format!("{NAME}.{}.svc", scratch.namespace);
        let now = Timestamp::now();
        let authority = pki::authority("database of a test", now)?;
        let server = pki::leaf(
            &authority,
            NAME,
            std::slice::from_ref(&host),
            Purpose::Server,
            now,
        )?;
        let database = Self {
            scratch,
            host,
            authority: authority.certificate,
        };
        let secret = json!({"tls.crt": server.certificate, "tls.key": server.key, "password": password});
        let secret = json!({"metadata": {"name": NAME}, "stringData": secret});
        database.create::<Secret>(secret).await?;
        let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        let claim = json!({"metadata": {"name": NAME}, "spec": claim});
        database.create::<PersistentVolumeClaim>(claim).await?;
        let service = json!({"selector": {"app": NAME}, "ports": [{"port": 5432}]});
        let service = json!({"metadata": {"name": NAME}, "spec": service});
        database.create::<Service>(service).await?;
        database.create::<Deployment>(deployment()?).await?;
        database.ready_pod(None).await?;
        Ok(database)
    }

    /// Deletes the pod, and waits until another one answers.
    pub(crate) async fn replace(&self) -> anyhow::Result<()> {
        let before = self.ready_pod(None).await?;
        let pods = self.scratch.api::<Pod>();
        pods.delete(&before, &DeleteParams::default()).await?;
        self.ready_pod(Some(&before)).await.map(drop)
    }

    async fn create<K>(&self, object: Value) -> anyhow::Result<()>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
        K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let api: Api<K> = self.scratch.api();
        api.create(&PostParams::default(), &serde_json::from_value(object)?)
            .await
            .with_context(|| K::kind(&()).into_owned())?;
        Ok(())
    }

    /// Name of the pod that answers and is not `other`.
    async fn ready_pod(&self, other: Option<&str>) -> anyhow::Result<String> {
        let pods = self.scratch.api::<Pod>();
        let own = ListParams::default().labels(&format!("app={NAME}"));
        wait::until("the database to answer", wait::USUAL, || async {
            let pods = pods.list(&own).await.map_err(|error| error.to_string())?.items;
            let ready = pods.iter().filter(|pod| cluster::is_ready(pod));
            let mut names = ready.map(kube::ResourceExt::name_any);
            names
                .find(|name| Some(name.as_str()) != other)
                .ok_or_else(|| format!("{:?}", pods.iter().map(|pod| &pod.status).collect::<Vec<_>>()))
        })
        .await
    }
}

fn deployment() -> anyhow::Result<Value> {
    let container = json!({
        "name": NAME,
        "image": Environment::get()?.images.reference("database")?,
        "imagePullPolicy": "Never",
        "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": NAME, "key": "password"}}}],
        "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "tls", "mountPath": "/tls", "readOnly": true},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    });
    let pod = json!({
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": NAME}},
            {"name": "tls", "secret": {"secretName": NAME, "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {}},
        ],
    });
    Ok(json!({
        "metadata": {"name": NAME},
        "spec": {
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": NAME}},
            "template": {"metadata": {"labels": {"app": NAME}}, "spec": pod},
        },
    }))
}
