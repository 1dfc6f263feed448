//! The earlier jupyter-k8s, one feature each -> what is lost, and a text that comes out (pure).

use import::{Import, Outcome};

use super::{GROUP, object};
use crate::jupyter_k8s;
use crate::shapes::told_once;

/// Kind, feature, fields of the spec, beginnings of the paths that are lost, and a text of the files.
const FEATURES: &[(&str, &str, &str, &[&str], &str)] = &[
    (
        "Workspace",
        "amounts",
        "resources: {limits: {cpu: 1, memory: 2Gi}}",
        &[],
        "requests:\n      cpu: \"1\"",
    ),
    (
        "Workspace",
        "an amount that is none",
        "resources: {limits: {cpu: many}}",
        &["spec.resources"],
        "image: r.example.org/a:1",
    ),
    (
        "Workspace",
        "a claim of devices",
        "resources: {claims: [{name: gpu}]}",
        &["spec.resources"],
        "image: r.example.org/a:1",
    ),
    (
        "Workspace",
        "no disk",
        "displayName: a",
        &[],
        "team-a workspaces.workspace.jupyter.org/demo demo - -",
    ),
    (
        "Workspace",
        "a disk",
        "storage: {size: 5Gi}",
        &[],
        "claimName: workspace-demo-pvc",
    ),
    (
        "Workspace",
        "a disk of bytes",
        "storage: {size: 1000000000}",
        &[],
        "claimName: workspace-demo-pvc",
    ),
    (
        "Workspace",
        "a home elsewhere",
        "storage: {mountPath: /work}",
        &[],
        "mountPath: /work",
    ),
    (
        "Workspace",
        "a disk over a system folder",
        "storage: {mountPath: /etc}",
        &["spec.storage.mountPath"],
        "claimName: workspace-demo-pvc",
    ),
    (
        "Workspace",
        "a volume of the home's name",
        "volumes: [{name: workspace-storage, persistentVolumeClaimName: c, mountPath: /c}]",
        &["spec.volumes"],
        "image: r.example.org/a:1",
    ),
    (
        "Workspace",
        "access of the owner",
        "accessType: OwnerOnly",
        &[],
        "accessType: OwnerOnly",
    ),
    (
        "Workspace",
        "access that nobody wrote",
        "displayName: a",
        &[],
        "accessType: Public",
    ),
    (
        "Workspace",
        "an access that is none",
        "accessType: Nobody",
        &["spec.accessType"],
        "accessType: Public",
    ),
    (
        "Workspace",
        "minutes of an old version",
        "idleShutdown: {enabled: true, timeoutMinutes: 20, detection: {}}",
        &[],
        "idleTimeoutInMinutes: 20",
    ),
    (
        "Workspace",
        "minutes beyond every bound",
        "idleShutdown: {enabled: true, idleTimeoutInMinutes: 9000000}",
        &["spec.idleShutdown.idleTimeoutInMinutes"],
        "enabled: true",
    ),
    (
        "Workspace",
        "an own idle path",
        "idleShutdown: {enabled: true, idleTimeoutInMinutes: 20, detection: {httpGet: {path: /idle, port: 8888}}}",
        &[],
        "responseBodyPath: lastActiveTimestamp",
    ),
    (
        "Workspace",
        "a named port",
        "idleShutdown: {enabled: true, idleTimeoutInMinutes: 20, detection: {httpGet: {path: /api/status, port: http}}}",
        &["spec.idleShutdown.detection.httpGet.port"],
        "path: /api/status",
    ),
    (
        "Workspace",
        "an account",
        "serviceAccountName: reader",
        &[],
        "automountToken: true",
    ),
    (
        "Workspace",
        "shared memory as large as memory",
        "sharedMemory: {enabled: true}, resources: {limits: {cpu: 1, memory: 2Gi}}",
        &[],
        "shmSize: 2Gi",
    ),
    (
        "Workspace",
        "no shared memory",
        "sharedMemory: {enabled: false}",
        &["spec.sharedMemory"],
        "image: r.example.org/a:1",
    ),
    (
        "Workspace",
        "a password in a command",
        "containerConfig: {command: [sh, -c, 'x --password never-shown']}",
        &["spec.containerConfig.command"],
        "image: r.example.org/a:1",
    ),
    (
        "Workspace",
        "privileges",
        "containerSecurityContext: {privileged: true}",
        &["spec.containerSecurityContext"],
        "image: r.example.org/a:1",
    ),
    (
        "Workspace",
        "an init container of another volume",
        "initContainers: [{name: i, image: 'r.example.org/i:1', volumeMounts: [{name: other, mountPath: /o}]}]",
        &["spec.initContainers[0]"],
        "image: r.example.org/a:1",
    ),
    (
        "Workspace",
        "integrations",
        "integrationTemplateRefs: [{name: ray}]",
        &["spec.integrationTemplateRefs"],
        "image: r.example.org/a:1",
    ),
    (
        "Workspace",
        "a template that is not there",
        "templateRef: {name: gone}",
        &["spec.templateRef"],
        "name: jupyter-k8s-",
    ),
    (
        "Workspace",
        "fields that nobody knows",
        "tomorrow: {a: [b]}",
        &["spec.tomorrow"],
        "image: r.example.org/a:1",
    ),
    (
        "WorkspaceTemplate",
        "access that nobody wrote",
        "description: a",
        &[],
        "defaultAccessType: Public",
    ),
    (
        "WorkspaceTemplate",
        "any image",
        "allowCustomImages: true",
        &[],
        "allowCustomImages: true",
    ),
    (
        "WorkspaceTemplate",
        "a default image beside the allowed ones",
        "allowedImages: ['r.example.org/b:1']",
        &[],
        "- r.example.org/a:1",
    ),
    (
        "WorkspaceTemplate",
        "bounds by name",
        "resourceBounds: {resources: {cpu: {min: 1, max: 2}}}",
        &[],
        "max: \"2\"",
    ),
    (
        "WorkspaceTemplate",
        "bounds of an old version",
        "resourceBounds: {cpu: {min: '1', max: '2'}}",
        &[],
        "max: \"2\"",
    ),
    (
        "WorkspaceTemplate",
        "bounds the wrong way",
        "resourceBounds: {cpu: {min: '3', max: '2'}}",
        &["spec.resourceBounds.cpu"],
        "defaultAccessType: Public",
    ),
    (
        "WorkspaceTemplate",
        "a part of a value",
        "envRequirements: [{name: A, regex: b}]",
        &[],
        "(?s:.*)(?:b)(?s:.*)",
    ),
    (
        "WorkspaceTemplate",
        "labels",
        "baseLabels: [{key: a, value: b}], labelRequirements: [{key: a, required: true}]",
        &[],
        "- name: a\n    value: b",
    ),
    (
        "WorkspaceTemplate",
        "no change of idleness without a default",
        "idleShutdownOverrides: {allow: false}",
        &["spec.idleShutdownOverrides.allow"],
        "defaultAccessType: Public",
    ),
    (
        "WorkspaceTemplate",
        "an escape",
        "defaultContainerConfig: {args: ['{{x}}']}",
        &["spec.defaultContainerConfig.args"],
        "defaultAccessType: Public",
    ),
    (
        "WorkspaceTemplate",
        "a strategy that is not there",
        "defaultAccessStrategy: {name: gone}",
        &["spec.defaultAccessStrategy"],
        "defaultAccessType: Public",
    ),
    (
        "WorkspaceTemplate",
        "shared memory that is locked",
        "defaultSharedMemory: {}, sharedMemoryOverrides: {allow: false}",
        &["spec.sharedMemoryOverrides"],
        "defaultAccessType: Public",
    ),
];

fn lost(import: &Import) -> Vec<&str> {
    let lost = import
        .entries
        .iter()
        .filter(|entry| entry.outcome == Outcome::Lost);
    lost.map(|entry| entry.path.as_str()).collect()
}

#[test]
fn each_feature_comes_over_or_is_lost_by_name() {
    let mut wrong = Vec::new();
    for (kind, feature, spec, expected, words) in FEATURES {
        let source = object(GROUP, kind, "demo", spec);
        let import = match jupyter_k8s(&source) {
            Ok(import) => import,
            Err(error) => {
                wrong.push(format!("{feature}: {error}"));
                continue;
            }
        };
        let whole = serde_saphyr::from_str(&source).unwrap();
        if let Err(error) = told_once(&import, &[(&whole, &format!("{kind} team-a/demo"))]) {
            wrong.push(format!("{feature}: {error}"));
        }
        // A template's annotation belongs to a Workspace.
        let mut found = lost(&import);
        found.retain(|path| !path.starts_with("metadata."));
        let is_expected = |path: &&str| expected.iter().any(|start| path.starts_with(start));
        let is_found = |start: &&str| found.iter().any(|path| path.starts_with(start));
        if !found.iter().all(is_expected) || !expected.iter().all(is_found) {
            wrong.push(format!("{feature}: lost are {found:?}, not {expected:?}"));
        }
        if !import.files.iter().any(|file| file.text.contains(words)) {
            wrong.push(format!("{feature}: no file holds {words}"));
        }
        if import.files.iter().any(|file| file.text.contains("never-shown")) {
            wrong.push(format!("{feature}: a file shows a credential"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
