"""The API server -> a hub's workspaces in one namespace, kept up to date; and writes to them (IO)."""

import asyncio
import contextlib
import json
import random
import re
import weakref
from collections.abc import Callable

import aiohttp
import kubernetes_asyncio.client as kubernetes
from jupyterhub.utils import maybe_future
from kubernetes_asyncio.config import ConfigException, load_incluster_config
from traitlets.log import get_logger

from . import names, objects
from .objects import Workspace

# Seconds. An API server sends a bookmark about every minute, so a watch that is silent for longer hangs.
SILENT = 90
WATCH = 300
REQUEST = 30
RETRY = 2
NOT_IN_A_POD = "the hub must run in a pod that has a service account's token: set automountServiceAccountToken: true in its Deployment"
# Characters of an answer's text that anybody is shown.
_LONGEST = 4000


class Refused(Exception):
    """The API server's answer is no."""

    def __init__(self, status: int, reason: str, message: str):
        super().__init__(message)
        self.status, self.reason = status, reason


class Unreachable(Exception):
    """The API server gives no answer, or one that says to ask again."""

    status, reason = 503, "Unreachable"


class Api:
    """Requests as this hub's account, in JSON."""

    def __init__(self, configuration: kubernetes.Configuration):
        self.configuration = configuration
        self._client: kubernetes.rest.RESTClientObject | None = None

    @contextlib.asynccontextmanager
    async def open(self, method: str, path: str, query: dict | None = None, body: dict | None = None, timeout=None):
        """A good answer, of which nothing is read yet. Raises `Refused` or `Unreachable`, also for what its reader meets."""
        if self._client is None:
            # It belongs to the loop that runs now.
            self._client = kubernetes.rest.RESTClientObject(self.configuration)
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        # The second one is that of the API server's public keys.
        headers = {"accept": "application/json, application/jwk-set+json", "Content-Type": kind}
        timeout = timeout or aiohttp.ClientTimeout(total=REQUEST)
        url = self.configuration.host.rstrip("/") + path
        try:
            headers["authorization"] = await maybe_future(self.configuration.get_api_key_with_prefix("BearerToken"))
            async with await self._client.request(
                method, url, headers=headers, query_params=query, body=body, _preload_content=False, _request_timeout=timeout
            ) as answer:
                if not answer.ok:
                    check_answer(answer.status, _parse(await answer.read() or b"{}"))
                yield answer
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise Unreachable(f"the Kubernetes API server does not answer: {type(error).__name__}") from error
        except ValueError as error:
            raise Unreachable("the Kubernetes API server's answer is no JSON") from error

    async def call(self, method: str, path: str, query: dict | None = None, body: dict | None = None) -> dict:
        """The answer's object. Raises `Refused` or `Unreachable`."""
        async with self.open(method, path, query, body) as answer:
            return _parse(await answer.read() or b"{}")


_LEVELS = 100
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def _parse(text: bytes):
    """JSON, with null for what is nested too deep to be read: anybody who may write an object may nest its `managedFields`."""
    try:
        return json.loads(text)
    except RecursionError:
        kept, depth, begin = [], 0, 0
        for token in _TOKEN.finditer(text):
            if token[0] in (b"[", b"{"):
                if depth == _LEVELS:
                    kept += [text[begin : token.start()], b"null"]
                depth += 1
            elif token[0] in (b"]", b"}"):
                depth -= 1
                if depth == _LEVELS:
                    begin = token.end()
        return json.loads(b"".join([*kept, text[begin:]]))


def check_answer(status: int, answer: dict) -> None:
    """Raises what an answer that is not good says. 429 and 5xx may be different next time."""
    message, reason = str(answer.get("message") or f"status {status}")[:_LONGEST], str(answer.get("reason") or "")
    if status == 429 or status >= 500:
        raise Unreachable(f"the Kubernetes API server answers {status}: {message}")
    raise Refused(status, reason, message)


async def _within(seconds: float, work) -> bool:
    """Whether it was done in this time."""
    try:
        await asyncio.wait_for(work, seconds)
    except asyncio.TimeoutError:
        return False
    return True


class Cluster:
    """The workspaces of one hub in one namespace: one list, one watch. `on_change` is called with the UID of each that changes."""

    def __init__(self, api: Api, namespace: str, hub: str, on_change: Callable[[str], None]):
        self.api, self.namespace, self._label = api, namespace, names.label(hub)
        self._path = f"/apis/{objects.VERSION}/namespaces/{namespace}/workspaces"
        self._selected = {"labelSelector": f"{objects.HUB}={self._label}"}
        self.on_change, self.identity = on_change, ""
        self._all: dict[str, Workspace] = {}
        # What is in no list yet: this version of the collection is known.
        self._version = 0
        # Why the workspaces are not listed, if the API server says so.
        self.refusal: Refused | None = None
        # By name, for as long as somebody waits.
        self._changes: weakref.WeakValueDictionary[str, asyncio.Event] = weakref.WeakValueDictionary()
        self._listed = asyncio.Event()
        self._task = asyncio.ensure_future(self._follow())

    async def wait_listed(self, seconds: float) -> bool:
        """Whether the workspaces are known, now or within this time. A refusal is not waited out."""
        return self._listed.is_set() or not self.refusal and await _within(seconds, self._listed.wait())

    def all(self) -> list[Workspace]:
        return [found for found in self._all.values() if self.is_ours(found)]

    def get(self, name: str) -> Workspace | None:
        return self._all.get(name)

    def find_by_uid(self, name: str, uid: str) -> Workspace | None:
        found = self._all.get(name)
        return found if found and found.uid == uid else None

    def is_ours(self, workspace: Workspace) -> bool:
        """Whether this hub made it. The webhook attests the owner; labels are what anybody may write."""
        return workspace.owner == self.identity and workspace.labels.get(objects.HUB) == self._label

    def find_by_server(self, server: objects.Server, taken: set) -> Workspace | None:
        """The workspace that was made for a server, but none of those names."""
        return next((found for found in self.all() if found.name not in taken and server.was_its(found)), None)

    async def change(self, seen: Workspace, seconds: float) -> None:
        """Waits until this workspace is another than was seen. If nothing is heard of it within this time, it is read."""
        if self._all.get(seen.name) is seen:
            change = self._changes.setdefault(seen.name, asyncio.Event())
            if not await _within(seconds, change.wait()):
                await self.fetch(seen.name)

    async def create(self, body: dict) -> Workspace:
        return self._take_answer(await self.api.call("POST", self._path, body=body))

    async def patch(self, name: str, body: dict) -> Workspace:
        return self._take_answer(await self.api.call("PATCH", f"{self._path}/{name}", body=body))

    async def ask_to_stop(self, workspace: Workspace) -> bool:
        """Whether the API server took the change; else the error is logged."""
        try:
            await self.patch(workspace.name, objects.stop(workspace))
        except (Refused, Unreachable) as error:
            get_logger().warning("cannot stop workspace %s: %s", workspace.name, error)
            return False
        return True

    async def fetch(self, name: str) -> Workspace | None:
        """Reads one workspace, for when the watch may be behind. It asks until the API server answers."""
        while True:
            before = self._all.get(name)
            try:
                return self._take_answer(await self.api.call("GET", f"{self._path}/{name}"))
            except Unreachable as error:
                get_logger().warning("cannot read workspace %s: %s", name, error)
                await asyncio.sleep(RETRY)
            except Refused as error:
                if error.status != 404:
                    raise
                if before and self._all.get(name) is before:
                    # The watch is behind.
                    self._take(name, None)
                return None

    async def delete(self, workspace: Workspace) -> None:
        """Begins the deletion of this workspace, never of its successor. One that is gone is deleted."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": workspace.uid}}
        try:
            await self.api.call("DELETE", f"{self._path}/{workspace.name}", body=body)
        except Refused as error:
            if error.status not in (404, 409):
                raise

    def _take_answer(self, raw: dict) -> Workspace:
        found = Workspace(raw)
        # The watch has passed what is older than its last version, and may have heard of the deletion since.
        if found.version > self._version and found.labels.get(objects.HUB) == self._label:
            self._take(found.name, found)
        return found

    def _take(self, name: str, after: Workspace | None) -> None:
        before = self._all.get(name)
        if after is None:
            self._all.pop(name, None)
        elif before and before.version >= after.version:
            return
        else:
            self._all[name] = after
        if change := self._changes.pop(name, None):
            change.set()
        for uid in {item.uid for item in (before, after) if item}:
            # Later, so that what goes wrong there is logged and ends nothing here.
            asyncio.get_running_loop().call_soon(self.on_change, uid)

    async def _follow(self) -> None:
        while True:
            try:
                if not self._version:
                    await self._list()
                self.refusal = None
                await self._watch()
            except Refused as error:
                if error.status == 410:
                    self._version = 0
                else:
                    self.refusal = error
                    get_logger().error("may not read workspaces in namespace %s: %s", self.namespace, error)
            except Unreachable as error:
                get_logger().warning("the watch of workspaces in namespace %s ended: %s", self.namespace, error)
            except Exception:
                # Nothing that an object holds may end this: the hub would hear of nothing any more, and nobody would notice.
                get_logger().exception("cannot read workspaces in namespace %s", self.namespace)
            await asyncio.sleep(RETRY * random.uniform(0.5, 1))

    async def _list(self) -> None:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await self.api.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=review)
        self.identity = answer["status"]["userInfo"]["username"]
        answer = await self.api.call("GET", self._path, self._selected)
        present = {found.name: found for found in map(Workspace, answer.get("items") or [])}
        version = int(answer["metadata"]["resourceVersion"])
        for name, known in list(self._all.items()):
            # What was created after the list was made is not missing.
            if known.version <= version and (name not in present or present[name].uid != known.uid):
                self._take(name, None)
        self._version = version
        for name, found in present.items():
            self._take(name, found)
        self._listed.set()

    async def _watch(self) -> None:
        """Takes changes until the connection ends."""
        query = {
            **self._selected, "watch": "1", "allowWatchBookmarks": "true",
            "resourceVersion": str(self._version), "timeoutSeconds": str(WATCH),
        }  # fmt: skip
        timeout = aiohttp.ClientTimeout(sock_connect=REQUEST, sock_read=SILENT)
        async with self.api.open("GET", self._path, query, timeout=timeout) as answer:
            async for line in answer.content:
                self._event(_parse(line))

    def _event(self, event: dict) -> None:
        kind, raw = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            check_answer(int(raw.get("code") or 500), raw)
            return
        found = Workspace(raw)
        self._version = max(self._version, found.version)
        if kind == "DELETED":
            known = self._all.get(found.name)
            if known and known.uid == found.uid:
                self._take(found.name, None)
        elif kind in ("ADDED", "MODIFIED"):
            self._take(found.name, found)


def configuration(host: str, ca: str, verify: bool | None) -> kubernetes.Configuration:
    """This pod's account; each part that is given counts instead."""
    found = kubernetes.Configuration()
    try:
        load_incluster_config(client_configuration=found)
    except ConfigException as error:
        raise ValueError(f"{NOT_IN_A_POD} ({error})") from error
    found.host, found.ssl_ca_cert = host or found.host, ca or found.ssl_ca_cert
    if verify is not None:
        found.verify_ssl = verify
    return found
