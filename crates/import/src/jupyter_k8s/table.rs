//! Leaf of an object of the earlier jupyter-k8s -> what becomes of it (pure).

use crate::draft::Target::{Profile, Template, Workspace};
use crate::table::Rule::{Code, Lost, Same, SameIf, Stays, To};
use crate::table::Table;

/// Annotation: who made the Workspace. Both groups have it.
pub(super) const CREATED_BY: &str = "workspace.jupyter.org/created-by";

const SHM: &str =
    "/dev/shm is there, half of the memory limit; shmSize or the template's defaultShmSize sets another size";
const HOST: &str = "the request goes to the workspace's pod";
const ROUTES: &str = "routes come from a WorkspaceManager: the chart's default one has them, or write one with routing.custom and name it in managerRef";
const PLUGIN: &str =
    "no plugin makes connections here: kubectl workspace connect and ssh go through the gateway";
const UNUSED: &str = "no template or workspace of the input has this strategy, or it is no field of a pod: write it into the podTemplate of templates that need it";
const INTEGRATION_OF_POD: &str = "its texts are filled with fields of other objects at each start, and a podTemplate has fixed texts: write what the pod needs into the podTemplate, and values into the workspace's env";
const LABEL: &str = "the template of a namespace is its annotation workspaces.jupyter.org/default-template, that of the cluster has the label workspaces.jupyter.org/default: set one of both";

/// Idle shutdown, from one field to another.
macro_rules! idle {
    ($target:ident, $from:literal, $to:literal) => {
        &[
            (
                concat!($from, ".timeoutMinutes"),
                To($target, concat!($to, ".idleTimeoutInMinutes")),
            ),
            (
                concat!($from, ".detection.httpGet.lastActivityTimestamp"),
                To($target, concat!($to, ".detection.lastActivityTimestamp")),
            ),
            (
                concat!($from, ".detection.httpGet.transport"),
                Same("the operator asks the pod over the network"),
            ),
            (concat!($from, ".detection.httpGet.host"), Lost(HOST)),
            (
                concat!($from, ".detection.httpGet.httpHeaders"),
                Lost("the request has no headers of yours: let the path answer without"),
            ),
            ($from, To($target, $to)),
        ]
    };
}

/// `idleShutdown` of a Workspace.
pub(super) const IDLE: &Table = idle!(Workspace, "spec.idleShutdown", "spec.idleShutdown");
/// `defaultIdleShutdown` of a template.
pub(super) const DEFAULT_IDLE: &Table =
    idle!(Template, "spec.defaultIdleShutdown", "spec.defaultIdleShutdown");

/// A Workspace.
pub(super) const WORKSPACE: &Table = &[
    ("metadata", Code),
    ("spec.displayName", To(Workspace, "spec.displayName")),
    ("spec.image", To(Workspace, "spec.image")),
    ("spec.desiredStatus", Same("every workspace comes over stopped")),
    ("spec.ownershipType", To(Workspace, "spec.ownershipType")),
    ("spec.accessType", To(Workspace, "spec.accessType")),
    ("spec.resources", Code),
    ("spec.storage", Code),
    ("spec.volumes", To(Workspace, "spec.volumes")),
    ("spec.containerConfig", To(Workspace, "spec.containerConfig")),
    ("spec.env", Code),
    ("spec.nodeSelector", To(Workspace, "spec.nodeSelector")),
    ("spec.affinity", To(Workspace, "spec.affinity")),
    ("spec.tolerations", To(Workspace, "spec.tolerations")),
    ("spec.lifecycle", To(Workspace, "spec.lifecycle")),
    ("spec.readinessProbe", To(Workspace, "spec.readinessProbe")),
    ("spec.accessStrategy", Code),
    ("spec.templateRef", Code),
    ("spec.appType", To(Workspace, "spec.appType")),
    ("spec.serviceAccountName", To(Profile, "spec.serviceAccount.name")),
    (
        "spec.podSecurityContext",
        To(Workspace, "spec.podSecurityContext"),
    ),
    (
        "spec.containerSecurityContext",
        To(Workspace, "spec.containerSecurityContext"),
    ),
    ("spec.initContainers", Code),
    ("spec.integrationTemplateRefs", Lost(INTEGRATION_OF_POD)),
    ("spec.sharedMemory", Code),
];

/// A template.
pub(super) const TEMPLATE: &Table = &[
    ("metadata", Code),
    ("spec.displayName", To(Template, "spec.displayName")),
    ("spec.description", To(Template, "spec.description")),
    ("spec.defaultImage", To(Template, "spec.defaultImage")),
    ("spec.allowedImages", To(Template, "spec.allowedImages")),
    ("spec.allowCustomImages", To(Template, "spec.allowCustomImages")),
    ("spec.defaultResources", Code),
    ("spec.resourceBounds", To(Template, "spec.resourceBounds")),
    ("spec.primaryStorage", To(Template, "spec.primaryStorage")),
    ("spec.environmentVariables", Code),
    ("spec.baseEnv", Code),
    ("spec.envRequirements", Code),
    ("spec.baseLabels", Code),
    ("spec.labelRequirements", Code),
    (
        "spec.allowSecondaryStorages",
        To(Template, "spec.allowSecondaryStorages"),
    ),
    ("spec.defaultVolumes", To(Template, "spec.defaultVolumes")),
    (
        "spec.defaultContainerConfig",
        To(Template, "spec.defaultContainerConfig"),
    ),
    (
        "spec.defaultNodeSelector",
        To(Template, "spec.defaultNodeSelector"),
    ),
    ("spec.defaultAffinity", To(Template, "spec.defaultAffinity")),
    ("spec.defaultTolerations", To(Template, "spec.defaultTolerations")),
    (
        "spec.defaultOwnershipType",
        To(Template, "spec.defaultOwnershipType"),
    ),
    ("spec.defaultAccessType", To(Template, "spec.defaultAccessType")),
    ("spec.defaultAccessStrategy", Code),
    ("spec.defaultLifecycle", To(Template, "spec.defaultLifecycle")),
    (
        "spec.defaultReadinessProbe",
        To(Template, "spec.defaultReadinessProbe"),
    ),
    (
        "spec.defaultPodSecurityContext",
        To(Template, "spec.defaultPodSecurityContext"),
    ),
    (
        "spec.defaultContainerSecurityContext",
        To(Template, "spec.defaultContainerSecurityContext"),
    ),
    ("spec.defaultInitContainers", Code),
    (
        "spec.allowCustomInitContainers",
        To(Template, "spec.allowCustomInitContainers"),
    ),
    (
        "spec.idleShutdownOverrides.minTimeoutMinutes",
        To(Template, "spec.idleShutdownOverrides.minIdleTimeoutInMinutes"),
    ),
    (
        "spec.idleShutdownOverrides.maxTimeoutMinutes",
        To(Template, "spec.idleShutdownOverrides.maxIdleTimeoutInMinutes"),
    ),
    (
        "spec.idleShutdownOverrides",
        To(Template, "spec.idleShutdownOverrides"),
    ),
    ("spec.appType", To(Template, "spec.appType")),
    ("spec.defaultSharedMemory", SameIf(&["true"], SHM)),
    (
        "spec.sharedMemoryOverrides",
        Lost("workspaces choose the size of /dev/shm within maxShmSize: set it"),
    ),
];

/// A `WorkspaceAccessStrategy`.
pub(super) const STRATEGY: &Table = &[
    ("metadata", Stays("the strategy's own")),
    ("spec.displayName", Stays("the strategy's own")),
    ("spec.accessResourceTemplates", Lost(ROUTES)),
    (
        "spec.accessURLTemplate",
        Same("a workspace has its address from the manager: status.url"),
    ),
    ("spec.bearerAuthURLTemplate", Same("the gateway signs users in")),
    (
        "spec.accessStartupProbe",
        Same("the gateway routes to a workspace once its pod is ready"),
    ),
    ("spec.createConnectionHandler", Lost(PLUGIN)),
    ("spec.createConnectionHandlerMap", Lost(PLUGIN)),
    ("spec.createConnectionContext", Lost(PLUGIN)),
    ("spec.podEventsHandler", Lost(PLUGIN)),
    ("spec.podEventsContext", Lost(PLUGIN)),
    ("spec.deploymentModifications", Code),
];

/// A `WorkspaceIntegrationTemplate`.
pub(super) const INTEGRATION: &Table = &[
    ("metadata", Stays("the integration template's own")),
    ("spec.displayName", Stays("the integration template's own")),
    (
        "spec.shareProcessNamespace",
        SameIf(
            &["false"],
            "containers of a pod do not see each other's processes here",
        ),
    ),
    (
        "spec.statusProbe",
        Lost("nothing here asks beside the readiness probe: let that command ask too"),
    ),
    ("spec", Lost(INTEGRATION_OF_POD)),
];

/// Why what the code leaves is lost.
pub(super) const REASONS: &[(&str, &str)] = &[
    ("metadata.labels[workspace.jupyter.org/default-template]", LABEL),
    (
        "metadata.labels[workspace.jupyter.org/default-cluster-template]",
        LABEL,
    ),
    ("metadata.labels", "a label must be text"),
    (
        "metadata.annotations",
        "pods do not get it here: set it in the template's baseAnnotations, or in podAnnotations with the template's allowedPodAnnotations",
    ),
    (
        "spec.accessStrategy",
        "the input holds no such WorkspaceAccessStrategy: the default WorkspaceManager routes, or name another one in managerRef",
    ),
    (
        "spec.defaultAccessStrategy",
        "the input holds no such WorkspaceAccessStrategy: the default WorkspaceManager routes, or name another one in managerRef",
    ),
    (
        "spec.templateRef",
        "the input holds no such template: give workspacetemplates too; until then a template is made of what the workspace has",
    ),
    (
        "spec.resources",
        "must be a quantity such as 500m or 2Gi in requests or limits",
    ),
    (
        "spec.defaultResources",
        "must be a quantity such as 500m or 2Gi in requests or limits",
    ),
    ("spec.sharedMemory", SHM),
    ("spec.deploymentModifications", UNUSED),
];
