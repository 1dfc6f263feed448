"""A workspace's status -> whether it can be reached, has ended or is hopeless, and what people are told of it (pure)."""

from .objects import Workspace

# Conditions whose reasons people are told while a server starts, in this order.
_TOLD = ("Valid", "Degraded", "Progressing")
_NOTHING = {"AllRulesHold", "AsExpected", "Starting", "Running", "Stopped", "Ready", ""}
_LONGEST = 2000
# Reasons of the phase `Failed` that may pass by themselves: the kubelet restarts a container, a node comes or answers again, a disk is freed.
PASSING = {
    "ContainerCompleted", "ContainerExited", "CrashLooping", "OOMKilled", "PostStartHookFailed", "ReadinessFailed",
    "Evicted", "NodeLost", "Unschedulable", "VolumeAttachFailed", "VolumeUnbound",
}  # fmt: skip


def url(address: tuple) -> str:
    """Where a pod listens; an IPv6 address has brackets."""
    ip, port = address
    return f"http://[{ip}]:{port}" if ":" in ip else f"http://{ip}:{port}"


def find_address(workspace: Workspace, but_not: str) -> tuple | None:
    """The address of a run other than the earlier one (`but_not`, a runID), once its pod is ready."""
    if not workspace.wanted or not workspace.current or workspace.phase != "Running":
        return None
    return workspace.address if workspace.run_id and workspace.run_id != but_not else None


def is_invalid(workspace: Workspace) -> bool:
    """Whether its spec breaks a rule: waiting does not help."""
    return workspace.current and workspace.phase == "Invalid"


def is_failing(workspace: Workspace) -> bool:
    """Whether its pod cannot run as things are."""
    return workspace.wanted and workspace.current and workspace.phase == "Failed"


def words(workspace: Workspace) -> str:
    """What the status says, on one line."""
    return _join(workspace.reason, workspace.message) or f"its status says no reason (phase {workspace.phase or 'unknown'})"


def last_run(workspace: Workspace) -> str:
    """How the last run of a stopped one ended, in the operator's words; empty if no rule ended it."""
    text = workspace.conditions.get("Stopped", {}).get("message", "") if workspace.by_rule else ""
    # What becomes of the pod and its files comes after that, and is over with the start.
    text = _join("", text.partition(". ")[0].removesuffix("."))
    return f"Last run: {text}." if text else ""


def steps(workspace: Workspace) -> list[tuple[int, str]]:
    """What has happened of a start, as percent and words. What goes wrong has the percent of the step before it."""
    if not workspace.current:
        return [(5, "Waiting for the operator")]
    facts = (
        (10, f"Workspace {workspace.name} exists", True),
        (20, "All rules hold", workspace.says("Valid") == "True"),
        (40, "Pod created", workspace.pod),
        (70, "Container started", workspace.started),
        (90, "Pod ready", workspace.address),
    )
    found = [(percent, text) for percent, text, is_so in facts if is_so]
    percent = found[-1][0]
    for name in _TOLD:
        condition = workspace.conditions.get(name, {})
        reason = condition.get("reason", "")
        if reason not in _NOTHING:
            found.append((percent, _join(reason, condition.get("message", ""))))
    return list(dict.fromkeys(found))


def _join(reason: str, message: str) -> str:
    text = " ".join(": ".join(part for part in (reason, message) if part).split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
