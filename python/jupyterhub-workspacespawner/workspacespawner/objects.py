"""What a server needs -> its Workspace, or the change of the one that is there; JSON of one -> what the hub keeps (pure)."""

import re
from dataclasses import dataclass

from . import names

GROUP = "workspaces.jupyter.org"
VERSION = f"{GROUP}/v1alpha1"
CREATED_BY = f"{GROUP}/created-by"
HUB = "hub.jupyter.org/name"
USER = "hub.jupyter.org/username"
SERVER = "hub.jupyter.org/servername"

LONGEST_VARIABLE = 1024
LONGEST_DISPLAY_NAME = 100
# Fields of a spec that the hub decides. Others of a stopped workspace stay as they are; `storage` stays as it was made, because a
# disk does not move or shrink.
DECIDED = (
    "displayName", "image", "resources", "nodeSelector", "tolerations", "affinity", "port", "podAnnotations", "variables", "ownershipType",
)  # fmt: skip


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
        # The user and the server that it is for, as the hub names them.
        self.server = (annotations.get(USER), annotations.get(SERVER, ""))
        self.template = spec.get("templateRef", "")
        self.deleting = "deletionTimestamp" in meta
        # Whether a pod should run.
        self.wanted = spec.get("desiredStatus") != "Stopped" and not self.deleting
        # Whether the status is of this spec.
        self.current = (status.get("observedGeneration") or 0) >= meta.get("generation", 0)
        self.conditions = {item.get("type"): item for item in status.get("conditions") or []}
        # Whether no pod is left, as desired.
        self.stopped = not self.wanted and self.current and self.says("Stopped") == "True"
        self.phase, self.reason, self.message = (status.get(key) or "" for key in ("phase", "reason", "message"))
        self.run_id, self.pod, self.started = status.get("runID") or "", status.get("podName") or "", bool(status.get("startedAt"))
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
    name: str
    display_name: str
    path: str

    @property
    def workspace(self) -> str:
        return names.user_server(self.user, self.name)


def workspace(server: Server, template: str, spec: dict, labels: dict) -> dict:
    """The object to create: running, of this template, with what the options chose."""
    return {
        "apiVersion": VERSION,
        "kind": "Workspace",
        "metadata": {"name": server.workspace, **marks(server, labels)},
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


def marks(server: Server, labels: dict | None = None) -> dict:
    """Labels to select by, and annotations with the names as they are. An administrator's label never replaces one of ours."""
    return {
        "labels": {**(labels or {}), HUB: names.label(server.hub), USER: names.label(server.user), SERVER: names.label(server.name)},
        "annotations": {USER: server.user, SERVER: server.name},
    }


def start(present: Workspace, wanted: dict) -> dict:
    """The merge patch with which a stopped workspace becomes the wanted one and runs. UID: only that one, never its successor."""
    before, after = ({key: spec[key] for key in DECIDED if key in spec} for spec in (present.spec, wanted["spec"]))
    metadata = {"uid": present.uid, "labels": wanted["metadata"]["labels"]}
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
        "hub.userid": str(server.user_id),
        "hub.servername": names.slug(server.name),
        "hub.user_server": server.workspace,
        # Without its first "/", which the text before it has: else a value could go on with the host's name.
        "hub.path": server.path.removeprefix("/"),
    }
    return {name: value for name, value in found.items() if len(value) <= LONGEST_VARIABLE}


# Characters that are no text, or make text read other than it is written.
_NOT_PLAIN = re.compile("[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]+")


def display_name(server: Server) -> str:
    title = server.display_name or server.name
    text = f"{server.user}: {title}" if title else server.user
    return _NOT_PLAIN.sub(" ", text)[:LONGEST_DISPLAY_NAME].strip() or server.workspace
