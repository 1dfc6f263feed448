"""Build files of images: a program that a user installs into the home never starts in place of ours (no container)."""

import json
import re
import unittest

from running import IMAGE

# What runs the words that follow as a command.
RUNNERS = ("--", "/usr/local/bin/behind-door", "/opt/node/bin/node")


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
