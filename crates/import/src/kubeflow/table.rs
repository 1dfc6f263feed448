//! Leaf of a Kubeflow object -> what becomes of it (pure).

use crate::container::NO_QUANTITY;
use crate::draft::Target::{Profile, Template, Workspace};
use crate::pod_template::{APPLICATION, NO_SETTING};
use crate::table::Rule::{Below, Code, Lost, Same, SameIf, SameOr, Stays, To};
use crate::table::{SERVERS, Table};

/// Annotation: who made the Notebook.
pub(super) const CREATOR: &str = "notebooks.kubeflow.org/creator";
/// Annotation: `jupyter`, `group-one` (VS Code) or `group-two` (R).
pub(super) const SERVER_TYPE: &str = "notebooks.kubeflow.org/server-type";

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
    (
        "resources.claims",
        To(Template, "spec.podTemplate.spec.containers[0].resources.claims"),
    ),
    ("resources", Code),
    ("env", Code),
    (
        "envFrom",
        To(Template, "spec.podTemplate.spec.containers[0].envFrom"),
    ),
    ("command", To(Template, "spec.defaultContainerConfig.command")),
    ("args", To(Template, "spec.defaultContainerConfig.args")),
    (
        "workingDir",
        SameOr(
            &["/home/jovyan"],
            Template,
            "spec.podTemplate.spec.containers[0].workingDir",
        ),
    ),
    ("ports[0].containerPort", To(Template, "spec.defaultPort")),
    ("ports[0]", Same("the operator names the port")),
    ("ports", To(Template, "spec.podTemplate.spec.containers[0].ports")),
    ("readinessProbe", To(Template, "spec.defaultReadinessProbe")),
    ("livenessProbe", Code),
    ("startupProbe", Code),
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
        SameOr(&["false"], Template, "spec.podTemplate.spec.containers[0].stdin"),
    ),
    (
        "tty",
        SameOr(&["false"], Template, "spec.podTemplate.spec.containers[0].tty"),
    ),
];

/// What else the first container of a Notebook has.
pub(super) const REST_OF_MAIN: &Table = &[("*", Below(Template, APPLICATION))];

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
        SameOr(&["ClusterFirst"], Template, "spec.podTemplate.spec.dnsPolicy"),
    ),
    (
        "schedulerName",
        SameOr(
            &["default-scheduler"],
            Template,
            "spec.podTemplate.spec.schedulerName",
        ),
    ),
    (
        "terminationGracePeriodSeconds",
        SameOr(
            &["30"],
            Template,
            "spec.podTemplate.spec.terminationGracePeriodSeconds",
        ),
    ),
    (
        "enableServiceLinks",
        SameIf(
            &["false"],
            "pods get no variables of Services here: use their DNS names",
        ),
    ),
    (
        "hostNetwork",
        SameOr(&["false"], Template, "spec.podTemplate.spec.hostNetwork"),
    ),
    (
        "hostPID",
        SameOr(&["false"], Template, "spec.podTemplate.spec.hostPID"),
    ),
    (
        "hostIPC",
        SameOr(&["false"], Template, "spec.podTemplate.spec.hostIPC"),
    ),
];

/// What else the pod of a Notebook has.
pub(super) const REST_OF_POD: &Table = &[("*", Below(Template, "spec.podTemplate.spec"))];

/// Why what the code leaves of a pod is lost. Patterns are below a pod's or a container's list.
pub(super) const REASONS: &[(&str, &str)] = &[
    ("spec.template.spec.containers[0].volumeMounts", NO_SETTING),
    ("spec.volumeMounts", NO_SETTING),
    ("spec.template.spec.volumes", NO_SETTING),
    ("spec.volumes", NO_SETTING),
    ("spec.template.spec.containers[0].resources", NO_QUANTITY),
    ("metadata.labels", "a label must be text"),
];

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
