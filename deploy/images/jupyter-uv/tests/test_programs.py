"""Build files of images: a program that a user installs into the home never starts in place of ours (no container)."""

import json
import re
import unittest

from running import IMAGE

# What runs the words that follow as a command.
RUNNERS = ("--", "/usr/local/bin/behind-door", "/opt/node/bin/node", "--max-http-header-size=65536")


def words(file, name):
    found = re.search(rf"^{name} (.*)$", file.read_text().replace("\\\n", ""), re.MULTILINE)
    return json.loads(found[1]) if found else []


class Programs(unittest.TestCase):
    def test_images_name_what_they_start_by_its_full_path(self):
        seen = set()
        # The image of tests has no home.
        for file in sorted(file for file in IMAGE.parent.glob("*/Containerfile") if file.parent.name != "echo"):
            entry, command = words(file, "ENTRYPOINT"), words(file, "CMD")
            line = entry + command
            programs = [word for before, word in zip(["--", *line], line) if before in RUNNERS]
            with self.subTest(file.parent.name):
                self.assertEqual([word for word in programs if not word.startswith(("/", "--"))], [])
            seen.update(programs)
        self.assertTrue({"/opt/node/bin/node", "/opt/code-server/bin/code-server", "/opt/jupyter/bin/python", "/opt/jupyter/bin/launch"} <= seen, seen)

    def test_images_keep_sockets_and_runtime_files_where_users_do_not_tidy(self):
        """As `rm -rf /tmp/*` does."""
        found = {}
        for file in [*IMAGE.parent.glob("*/Containerfile"), IMAGE / "behind-door.sh"]:
            text = file.read_text()
            kept = re.findall(r'\bJUPYTER_RUNTIME_DIR=([^\s"]+)|--socket[", ]+(/[^\s"]+)', text)
            found[file.parent.name, file.name] = ["".join(paths) for paths in kept]
        self.assertEqual([path for paths in found.values() for path in paths if not path.startswith("/run/workspace/")], [])
        for file in [("jupyter-uv", "Containerfile"), ("jupyter-uv", "behind-door.sh"), ("code", "Containerfile")]:
            self.assertTrue(found[file], file)
