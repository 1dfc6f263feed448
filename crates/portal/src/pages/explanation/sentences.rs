//! Reason and message of an Event -> a sentence for people who know no Kubernetes (pure).

use api::condition::reason;

/// Whether a warning belongs to each start: the application is asked whether it is ready before it can be.
pub(super) fn is_usual(reason: &str, message: &str) -> bool {
    reason == "Unhealthy" && !message.starts_with("Liveness")
}

/// A sentence for a known reason of Kubernetes' parts. Events of our own are sentences already.
pub(super) fn sentence<'a>(reason: &str, message: &'a str) -> &'a str {
    match reason {
        "Scheduled" => "A node with room was found.",
        "FailedScheduling" => "No node takes it yet.",
        "TriggeredScaleUp" => "A further node is being started for it.",
        "NotTriggerScaleUp" => "No further node can be started for it.",
        "Pulling" => "The image is being pulled.",
        "Pulled" => "The image is on the node.",
        "Created" => "The container was created.",
        "Started" => "The container was started.",
        "Killing" => "The container is being stopped.",
        "BackOff" => "It failed again, and waits before the next try.",
        "Failed" => "The image cannot be pulled, or the container cannot be started.",
        "FailedCreatePodSandBox" => "The node cannot start it yet.",
        _ if is_usual(reason, message) => "The application does not answer. While it starts, that is usual.",
        "Unhealthy" => "The application no longer answers, so it is started again.",
        "FailedMount" | "FailedAttachVolume" => "A disk cannot be attached.",
        "SuccessfulAttachVolume" => "The disk is attached.",
        "Provisioning" | "ExternalProvisioning" => "The disk is being made.",
        "ProvisioningSucceeded" => "The disk was made.",
        "ProvisioningFailed" => "The disk cannot be made.",
        "WaitForFirstConsumer" | "WaitForPodScheduled" => "The disk is made when a node is found.",
        "Resizing" | "ExternalExpanding" | "FileSystemResizeRequired" => "The disk is being made larger.",
        "FileSystemResizeSuccessful" => "The disk is larger now.",
        "Evicted" => "The node needed its resources for others.",
        "Preempted" => "Its place was given to something more important.",
        "NodeNotReady" => "The node does not answer.",
        other => reason::find(other).map_or("", |_| message),
    }
}
