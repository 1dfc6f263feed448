//! Reason of a condition or Event -> when it shows, and the remedy (pure).
//!
//! This is the source of docs/reasons.md.

/// A reason for the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The reason in the condition or Event. Never renamed.
    pub name: &'static str,
    /// Where it shows, such as `Degraded=True`.
    pub shows: &'static str,
    /// What is the case.
    pub meaning: &'static str,
    /// What to do; empty where nothing is to be done.
    pub remedy: &'static str,
}

/// `NAME = "Reason" where it shows: meaning; remedy` -> a constant each, and the table of all.
macro_rules! reasons {
    ($($constant:ident = $name:literal, $shows:literal, $meaning:literal, $remedy:literal;)*) => {
        $(
            #[doc = concat!("`", $shows, "`: ", $meaning)]
            pub const $constant: &str = $name;
        )*

        /// Every reason, in the order of the documentation.
        pub const ALL: &[Reason] = &[$(Reason {
            name: $constant,
            shows: $shows,
            meaning: $meaning,
            remedy: $remedy,
        },)*];
    };
}

reasons! {
    ALL_RULES_HOLD = "AllRulesHold", "Valid=True, Ready=True",
        "Every rule holds.",
        "";
    RULES_VIOLATED = "RulesViolated", "Valid=False, Ready=False",
        "A value is out of bounds or breaks a rule. The message lists each with field, value and bound.",
        "Change the fields that the message names. A running pod stays until the next start.";
    UNREADABLE = "Unreadable", "Valid=False, Degraded=True",
        "The stored object, or one that it refers to, cannot be parsed.",
        "Compare it with `kubectl explain`. After an upgrade, apply the CRDs of this version.";
    INVALID = "Invalid", "Available, Progressing, Stopped",
        "The workspace is not valid, so nothing runs.",
        "See the condition `Valid`.";

    READY = "Ready", "Available=True; Event",
        "The pod is ready and the URL serves it.",
        "";
    RUNNING = "Running", "Progressing=False, Stopped=False",
        "The workspace runs as desired.",
        "";
    STARTING = "Starting", "Progressing=True, Available=False; Event",
        "The pod is starting. No Event if the pod is ready or stopped before it could be written (many starts, a new operator).",
        "";
    HANDED_OVER = "HandedOver", "Event",
        "The workspace has another owner. Sessions and shares of the former owner end.",
        "";
    STOPPING = "Stopping", "Progressing=True, Available=False; Event",
        "The pod is being stopped; the Event says what becomes of the files. No Event if the pod has stopped before it could be written.",
        "";
    IDLE_STOPPED = "IdleStopped", "Event",
        "The workspace was idle for status.resolved.idleTimeoutInMinutes and is being stopped; the Event says what becomes of the files. This Event replaces Stopping. status.stoppedBecause shows the rule until the next start.",
        "Start it as usual. To stop it later or never, change spec.idleShutdown within the template's bounds.";
    IDLE_CHECK_FAILED = "IdleCheckFailed", "Event; status.idle.signals",
        "Three checks in a row could not find out whether the pod is used. Until one succeeds, it is not stopped as idle.",
        "See what the message names: spec.idleShutdown.detection must fit the application, which must answer the operator without a sign-in. A manager's networkPolicy.ingressFrom must include the operator's pods.";
    IDLE_STOP_REFUSED = "IdleStopRefused", "Event",
        "The workspace is idle, but the API server refuses to stop it: because of an admission rule, or of the stored spec. It runs on. Each further check tries again.",
        "Do what the message says, often: correct the spec so that it fits the current rules. Or stop it yourself.";
    STOPPED = "Stopped", "Stopped=True; Event",
        "No pod is left, as desired.",
        "";
    DELETING = "Deleting", "Progressing=True, Available=False",
        "The workspace is being deleted. If that takes long, the message says what is left.",
        "";
    PREDECESSOR_TERMINATING = "PredecessorTerminating", "Progressing=True",
        "The previous pod has not ended, or a child of an earlier workspace of the same name is still being deleted.",
        "Wait. If it lasts, see which finalizer holds the object that the message names.";
    AS_EXPECTED = "AsExpected", "Degraded=False",
        "Nothing is wrong.",
        "";

    TEMPLATE_NOT_FOUND = "TemplateNotFound", "Valid=False, Degraded=True",
        "The WorkspaceTemplate in spec.templateRef does not exist (yet).",
        "Have it created: the workspace then starts by itself. Or delete the workspace and create it from another template (`kubectl get wst`). To keep its files, first set spec.storage.retain: Retain.";
    MANAGER_NOT_FOUND = "ManagerNotFound", "Valid=False, also of a WorkspaceTemplate, Degraded=True, Active=False of a WorkspaceShare",
        "The WorkspaceManager of the workspace or its template does not exist (yet), or no manager is the default.",
        "Set spec.managerRef to an existing one (`kubectl get wsm`), or have one annotated `workspaces.jupyter.org/is-default: \"true\"`.";
    MANAGER_AMBIGUOUS = "ManagerAmbiguous", "Valid=False, Degraded=True",
        "Several WorkspaceManagers are annotated as default, and the workspace names none.",
        "Set spec.managerRef, or have all but one annotation removed. Meanwhile running workspaces keep their manager.";
    NOT_SERVED = "NotServed", "Ready=False of a WorkspaceManager, Available=False, Degraded=True",
        "The manager names authentication.gateway, but this installation's gateway serves another manager. Pods run without a URL.",
        "Set spec.managerRef to a manager that is Ready (`kubectl get wsm`). Or have this one use routing.custom with authentication.forwardAuth.";
    EXECUTION_PROFILE_NOT_FOUND = "ExecutionProfileNotFound", "Valid=False, also of a WorkspaceTemplate, Degraded=True",
        "The WorkspaceExecutionProfile of the workspace or its template does not exist in this namespace (yet).",
        "Have it created, or set spec.executionProfileRef to another one (`kubectl get wsep`).";
    TEMPLATE_TERMINATING = "TemplateTerminating", "Valid=False, Degraded=True",
        "The WorkspaceTemplate is being deleted and accepts no new workspace. Existing ones continue.",
        "Create the workspace from another template (`kubectl get wst`).";
    MANAGER_TERMINATING = "ManagerTerminating", "Valid=False, Degraded=True",
        "The WorkspaceManager is being deleted and accepts no new workspace. Existing ones continue.",
        "Set spec.managerRef to another one (`kubectl get wsm`).";
    EXECUTION_PROFILE_TERMINATING = "ExecutionProfileTerminating", "Valid=False, Degraded=True",
        "The WorkspaceExecutionProfile is being deleted and accepts no new workspace. Existing ones continue.",
        "Set spec.executionProfileRef to another one (`kubectl get wsep`).";
    SECRET_NOT_FOUND = "SecretNotFound", "Degraded=True",
        "A Secret that env or a profile names, or its key, does not exist in this namespace.",
        "Create the Secret, or correct the name. The container then starts by itself.";
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound", "Degraded=True",
        "A ConfigMap that env names, or its key, does not exist in this namespace.",
        "Create the ConfigMap: the container then starts by itself. Or correct the name.";
    SERVICE_ACCOUNT_NOT_FOUND = "ServiceAccountNotFound", "Degraded=True",
        "The execution profile's ServiceAccount does not exist in this namespace.",
        "Have it created: the pod then starts by itself. Or have the profile changed.";
    PRIORITY_CLASS_NOT_FOUND = "PriorityClassNotFound", "Degraded=True",
        "The execution profile's PriorityClass does not exist.",
        "Have it created: the pod then starts by itself. Or have the profile changed.";
    RUNTIME_CLASS_NOT_FOUND = "RuntimeClassNotFound", "Degraded=True",
        "The execution profile's RuntimeClass does not exist.",
        "Have it created: the pod then starts by itself. Or have the profile changed.";

    USER_NAMESPACE_UNAVAILABLE = "UserNamespaceUnavailable", "Degraded=True",
        "The template asks for a user namespace of the pod's own (hostUsers: false). The node or a volume cannot have one, so the pod does not start; or the API server dropped the field, and the pod runs without.",
        "Have it run on nodes with Linux 6.3 and containerd 2.0 or CRI-O 1.25, with volumes that have id-mapped mounts, and an API server of Kubernetes 1.33. Or create the workspace from a template without hostUsers: false.";

    IMAGE_PULL_FAILED = "ImagePullFailed", "Degraded=True",
        "The image cannot be pulled: it does not exist, its registry does not answer or needs credentials, or the pull policy forbids a pull.",
        "Correct name and tag: a pod that never started is replaced at once. For a private registry, have the installation's Secret (setting imagePullSecrets) created in this namespace, or one named in the execution profile's imagePullSecrets.";
    CONTAINER_START_FAILED = "ContainerStartFailed", "Degraded=True",
        "A container cannot be created, or its command cannot run.",
        "Correct spec.containerConfig, the image or what the message names.";
    CONTAINER_EXITED = "ContainerExited", "Degraded=True",
        "A container ended and is restarted. The message gives the exit code, and the last line of an image with the door.",
        "Correct what its last line names, such as a file in the home. If there is none, ask an administrator for its output.";
    CRASH_LOOPING = "CrashLooping", "Degraded=True",
        "A container ends repeatedly and is restarted with growing delays. The message gives the exit code, and the last line of an image with the door.",
        "Correct what its last line names, such as a file in the home; then stop and start the workspace. If there is none, ask an administrator for its output.";
    OOM_KILLED = "OOMKilled", "Degraded=True",
        "A container used more memory than its limit.",
        "Raise spec.resources.limits.memory, stop and start.";
    POST_START_HOOK_FAILED = "PostStartHookFailed", "Degraded=True",
        "The postStart hook in spec.lifecycle failed, so the kubelet restarts the container. The message quotes the kubelet.",
        "Correct spec.lifecycle.postStart, stop and start.";
    READINESS_FAILED = "ReadinessFailed", "Degraded=True",
        "The container has run for over 60 s without success of its readiness probe.",
        "Check that the application listens on 0.0.0.0 and on spec.port, or answers spec.readinessProbe. If it does, ask an administrator for its output.";

    START_TIMEOUT = "StartTimeout", "Degraded=True",
        "The pod was not ready within status.resolved.startTimeoutMinutes. It continues to wait; the message gives the last known reason.",
        "Correct what the message names: the workspace then starts by itself. Or stop it, or raise spec.limits.startTimeoutMinutes within the template's bounds.";
    UNSCHEDULABLE = "Unschedulable", "Degraded=True",
        "No node can run the pod. The phase stays Starting until the start timeout, or for unschedulableGraceSeconds (300) without one, so that an autoscaler can add nodes. Then it is Failed.",
        "Reduce cpu, memory or GPUs, correct spec.nodeSelector, affinity or tolerations, stop another workspace, or have nodes added.";
    SCHEDULING_GATED = "SchedulingGated", "Degraded=True",
        "The pod has scheduling gates, as with Kueue: it gets no node until the controllers that set them remove them. The message names gates and queue. The phase stays Starting, and the start timeout counts from the removal.",
        "Wait until the queue admits the pod, or ask its administrator (with Kueue, who sees `kubectl get workloads`). If the workspace is not needed, stop it.";
    EVICTED = "Evicted", "Degraded=True",
        "The pod was removed from its node: a resource ran out, the node was drained, or a pod of higher priority needed the space. The reason shows until the next pod is ready.",
        "Nothing, if it was a drain. If the message names memory or storage: raise spec.resources.requests, or write less outside the disk.";
    POD_LOST = "PodLost", "Event",
        "The pod of a running workspace was deleted or failed without a stop. Its processes ended; a new pod starts once the old one is gone.",
        "Stop and start a workspace by spec.desiredStatus. If no user deleted the pod, look for a drain, a descheduler or an autoscaler.";
    NODE_LOST = "NodeLost", "Degraded=True",
        "The pod's node does not answer or is gone, so the pod may still run. It is never deleted by force: two pods must not write to one disk.",
        "Bring the node back. If the machine is certainly off: `kubectl delete node <name>`, or taint it `node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`. This frees pod and disk.";

    STORAGE_CLASS_NOT_FOUND = "StorageClassNotFound", "Degraded=True",
        "The disk's storage class does not exist, or none is set and the cluster has no default.",
        "Set spec.storage.storageClassName to another class: the disk is then made anew. It was never made, so no files are lost. Or have the class created (an administrator sees them with `kubectl get storageclass`).";
    VOLUME_UNBOUND = "VolumeUnbound", "Degraded=True",
        "A claim has waited for a volume for over 60 s, its volume cannot be created or is gone, or a mounted claim does not exist.",
        "Do what the message says; see also `kubectl describe pvc`.";
    VOLUME_ATTACH_FAILED = "VolumeAttachFailed", "Degraded=True",
        "A volume cannot be attached to the pod's node or mounted there, often because another node still holds it.",
        "Wait until the other node releases it. If that node is off, see NodeLost; if another pod uses the disk, delete that pod.";
    VOLUME_RESIZE_FAILED = "VolumeResizeFailed", "Degraded=True",
        "The disk could not grow, or the workspace requests less than the disk has or another class. A running pod keeps the old size.",
        "Have the storage class allow volume expansion: the disk then grows by itself. Or copy the files to a workspace with a larger disk. A disk never shrinks: set spec.storage.size to its size. Deleting the workspace deletes its disk, unless it is retained.";
    VOLUME_TERMINATING = "VolumeTerminating", "Degraded=True",
        "The claim of the disk, or one that the workspace names, was deleted and is not gone yet. Claim and files go when no pod uses it and no finalizer holds it; this cannot be undone.",
        "Copy the files elsewhere before the workspace stops. An administrator can keep the volume: the message says how. If it names a finalizer, have the software that set it remove it.";
    VOLUME_REPLACED = "VolumeReplaced", "Event; message of Available=True and Stopped=True",
        "The workspace's disk was deleted, and a new, empty one replaced it. The message stays until the first run on it ends.",
        "If the earlier volume was kept (reclaim policy Retain), an administrator can recover the files from it; else from a backup.";
    RETAINED_VOLUME_OF_ANOTHER_OWNER = "RetainedVolumeOfAnotherOwner", "Degraded=True",
        "The disk retained from an earlier workspace of this name belongs to another owner, or another user set this workspace's owner.",
        "Do what the message says: use another name, have the owner create the workspace, or have a user who may update the claim give it to this workspace (docs/rights.md, Owners). Deleting the claim deletes the files.";

    VOLUME_OF_ANOTHER_WORKSPACE = "VolumeOfAnotherWorkspace", "Degraded=True",
        "A claim in spec.storage.claimName or spec.volumes is or was the disk of another workspace.",
        "Name another claim in spec.volumes. spec.storage.claimName cannot change: create another workspace for another home. To use the disk of a deleted workspace, create a workspace of its name.";
    VOLUME_IN_USE = "VolumeInUse", "Degraded=True",
        "Another pod mounts the claim in spec.storage.claimName; at most one may write to it.",
        "Stop what uses it: the workspace then starts by itself. For several pods, use a claim with access mode ReadWriteMany.";
    DISK_KEPT = "DiskKept", "Event",
        "The workspace is deleted and its disk is retained. The message names it.",
        "Create a workspace of the same name to use it again. Or delete the claim with its files.";
    DISK_TAKEN_OVER = "DiskTakenOver", "Event",
        "The workspace uses the disk retained from its owner's earlier workspace of this name.",
        "";
    POD_TEMPLATE_CHANGED = "PodTemplateChanged", "Event",
        "The image of the pod was changed directly. The message names the field manager. status.pendingUpdate lists it as pod.spec.containers.image.",
        "Change the Workspace instead. The next start has the right image.";
    CHILD_CONTESTED = "ChildContested", "Degraded=True",
        "Another client repeatedly changes a child of the workspace. The message names the child and the field manager. The operator restores it with growing delays, up to a minute.",
        "Exclude the child from what changes it: an autoscaler, a policy engine, or a second installation of this product.";
    NAME_CONFLICT = "NameConflict", "Degraded=True",
        "A foreign object has the name of a child.",
        "Create the workspace under another name, or have an administrator delete that object. If it is a PersistentVolumeClaim, that deletes the files on it.";
    QUOTA_EXCEEDED = "QuotaExceeded", "Degraded=True",
        "A ResourceQuota of the namespace refuses the pod, the disk or another child.",
        "Request less, or have the quota raised. Or stop another workspace; if the message names the PersistentVolumeClaim, delete another workspace or a retained disk instead, which deletes the files there. The workspace recovers by itself within seconds.";
    POD_SECURITY_VIOLATION = "PodSecurityViolation", "Degraded=True",
        "The namespace's Pod Security level refuses the pod.",
        "Have the template's podSecurity or security contexts changed to fit the namespace's level, or the level changed.";
    ADMISSION_DENIED = "AdmissionDenied", "Degraded=True",
        "A LimitRange, an admission policy or a foreign webhook refuses the pod, the disk or another child, or that webhook does not answer. Or a field makes no valid pod: Kubernetes checks the pod only when it starts.",
        "Change what the message names, or tell the administrator.";
    ROUTE_FAILED = "RouteFailed", "Degraded=True",
        "A route of the WorkspaceManager cannot be written.",
        "Tell the administrator to correct the manager's routing.custom or the operator's rights.";
    ROUTE_KIND_UNAVAILABLE = "RouteKindUnavailable", "Ready=False of a WorkspaceManager",
        "A kind in the manager's routing.custom is not installed, or the operator has no rights on it.",
        "Do what the message says: then the manager becomes ready and routes are created by themselves.";

    TEMPLATE_IN_USE = "TemplateInUse", "Terminating=True of a WorkspaceTemplate; Event",
        "The template is being deleted, but workspaces use it, running or stopped. It stays until the last one is deleted.",
        "Delete these workspaces; the message says how to find them. A deleted workspace deletes its disk, unless spec.storage.retain is Retain: set it before, to create the workspace anew on its files.";
    MANAGER_IN_USE = "ManagerInUse", "Terminating=True of a WorkspaceManager; Event",
        "The manager is being deleted, but workspaces use it, running or stopped. It stays until none does.",
        "Set another manager in these workspaces (spec.managerRef); the message says how to find them.";
    EXECUTION_PROFILE_IN_USE = "ExecutionProfileInUse", "Terminating=True of a WorkspaceExecutionProfile; Event",
        "The profile is being deleted, but workspaces use it, running or stopped. It stays until none does.",
        "Set another profile in these workspaces (spec.executionProfileRef); the message says how to find them.";

    SHARED = "Shared", "Active=True of a WorkspaceShare; Event",
        "The subjects of the share may connect to the workspace.",
        "";
    KEYS_REPLACED = "KeysReplaced", "Event of a ConfigMap",
        "The ConfigMap with the keys that workspaces check requests with was changed, and restored. It may have been an attempt to impersonate users.",
        "Find out who may write ConfigMaps in the namespace, and whether they should.";
    EXPIRED = "Expired", "Active=False of a WorkspaceShare; Event",
        "The share has ended. The object is removed an hour later.",
        "To continue, move spec.expiresAt or create another share.";
    WORKSPACE_NOT_FOUND = "WorkspaceNotFound", "Active=False of a WorkspaceShare; Event",
        "The workspace does not exist (yet), or is being deleted.",
        "Create it: the share then counts if its creator owns the workspace. A share ends with its workspace.";
    OWNER_CHANGED = "OwnerChanged", "Active=False of a WorkspaceShare; Event",
        "The share was made by, or for, a user who does not own the workspace.",
        "Have the owner create another share.";
    SHARING_DISABLED = "SharingDisabled", "Active=False of a WorkspaceShare; Event",
        "The workspace's manager disables sharing, or all its workspaces have one web origin (routing.mode Path).",
        "Ask the administrator to set authorization.sharing.enabled of the manager, or routing.pathModeSharing: the message says which.";
    UNVOUCHED = "Unvouched", "Active=False of a WorkspaceShare; Event",
        "The operator runs without the admission webhook and the admission policies, so nothing verifies who made the share and who owns the workspace. The chart always installs the policies.",
        "Ask the administrator to install the product with its chart; then create the share again.";
    SHARE_OUT_OF_BOUNDS = "ShareOutOfBounds", "Active=False of a WorkspaceShare; Event",
        "The share exceeds the manager's limits: it lasts too long, has no end, or names groups.",
        "Correct what the message names.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_distinct_and_valid_in_a_condition() {
        for (index, reason) in ALL.iter().enumerate() {
            assert!(
                reason.name.starts_with(|c: char| c.is_ascii_uppercase()),
                "{reason:?}"
            );
            assert!(
                reason.name.chars().all(|c| c.is_ascii_alphanumeric()),
                "{reason:?}"
            );
            assert!(
                ALL[..index].iter().all(|other| other.name != reason.name),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn every_failure_reason_has_a_remedy() {
        for reason in ALL.iter().filter(|reason| reason.shows.contains("Degraded=True")) {
            assert!(!reason.remedy.is_empty(), "{reason:?}");
        }
        for reason in ALL {
            assert!(
                !reason.meaning.is_empty() && !reason.meaning.contains('|'),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn every_reason_is_in_the_table() {
        let plain = include_str!("reason.rs")
            .lines()
            .filter(|line| line.starts_with("pub const"));
        assert_eq!(plain.count(), 0);
    }
}
