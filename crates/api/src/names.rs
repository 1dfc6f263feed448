//! Meaning -> the name that all components use for it (pure).
//!
//! API group, labels, annotations, finalizers and field managers. The only reader of the annotation that access depends on is here, too.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use assertion::names::{
    ASSERTION_HEADER, ASSERTION_KEYS_VARIABLE, BASE_PATH_VARIABLE, DOOR_ACTIVITY, DOOR_HEADER, GATEWAY,
    GATEWAY_KEYS, HOP_BY_HOP, LAST_ACTIVITY_HEADER, NO_ASSERTIONS, OPERATOR, OPERATOR_KEYS,
    OUT_OF_MEMORY_HEADER, RECOVERY_DISK_VARIABLE, STOP_REQUEST, STOPS_AT_HEADER, SshRefusal, UID_VARIABLE,
};

/// API group of the objects that people write.
pub const GROUP: &str = "workspaces.jupyter.org";
/// The only served version of [`GROUP`].
pub const VERSION: &str = "v1alpha1";

/// What names of users and groups begin with that Kubernetes and kubeadm give out themselves. An identity provider must give none.
pub const KUBERNETES_PREFIXES: [&str; 2] = ["system:", "kubeadm:"];

/// Whether Kubernetes or kubeadm gives out this name of a user or group itself.
pub fn is_of_kubernetes(name: &str) -> bool {
    KUBERNETES_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Longest name of a Workspace: children are called `workspace-<name>` and nothing is ever cut.
pub const MAX_WORKSPACE_NAME: usize = 50;

/// Annotation: the Kubernetes user name, raw, of the owner of the workspace. Written by the webhook.
pub const CREATED_BY: &str = "workspaces.jupyter.org/created-by";
/// Annotation on a Workspace: the Kubernetes user name, raw, of the last user who changed its spec, labels or annotations. Written by
/// the webhook. The product's own processes do not count.
pub const LAST_UPDATED_BY: &str = "workspaces.jupyter.org/last-updated-by";
/// Annotation on a WorkspaceShare that a user other than the owner made, by the verb `share`: the owner of the workspace at that time.
/// Written by the webhook. The share counts while that user owns the workspace.
pub const SHARED_FOR: &str = "workspaces.jupyter.org/shared-for";
/// Annotation on a Workspace whose owner was set by another user, by the verb `assign-owner`: that other user. Written by the webhook. Such
/// a workspace takes over no retained disk, because its owner did not choose what runs in it.
pub const ASSIGNED_BY: &str = "workspaces.jupyter.org/assigned-by";
/// Annotation on a Workspace: UID of the template that existed at its creation. The webhook checked the author's permissions for what that
/// template leaves to the author. Written by the webhook at creation, and never changed.
pub const ATTESTED_TEMPLATE: &str = "workspaces.jupyter.org/vouched-template";
/// Annotation on exactly one WorkspaceManager: `"true"` makes it the manager of workspaces that name none.
pub const IS_DEFAULT: &str = "workspaces.jupyter.org/is-default";
/// Label that people set on a WorkspaceTemplate: `"true"` makes it the template of new workspaces that name none.
pub const DEFAULT_TEMPLATE_LABEL: &str = "workspaces.jupyter.org/default";
/// Annotation that people set on a Namespace: name of the template of new workspaces there that name none. It wins over
/// [`DEFAULT_TEMPLATE_LABEL`].
pub const DEFAULT_TEMPLATE: &str = "workspaces.jupyter.org/default-template";
/// Annotation on a pod: canonical JSON of the inputs that shaped it.
pub const STARTED_FROM: &str = "workspaces.jupyter.org/started-from";
/// Annotation: the user who last pressed "start" on the gateway's page.
pub const STARTED_BY: &str = "workspaces.jupyter.org/started-by";
/// Annotation on a Workspace: which rule stopped it, when, and which run that ended. Written by the operator together with
/// `spec.desiredStatus`.
pub const STOPPED_BECAUSE: &str = "workspaces.jupyter.org/stopped-because";
/// Annotation on a workspace's own service account: digest of the annotations that its execution profile gives it.
pub const ANNOTATIONS_HASH: &str = "workspaces.jupyter.org/annotations-hash";
/// Annotation on children: UID of the Workspace that they belong to.
pub const WORKSPACE_UID: &str = "workspaces.jupyter.org/workspace-uid";

/// Annotation on a workspace's disk: class and size that it was made for, as `class/size`, whatever other clients changed. A disk that was
/// made for others and has no volume yet is made anew.
pub const MADE_FOR: &str = "workspaces.jupyter.org/made-for";

/// Annotation on a claim that belongs to no workspace and is the home of a running one: that workspace, as `name/UID`. No other workspace
/// then runs on the same disk.
pub const IN_USE_BY: &str = "workspaces.jupyter.org/in-use-by";

/// Annotation that people set on a Workspace: a time; a new value applies pending updates by one restart, as `kubectl rollout
/// restart` does.
pub const RESTARTED_AT: &str = "workspaces.jupyter.org/restarted-at";
/// Annotation that people set on a Workspace: a time until which no idle rule stops it.
pub const KEEP_UNTIL: &str = "workspaces.jupyter.org/keep-until";
/// Annotations that the product keeps on a Workspace, or reads as a wish.
pub const RECORDS: [&str; 8] = [
    CREATED_BY,
    ASSIGNED_BY,
    LAST_UPDATED_BY,
    ATTESTED_TEMPLATE,
    RESTARTED_AT,
    KEEP_UNTIL,
    STARTED_BY,
    STOPPED_BECAUSE,
];
/// Maximum number of annotations of a Workspace beside [`RECORDS`]. The chart's policies enforce it. Kubernetes limits their size.
pub const MAX_ANNOTATIONS: usize = 256;
/// Maximum number of levels of a manifest in a template or manager, which has no schema. Rules and the chart's policy enforce it.
pub const MAX_MANIFEST_LEVELS: usize = 32;

/// Whether a Workspace has so few annotations that the policies let records change. One that was stored before this bound may have more. It
/// is started, stopped and deleted without a new record.
pub fn takes_records(metadata: &ObjectMeta) -> bool {
    let keys = metadata
        .annotations
        .iter()
        .flat_map(|annotations| annotations.keys());
    keys.filter(|key| !RECORDS.contains(&key.as_str())).count() <= MAX_ANNOTATIONS
}

/// Annotation that users set on a WorkspaceTemplate: why users should not create workspaces from it.
pub const DEPRECATED: &str = "workspaces.jupyter.org/deprecated";
/// Annotation that people set on a WorkspaceTemplate: name of the one that replaces it.
pub const REPLACED_BY: &str = "workspaces.jupyter.org/replaced-by";

/// Label that people set on a WorkspaceTemplate: `"true"` has nodes pull its images before a workspace starts there.
pub const PRE_PULL_LABEL: &str = "workspaces.jupyter.org/pre-pull";
/// Label that people set on a WorkspaceTemplate: how many pods keep room for its workspaces, such as `"3"` or, with its GPUs,
/// `"3-with-gpu"`.
pub const PLACEHOLDERS_LABEL: &str = "workspaces.jupyter.org/placeholders";

/// Annotations of children without an owner: Argo CD neither prunes them nor reports them as not being in Git.
pub const NOT_PRUNED: [(&str, &str); 2] = [
    ("argocd.argoproj.io/sync-options", "Prune=false"),
    ("argocd.argoproj.io/compare-options", "IgnoreExtraneous"),
];

/// Container that runs the application.
pub const APPLICATION_CONTAINER: &str = "workspace";
/// Name of the application's port in its pod and Service.
pub const APPLICATION_PORT: &str = "http";
/// Environment variable with the identifier of the application's run. Only the operator sets it.
pub const RUN_ID_VARIABLE: &str = "WORKSPACE_RUN_ID";
/// Environment variable with the port on which the application listens. Jupyter reads it, too.
pub const PORT_VARIABLE: &str = "JUPYTER_PORT";
const OTHER: &str = "choose another name";
const PORT: &str = "use spec.port, or spec.defaultPort of the template";
const PATH: &str = "leave it out, the installation and the manager decide the path";
/// Environment variables that only the operator sets, or JupyterHub for its servers. Each with what to do instead: with other values a workspace would listen where nobody looks for it.
pub const OWN_VARIABLES: [(&str, &str); 8] = [
    (RUN_ID_VARIABLE, OTHER),
    (UID_VARIABLE, OTHER),
    (ASSERTION_KEYS_VARIABLE, OTHER),
    (RECOVERY_DISK_VARIABLE, OTHER),
    (BASE_PATH_VARIABLE, PATH),
    (PORT_VARIABLE, PORT),
    ("JUPYTERHUB_SERVICE_URL", PORT),
    ("JUPYTERHUB_SERVICE_PREFIX", PATH),
];

/// What to do instead of setting the variable `name`, if only the operator or a hub sets it.
#[must_use]
pub fn instead_of_variable(name: &str) -> Option<&'static str> {
    let own = OWN_VARIABLES.iter().find(|(own, _)| *own == name);
    own.map(|(_, instead)| *instead)
}
/// ConfigMap with the public keys that verify assertions. In the installation's namespace it has [`GATEWAY_KEYS`]. Each namespace with
/// workspaces has a copy, with [`OPERATOR_KEYS`] added.
pub const ASSERTION_KEYS: &str = "jupyter-k8s-assertion-keys";
/// Volume of [`ASSERTION_KEYS_PATH`].
pub const ASSERTION_KEYS_VOLUME: &str = "jupyter-k8s-keys";
/// Where a pod has [`ASSERTION_KEYS`].
pub const ASSERTION_KEYS_PATH: &str = "/var/run/jupyter-k8s/keys";
/// Header of a request of a program: its ticket for the workspace, which never reaches a pod.
pub const TICKET_HEADER: &str = "workspace-ticket";
/// Audience of assertions for the portal, and the first label of its host.
pub const PORTAL_AUDIENCE: &str = "portal";
/// Volume of the home directory.
pub const HOME_VOLUME: &str = "workspace-storage";
/// Volume of the empty home in recovery.
pub const RECOVERY_VOLUME: &str = "recovery-home";
/// Volume of [`SCRATCH_PATH`].
pub const SCRATCH_VOLUME: &str = "tmp";
/// Where a pod has scratch space.
pub const SCRATCH_PATH: &str = "/tmp";
/// Volume of [`RUNTIME_PATH`].
pub const RUNTIME_VOLUME: &str = "jupyter-k8s-run";
/// Where a pod's programs have sockets and other files of this run. Nobody tidies there, as in [`SCRATCH_PATH`].
pub const RUNTIME_PATH: &str = "/run/workspace";
/// Volume of [`SHM_PATH`].
pub const SHM_VOLUME: &str = "shm";
/// Where a pod has shared memory.
pub const SHM_PATH: &str = "/dev/shm";

/// Whether a volume of this name belongs to the operator, in every pod.
pub fn is_own_volume(name: &str) -> bool {
    [HOME_VOLUME, SCRATCH_VOLUME, SHM_VOLUME].contains(&name) || name.starts_with("jupyter-k8s-")
}

/// Prefix of every annotation and label key that is ours.
pub const RESERVED_PREFIX: &str = "workspaces.jupyter.org/";

/// Label on every child: name of the Workspace.
pub const WORKSPACE_LABEL: &str = "workspaces.jupyter.org/workspace";
/// Label on a pod: the value [`IS_ISOLATED`] says that the network policies of its namespace select it.
pub const ISOLATED_LABEL: &str = "workspaces.jupyter.org/isolated";
/// Value of [`ISOLATED_LABEL`].
pub const IS_ISOLATED: &str = "true";
/// Label on an isolated pod: the hash of its manager's name. Annotation on the manager's network policy: the name.
pub const MANAGER: &str = "workspaces.jupyter.org/manager";
/// Annotation on a network policy: the term of the leading operator that wrote it last.
pub const WRITTEN_IN: &str = "workspaces.jupyter.org/written-in";
/// Label on a pod: the identifier of this run, new at every start.
pub const RUN_ID_LABEL: &str = "workspaces.jupyter.org/run-id";

/// Label of Kueue: the queue that admits the object.
pub const QUEUE_LABEL: &str = "kueue.x-k8s.io/queue-name";
/// Standard label: what the object is.
pub const APP_NAME_LABEL: &str = "app.kubernetes.io/name";
/// Standard label: which release an object belongs to. Objects that our processes make do not carry it: Argo CD tracks by it what it prunes.
pub const APP_INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// Standard label: its role.
pub const APP_COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// Standard label: the product.
pub const APP_PART_OF_LABEL: &str = "app.kubernetes.io/part-of";
/// Standard label: who manages the object.
pub const APP_MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Value of [`APP_PART_OF_LABEL`] on everything of this product.
pub const PRODUCT: &str = "jupyter-k8s";
/// Value of [`APP_NAME_LABEL`] on children of a Workspace.
pub const WORKSPACE_APP: &str = "workspace";

/// Annotation on CRDs: the version of the product that they belong to.
pub const CRD_VERSION: &str = "workspaces.jupyter.org/crd-version";

/// Finalizer of a Workspace: held until its children are gone.
pub const CLEANUP_FINALIZER: &str = "workspaces.jupyter.org/cleanup";

/// Finalizer of a WorkspaceTemplate, WorkspaceManager or WorkspaceExecutionProfile: held while a Workspace refers to it.
pub const IN_USE_FINALIZER: &str = "workspaces.jupyter.org/in-use";

/// Field manager of the operator for status.
pub const OPERATOR_STATUS: &str = "jupyter-k8s-operator-status";
/// Field manager of the operator for status of templates, managers and execution profiles.
pub const OPERATOR_PROTECTION: &str = "jupyter-k8s-operator-protection";
/// Field manager of the operator for what the status of templates says of images on nodes.
pub const OPERATOR_IMAGES: &str = "jupyter-k8s-operator-images";
/// Field manager of the operator for status of shares.
pub const OPERATOR_SHARES: &str = "jupyter-k8s-operator-shares";
/// Field manager and user agent of the webhook.
pub const WEBHOOK: &str = "jupyter-k8s-webhook";
/// Field manager and user agent of the portal.
pub const PORTAL: &str = "jupyter-k8s-portal";
/// Field manager and user agent of the command line.
pub const CLI: &str = "kubectl-create-workspace";

/// Verb on `workspaces` that lets a user set another owner.
pub const ASSIGN_OWNER_VERB: &str = "assign-owner";
/// Verb on `workspaces` that lets a user change and delete the workspaces of others.
pub const ADMINISTER_VERB: &str = "administer";
/// Verb on `workspaces` that lets a user share the workspaces of others.
pub const SHARE_VERB: &str = "share";
/// Verb on templates, managers, execution profiles and claims that lets a user refer to them.
pub const USE_VERB: &str = "use";

/// Kubernetes user name of an object's owner, as [`CREATED_BY`] records it. Empty text counts as none.
pub fn owner(meta: &ObjectMeta) -> Option<&str> {
    let name = meta.annotations.as_ref()?.get(CREATED_BY)?;
    Some(name.as_str()).filter(|name| !name.is_empty())
}

/// Whether a user other than the owner set the owner of a workspace, as [`ASSIGNED_BY`] records it.
pub fn is_assigned(meta: &ObjectMeta) -> bool {
    let annotations = meta.annotations.as_ref();
    annotations.is_some_and(|all| all.contains_key(ASSIGNED_BY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_owner_is_no_owner() {
        let meta = |name: &str| ObjectMeta {
            annotations: Some([(CREATED_BY.to_owned(), name.to_owned())].into()),
            ..ObjectMeta::default()
        };
        assert_eq!(owner(&meta("alice")), Some("alice"));
        assert_eq!(owner(&meta("")), None);
        assert_eq!(owner(&ObjectMeta::default()), None);
    }
}
