"""The values that docs/zero-to-jupyterhub.md gives, and those that `import` writes, upon what that chart sets (no cluster)."""

import json
import pathlib
import re

import api_server
import yaml
from hub import Case
from jupyterhub.objects import Hub
from traitlets.config import Config

from workspacespawner import launch
from workspacespawner import spawner as module

ROOT = pathlib.Path(__file__).parents[3]
GOLDEN = ROOT / "crates/import/tests/golden"


def values():
    page = (ROOT / "docs/zero-to-jupyterhub.md").read_text()
    return yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])


def of_the_chart():
    """Settings with the values that the chart's defaults give them, of each kind one or more."""
    c = Config()
    c.JupyterHub.spawner_class, c.JupyterHub.hub_connect_url = "kubespawner.KubeSpawner", "http://hub:8081"
    c.Spawner.cmd = "jupyterhub-singleuser"
    c.KubeSpawner.update(
        namespace="jhub", image="quay.io/jupyterhub/k8s-singleuser-sample:4", mem_guarantee="1G", storage_capacity="10Gi",
        common_labels={"app.kubernetes.io/managed-by": "kubespawner"}, extra_labels={"hub.jupyter.org/network-access-hub": "true"},
        tolerations=[{"key": "hub.jupyter.org/dedicated", "operator": "Exists"}], node_affinity_preferred=[{"weight": 100, "preference": {}}],
        environment={}, profile_list=[], node_selector={}, extra_annotations={}, extra_resource_limits={},
        uid=1000, init_containers=[{"name": "block"}], volumes={"home": {}}, storage_pvc_ensure=True, events_enabled=True,
    )  # fmt: skip
    return c


class FromZeroToJupyterHub(Case):
    def hub_of(self, change=None, c=None, given=None):
        c, given = c or of_the_chart(), given or values()
        for text in given["hub"]["extraConfig"].values():
            exec(text, {"c": c})
        self.namespace = c.WorkspaceSpawner.namespace
        c.WorkspaceSpawner.update(namespace=api_server.NAMESPACE, k8s_api_host=self.api.url, failure_grace=0.2)
        if change:
            change(c)
        self.new_hub()
        self.settings.update(config=c, hub=Hub(connect_url=c.JupyterHub.hub_connect_url + "/hub/", base_url="/hub/", public_host=""))
        module.WorkspaceSpawner._warned.clear()
        return c

    async def test_a_server_of_the_template_starts_with_what_templates_take(self):
        c = self.hub_of()
        self.assertEqual((c.JupyterHub.spawner_class, self.namespace), ("workspace", "jhub-servers"))
        spawner = await self.spawn()
        raw = self.api.objects["alice"]
        self.assertEqual(raw["spec"]["resources"], {"requests": {"memory": str(1024**3)}})
        self.assertEqual((raw["spec"]["templateRef"], raw["spec"]["storage"]), ("jupyterhub", {"size": "10Gi"}))
        self.assertEqual({"image", "tolerations", "affinity", "nodeSelector"} & set(raw["spec"]), set())
        self.assertNotIn("app.kubernetes.io/managed-by", raw["metadata"]["labels"])
        self.assertEqual(spawner._warned, {"uid", "init_containers", "volumes", "storage_pvc_ensure", "events_enabled"})
        self.assertEqual(json.loads(launch.answer(spawner))["command"], ["jupyterhub-singleuser"])

    async def test_servers_of_another_namespace_find_the_hub_and_their_tokens_are_for_it(self):
        self.hub_of()
        spawner = await self.spawn()
        profile = list(yaml.safe_load_all((ROOT / "deploy/samples/jupyterhub/workspaces.yaml").read_text()))[1]
        audience = profile["spec"]["projectedTokens"][0]["audience"]
        self.assertEqual(spawner.launch_url + "/workspaces/{workspace.uid}/launch", audience)
        for name in ("JUPYTERHUB_API_URL", "JUPYTERHUB_ACTIVITY_URL"):
            self.assertTrue(spawner.get_env()[name].startswith("http://hub.jhub.svc:8081/hub/api"), name)

    async def test_a_profile_of_values_chooses_image_and_size(self):
        override = {"image": "large:1", "mem_limit": "4G"}
        self.hub_of(lambda c: c.KubeSpawner.update(profile_list=[{"display_name": "Small"}, {"display_name": "Large", "kubespawner_override": override}]))
        await self.spawn(options={"profile": "large"})
        spec = self.api.objects["alice"]["spec"]
        self.assertEqual((spec["templateRef"], spec["image"], spec["resources"]["limits"]), ("jupyterhub", "large:1", {"memory": str(4 * 1024**3)}))


class FromImport(FromZeroToJupyterHub):
    """The lines of `kubectl workspace import z2jh --hub keep` for the made-up hub of its golden pair."""

    def hub_of(self, change=None, c=None, given=None):
        chart = yaml.safe_load((GOLDEN / "z2jh/values.yaml").read_text())["singleuser"]
        c = of_the_chart()
        c.KubeSpawner.update(
            profile_list=chart["profileList"], environment=chart["extraEnv"], node_selector=chart["nodeSelector"],
            extra_annotations=chart["extraAnnotations"], cpu_limit=2.0, mem_limit="4G", start_timeout=600,
        )  # fmt: skip
        return super().hub_of(change, c, yaml.safe_load((GOLDEN / "z2jh-keep/hub-values.yaml").read_text()))

    def template(self, title):
        found = yaml.safe_load_all((GOLDEN / "z2jh-keep/templates.yaml").read_text())
        return next(item for item in found if item["spec"]["displayName"] == title)

    async def test_a_server_of_the_template_starts_with_what_templates_take(self):
        c = self.hub_of()
        self.assertEqual((c.JupyterHub.spawner_class, self.namespace), ("workspace", "courses"))
        spawner = await self.spawn()
        spec = self.api.objects["alice"]["spec"]
        self.assertEqual((spec["templateRef"], spec["storage"]), (self.template("Small")["metadata"]["name"], {"claimName": "claim-alice"}))
        # The template says them.
        self.assertEqual({"image", "resources", "tolerations", "affinity", "nodeSelector", "podAnnotations"} & set(spec), set())
        env = json.loads(launch.answer(spawner))["environment"]
        self.assertEqual((env["COURSE"], "BUCKET" in env), ("statistics", False))

    async def test_servers_of_another_namespace_find_the_hub_and_their_tokens_are_for_it(self):
        c = self.hub_of()
        profile = yaml.safe_load((GOLDEN / "z2jh-keep/profiles.yaml").read_text().split("---")[0])
        audience = profile["spec"]["projectedTokens"][0]["audience"]
        self.assertTrue(audience.startswith(c.JupyterHub.hub_connect_url + "/lab/hub/api/workspaces/"), audience)

    async def test_a_profile_of_values_chooses_image_and_size(self):
        self.hub_of()
        await self.spawn(options={"profile": "gpu", "image": "jax", "memory": "m16"})
        spec, template = self.api.objects["alice"]["spec"], self.template("GPU \u201clarge\u201d")
        self.assertEqual((spec["templateRef"], spec["resources"]), (template["metadata"]["name"], {"limits": {"memory": str(16 * 1024**3)}}))
        self.assertIn(spec["image"], template["spec"]["allowedImages"])
        # Without that of the container beside it, which is the template's own.
        self.assertEqual(template["spec"]["resourceBounds"]["memory"]["max"], "16Gi")
        # The choice of other nodes, which the template does not allow, would have the start refused.
        self.assertNotIn("nodeSelector", spec)
        self.assertEqual(spec["options"], {"place": "near"})

    async def test_a_choice_of_nodes_is_that_of_the_template_s_option(self):
        self.hub_of()
        spawner = await self.spawn(options={"profile": "gpu", "place": "far away"})
        spec, template = self.api.objects["alice"]["spec"], self.template("GPU \u201clarge\u201d")
        (option,) = [option for option in template["spec"]["options"] if option["name"] == "place"]
        (choice,) = [choice for choice in option["choices"] if choice["name"] == spec["options"]["place"]]
        self.assertEqual((choice["set"]["nodeSelector"], choice["set"]["tolerations"][0]["key"]), ({"pool": "spot"}, "spot"))
        # The template says what it sets; what else the choice says goes on.
        self.assertEqual({"nodeSelector", "tolerations"} & set(spec), set())
        self.assertNotIn("cpu", spec["resources"]["limits"])
        self.assertEqual(spawner.default_url, "/tree")
