"""Commands of Jupyter servers that no door started: they start behind the door."""

import pathlib
import unittest

from jupyter_k8s_workspace import door
from running import IMAGE, Started, until

# In place of tini and the door: fills in what the door fills in, and says that it runs.
FAKE_DOOR = """#!/bin/sh
for word; do
  shift
  case $word in
    *"={{socket}}") word=${{word%=*}}={socket} ;;
    *"={{base-path}}") word=${{word%=*}}={base_path} ;;
  esac
  set -- "$@" "$word"
done
export WORKSPACE_DOOR=1
echo "the door starts: $*"
exec "$@"
"""


class Commands(unittest.TestCase):
    def test_flags_that_the_door_gives_replace_those_of_the_command(self):
        for words, kept in [
            (["bin/jupyter-lab", "--port=8888"], ["bin/jupyter-lab"]),
            (["-m", "jupyterlab", "--port", "8888", "--no-browser"], ["-m", "jupyterlab", "--no-browser"]),
            (["x", "--ip=0.0.0.0", "--ServerApp.port=9", "--LabApp.ip=*", "--ServerApp.sock=/tmp/a", "--certfile=a"], ["x"]),
            (["x", "--ServerApp.root_dir=/home", "--ServerApp.port_retries=0", "port"], None),
        ]:
            with self.subTest(words):
                self.assertEqual(door.behind_door(words, "/"), ([*(kept or words), *door.FLAGS], []))

    def test_a_base_path_other_than_the_workspaces_is_named(self):
        for base_path, value, is_named in [
            ("/", "/", False),
            ("/", "", False),
            ("/team/lab/", "/team/lab", False),
            ("/team/lab/", "team/lab/", False),
            ("/team/lab/", "/", True),
            ("/", "/jupyter/", True),
        ]:
            for words in [[f"--ServerApp.base_url={value}"], ["--ServerApp.base_url", value]]:
                with self.subTest((base_path, words)):
                    kept, notes = door.behind_door(words, base_path)
                    self.assertEqual(kept, door.FLAGS)
                    self.assertEqual(len(notes), is_named)
                    for note in notes:
                        self.assertIn(f"{value} must be {base_path}", note)

    def test_the_images_own_command_has_the_same_flags(self):
        for flag in door.FLAGS:
            self.assertIn(f'"{flag}"', (IMAGE / "Containerfile").read_text())


class Template(Started):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.program = self.folder / "behind-door"
        self.program.write_text(FAKE_DOOR.format(socket=self.socket, base_path=self.base_path))
        self.program.chmod(0o755)
        # The image's settings, with the door where this test may write.
        package = self.folder / "package"
        package.mkdir()
        for file in pathlib.Path(IMAGE, "jupyter_k8s_workspace").glob("*.py"):
            pathlib.Path(package, "jupyter_k8s_workspace").mkdir(exist_ok=True)
            text = file.read_text().replace(door.PROGRAM, str(self.program))
            pathlib.Path(package, "jupyter_k8s_workspace", file.name).write_text(text)
        self.environment["PYTHONPATH"] = str(package)
        python = self.command[0]
        self.command = [python, "-m", "jupyterlab", "--port=8888", "--ServerApp.base_url=/elsewhere/"]

    async def test_the_command_of_a_template_starts_behind_the_door(self):
        await self.starts()
        await until(self.listens)
        self.assertEqual((await self.call("api/status")).code, 200)
        self.assertEqual((await self.ask(self.base_path + "api/status")).code, 401)
        self.assertEqual(self.log().count("the door starts"), 1)
        self.assertIn(f"/elsewhere/ must be {self.base_path}", self.log())

    async def test_what_the_door_has_started_starts_no_other(self):
        self.environment["WORKSPACE_DOOR"] = "1"
        process = await self.run_in_home([*self.command, f"--ServerApp.sock={self.socket}"])
        await until(lambda: process.returncode is not None or self.listens())
        self.assertNotIn("the door starts", self.log())


if __name__ == "__main__":
    unittest.main()
