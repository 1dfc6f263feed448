//! Layout -> command lines of etcd and Kubernetes' control plane (pure).

use std::path::PathBuf;

use super::layout::{IDENTITY_HOST, Layout, NODE_ADDRESS, POD_RANGE, SERVICE_RANGE};
use super::process::Service;

/// The identity providers that the API server trusts: none, until this file is replaced. The API server reads a changed file without a
/// restart.
pub(crate) const AUTHENTICATION: (&str, &str) = (
    "authentication.json",
    r#"{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": []}"#,
);

/// Content of the API server's audit log: user and call, without bodies. Tests count calls with it.
pub(crate) const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

/// The node's own `/etc/hosts`: the machine's does not know the identity provider.
pub(crate) fn hosts() -> String {
    format!("127.0.0.1 localhost\n::1 localhost\n{NODE_ADDRESS} {IDENTITY_HOST}\n")
}

/// A process in the node's network.
pub(crate) fn service(name: &'static str, program: PathBuf, args: Vec<String>) -> Service {
    Service { name, program, args }
}

/// etcd. Its data lives only as long as the node, so it need not be synced to the disk.
pub(crate) fn etcd(layout: &Layout) -> Service {
    let args = [
        format!("--data-dir={}", layout.text("etcd")),
        "--listen-client-urls=http://127.0.0.1:2379".to_owned(),
        "--advertise-client-urls=http://127.0.0.1:2379".to_owned(),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        "--unsafe-no-fsync".to_owned(),
    ];
    service("etcd", layout.file("bin/etcd"), args.to_vec())
}

/// The API server.
pub(crate) fn apiserver(layout: &Layout) -> Service {
    let pki = |name: &str| layout.text(&format!("pki/{name}"));
    let args = [
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        "--secure-port=6443".to_owned(),
        format!("--advertise-address={NODE_ADDRESS}"),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        format!("--cert-dir={}", layout.text("apiserver")),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--service-account-key-file={}", pki("accounts.pub")),
        format!("--service-account-signing-key-file={}", pki("accounts.key")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--kubelet-client-certificate={}", pki("admin.crt")),
        format!("--kubelet-client-key={}", pki("admin.key")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--requestheader-client-ca-file={}", pki("front-ca.crt")),
        "--requestheader-allowed-names=front-proxy".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        format!("--proxy-client-cert-file={}", pki("front.crt")),
        format!("--proxy-client-key-file={}", pki("front.key")),
        "--enable-aggregator-routing=true".to_owned(),
        format!("--audit-policy-file={}", layout.text("audit-policy.yaml")),
        format!("--audit-log-path={}", layout.text("audit/audit.log")),
        "--audit-log-maxsize=200".to_owned(),
        "--audit-log-maxbackup=2".to_owned(),
    ];
    service("kube-apiserver", layout.file("bin/kube-apiserver"), args.to_vec())
}

/// The API server, which also trusts the identity providers of [`AUTHENTICATION`].
pub(crate) fn apiserver_with_providers(layout: &Layout) -> Service {
    let mut service = apiserver(layout);
    service.args.push(format!(
        "--authentication-config={}",
        layout.text(AUTHENTICATION.0)
    ));
    service
}

/// The controller manager. Its request limits are raised, so that a scale test does not measure them.
pub(crate) fn controllers(layout: &Layout) -> Service {
    let pki = |name: &str| layout.text(&format!("pki/{name}"));
    let mut args = client(layout, "controllers");
    args.extend([
        format!("--service-account-private-key-file={}", pki("accounts.key")),
        format!("--root-ca-file={}", pki("ca.crt")),
        format!("--cluster-signing-cert-file={}", pki("ca.crt")),
        format!("--cluster-signing-key-file={}", pki("ca.key")),
        format!("--cert-dir={}", layout.text("controllers")),
        "--use-service-account-credentials".to_owned(),
        "--allocate-node-cidrs".to_owned(),
        format!("--cluster-cidr={POD_RANGE}"),
    ]);
    service(
        "kube-controller-manager",
        layout.file("bin/kube-controller-manager"),
        args,
    )
}

/// The scheduler.
pub(crate) fn scheduler(layout: &Layout) -> Service {
    let mut args = client(layout, "scheduler");
    args.push(format!("--cert-dir={}", layout.text("scheduler")));
    service("kube-scheduler", layout.file("bin/kube-scheduler"), args)
}

/// What controller manager and scheduler have in common: there is one of each, so no leader is elected.
fn client(layout: &Layout, user: &str) -> Vec<String> {
    let kubeconfig = layout.kubeconfig(user).display().to_string();
    vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        "--leader-elect=false".to_owned(),
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ]
}
