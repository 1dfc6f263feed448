"""JupyterHub's own users and servers on a database in memory, with the spawner on an API server in memory (no network but loopback)."""

import asyncio
import atexit
import functools
import os
import shutil
import tempfile
import unittest
import unittest.mock

import jupyterhub
from aiohttp import web
from jupyterhub import orm, roles
from jupyterhub.objects import Hub
from jupyterhub.user import UserDict
from traitlets.config import Config

import api_server
from workspacespawner import WorkspaceSpawner, launch


@functools.cache
def empty_database():
    """A database with JupyterHub's roles: making them takes longer than a test."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    db = orm.new_session_factory(f"sqlite:///{folder}/hub.sqlite")()
    db.add(orm.OAuthClient(identifier="jupyterhub"))
    for role in roles.get_default_roles():
        roles.create_role(db, role)
    db.commit()
    db.close()
    return f"{folder}/hub.sqlite"


async def end(cluster):
    """What the end of the hub's process does."""
    cluster._task.cancel()
    await asyncio.gather(cluster._task, return_exceptions=True)
    if cluster.api._client:
        await cluster.api._client.close()


class Proxy:
    def __init__(self):
        self.routes = {}

    async def add_user(self, user, server_name=""):
        host = user.spawners[server_name].server.host
        await self.slow()
        self.routes[(user.name, server_name)] = host

    async def delete_user(self, user, server_name=""):
        self.routes.pop((user.name, server_name), None)

    async def slow(self):
        """Tests let a request wait here."""


class Authenticator:
    """What a user's spawn asks of an authenticator."""

    blocked_users, enable_auth_state = (), False
    refresh_pre_spawn = False
    auth_refresh_age = 0

    async def pre_spawn_start(self, user, spawner):
        pass

    post_spawn_stop = pre_spawn_start


class Case(unittest.IsolatedAsyncioTestCase):
    """`self.api` is the API server. Pods listen at `self.pods`, where a server answers whatever is asked."""

    config: dict = {}

    async def asyncSetUp(self):
        self.api = await api_server.ApiServer().begin()
        self.folder = tempfile.TemporaryDirectory()
        api_server.as_pod(self.folder.name)
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", self._answer)
        self.pods_runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.pods_runner.setup()
        self.ports = []
        for _ in range(2):
            site = web.TCPSite(self.pods_runner, "127.0.0.1", 0)
            await site.start()
            self.ports.append(site._server.sockets[0].getsockname()[1])
        self.api.operator.address = self._address
        self.new_hub()

    async def _answer(self, request):
        return web.Response(text="pod")

    async def _address(self, raw):
        return ("127.0.0.1", self.ports[0])

    def new_hub(self, **config):
        """A hub as after a restart: the database and what is in it stay."""
        launch.servers.clear()
        launch.pods.clear()
        settings = {
            "namespace": api_server.NAMESPACE, "k8s_api_host": self.api.url, "template": "lab", "failure_grace": 0.2, "start_timeout": 30,
            **self.config, **config,
        }  # fmt: skip
        # JupyterHub makes a new one per process.
        hub = Config()
        hub.WorkspaceSpawner.update(settings)
        if not hasattr(self, "db"):
            shutil.copy(empty_database(), os.path.join(self.folder.name, "hub.sqlite"))
            self.db = orm.new_session_factory(f"sqlite:///{self.folder.name}/hub.sqlite")()
        self.proxy = Proxy()
        self.settings = {
            "hub": Hub(ip="127.0.0.1", port=8081, base_url="/hub/", public_host=""), "config": hub, "spawner_class": WorkspaceSpawner,
            "authenticator": Authenticator(), "base_url": "/", "proxy": self.proxy, "allow_named_servers": True, "statsd": unittest.mock.Mock(),
        }  # fmt: skip
        self.users = UserDict(lambda: self.db, self.settings)

    def user(self, name="alice", groups=()):
        if orm.User.find(self.db, name) is None:
            self.db.add(orm.User(name=name))
            self.db.commit()
            self.users.add(orm.User.find(self.db, name))
            roles.assign_default_roles(self.db, entity=orm.User.find(self.db, name))
        user = self.users[name]
        for group in groups:
            if orm.Group.find(self.db, group) is None:
                self.db.add(orm.Group(name=group))
            user.orm_user.groups.append(orm.Group.find(self.db, group))
        self.db.commit()
        return user

    def of(self, user, server=""):
        if jupyterhub.version_info < (6,):
            return user.get_spawner(server, replace_failed=True)
        return user.get_or_create_spawner(server, "", replace_failed=True)

    def begin(self, name="alice", server="", options=None):
        """Starts a server as JupyterHub's handlers do; returns the task."""
        user = self.user(name)
        spawner = self.of(user, server)
        spawner._spawn_pending = True

        async def spawn():
            try:
                await user.spawn(server, options=options or {})
                now = user.spawners[server]
                now.add_poll_callback(self._stopped, user, server)
                await self.proxy.add_user(user, server)
                return now
            finally:
                user.spawners[server]._spawn_pending = False

        task = asyncio.ensure_future(spawn())
        user.spawners[server]._spawn_future = task
        return task

    async def spawn(self, name="alice", server="", options=None):
        return await self.begin(name, server, options)

    async def _stopped(self, user, server):
        self.proxy.routes.pop((user.name, server), None)
        await user.stop(server)

    async def so(self, what, *args):
        """Waits until it is so; the run as a whole has the limit."""
        while not (found := what(*args)):
            await asyncio.sleep(0.005)
        return found

    async def asyncTearDown(self):
        for shared in WorkspaceSpawner._shared.values():
            shared.sweeping.stop()
            await end(shared.cluster)
        WorkspaceSpawner._shared.clear()
        for user in list(self.users.values()):
            for spawner in list(user.spawners.values()):
                spawner.stop_polling()
        await self.api.end()
        await self.pods_runner.cleanup()
        self.db.close()
        self.folder.cleanup()
