"""A pod's launcher, as a local process, gets its server's command and environment from the hub's handler (loopback, no cluster)."""

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import sys
import time
import unittest.mock
import urllib.parse

import api_server
import pods
from hub import Case
from pods import LAUNCHER, Pods, free_port
from tornado import httpclient, httpserver, netutil, web

from workspacespawner import launch, tokens

WHERE = os.path.dirname(__file__)
# What a shell, Kubernetes, JSON or a template would change, and every character but NUL.
ENVIRONMENT = {
    "HOME_LIKE": "$(HOME) $HOME ${HOME} `id` %s {x} {username}",
    "JSON": json.dumps({"a": ["b", {"c": "d\\\n"}]}),
    "LINES": "a\nb\r\n\tc\n",
    "EMPTY": "",
    "LARGE": "x" * 100 * 1024,
    "ASCII": "".join(map(chr, range(1, 128))),
    "BYTES": bytes(range(128, 256)).decode("utf-8", "surrogateescape"),
    "NAME WITH SPACE": "1",
    "é": "name",
    "WORKSPACE_OF_HUB": "hub",
}
# An argument of a process may have 128 KiB, so all of Unicode comes in parts.
POINTS = [code for code in range(128, 0x110000) if not 0xD800 <= code < 0xE000]
ENVIRONMENT.update((f"UNICODE{at}", "".join(map(chr, POINTS[at : at + 24576]))) for at in range(0, 24576 * 4, 24576))
ENVIRONMENT["PLANES"] = "".join(map(chr, POINTS[::97]))


class Launch(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        sockets = netutil.bind_sockets(0, "127.0.0.1")
        self.url = "http://127.0.0.1:%d/hub/api" % sockets[0].getsockname()[1]
        routes = [("/hub" + path, handler) for path, handler in [(r"/api/workspaces/([0-9a-f-]{1,64})/launch", launch.LaunchHandler)]]
        self.http = httpserver.HTTPServer(web.Application(routes))
        self.http.add_sockets(sockets)
        self.pods = Pods(self.api, self.folder.name, self.url)
        self.port = free_port()
        self.new_hub(
            launch_url=self.url, port=self.port, environment={name: (lambda value: lambda spawner: value)(value) for name, value in ENVIRONMENT.items()},
            cmd=[sys.executable, os.path.join(WHERE, "server.py")], args=["--a=$(HOME)", "b c\n", "{x}"], http_timeout=60,
        )  # fmt: skip

    async def asyncTearDown(self):
        self.http.stop()
        await self.http.close_all_connections()
        await super().asyncTearDown()
        for process in self.pods.processes.values():
            if process.returncode is None:
                process.terminate()  # Its command ends with it.
                await process.wait()

    async def ask(self, path="/"):
        answer = await httpclient.AsyncHTTPClient().fetch(f"http://127.0.0.1:{self.port}{path}")
        return json.loads(answer.body)

    async def request(self, uid, token, method="POST", body="", **headers):
        request = httpclient.HTTPRequest(
            f"{self.url}/workspaces/{uid}/launch", method=method, body=body, allow_nonstandard_methods=True,
            headers={**({"Authorization": f"Bearer {token}"} if token is not None else {}), **headers},
        )  # fmt: skip
        return await httpclient.AsyncHTTPClient(force_instance=True).fetch(request, raise_error=False)

    async def test_command_and_environment_arrive_byte_for_byte(self):
        spawner = await self.spawn()
        found = await self.ask()
        wanted = spawner.get_env()
        for name, value in wanted.items():
            self.assertEqual(found["environment"][name], value, name)
        self.assertTrue(ENVIRONMENT.keys() <= wanted.keys())
        self.assertEqual(found["environment"]["WORKSPACE_NAME"], "kept")
        self.assertEqual(found["arguments"], [*spawner.cmd[2:], *spawner.get_args()])
        self.assertEqual(found["environment"]["JUPYTERHUB_API_TOKEN"], spawner.api_token)

    async def test_no_object_log_or_argument_holds_the_token(self):
        logging.disable(logging.NOTSET)
        self.addCleanup(logging.disable, logging.CRITICAL)
        with self.assertLogs(level="DEBUG") as logs:
            spawner = await self.spawn()
            secret = spawner.api_token
            launcher = self.pods.processes[spawner.workspace_uid]
            with open(f"/proc/{launcher.pid}/cmdline", "rb") as file:
                self.assertNotIn(secret.encode(), file.read())
            await self.user().stop("")
        self.assertTrue(secret)
        self.assertNotIn(secret, json.dumps(self.api.log))
        self.assertNotIn(secret, json.dumps([item[2] for item in self.api.requests]))
        self.assertNotIn(secret, "\n".join(logs.output))
        self.assertNotIn(secret, self.pods.log(spawner.orm_spawner.state.get("uid", "") or next(iter(self.api.objects.values()))["metadata"]["uid"]))

    async def test_a_good_token_gets_only_its_own_server(self):
        await self.spawn()
        uid = self.api.objects["alice"]["metadata"]["uid"]
        token = self.api.token(self.pods.audience(uid))
        self.new_port()
        await self.spawn("bob")
        other = self.api.objects["bob"]["metadata"]["uid"]
        for target, bearer, status in (
            (uid, token, 200), (other, token, 401), ("0000", token, 401), (uid, "x.y.z", 401), (uid, "", 401), (uid, None, 401),
            ("0000", self.api.token(self.pods.audience("0000")), 503),
        ):  # fmt: skip
            answer = await self.request(target, bearer)
            self.assertEqual(answer.code, status, (target, bearer and bearer[:8]))
            self.assertEqual(answer.headers["Cache-Control"], "no-store")
            self.assertNotIn("Set-Cookie", answer.headers)
        self.assertEqual((await self.request(uid, token, body="x" * 1000)).code, 400)
        self.assertEqual((await self.request(uid, token, body=b"400\r\n" + b"x" * 1024, **{"Transfer-Encoding": "chunked"})).code, 400)
        self.assertEqual((await self.request(uid, token, body="x" * launch.LONGEST_BODY)).code, 200)
        self.assertEqual((await self.request(uid, token, "DELETE", '{"code": "0"}')).code, 400)
        self.assertIsNone(await self.user().spawners[""].poll())

    async def test_a_pod_that_was_replaced_gets_nothing_more_also_of_the_next_start(self):
        await self.spawn()
        uid = self.api.objects["alice"]["metadata"]["uid"]
        first, second = (self.api.token(self.pods.audience(uid)) for _ in range(2))
        # A pod may ask again, until the next one has asked.
        self.assertEqual([(await self.request(uid, token)).code for token in (first, first, second, second, first)], [200, 200, 200, 200, 409])
        await self.user().stop("")
        await self.spawn()
        answers = [await self.request(uid, token) for token in (first, second, self.api.token(self.pods.audience(uid)))]
        self.assertEqual([answer.code for answer in answers], [409, 409, 200])
        self.assertNotIn(b"JUPYTERHUB_API_TOKEN", answers[0].body)
        self.assertIn(b"JUPYTERHUB_API_TOKEN", answers[2].body)
        # Nor does its end count.
        self.assertEqual((await self.request(uid, second, "DELETE", '{"code": 0}')).code, 409)
        self.assertTrue(self.user().spawners[""].active)

    async def test_what_is_kept_of_pods_is_bounded(self):
        for number in range(launch.MOST_PODS + 5):
            launch._check_pod("workspace", f"pod{number}")
        self.assertEqual(len(launch.pods["workspace"]), launch.MOST_PODS)
        with unittest.mock.patch.object(launch, "MOST_WORKSPACES", 3):
            for number in range(5):
                launch._check_pod(f"workspace{number}", "pod")
        self.assertEqual(list(launch.pods), ["workspace2", "workspace3", "workspace4"])

    async def test_no_spawner_answers_to_a_token_that_another_one_took(self):
        spawner = await self.spawn()
        self.new_port()
        other, uid = await self.spawn("bob"), spawner.workspace_uid
        del launch.servers[uid]

        async def verify(token, of):
            # The hub learns of the server meanwhile.
            launch.servers[uid] = spawner

        with unittest.mock.patch.object(other, "verify", verify):
            self.assertEqual((await self.request(uid, "x.y.z")).code, 503)
        # The controls.
        self.assertEqual((await self.request(uid, "x.y.z")).code, 401)
        self.assertEqual((await self.request(uid, self.api.token(self.pods.audience(uid)))).code, 200)

    async def test_a_key_that_is_not_known_yet_is_asked_for_again_and_a_bad_signature_is_not(self):
        await self.spawn()
        uid = self.api.objects["alice"]["metadata"]["uid"]
        self.api.keys["k2"] = api_server.new_ec_key()
        answer = await self.request(uid, self.api.token(self.pods.audience(uid), key="k2", algorithm="ES256"))
        self.assertEqual(answer.code, 503)
        bad = self.api.token(self.pods.audience(uid), signer=api_server.new_ec_key(), algorithm="ES256")
        self.assertEqual((await self.request(uid, bad)).code, 401)
        self.assertEqual((await self.request(uid, self.api.token(self.pods.audience(uid)))).code, 200)

    async def test_a_pod_whose_key_is_new_asks_until_it_is_known(self):
        spawner = await self.spawn()
        await self.pods.end(spawner.workspace_uid)
        os.remove(self.pods.file(spawner.workspace_uid, "kept"))
        self.api.keys["k2"] = api_server.new_ec_key()
        token = self.api.token(self.pods.audience(spawner.workspace_uid), key="k2", algorithm="ES256")
        keys, now = spawner.shared.keys, [time.monotonic()]
        keys._clock, judged, judge = lambda: now[0], [], keys.verify

        async def verify(*given):
            try:
                await judge(*given)
                judged.append(True)
            except tokens.Unknown:
                judged.append(False)
                now[0] += tokens.EVERY
                raise

        with unittest.mock.patch.object(keys, "verify", verify):
            launcher = await self.pods.container(spawner.workspace_uid, token=token)
            kept = self.pods.file(spawner.workspace_uid, "kept")
            await self.so(lambda: os.path.exists(kept) or launcher.returncode is not None)
        self.assertEqual((judged, os.path.exists(kept)), ([False, True], True))

    def new_port(self):
        self.port = free_port()
        self.settings["config"].WorkspaceSpawner.port = self.port

    async def test_nobody_gets_what_no_server_wants(self):
        await self.spawn()
        uid = self.api.objects["alice"]["metadata"]["uid"]
        token = self.api.token(self.pods.audience(uid))
        spawner = self.user().spawners[""]
        self.assertEqual((await self.request(uid, token)).code, 200)
        await self.user().stop("")
        self.assertEqual((await self.request(uid, token)).code, 503)
        launch.servers[uid] = spawner
        self.assertEqual((await self.request(uid, token)).code, 409)

    async def test_files_of_the_users_do_not_become_the_launchers(self):
        for name in ("random", "email", "json", "signal"):
            with open(os.path.join(self.pods.home, name + ".py"), "w") as file:
                file.write("raise SystemExit('mine')")
        await self.spawn()

    async def test_an_answer_that_is_cut_off_is_asked_for_again(self):
        asked = []

        async def cuts(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            asked.append(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno" if asked else b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
            writer.write(asked[-1])
            writer.close()

        server = await asyncio.start_server(cuts, "127.0.0.1", 0)
        where = "http://127.0.0.1:%d/" % server.sockets[0].getsockname()[1]
        process = await self.pods.container("00", token=self.api.token(where))
        await process.wait()
        server.close()
        # The address, and not what it sent.
        self.assertEqual((len(asked), self.pods.log("00")), (2, f"launch: the hub does not say what to run: {where} answers 401\n"))

    async def test_a_container_that_restarts_begins_again_without_the_hub(self):
        spawner = await self.spawn()
        uid = spawner.workspace_uid
        self.assertEqual(os.stat(self.pods.file(uid, "kept")).st_mode & 0o777, 0o600)
        await self.pods.end(uid)
        self.http.stop()
        await self.pods.container(uid)
        self.assertEqual((await self.answered())["environment"]["JUPYTERHUB_API_TOKEN"], spawner.api_token)

    async def test_what_an_earlier_run_left_and_cannot_be_read_is_asked_for_again(self):
        spawner = await self.spawn()
        uid = spawner.workspace_uid
        kept = self.pods.file(uid, "kept")
        for leave in (lambda: open(kept, "w").close(), lambda: os.mkdir(kept)):
            await self.pods.end(uid)
            os.remove(kept)
            leave()
            await self.pods.container(uid)
            self.assertEqual((await self.answered())["environment"]["JUPYTERHUB_API_TOKEN"], spawner.api_token)
            if os.path.isfile(kept):
                self.assertTrue(os.path.getsize(kept))

    async def answered(self):
        """What the server says, once it answers."""
        while True:
            try:
                return await self.ask()
            except OSError:
                await asyncio.sleep(0.02)

    async def test_a_new_pod_after_the_hubs_restart_ends_the_server_as_stopped(self):
        await self.spawn()
        uid = self.api.objects["alice"]["metadata"]["uid"]
        config = dict(self.settings["config"].WorkspaceSpawner)
        self.new_hub(**config)
        spawner = self.user().spawners[""]
        spawner.add_poll_callback(self._stopped, self.user(), "")
        answer = await self.request(uid, self.api.token(self.pods.audience(uid)))
        self.assertEqual((answer.code, b"start the server again" in answer.body), (409, True))
        await self.so(lambda: self.api.objects["alice"]["spec"]["desiredStatus"] == "Stopped")
        await self.so(lambda: not self.user().active)
        await self.spawn()

    async def test_a_command_that_ends_well_ends_the_server_and_is_not_run_again(self):
        await self.spawn()
        uid = self.api.objects["alice"]["metadata"]["uid"]
        launcher = self.pods.processes[uid]
        await self.ask("/end")
        await self.so(lambda: self.api.objects["alice"]["spec"]["desiredStatus"] == "Stopped")
        await self.so(lambda: not self.user().active)
        await launcher.wait()
        self.assertEqual(self.pods.log(uid), "")

    async def test_a_command_that_crashes_while_the_hub_is_away_ends_at_once_with_its_code_and_its_last_line(self):
        spawner = await self.spawn()
        uid = spawner.workspace_uid
        launcher = self.pods.processes[uid]
        self.http.stop()
        await self.crash("7", "first\nno\tsuch \u00fc: module\n\n")
        self.assertEqual(await asyncio.wait_for(launcher.wait(), 10), 7)
        self.assertEqual(self.pods.log(uid, "message"), "no\tsuch \u00fc: module")
        self.assertTrue(self.pods.log(uid).endswith("first\nno\tsuch \u00fc: module\n\n"))
        self.assertIsNone(await spawner.poll())

    async def test_a_command_that_ends_well_or_is_ended_leaves_no_line(self):
        spawner = await self.spawn()
        launcher = self.pods.processes[spawner.workspace_uid]
        await self.crash("0", "no failure\n")
        await self.so(lambda: self.api.objects["alice"]["spec"]["desiredStatus"] == "Stopped")
        await launcher.wait()
        self.assertEqual(self.pods.log(spawner.workspace_uid or next(iter(self.api.objects.values()))["metadata"]["uid"], "message"), "")

    async def crash(self, code, line):
        """The command writes this to its standard error, and ends."""
        headers = {"Code": code, "Line": urllib.parse.quote(line)}
        await httpclient.AsyncHTTPClient().fetch(f"http://127.0.0.1:{self.port}/end", headers=headers)

    async def test_a_command_that_ended_well_while_the_hub_was_away_is_told_once_it_is_back(self):
        await self.spawn()
        self.http.stop()
        await self.crash("0", "")
        server = httpserver.HTTPServer(self.http.request_callback)
        server.listen(int(self.url.split(":")[2].split("/")[0]), "127.0.0.1")
        await self.so(lambda: self.api.objects["alice"]["spec"]["desiredStatus"] == "Stopped")
        server.stop()

    async def test_a_program_of_that_name_in_the_users_home_is_not_what_starts(self):
        """A name without a folder is first that of a program beside the launcher's own Python."""
        kind = os.path.basename(sys.executable)
        foreign = os.path.join(self.folder.name, "foreign")
        os.mkdir(foreign)
        for name in (kind, "only-there"):
            with open(os.path.join(foreign, name), "w") as file:
                file.write("#!/bin/sh\necho foreign >&2; exit 3\n")
            os.chmod(file.name, 0o755)
        for command, found in ((kind, "ours"), ("only-there", "foreign"), (os.path.join(foreign, kind), "foreign")):
            with open(self.pods.file(command.replace("/", "_"), "kept"), "w") as file:
                json.dump({"command": [command, "-c", "import sys; sys.exit('ours')"], "environment": {}}, file)
            process = await self.pods.container(command.replace("/", "_"), {"PATH": foreign + ":" + os.environ["PATH"]})
            await process.wait()
            self.assertEqual(self.pods.log(command.replace("/", "_")), found + "\n", command)

    async def test_signals_reach_the_command_and_its_end_is_the_launchers(self):
        spawner = await self.spawn()
        launcher = self.pods.processes[spawner.workspace_uid]
        launcher.send_signal(signal.SIGTERM)
        self.assertEqual(await launcher.wait(), 128 + signal.SIGTERM)
        self.assertIsNone(spawner._exit_code)

    async def run_script(self, script):
        """A container with this command -> its launcher, once it hands signals on and the command has said something."""
        with open(self.pods.file("00", "log"), "w"), open(self.pods.file("00", "kept"), "w") as file:
            json.dump({"command": ["/bin/sh", "-c", script], "environment": {}}, file)
        launcher = await self.pods.container("00")
        # The thread that reads the command's errors begins when the launcher knows the command.
        await self.so(lambda: self.pods.log("00") and len(os.listdir(f"/proc/{launcher.pid}/task")) == 2)
        return launcher

    async def asks_to_stop(self, script, message):
        """What `stop-workspace` does, with this message -> the launcher's code."""
        launcher = await self.run_script(script)
        return await self.ends(launcher, signal.SIGTERM, message)

    async def ends(self, launcher, number, message):
        """The launcher's code after this message and signal."""
        with open(self.pods.file("00", "message"), "w") as file:
            file.write(message)
        with contextlib.suppress(ProcessLookupError):
            launcher.send_signal(number)
        code = await asyncio.wait_for(launcher.wait(), 60)
        self.assertEqual(self.pods.log("00", "message"), message)
        return code

    async def test_after_a_request_to_stop_the_end_is_a_success_however_the_command_ends(self):
        dies, fails = "echo runs; exec sleep 600", "trap 'exit 7' TERM; echo runs; while :; do sleep 0.05; done"
        for message, codes in (
            ("stop-workspace", [0, 0]),
            ("stop-workspace\n", [0, 0]),
            # The controls.
            ("", [128 + signal.SIGTERM, 7]),
            ("stop-workspace: not found", [128 + signal.SIGTERM, 7]),
        ):
            with self.subTest(message):
                self.assertEqual([await self.asks_to_stop(script, message) for script in (dies, fails)], codes)

    async def test_a_command_that_does_not_end_after_a_request_to_stop_is_ended_and_at_another_stop_the_kubelet_does_that(self):
        with open(LAUNCHER) as file:
            text = file.read()
        self.assertEqual(text.count("alarm(30)"), 1)
        sooner = os.path.join(self.folder.name, "launcher.py")
        with open(sooner, "w") as file:
            file.write(text.replace("alarm(30)", "alarm(1)"))
        stays = "trap '' TERM HUP; echo runs; "
        with unittest.mock.patch.object(pods, "LAUNCHER", sooner):
            self.assertEqual(await self.asks_to_stop(stays + "exec sleep 600", "stop-workspace"), 0)
            self.assertEqual(await self.asks_to_stop(stays + "sleep 2; exit 3", ""), 3)
            # The message alone asks for nothing.
            for number, says in ((signal.SIGHUP, "runs\nends\n"), (signal.SIGTERM, "runs\n")):
                launcher = await self.run_script(stays + "sleep 2; echo ends")
                self.assertEqual(await self.ends(launcher, number, "stop-workspace"), 0)
                self.assertEqual(self.pods.log("00"), says)

    async def test_a_request_that_is_repeated_while_the_launcher_ends_is_one(self):
        # What the command has started holds the output up.
        launcher = await self.run_script("echo runs; sleep 5 & exec sleep 600")
        message = self.pods.file("00", "message")
        with open(message, "w") as file:
            file.write("stop-workspace")
        launcher.terminate()
        with open(f"/proc/{launcher.pid}/task/{launcher.pid}/children") as children:
            await self.so(lambda: children.seek(0) or not children.read())
        self.assertEqual(await self.ends(launcher, signal.SIGTERM, "stop-workspace"), 0)

    async def test_a_hub_that_is_away_is_asked_again_and_a_refusal_is_not(self):
        self.http.stop()
        port = int(self.url.split(":")[2].split("/")[0])
        task = self.begin()
        await self.so(lambda: self.pods.processes)
        server = httpserver.HTTPServer(self.http.request_callback)
        server.listen(port, "127.0.0.1")
        try:
            await task
            process = await self.pods.container("00", token=self.api.token(self.url + "/workspaces/00/launch", exp=1))
            self.assertEqual(await process.wait(), 1)
            said = f"the hub does not say what to run: {self.url}/workspaces/00/launch answers 401"
            self.assertEqual((self.pods.log("00"), self.pods.log("00", "message")), (f"launch: {said}\n", said))
        finally:
            server.stop()

    async def test_an_environment_that_no_process_can_have_is_refused_at_the_start(self):
        for setting, words in (
            ({"environment": {"A": "secret\0b"}}, "environment: 'A' must have no NUL"),
            ({"environment": {"A": "secret\ud800"}}, "environment: 'A' must have .*no lone surrogate"),
            ({"environment": {"A": lambda spawner: "secret\udfff"}}, "environment: 'A' must have .*no lone surrogate"),
            ({"environment": {"A": lambda spawner: 1}}, "environment: 'A' must be text, it is int"),
            ({"environment": {"A": 1}}, "environment: 'A' must be text, it is int: write numbers in quotes"),
            ({"environment": {"A": {"valueFrom": "secret"}}}, "belongs into env of the template"),
            ({"environment": {"B\ud800": "secret"}}, r"environment: name 'B\\ud800' must have"),
            ({"environment": {"B=": "secret"}}, "environment: name 'B=' must have a character and no '='"),
            ({"environment": {"": "secret"}}, "environment: name '' must have a character"),
            ({"environment": {"A": "secret" * 1024 * 1024}}, "at most 1048576 bytes"),
            ({"args": ["a", "secret\0"]}, "command: part [0-9]+ must have no NUL"),
        ):
            self.new_hub(launch_url=self.url, **setting)
            with self.subTest(words), self.assertRaisesRegex(Exception, words) as caught:
                await self.spawn()
            self.assertEqual(caught.exception.status_code, 400)
            self.assertNotIn("secret", str(caught.exception))
        self.assertEqual(self.api.objects, {})
        # The control: a whole character of two surrogates in UTF-16, and a byte that is no text, start.
        self.port = self.settings["config"].WorkspaceSpawner.port = free_port()
        self.new_hub(
            launch_url=self.url, port=self.port, environment={"A": "\U0001f600", "B": "\udcff"},
            cmd=[sys.executable, os.path.join(WHERE, "server.py")],
        )  # fmt: skip
        await self.spawn()
        found = (await self.ask())["environment"]
        self.assertEqual((found["A"], found["B"]), ("\U0001f600", "\udcff"))


class Launcher(Case):
    async def asyncSetUp(self):
        with open(LAUNCHER) as file:
            self.text = file.read()

    async def asyncTearDown(self):
        pass

    async def test_it_fits_into_an_argument_and_no_template_changes_it(self):
        self.assertLessEqual(len(self.text), 4096)
        self.assertNotRegex(self.text, r"\{[A-Za-z0-9_.-]+\}|\$\(|\$\{|[^\x00-\x7f]")

    async def test_it_is_of_the_oldest_python(self):
        import ast

        ast.parse(self.text, feature_version=(3, 8))
        modules = set(re.findall(r"^(?:import|from) ([\w, ]+?)(?: import.*)?$", self.text, re.M)[0].split(", ")) | {"urllib"}
        self.assertTrue(modules <= sys.stdlib_module_names)
