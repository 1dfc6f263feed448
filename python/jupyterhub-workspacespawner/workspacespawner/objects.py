"""What a server needs -> its Workspace, or the change of the one that is there; JSON of one -> what the hub keeps (pure)."""

import itertools
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from . import names

GROUP = "workspaces.jupyter.org"
VERSION = f"{GROUP}/v1alpha1"
CREATED_BY = f"{GROUP}/created-by"
HUB = "hub.jupyter.org/name"
USER = "hub.jupyter.org/username"
SERVER = "hub.jupyter.org/servername"
# An administrator who gives a workspace to another user writes that one's number here.
GIVEN_TO = "hub.jupyter.org/userid"
_USER_ID = "hub.userid"
# Clocks of hub and API server may differ.
_SKEW = timedelta(minutes=1)

LONGEST_VARIABLE = 1024
LONGEST_DISPLAY_NAME = 100


class Workspace:
    """What the hub keeps of an object. What is missing there is empty."""

    def __init__(self, raw: dict):
        meta, spec, status = (raw.get(key) or {} for key in ("metadata", "spec", "status"))
        own, home = spec.get("storage") or {}, (status.get("resolved") or {}).get("storage") or {}
        endpoint, annotations = status.get("endpoint") or {}, meta.get("annotations") or {}
        self.spec, self.labels = spec, meta.get("labels") or {}
        self.name, self.uid, self.version = meta.get("name", ""), meta.get("uid", ""), int(meta.get("resourceVersion") or 0)
        # The Kubernetes user who owns it; the product attests it.
        self.owner = annotations.get(CREATED_BY, "")
        # The user and the server that it is for, as the hub named them at its last start.
        self.server = (annotations.get(USER), annotations.get(SERVER, ""))
        # The hub's number of that user.
        self.given_to = annotations.get(GIVEN_TO, "")
        self.user_id = self.given_to or (spec.get("variables") or {}).get(_USER_ID, "")
        self.created = meta.get("creationTimestamp") or ""
        self.template = spec.get("templateRef", "")
        self.deleting = "deletionTimestamp" in meta
        # Whether a pod should run.
        self.wanted = spec.get("desiredStatus") != "Stopped" and not self.deleting
        # Whether the status is of this spec.
        self.current = (status.get("observedGeneration") or 0) >= meta.get("generation", 0)
        self.conditions = {item.get("type"): item for item in status.get("conditions") or []}
        # Whether no pod is left, as desired.
        self.stopped = not self.wanted and self.current and self.says("Stopped") == "True"
        # Whether a rule stopped its last run, and no start has come since.
        self.by_rule = bool(status.get("stoppedBecause"))
        self.phase, self.reason, self.message = (status.get(key) or "" for key in ("phase", "reason", "message"))
        self.run_id, self.pod, self.started = status.get("runID") or "", status.get("podName") or "", bool(status.get("startedAt"))
        # When memory last ran out in this run.
        self.out_of_memory = (status.get("outOfMemory") or {}).get("time") or ""
        self.address = (endpoint["podIP"], endpoint["port"]) if endpoint.get("podIP") and endpoint.get("port") else None
        # Whether it has a disk of its own, and what becomes of that with it. Empty: not known, so nothing may rely on either.
        self.has_disk = not own.get("claimName") and home.get("ephemeral") is not True
        self.retain = own.get("retain") or home.get("retain") or ""

    def says(self, condition: str) -> str:
        return self.conditions.get(condition, {}).get("status", "")


@dataclass(frozen=True)
class Server:
    """Which server of which user, and of which hub."""

    hub: str
    user: str
    user_id: int
    # When the hub made the user, in UTC. SQLite gives a deleted user's number to the next one.
    user_since: datetime | None
    name: str
    display_name: str
    path: str

    def is_its(self, found: Workspace) -> bool:
        """Whether it is a workspace of this server's user, under whatever name of either."""
        return found.user_id == str(self.user_id)

    def was_its(self, found: Workspace) -> bool:
        """Whether it was made for a server of this name and user, if nothing but the workspace says so."""
        if found.deleting or not self.is_its(found) or found.server[1] != self.name:
            return False
        if found.given_to or self.user_since is None:
            return True
        # Not for an earlier user of this number. Where the clocks may be wrong, the name tells.
        made = datetime.fromisoformat(found.created.replace("Z", "+00:00"))
        since = self.user_since.replace(microsecond=0, tzinfo=timezone.utc)
        return made >= since or (made + _SKEW >= since and found.server[0] == self.user)

    def new_name(self, taken: set) -> str:
        """For its workspace, and so for the disk. `taken` have been given to other servers of this user, which may be named otherwise now."""
        since = self.user_since.replace(microsecond=0).isoformat() if self.user_since else ""
        found = (names.workspace(f"{self.user_id} {since}", self.user, self.name, attempt) for attempt in itertools.count())
        return next(name for name in found if name not in taken)


def workspace(name: str, server: Server, template: str, spec: dict, labels: dict) -> dict:
    """The object as it should be: running, of this template, with what the options chose. Fields that are None are unset."""
    return {
        "apiVersion": VERSION,
        "kind": "Workspace",
        "metadata": {"name": name, **marks(server, labels)},
        "spec": {
            **spec,
            "displayName": display_name(server),
            "templateRef": template,
            "desiredStatus": "Running",
            # A template may let everybody change its workspaces. Who may change this one chooses what runs with a user's token.
            "ownershipType": "OwnerOnly",
            "variables": variables(server),
        },
    }


def marks(server: Server, labels: dict) -> dict:
    """Labels to select by, and annotations with the names as they are. An administrator's label never replaces one of ours."""
    return {
        "labels": {**labels, HUB: names.label(server.hub), USER: names.label(server.user), SERVER: names.label(server.name)},
        "annotations": {USER: server.user, SERVER: server.name},
    }


def create(wanted: dict) -> dict:
    """The wanted object for an API server that has none."""
    return {**wanted, "spec": {key: value for key, value in wanted["spec"].items() if value is not None}}


def start(present: Workspace, wanted: dict) -> dict:
    """The merge patch with which a stopped workspace becomes the wanted one and runs. UID: only that one, never its successor."""
    # A disk does not move or shrink. Fields that the hub does not set stay as they are, too.
    after = {key: value for key, value in wanted["spec"].items() if key != "storage"}
    before = {key: present.spec.get(key) for key in after}
    metadata = {"uid": present.uid, "labels": wanted["metadata"]["labels"], "annotations": wanted["metadata"]["annotations"]}
    return {"metadata": metadata, "spec": {**difference(before, after), "desiredStatus": "Running"}}


def stop(present: Workspace) -> dict:
    return {"metadata": {"uid": present.uid}, "spec": {"desiredStatus": "Stopped"}}


def retain(present: Workspace, kept: bool) -> dict | None:
    """The patch after which a deletion keeps the disk, or deletes it. None: it already does, or there is none of its own."""
    want = "Retain" if kept else "Delete"
    if not present.has_disk or present.retain == want:
        return None
    return {"metadata": {"uid": present.uid}, "spec": {"storage": {"retain": want}}}


def difference(present: dict, wanted: dict) -> dict:
    """The merge patch from one object to the other."""
    changes = {}
    for key in present.keys() | wanted.keys():
        before, after = present.get(key), wanted.get(key)
        if before != after:
            changes[key] = difference(before, after) if isinstance(before, dict) and isinstance(after, dict) else after
    return changes


def variables(server: Server) -> dict:
    """Values for a template's variables. Names are slugs, so that they are good in paths, labels and addresses."""
    found = {
        "hub.username": names.slug(server.user),
        _USER_ID: str(server.user_id),
        "hub.servername": names.slug(server.name),
        "hub.user_server": names.user_server(server.user, server.name),
        # Without its first "/", which the text before it has: else a value could go on with the host's name.
        "hub.path": server.path.removeprefix("/"),
    }
    return {name: value for name, value in found.items() if len(value) <= LONGEST_VARIABLE}


# Characters that are no text, or make text read other than it is written.
_NOT_PLAIN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


def display_name(server: Server) -> str:
    title = server.display_name or server.name
    text = f"{server.user}: {title}" if title else server.user
    return _NOT_PLAIN.sub(" ", text)[:LONGEST_DISPLAY_NAME].strip() or names.slug(server.user)
