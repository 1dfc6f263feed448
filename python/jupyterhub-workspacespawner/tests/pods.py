"""The kubelet's part: a pod is the launcher as a local process, with its token in a file (no cluster)."""

import asyncio
import os
import random
import socket
import sys

LAUNCHER = os.path.join(os.path.dirname(__file__), "..", "workspacespawner", "launcher.py")


def free_port():
    """A port that the kernel gives to no client, so that it is still free when somebody listens there."""
    while True:
        port = random.randrange(10240, 30000)
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Pods:
    """Starts a launcher per workspace, for the operator of `ApiServer`. `url` is the hub's API."""

    def __init__(self, api, folder, url, python=os.environ.get("LAUNCHER_PYTHON", sys.executable)):
        self.api, self.folder, self.url, self.python = api, folder, url, python
        self.processes, self.output = {}, {}
        # Where it starts: a user's files lie there, of whatever names.
        self.home = os.path.join(folder, "home")
        os.mkdir(self.home)
        api.operator.address, api.operator.ended = self.begin, self.end

    def file(self, uid, what):
        return os.path.join(self.folder, f"{uid}.{what}")

    def audience(self, uid):
        return f"{self.url}/workspaces/{uid}/launch"

    async def begin(self, raw):
        uid = raw["metadata"]["uid"]
        if os.path.exists(self.file(uid, "kept")):
            os.remove(self.file(uid, "kept"))
        await self.container(uid)
        port = raw["spec"]["port"]
        # Ready when the port accepts connections.
        while self.processes[uid].returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return ("127.0.0.1", port)
        return None

    async def container(self, uid, environment=None, token=None):
        with open(self.file(uid, "token"), "w") as out:
            out.write(token or self.api.token(self.audience(uid)))
        # The kubelet makes it for each run.
        open(self.file(uid, "message"), "w").close()
        with open(LAUNCHER) as source:
            code = source.read()
        environment = {"PATH": os.environ["PATH"], "WORKSPACE_NAME": "kept", "http_proxy": "http://127.0.0.1:9", **(environment or {})}
        log = open(self.file(uid, "log"), "ab")
        self.processes[uid] = await asyncio.create_subprocess_exec(
            self.python, "-I", "-c", code, self.file(uid, "token"), self.file(uid, "kept"), self.file(uid, "message"),
            env=environment, cwd=self.home, stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        return self.processes[uid]

    def log(self, uid, what="log"):
        with open(self.file(uid, what), errors="replace") as found:
            return found.read()

    async def end(self, uid):
        process = self.processes.pop(uid, None)
        if process and process.returncode is None:
            process.terminate()
            await process.wait()
