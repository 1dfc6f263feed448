"""Homes that are full, broken or not their user's: the image's server starts in them and can be used, or ends and says what is wrong."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import unittest
import unittest.mock
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from running import Started

SITE = f".local/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
PAGE_CONFIG = ".jupyter/labconfig/page_config.json"
SETTINGS = ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings"
PAGE_CONFIG_PART = ".jupyter/labconfig/page_config.d/mine.json"
CONFIG = ".jupyter/jupyter_server_config.json"
SECRET = ".local/share/jupyter/notebook_secret"
LAYOUT = ".jupyter/lab/workspaces/default-37a8.jupyterlab-workspace"
EXTENSION = ".local/share/jupyter/labextensions/{}/package.json"
NOTEBOOK = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
# Seconds after which a server that shares the machine with two others and with builds hangs, and seconds of the processor that its end may
# take, which the others do not lengthen. Alone it ends in 2.
END = 90
PROCESSOR = 10
# The page is empty without each of these.
BLANK = ("@jupyterlab/application-extension", "@jupyterlab/apputils-extension:settings", "@jupyterlab/services-extension")


def write(home, name, content=""):
    file = home / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def holds(name, content=""):
    return lambda home: write(home, name, content)


def pipe(name):
    def ruin(home):
        write(home, name)
        (home / name).unlink()
        os.mkfifo(home / name)

    return ruin


def large(name):
    def ruin(home):
        write(home, name)
        os.truncate(home / name, 500_000_000)

    return ruin


def circles(home):
    """Links to the folder that they are in: two lead to paths without end, a thousand to as many already in three steps."""
    folder = (home / SETTINGS).parent.parent.parent
    folder.mkdir(parents=True)
    for number in range(1000):
        (folder / f"link{number}").symlink_to(".")


def parts_that_do_not_fit(home):
    write(home, PAGE_CONFIG_PART, '{"disabledExtensions": ["mine:plugin"]}')
    disable({"mine:plugin": True})(home)


def owned_by_another(mode):
    def ruin(home):
        os.chown(home, 12345, 12345)
        home.chmod(mode)

    return ruin


def locked(mode, name="."):
    """By its owner."""

    def ruin(home):
        if name != ".":
            write(home, name, "secret")
        (home / name).chmod(mode)

    return ruin


def mounted(options, then):
    """A file system of its own, with the files of the folder."""

    def ruin(home):
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(home)]
        files = {file.name: file.read_bytes() for file in home.iterdir()}
        subprocess.run(mount, check=True)
        for name, content in files.items():
            write(home, name, content)
        then(home)

    return ruin


def fill(home):
    with open(home / "data", "wb", buffering=0) as data:
        until_full(lambda _: data.write(bytes(4096)))


def use_inodes(home):
    until_full(lambda number: write(home, f"inode{number}"))


def until_full(step):
    try:
        for number in range(1000):
            step(number)
    except OSError:
        return
    raise AssertionError("the file system is not full")


def make_read_only(home):
    subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)


def everything(home):
    """What each for itself has kept people out of a Jupyter server."""
    for name in ("random.py", "jupyter/__init__.py", "jupyter_server/__init__.py"):
        write(home, name, "1/0")
    for name in ("jupyter_server/__init__.py", "tornado/__init__.py", "sitecustomize.py"):
        write(home, f"{SITE}/{name}", "1/0")
    write(home, f"{SITE}/broken.pth", "import nothing_of_this_name")
    write(home, f"{SITE}/installed.py", "answer = 42")
    for name in ("python", "jupyter", "jupyter-lab", "tini"):
        write(home, f".local/bin/{name}", "no program")
        (home / ".local/bin" / name).chmod(0o755)
    write(home, ".bashrc", 'eval "$(~/miniconda3/bin/conda shell.bash hook)" || exit 1\nexit 1')
    write(home, ".condarc", "channels: [")
    write(home, ".ssh/ssh_host_ed25519_key")
    write(home, ".jupyter/jupyter_server_config.py", "c.ServerApp.port = (")
    write(home, ".jupyter/jupyter_lab_config.py", "c.ServerApp.port = 9999\nc.ServerApp.base_url = '/mine/'")
    write(home, CONFIG, '{"ServerApp": {"po')
    write(home, ".local/share/jupyter/kernels/mine/kernel.json", '{"argv": [')
    write(home, PAGE_CONFIG, '{"disabledEx')
    write(home, SETTINGS, '{"theme": "Ju')
    write(home, LAYOUT, '{"data": {')


def disable(names):
    return holds(PAGE_CONFIG, json.dumps({"disabledExtensions": names}))


# How a home is ruined, and what the last line says if the server ends. "{}" is the home.
HOMES = {
    "intact": (lambda home: None, None),
    "everything": (everything, None),
    "page_without_core": (disable(dict.fromkeys([*BLANK, "mine:plugin"], True)), None),
    "page_without_core_as_a_list": (disable([*BLANK, "mine:plugin"]), None),
    "page_disabled_by_a_word": (disable("x"), None),
    "page_without_core_and_no_names": (disable([*BLANK, ["a"], 1, "mine:plugin"]), None),
    "parts_of_page_do_not_fit": (parts_that_do_not_fit, None),
    "circles": (circles, None),
    "files_for_folders": (lambda home: [write(home, name) for name in (".jupyter", ".local", ".ipython")], None),
    "pipes": (lambda home: [pipe(name)(home) for name in (".bashrc", CONFIG, PAGE_CONFIG)], None),
    "full": (mounted("size=1m", fill), None),
    "no_inodes": (mounted("size=10m,nr_inodes=20", use_inodes), None),
    "locked_secret": (locked(0, SECRET), None),
    "small_requests": (holds(CONFIG, '{"ServerApp": {"max_body_size": 10}}'), "ServerApp.max_body_size in ~/.jupyter is 10; it must be"),
    "locked_by_its_owner": (locked(0o555), "{} cannot be written by user 0: it belongs to user 0 and has mode 0555. A start in recovery"),
    "closed_by_its_owner": (locked(0), "{} cannot be read by user 0: it belongs to user 0 and has mode 0000. A start in recovery"),
    "config_of_bytes": (holds(CONFIG, b'{"a": "\xc3'), f"{{}}/{CONFIG} must be UTF-8"),
    "config_is_a_list": (holds(CONFIG, "[]"), f"{{}}/{CONFIG} must be a JSON object"),
    "config_of_another_type": (holds(".jupyter/jupyter_server_config.py", "c.ServerApp.max_body_size = 'much'"), "'max_body_size' trait"),
    "page_of_bytes": (holds(PAGE_CONFIG, b'{"a": "\xc3'), f"{{}}/{PAGE_CONFIG} must be UTF-8"),
    "part_of_page_is_a_list": (holds(PAGE_CONFIG_PART, "[]"), f"{{}}/{PAGE_CONFIG_PART} must be a JSON object"),
    "part_of_page_of_bytes": (holds(PAGE_CONFIG_PART, b'{"a": "\xc3'), f"{{}}/{PAGE_CONFIG_PART} must be UTF-8"),
    "page_of_many_digits": (holds(PAGE_CONFIG, f'{{"a": {"1" * 5000}}}'), f"{{}}/{PAGE_CONFIG} cannot be read as JSON: Exceeds the limit"),
    "deep_config": (holds(CONFIG, "[" * 100_000), f"{{}}/{CONFIG} cannot be read as JSON: maximum recursion depth"),
    "deep_extension": (holds(EXTENSION.format("mine"), "[" * 100_000), f"{{}}/{EXTENSION.format('mine')} cannot be read as JSON"),
    "large_config": (large(CONFIG), f"{{}}/{CONFIG} has 476 MiB; it must not have more than 64 MiB"),
    "extension_cut": (holds(EXTENSION.format("mine"), '{"name": '), f"{{}}/{EXTENSION.format('mine')} must be JSON"),
    "scoped_extension_cut": (holds(EXTENSION.format("@my/own")), f"{{}}/{EXTENSION.format('@my/own')} must be JSON"),
    "large_layout": (large(LAYOUT), f"{{}}/{LAYOUT} has 476 MiB; it must not have more than 64 MiB"),
    "large_settings": (large(SETTINGS), f"{{}}/{SETTINGS} has 476 MiB; it must not have more than 64 MiB"),
    "large_secret": (large(SECRET), f"{{}}/{SECRET} has 476 MiB; it must not have more than 64 MiB"),
    "pipe_for_secret": (pipe(SECRET), f"{{}}/{SECRET} is a named pipe"),
    "pipe_for_settings": (pipe(SETTINGS), f"{{}}/{SETTINGS} is a named pipe"),
    "pipe_for_layout": (pipe(LAYOUT), f"{{}}/{LAYOUT} is a named pipe"),
    "pipe_for_extension": (pipe(EXTENSION.format("mine")), f"{{}}/{EXTENSION.format('mine')} is a named pipe"),
    "read_only": (mounted("size=1m", make_read_only), "{} cannot be written by user 0: Read-only file system. An administrator"),
    "of_another": (owned_by_another(0o755), "{} cannot be written by user 0: it belongs to user 12345 and has mode 0755. An administrator"),
    "of_another_alone": (owned_by_another(0o700), "{} cannot be read by user 0: it belongs to user 12345 and has mode 0700. An administrator"),
}

# Some that start normally after what is named was deleted: a configuration, a layout, an extension, a pipe.
MENDED = ("config_is_a_list", "large_layout", "extension_cut", "pipe_for_settings")


class Ruined(Started):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.environment["PATH"] = f"{self.home}/.local/bin:{self.environment['PATH']}"
        # As in the image: kernels see what their user installs.
        venv = self.folder / "jupyter/pyvenv.cfg"
        text = venv.read_text()
        venv.unlink()
        venv.write_text(text.replace("include-system-site-packages = false", "include-system-site-packages = true"))
        # Without root's rights on files of others, as in a pod.
        self.command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *self.command]

    def ruin(self, name, home):
        home.mkdir(exist_ok=True)
        write(home, "mine.txt", "of the user")
        write(home, "mine.ipynb", NOTEBOOK)
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(home)], capture_output=True)
        HOMES[name][0](home)

    async def answers(self, code, *request):
        answer = await asyncio.wait_for(self.call(*request), END)
        self.assertEqual(answer.code, code, (request[:2], answer.body))
        return json.loads(answer.body) if answer.headers.get("Content-Type") == "application/json" else answer.body.decode()

    async def can_be_used(self):
        page = await self.answers(200, "lab")
        self.assertIn("jupyter-config-data", page)
        off = page.partition('"disabledExtensions": [')[2].partition("]")[0]
        self.assertEqual([name for name in BLANK if f'"{name}"' in off], [])
        self.assertEqual('"mine:plugin"' in off, self.name.startswith("page_without_core"))
        self.assertIn("settings", await self.answers(200, "lab/api/settings"))
        self.assertIn("mine.txt", [file["name"] for file in (await self.answers(200, "api/contents"))["content"]])
        self.assertEqual((await self.answers(200, "api/contents/mine.ipynb"))["type"], "notebook")
        code = "import installed; installed.answer" if self.name == "everything" else "6 * 7"
        self.assertEqual(await self.result(await self.kernel(), code), "42")
        new = {"type": "file", "format": "text", "content": "x" * 9000}
        if self.name in ("full", "no_inodes"):
            await self.answers(500, "api/contents/lost.txt", "PUT", new)
            for name in [name for name in os.listdir(self.home) if name.startswith(("data", "inode"))]:
                await self.answers(204, f"api/contents/{name}", "DELETE")
        await self.answers(201, "api/contents/new.txt", "PUT", new)
        await self.answers(200, "api/contents/mine.ipynb", "PUT", {"type": "notebook", "content": json.loads(NOTEBOOK)})


class Home(Ruined):
    """One line of the table."""

    def __init__(self, name):
        super().__init__("test_starts_or_names_what_is_wrong")
        self.name = name

    def id(self):
        return f"{__name__}.Home.{self.name}"

    async def test_starts_or_names_what_is_wrong(self):
        cause = HOMES[self.name][1]
        self.ruin(self.name, Path(self.home))
        if cause is None:
            await self.starts()
            await self.can_be_used()
        else:
            process = await self.run_in_home(["prlimit", f"--cpu={PROCESSOR}", *self.command])
            self.assertEqual(await asyncio.wait_for(process.wait(), END), 1, self.log())
            last = [line for line in self.log().splitlines() if line.strip()][-1]
            self.assertIn(cause.format(self.home), last)
            # The door cuts it there.
            self.assertLessEqual(len(last), 300)


class Recovery(Ruined):
    """An empty home, and on the disk all homes whose server ends."""

    async def test_reaches_the_files_of_all_homes_that_their_user_may_read_and_mended_ones_start(self):
        disk = self.folder / "disk"
        disk.mkdir()
        ended = [name for name, (_, cause) in HOMES.items() if cause]
        for name in ended:
            self.ruin(name, disk / name)
        self.environment["WORKSPACE_RECOVERY_DISK"] = str(disk)
        recovery = await self.starts()
        for name in ended:
            with self.subTest(name):
                readable = name not in ("of_another_alone", "closed_by_its_owner")
                path = f"api/contents/{name}/mine.txt"
                answer = await self.call(path)
                self.assertEqual(answer.code == 200, readable, answer.body)
                # What is named goes.
                file = HOMES[name][1].partition(" ")[0].removeprefix("{}/")
                if (disk / name / file).exists() and name not in ("read_only", "of_another", "of_another_alone"):
                    await self.answers(204, f"api/contents/{name}/{file}", "DELETE")
                    self.assertFalse((disk / name / file).exists())
        await self.end(recovery)
        del self.environment["WORKSPACE_RECOVERY_DISK"]
        for name in MENDED:
            with self.subTest(name):
                self.home = self.environment["HOME"] = str(disk / name)
                normal = await self.starts()
                self.assertIn("mine.txt", [file["name"] for file in (await self.answers(200, "api/contents"))["content"]])
                self.assertEqual(await self.result(await self.kernel(), "open('mine.txt').read()"), "'of the user'")
                await self.end(normal)

    async def test_gives_an_owner_rights_back_whom_a_mode_keeps_out(self):
        for name in ("locked_by_its_owner", "closed_by_its_owner"):
            disk = self.folder / name
            self.ruin(name, disk)
            self.environment["WORKSPACE_RECOVERY_DISK"] = str(disk)
            recovery = await self.starts()
            await self.answers(200, "api/contents/mine.txt")
            await self.end(recovery)
            del self.environment["WORKSPACE_RECOVERY_DISK"]
            self.name, self.home = name, str(disk)
            with unittest.mock.patch.dict(self.environment, HOME=self.home):
                normal = await self.starts()
                await self.can_be_used()
                await self.end(normal)

    async def test_says_whose_a_disk_is_that_its_user_may_not_read(self):
        disk = self.folder / "disk"
        self.ruin("of_another_alone", disk)
        self.environment["WORKSPACE_RECOVERY_DISK"] = str(disk)
        process = await self.run_in_home(self.command)
        self.assertEqual(await asyncio.wait_for(process.wait(), END), 1, self.log())
        self.assertIn(f"{disk} cannot be read by user 0: it belongs to user 12345 and has mode 0700", self.log().splitlines()[-1])


class SecondRun(Ruined):
    """After a healthy first run, which has left what Jupyter and a kernel write."""

    async def has_run(self):
        first = await self.starts()
        self.assertEqual(await self.result(await self.kernel(), "6 * 7"), "42")
        await self.end(first)
        self.assertTrue(Path(self.home, ".ipython").is_dir())

    async def test_starts_on_a_disk_that_was_filled(self):
        self.name, home = "full", Path(self.home)
        self.ruin("intact", home)
        mounted("size=3m", lambda home: None)(home)
        await self.has_run()
        fill(home)
        await self.starts()
        await self.can_be_used()

    async def test_a_kernel_without_its_interpreter_is_named_and_others_run(self):
        argv = [f"{self.home}/venv/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        kernel = {"argv": argv, "display_name": "Mine", "language": "python"}
        self.write(".local/share/jupyter/kernels/mine/kernel.json", json.dumps(kernel))
        await self.has_run()
        await self.starts()
        session = {"path": "mine.ipynb", "name": "mine.ipynb", "type": "notebook", "kernel": {"name": "mine"}}
        refused = await self.answers(500, "api/sessions", "POST", session)
        self.assertIn(argv[0], refused["message"])

    async def test_names_the_administrator_where_the_home_became_anothers(self):
        await self.has_run()
        Path(self.home).chmod(0o755)
        subprocess.run(["chown", "-R", "12345:12345", self.home], check=True)
        process = await self.run_in_home(self.command)
        self.assertEqual(await asyncio.wait_for(process.wait(), END), 1, self.log())
        self.assertIn(f"{self.home} cannot be written by user 0: it belongs to user 12345", self.log().splitlines()[-1])


class Parallel(unittest.TestSuite):
    """Runs its tests three at a time."""

    def run(self, result, debug=False):
        lock = threading.Lock()

        def run_one(test):
            own = unittest.TestResult()
            test.run(own)
            with lock:
                result.startTest(test)
                result.failures += own.failures
                result.errors += own.errors
                result.stopTest(test)

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(run_one, self))
        return result


def load_tests(loader, _, pattern):
    load = loader.loadTestsFromTestCase
    return Parallel([*load(Recovery), *load(SecondRun), *map(Home, HOMES)])
