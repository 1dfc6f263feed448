"""The environment's variables -> a hub with one of three spawners, which counts its calls of the API server (IO)."""

import collections
import os
import time

import aiohttp
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.proxy import Proxy
from jupyterhub.spawner import Spawner
from kubernetes_asyncio.config import incluster_config

side, api, pods = os.environ["BENCH_SIDE"], os.environ["BENCH_API"], int(os.environ["BENCH_PODS"])
# What a pod has of its account.
incluster_config.SERVICE_TOKEN_FILENAME, incluster_config.SERVICE_CERT_FILENAME = os.environ["BENCH_ACCOUNT"].split(":")
calls = collections.Counter()
request = aiohttp.ClientSession._request


def counted(self, method, url, **more):
    """Both spawners' clients send by this; so does JupyterHub when it asks a server whether it is up."""
    if str(url).startswith(api):
        watches = "watch=" in str(url) or "watch" in (more.get("params") or ())
        calls["watch" if watches else "read" if method.upper() == "GET" else "write"] += 1
    return request(self, method, url, **more)


aiohttp.ClientSession._request = counted


class Figures(BaseHandler):
    """What the process has used until now."""

    def get(self):
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        self.finish({"cpu": time.process_time(), "memory": memory, **{kind: calls[kind] for kind in ("watch", "read", "write")}})


class NoProxy(Proxy):
    """Routes of all three spawners are kept, and nobody uses them."""

    should_start = False
    routes: dict = {}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return self.routes


class Nothing(Spawner):
    """Starts nothing: what a spawn costs at least."""

    async def start(self):
        return f"http://127.0.0.1:{pods}"

    async def poll(self):
        return None if self.server else 0

    async def stop(self, now=False):
        pass


c = get_config()  # noqa: F821 - JupyterHub's loader provides it
c.JupyterHub.bind_url = "http://127.0.0.1:1"  # Where the proxy would be.
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{os.environ['BENCH_HUB']}"
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.cleanup_servers = False
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.init_spawners_timeout = 600
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.log_level = "WARN"
# Requests wait until a server is there or gone, so that nobody has to ask.
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 600, "slow_stop_timeout": 600}
c.JupyterHub.extra_handlers = [("/figures", Figures)]
c.JupyterHub.authenticator_class = "null"
c.JupyterHub.services = [{"name": "bench", "api_token": os.environ["BENCH_TOKEN"]}]
c.JupyterHub.load_roles = [{"name": "bench", "scopes": ["admin:users", "admin:servers"], "services": ["bench"]}]
c.JupyterHub.spawner_class = {"ours": "workspacespawner.WorkspaceSpawner", "kube": "kubespawner.KubeSpawner", "nothing": Nothing}[side]
c.Spawner.start_timeout = c.Spawner.http_timeout = 600
c.WorkspaceSpawner.template = "bench"
for section in (c.WorkspaceSpawner, c.KubeSpawner):
    section.namespace, section.port, section.k8s_api_verify_ssl = side, pods, False
c.KubeSpawner.image = "bench"
