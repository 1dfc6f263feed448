"""The hub's configuration in deploy/samples/jupyterhub (pure but for a folder of passwords)."""

import pathlib
import re
import tempfile
import unittest
import unittest.mock

from jupyterhub.app import JupyterHub
from traitlets.config import PyFileConfigLoader

from workspacespawner import WorkspaceSpawner, profiles

REAL = pathlib.Path
FILE = REAL(__file__).parents[3] / "deploy/samples/jupyterhub/jupyterhub_config.py"


class Sample(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        (REAL(self.folder.name) / "alice").write_text("secret-of-alice")
        (REAL(self.folder.name) / "bob").write_text("secret-of-bob")
        (REAL(self.folder.name) / "..data").mkdir()
        with unittest.mock.patch("pathlib.Path", lambda path: REAL(self.folder.name)):
            self.config = PyFileConfigLoader(FILE.name, str(FILE.parent)).load_config()

    async def test_everybody_signs_in_with_the_own_password_only(self):
        people = self.config.JupyterHub.authenticator_class()
        for name, password, taken in [
            ("alice", "secret-of-alice", "alice"),
            ("alice", "secret-of-bob", None),
            ("alice", "", None),
            ("carol", "", None),
            ("..data", "", None),
            ("../alice", "secret-of-alice", None),
            ("alice", "secret-of-alicé", None),
        ]:
            with self.subTest(name=name, password=password):
                self.assertEqual(await people.authenticate(None, {"username": name, "password": password}), taken)

    def test_its_profiles_are_profiles_and_only_the_culler_stops_servers(self):
        self.assertEqual(len(profiles.entries(self.config.WorkspaceSpawner.profile_list)), 3)
        self.assertFalse(self.config.JupyterHub.cleanup_servers)
        self.assertEqual([service["name"] for service in self.config.JupyterHub.services], ["culler"])

    def test_use_is_what_servers_report_and_a_proxy_that_moved_has_its_routes_again_within_a_minute(self):
        # The name that the package gives to its proxy class.
        self.assertEqual(self.config.JupyterHub.proxy_class, "workspace")
        self.assertLessEqual(self.config.JupyterHub.last_activity_interval, 60)
        image = (FILE.parents[2] / "images/jupyter-uv-hub/Containerfile").read_text()
        between = int(re.search(r"^ENV JUPYTERHUB_ACTIVITY_INTERVAL=(\d+)$", image, re.MULTILINE)[1])
        command = self.config.JupyterHub.services[0]["command"]
        timeout = int(next(word for word in command if word.startswith("--timeout=")).split("=")[1])
        self.assertLess(2 * between, timeout)

    def test_every_setting_is_one_of_jupyterhub(self):
        for name in self.config.JupyterHub:
            self.assertIn(name, JupyterHub.class_traits(config=True))
        for name in self.config.WorkspaceSpawner:
            self.assertIn(name, WorkspaceSpawner.class_traits(config=True))
