"""Our images' JupyterLab and VS Code, used by a browser -> the traces in ../traces (IO).

usage: record.py [SCENE...]

A scene records about eleven minutes; all of them run beside each other. Root, Debian's chromium and zstd, and the images of
`./justw demo --with all` are needed; a Python with tornado is `~/.cache/jupyter-k8s/application-tests/bin/python`. Images are unpacked and run
in a chroot, without the door: the proxy of tape.py stands in its place.
"""

import asyncio
import base64
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime

from scenes import SCENES, Open
from tape import Tape

HERE = pathlib.Path(__file__).resolve().parent
TRACES = HERE.parent / "traces"
IMAGES = HERE.parents[4] / "deploy/images"
# Seconds between two looks at what the application tells of its use.
LOOK = 20
# Pages load one after the other, so that none is slower than a person would wait.
LOADING = asyncio.Semaphore(2)


def assertion():
    """As the door hands it on. Nothing behind it verifies the signature again."""
    parts = [json.dumps(part).encode() for part in ({"alg": "EdDSA"}, {"iss": "jupyter-k8s-gateway", "aud": "uid-1", "sub": "alice"})]
    return "Workspace-Assertion: " + ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, b"signature"])


def unpack(root):
    """The image of VS Code, which holds JupyterLab, too."""
    tar = pathlib.Path("~/.cache/jupyter-k8s/images/code.tar").expanduser()

    def blob(name):
        return subprocess.check_output(["tar", "xOf", tar, name])

    def digest(descriptor):
        return "blobs/sha256/" + descriptor["digest"].split(":")[1]

    manifest = json.loads(blob(digest(json.loads(blob("index.json"))["manifests"][0])))
    for layer in manifest["layers"]:
        subprocess.run(["tar", "x", "--zstd", "--exclude=.wh.*", "--exclude=dev/*", "-C", root], input=blob(digest(layer)), check=True)


def command(image, socket):
    text = (IMAGES / image / "Containerfile").read_text().replace("\\\n", "")
    words = json.loads(re.findall(r"^CMD (.*)$", text, re.MULTILINE)[-1])
    return [word.replace("{socket}", socket).replace("{base-path}", "/") for word in words]


class Application:
    def __init__(self, root, scene):
        self.root, self.scene = root, scene
        self.home = pathlib.Path(root, "home", scene.name)
        self.socket = str(self.home / "application.sock")

    async def start(self):
        self.home.mkdir()
        for name, text in self.scene.files.items():
            (self.home / name).parent.mkdir(parents=True, exist_ok=True)
            (self.home / name).write_text(text)
        for path in (self.home, *self.home.rglob("*")):
            os.chown(path, 1000, 1000)
        home = f"/home/{self.scene.name}"
        environment = {
            "HOME": home,
            "JUPYTER_COLLABORATION": self.scene.together,
            "JUPYTER_PORT": "9999",
            "JUPYTER_RUNTIME_DIR": f"{home}/runtime",
            "LANG": "C.UTF-8",
            "PATH": "/opt/code-server/bin:/opt/jupyter/bin:/opt/node/bin:/usr/local/bin:/usr/bin:/bin",
            "SHELL": "/bin/bash",
            "USER": "jovyan",
            "WORKSPACE_ASSERTION_KEYS": home,
            "WORKSPACE_BASE_PATH": "/",
            "WORKSPACE_DOOR": "1",
            "WORKSPACE_UID": "uid-1",
        }
        words = command(self.scene.image, f"{home}/application.sock")
        script = f'mount --rbind /dev {self.root}/dev && mount -t proc proc {self.root}/proc && exec chroot --userspec=1000:1000 {self.root} "$@"'
        inside = ["env", "-C", home, "-i", *(f"{name}={value}" for name, value in environment.items()), *words]
        with open(self.home / "log", "w") as log:
            self.process = await asyncio.create_subprocess_exec(
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", *inside),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        while not pathlib.Path(self.socket).exists():
            if self.process.returncode is not None:
                raise RuntimeError((self.home / "log").read_text()[-2000:])
            await asyncio.sleep(0.2)

    async def connect(self):
        return await asyncio.open_unix_connection(self.socket)

    async def ask(self, path):
        reader, writer = await self.connect()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{assertion()}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return json.loads(answer.split(b"\r\n\r\n", 1)[1])

    def cpu(self):
        """Seconds of the processor that all its processes took until now."""
        parents, used = {}, {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                parents[int(folder.name)] = int(fields[1])
                used[int(folder.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

        def is_own(pid):
            while pid not in (0, self.process.pid):
                pid = parents.get(pid, 0)
            return pid == self.process.pid

        return round(sum(seconds for pid, seconds in used.items() if is_own(pid)), 1)

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


async def look(application, tape):
    """What cullers of others ask, without a request that would count as use."""
    begin = time.time() - tape.now()

    def seconds(text):
        return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() - begin, 1)

    while True:
        with contextlib.suppress(OSError, ValueError, KeyError):
            if application.scene.image == "code":
                heart = await application.ask("/healthz")
                tape.add("state", cpu=application.cpu(), server=max(0, round(heart["lastHeartbeat"] / 1000 - begin, 1)))
            else:
                status = await application.ask("/api/status?no_track_activity=1")
                kernels = await application.ask("/api/kernels?no_track_activity=1")
                terminals = await application.ask("/api/terminals?no_track_activity=1")
                tape.add(
                    "state",
                    cpu=application.cpu(),
                    server=seconds(status["last_activity"]),
                    kernels=[{"state": one["execution_state"], "last": seconds(one["last_activity"])} for one in kernels],
                    terminals=[seconds(one["last_activity"]) for one in terminals],
                )
        await asyncio.sleep(LOOK)


async def record(root, scene):
    application = Application(root, scene)
    tape = Tape(application.connect, assertion())
    page = Open(tape)
    looking = None
    try:
        async with LOADING:
            await application.start()
            port = await tape.listen()
            tape.start = time.monotonic()
            looking = asyncio.create_task(look(application, tape))
            await page.start(f"http://127.0.0.1:{port}/{scene.path}")
            await scene.load(page)
        await scene.play(page)
        acted = round(max(page.acted - tape.start, page.loaded))
        tape.write(TRACES / f"{scene.name}.jsonl", {"about": scene.about, "recorded": versions(root), "acted": acted})
        print(f"{scene.name}: {len(tape.lines)} lines", flush=True)
    except Exception as error:
        print(f"{scene.name}: {error!r}", flush=True)
        with contextlib.suppress(Exception):
            shot = await page.call("Page.captureScreenshot")
            picture = pathlib.Path(tempfile.gettempdir(), f"{scene.name}.png")
            picture.write_bytes(base64.b64decode(shot["data"]))
            print(f"{scene.name}: {picture}", flush=True)
        raise
    finally:
        if looking:
            looking.cancel()
        await page.close()
        application.stop()


def versions(root):
    lab = subprocess.check_output(["chroot", root, "/opt/jupyter/bin/jupyter", "lab", "--version"], text=True).strip()
    code = json.loads(pathlib.Path(root, "opt/code-server/node_modules/code-server/package.json").read_text())["version"]
    chromium = subprocess.check_output(["chromium", "--version"], text=True, stderr=subprocess.DEVNULL).split()[1]
    return f"JupyterLab {lab}, code-server {code}, Chromium {chromium}, {time.strftime('%Y-%m-%d', time.gmtime())}"


async def main(names):
    chosen = [scene for scene in SCENES if not names or scene.name in names]
    with tempfile.TemporaryDirectory(prefix="record-") as root:
        os.chmod(root, 0o755)
        unpack(root)
        results = await asyncio.gather(*(record(root, scene) for scene in chosen), return_exceptions=True)
    return any(isinstance(result, BaseException) for result in results)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
