//! Leaf of a Kubeflow object -> what becomes of it (pure).

use crate::draft::Target::{Profile, Template, Workspace};
use crate::table::Rule::{Code, Lost, Same, SameIf, Stays, To};
use crate::table::{SERVERS, Table};

/// Annotation: who made the Notebook.
pub(super) const CREATOR: &str = "notebooks.kubeflow.org/creator";
/// Annotation: `jupyter`, `group-one` (VS Code) or `group-two` (R).
pub(super) const SERVER_TYPE: &str = "notebooks.kubeflow.org/server-type";

const PROBES: &str = "only a readiness probe is set here: let the program end when it is broken, and the container starts again";
const NODE: &str = "no pod shares network or processes of the node here";

/// A Notebook, without its pod.
pub(super) const NOTEBOOK: &Table = &[
    ("metadata.name", Code),
    ("metadata.namespace", Code),
    ("metadata.labels", To(Workspace, "metadata.labels")),
    ("metadata.annotations[notebooks.kubeflow.org/creator]", Code),
    ("metadata.annotations[notebooks.kubeflow.org/server-type]", Code),
    (
        "metadata.annotations[kubeflow-resource-stopped]",
        Same("every workspace comes over stopped"),
    ),
    (
        "metadata.annotations[notebooks.kubeflow.org/last-activity]",
        Stays("Kubeflow's record of use: idle time counts from the first start here"),
    ),
    (
        "metadata.annotations[notebooks.kubeflow.org/last_activity_check_timestamp]",
        Stays("Kubeflow's record of use: idle time counts from the first start here"),
    ),
    (
        "metadata.annotations[notebooks.kubeflow.org/http-rewrite-uri]",
        Lost(
            "no proxy rewrites paths here: the template's defaultContainerConfig gives the program {workspace.basePath}",
        ),
    ),
    (
        "metadata.annotations[notebooks.kubeflow.org/http-headers-request-set]",
        Lost(
            "no proxy adds headers here: the template's defaultContainerConfig gives the program {workspace.basePath}",
        ),
    ),
    (
        "metadata.annotations",
        Lost("nothing here reads it: kubectl annotate writes it to the Workspace, if a tool of yours does"),
    ),
    ("spec.template.metadata.creationTimestamp", Stays(SERVERS)),
];

/// A `PodDefault`, without what it adds to pods.
pub(super) const POD_DEFAULT: &Table = &[
    ("metadata", Stays("the PodDefault's own")),
    (
        "spec.selector",
        Stays("it chose the Notebooks; their templates have the rest"),
    ),
    (
        "spec.desc",
        Same("a description for people: the template has one of its own"),
    ),
];

/// The first container of a Notebook; also what a `PodDefault` adds to it.
pub(super) const MAIN: &Table = &[
    ("name", Same("the container has its name from the operator")),
    ("image", To(Workspace, "spec.image")),
    (
        "imagePullPolicy",
        SameIf(
            &["IfNotPresent"],
            "the installation decides: settings.imagePullPolicy of the chart",
        ),
    ),
    ("resources", Code),
    ("env", Code),
    (
        "envFrom",
        Lost(
            "variables are named one by one: write them to the template's environmentVariables with valueFrom",
        ),
    ),
    ("command", To(Template, "spec.defaultContainerConfig.command")),
    ("args", To(Template, "spec.defaultContainerConfig.args")),
    (
        "workingDir",
        SameIf(
            &["/home/jovyan"],
            "the image decides where it starts: begin the template's command with a change of folder",
        ),
    ),
    ("ports[0].containerPort", To(Template, "spec.defaultPort")),
    ("ports[0]", Same("the operator names the port")),
    (
        "ports",
        Lost("a workspace has one port: let the program serve the rest below it"),
    ),
    ("readinessProbe", To(Template, "spec.defaultReadinessProbe")),
    ("livenessProbe", Lost(PROBES)),
    ("startupProbe", Lost(PROBES)),
    ("lifecycle", To(Template, "spec.defaultLifecycle")),
    (
        "securityContext",
        To(Template, "spec.defaultContainerSecurityContext"),
    ),
    ("volumeMounts", Code),
    ("terminationMessagePath", Same("the operator sets it")),
    ("terminationMessagePolicy", Same("the operator sets it")),
    (
        "stdin",
        SameIf(
            &["false"],
            "no workspace has a terminal of the container: connect by ssh",
        ),
    ),
    (
        "tty",
        SameIf(
            &["false"],
            "no workspace has a terminal of the container: connect by ssh",
        ),
    ),
];

/// The pod of a Notebook, without containers; also what a `PodDefault` adds to it.
pub(super) const POD: &Table = &[
    ("containers", Code),
    ("initContainers", Code),
    ("sidecars", Code),
    ("volumes", Code),
    ("automountServiceAccountToken", Code),
    ("serviceAccountName", To(Profile, "spec.serviceAccount.name")),
    ("serviceAccount", Same("serviceAccountName says it")),
    ("imagePullSecrets", To(Profile, "spec.imagePullSecrets")),
    ("priorityClassName", To(Profile, "spec.priorityClassName")),
    ("runtimeClassName", To(Profile, "spec.runtimeClassName")),
    ("nodeSelector", To(Template, "spec.defaultNodeSelector")),
    ("affinity", To(Template, "spec.defaultAffinity")),
    ("tolerations", To(Template, "spec.defaultTolerations")),
    ("securityContext", To(Template, "spec.defaultPodSecurityContext")),
    ("priority", Same("priorityClassName says it")),
    (
        "preemptionPolicy",
        SameIf(&["PreemptLowerPriority"], "the priority class decides"),
    ),
    (
        "restartPolicy",
        SameIf(&["Always"], "the operator decides when containers start again"),
    ),
    (
        "dnsPolicy",
        SameIf(
            &["ClusterFirst"],
            "no field here says it: pods resolve names by the cluster",
        ),
    ),
    (
        "schedulerName",
        SameIf(&["default-scheduler"], "no field here names a scheduler"),
    ),
    (
        "terminationGracePeriodSeconds",
        SameIf(
            &["30"],
            "no field here says it: the operator decides how long a pod may take to end",
        ),
    ),
    (
        "enableServiceLinks",
        SameIf(
            &["false"],
            "pods get no variables of Services here: use their DNS names",
        ),
    ),
    ("hostNetwork", SameIf(&["false"], NODE)),
    ("hostPID", SameIf(&["false"], NODE)),
    ("hostIPC", SameIf(&["false"], NODE)),
];

/// Why what the code leaves of a pod is lost. Patterns are below a pod's or a container's list.
pub(super) const REASONS: &[(&str, &str)] = &[
    (
        "spec.template.spec.containers[0].volumeMounts[].subPath",
        SUB_PATH,
    ),
    ("spec.volumeMounts[].subPath", SUB_PATH),
    ("spec.template.spec.containers[0].volumeMounts", MOUNT),
    ("spec.volumeMounts", MOUNT),
    (
        "spec.template.spec.volumes[].hostPath",
        "nothing here mounts folders of the node: make a PersistentVolume and a claim",
    ),
    ("spec.template.spec.volumes[].secret", SECRET),
    ("spec.volumes[].secret", SECRET),
    ("spec.template.spec.volumes", VOLUME),
    ("spec.volumes", VOLUME),
    ("spec.template.spec.containers[0].resources", AMOUNT),
    ("metadata.labels", "a label must be text"),
];

const SECRET: &str = "a Secret is mounted as a whole, with the kubelet's usual modes";
const SUB_PATH: &str = "a further disk is mounted whole: mount it, and link the folder";
const MOUNT: &str = "only claims and Secrets are mounted here: a claim in the Workspace's volumes, a Secret in the execution profile's secretMounts";
const VOLUME: &str = "only whole claims and Secrets are mounted here: put files of a ConfigMap into the image or a Secret, and scratch files into /tmp";
const AMOUNT: &str = "must be a quantity such as 500m or 2Gi in requests or limits";

/// A Profile.
pub(super) const PROFILE: &Table = &[
    ("metadata", Stays("the Profile's own")),
    ("spec.owner.name", Code),
    ("spec.owner", Stays("the Profile's own")),
    (
        "spec.resourceQuotaSpec",
        Stays("the namespace's ResourceQuota kf-resource-quota; keep a copy before you delete the Profile"),
    ),
    (
        "spec.plugins",
        Lost("a cloud identity is in an execution profile: serviceAccount.perWorkspace.annotations"),
    ),
];
