//! Names and objects -> requests to the cluster (IO).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;
use http::{Method, Request, Response, Uri};
use k8s_openapi::{
    api::{
        authorization::v1::SubjectAccessReview,
        core::v1::{Namespace, Pod},
        rbac::v1::{Role, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{AttachParams, DeleteParams, ListParams, PostParams},
    client::Body,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tower::service_fn;

use crate::{Environment, process, teardown, wait};

/// A client with the identity of `kubeconfig`.
pub async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    client_of(config(kubeconfig).await?)
}

/// What a client needs to know, as `kubeconfig` says.
async fn config(kubeconfig: &Path) -> anyhow::Result<Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// Address of the API server.
///
/// # Errors
/// The administrator's kubeconfig cannot be read.
pub async fn address() -> anyhow::Result<Uri> {
    Ok(config(&Environment::get()?.kubeconfig).await?.cluster_url)
}

/// A client that sends a GET again when its connection ends before the answer: the API server closes unused connections, some of them
/// just when they are used again.
fn client_of(config: Config) -> anyhow::Result<Client> {
    let client = Client::try_from(config)?;
    let (namespace, valid_until) = (client.default_namespace().to_owned(), *client.valid_until());
    let service = service_fn(move |request| send(client.clone(), request));
    Ok(Client::new(service, namespace).with_valid_until(valid_until))
}

async fn send(client: Client, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
    let (parts, body) = request.into_parts();
    let again = (parts.method == Method::GET).then(|| Request::from_parts(parts.clone(), Body::empty()));
    match (client.send(Request::from_parts(parts, body)).await, again) {
        (Err(kube::Error::Service(_)), Some(again)) => client.send(again).await,
        (answer, _) => answer,
    }
}

/// A client with the identity of an administrator.
pub async fn admin() -> anyhow::Result<Client> {
    shared(&Environment::get()?.kubeconfig).await
}

/// A client with the identity of `user`.
pub async fn user(user: &str) -> anyhow::Result<Client> {
    shared(&Environment::get()?.user(user)?.kubeconfig).await
}

/// One client per kubeconfig: a handshake costs CPU time on both sides. A test is a process with one runtime, which the client belongs to.
async fn shared(kubeconfig: &Path) -> anyhow::Result<Client> {
    static CLIENTS: Mutex<BTreeMap<PathBuf, Client>> = Mutex::new(BTreeMap::new());
    let known = || CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known().get(kubeconfig).cloned();
    if let Some(client) = found {
        return Ok(client);
    }
    let client = Box::pin(client(kubeconfig)).await?;
    known().insert(kubeconfig.to_owned(), client.clone());
    Ok(client)
}

/// A client with a bearer token, and without the certificate of the administrator.
pub async fn with_token(token: &str) -> anyhow::Result<Client> {
    let mut config = config(&Environment::get()?.kubeconfig).await?;
    config.auth_info = AuthInfo {
        token: Some(token.to_owned().into()),
        ..AuthInfo::default()
    };
    client_of(config)
}

/// A kubeconfig with a bearer token, and without the certificate of the administrator.
///
/// # Errors
/// The administrator's kubeconfig names no cluster.
pub fn kubeconfig(token: &str) -> anyhow::Result<Value> {
    let admin = Kubeconfig::read_from(&Environment::get()?.kubeconfig)?;
    let cluster = admin.clusters.into_iter().next().and_then(|one| one.cluster);
    let cluster = cluster.context("a kubeconfig without cluster")?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": {
            "server": cluster.server, "certificate-authority-data": cluster.certificate_authority_data,
        }}],
        "users": [{"name": "it", "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }))
}

/// A client that impersonates `user` in `groups`, by the administrator's permission. The user need not exist.
pub async fn acting_as(user: &str, groups: &[&str]) -> anyhow::Result<Client> {
    let mut config = config(&Environment::get()?.kubeconfig).await?;
    config.auth_info.impersonate = Some(user.to_owned());
    let groups = groups.iter().copied().chain(["system:authenticated"]);
    config.auth_info.impersonate_groups = Some(groups.map(str::to_owned).collect());
    client_of(config)
}

/// A namespace as users have it: it enforces Pod Security `restricted`, and `users` may work with workspaces.
///
/// [`Scratch::finish`] deletes it. A failed test keeps it for inspection, until [`crate::cleanup`] of the next run.
pub struct Scratch {
    /// Name of the namespace.
    pub namespace: String,
    client: Client,
}

impl Scratch {
    /// Creates a namespace whose name starts with `prefix`. There, `users` may also use every template, manager and profile.
    pub async fn new(prefix: &str, users: &[&str]) -> anyhow::Result<Self> {
        let scratch = Self::named_by(prefix).await?;
        if users.is_empty() {
            return Ok(scratch);
        }
        scratch.bind("workspace-user", users).await?;
        let everything = json!([{
            "apiGroups": ["workspaces.jupyter.org"],
            "resources": ["workspacetemplates", "workspacemanagers", "workspaceexecutionprofiles"],
            "verbs": ["use"],
        }]);
        // The API server learns of bindings in their order: with this one it has the one above.
        scratch.grant_all("use-everything", users, &everything).await?;
        Ok(scratch)
    }

    /// Creates a namespace whose name starts with `prefix`. There, `users` have the permissions of the chart's role.
    pub async fn bare(prefix: &str, users: &[&str]) -> anyhow::Result<Self> {
        let scratch = Self::named_by(prefix).await?;
        if let Some(user) = users.first() {
            scratch.bind("workspace-user", users).await?;
            let create = json!({"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": ["create"]});
            scratch.holds(user, &create).await?;
        }
        Ok(scratch)
    }

    async fn named_by(prefix: &str) -> anyhow::Result<Self> {
        let client = admin().await?;
        let namespace: Namespace = serde_json::from_value(json!({
            "metadata": {
                "generateName": format!("{prefix}-"),
                "labels": {
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "e2e.test/scratch": "true",
                    process::LABEL: process::own()?,
                },
            },
        }))?;
        let namespaces = Api::<Namespace>::all(client.clone());
        let name = namespaces
            .create(&PostParams::default(), &namespace)
            .await?
            .name_any();
        teardown::started();
        Ok(Self {
            namespace: name,
            client,
        })
    }

    /// Binds a role of the chart, which is named without the release, to `users` in this namespace.
    pub async fn bind(&self, role: &str, users: &[&str]) -> anyhow::Result<()> {
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": format!("{role}s")},
            "roleRef": {
                "kind": "ClusterRole",
                "apiGroup": "rbac.authorization.k8s.io",
                "name": format!("{}-{role}", Environment::get()?.release),
            },
            "subjects": subjects(users),
        }))?;
        let bindings = self.api::<RoleBinding>();
        bindings.create(&PostParams::default(), &binding).await?;
        Ok(())
    }

    /// Grants `user` the `rules` of a Role in this namespace. `name` is the name of that Role.
    pub async fn grant(&self, name: &str, user: &str, rules: &Value) -> anyhow::Result<()> {
        self.grant_all(name, &[user], rules).await
    }

    /// The same to several users.
    pub async fn grant_all(&self, name: &str, users: &[&str], rules: &Value) -> anyhow::Result<()> {
        let role: Role = serde_json::from_value(json!({"metadata": {"name": name}, "rules": rules}))?;
        self.api::<Role>().create(&PostParams::default(), &role).await?;
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": name},
            "roleRef": {"kind": "Role", "apiGroup": "rbac.authorization.k8s.io", "name": name},
            "subjects": subjects(users),
        }))?;
        self.api::<RoleBinding>()
            .create(&PostParams::default(), &binding)
            .await?;
        // One binding is for all of them.
        if let Some(user) = users.first() {
            for rule in rules.as_array().into_iter().flatten() {
                self.holds(user, rule).await?;
            }
        }
        Ok(())
    }

    /// Waits until the API server applies the first permission of `rule` to `user`.
    pub async fn holds(&self, user: &str, rule: &Value) -> anyhow::Result<()> {
        let first = |list: &str| rule[list][0].as_str().unwrap_or_default();
        let review: SubjectAccessReview = serde_json::from_value(json!({
            "spec": {"user": user, "resourceAttributes": {
                "namespace": self.namespace,
                "group": first("apiGroups"),
                "resource": first("resources"),
                "verb": first("verbs"),
                "name": first("resourceNames"),
            }},
        }))?;
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        wait::until(&format!("{user} to hold {rule}"), wait::USUAL, || async {
            let answer = reviews.create(&PostParams::default(), &review).await;
            let status = answer.map_err(|error| error.to_string())?.status;
            let granted = status.as_ref().is_some_and(|status| status.allowed);
            granted.then_some(()).ok_or_else(|| format!("{status:?}"))
        })
        .await
    }

    /// An API client for this namespace, as administrator.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Deletes the namespace and waits until it is gone.
    /// After its last namespace, the rest of a test may run while the next test runs.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.delete().await?;
        teardown::ended();
        self.gone().await
    }

    /// Like [`Self::finish`], for tests with strict times: no additional test may start during the deletion.
    pub(crate) async fn finish_at_work(self) -> anyhow::Result<()> {
        self.delete().await?;
        self.gone().await
    }

    async fn delete(&self) -> anyhow::Result<()> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await?;
        Ok(())
    }

    async fn gone(&self) -> anyhow::Result<()> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let gone = || async {
            match namespaces.get_opt(&self.namespace).await {
                Ok(None) => Ok(()),
                Ok(Some(namespace)) => Err(format!("{:?}", namespace.status)),
                Err(error) => Err(error.to_string()),
            }
        };
        wait::until_checked_each_second("the namespace to be gone", wait::USUAL, gone).await
    }
}

fn subjects(users: &[&str]) -> Value {
    let subject = |user| json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user});
    users.iter().map(subject).collect()
}

/// Runs a command in a pod's first container and returns its output.
pub async fn exec(pods: &Api<Pod>, pod: &str, command: &[&str]) -> anyhow::Result<String> {
    let attached = AttachParams::default().stderr(true);
    let mut process = pods.exec(pod, command.to_vec(), &attached).await?;
    let (mut out, mut err) = (String::new(), String::new());
    let mut stdout = process.stdout().context("no standard output")?;
    let mut stderr = process.stderr().context("no standard error")?;
    let status = process.take_status().context("no status")?;
    let (read_out, read_err) = tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err));
    read_out?;
    read_err?;
    let status = status.await.context("the command's status was lost")?;
    anyhow::ensure!(
        status.status.as_deref() == Some("Success"),
        "{command:?} in {pod}: {status:?}: {err}"
    );
    Ok(out)
}

/// A pod of one container that meets Pod Security `restricted`. It is as JSON, for [`serde_json::from_value`].
pub fn restricted_pod(name: &str, mut container: Value, volumes: &Value) -> Value {
    container["name"] = json!(name);
    container["securityContext"] = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": volumes,
        },
    })
}

/// Starts a pod of a server at port 8888, and waits until it is ready.
pub async fn run_pod(pods: &Api<Pod>, name: &str, image: &str) -> anyhow::Result<Pod> {
    let server = json!({
        "image": image,
        "imagePullPolicy": "Never",
        "ports": [{"containerPort": 8888}],
        "readinessProbe": {"tcpSocket": {"port": 8888}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    });
    let pod = restricted_pod(name, server, &json!([{"name": "tmp", "emptyDir": {}}]));
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
        .await?;
    wait::until("the test pod to be ready", wait::USUAL, || async {
        let pod = pods.get(name).await.map_err(|error| error.to_string())?;
        if is_ready(&pod) {
            Ok(pod)
        } else {
            Err(format!("{:?}", pod.status))
        }
    })
    .await
}

/// Whether a pod's condition `Ready` is true and it is not being deleted.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// Whether all containers of a pod have ended for good. The pod is listed until it is deleted.
pub fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// The pods of one of the product's components.
pub async fn component_pods(client: Client, component: &str) -> anyhow::Result<Vec<Pod>> {
    let namespace = &Environment::get()?.system_namespace;
    let pods = Api::<Pod>::namespaced(client, namespace);
    Ok(pods.list(&of_component(component)).await?.items)
}

/// Selects the pods of one of the product's components.
pub(crate) fn of_component(component: &str) -> ListParams {
    let selector = format!("app.kubernetes.io/part-of=jupyter-k8s,app.kubernetes.io/component={component}");
    ListParams::default().labels(&selector)
}

/// Metadata with a name.
pub fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}
