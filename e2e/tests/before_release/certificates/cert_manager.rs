//! The program in `JUPYTER_K8S_CERT_MANAGER` -> cert-manager with an account and a certificate authority of its own (IO).

use std::{
    env, fs,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, ensure};
use e2e::{
    Environment, cluster::Scratch, command::administered, definitions, process, service_account, wait,
};
use k8s_openapi::api::core::v1::Secret;
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Its kinds.
const KINDS: [&str; 4] = [
    "certificaterequests.cert-manager.io",
    "certificates.cert-manager.io",
    "clusterissuers.cert-manager.io",
    "issuers.cert-manager.io",
];
/// The Secret of the authority, in the test's namespace.
const AUTHORITY: &str = "authority";

/// cert-manager as a process of this machine. It ends with the thread that started it.
pub(crate) struct CertManager {
    /// Name of the `ClusterIssuer`, and of the account's rights.
    pub(crate) issuer: String,
    /// Certificate of the issuer's authority, PEM.
    pub(crate) authority: String,
    process: Mutex<Child>,
    folder: TempDir,
}

impl CertManager {
    /// Installs its kinds, starts it, and waits until its `ClusterIssuer` is ready.
    pub(crate) async fn start(scratch: &Scratch) -> anyhow::Result<Self> {
        definitions::install("cert-manager.yaml", &KINDS).await?;
        let name = scratch.namespace.as_str();
        service_account::make(scratch).await?;
        apply(&account(name)?).await?;
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        fs::write(&kubeconfig, self::kubeconfig(scratch).await?.to_string())?;
        let program = env::var("JUPYTER_K8S_CERT_MANAGER")
            .context("JUPYTER_K8S_CERT_MANAGER is not set: run the tests by `./justw test`")?;
        let log = fs::File::create(folder.path().join("log"))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", &program]);
        command.arg(format!("--kubeconfig={}", kubeconfig.display()));
        command.arg(format!("--cluster-resource-namespace={name}"));
        // The API server is reached directly, even if this machine uses a proxy.
        command.envs(["NO_PROXY", "no_proxy"].map(|name| (name, "*")));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let mut started = Self {
            issuer: name.to_owned(),
            authority: String::new(),
            process: Mutex::new(process),
            folder,
        };
        apply(&authority(name)).await?;
        let ready = started.ready(&format!("clusterissuer/{name}"), name).await;
        ready.with_context(|| started.log())?;
        let secret = scratch.api::<Secret>().get(AUTHORITY).await?;
        started.authority = text(&secret, "tls.crt")?;
        Ok(started)
    }

    /// Waits until an object of its kinds is ready.
    pub(crate) async fn ready(&self, object: &str, namespace: &str) -> anyhow::Result<()> {
        wait::until(&format!("{object} to be ready"), wait::USUAL, || async {
            let wait = [
                "wait",
                "--for=condition=Ready",
                "--timeout=5s",
                object,
                "-n",
                namespace,
            ];
            administered(&wait, "")
                .await
                .map_err(|error| format!("{error:#}"))
        })
        .await
        .map(drop)
    }

    /// Asks for another certificate in place of a valid one, as `cmctl renew` does.
    pub(crate) async fn renew(certificate: &str, namespace: &str) -> anyhow::Result<()> {
        let read = ["get", "certificate", certificate, "-n", namespace, "-o", "json"];
        let object: Value = serde_json::from_str(&administered(&read, "").await?)?;
        let mut conditions = object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions.retain(|condition| condition["type"] != "Issuing");
        conditions.push(json!({
            "type": "Issuing",
            "status": "True",
            "reason": "ManuallyTriggered",
            "message": "a test asked for it",
            "lastTransitionTime": object["metadata"]["creationTimestamp"],
            "observedGeneration": object["metadata"]["generation"],
        }));
        let patch = json!({"status": {"conditions": conditions}}).to_string();
        let patch = [
            "patch",
            "certificate",
            certificate,
            "-n",
            namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        administered(&patch, "").await.map(drop)
    }

    /// Ends the process.
    pub(crate) fn stop(&self) -> anyhow::Result<()> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = process.try_wait()?;
        process.kill()?;
        process.wait()?;
        ensure!(ended.is_none(), "cert-manager had ended: {}", self.log());
        Ok(())
    }

    /// Removes its kinds, and with them all objects of them.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        for kind in KINDS {
            definitions::remove(kind).await?;
        }
        let rights = [
            "delete",
            "clusterrole,clusterrolebinding",
            &self.issuer,
            "--ignore-not-found",
        ];
        administered(&rights, "").await.map(drop)
    }

    /// What it has printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// A failed start leaves no process.
impl Drop for CertManager {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// A file of a Secret.
pub(crate) fn text(secret: &Secret, key: &str) -> anyhow::Result<String> {
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    let bytes = data.with_context(|| format!("the Secret has no {key}"))?;
    Ok(String::from_utf8(bytes.0.clone())?)
}

pub(crate) async fn apply(objects: &[Value]) -> anyhow::Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    administered(&["apply", "--server-side", "-f", "-"], &list.to_string())
        .await
        .map(drop)
}

/// A kubeconfig with a token of the account.
async fn kubeconfig(scratch: &Scratch) -> anyhow::Result<Value> {
    let token = service_account::token(scratch, None).await?;
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

/// Rights of the account: those of cert-manager's own chart for these controllers.
fn account(name: &str) -> anyhow::Result<[Value; 2]> {
    let metadata =
        json!({"name": name, "labels": {"e2e.test/scratch": "true", process::LABEL: process::own()?}});
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata,
        "rules": [
            {"apiGroups": ["cert-manager.io"], "resources": ["*"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create", "update", "delete", "patch"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": service_account::NAME, "namespace": name}],
    });
    Ok([role, binding])
}

/// An issuer that signs itself, the authority that it signs, and the issuer of certificates by that authority.
fn authority(namespace: &str) -> [Value; 3] {
    let of = |name: &str| json!({"name": name, "namespace": namespace});
    [
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": of("root"), "spec": {"selfSigned": {}},
        }),
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": of(AUTHORITY),
            "spec": {
                "isCA": true, "commonName": "authority of a test", "secretName": AUTHORITY,
                "privateKey": {"algorithm": "ECDSA", "size": 256}, "issuerRef": {"name": "root", "kind": "Issuer"},
            },
        }),
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": namespace},
            "spec": {"ca": {"secretName": AUTHORITY}},
        }),
    ]
}
