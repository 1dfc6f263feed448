"""docs/evidence/kubespawner.md: what becomes of each of KubeSpawner's tests (files alone)."""

import pathlib
import re
import unittest

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parents[2] / "docs/evidence/kubespawner.md"


class Page(unittest.TestCase):
    def test_each_row_says_what_is_here_and_names_tests_that_exist(self):
        page = PAGE.read_text()
        rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `test_")]
        self.assertIn(f"the {len(rows)} functions", page)
        for row in rows:
            self.assertEqual((len(row), all(row)), (3, True), row)
            named = re.findall(r"`([\w/]+\.(?:py|rs))::(\w+)`", row[2])
            self.assertTrue(named or row[2].startswith("not offered"), row)
            for file, name in named:
                root = HERE if file.endswith(".py") else HERE.parents[2]
                self.assertRegex((root / file).read_text(), rf"(def|fn) {name}\(", row)
