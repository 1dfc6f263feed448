//! Program in `JUPYTER_K8S_CERT_MANAGER` -> cert-manager with a certificate authority (IO).

use anyhow::Context as _;
use e2e::{
    cluster::{Scratch, program::Program, service_account},
    command::{administered, apply},
    installation::definitions,
    wait,
};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

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
    program: Program,
}

impl CertManager {
    /// Installs its kinds, starts it, and waits until its `ClusterIssuer` is ready.
    pub(crate) async fn start(scratch: &Scratch) -> anyhow::Result<Self> {
        definitions::install("cert-manager.yaml", &KINDS).await?;
        let name = scratch.namespace.as_str();
        service_account::make(scratch).await?;
        service_account::grant(scratch, &rules()).await?;
        let program = Program::start("JUPYTER_K8S_CERT_MANAGER", scratch, |kubeconfig| {
            vec![
                format!("--kubeconfig={kubeconfig}"),
                format!("--cluster-resource-namespace={name}"),
            ]
        })
        .await?;
        let mut started = Self {
            issuer: name.to_owned(),
            authority: String::new(),
            program,
        };
        apply(&authority(name)).await?;
        let ready = started.ready(&format!("clusterissuer/{name}"), name).await;
        ready.with_context(|| started.program.log())?;
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
        self.program.stop()
    }

    /// Removes its kinds, and with them all objects of them.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        for kind in KINDS {
            definitions::remove(kind).await?;
        }
        service_account::revoke(&self.issuer).await
    }

    /// What it has printed.
    pub(crate) fn log(&self) -> String {
        self.program.log()
    }
}

/// A file of a Secret.
pub(crate) fn text(secret: &Secret, key: &str) -> anyhow::Result<String> {
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    let bytes = data.with_context(|| format!("the Secret has no {key}"))?;
    Ok(String::from_utf8(bytes.0.clone())?)
}

/// Rights of the account: those of cert-manager's own chart for these controllers.
fn rules() -> Value {
    json!([
        {"apiGroups": ["cert-manager.io"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create", "update", "delete", "patch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    ])
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
