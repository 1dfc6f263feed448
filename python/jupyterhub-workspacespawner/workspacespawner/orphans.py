"""Workspaces of a hub that JupyterHub does not know -> stopped, or reported (IO)."""

import time

from prometheus_client import REGISTRY, Counter, Gauge
from traitlets.log import get_logger

from .cluster import Cluster

AFTER = 600
EVERY = 30

FOUND = Gauge("jupyterhub_workspaces_orphaned", "Workspaces of this hub that run and are no server of it", registry=REGISTRY)
STOPPED = Counter("jupyterhub_workspaces_orphaned_stopped_total", "Orphaned workspaces that the hub stopped", registry=REGISTRY)


class Orphans:
    """Workspaces that have been orphans for how long. `is_known(uid)` says what JupyterHub has."""

    def __init__(self, cluster: Cluster, is_known, stops: bool, clock=time.monotonic):
        self._cluster, self._is_known, self._stops, self._clock = cluster, is_known, stops, clock
        self._since: dict[str, float] = {}
        self._reported: set[str] = set()

    async def sweep(self) -> None:
        now = self._clock()
        found = {item.uid: item for item in self._cluster.all() if item.wanted and not self._is_known(item.uid)}
        self._since = {uid: self._since.get(uid, now) for uid in found}
        late = [found[uid] for uid, since in self._since.items() if now - since >= AFTER]
        FOUND.set(len(late))
        self._reported &= {item.uid for item in late}
        for item in late:
            if item.uid not in self._reported:
                get_logger().warning("workspace %s, made for user and server %r, runs and is no server of this hub", item.name, item.server)
                self._reported.add(item.uid)
            if self._stops and await self._cluster.ask_to_stop(item):
                STOPPED.inc()
