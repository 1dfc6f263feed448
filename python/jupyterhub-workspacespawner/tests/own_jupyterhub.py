"""JupyterHub's own tests, as they are in its wheel, over this spawner: docs/evidence/jupyterhub.md says which pass (no cluster)."""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parents[2] / "docs/evidence/jupyterhub.md"
PASS = re.compile(r"^- `(test_\w+\.py)`: ((?:`test_\w+`,?\s*)+)$", re.M)
ROW = re.compile(r"^\| `(test_\w+\.py)::(test_\w+)` \| (fails|not run) \| (.*?) *\|$", re.M)
LEAST = 50


class OwnTests(unittest.TestCase):
    maxDiff = None

    def test_each_comes_to_what_the_page_says(self):
        page = PAGE.read_text()
        rows = {f"{file}::{name}": ("passes", "") for file, names in PASS.findall(page) for name in re.findall(r"test_\w+", names)}
        rows |= {f"{file}::{name}": (said, why) for file, name, said, why in ROW.findall(page)}
        for name, (said, why) in rows.items():
            self.assertTrue(said == "passes" or why, f"{PAGE.name}: {name} must have a reason")
        log, outcomes = self.run_them([name for name, (said, _) in rows.items() if said != "not run"])
        # Some have bounds in time, which a busy machine breaks: what fails beyond the page runs once more.
        failed = {name for name, passed, _ in outcomes if not passed and rows[name][0] == "passes"}
        if failed:
            again, second = self.run_them(sorted(failed))
            log, outcomes = log + again, [outcome for outcome in outcomes if outcome[0] not in failed] + second
        found = collections.defaultdict(lambda: ["passes", False])
        for name, passed, started in outcomes:
            found[name][0] = found[name][0] if passed else "fails"
            found[name][1] |= started
        wanted = {name: [said, True] for name, (said, _) in rows.items() if said != "not run"}
        self.assertEqual(dict(found), wanted, f"[outcome, whether a server was started]\n{log[-100_000:]}")
        self.assertGreaterEqual(sum(passed and started for _, passed, started in outcomes), LEAST)

    def run_them(self, names):
        with tempfile.TemporaryDirectory() as folder:
            # pytest has settings in files of folders above: there are none.
            options = ["-c", os.devnull, "--rootdir", folder, "--basetemp", f"{folder}/files", "-p", "over_ours", "-p", "no:cacheprovider", "-W", "ignore"]
            # As their own settings have it: a loop per module.
            for name, value in ("mode", "auto"), ("default_fixture_loop_scope", "module"), ("default_test_loop_scope", "module"):
                options += ["-o", f"asyncio_{name}={value}"]
            modules = sorted({"jupyterhub.tests." + name.split(".py")[0] for name in names})
            environment = {**os.environ, "CHOSEN": " ".join(names), "OUTCOMES": f"{folder}/outcomes", "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
            command = [sys.executable, "-m", "pytest", "-q", "-rf", "--tb=short", *options, "--pyargs", *modules]
            done = subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=1200)
            try:
                lines = pathlib.Path(folder, "outcomes").read_text().splitlines()
            except OSError:
                self.fail(done.stdout)
        return done.stdout, [json.loads(line) for line in lines]
