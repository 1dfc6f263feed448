"""An API server in memory, for workspaces of one namespace; the operator's part is the test's (no cluster).

It lists, watches with bookmarks, creates, patches with merge patches, deletes, and refuses as the real one does. It can be away, lose
answers and forget old versions.
"""

import asyncio
import base64
import collections
import copy
import datetime
import functools
import json
import os
import time
import uuid

import certifi
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from kubernetes_asyncio.config import incluster_config

HUB = "system:serviceaccount:jhub:hub"
NAMESPACE = "servers"
USER, BODY = "user", "body"
ISSUER = "https://kubernetes.default.svc"


@functools.cache
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


class Refusal(Exception):
    def __init__(self, code, reason, message):
        super().__init__(message)
        self.answer = web.json_response({"kind": "Status", "code": code, "reason": reason, "message": message}, status=code)


class Objects(dict):
    """By name; and `objects["alice--gpu"]` is that of alice's server gpu, whatever its name."""

    def __missing__(self, server):
        return next(raw for raw, found in zip(self.values(), self.servers()) if found == server)

    def servers(self):
        marks = [raw["metadata"].get("annotations", {}) for raw in self.values()]
        return ["--".join(filter(None, (of.get("hub.jupyter.org/username"), of.get("hub.jupyter.org/servername")))) for of in marks]


class ApiServer:
    def __init__(self):
        self.objects, self.version, self.log = Objects(), 100, []
        self.watchers, self.requests = set(), []
        # Tests set these.
        self.away, self.lose_answers, self.refuse, self.oldest = False, 0, None, 0
        self.roles, self.reviews_fail = set(), False
        self.operator = Operator(self)
        self.keys, self.more_keys = {"k1": rsa_key()}, []
        self.users = {"hub-token": HUB}

    async def begin(self):
        app = web.Application(middlewares=[self._judge])
        collection = f"/apis/workspaces.jupyter.org/v1alpha1/namespaces/{NAMESPACE}/workspaces"
        app.router.add_get(collection, self._list)
        app.router.add_post(collection, self._create)
        app.router.add_get(collection + "/{name}", self._get)
        app.router.add_patch(collection + "/{name}", self._patch)
        app.router.add_delete(collection + "/{name}", self._delete)
        app.router.add_post("/apis/authentication.k8s.io/v1/selfsubjectreviews", self._who)
        app.router.add_post(f"/apis/authorization.k8s.io/v1/namespaces/{NAMESPACE}/localsubjectaccessreviews", self._may)
        app.router.add_get("/.well-known/openid-configuration", self._issuer)
        app.router.add_get("/openid/v1/jwks", self._jwks)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://127.0.0.1:%d" % site._server.sockets[0].getsockname()[1]
        return self

    async def end(self):
        self.disconnect()
        await self.operator.end()
        await self.runner.cleanup()

    # --- what tests do

    def disconnect(self):
        for queue in self.watchers:
            queue.put_nowait(None)

    def writes(self, method=None):
        return [item for item in self.requests if item[0] in ("POST", "PATCH", "DELETE") and "workspaces" in item[1].split("/")[-1:] + item[1].split("/")[-2:-1] and method in (None, item[0])]

    def status(self, name, **status):
        raw = self.objects[name]
        raw["status"] = {**raw.get("status", {}), "observedGeneration": raw["metadata"]["generation"], **status}
        self._changed(raw, "MODIFIED")

    def vanish(self, name):
        self._changed(self.objects.pop(self.objects[name]["metadata"]["name"]), "DELETED")

    def edit(self, name, **spec):
        raw = self.objects[name]
        raw["spec"].update(spec)
        raw["metadata"]["generation"] += 1
        self._changed(raw, "MODIFIED")

    def token(self, audience, key="k1", algorithm="RS256", signer=None, header=None, **claims):
        now = int(time.time())
        found = {
            "iss": ISSUER, "aud": [audience], "sub": f"system:serviceaccount:{NAMESPACE}:jupyterhub-server", "exp": now + 600, "nbf": now,
            "iat": now, "kubernetes.io": {"namespace": NAMESPACE, "pod": {"name": "p", "uid": str(uuid.uuid4())}}, **claims,
        }
        found = {name: value for name, value in found.items() if value is not None}
        return jwt.encode(found, signer or self.keys[key], algorithm, headers=None if header is False else {"kid": key, **(header or {})})

    # --- requests

    @web.middleware
    async def _judge(self, request, handler):
        if self.away:
            request.transport.abort()
            raise asyncio.CancelledError
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path, body, dict(request.query)))
        user = self.users.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        request[USER], request[BODY] = user, body
        try:
            if user is None:
                raise Refusal(401, "Unauthorized", "Unauthorized")
            if self.refuse and (said := self.refuse(request.method, request.path, body)):
                raise Refusal(*said)
            answer = await handler(request)
        except Refusal as refusal:
            return refusal.answer
        if self.lose_answers and request.method in ("POST", "PATCH", "DELETE") and "reviews" not in request.path:
            self.lose_answers -= 1
            request.transport.abort()
        return answer

    async def _who(self, request):
        return web.json_response({"status": {"userInfo": {"username": request[USER]}}}, status=201)

    async def _may(self, request):
        if self.reviews_fail:
            raise Refusal(500, "InternalError", "no")
        spec = request[BODY]["spec"]
        names = [spec["user"], *spec["groups"]]
        allowed = any((name, spec["resourceAttributes"]["name"]) in self.roles for name in names)
        return web.json_response({"status": {"allowed": allowed}}, status=201)

    async def _issuer(self, request):
        return web.json_response({"issuer": ISSUER})

    async def _jwks(self, request):
        if "application/jwk-set+json" not in request.headers.get("accept", ""):
            return web.json_response({"message": "only application/jwk-set+json is available"}, status=406)
        found = []
        for name, key in self.keys.items():
            kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
            item = json.loads(kind.to_jwk(key.public_key()))
            alg = {"alg": "RS256"} if kind is jwt.algorithms.RSAAlgorithm else {"alg": "ES256"}
            found.append({**item, **alg, "kid": name, "use": "sig"})
        return web.json_response({"keys": self.more_keys + found}, content_type="application/jwk-set+json")

    def _selected(self, request, raw):
        wanted = request.query.get("labelSelector", "")
        labels = raw["metadata"].get("labels", {})
        return all(labels.get(part.split("=")[0]) == part.split("=")[1] for part in wanted.split(",") if part)

    async def _list(self, request):
        if request.query.get("watch"):
            return await self._watch(request)
        items = [raw for raw in self.objects.values() if self._selected(request, raw)]
        return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})

    async def _watch(self, request):
        since = int(request.query["resourceVersion"])
        if since < self.oldest:
            raise Refusal(410, "Expired", "too old resource version")
        response = web.StreamResponse()
        await response.prepare(request)
        queue = asyncio.Queue()
        for event in self.log:
            if event["version"] > since:
                queue.put_nowait(event)
        self.watchers.add(queue)
        try:
            while (event := await queue.get()) is not None:
                if event["type"] in ("BOOKMARK", "ERROR") or self._selected(request, event["object"]):
                    await response.write(json.dumps({"type": event["type"], "object": event["object"]}).encode() + b"\n")
        except ConnectionError:
            pass
        finally:
            self.watchers.discard(queue)
        return response

    def bookmark(self):
        self.version += 1
        event = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.version)}}, "version": self.version}
        for queue in self.watchers:
            queue.put_nowait(event)

    async def _create(self, request):
        raw, name = request[BODY], request[BODY]["metadata"]["name"]
        if name in self.objects:
            raise Refusal(409, "AlreadyExists", f'workspaces.workspaces.jupyter.org "{name}" already exists')
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        raw["metadata"].update(uid=str(uuid.uuid4()), generation=1, namespace=NAMESPACE, creationTimestamp=now)
        raw["metadata"].setdefault("annotations", {})["workspaces.jupyter.org/created-by"] = request[USER]
        self.objects[name] = raw
        self._changed(raw, "ADDED")
        return web.json_response(raw, status=201)

    def _found(self, request):
        found = self.objects.get(request.match_info["name"])
        if found is None:
            raise Refusal(404, "NotFound", "not found")
        return found

    async def _get(self, request):
        return web.json_response(self._found(request))

    async def _patch(self, request):
        raw, body = self._found(request), request[BODY]
        assert request.content_type == "application/merge-patch+json"
        if body.get("metadata", {}).get("uid", raw["metadata"]["uid"]) != raw["metadata"]["uid"]:
            raise Refusal(409, "Conflict", "Precondition failed: UID in precondition")
        if raw["metadata"]["annotations"]["workspaces.jupyter.org/created-by"] != request[USER]:
            raise Refusal(403, "Forbidden", "only the owner may change it")
        if body.get("spec", {}).get("templateRef", raw["spec"].get("templateRef")) != raw["spec"].get("templateRef"):
            raise Refusal(422, "Invalid", "templateRef is immutable")
        before = copy.deepcopy(raw["spec"])
        merge(raw, body)
        if raw["spec"] != before:
            raw["metadata"]["generation"] += 1
        self._changed(raw, "MODIFIED")
        return web.json_response(raw)

    async def _delete(self, request):
        raw = self._found(request)
        uid = ((request[BODY] or {}).get("preconditions") or {}).get("uid")
        if uid and uid != raw["metadata"]["uid"]:
            raise Refusal(409, "Conflict", "Precondition failed: UID in precondition")
        raw["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self._changed(raw, "MODIFIED")
        return web.json_response(raw)

    def _changed(self, raw, kind):
        self.version += 1
        raw["metadata"]["resourceVersion"] = str(self.version)
        event = {"type": kind, "object": copy.deepcopy(raw), "version": self.version}
        self.log.append(event)
        for queue in self.watchers:
            queue.put_nowait(event)
        self.operator.look(raw["metadata"]["name"])


class Operator:
    """Does at once what the operator does, unless `auto` is off. `address(raw)` begins what runs, `ended(name)` ends it."""

    def __init__(self, server):
        self.server, self.auto, self.runs = server, True, 0
        self.address, self.ended = None, None
        self.running, self.tasks, self.locks = set(), set(), collections.defaultdict(asyncio.Lock)

    def look(self, name):
        if self.auto:
            task = asyncio.ensure_future(self.in_order(name))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def in_order(self, name):
        async with self.locks[name]:
            await self.act(name)

    async def act(self, name):
        raw = self.server.objects.get(name)
        if raw is None:
            return
        deleting, wanted = "deletionTimestamp" in raw["metadata"], raw["spec"].get("desiredStatus") != "Stopped"
        uid = raw["metadata"]["uid"]
        if (deleting or not wanted) and uid in self.running:
            self.running.discard(uid)
            if self.ended:
                await self.ended(uid)
        if deleting:
            if self.server.objects.get(name) is raw:
                self.server.vanish(name)
        elif not wanted and raw.get("status", {}).get("observedGeneration") != raw["metadata"]["generation"]:
            self.stopped(name)
        elif wanted and uid not in self.running:
            self.running.add(uid)
            self.starting(name)
            task = asyncio.ensure_future(self.begin(name, raw))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        elif wanted and raw.get("status", {}).get("observedGeneration") != raw["metadata"]["generation"]:
            self.server.status(name)

    async def begin(self, name, raw):
        run = raw["status"]["runID"]
        address = await self.address(raw) if self.address else ("127.0.0.1", 9)
        if address and raw["status"]["runID"] == run and self.server.objects.get(name) is raw:
            self.ready(name, *address)

    def starting(self, name, **more):
        self.runs += 1
        self.server.status(
            name, phase="Starting", reason="Starting", message="The pod is starting.", runID=f"run{self.runs}", podName="workspace-" + name,
            conditions=[condition("Valid", "True", "AllRulesHold"), condition("Progressing", "True", "Starting")], endpoint=None,
            stoppedBecause=None, **more,
        )

    def ready(self, name, ip, port):
        self.server.status(
            name, phase="Running", reason="Ready", message="", endpoint={"podIP": ip, "podName": "p", "port": port}, startedAt="2026-01-01T00:00:00Z",
            conditions=[condition("Valid", "True", "AllRulesHold"), condition("Available", "True", "Ready"), condition("Stopped", "False", "Running")],
        )

    def fails(self, name, reason, message, phase="Failed"):
        conditions = [condition("Valid", "False" if phase == "Invalid" else "True", reason if phase == "Invalid" else "AllRulesHold", message)]
        self.server.status(
            name, phase=phase, reason=reason, message=message, endpoint=None,
            conditions=[*conditions, condition("Degraded", "True", reason, message)],
        )

    def stopped(self, name, message="No pod is left; the disk is kept.", **more):
        self.server.status(
            name, phase="Stopped", reason="Stopped", message=message, runID=None, endpoint=None, podName=None, startedAt=None,
            conditions=[condition("Valid", "True", "AllRulesHold"), condition("Stopped", "True", "Stopped", message)], **more,
        )

    async def end(self):
        self.auto = False
        for uid in list(self.running):
            if self.ended:
                await self.ended(uid)
        await asyncio.gather(*self.tasks, return_exceptions=True)


def condition(kind, status, reason, message=""):
    return {"type": kind, "status": status, "reason": reason, "message": message}


def merge(present, change):
    for key, value in change.items():
        if value is None:
            present.pop(key, None)
        elif isinstance(value, dict):
            merge(present.setdefault(key, {}), value)
        else:
            present[key] = value


def as_pod(folder, token="hub-token"):
    """What a pod has of its account: files and environment. The address is a setting, because a pod's is always HTTPS."""
    for file, name, text in (("token", "TOKEN", token), ("ca.crt", "CERT", certifi.contents())):
        with open(os.path.join(folder, file), "w") as out:
            out.write(text)
        setattr(incluster_config, f"SERVICE_{name}_FILENAME", out.name)
    os.environ.update(KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT="9")


def unsigned(token):
    """The same token by algorithm none."""
    part = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "k1"}).encode()).rstrip(b"=").decode()
    return part + "." + token.split(".")[1] + "."


def new_ec_key():
    return ec.generate_private_key(ec.SECP256R1())
