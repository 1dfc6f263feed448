"""A Jupyter server with the image's own settings, and requests as the door hands them on (IO)."""

import asyncio
import base64
import json
import os
import shutil
import tempfile
import unittest

from jupyter_k8s_workspace.identity import GATEWAY, HEADER
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

CONFIG = os.path.join(os.path.dirname(__file__), "..", "jupyter_server_config.py")


def assertion(**claims):
    """As the door hands it on. It has verified the signature, so here is none."""
    content = {"iss": GATEWAY, "aud": "uid-1", "sub": "alice", **claims}
    parts = [json.dumps(part).encode() for part in ({"alg": "EdDSA"}, content)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, b"signature"])


class Running(unittest.IsolatedAsyncioTestCase):
    # Value of JUPYTER_COLLABORATION.
    together = "off"

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)
        self.home = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        os.environ.update(
            HOME=self.home,
            JUPYTER_RUNTIME_DIR=os.path.join(self.home, "runtime"),
            JUPYTER_CONFIG_DIR=os.path.join(self.home, "config"),
            WORKSPACE_UID="uid-1",
            WORKSPACE_ASSERTION_KEYS=self.home,
            JUPYTER_PORT="9999",
            JUPYTER_COLLABORATION=self.together,
        )
        from jupyter_server.serverapp import ServerApp
        from tornado.httpserver import HTTPServer
        from tornado.testing import bind_unused_port

        ServerApp.clear_instance()
        self.app = ServerApp.instance(allow_root=True, log_level="ERROR")
        self.app.initialize(argv=[f"--config={CONFIG}", f"--ServerApp.sock={self.home}/application.sock"], new_httpserver=False)
        socket, self.port = bind_unused_port()
        self.http = HTTPServer(self.app.web_app)
        self.http.add_socket(socket)

    async def asyncTearDown(self):
        self.http.stop()
        await self.app._cleanup()
        self.app.clear_instance()

    async def ask(self, path, assertions=(), method="GET", body=None, **headers):
        request = HTTPRequest(f"http://127.0.0.1:{self.port}{path}", method=method, body=body, follow_redirects=False)
        for assertion in assertions:
            request.headers.add(HEADER, assertion)
        for name, value in headers.items():
            request.headers[name] = value
        return await AsyncHTTPClient(force_instance=True).fetch(request, raise_error=False)
