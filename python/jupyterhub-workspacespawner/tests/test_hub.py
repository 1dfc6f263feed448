"""A real JupyterHub with a proxy, on loopback: people sign in, start, use and stop servers (no cluster).

The API server is in memory, pods are launchers as local processes. The proxy is the one written in Python.
"""

import asyncio
import contextlib
import json
import os
import re
import sys
import tempfile
import tomllib
import unittest
from datetime import datetime, timezone

import api_server
import jupyterhub
import requests
from pods import Pods, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
CONFIG = """
import json, os, sys
import api_server
from pods import free_port
c = get_config()
given = json.loads(os.environ["GIVEN"])
c.JupyterHub.bind_url = given["url"]
c.JupyterHub.hub_ip, c.JupyterHub.hub_port = "127.0.0.1", given["hub_port"]
c.JupyterHub.db_url = "sqlite:///" + given["folder"] + "/hub.sqlite"
c.JupyterHub.cookie_secret_file = given["folder"] + "/cookie_secret"
c.ConfigurableHTTPProxy.command = [sys.executable, os.path.dirname(sys.executable) + "/configurable-http-proxy"]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:%d" % given["proxy_port"]
c.ConfigurableHTTPProxy.pid_file = given["folder"] + "/proxy.pid"
c.ConfigurableHTTPProxy.auth_token = given["token"]
c.ConfigurableHTTPProxy.should_start = given["starts_proxy"]
c.JupyterHub.proxy_class = given["proxy_class"]
c.JupyterHub.last_activity_interval = 1
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "long-enough-password"
c.Authenticator.allow_all = True
c.JupyterHub.allow_named_servers = True
c.JupyterHub.cleanup_servers = False
c.JupyterHub.services = [{"name": "test", "api_token": given["token"]}]
c.JupyterHub.load_roles = [{"name": "test", "services": ["test"], "scopes": ["admin:users", "admin:servers", "access:servers"]}]
c.JupyterHub.spawner_class = "workspace"
api_server.as_pod(given["folder"])
c.WorkspaceSpawner.k8s_api_host = given["api"]
c.WorkspaceSpawner.namespace = "servers"
c.WorkspaceSpawner.failure_grace = 0.2
c.WorkspaceSpawner.profile_list = [
    {"template": "lab", "display_name": "Laboratory", "profile_options": {"size": {"choices": {
        "small": {"display_name": "Small", "spawner_override": {"mem_limit": "1G"}},
        "large": {"display_name": "Large", "spawner_override": {"mem_limit": "2G"}}}}}},
    {"template": "gpu", "users": ["bob"]},
]
c.Spawner.cmd = [sys.executable, given["server"]]
c.Spawner.poll_interval = 3600
c.Spawner.consecutive_failure_limit = 2
c.WorkspaceSpawner.start_timeout = given["start_timeout"]

def port(spawner):
    # Every pod has its own in a cluster.
    spawner.port = free_port()
    if spawner.user_options.get("profile") == "broken":
        raise RuntimeError("the hub's own error")

c.Spawner.pre_spawn_hook = port
"""


class RealHub(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = self.temporary.name
        self.api = await api_server.ApiServer().begin()
        self.write("config.py", CONFIG)
        self.entry_point()
        self.token = os.urandom(32).hex()
        port, hub_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.given = {
            "url": self.url, "hub_port": hub_port, "proxy_port": free_port(), "folder": self.folder, "token": self.token, "api": self.api.url,
            "major": jupyterhub.version_info[0], "proxy_class": "workspace", "starts_proxy": True,
            "start_timeout": 300,
            "server": os.path.join(HERE, "server.py"),
        }  # fmt: skip
        self.pods = Pods(self.api, self.folder, f"http://127.0.0.1:{hub_port}/hub/api")
        self.hub = None
        await self.begin()

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    def entry_point(self):
        """What pip writes for the package, so that the hub finds the spawner by its name."""
        with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
            project = tomllib.load(file)["project"]
        info = f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        os.mkdir(os.path.join(self.folder, info))
        self.write(info + "/METADATA", f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
        groups = project["entry-points"].items()
        self.write(info + "/entry_points.txt", "\n".join(f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in of.items()) for group, of in groups))

    async def begin(self):
        environment = {
            **os.environ, "GIVEN": json.dumps(self.given),
            "PYTHONPATH": f"{ROOT}:{HERE}:{self.folder}", "PYTHONDONTWRITEBYTECODE": "1", "EXPECTED_VERSION": jupyterhub.__version__,
        }  # fmt: skip
        with open(os.path.join(self.folder, "hub.log"), "ab") as log:
            self.hub = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "jupyterhub", "-f", os.path.join(self.folder, "config.py"), env=environment, cwd=self.folder, stdout=log, stderr=log
            )
        while True:
            self.assertIsNone(self.hub.returncode, self.log())
            try:
                if (await self.call("GET", "/")).status_code == 200:
                    return
            except requests.ConnectionError:
                pass
            await asyncio.sleep(0.05)

    async def end(self):
        if self.hub and self.hub.returncode is None:
            self.hub.terminate()
            await self.hub.wait()

    def log(self):
        with open(os.path.join(self.folder, "hub.log")) as file:
            return file.read()

    async def asyncTearDown(self):
        await self.end()
        await self.api.end()
        self.temporary.cleanup()

    async def call(self, method, path, token=None, **more):
        headers = {"Authorization": f"token {token or self.token}"}
        return await asyncio.to_thread(requests.request, method, f"{self.url}/hub/api{path}", headers=headers, **more)

    async def browser(self, name):
        """A session of somebody who signed in."""
        session = requests.Session()
        await asyncio.to_thread(session.get, f"{self.url}/hub/login")
        form = {"username": name, "password": "long-enough-password", "_xsrf": session.cookies.get("_xsrf", path="/hub/")}
        answer = await asyncio.to_thread(session.post, f"{self.url}/hub/login", data=form, allow_redirects=False)
        self.assertEqual(answer.status_code, 302, self.log())
        return session

    async def get(self, session, path):
        return await asyncio.to_thread(session.get, self.url + path)

    async def progress(self, path):
        """Events until the server is ready or has failed."""
        answer = await self.call("GET", path + "/progress")
        return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]

    async def servers(self, user):
        return (await self.call("GET", f"/users/{user}")).json()["servers"]

    async def so(self, what):
        while not (found := await what()):
            await asyncio.sleep(0.05)
        return found

    async def test_people_start_use_and_stop_servers_through_the_hub(self):
        alice = await self.browser("alice")
        form = (await self.get(alice, "/hub/spawn")).text
        self.assertIn("Laboratory", form)
        self.assertNotIn("gpu", form)
        xsrf = alice.cookies.get("_xsrf", path="/hub/")
        self.assertEqual(re.findall(r'name="profile" value="([^"]+)"', form), ["laboratory"])
        sent = {"_xsrf": xsrf, "profile": "laboratory", "profile-option-laboratory--size": "large"}
        answer = await asyncio.to_thread(alice.post, f"{self.url}/hub/spawn/alice?_xsrf={xsrf}", data=sent, allow_redirects=False)
        self.assertEqual(answer.status_code, 302, answer.text[:2000])
        events = await self.progress("/users/alice/server")
        self.assertTrue(events[-1].get("ready"), (events, self.log()))
        raw = self.api.objects["alice"]
        self.assertEqual((raw["spec"]["templateRef"], raw["spec"]["resources"]), ("lab", {"limits": {"memory": str(2 * 1024**3)}}))
        found = (await self.get(alice, "/user/alice/lab")).json()
        self.assertEqual(found["path"], "/user/alice/lab")
        self.assertEqual(found["environment"]["JUPYTERHUB_USER"], "alice")
        secret = found["environment"]["JUPYTERHUB_API_TOKEN"]

        # The token is the server's own, and no object or log has it.
        me = await asyncio.to_thread(requests.get, f"{self.url}/hub/api/user", headers={"Authorization": f"token {secret}"})
        self.assertEqual(me.json()["name"], "alice")
        for place in (json.dumps(self.api.log), json.dumps([item[2] for item in self.api.requests]), self.log()):
            self.assertNotIn(secret, place)

        # A named server beside it; the hub forgets and stops neither when it restarts.
        self.assertIn((await self.call("POST", "/users/alice/servers/two")).status_code, (201, 202))
        self.assertTrue((await self.progress("/users/alice/servers/two"))[-1].get("ready"), self.log())
        writes = len(self.api.writes())
        await self.end()
        await self.begin()
        servers = await self.servers("alice")
        self.assertEqual([servers[name]["ready"] for name in ("", "two")], [True, True], self.log())
        again = (await self.get(alice, "/user/alice/lab")).json()
        self.assertEqual(again["environment"]["JUPYTERHUB_API_TOKEN"], secret)
        self.assertEqual(len(self.api.writes()), writes)

        # Stopped elsewhere, stopped in the hub.
        self.api.edit("alice--two", desiredStatus="Stopped")
        await self.so(lambda: self.is_gone("two"))
        self.assertIn((await self.call("DELETE", "/users/alice/server")).status_code, (202, 204))
        await self.so(lambda: self.is_gone(""))
        self.assertEqual([self.api.objects[name]["status"]["phase"] for name in ("alice", "alice--two")], ["Stopped", "Stopped"])
        self.assertEqual(self.pods.processes, {})
        self.assertEqual((await self.call("DELETE", "/users/alice/servers/two", json={"remove": True})).status_code, 204)
        self.assertEqual(self.api.objects.servers(), ["alice"])

    async def test_a_renamed_person_keeps_the_disk_and_a_new_one_of_the_old_name_gets_another(self):
        async def start(user):
            self.assertIn((await self.call("POST", f"/users/{user}/server", json={"profile": "laboratory"})).status_code, (201, 202))
            self.assertTrue((await self.progress(f"/users/{user}/server"))[-1].get("ready"), self.log())
            return {raw["metadata"]["uid"] for raw in self.api.objects.values() if raw["spec"]["desiredStatus"] == "Running"}

        self.assertEqual((await self.call("POST", "/users/wanda")).status_code, 201)
        before = await start("wanda")
        self.assertIn((await self.call("DELETE", "/users/wanda/server")).status_code, (202, 204))
        await self.so(lambda: self.is_gone("", "wanda"))
        renamed = await self.call("PATCH", "/users/wanda", json={"name": "wanda-new"})
        self.assertEqual((renamed.status_code, renamed.json()["name"]), (200, "wanda-new"))
        self.assertEqual((await self.call("POST", "/users/wanda")).status_code, 201)
        new = await start("wanda")
        self.assertEqual((len(new), new & before), (1, set()))
        # JupyterHub keeps paths of users until it starts anew; each needs one of its own.
        await self.end()
        await self.begin()
        self.assertEqual(await start("wanda-new"), new | before)

    async def is_gone(self, name, user="alice"):
        server = (await self.servers(user)).get(name)
        return server is None or not (server["ready"] or server["pending"])

    async def test_a_start_that_fails_says_why_and_what_may_not_be_had_is_refused(self):
        self.assertIn((await self.call("POST", "/users/carol")).status_code, (201,))
        answer = await self.call("POST", "/users/carol/server", json={"profile": "gpu"})
        self.assertEqual(answer.status_code, 403, answer.text)
        self.assertIn("there is no 'gpu'", answer.text)
        answer = await self.call("POST", "/users/carol/server", json={"profile": "none"})
        self.assertEqual((answer.status_code, "there is no 'none'" in answer.text), (403, True), answer.text)
        self.assertEqual(self.api.objects, {})

        self.api.operator.address = lambda raw: self.fails(raw)
        # JupyterHub ends after some errors in a row; these are no errors of the hub's.
        for _ in range(5):
            self.assertIn((await self.call("POST", "/users/carol/server", json={"profile": "laboratory"})).status_code, (201, 202, 424))
            events = await self.so(self.failed)
            self.assertIn("ImagePullFailed: no such image", events[-1]["message"])
            self.assertEqual(self.api.objects["carol"]["spec"]["desiredStatus"], "Stopped")
        self.assertNotIn("consecutive", self.log())
        self.api.operator.address = self.pods.begin
        self.assertIn((await self.call("POST", "/users/carol/server", json={"profile": "laboratory"})).status_code, (201, 202))
        self.assertTrue((await self.progress("/users/carol/server"))[-1].get("ready"), self.log())

    async def test_starts_for_which_there_is_no_room_say_so_and_end_no_hub(self):
        await self.end()
        self.given["start_timeout"] = 12
        await self.begin()
        self.api.operator.address = self.has_no_room
        people = [f"person{number}" for number in range(5)]
        for person in people:
            self.assertEqual((await self.call("POST", f"/users/{person}")).status_code, 201)
        asked = [self.call("POST", f"/users/{person}/server", json={"profile": "laboratory"}) for person in people]
        for answer in await asyncio.gather(*asked):
            self.assertIn(answer.status_code, (201, 202, 424), answer.text)
        for person in people:
            last = (await self.progress(f"/users/{person}/server"))[-1]
            self.assertTrue(last.get("failed"), last)
            self.assertIn("start_timeout, 12 s): Unschedulable: 0/3 nodes are available", last["message"])
        self.assertNotIn("consecutive", self.log())
        # The control: JupyterHub counts what is an error of the hub.
        self.api.operator.address = self.pods.begin
        for person in people[:2]:
            await self.call("POST", f"/users/{person}/server", json={"profile": "broken"})
        await self.so(self.said_consecutive)

    async def has_no_room(self, raw):
        self.api.operator.fails(raw["metadata"]["name"], "Unschedulable", "0/3 nodes are available", phase="Starting")

    async def said_consecutive(self):
        return "consecutive" in self.log()

    async def fails(self, raw):
        self.api.operator.fails(raw["metadata"]["name"], "ImagePullFailed", "no such image")

    async def failed(self):
        events = await self.progress("/users/carol/server")
        return events if events and events[-1].get("failed") else None

    async def start(self, user):
        """Starts a server -> the token that it has."""
        self.assertIn((await self.call("POST", f"/users/{user}")).status_code, (201, 409))
        self.assertIn((await self.call("POST", f"/users/{user}/server", json={"profile": "laboratory"})).status_code, (201, 202))
        self.assertTrue((await self.progress(f"/users/{user}/server"))[-1].get("ready"), self.log())
        return (await self.page(user)).json()["environment"]["JUPYTERHUB_API_TOKEN"]

    async def page(self, user):
        return await asyncio.to_thread(requests.get, f"{self.url}/user/{user}/")

    async def last_use(self, user):
        return (await self.servers(user))[""]["last_activity"]

    @contextlib.asynccontextmanager
    async def again_and_again(self, work):
        async def forever():
            while True:
                await work()
                await asyncio.sleep(0.1)

        task = asyncio.ensure_future(forever())
        try:
            yield
        finally:
            self.assertFalse(task.done(), task)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def cull(self, *arguments, until):
        """Runs JupyterHub's own culler until this user has no server."""
        command = [sys.executable, "-m", "jupyterhub_idle_culler", "--cull-every=1", f"--url={self.url}/hub/api", *arguments]
        with open(os.path.join(self.folder, "culler.log"), "ab") as log:
            culler = await asyncio.create_subprocess_exec(
                *command, env={**os.environ, "JUPYTERHUB_API_TOKEN": self.token}, cwd=self.folder, stdout=log, stderr=log
            )
        try:
            async with asyncio.timeout(120):
                while (await self.servers(until)).get("", {}).get("ready"):
                    self.assertIsNone(culler.returncode)
                    await asyncio.sleep(0.1)
        finally:
            culler.terminate()
            await culler.wait()

    async def test_the_culler_keeps_a_server_that_reports_use_and_not_one_that_only_the_proxy_sees_until_its_age_ends_it(self):
        busy = await self.start("alice")
        await self.start("bob")

        async def report():
            # As the image's server does while a kernel computes.
            now = datetime.now(timezone.utc).isoformat()
            body = {"servers": {"": {"last_activity": now}}, "last_activity": now}
            answer = await self.call("POST", "/users/alice/activity", json=body, token=busy)
            self.assertEqual(answer.status_code, 200, answer.text)

        async def ping():
            self.assertIn((await self.page("bob")).status_code, (200, 302, 503))

        async with self.again_and_again(ping):
            async with self.again_and_again(report):
                await self.cull("--timeout=6", until="bob")
                self.assertTrue((await self.servers("alice"))[""]["ready"])
            # No more reports: the token of a report that comes after the stop is refused.
            await self.cull("--timeout=3600", "--max-age=1", until="alice")
        # The control: JupyterHub's own class takes it for use.
        await self.end()
        self.given["proxy_class"] = "jupyterhub.proxy.ConfigurableHTTPProxy"
        await self.begin()
        await self.start("bob")
        before = await self.last_use("bob")

        async def is_used():
            return await self.last_use("bob") > before

        async with self.again_and_again(ping):
            await self.so(is_used)

    @contextlib.asynccontextmanager
    async def proxy(self):
        """A proxy that the hub did not start, as in a pod of its own."""
        port, api_port = self.url.rsplit(":", 1)[1], self.given["proxy_port"]
        program = os.path.join(os.path.dirname(sys.executable), "configurable-http-proxy")
        hub = f"http://127.0.0.1:{self.given['hub_port']}"
        # The one of the hub before may take a moment to end.
        async with asyncio.timeout(60):
            for each in (port, api_port):
                await self.so(lambda each=each: self.is_free(each))
        with open(os.path.join(self.folder, "proxy.log"), "ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, program, "--ip=127.0.0.1", f"--port={port}", "--api-ip=127.0.0.1", f"--api-port={api_port}",
                f"--default-target={hub}", f"--error-target={hub}/hub/error",
                env={**os.environ, "CONFIGPROXY_AUTH_TOKEN": self.token}, cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            yield
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def is_free(self, port):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return True
        writer.close()
        return False

    async def test_pages_are_back_after_the_next_check_when_the_proxy_moved(self):
        await self.end()
        self.given["starts_proxy"] = False
        async with self.proxy():
            await self.begin()
            secret = await self.start("alice")
        async with self.proxy():

            async def is_back():
                with contextlib.suppress(requests.RequestException, ValueError):
                    return (await self.page("alice")).json()["environment"]["JUPYTERHUB_API_TOKEN"] == secret

            await self.so(is_back)
            await self.end()
