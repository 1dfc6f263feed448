"""A Jupyter server with the settings of the image for JupyterHub: what it reports to the hub as use, and its end by `stop-workspace`
(../../jupyter-uv-hub).
"""

import asyncio
import contextlib
import json
import os
import pathlib
import sys
from datetime import datetime, timezone

from running import IMAGE, InProcess, Started, until
from tornado.websocket import websocket_connect

FOLDER = IMAGE.parent / "jupyter-uv-hub"
LAUNCHER = IMAGE.parents[2] / "python/jupyterhub-workspacespawner/workspacespawner/launcher.py"


class Hub(InProcess):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        sys.path.insert(0, str(FOLDER))
        self.addCleanup(sys.path.remove, str(FOLDER))
        self.serve(FOLDER / "jupyter_server_config.py", token="", open_browser=False)
        # Milliseconds: the test waits for pings.
        self.app.web_app.settings["ws_ping_interval"] = 100

    def reported(self):
        """What JupyterHub's extension asks for."""
        return self.app.web_app.last_activity()

    async def test_a_kernel_that_computes_is_use_until_it_ends_and_pings_of_an_open_page_are_none(self):
        kernels = self.app.kernel_manager
        kernel = await kernels.start_kernel()
        state = lambda: kernels.get_kernel(kernel).execution_state
        client = kernels.get_kernel(kernel).client()
        client.start_channels()
        self.addCleanup(client.stop_channels)
        await client.wait_for_ready(timeout=60)
        # The server may listen to the kernel only after it said that it is idle: it says so again after each question.
        async with asyncio.timeout(60):
            while state() != "idle":
                client.kernel_info()
                with contextlib.suppress(TimeoutError):
                    await until(lambda: state() == "idle", 1)

        # A page that is open, and that nobody uses: pings are answered.
        pings = []
        page = await websocket_connect(f"ws://127.0.0.1:{self.port}/api/kernels/{kernel}/channels", on_message_callback=lambda _: None)
        page.on_ping = pings.append
        await self.settled()
        before, seen = self.reported(), len(pings)
        await until(lambda: len(pings) > seen + 3)
        self.assertEqual(self.reported(), before)

        # It prints nothing, and ends when the file has a reader and a writer.
        os.mkfifo(f"{self.home}/end")
        client.execute(f"open('{self.home}/end').read()", silent=True)
        await until(lambda: state() == "busy")
        for _ in range(2):
            asked = datetime.now(timezone.utc)
            self.assertGreaterEqual(self.reported(), asked)
        with open(f"{self.home}/end", "w"):
            pass
        await until(lambda: state() == "idle")
        await self.settled()
        page.close()

    async def test_a_folder_with_files_can_be_deleted(self):
        os.makedirs(f"{self.home}/folder/inner")
        pathlib.Path(self.home, "folder/inner/file.txt").write_text("x")
        proof = {"Cookie": "_xsrf=aa", "X-XSRFToken": "aa"}
        answer = await self.ask("/api/contents/folder", method="DELETE", **proof)
        self.assertEqual(answer.code, 204, answer.body)
        self.assertFalse(os.path.exists(f"{self.home}/folder"))

    async def settled(self):
        """The time that is reported once no message of a kernel is on its way."""
        async with asyncio.timeout(60):
            while True:
                before = self.reported()
                await asyncio.sleep(0.3)
                if self.reported() == before:
                    return


class OfHub(Started):
    """With the settings of the image for JupyterHub."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        settings = self.folder / "jupyter/etc/jupyter/jupyter_server_config.py"
        settings.unlink()
        settings.symlink_to(FOLDER / settings.name)
        self.environment["PYTHONPATH"] = str(FOLDER)


class OwnConfiguration(OfHub):
    async def test_a_home_whose_configuration_ends_the_server_starts_where_the_configuration_is_elsewhere(self):
        self.command.append("--IdentityProvider.token=")
        for trait in ("ServerApp.contents_manager_class", "ContentsManager.checkpoints_class"):
            with self.subTest(trait):
                self.environment.pop("JUPYTER_CONFIG_DIR", None)
                self.write(".jupyter/jupyter_server_config.py", f"c.{trait} = 'not.Installed'")
                process = await self.run_in_home(self.command)
                self.assertNotEqual(await asyncio.wait_for(process.wait(), 60), 0)
                self.assertIn("not.Installed", self.log())
                # As the profile of the hub's sample says.
                self.environment["JUPYTER_CONFIG_DIR"] = str(self.folder / "elsewhere")
                process = await self.starts()
                self.assertEqual((await self.ask(self.base_path + "api")).code, 200)
                await self.end(process)


class StopWorkspace(OfHub):
    """The image's script in a pod without a door: process 1 has the launcher, which runs a Jupyter server."""

    async def ends(self, script):
        """The container's exit code and message, once the server answers and the script has run. `$1` is process 1."""
        kept, message = self.folder / "kept", self.folder / "message"
        command = [*self.command, "--allow-root", "--IdentityProvider.token="]
        kept.write_text(json.dumps({"command": command, "environment": {}}))
        message.write_text("")
        with open(self.folder / "log", "w") as log:
            launcher = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", LAUNCHER, "none", kept, message), cwd=self.home, env=self.environment, stdout=log, stderr=log
            )
        try:
            await until(lambda: launcher.returncode is not None or self.listens())
            self.assertIsNone(launcher.returncode, self.log())
            # A server that has only begun to listen may forget the signal.
            self.assertEqual((await self.ask(self.base_path + "api")).code, 200)
            script = script.replace("/dev/termination-log", str(message))
            shell = await asyncio.create_subprocess_exec("sh", "-c", script, "sh", str(launcher.pid))
            self.assertEqual(await shell.wait(), 0)
            return await asyncio.wait_for(launcher.wait(), 30), message.read_text()
        finally:
            if launcher.returncode is None:
                launcher.kill()
                await launcher.wait()

    async def test_a_server_of_a_hub_ends_with_0_and_the_word_alone_is_its_message(self):
        text = (IMAGE / "stop-workspace.sh").read_text()
        self.assertEqual((text.count("/dev/termination-log"), text.count("kill -s TERM 1\n")), (1, 1))
        script = text.replace("kill -s TERM 1\n", 'kill -s TERM "$1"\n')
        self.assertEqual(await self.ends(script), (0, "stop-workspace"))
        # The control: any other stop leaves nothing that asks for one.
        self.assertEqual(await self.ends('kill -s TERM "$1"'), (0, ""))
