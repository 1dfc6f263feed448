"""The image's server and shells in homes with what users put there: nothing of it keeps them out."""

import asyncio
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
import unittest

from running import IMAGE, Started, until


class Names(Started):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        installed = {pathlib.Path(entry).stem for entry in os.listdir(sysconfig.get_path("purelib"))}
        for name in sys.stdlib_module_names | installed:
            self.write(f"{name}.py", f"raise SystemExit('{name}.py of the home')")

    async def test_a_home_full_of_names_of_modules_keeps_nobody_out(self):
        await self.starts()
        self.assertEqual((await self.call("api/status")).code, 200)
        # The owner can mend it.
        renamed = await self.call("api/contents/random.py", "PATCH", {"path": "dice.py"})
        self.assertEqual(renamed.code, 200, renamed.body)

    async def test_the_command_without_its_flag_takes_modules_of_the_home(self):
        python, flags, *rest = self.command
        process = await self.run_in_home([python, flags.replace("P", ""), *rest])
        self.assertEqual(await asyncio.wait_for(process.wait(), 60), 1)
        self.assertIn(".py of the home", self.log())


class Home(Started):
    async def test_a_notebook_imports_modules_of_its_folder(self):
        self.write("lesson/mine.py", "answer = 42")
        await self.starts()
        kernel = await self.kernel("lesson/first.ipynb")
        self.assertEqual(await self.result(kernel, "import mine; mine.answer"), "42")

    async def test_who_deletes_all_temporary_files_keeps_server_and_kernels(self):
        temporary = self.folder / "tmp"
        temporary.mkdir()
        self.environment["TMPDIR"] = str(temporary)
        await self.starts()
        kernel = await self.kernel()
        made = await self.result(kernel, "import tempfile; tempfile.mkstemp()[1]")
        self.assertTrue(made.startswith(f"'{temporary}/"), made)
        self.assertEqual((await self.call("lab")).code, 200)
        await self.result(kernel, f"import shutil; shutil.rmtree('{temporary}'), __import__('os').mkdir('{temporary}')")
        self.assertEqual(list(temporary.iterdir()), [])
        self.assertEqual((await self.call("lab")).code, 200)
        self.assertEqual(await self.result(kernel, "6 * 7"), "42")
        self.assertEqual(await self.result(await self.kernel(), "6 * 7"), "42")

    async def test_settings_of_a_tutorial_do_not_move_the_server_away_from_the_door(self):
        lines = [
            "c.ServerApp.sock = '/tmp/mine.sock'",
            "c.ServerApp.port = 9999",
            "c.ServerApp.base_url = '/mine/'",
            "c.ServerApp.ip = '*'",
            "c.ServerApp.certfile = 'mycert.pem'",
            "c.ServerApp.keyfile = 'mykey.key'",
        ]
        for name in ("jupyter_server_config", "jupyter_lab_config"):
            self.write(f".jupyter/{name}.py", "\n".join([*lines, "c.ContentsManager.allow_hidden = True"]))
        self.write(".jupyter/jupyter_server_config.json", json.dumps({"ServerApp": {"port": 9998}}))
        await self.starts()
        # All else in the file counts.
        hidden = await self.call("api/contents/.jupyter/jupyter_lab_config.py")
        self.assertEqual(hidden.code, 200, hidden.body)

    async def test_terminals_read_bashrc_keep_path_and_outlive_a_broken_profile(self):
        self.write(".bashrc", "of_bashrc=yes")
        self.write(".bash_profile", "exit 1")
        await self.starts()
        made = await self.call("api/terminals", "POST", {})
        self.assertEqual(made.code, 200, made.body)
        terminal = await self.opens(f"terminals/websocket/{json.loads(made.body)['name']}")
        await terminal.write_message(json.dumps(["stdin", 'printf "%s" "$of_bashrc $PATH" > said.part; mv said.part said\r']))
        said = pathlib.Path(self.home, "said")
        await until(said.exists)
        self.assertEqual(said.read_text(), f"yes {self.environment['PATH']}")

    async def test_installers_find_a_bashrc(self):
        await self.starts()
        self.assertEqual(pathlib.Path(self.home, ".bashrc").read_text(), "")

    async def test_login_shells_keep_path_and_read_bashrc_where_there_is_no_file_for_them(self):
        # What Debian's /etc/profile does.
        script = f"PATH=/usr/bin:/bin; . {IMAGE}/profile.sh; printf %s \"$of_bashrc $PATH\""
        path = "/of/template:/usr/bin:/bin"

        def shell(*command):
            return subprocess.run([*command, script], env={"HOME": self.home, "PATH": path}, capture_output=True, text=True).stdout

        interactive = ("bash", "--norc", "-ic")
        self.assertEqual(shell(*interactive), f" {path}")
        self.write(".bashrc", "of_bashrc=yes")
        self.assertEqual(shell(*interactive), f"yes {path}")
        for other in [("bash", "-c"), ("sh", "-c"), ("sh", "-ic")]:
            with self.subTest(other):
                self.assertTrue(shell(*other).endswith(f" {path}"))
        self.assertEqual(shell("bash", "-c"), f" {path}")
        self.write(".bash_profile")
        self.assertEqual(shell(*interactive), f" {path}")


class Recovery(Started):
    """The home is empty, and the broken one is its folder `disk`."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.write("disk/.jupyter/jupyter_server_config.py", "c.ServerApp.max_body_size = 'much'")
        self.write("disk/.bashrc", "exit 1")
        self.write("disk/jupyter_server_config.py", "raise SystemExit('in the folder of the files')")

    async def test_files_that_keep_the_server_from_starting_are_seen_and_mended(self):
        self.environment["WORKSPACE_RECOVERY_DISK"] = f"{self.home}/disk"
        await self.starts()
        broken = await self.call("api/contents/.jupyter/jupyter_server_config.py")
        self.assertEqual(broken.code, 200, broken.body)
        gone = await self.call("api/contents/.jupyter/jupyter_server_config.py", "DELETE")
        self.assertEqual(gone.code, 204, gone.body)
        made = await self.call("api/terminals", "POST", {})
        self.assertEqual(made.code, 200, made.body)
        terminal = await self.opens(f"terminals/websocket/{json.loads(made.body)['name']}")
        await terminal.write_message(json.dumps(["stdin", "rm disk/.bashrc\r"]))
        await until(lambda: not pathlib.Path(self.home, "disk/.bashrc").exists())

    async def test_the_same_home_at_its_usual_place_ends_the_server(self):
        self.environment["HOME"] = self.home = f"{self.home}/disk"
        process = await self.run_in_home(self.command)
        self.assertNotEqual(await asyncio.wait_for(process.wait(), 60), 0)


class Sessions(unittest.TestCase):
    def test_the_first_shell_of_a_session_takes_variables_that_sshd_cannot_hold(self):
        certificate = "BEGIN\nof it\nEND"
        container = {"PATH": os.environ["PATH"], "CERTIFICATE": certificate, "MODE": "of container", "TERM": "dumb", "a.b": "1"}
        first = subprocess.Popen(["sleep", "60"], env=container)
        self.addCleanup(first.wait)
        self.addCleanup(first.kill)
        script = (IMAGE / "bashrc.sh").read_text()
        self.assertIn("/proc/1/", script)
        script = script.replace("/proc/1/", f"/proc/{first.pid}/") + 'printf "%s|" "$CERTIFICATE" "$MODE" "${_variable-}"'

        def shell(**others):
            environment = {"PATH": os.environ["PATH"], "MODE": "of session", **others}
            done = subprocess.run(["bash", "--norc", "-c", script], env=environment, capture_output=True, text=True)
            return done.stdout + done.stderr

        session = {"SSH_CONNECTION": "UNKNOWN 65535 UNKNOWN 65535"}
        self.assertEqual(shell(**session), f"{certificate}|of session||")
        for others in [{}, {**session, "SHLVL": "1"}]:
            with self.subTest(others):
                self.assertEqual(shell(**others), "|of session||")
        # A process that is not the user's, or none.
        first.kill()
        first.wait()
        self.assertEqual(shell(**session), "|of session||")


class Git(unittest.TestCase):
    def test_a_home_that_root_owns_can_be_a_repository_and_no_other_folder(self):
        with tempfile.TemporaryDirectory() as home:
            environment = {
                "HOME": home,
                "PATH": os.environ["PATH"],
                "GIT_CONFIG_SYSTEM": str(IMAGE / "gitconfig"),
                # Git's own tests have this: everything belongs to somebody else.
                "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1",
            }

            def git(folder, *words):
                return subprocess.run(["git", *words], cwd=folder, env=environment, capture_output=True, text=True)

            shared = os.path.join(home, "shared")
            os.mkdir(shared)
            for folder, code, said in [(home, 0, ""), (shared, 128, "dubious ownership")]:
                self.assertEqual(git(folder, "init", "--quiet").returncode, 0)
                status = git(folder, "status", "--short")
                self.assertEqual(status.returncode, code, status)
                self.assertIn(said, status.stderr)
            environment["GIT_CONFIG_SYSTEM"] = os.devnull
            self.assertIn("dubious ownership", git(home, "status").stderr)
