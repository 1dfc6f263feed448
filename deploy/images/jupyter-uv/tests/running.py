"""A Jupyter server with the image's own settings, in this process or as the door starts it, and requests as the door hands them on (IO)."""

import asyncio
import base64
import json
import os
import pathlib
import re
import shutil
import socket
import sys
import tempfile
import unittest
from subprocess import DEVNULL

from jupyter_k8s_workspace.identity import GATEWAY, HEADER
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.netutil import Resolver
from tornado.websocket import websocket_connect

IMAGE = pathlib.Path(__file__).resolve().parent.parent
CONFIG = str(IMAGE / "jupyter_server_config.py")


def assertion(**claims):
    """As the door hands it on. It has verified the signature, so here is none."""
    content = {"iss": GATEWAY, "aud": "uid-1", "sub": "alice", **claims}
    parts = [json.dumps(part).encode() for part in ({"alg": "EdDSA"}, content)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, b"signature"])


async def until(condition, seconds=60):
    async def holds():
        while not condition():
            await asyncio.sleep(0.05)

    await asyncio.wait_for(holds(), seconds)


class Server(unittest.IsolatedAsyncioTestCase):
    port = 80
    resolver = None

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)
        self.home = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)

    async def ask(self, path, assertions=(), method="GET", body=None, **headers):
        request = HTTPRequest(f"http://127.0.0.1:{self.port}{path}", method=method, body=body, follow_redirects=False)
        for assertion in assertions:
            request.headers.add(HEADER, assertion)
        for name, value in headers.items():
            request.headers[name] = value
        return await AsyncHTTPClient(force_instance=True, resolver=self.resolver).fetch(request, raise_error=False)


class InProcess(Server):
    def serve(self, config, *arguments, environment=None, **settings):
        """Starts a server in this process, with the settings of this file. Its port is `self.port`."""
        os.environ.update(HOME=self.home, JUPYTER_RUNTIME_DIR=f"{self.home}/runtime", JUPYTER_CONFIG_DIR=f"{self.home}/config", **(environment or {}))
        from jupyter_server.serverapp import ServerApp
        from tornado.httpserver import HTTPServer
        from tornado.testing import bind_unused_port

        ServerApp.clear_instance()
        self.app = ServerApp.instance(allow_root=True, log_level="ERROR", **settings)
        self.app.initialize(argv=[f"--config={config}", *arguments], new_httpserver=False)
        socket, self.port = bind_unused_port()
        self.http = HTTPServer(self.app.web_app)
        self.http.add_socket(socket)

    async def asyncTearDown(self):
        self.http.stop()
        await self.app._cleanup()
        self.app.clear_instance()


class Running(InProcess):
    # Value of JUPYTER_COLLABORATION.
    together = "off"

    async def asyncSetUp(self):
        await super().asyncSetUp()
        environment = {
            "WORKSPACE_UID": "uid-1",
            "WORKSPACE_ASSERTION_KEYS": self.home,
            "JUPYTER_PORT": "9999",
            "JUPYTER_COLLABORATION": self.together,
        }
        self.serve(CONFIG, f"--ServerApp.sock={self.home}/application.sock", environment=environment)


class Socket(Resolver):
    """Leads to a Unix socket, whatever the host."""

    def initialize(self, path):
        self.path = path

    async def resolve(self, host, port, family=socket.AF_UNSPEC):
        return [(socket.AF_UNIX, self.path)]


class Started(Server):
    """The image's command, as the door starts it in a home. `self.folder` has what the image has outside of it."""

    base_path = "/team/lab/"

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.socket = str(self.folder / "application.sock")
        self.resolver = Socket(path=self.socket)
        # As /opt/jupyter: this environment's packages with the image's settings.
        environment, own = self.folder / "jupyter", pathlib.Path(sys.prefix)
        for name, target in [
            ("bin/python", sys.executable),
            ("pyvenv.cfg", own / "pyvenv.cfg"),
            ("lib", own / "lib"),
            ("share", own / "share"),
            ("etc/jupyter/jupyter_server_config.d", own / "etc/jupyter/jupyter_server_config.d"),
            ("etc/jupyter/jupyter_server_config.py", CONFIG),
        ]:
            (environment / name).parent.mkdir(parents=True, exist_ok=True)
            (environment / name).symlink_to(target)
        command = re.search(r"^CMD (.*)$", (IMAGE / "Containerfile").read_text().replace("\\\n", ""), re.MULTILINE)
        values = {"/opt/jupyter": str(environment), "{socket}": self.socket, "{base-path}": self.base_path}
        self.command = [re.sub("|".join(values), lambda mark: values[mark[0]], word) for word in json.loads(command[1])]
        self.environment = {
            "HOME": self.home,
            "JUPYTER_PORT": "9999",
            # An environment of the user who runs it counts before the home; that of the image is root's.
            "JUPYTER_PREFER_ENV_PATH": "0",
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "PATH": f"{environment}/bin:/usr/local/bin:/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(IMAGE),
            "SHELL": "/bin/bash",
            "WORKSPACE_ASSERTION_KEYS": self.home,
            "WORKSPACE_BASE_PATH": self.base_path,
            "WORKSPACE_UID": "uid-1",
        }

    def write(self, name, text=""):
        """A file in the home."""
        file = pathlib.Path(self.home, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def log(self):
        return (self.folder / "log").read_text()[-4000:]

    async def run_in_home(self, command):
        with open(self.folder / "log", "w") as log:
            process = await asyncio.create_subprocess_exec(
                *command, "--allow-root", cwd=self.home, env=self.environment, stdin=DEVNULL, stdout=log, stderr=log
            )

        self.addAsyncCleanup(self.end, process)
        return process

    async def end(self, process):
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            # A server that has only begun to listen may forget the signal. The kubelet ends it in the same way.
            process.kill()
            await process.wait()

    def listens(self):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(self.socket) == 0

    async def starts(self):
        process = await self.run_in_home(self.command)
        await until(lambda: process.returncode is not None or self.listens())
        self.assertIsNone(process.returncode, self.log())
        return process

    async def call(self, path, method="GET", content=None):
        """The answer to a request of alice's program."""
        body = None if content is None else json.dumps(content)
        return await self.ask(self.base_path + path, [assertion(bearer=True)], method=method, body=body)

    async def opens(self, path):
        headers = {HEADER: assertion(bearer=True)}
        return await websocket_connect(HTTPRequest(f"ws://localhost{self.base_path}{path}", headers=headers), resolver=self.resolver)

    async def kernel(self, path="first.ipynb"):
        """A connection to a new kernel."""
        made = await self.call("api/kernels", "POST", {"path": path})
        self.assertEqual(made.code, 201, made.body)
        return await self.opens(f"api/kernels/{json.loads(made.body)['id']}/channels")

    async def result(self, kernel, code):
        """What a kernel shows for the last expression."""
        header = {"msg_id": "1", "msg_type": "execute_request", "session": "1", "username": "", "version": "5.3"}
        options = {"silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
        content = {"code": code, **options}
        await kernel.write_message(
            json.dumps({"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content})
        )

        async def shown():
            while message := await kernel.read_message():
                message = json.loads(message)
                if message["header"]["msg_type"] in ("execute_result", "error"):
                    return message["content"]

        content = await asyncio.wait_for(shown(), 60)
        self.assertIn("data", content)
        return content["data"]["text/plain"]
