//! Notebooks made up in the shape of public ones, one feature each -> what is lost, and a text that comes out (pure).

use import::Outcome;

use crate::kubeflow;
use crate::shapes::told_once;

mod volumes;

/// Feature, fields of the pod and of its first container, beginnings of the paths that are lost, and a text of the files.
type Feature = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
);

const FEATURES: &[Feature] = &[
    (
        "amounts",
        "",
        "resources: {requests: {cpu: 0.5, memory: 1Gi}, limits: {cpu: 1, memory: 2Gi}}",
        &[],
        "cpu: \"0.5\"",
    ),
    (
        "a request alone",
        "",
        "resources: {requests: {memory: 3Gi}}",
        &[],
        "memory: 3Gi",
    ),
    ("no amounts", "", "resources: {}", &[], "gpu:\n      max: \"0\""),
    (
        "one GPU",
        "",
        "resources: {limits: {nvidia.com/gpu: '1'}}",
        &[],
        "gpu:\n      max: \"1\"",
    ),
    (
        "a part of a GPU",
        "",
        "resources: {limits: {nvidia.com/mig-1g.5gb: 1}}",
        &[],
        "nvidia.com/mig-1g.5gb: \"1\"",
    ),
    (
        "another vendor's GPU",
        "",
        "resources: {limits: {amd.com/gpu: 2}}",
        &[],
        "amd.com/gpu:\n        max: \"2\"",
    ),
    (
        "an amount that is none",
        "",
        "resources: {limits: {cpu: many}}",
        &["containers[0].resources.limits.cpu"],
        "image: r.example.org/a:1",
    ),
    (
        "a claim of devices",
        "resourceClaims: [{name: gpu, resourceClaimName: gpu}]",
        "resources: {claims: [{name: gpu}]}",
        &[],
        "resourceClaimName: gpu",
    ),
    (
        "variables of Secrets and fields",
        "",
        "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
        &[],
        "fieldPath: metadata.name",
    ),
    (
        "an address of the node",
        "",
        "env: [{name: B, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]",
        &["containers[0].env[0].name", "containers[0].env[0].valueFrom"],
        "image: r.example.org/a:1",
    ),
    (
        "a variable twice",
        "",
        "env: [{name: A, value: a}, {name: A, value: b}]",
        &["containers[0].env[1]"],
        "value: a",
    ),
    (
        "a variable of ours",
        "",
        "env: [{name: WORKSPACE_UID, value: a}]",
        &["containers[0].env[0]"],
        "image: r.example.org/a:1",
    ),
    (
        "an empty token",
        "",
        "env: [{name: JUPYTER_TOKEN, value: ''}]",
        &[],
        "name: JUPYTER_TOKEN\n    value: \"\"",
    ),
    (
        "variables of a whole ConfigMap",
        "",
        "envFrom: [{configMapRef: {name: m}}]",
        &[],
        "envFrom:",
    ),
    (
        "the path of the Notebook",
        "",
        "args: ['--base=$(NB_PREFIX)', /notebook/team-a/demo]",
        &[],
        "- \"{workspace.basePath}\"",
    ),
    (
        "a command with braces",
        "",
        "command: [sh, -c, 'echo {{x}}']",
        &["containers[0].command"],
        "image: r.example.org/a:1",
    ),
    (
        "a working folder",
        "",
        "workingDir: /srv",
        &[],
        "workingDir: /srv",
    ),
    (
        "another port",
        "",
        "ports: [{containerPort: 8787, name: notebook-port, protocol: TCP}]",
        &[],
        "defaultPort: 8787",
    ),
    (
        "a port of root",
        "",
        "ports: [{containerPort: 80}]",
        &["containers[0].ports[0].containerPort"],
        "image: r.example.org/a:1",
    ),
    (
        "probes",
        "",
        "livenessProbe: {tcpSocket: {port: 8888}}, readinessProbe: {httpGet: {path: /notebook/team-a/demo/api, port: 8888}}",
        &[],
        "livenessProbe:",
    ),
    (
        "hooks",
        "",
        "lifecycle: {postStart: {exec: {command: [sh, -c, setup]}}}",
        &[],
        "defaultLifecycle:",
    ),
    (
        "privileges",
        "",
        "securityContext: {privileged: true, runAsUser: 1000}",
        &["containers[0].securityContext.privileged"],
        "runAsUser: 1000",
    ),
    (
        "the user root",
        "securityContext: {runAsUser: 0, fsGroup: 100}",
        "stdin: false",
        &["securityContext.runAsUser"],
        "fsGroup: 100",
    ),
    (
        "the node's network",
        "hostNetwork: true, hostPID: false",
        "stdin: false",
        &["hostNetwork"],
        "image: r.example.org/a:1",
    ),
    (
        "a cluster's own priority",
        "priorityClassName: system-node-critical",
        "stdin: false",
        &["priorityClassName"],
        "image: r.example.org/a:1",
    ),
    (
        "a runtime class",
        "runtimeClassName: nvidia",
        "stdin: false",
        &[],
        "runtimeClassName: nvidia",
    ),
    (
        "pull Secrets",
        "imagePullSecrets: [{name: registry}]",
        "stdin: false",
        &[],
        "imagePullSecrets:\n  - name: registry",
    ),
    (
        "a token without an account",
        "automountServiceAccountToken: true",
        "stdin: false",
        &["automountServiceAccountToken"],
        "image: r.example.org/a:1",
    ),
    (
        "an account without a token",
        "serviceAccountName: reader, automountServiceAccountToken: false",
        "stdin: false",
        &[],
        "name: reader",
    ),
    (
        "affinity",
        "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}",
        "stdin: false",
        &[],
        "defaultAffinity:",
    ),
    (
        "tolerations",
        "tolerations: [{key: a, operator: Exists}]",
        "stdin: false",
        &[],
        "defaultTolerations:",
    ),
    (
        "spread over zones",
        "topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]",
        "stdin: false",
        &[],
        "maxSkew: 1",
    ),
    (
        "another scheduler",
        "schedulerName: volcano",
        "stdin: false",
        &[],
        "schedulerName: volcano",
    ),
    (
        "an init container of root",
        "initContainers: [{name: i, image: 'r.example.org/i:1', securityContext: {runAsUser: 0}}]",
        "stdin: false",
        &["initContainers[0]"],
        "image: r.example.org/a:1",
    ),
    (
        "an init container without an image",
        "initContainers: [{name: i}]",
        "stdin: false",
        &["initContainers[0]"],
        "image: r.example.org/a:1",
    ),
    (
        "a digest",
        "",
        "imagePullPolicy: Always",
        &["containers[0].imagePullPolicy"],
        "image: r.example.org/a:1",
    ),
    (
        "a liveness probe of the Notebook's path",
        "",
        "livenessProbe: {httpGet: {path: /notebook/team-a/demo/api, port: 8888}}",
        &["containers[0].livenessProbe"],
        "image: r.example.org/a:1",
    ),
    (
        "names of hosts",
        "hostAliases: [{ip: 10.0.0.1, hostnames: [db]}]",
        "stdin: false",
        &[],
        "hostAliases:",
    ),
    (
        "time to end",
        "terminationGracePeriodSeconds: 90",
        "stdin: false",
        &[],
        "terminationGracePeriodSeconds: 90",
    ),
    (
        "a further port",
        "",
        "ports: [{containerPort: 8888}, {containerPort: 6006, name: board}]",
        &[],
        "containerPort: 6006",
    ),
    (
        "a connection string",
        "",
        "env: [{name: CONN, value: 'Server=x;User=y;Password=never-shown'}]",
        &[],
        "key: CONN",
    ),
    (
        "a flag and its password",
        "",
        "args: [--password, never-shown]",
        &["containers[0].args"],
        "image: r.example.org/a:1",
    ),
    (
        "a password from a variable",
        "",
        "args: [--password, $(PASSWORD)]",
        &[],
        "- $(PASSWORD)",
    ),
    (
        "fields that nobody knows",
        "someday: 1",
        "tomorrow: {a: [b]}",
        &["someday", "containers[0].tomorrow"],
        "image: r.example.org/a:1",
    ),
];

#[test]
fn each_feature_comes_over_or_is_lost_by_name() {
    let mut wrong = Vec::new();
    for (feature, pod, container, lost, text) in FEATURES.iter().chain(volumes::FEATURES) {
        let comma = if pod.is_empty() { "" } else { ", " };
        let source = format!(
            "{{apiVersion: kubeflow.org/v1, kind: Notebook, metadata: {{name: demo, namespace: team-a, annotations: \
             {{notebooks.kubeflow.org/creator: alice}}}}, spec: {{template: {{spec: {{{pod}{comma}containers: [{{name: demo, image: \
             'r.example.org/a:1', {container}}}]}}}}}}}}"
        );
        let import = match kubeflow(&source) {
            Ok(import) => import,
            Err(error) => {
                wrong.push(format!("{feature}: {error}"));
                continue;
            }
        };
        let object = serde_saphyr::from_str(&source).unwrap();
        if let Err(error) = told_once(&import, &[(&object, "Notebook team-a/demo")]) {
            wrong.push(format!("{feature}: {error}"));
        }
        let found = import
            .entries
            .iter()
            .filter(|entry| entry.outcome == Outcome::Lost);
        let found: Vec<_> = found
            .map(|entry| entry.path.trim_start_matches("spec.template.spec."))
            .collect();
        let is_expected = |path: &&str| lost.iter().any(|start| path.starts_with(start));
        let is_found = |start: &&str| found.iter().any(|path| path.starts_with(start));
        if !found.iter().all(is_expected) || !lost.iter().all(is_found) {
            let lines = import
                .entries
                .iter()
                .filter(|entry| entry.outcome == Outcome::Lost);
            let why: Vec<_> = lines.map(|entry| entry.text.as_str()).collect();
            wrong.push(format!("{feature}: lost are {found:?}, not {lost:?}: {why:?}"));
        }
        if !import.files.iter().any(|file| file.text.contains(text)) {
            wrong.push(format!("{feature}: no file holds {text}"));
        }
        if import.files.iter().any(|file| file.text.contains("never-shown")) {
            wrong.push(format!("{feature}: a file shows a credential"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
