//! Reason of a condition or Event -> what it says of a start, and the remedy (pure).
//!
//! This is the source of docs/reasons.md, and of all that differs from reason to reason in explanations, pages and commands.

/// A reason, and all that readers of it need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The reason in the condition or Event. Never renamed.
    pub name: &'static str,
    /// Whether something is wrong, and what then waits for it.
    pub state: State,
    /// Where it shows, such as `Degraded=True`.
    pub shows: &'static str,
    /// What is the case.
    pub meaning: &'static str,
    /// What to do; empty where nothing is to be done.
    pub remedy: &'static str,
    /// Who can do it.
    pub who: Who,
    /// Changes of the workspace that do it; one of them is enough.
    pub fixes: &'static [Fix],
}

/// Whether something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is wrong.
    Fine,
    /// Something must end first. It usually does so by itself.
    Waits,
    /// Something is wrong, at no step of a start that is known.
    Wrong,
    /// Something is wrong, and blocks this step of a start.
    Blocks(Step),
}

/// A step of a start that a reason can block, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The pod gets a node.
    Node,
    /// The disk is there and free. Without it, the pod gets no node either.
    Disk,
    /// The node attaches and mounts the disk.
    Attach,
    /// The node pulls the image.
    Image,
    /// The container is created.
    Container,
    /// Its process runs. What ends it is corrected by a stop and a start.
    Process,
    /// The application answers.
    Application,
    /// Its route is there.
    Connection,
}

/// Who has the rights to a remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The owner, and holders of the verb `administer`.
    Owner,
    /// Administrators of the namespace or the cluster alone.
    Administrator,
}

/// A change of a workspace that a remedy names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Start it.
    Start,
    /// Start it in recovery.
    Recover,
    /// Stop it.
    Stop,
    /// Stop and start it.
    Restart,
    /// Create another workspace with its values.
    Copy,
    /// Stop another workspace.
    StopOther,
    /// Read its output.
    Logs,
    /// Read the output of the previous run of its container.
    PreviousLogs,
    /// Change this field.
    Field(&'static str),
    /// Change the fields that the message names.
    FieldsOfMessage,
    /// Change the references to the Secret or `ConfigMap` that the message names.
    ReferencesOfMessage,
    /// Change the amounts of resources that the message names.
    AmountsOfMessage,
}

/// The reason of this name.
pub fn find(name: &str) -> Option<&'static Reason> {
    ALL.iter().find(|reason| reason.name == name)
}

/// `NAME = "Reason", state, where it shows, meaning, who: remedy, [fixes]` -> a constant each, and the table of all. Without a remedy,
/// the row ends at the meaning.
macro_rules! reasons {
    ($(
        $constant:ident = $name:literal, $state:ident $(($step:ident))?, $shows:literal, $meaning:literal
        $(, $who:ident: $remedy:literal)? $(, [$($fix:ident $(($field:literal))?),*])?;
    )*) => {
        $(
            #[doc = concat!("`", $shows, "`: ", $meaning)]
            pub const $constant: &str = $name;
        )*

        /// Every reason, in the order of the documentation.
        pub const ALL: &[Reason] = &[$(Reason {
            name: $constant,
            state: State::$state $((Step::$step))?,
            shows: $shows,
            meaning: $meaning,
            remedy: concat!($($remedy)?),
            who: [$(Who::$who,)? Who::Owner][0],
            fixes: &[$($(Fix::$fix $(($field))?),*)?],
        },)*];
    };
}

reasons! {
    ALL_RULES_HOLD = "AllRulesHold", Fine, "Valid=True, Ready=True",
        "Every rule holds.";
    RULES_VIOLATED = "RulesViolated", Wrong, "Valid=False, Ready=False",
        "A value is out of bounds or breaks a rule. The message lists each with field, value and bound.",
        Owner: "Change the fields that the message names. A running pod stays until the next start.",
        [FieldsOfMessage];
    UNREADABLE = "Unreadable", Wrong, "Valid=False, Degraded=True",
        "The stored object, or one that it refers to, cannot be parsed.",
        Owner: "Compare it with `kubectl explain`. After an upgrade, apply the CRDs of this version.";
    INVALID = "Invalid", Wrong, "Available, Progressing, Stopped",
        "The workspace is not valid, so nothing runs.",
        Owner: "See the condition `Valid`.";

    READY = "Ready", Fine, "Available=True; Event",
        "The pod is ready and the URL serves it.";
    RUNNING = "Running", Fine, "Progressing=False, Stopped=False",
        "The workspace runs as desired.";
    STARTING = "Starting", Fine, "Progressing=True, Available=False; Event, unless the pod is ready or stopped before it could be written",
        "The workspace is being started.";
    HANDED_OVER = "HandedOver", Fine, "Event",
        "The workspace has another owner. Sessions and shares of the former owner end.";
    STOPPING = "Stopping", Fine, "Progressing=True, Available=False; Event, unless the pod has stopped before it could be written",
        "The workspace is being stopped; the Event says what becomes of the files.";
    IDLE_STOPPED = "IdleStopped", Fine, "Event",
        "The workspace was idle for status.resolved.idleTimeoutInMinutes and is being stopped; the Event says what becomes of the files. This Event replaces Stopping. status.stoppedBecause shows the rule until the next start.",
        Owner: "Start it as usual. To stop it later or never, change spec.idleShutdown within the template's bounds.",
        [Start, Field("spec.idleShutdown.idleTimeoutInMinutes")];
    IDLE_CHECK_FAILED = "IdleCheckFailed", Wrong, "Event; status.idle.signals",
        "Three checks in a row could not find out whether the pod is used. Until one succeeds, it is not stopped as idle.",
        Owner: "See what the message names: spec.idleShutdown.detection must fit the application, which must answer the operator without a sign-in. A manager's networkPolicy.ingressFrom must include the operator's pods.",
        [Field("spec.idleShutdown.detection")];
    IDLE_STOP_REFUSED = "IdleStopRefused", Wrong, "Event",
        "The workspace is idle, but the API server refuses to stop it: because of an admission rule, or of the stored spec. It runs on. Each further check tries again.",
        Owner: "Do what the message says, often: correct the spec so that it fits the current rules. Or stop it yourself.",
        [Stop];
    MAX_AGE_STOPPED = "MaxAgeStopped", Fine, "Event",
        "The workspace ran for status.resolved.maxAgeMinutes and is being stopped, whether it was used or not; the Event says what becomes of the files. This Event replaces Stopping. status.stoppedBecause shows the rule until the next start.",
        Owner: "Start it as usual: its age begins anew. To stop it later, change spec.limits.maxAgeMinutes within the template's bounds.",
        [Start, Field("spec.limits.maxAgeMinutes")];
    FAILED_STOPPED = "FailedStopped", Wrong, "Event",
        "The workspace was not ready for status.resolved.failedTimeoutMinutes, or never for five minutes together, and is being stopped; the Event gives the last known reason, and what becomes of the files. This Event replaces Stopping. status.stoppedBecause shows the rule until the next start.",
        Owner: "Correct what the Event names, and start it. To stop it later, change spec.limits.failedTimeoutMinutes within the template's bounds.",
        [Start, Field("spec.limits.failedTimeoutMinutes")];
    REQUESTED_STOPPED = "RequestedStopped", Fine, "Event",
        "stop-workspace was called in the workspace, which is being stopped; the Event tells what becomes of the files. This Event replaces Stopping. status.stoppedBecause shows the rule until the next start.",
        Owner: "To use it again, start it.",
        [Start];
    STOP_REFUSED = "StopRefused", Wrong, "Event",
        "A time limit in spec.limits is over, or stop-workspace was called, but the API server refuses to stop the workspace: because of an admission rule, or of the stored spec. It runs on. The operator tries again, at least once a minute.",
        Owner: "Do what the message says, often: correct the spec so that it fits the current rules. Or stop it yourself.",
        [Stop];
    DELETION_ANNOUNCED = "DeletionAnnounced", Fine, "Event",
        "The stopped workspace has a time of its deletion in status.deletesAt, by status.resolved.stoppedRetentionDays; the Event says what becomes of the files.",
        Owner: "To keep it, start it, or lengthen spec.limits.stoppedRetentionDays within the template's bounds.",
        [Start, Field("spec.limits.stoppedRetentionDays")];
    RETENTION_DELETED = "RetentionDeleted", Fine, "Event",
        "The workspace was stopped for status.resolved.stoppedRetentionDays and is deleted, as status.deletesAt said; the Event says what becomes of the files.",
        Owner: "If its disk is kept, create it anew with its name.";
    DELETION_REFUSED = "DeletionRefused", Wrong, "Event",
        "The time in status.deletesAt is over, but the API server refuses to delete the workspace: because of an admission rule, or a missing right. The operator tries again, with growing pauses.",
        Administrator: "Do what the message says. The chart gives the right with retention.enabled.";
    STOPPED = "Stopped", Fine, "Stopped=True; Event",
        "No pod is left, as desired.";
    DELETING = "Deleting", Fine, "Progressing=True, Available=False",
        "The workspace is being deleted. If that takes long, the message says what is left.";
    PREDECESSOR_TERMINATING = "PredecessorTerminating", Waits, "Progressing=True",
        "The previous pod has not ended, or a child of an earlier workspace of the same name is still being deleted.",
        Administrator: "Wait. If it lasts, see which finalizer holds the object that the message names.";
    AS_EXPECTED = "AsExpected", Fine, "Degraded=False",
        "Nothing is wrong.";

    TEMPLATE_NOT_FOUND = "TemplateNotFound", Wrong, "Valid=False, Degraded=True",
        "The WorkspaceTemplate in spec.templateRef does not exist (yet).",
        Owner: "Have it created: the workspace then starts by itself. Or create another workspace from another template (`kubectl get wst`). To use its disks again, the owner runs `kubectl delete workspace NAME --cascade=orphan`, then creates a workspace of the same name from a template with such disks. A deletion without that flag deletes each disk whose retain is not Retain.",
        [Copy];
    MANAGER_NOT_FOUND = "ManagerNotFound", Wrong, "Valid=False, also of a WorkspaceTemplate, Degraded=True, Active=False of a WorkspaceShare",
        "The WorkspaceManager of the workspace or its template does not exist (yet), or no manager is the default.",
        Administrator: "Set spec.managerRef to an existing one (`kubectl get wsm`), or have one annotated `workspaces.jupyter.org/is-default: \"true\"`.",
        [Field("spec.managerRef")];
    MANAGER_AMBIGUOUS = "ManagerAmbiguous", Wrong, "Valid=False, Degraded=True",
        "Several WorkspaceManagers are annotated as default, and the workspace names none.",
        Administrator: "Set spec.managerRef, or have all but one annotation removed. Meanwhile running workspaces keep their manager.",
        [Field("spec.managerRef")];
    NOT_SERVED = "NotServed", Wrong, "Ready=False of a WorkspaceManager, Available=False, Degraded=True",
        "The manager names authentication.gateway, but this installation's gateway serves another manager. Pods run without a URL.",
        Administrator: "Set spec.managerRef to a manager that is Ready (`kubectl get wsm`). Or have this one use routing.custom with authentication.forwardAuth.",
        [Field("spec.managerRef")];
    EXECUTION_PROFILE_NOT_FOUND = "ExecutionProfileNotFound", Wrong, "Valid=False, also of a WorkspaceTemplate, Degraded=True",
        "The WorkspaceExecutionProfile of the workspace or its template does not exist in this namespace (yet).",
        Administrator: "Have it created, or set spec.executionProfileRef to another one (`kubectl get wsep`).",
        [Field("spec.executionProfileRef")];
    TEMPLATE_TERMINATING = "TemplateTerminating", Wrong, "Valid=False, Degraded=True",
        "The WorkspaceTemplate is being deleted and accepts no new workspace. Existing ones continue.",
        Owner: "Create the workspace from another template (`kubectl get wst`).",
        [Copy];
    MANAGER_TERMINATING = "ManagerTerminating", Wrong, "Valid=False, Degraded=True",
        "The WorkspaceManager is being deleted and accepts no new workspace. Existing ones continue.",
        Owner: "Set spec.managerRef to another one (`kubectl get wsm`).",
        [Field("spec.managerRef")];
    EXECUTION_PROFILE_TERMINATING = "ExecutionProfileTerminating", Wrong, "Valid=False, Degraded=True",
        "The WorkspaceExecutionProfile is being deleted and accepts no new workspace. Existing ones continue.",
        Owner: "Set spec.executionProfileRef to another one (`kubectl get wsep`).",
        [Field("spec.executionProfileRef")];
    SECRET_NOT_FOUND = "SecretNotFound", Blocks(Container), "Degraded=True",
        "A Secret that env or a profile names, or its key, does not exist in this namespace.",
        Owner: "Create the Secret, or correct the name. The container then starts by itself.",
        [ReferencesOfMessage];
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound", Blocks(Container), "Degraded=True",
        "A ConfigMap that env names, or its key, does not exist in this namespace.",
        Owner: "Create the ConfigMap: the container then starts by itself. Or correct the name.",
        [ReferencesOfMessage];
    SERVICE_ACCOUNT_NOT_FOUND = "ServiceAccountNotFound", Blocks(Node), "Degraded=True",
        "The execution profile's ServiceAccount does not exist in this namespace.",
        Administrator: "Have it created: the pod then starts by itself. Or have the profile changed.";
    PRIORITY_CLASS_NOT_FOUND = "PriorityClassNotFound", Wrong, "Degraded=True",
        "The execution profile's PriorityClass does not exist.",
        Administrator: "Have it created: the pod then starts by itself. Or have the profile changed.";
    RUNTIME_CLASS_NOT_FOUND = "RuntimeClassNotFound", Wrong, "Degraded=True",
        "The execution profile's RuntimeClass does not exist.",
        Administrator: "Have it created: the pod then starts by itself. Or have the profile changed.";

    USER_NAMESPACE_UNAVAILABLE = "UserNamespaceUnavailable", Blocks(Container), "Degraded=True",
        "The template asks for a user namespace of the pod's own (hostUsers: false). The node or a volume cannot have one, so the pod does not start; or the API server dropped the field, and the pod runs without.",
        Administrator: "Have it run on nodes with Linux 6.3 and containerd 2.0 or CRI-O 1.25, with volumes that have id-mapped mounts, and an API server of Kubernetes 1.33. Or create the workspace from a template without hostUsers: false.";

    IMAGE_PULL_FAILED = "ImagePullFailed", Blocks(Image), "Degraded=True",
        "The image cannot be pulled: it does not exist, its registry does not answer or needs credentials, or the pull policy forbids a pull.",
        Owner: "Correct name and tag: a pod that never started is replaced at once. For a private registry, have the installation's Secret (setting imagePullSecrets) created in this namespace, or one named in the execution profile's imagePullSecrets.",
        [Field("spec.image")];
    CONTAINER_START_FAILED = "ContainerStartFailed", Blocks(Container), "Degraded=True",
        "A container cannot be created, or its command cannot run.",
        Owner: "Correct spec.containerConfig, the image or what the message names.",
        [Field("spec.containerConfig"), Field("spec.image")];
    CONTAINER_EXITED = "ContainerExited", Blocks(Process), "Degraded=True",
        "A container ended and is restarted. The message gives the exit code, and the last line of an image with the door.",
        Owner: "Correct what its last line names; you reach a file in the home by a start in recovery. If there is no such line, ask an administrator for its output.",
        [PreviousLogs, Recover];
    CONTAINER_COMPLETED = "ContainerCompleted", Blocks(Process), "Degraded=True",
        "A container ended with exit code 0, and Kubernetes starts it again, later each time: its server was asked to end, or its command has finished. Until it runs again, the workspace is not ready.",
        Owner: "To end the workspace, stop it, or run `stop-workspace` in it. If the message names a container beside the application, have the template's author make it an init container, or one that does not end.",
        [Stop];
    CRASH_LOOPING = "CrashLooping", Blocks(Process), "Degraded=True",
        "A container ends repeatedly and is restarted with growing delays. The message gives the exit code, and the last line of an image with the door.",
        Owner: "Correct what its last line names; you reach a file in the home by a start in recovery. Then stop and start the workspace. If there is no such line, ask an administrator for its output.",
        [PreviousLogs, Recover, Restart];
    OOM_KILLED = "OOMKilled", Blocks(Process), "Degraded=True",
        "A container used more memory than its limit.",
        Owner: "Raise spec.resources.limits.memory, stop and start.",
        [Field("spec.resources.limits.memory")];
    POST_START_HOOK_FAILED = "PostStartHookFailed", Blocks(Process), "Degraded=True",
        "The postStart hook in spec.lifecycle failed, so the kubelet restarts the container. The message quotes the kubelet.",
        Owner: "Correct spec.lifecycle.postStart, stop and start.",
        [Field("spec.lifecycle.postStart")];
    READINESS_FAILED = "ReadinessFailed", Blocks(Application), "Degraded=True",
        "The container has run for over 60 s without success of its readiness probe.",
        Owner: "Check that the application listens on 0.0.0.0 and on spec.port, or answers spec.readinessProbe. If it does, ask an administrator for its output.",
        [Field("spec.port"), Logs];

    START_TIMEOUT = "StartTimeout", Wrong, "Degraded=True",
        "The pod was not ready within status.resolved.startTimeoutMinutes. It continues to wait; the message gives the last known reason.",
        Owner: "Correct what the message names: the workspace then starts by itself. Or stop it, or raise spec.limits.startTimeoutMinutes within the template's bounds.",
        [Stop, Field("spec.limits.startTimeoutMinutes")];
    UNSCHEDULABLE = "Unschedulable", Blocks(Node), "Degraded=True",
        "No node can run the pod. The phase stays Starting until the start timeout, or for unschedulableGraceSeconds (300) without one, so that an autoscaler can add nodes. Then it is Failed.",
        Owner: "Reduce cpu, memory or GPUs, correct spec.nodeSelector, affinity or tolerations, stop another workspace, or have nodes added.",
        [AmountsOfMessage, StopOther];
    SCHEDULING_GATED = "SchedulingGated", Blocks(Node), "Degraded=True",
        "The pod has scheduling gates, as with Kueue: it gets no node until the controllers that set them remove them. The message names gates and queue. The phase stays Starting, and the start timeout counts from the removal.",
        Owner: "Wait until the queue admits the pod, or ask its administrator (with Kueue, who sees `kubectl get workloads`). If the workspace is not needed, stop it.",
        [Stop];
    EVICTED = "Evicted", Wrong, "Degraded=True",
        "The pod was removed from its node: a resource ran out, the node was drained, or a pod of higher priority needed the space. The reason shows until the next pod is ready.",
        Owner: "Nothing, if it was a drain. If the message names memory or storage: raise spec.resources.requests, or write less outside the disk.";
    POD_LOST = "PodLost", Wrong, "Event",
        "The pod of a running workspace was deleted or failed without a stop. Its processes ended; a new pod starts once the old one is gone.",
        Owner: "Stop and start a workspace by spec.desiredStatus. If no user deleted the pod, look for a drain, a descheduler or an autoscaler.";
    NODE_LOST = "NodeLost", Blocks(Node), "Degraded=True",
        "The pod's node does not answer or is gone, so the pod may still run. It is never deleted by force: two pods must not write to one disk.",
        Administrator: "Bring the node back. If the machine is certainly off: `kubectl delete node <name>`, or taint it `node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`. This frees pod and disk.";

    STORAGE_CLASS_NOT_FOUND = "StorageClassNotFound", Blocks(Disk), "Degraded=True",
        "The disk's storage class does not exist, or none is set and the cluster has no default.",
        Owner: "Set spec.storage.storageClassName to another class: the disk is then made anew. It was never made, so no files are lost. Or have the class created (an administrator sees them with `kubectl get storageclass`).",
        [Field("spec.storage.storageClassName")];
    VOLUME_UNBOUND = "VolumeUnbound", Blocks(Disk), "Degraded=True",
        "A claim has waited for a volume for over 60 s, its volume cannot be created or is gone, or a claim that is mounted or copied does not exist.",
        Owner: "Do what the message says; see also `kubectl describe pvc`.";
    VOLUME_ATTACH_FAILED = "VolumeAttachFailed", Blocks(Attach), "Degraded=True",
        "A volume cannot be attached to the pod's node or mounted there, often because another node still holds it.",
        Owner: "Wait until the other node releases it. If that node is off, see NodeLost; if another pod uses the disk, delete that pod.";
    VOLUME_RESIZE_FAILED = "VolumeResizeFailed", Wrong, "Degraded=True",
        "The disk could not grow, or the workspace requests less than the disk has or another class. A running pod keeps the old size.",
        Owner: "Have the storage class allow volume expansion: the disk then grows by itself. Or copy the files to a workspace with a larger disk. A disk never shrinks: set spec.storage.size to its size. Deleting the workspace deletes its disk, unless it is retained.",
        [Field("spec.storage.size"), Copy];
    VOLUME_TERMINATING = "VolumeTerminating", Wrong, "Degraded=True",
        "The claim of the disk, or one that the workspace names, was deleted and is not gone yet. Claim and files go when no pod uses it and no finalizer holds it; this cannot be undone.",
        Owner: "Copy the files elsewhere before the workspace stops. An administrator can keep the volume: the message says how. If it names a finalizer, have the software that set it remove it.";
    VOLUME_REPLACED = "VolumeReplaced", Wrong, "Event; message of Available=True and Stopped=True",
        "The workspace's disk was deleted, and a new, empty one replaced it. The message stays until the first run on it ends.",
        Administrator: "If the earlier volume was kept (reclaim policy Retain), an administrator can recover the files from it; else from a backup.";
    DISK_NEARLY_FULL = "DiskNearlyFull", Wrong, "Event; status.disk.usedPercent; status.disk.full",
        "At least 90 % of the space or inodes of the workspace's disk are used, or none is left. Nothing is stopped because of it.",
        Owner: "Delete files in a terminal of the workspace: `du -xh -d 2 -t 100M ~` names large folders. Or make the disk larger (spec.storage.size), where template and storage class allow that. If the workspace does not start any more, start in recovery and delete files there.",
        [Field("spec.storage.size"), Recover];
    RETAINED_VOLUME_OF_ANOTHER_OWNER = "RetainedVolumeOfAnotherOwner", Blocks(Disk), "Degraded=True",
        "The disk retained from an earlier workspace of this name belongs to another owner, or another user set this workspace's owner.",
        Owner: "Do what the message says: use another name, have the owner create the workspace, or have a user who may update the claim give it to this workspace (docs/rights.md, Owners). Deleting the claim deletes the files.",
        [Copy];

    VOLUME_OF_ANOTHER_WORKSPACE = "VolumeOfAnotherWorkspace", Blocks(Disk), "Degraded=True",
        "A claim in spec.storage.claimName, spec.volumes or the template's podTemplate is or was the disk of another workspace, or the template copies a disk or home of a workspace (volumeClaims, dataSourceRef).",
        Owner: "Name another claim in spec.volumes. spec.storage.claimName and a template never change. For another home create another workspace. Where the template names or copies the claim, create one from another template. To use the disk of a deleted workspace, create a workspace of its name.",
        [Copy];
    VOLUME_IN_USE = "VolumeInUse", Blocks(Disk), "Degraded=True",
        "Another pod mounts the claim in spec.storage.claimName; at most one may write to it.",
        Owner: "Stop what uses it: the workspace then starts by itself. For several pods, use a claim with access mode ReadWriteMany.";
    DISK_KEPT = "DiskKept", Fine, "Event",
        "The workspace is deleted and its disk is retained. The message names it.",
        Owner: "Create a workspace of the same name to use it again. Or delete the claim with its files.";
    DISK_TAKEN_OVER = "DiskTakenOver", Fine, "Event",
        "The workspace uses the disk retained from its owner's earlier workspace of this name.";
    POD_TEMPLATE_CHANGED = "PodTemplateChanged", Wrong, "Event",
        "The image of the pod was changed directly. The message names the field manager. status.pendingUpdate lists it as pod.spec.containers.image.",
        Owner: "Change the Workspace instead. The next start has the right image.";
    CHILD_CONTESTED = "ChildContested", Wrong, "Degraded=True",
        "Another client repeatedly changes a child of the workspace. The message names the child and the field manager. The operator restores it with growing delays, up to a minute.",
        Administrator: "Exclude the child from what changes it: an autoscaler, a policy engine, or a second installation of this product.";
    NAME_CONFLICT = "NameConflict", Blocks(Node), "Degraded=True",
        "A foreign object has the name of a child, such as the claim of a further disk.",
        Administrator: "Create the workspace under another name, or have an administrator delete that object. If it is a PersistentVolumeClaim, that deletes the files on it.",
        [Copy];
    QUOTA_EXCEEDED = "QuotaExceeded", Blocks(Node), "Degraded=True",
        "A ResourceQuota of the namespace refuses the pod, the disk or another child.",
        Owner: "Request less, or have the quota raised. Or stop another workspace; if the message names the PersistentVolumeClaim, delete another workspace or a retained disk instead, which deletes the files there. The workspace recovers by itself within seconds.",
        [AmountsOfMessage, StopOther];
    POD_SECURITY_VIOLATION = "PodSecurityViolation", Blocks(Node), "Degraded=True",
        "The namespace's Pod Security level refuses the pod. Or the operator does, because it breaks a rule for every pod: the message names field, value and rule.",
        Administrator: "Have the template's podSecurity or security contexts changed to fit the namespace's level, or the level changed. If the message names fields of the pod, change these in the template.";
    ADMISSION_DENIED = "AdmissionDenied", Blocks(Node), "Degraded=True",
        "A LimitRange, an admission policy or a foreign webhook refuses the pod, the disk or another child, or that webhook does not answer. Or a field makes no valid pod: Kubernetes checks the pod only when it starts.",
        Owner: "Change what the message names, or tell the administrator.",
        [FieldsOfMessage];
    ROUTE_FAILED = "RouteFailed", Blocks(Connection), "Degraded=True",
        "A route of the WorkspaceManager cannot be written.",
        Administrator: "Tell the administrator to correct the manager's routing.custom or the operator's rights.";
    ROUTE_KIND_UNAVAILABLE = "RouteKindUnavailable", Wrong, "Ready=False of a WorkspaceManager",
        "A kind in the manager's routing.custom is not installed, or the operator has no rights on it.",
        Administrator: "Do what the message says: then the manager becomes ready and routes are created by themselves.";
    OBJECT_FAILED = "ObjectFailed", Wrong, "Degraded=True",
        "An object of the WorkspaceTemplate cannot be written. The workspace runs without it.",
        Administrator: "Correct what the message names, or create the workspace from a template with corrected objects.";
    OBJECT_KIND_UNAVAILABLE = "ObjectKindUnavailable", Wrong, "Valid=False of a WorkspaceTemplate",
        "A kind in the template's objects is not allowed by the setting objectKinds, not installed or not namespaced, or the operator has no rights on it. Objects of a kind that was taken off the list stay until their workspaces are deleted.",
        Administrator: "Do what the message says: have the kind allowed or installed, and the objects are created by themselves. Or delete those that stay.";

    TEMPLATE_IN_USE = "TemplateInUse", Wrong, "Terminating=True of a WorkspaceTemplate; Event",
        "The template is being deleted, but workspaces use it, running or stopped. It stays until the last one is deleted.",
        Owner: "Delete these workspaces; the message says how to find them. A deletion deletes each disk whose retain is not Retain. The home's is spec.storage.retain; those of further disks are the template's. `kubectl delete workspace NAME --cascade=orphan` keeps all disks. Only their owner gets them back, by creating a workspace of the same name from a template with such disks.";
    MANAGER_IN_USE = "ManagerInUse", Wrong, "Terminating=True of a WorkspaceManager; Event",
        "The manager is being deleted, but workspaces use it, running or stopped. It stays until none does.",
        Owner: "Set another manager in these workspaces (spec.managerRef); the message says how to find them.";
    EXECUTION_PROFILE_IN_USE = "ExecutionProfileInUse", Wrong, "Terminating=True of a WorkspaceExecutionProfile; Event",
        "The profile is being deleted, but workspaces use it, running or stopped. It stays until none does.",
        Owner: "Set another profile in these workspaces (spec.executionProfileRef); the message says how to find them.";

    PREPARED = "Prepared", Fine, "Prepared=True of a WorkspaceTemplate",
        "The images of a template with the label workspaces.jupyter.org/pre-pull are on every node that its workspaces may use, and its placeholders run.";
    PULLING_IMAGES = "PullingImages", Waits, "Prepared=False of a WorkspaceTemplate",
        "Nodes still pull images of the template. The column Pulled counts each image once per node.";
    PLACEHOLDERS_PENDING = "PlaceholdersPending", Waits, "Prepared=False of a WorkspaceTemplate",
        "Not all placeholders of the template run: workspaces took their place, or no node has room. Workspaces start all the same.";
    NO_NODE = "NoNode", Waits, "Prepared=False of a WorkspaceTemplate",
        "No node may run workspaces of the template, or those with one of its images, so nothing is pulled. Such workspaces wait for a node, too.",
        Administrator: "Add a node with the labels that they select and with taints that they tolerate; an autoscaler may do so at their first start. Or correct node selector, affinity and tolerations in a new template.";
    PRE_PULL_FAILED = "PrePullFailed", Wrong, "Prepared=False of a WorkspaceTemplate; Event",
        "An image of the template cannot be pulled in advance, or pods for it or for placeholders are refused. Other images are pulled all the same.",
        Administrator: "Do what the message says: correct image and tag in a new template, create the pull Secret in the namespace of images, or raise its quota (prePull.quota).";
    PULL_SECRET_OF_PROFILE = "PullSecretOfProfile", Wrong, "Prepared=False of a WorkspaceTemplate; Event",
        "The images of the template are pulled with Secrets of its execution profile, which are in the namespaces of workspaces alone, so they are not pulled in advance.",
        Administrator: "Remove the label workspaces.jupyter.org/pre-pull. Or name the Secrets in settings.imagePullSecrets, create them in the namespace of images and in those of workspaces, and remove them from the profile (spec.imagePullSecrets).";
    LABEL_INVALID = "LabelInvalid", Wrong, "Prepared=False of a WorkspaceTemplate; Event",
        "A label of the template has a value that it cannot have, and so no effect.",
        Administrator: "Set the label to a value that the message names, or remove it.";
    PRE_PULL_DISABLED = "PrePullDisabled", Wrong, "Prepared=False of a WorkspaceTemplate; Event",
        "The template has a label for images or placeholders, and the installation makes neither.",
        Administrator: "Set the chart's value prePull.enabled, or remove the label.";

    SHARED = "Shared", Fine, "Active=True of a WorkspaceShare; Event",
        "The subjects of the share may connect to the workspace.";
    KEYS_REPLACED = "KeysReplaced", Wrong, "Event of a ConfigMap",
        "The ConfigMap with the keys that workspaces check requests with was changed, and restored. It may have been an attempt to impersonate users.",
        Owner: "Find out who may write ConfigMaps in the namespace, and whether they should.";
    EXPIRED = "Expired", Fine, "Active=False of a WorkspaceShare; Event",
        "The share has ended. The object is removed an hour later.",
        Owner: "To continue, move spec.expiresAt or create another share.";
    WORKSPACE_NOT_FOUND = "WorkspaceNotFound", Wrong, "Active=False of a WorkspaceShare; Event",
        "The workspace does not exist (yet), or is being deleted.",
        Owner: "Create it: the share then counts if its creator owns the workspace. A share ends with its workspace.";
    OWNER_CHANGED = "OwnerChanged", Wrong, "Active=False of a WorkspaceShare; Event",
        "The share was made by, or for, a user who does not own the workspace.",
        Owner: "Have the owner create another share.";
    SHARING_DISABLED = "SharingDisabled", Wrong, "Active=False of a WorkspaceShare; Event",
        "The workspace's manager disables sharing, or all its workspaces have one web origin (routing.mode Path).",
        Owner: "Ask the administrator to set authorization.sharing.enabled of the manager, or routing.pathModeSharing: the message says which.";
    UNVOUCHED = "Unvouched", Wrong, "Active=False of a WorkspaceShare; Event",
        "The operator runs without the admission webhook and the admission policies, so nothing verifies who made the share and who owns the workspace. The chart always installs the policies.",
        Owner: "Ask the administrator to install the product with its chart; then create the share again.";
    SHARE_OUT_OF_BOUNDS = "ShareOutOfBounds", Wrong, "Active=False of a WorkspaceShare; Event",
        "The share exceeds the manager's limits: it lasts too long, has no end, or names groups.",
        Owner: "Correct what the message names.";
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
