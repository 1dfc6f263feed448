//! Every reason of a condition or Event: when it shows, and what to do (pure). The source of docs/reasons.md.

/// A reason, as documentation tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The word in the condition or Event. Never renamed.
    pub name: &'static str,
    /// Where it shows, such as `Degraded=True`.
    pub shows: &'static str,
    /// What is the case.
    pub meaning: &'static str,
    /// What to do; empty where nothing is to be done.
    pub remedy: &'static str,
}

/// `NAME = "Word" where it shows: meaning; remedy` -> a constant each, and the table of all.
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
        "Values are out of bounds, or a rule about them is broken; the message lists all of them with field, value and bound.",
        "Change the fields that the message names. A pod that runs is left alone until the next start.";
    UNREADABLE = "Unreadable", "Valid=False, Degraded=True",
        "The stored object, or one that it refers to, does not parse as its kind.",
        "Compare it with `kubectl explain`; after an upgrade, apply the CRDs of this version.";
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
        "The pod is on its way. No Event where it is ready, or was stopped, before that could be told: where many start at a time, or after an operator was replaced.",
        "";
    HANDED_OVER = "HandedOver", "Event",
        "The workspace has another owner: sessions of the former one end, and the shares that they made.",
        "";
    STOPPING = "Stopping", "Progressing=True, Available=False; Event",
        "The pod is being stopped; a disk is kept. No Event where it has stopped before that could be told.",
        "";
    IDLE_STOPPED = "IdleStopped", "Event",
        "Nobody used the workspace for as many minutes as status.resolved.idleTimeoutInMinutes says, so it is being stopped. A disk is kept. This Event replaces Stopping. Until the next start, status.stoppedBecause shows the rule.",
        "Start it as usual. To have it stopped later, or never, change spec.idleShutdown, as far as the template allows.";
    IDLE_CHECK_FAILED = "IdleCheckFailed", "Event; status.idle.signals",
        "The pod does not say whether it is used, three times in a row. It is not stopped for idleness as long as that is so.",
        "See what the message names: spec.idleShutdown.detection must fit the application, which has to answer the operator without a sign-in. With networkPolicy.ingressFrom of the manager, the operator's pods must be among them.";
    IDLE_STOP_REFUSED = "IdleStopRefused", "Event",
        "Nobody uses the workspace, and the API server refuses to have it stopped: something that judges writes, or the stored spec itself, is in the way. It runs on, and the stop is tried again after each answer of its pod.",
        "Do what the message says, often: correct the spec so that it passes today's rules. Or stop it by hand.";
    STOPPED = "Stopped", "Stopped=True; Event",
        "No pod is left, as desired.",
        "";
    DELETING = "Deleting", "Progressing=True, Available=False",
        "The workspace is being deleted; the message says what is left if that takes its time.",
        "";
    PREDECESSOR_TERMINATING = "PredecessorTerminating", "Progressing=True",
        "The previous pod of the workspace has not ended, or a child of an earlier workspace of the same name is still being deleted.",
        "Wait. If it lasts, see which finalizer holds the object that the message names.";
    AS_EXPECTED = "AsExpected", "Degraded=False",
        "Nothing is wrong.",
        "";

    TEMPLATE_NOT_FOUND = "TemplateNotFound", "Valid=False, Degraded=True",
        "The WorkspaceTemplate in spec.templateRef does not exist (yet).",
        "Have it made: the workspace starts by itself when it arrives. Or delete the workspace and create it anew from another one (`kubectl get wst`): if it has files, first set spec.storage.retain: Retain, or its disk is deleted with it.";
    MANAGER_NOT_FOUND = "ManagerNotFound", "Valid=False, also of a WorkspaceTemplate, Degraded=True, Active=False of a WorkspaceShare",
        "The WorkspaceManager that the workspace or its template names does not exist (yet), or no manager is the default.",
        "Name one that exists in spec.managerRef (`kubectl get wsm`), or have one annotated `workspaces.jupyter.org/is-default: \"true\"`.";
    MANAGER_AMBIGUOUS = "ManagerAmbiguous", "Valid=False, Degraded=True",
        "Several WorkspaceManagers are annotated as default, and the workspace names none.",
        "Name one in spec.managerRef, or have all but one of the annotations removed. What runs keeps its manager meanwhile.";
    NOT_SERVED = "NotServed", "Ready=False of a WorkspaceManager, Available=False, Degraded=True",
        "The manager names authentication.gateway, and the gateway of this installation serves another manager. Pods run, nobody reaches them, and status.url is empty.",
        "Name a manager in spec.managerRef that is Ready (`kubectl get wsm`). Or have this one use routing.custom with authentication.forwardAuth.";
    EXECUTION_PROFILE_NOT_FOUND = "ExecutionProfileNotFound", "Valid=False, also of a WorkspaceTemplate, Degraded=True",
        "The WorkspaceExecutionProfile that the workspace or its template names does not exist in this namespace (yet).",
        "Have it made, or name another one in spec.executionProfileRef (`kubectl get wsep`).";
    TEMPLATE_TERMINATING = "TemplateTerminating", "Valid=False, Degraded=True",
        "The WorkspaceTemplate is being deleted and takes no new workspace. Those that use it go on.",
        "Create the workspace anew from another template (`kubectl get wst`).";
    MANAGER_TERMINATING = "ManagerTerminating", "Valid=False, Degraded=True",
        "The WorkspaceManager is being deleted and takes no new workspace. Those that use it go on.",
        "Name another one in spec.managerRef (`kubectl get wsm`).";
    EXECUTION_PROFILE_TERMINATING = "ExecutionProfileTerminating", "Valid=False, Degraded=True",
        "The WorkspaceExecutionProfile is being deleted and takes no new workspace. Those that use it go on.",
        "Name another one in spec.executionProfileRef (`kubectl get wsep`).";
    SECRET_NOT_FOUND = "SecretNotFound", "Degraded=True",
        "A Secret, or a key of it, that env or a profile names does not exist in this namespace.",
        "Make the Secret: the container starts by itself then. Or correct the name.";
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound", "Degraded=True",
        "A ConfigMap, or a key of it, that env names does not exist in this namespace.",
        "Make the ConfigMap: the container starts by itself then. Or correct the name.";
    SERVICE_ACCOUNT_NOT_FOUND = "ServiceAccountNotFound", "Degraded=True",
        "The ServiceAccount that the execution profile names does not exist in this namespace.",
        "Have it made: the pod is made by itself then. Or have the profile changed.";
    PRIORITY_CLASS_NOT_FOUND = "PriorityClassNotFound", "Degraded=True",
        "The PriorityClass that the execution profile names does not exist.",
        "Have it made: the pod is made by itself then. Or have the profile changed.";
    RUNTIME_CLASS_NOT_FOUND = "RuntimeClassNotFound", "Degraded=True",
        "The RuntimeClass that the execution profile names does not exist.",
        "Have it made: the pod is made by itself then. Or have the profile changed.";

    IMAGE_PULL_FAILED = "ImagePullFailed", "Degraded=True",
        "The image cannot be pulled: it does not exist, its registry does not answer or wants credentials, or it is absent where nothing is pulled.",
        "Correct name and tag: a pod that never started is replaced at once. For a private registry, have its Secret named in the execution profile's imagePullSecrets.";
    CONTAINER_START_FAILED = "ContainerStartFailed", "Degraded=True",
        "A container cannot be made, or its command cannot be run.",
        "Correct spec.containerConfig, the image or what the message names.";
    CONTAINER_EXITED = "ContainerExited", "Degraded=True",
        "A container ended and is restarted; the message names the exit code.",
        "See its output: `kubectl logs --previous` (needs the right to read logs: ask an administrator otherwise).";
    CRASH_LOOPING = "CrashLooping", "Degraded=True",
        "A container ends again and again and is restarted ever later; the message names the exit code.",
        "See its output: `kubectl logs --previous` (needs the right to read logs: ask an administrator otherwise). After a change, stop and start the workspace.";
    OOM_KILLED = "OOMKilled", "Degraded=True",
        "A container used more memory than its limit.",
        "Raise spec.resources.limits.memory, stop and start.";
    POST_START_HOOK_FAILED = "PostStartHookFailed", "Degraded=True",
        "The postStart hook in spec.lifecycle failed, so the kubelet ends the container and starts it anew; the message says what the kubelet says.",
        "Correct spec.lifecycle.postStart, stop and start.";
    READINESS_FAILED = "ReadinessFailed", "Degraded=True",
        "The container runs for over 60 s and its readiness probe has not succeeded.",
        "Check that the application listens on 0.0.0.0 and on spec.port, or answers spec.readinessProbe. See its output: `kubectl logs` (needs the right to read logs: ask an administrator otherwise).";

    START_TIMEOUT = "StartTimeout", "Degraded=True",
        "The pod was not ready within status.resolved.startTimeoutMinutes of the beginning of its run. It goes on waiting; the message says what was in its way last.",
        "Mend what the message names: the workspace goes on by itself. Or stop it; or allow it more time in spec.limits.startTimeoutMinutes, as far as the template does.";
    UNSCHEDULABLE = "Unschedulable", "Degraded=True",
        "No node can take the pod. The phase stays Starting for as long as a start may take, so that autoscalers may add nodes, then it is Failed; where nobody limits it, that is the setting unschedulableGraceSeconds (300).",
        "Ask for less cpu, memory or GPUs, correct spec.nodeSelector, affinity or tolerations, stop another workspace, or have nodes added.";
    EVICTED = "Evicted", "Degraded=True",
        "The pod was removed from its node: the node ran out of a resource or was drained, or a pod of higher priority needed the room. A new pod replaces it. This reason shows until the new pod is ready.",
        "Nothing, if it was a drain. If the message names memory or storage: raise spec.resources.requests, or write less outside the disk.";
    POD_LOST = "PodLost", "Event",
        "The pod of a running workspace was deleted or has failed, and nobody stopped the workspace. What ran in the pod has ended; a new pod takes its place once the old one is gone.",
        "Stop and start the workspace by spec.desiredStatus. If nobody deleted the pod by hand, see who did: a drain, a descheduler or an autoscaler.";
    POD_NOT_MANAGED = "PodNotManaged", "Degraded=True",
        "A pod uses the disk, and no ReplicaSet of the workspace manages it: somebody changed the labels of the workspace's pod, or made a pod of their own. No other pod starts on the disk beside it, and the workspace is not Stopped while it runs.",
        "Once nobody needs the pod that the message names, delete it (needs the right to delete pods: ask an administrator otherwise): the workspace goes on by itself.";
    NODE_LOST = "NodeLost", "Degraded=True",
        "The pod's node does not answer or is gone, so nobody knows whether the pod still runs. It is never deleted by force: two pods must not write to one disk.",
        "Bring the node back. If the machine is certainly off: `kubectl delete node <name>`, or taint it `node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`; pod and disk are freed then.";

    STORAGE_CLASS_NOT_FOUND = "StorageClassNotFound", "Degraded=True",
        "The storage class of a disk does not exist, or none is named and the cluster has no default.",
        "Have the class made (an administrator sees them with `kubectl get storageclass`). Or delete the workspace and create it anew with another spec.storage.storageClassName: this disk was never made, so no files are lost.";
    VOLUME_UNBOUND = "VolumeUnbound", "Degraded=True",
        "A claim has waited for a volume for over 60 s, its volume could not be made or is gone, or a claim that is mounted does not exist.",
        "Do what the message says; `kubectl describe pvc` tells more.";
    VOLUME_ATTACH_FAILED = "VolumeAttachFailed", "Degraded=True",
        "A volume cannot be attached to the pod's node or mounted there: often because another node still holds it.",
        "Wait until the other node has let go of it. If that node is off, see NodeLost; if another pod uses the disk, delete that pod.";
    VOLUME_RESIZE_FAILED = "VolumeResizeFailed", "Degraded=True",
        "The disk could not be grown, or the workspace asks for less than it has. What runs goes on at the old size.",
        "Have the storage class allow volume expansion, and the disk grows by itself; or copy the files to a workspace with a larger disk. A disk never shrinks: correct spec.storage.size to what it has. A workspace that is deleted takes its disk along, unless that is kept.";
    VOLUME_TERMINATING = "VolumeTerminating", "Degraded=True",
        "Somebody deleted the claim that is the disk while a pod uses it, or a claim that the workspace names. It goes for good when no pod uses it, and its files with it; nobody can undo a deletion.",
        "Copy the files elsewhere before the workspace stops. An administrator can keep the volume: the message says how.";
    VOLUME_REPLACED = "VolumeReplaced", "Event; message of Available=True and Stopped=True",
        "The disk that the workspace had was deleted, and a new, empty one took its place. The message stands until the first run on it has ended.",
        "If the earlier volume was kept (reclaim policy Retain), an administrator can get the files from it; else from a backup.";
    RETAINED_VOLUME_OF_ANOTHER_OWNER = "RetainedVolumeOfAnotherOwner", "Degraded=True",
        "A disk kept from an earlier workspace of this name belongs to another owner, or somebody else named this workspace's owner.",
        "Do what the message says: use another name, have the owner create the workspace, or have somebody who may update the claim give it to this workspace (docs/rights.md, Owners). Deleting the claim deletes the files.";

    VOLUME_OF_ANOTHER_WORKSPACE = "VolumeOfAnotherWorkspace", "Degraded=True",
        "A claim that spec.storage.claimName or spec.volumes names is the disk of another workspace, or was.",
        "Name another claim. To go on with the disk of a deleted workspace, create a workspace of its name.";
    VOLUME_IN_USE = "VolumeInUse", "Degraded=True",
        "The claim in spec.storage.claimName is mounted by the pod of another workspace, or by another pod; at most one may write to it.",
        "Stop what uses it: the workspace starts by itself then. For several at a time, use a claim with access mode ReadWriteMany.";
    DISK_KEPT = "DiskKept", "Event",
        "The workspace is deleted and its disk is kept, as spec.storage.retain or the template says; the message names it.",
        "Create a workspace of the same name to go on with it, or delete the claim.";
    DISK_TAKEN_OVER = "DiskTakenOver", "Event",
        "The workspace goes on with the disk that its owner's earlier workspace of this name left.",
        "";
    POD_TEMPLATE_CHANGED = "PodTemplateChanged", "Event",
        "Somebody changed the pod template of the Deployment, and not the Workspace; the message names the field manager. It is also listed in status.pendingUpdate, as deployment.spec.template.",
        "Change the Workspace instead. The next start puts the pod template right.";
    REPLICAS_CORRECTED = "ReplicasCorrected", "Event",
        "Somebody scaled the Deployment to more than one pod. A workspace runs one pod, so it was scaled back at once. The further pods stay pending; if a second one had a node, the message says that both may have used the disk.",
        "Leave the Deployment alone: spec.desiredStatus starts and stops the workspace. Take it off autoscalers.";
    DEPLOYMENT_RESTORED = "DeploymentRestored", "Event",
        "Somebody deleted the Deployment of a running workspace, or scaled it to none: a new run begins, because a workspace that is wanted running runs. Or somebody changed its strategy, paused it or set minReadySeconds: that is put back, and the pod stays.",
        "Leave the Deployment alone: spec.desiredStatus starts and stops the workspace.";
    REPLICA_SET_ORPHANED = "ReplicaSetOrphaned", "Degraded=True",
        "Somebody deleted the Deployment and left its ReplicaSet (`kubectl delete --cascade=orphan`). Its pod runs on, idle or not, nobody reaches it, and no other run begins: two pods must not write to one disk. The workspace neither stops nor goes before that ReplicaSet is gone.",
        "Have an administrator delete the ReplicaSet, as the message says: the pod ends, and the workspace goes on by itself. Leave the Deployment alone: spec.desiredStatus starts and stops the workspace.";
    CHILD_CONTESTED = "ChildContested", "Degraded=True",
        "Somebody else writes to a child of the workspace again and again, so that it does not stay as planned; the message names the child and the field manager. The operator writes it ever less often, once a minute at last.",
        "Take the child off whatever changes it: an autoscaler, a policy engine, or a second installation of this product.";
    NAME_CONFLICT = "NameConflict", "Degraded=True",
        "The name of a child is taken by an object that is not this workspace's.",
        "Have an administrator delete that object, or create the workspace under another name.";
    QUOTA_EXCEEDED = "QuotaExceeded", "Degraded=True",
        "A ResourceQuota of the namespace refuses the pod, the disk or another child.",
        "Ask for less, or have the quota raised. Or stop another workspace; if the message names the PersistentVolumeClaim, delete another workspace or a retained disk instead. The workspace recovers by itself within a minute.";
    POD_SECURITY_VIOLATION = "PodSecurityViolation", "Degraded=True",
        "The namespace's Pod Security level refuses the pod.",
        "Have the template's podSecurity or security contexts fit the namespace's level, or the other way round.";
    ADMISSION_DENIED = "AdmissionDenied", "Degraded=True",
        "A LimitRange, an admission policy or somebody else's webhook refuses the pod, the disk or another child, or that webhook does not answer.",
        "Change what the message names, or tell the administrator.";
    ROUTE_FAILED = "RouteFailed", "Degraded=True",
        "A route of the WorkspaceManager cannot be written.",
        "Tell the administrator: the manager's routing.custom, or the rights of the operator, are to be corrected.";
    ROUTE_KIND_UNAVAILABLE = "RouteKindUnavailable", "Ready=False of a WorkspaceManager",
        "A kind of object that the manager's routing.custom names is not installed, or the operator has no rights on it.",
        "Do what the message says: the manager becomes ready, and routes are made, by themselves.";

    TEMPLATE_IN_USE = "TemplateInUse", "Terminating=True of a WorkspaceTemplate; Event",
        "The template is being deleted while workspaces use it, running or stopped: it stays until the last of them is deleted.",
        "Delete or re-create the workspaces that the message tells how to find.";
    MANAGER_IN_USE = "ManagerInUse", "Terminating=True of a WorkspaceManager; Event",
        "The manager is being deleted while workspaces use it, running or stopped: it stays until none does.",
        "Name another manager in the workspaces that the message tells how to find, or delete them.";
    EXECUTION_PROFILE_IN_USE = "ExecutionProfileInUse", "Terminating=True of a WorkspaceExecutionProfile; Event",
        "The profile is being deleted while workspaces use it, running or stopped: it stays until none does.",
        "Name another profile in the workspaces that the message tells how to find, or delete them.";

    SHARED = "Shared", "Active=True of a WorkspaceShare; Event",
        "The subjects of the share may connect to the workspace.",
        "";
    KEYS_REPLACED = "KeysReplaced", "Event of a ConfigMap",
        "Somebody changed the ConfigMap with the keys by which the namespace's workspaces check who asks them; it was put right. It may have been an attempt to pass as other people.",
        "Find out who may write ConfigMaps in the namespace, and whether they ought to.";
    EXPIRED = "Expired", "Active=False of a WorkspaceShare; Event",
        "The share has ended. The object is removed an hour later.",
        "To go on sharing, move spec.expiresAt, or create another share.";
    WORKSPACE_NOT_FOUND = "WorkspaceNotFound", "Active=False of a WorkspaceShare; Event",
        "The workspace does not exist (yet), or is being deleted.",
        "Create it: the share counts from then on if its creator owns the workspace. A share ends with its workspace.";
    OWNER_CHANGED = "OwnerChanged", "Active=False of a WorkspaceShare; Event",
        "The share was made by, or on behalf of, somebody who does not own the workspace.",
        "Have the owner create another share.";
    SHARING_DISABLED = "SharingDisabled", "Active=False of a WorkspaceShare; Event",
        "The workspace's manager lets nobody share, or all its workspaces have one web origin (routing.mode Path).",
        "Ask the administrator, who may set authorization.sharing.enabled of the manager, or routing.pathModeSharing: the message says which.";
    UNVOUCHED = "Unvouched", "Active=False of a WorkspaceShare; Event",
        "The installation has no webhook, so nobody vouches for who made the share and who owns the workspace.",
        "Ask the administrator to install the webhook; then create the share anew.";
    SHARE_OUT_OF_BOUNDS = "ShareOutOfBounds", "Active=False of a WorkspaceShare; Event",
        "The manager bounds shares, and this one is given for too long, has no end, or names groups where none are allowed.",
        "Correct what the message names.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_distinct_words_that_a_condition_takes() {
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
    fn whatever_is_wrong_has_a_remedy() {
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
    fn no_reason_stands_outside_the_table() {
        let plain = include_str!("reason.rs")
            .lines()
            .filter(|line| line.starts_with("pub const"));
        assert_eq!(plain.count(), 0);
    }
}
