"""Three spawners of a real JupyterHub in turns -> their figures, as JSON on standard output (IO).

usage: measure.py BINARIES CHECKOUT ROUNDS BATCH MOST EVENTS
"""

import asyncio
import base64
import json
import os
import pathlib
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import aiohttp
from aiohttp import web
from cluster import Cluster, free_port

HERE = pathlib.Path(__file__).parent
SIDES = ("kube", "ours", "nothing")
# Seconds.
IDLE = 60
LIMIT = 120


class Hub:
    """A hub with one spawner, and what is asked of it."""

    def __init__(self, side, cluster, checkout):
        self.token, self.port, self.folder = secrets.token_hex(), free_port(), cluster.folder / f"hub-{side}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"], "BENCH_ACCOUNT": f"{cluster.account}:{cluster.folder}/certificates/apiserver.crt", "PYTHONPATH": f"{checkout}/python/jupyterhub-workspacespawner",
            "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": cluster.url.rsplit(":")[-1],
            "BENCH_SIDE": side, "BENCH_API": cluster.url, "BENCH_PODS": str(cluster.pods), "BENCH_HUB": str(self.port), "BENCH_TOKEN": self.token,
        }  # fmt: skip
        connector = aiohttp.TCPConnector(limit=0)
        headers = {"Authorization": f"token {self.token}"}
        self.session = aiohttp.ClientSession(f"http://127.0.0.1:{self.port}", connector=connector, headers=headers, timeout=aiohttp.ClientTimeout())

    async def begin(self):
        """Returns the figures once all servers that were there are known."""
        log = open(self.folder / "log", "ab")
        command = [sys.executable, "-B", "-m", "jupyterhub", "-f", HERE / "jupyterhub_config.py"]
        self.process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        while True:
            try:
                return await self.figures()
            except aiohttp.ClientConnectionError:
                if self.process.poll() is not None:
                    raise RuntimeError(f"the hub ended: {(self.folder / 'log').read_text()}") from None
                await asyncio.sleep(0.05)

    async def end(self):
        self.process.terminate()
        while self.process.poll() is None:
            await asyncio.sleep(0.05)

    async def figures(self):
        return json.loads(await self.ask("GET", "figures"))

    async def ask(self, method, path, **more):
        async with self.session.request(method, f"/hub/{path}", **more) as response:
            text = await response.text()
            if response.status >= 300:
                raise RuntimeError(f"{method} {path}: {response.status}: {text}")
            return text

    async def step(self, method, users):
        """Starts or stops servers at once; what that took, for each."""
        before, begin = await self.figures(), time.monotonic()
        await asyncio.wait_for(asyncio.gather(*(self.ask(method, f"api/users/{user}/server") for user in users)), LIMIT)
        took, after = time.monotonic() - begin, await self.figures()
        each = {name: (after[name] - before[name]) / len(users) for name in ("cpu", "read", "write")}
        return {"took": took, "watch": after["watch"] - before["watch"], **each}


async def turn(side, cluster, checkout, batch, most):
    """Figures of one turn by name; those at `most` servers only if it is not 0."""
    hub = Hub(side, cluster, checkout)
    try:
        await hub.begin()
        users = [f"u{number:04}" for number in range(max(batch, most))]
        await hub.ask("POST", "api/users", json={"usernames": [*users, "first"]})
        # What a hub does once is not measured.
        await hub.step("POST", ["first"])
        found = {"first": await hub.step("POST", users[:batch])}
        found["stop"] = await hub.step("DELETE", users[:batch])
        found["again"] = await hub.step("POST", users[:batch])
        if most:
            for first in range(batch, most, batch):
                await hub.step("POST", users[first : first + batch])
            before = await hub.figures()
            await asyncio.sleep(IDLE)
            after = await hub.figures()
            found["idle"] = {**{name: after[name] - before[name] for name in after}, "memory": after["memory"]}
            await hub.end()
            begin = time.monotonic()
            found["restart"] = {**await hub.begin(), "took": time.monotonic() - begin}
        return {f"{step} {name}": value for step, values in found.items() for name, value in values.items()}
    finally:
        await hub.session.close()
        if hub.process.poll() is None:
            await hub.end()
        await cluster.clear(side)


async def launcher_memory(checkout, folder):
    """MiB of a launcher while its server runs, without what it maps of files."""
    async def answer(request):
        return web.json_response({"command": ["sleep", "60"], "environment": {}})

    app, port = web.Application(), free_port()
    app.router.add_post("/launch", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    claims = base64.urlsafe_b64encode(json.dumps({"aud": f"http://127.0.0.1:{port}/launch"}).encode()).decode().rstrip("=")
    token, kept = folder / "token", folder / "kept"
    token.write_text(f".{claims}.")
    code = (checkout / "python/jupyterhub-workspacespawner/workspacespawner/launcher.py").read_text()
    process = subprocess.Popen([sys.executable, "-I", "-c", code, token, kept])
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    # Until the child is another program, it shares the launcher's memory.
    while not (found := children.read_text().split()) or pathlib.Path(f"/proc/{found[0]}/comm").read_text() != "sleep\n":
        await asyncio.sleep(0.05)
    own = dict(line.split()[:2] for line in pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:])
    process.terminate()
    process.wait()
    await runner.cleanup()
    return int(own["Anonymous:"]) / 1024


async def main(binaries, checkout, rounds, batch, most, events):
    with tempfile.TemporaryDirectory(prefix="bench-hub-") as folder:
        cluster = Cluster(pathlib.Path(binaries), folder)
        try:
            await cluster.install(f"{checkout}/charts/jupyter-k8s/crds/workspaces.yaml", f"{binaries}/kubectl", SIDES)
            await cluster.events("ours", int(events))
            turns = {side: [] for side in SIDES}
            for number in range(int(rounds)):
                # The last turn of both spawners goes on to `most`; the first side changes.
                for side in SIDES[number % 3 :] + SIDES[: number % 3]:
                    last = int(most) if number + 1 == int(rounds) and side != "nothing" else 0
                    turns[side].append(await turn(side, cluster, checkout, int(batch), last))
                    print(number, side, json.dumps({name: round(value, 4) for name, value in turns[side][-1].items()}), file=sys.stderr, flush=True)
            median = {
                side: {name: statistics.median(one[name] for one in found if name in one) for name in found[-1]} for side, found in turns.items()
            }  # fmt: skip
            median["ours"]["launcher"] = await launcher_memory(pathlib.Path(checkout), cluster.folder)
            print(json.dumps(median))
        finally:
            cluster.end()


# Else what it started would stay.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
asyncio.run(main(*sys.argv[1:]))
