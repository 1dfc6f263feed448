"""etcd and Kubernetes' API server, alone; pods and workspaces in it become ready as soon as they are there (IO).

The part of scheduler, kubelet and operator is played: each pod and each workspace gets two statuses, `starting` and `ready`, and the address of
one server that answers whatever is asked. So nothing but the hub, and what the API server does for it, takes time.
"""

import asyncio
import json
import pathlib
import secrets
import socket
import ssl
import subprocess
import sys
import time

import aiohttp
from aiohttp import web

GROUP = "/apis/workspaces.jupyter.org/v1alpha1"
# The operator's webhook does it.
OWNERS = [
    {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": "owners"},
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [
                {"apiGroups": ["workspaces.jupyter.org"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["workspaces"]}
            ]},
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression":
                'Object{metadata: Object.metadata{annotations: {"workspaces.jupyter.org/created-by": request.userInfo.username}}}'
            }}],
        },
    },
    {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": "owners"},
        "spec": {"policyName": "owners"},
    },
]  # fmt: skip


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Cluster:
    """`folder` holds all of it. Its processes end with it."""

    def __init__(self, binaries, folder):
        self.folder, self.token, self.processes = pathlib.Path(folder), secrets.token_hex(), []
        etcd, peer, port, self.pods = (free_port() for _ in range(4))
        etcd, peer, self.url = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}", f"https://127.0.0.1:{port}"
        self.kubeconfig = self._write("kubeconfig", json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "u", "user": {"token": self.token}}],
        }))  # fmt: skip
        self.account = self._write("account", self.token)
        tokens = self._write("tokens", f"{self.token},bench,bench,system:masters\n")
        subprocess.run(["openssl", "genrsa", "-out", self.folder / "accounts.key", "2048"], check=True, capture_output=True)
        self._start(
            binaries / "etcd", f"--data-dir={folder}/etcd", f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}", "--unsafe-no-fsync",
        )  # fmt: skip
        # The program does what its name says.
        (self.folder / "kube-apiserver").symlink_to(binaries / "hyperkube")
        self._start(
            self.folder / "kube-apiserver", f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", f"--secure-port={port}",
            f"--cert-dir={folder}/certificates", f"--token-auth-file={tokens}", "--authorization-mode=RBAC",
            "--service-account-issuer=https://bench", f"--service-account-key-file={folder}/accounts.key",
            f"--service-account-signing-key-file={folder}/accounts.key", "--disable-admission-plugins=ServiceAccount",
            "--max-requests-inflight=3000", "--max-mutating-requests-inflight=1000",
        )  # fmt: skip

    def _write(self, name, text):
        path = self.folder / name
        path.touch(0o600)
        path.write_text(text)
        return path

    def _start(self, *command):
        log = open(self.folder / f"{pathlib.Path(command[0]).name}.log", "wb")
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def end(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def session(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connector = aiohttp.TCPConnector(ssl=context, limit=64)
        headers = {"Authorization": f"Bearer {self.token}"}
        return aiohttp.ClientSession(self.url, connector=connector, headers=headers, timeout=aiohttp.ClientTimeout())

    async def install(self, crd, kubectl, namespaces):
        """The CustomResourceDefinition, what makes owners, the namespaces; and the process that makes all ready."""
        async with self.session() as session:
            while not await _answers(session, "/readyz"):
                if any(process.poll() is not None for process in self.processes):
                    raise RuntimeError(f"etcd or API server ended: {(self.folder / 'kube-apiserver.log').read_text()[-2000:]}")
                await asyncio.sleep(0.2)
            objects = [*OWNERS, *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in namespaces)]
            objects = self._write("objects", json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
            apply = [kubectl, f"--kubeconfig={self.kubeconfig}", "apply", "--server-side", "-f", crd, "-f", objects]
            subprocess.run(apply, check=True, stdout=subprocess.DEVNULL)
            while not await _answers(session, f"{GROUP}/workspaces"):
                await asyncio.sleep(0.2)
        given = json.dumps([self.url, self.token, self.pods])
        self.processes.append(subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE))
        self.processes[-1].stdin.write(given.encode())
        self.processes[-1].stdin.close()

    async def events(self, namespace, count):
        """So many Events of pods that are gone."""
        async with self.session() as session:
            async def create(number):
                name = f"jupyter-u{number % 1000:04}"
                body = {
                    "metadata": {"name": f"{name}.{number:x}"}, "reason": "Pulled", "type": "Normal", "count": 1, "source": {"component": "kubelet"},
                    "involvedObject": {"kind": "Pod", "namespace": namespace, "name": name, "apiVersion": "v1"},
                    "message": 'Container image "bench" already present on machine', "firstTimestamp": _now(), "lastTimestamp": _now(),
                }  # fmt: skip
                async with session.post(f"/api/v1/namespaces/{namespace}/events", json=body) as response:
                    await response.read()
                    response.raise_for_status()

            for first in range(0, count, 500):
                await asyncio.gather(*(create(number) for number in range(first, min(first + 500, count))))

    async def clear(self, namespace):
        async with self.session() as session:
            for path in (f"/api/v1/namespaces/{namespace}/pods", f"{GROUP}/namespaces/{namespace}/workspaces"):
                async with session.delete(path) as response:
                    await response.read()
                    response.raise_for_status()


async def _answers(session, path):
    try:
        async with session.get(path) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def _now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def pod_statuses(pod, port):
    """What kubelet and scheduler say of a new pod."""
    if pod.get("status", {}).get("podIP") or "deletionTimestamp" in pod["metadata"]:
        return
    yield {"conditions": [_condition("PodScheduled", "True", "Scheduled")], "startTime": _now()}
    names = [container["name"] for container in pod["spec"]["containers"]]
    yield {
        "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "conditions": [_condition("Ready", "True", "Ready")],
        "containerStatuses": [
            {"name": name, "ready": True, "started": True, "restartCount": 0, "image": "bench", "imageID": "", "state": {"running": {"startedAt": _now()}}}
            for name in names
        ],
    }  # fmt: skip


def workspace_statuses(workspace, port):
    """What the operator says of a workspace that starts or stops."""
    metadata, status = workspace["metadata"], workspace.get("status") or {}
    if status.get("observedGeneration") == metadata["generation"] or "deletionTimestamp" in metadata:
        return
    observed, valid = {"observedGeneration": metadata["generation"]}, _condition("Valid", "True", "AllRulesHold")
    if workspace["spec"].get("desiredStatus") == "Stopped":
        gone = dict.fromkeys(("runID", "podName", "startedAt", "endpoint"))
        yield {**observed, "phase": "Stopped", "reason": "Stopped", **gone, "conditions": [valid, _condition("Stopped", "True", "Stopped")]}
        return
    run = {**observed, "runID": f"run{metadata['resourceVersion']}", "podName": "workspace-" + metadata["name"]}
    yield {**run, "phase": "Starting", "reason": "Starting", "conditions": [valid, _condition("Progressing", "True", "Starting")]}
    endpoint = {"podIP": "127.0.0.1", "podName": run["podName"], "port": port}
    yield {
        **run, "phase": "Running", "reason": "Ready", "startedAt": _now(), "endpoint": endpoint,
        "conditions": [valid, _condition("Available", "True", "Ready"), _condition("Stopped", "False", "Running")],
    }  # fmt: skip


def _condition(kind, status, reason):
    return {"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": _now()}


async def control(url, token, port):
    """Makes ready until it is ended."""
    app = web.Application()

    async def answer(request):
        return web.Response(text="pod")

    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    cluster = Cluster.__new__(Cluster)
    cluster.url, cluster.token = url, token
    tasks = set()

    async def act(session, path, statuses):
        for status in statuses:
            async with session.patch(path, json={"status": status}, headers={"Content-Type": "application/merge-patch+json"}) as response:
                # Unread, it would cost the connection.
                text = await response.text()
                if response.status not in (200, 404):
                    print(text, file=sys.stderr)

    async def follow(session, root, kind, statuses):
        begun = set()
        # The API server ends the watch of a client that is too slow. A new one begins with all that is there.
        while True:
            async with session.get(f"{root}/{kind}", params={"watch": "1"}) as response:
                async for line in response.content:
                    event = json.loads(line)
                    meta = event["object"]["metadata"]
                    one = (meta["uid"], meta.get("generation") if kind == "workspaces" else 0)
                    if event["type"] in ("ADDED", "MODIFIED") and one not in begun:
                        begun.add(one)
                        path = f"{root}/namespaces/{meta['namespace']}/{kind}/{meta['name']}/status"
                        task = asyncio.ensure_future(act(session, path, statuses(event["object"], port)))
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)

    async with cluster.session() as session:
        await asyncio.gather(follow(session, "/api/v1", "pods", pod_statuses), follow(session, GROUP, "workspaces", workspace_statuses))


if __name__ == "__main__":
    asyncio.run(control(*json.load(sys.stdin)))
