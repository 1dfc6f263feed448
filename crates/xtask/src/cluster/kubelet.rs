//! Layout -> configuration and command lines of kubelet and kube-proxy (pure).

use super::containerd::SOCKET;
use super::control_plane::service;
use super::layout::{CGROUP, DNS_SERVICE, Layout, NODE, NODE_ADDRESS, POD_RANGE};
use super::process::Service;

/// The kubelet's configuration file.
pub(crate) fn config(layout: &Layout) -> String {
    let socket = layout.text(SOCKET);
    let pki = |name: &str| layout.text(&format!("pki/{name}"));
    // All pods are below our own cgroup. Images are imported and never pulled, so none may be collected. Pods resolve cluster names only:
    // the node has no resolver of its own. Lowering an oom_score_adj needs a capability that root may lack in a virtual machine or
    // container, so it is 0. Of a container without memory, one process ends: control groups of version 1 know nothing else.
    format!(
        "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: /{CGROUP}
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
singleProcessOOMKill: true
containerRuntimeEndpoint: unix://{socket}
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {authority}}}
authorization: {{mode: Webhook}}
tlsCertFile: {certificate}
tlsPrivateKeyFile: {key}
clusterDNS: [{DNS_SERVICE}]
clusterDomain: cluster.local
resolvConf: /dev/null
imageGCHighThresholdPercent: 100
evictionHard: {{memory.available: 100Mi}}
maxPods: 250
kubeAPIQPS: 200
kubeAPIBurst: 400
podLogsDir: {logs}
volumePluginDir: {plugins}
",
        authority = pki("ca.crt"),
        certificate = pki("kubelet.crt"),
        key = pki("kubelet.key"),
        logs = layout.text("pods"),
        plugins = layout.text("kubelet/volume-plugins"),
    )
}

/// The kubelet.
pub(crate) fn kubelet(layout: &Layout) -> Service {
    let args = [
        format!("--config={}", layout.text("kubelet.yaml")),
        format!("--kubeconfig={}", layout.kubeconfig("kubelet").display()),
        format!("--hostname-override={NODE}"),
        format!("--node-ip={NODE_ADDRESS}"),
        format!("--root-dir={}", layout.text("kubelet")),
        format!("--cert-dir={}", layout.text("kubelet/pki")),
    ];
    service("kubelet", layout.file("bin/kubelet"), args.to_vec())
}

/// kube-proxy. It does not change the machine's limits of connection tracking.
pub(crate) fn proxy(layout: &Layout) -> Service {
    let args = [
        format!("--kubeconfig={}", layout.kubeconfig("proxy").display()),
        format!("--hostname-override={NODE}"),
        format!("--cluster-cidr={POD_RANGE}"),
        "--proxy-mode=iptables".to_owned(),
        "--conntrack-max-per-core=0".to_owned(),
        "--oom-score-adj=0".to_owned(),
    ];
    service("kube-proxy", layout.file("bin/kube-proxy"), args.to_vec())
}
