"""A plugin of pytest: JupyterHub's own tests start their servers through the spawner, on an API server in memory (no cluster).

What those tests start as a local process, a pod starts here: a launcher, which asks the test's hub what to run. Runs the functions
that CHOSEN names, and writes a line per test into the file that OUTCOMES names: function, whether it passed, whether it started a server.
"""

import asyncio
import json
import os
import sys
import tempfile
import threading
import urllib.parse

import jupyterhub.handlers
import jupyterhub.spawner
import pytest
from traitlets import default

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import api_server
import pods
from workspacespawner import WorkspaceSpawner


class Cluster:
    """API server and pods, in a thread: tests block their own loop."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.call(self._begin())

    async def _begin(self):
        self.api = await api_server.ApiServer().begin()
        self.pods = pods.Pods(self.api, self.folder.name, "")

    def call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def end(self):
        self.call(self.api.end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        self.folder.cleanup()


class OverOurs(WorkspaceSpawner):
    """What the mock spawners of those tests expect of their base class, a spawner of local processes."""

    in_memory = None
    # What the present test has come to.
    started = passed = False

    @default("template")
    def _default_template(self):
        return "lab"

    @default("namespace")
    def _default_namespace(self):
        return api_server.NAMESPACE

    @default("k8s_api_host")
    def _default_k8s_api_host(self):
        return self.in_memory.api.url

    @default("port")
    def _default_port(self):
        return pods.free_port()

    def user_env(self, env):
        return env

    def get_env(self):
        return self.user_env(super().get_env())

    async def start(self):
        OverOurs.started = True
        # A profile says so in a cluster.
        self.in_memory.pods.url = self.launch_url.rstrip("/")
        found = urllib.parse.urlparse(await super().start())
        return found.hostname, found.port


# Their mock spawners get this base; what tests of local processes import stays.
real, jupyterhub.spawner.SimpleLocalProcessSpawner = jupyterhub.spawner.SimpleLocalProcessSpawner, OverOurs
import jupyterhub.tests.mocking  # noqa: E402

jupyterhub.spawner.SimpleLocalProcessSpawner = real
# A busy machine is not a slow start: tests of these say what is slow.
for patience in ("slow_spawn_timeout", "slow_stop_timeout"):
    setattr(jupyterhub.handlers.BaseHandler, patience, property(lambda self, name=patience: self.settings.get(name, 120)))


PROXY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "proxy.py")


def pytest_sessionstart(session):
    cluster = OverOurs.in_memory = Cluster()
    proxy = os.path.join(cluster.folder.name, "configurable-http-proxy")
    with open(os.open(proxy, os.O_WRONLY | os.O_CREAT, 0o700), "w") as out:
        out.write(f'#!/bin/sh\nexec "{sys.executable}" "{PROXY}" "$@"\n')
    api_server.as_pod(cluster.folder.name)
    os.environ["PATH"] = cluster.folder.name + os.pathsep + os.environ["PATH"]


def pytest_sessionfinish(session):
    OverOurs.in_memory.end()


@pytest.fixture(scope="module", autouse=True)
def what_servers_share():
    """Each module has a loop of its own, and connections belong to one loop."""
    WorkspaceSpawner._shared.clear()


def name_of(item):
    return f"{item.path.name}::{item.originalname}"


def pytest_collection_modifyitems(items):
    # In their order: some need that no other test has run before.
    chosen = os.environ["CHOSEN"].split()
    items[:] = [item for item in items if name_of(item) in chosen]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    OverOurs.started, OverOurs.passed = False, True
    found = yield
    with open(os.environ["OUTCOMES"], "a") as out:
        print(json.dumps([name_of(item), OverOurs.passed, OverOurs.started]), file=out)
    return found


def pytest_runtest_logreport(report):
    OverOurs.passed = OverOurs.passed and report.passed
