"""List, watch and writes against an API server that is away, forgets and loses answers (no cluster)."""

import asyncio
import json
import unittest.mock

from hub import Case, end

from workspacespawner import cluster as module


class Parse(unittest.TestCase):
    def test_what_is_nested_too_deep_is_null_and_the_rest_is_as_it_was(self):
        def answer(deep):
            one = {"metadata": {"name": "a]\\\"[{", "managedFields": [0, "DEEP", 1]}, "spec": {"x": [{}, []]}}
            return json.dumps({"items": [one, one]}).encode().replace(b'"DEEP"', deep)

        for levels in (10, 1500, 100_000):
            found = module._parse(answer(b'{"a":[' * levels + b'"]\\"["' + b"]}" * levels))
            self.assertEqual([item["spec"] for item in found["items"]], [{"x": [{}, []]}] * 2)
            self.assertEqual(found["items"][1]["metadata"]["name"], 'a]\\"[{')
            fields = found["items"][0]["metadata"]["managedFields"]
            self.assertEqual((fields[0], fields[2]), (0, 1))
        with self.assertRaises(ValueError):
            module._parse(b"[" * 100_000)


class Watch(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.api.operator.auto = False
        self.kept = (module.RETRY, module.SILENT)
        module.RETRY = 0.02
        api = module.Api(module.configuration(self.api.url, "", None))
        self.heard = []
        self.cluster = module.Cluster(api, "servers", "jupyterhub", self.heard.append)

    async def asyncTearDown(self):
        await end(self.cluster)
        module.RETRY, module.SILENT = self.kept
        await super().asyncTearDown()

    def body(self, name, labels=None):
        labels = {"hub.jupyter.org/name": "jupyterhub"} if labels is None else labels
        return {"metadata": {"name": name, "labels": labels}, "spec": {"desiredStatus": "Running"}}

    def lists(self):
        return [item for item in self.api.requests if item[0] == "GET" and item[1].endswith("/workspaces") and "watch" not in item[3]]

    async def test_one_list_and_one_watch_tell_of_every_change(self):
        self.assertTrue(await self.cluster.wait_listed(30))
        found = await self.cluster.create(self.body("a"))
        self.assertEqual(self.cluster.get("a").uid, found.uid)
        self.api.edit("a", image="x")
        await self.so(lambda: self.cluster.get("a").spec.get("image") == "x")
        self.api.vanish("a")
        await self.so(lambda: self.cluster.get("a") is None)
        self.assertEqual(len(self.lists()), 1)
        await self.so(lambda: self.heard == [found.uid] * 3)

    async def test_only_workspaces_of_this_hub_and_this_account_count(self):
        await self.cluster.wait_listed(30)
        await self.cluster.create(self.body("ours"))
        await self.cluster.create(self.body("another-hubs", {"hub.jupyter.org/name": "other"}))
        self.api.users["mallory-token"] = "mallory"
        self.cluster.api.configuration.api_key["BearerToken"] = "Bearer mallory-token"
        self.cluster.api.configuration.refresh_api_key_hook = None
        await self.cluster.create(self.body("mallorys"))
        self.assertEqual([item.name for item in self.cluster.all()], ["ours"])

    async def test_a_watch_that_breaks_goes_on_from_the_last_version(self):
        await self.cluster.wait_listed(30)
        await self.so(lambda: self.api.watchers)
        self.api.bookmark()
        version = self.api.version
        await self.so(lambda: self.cluster._version == version)
        self.api.disconnect()
        await self.so(lambda: not self.api.watchers)
        await self.cluster.create(self.body("a"))
        await self.so(lambda: self.api.watchers)
        await self.so(lambda: self.cluster.get("a"))
        self.assertEqual(len(self.lists()), 1)
        self.assertIn(str(version), [item[3].get("resourceVersion") for item in self.api.requests])

    async def test_a_silent_watch_is_connected_anew(self):
        module.SILENT = 0.05
        await self.cluster.wait_listed(30)
        watches = lambda: [item for item in self.api.requests if "watch" in item[3]]
        await self.so(lambda: len(watches()) > 2)
        self.assertEqual(len(self.lists()), 1)

    async def test_a_version_that_is_forgotten_is_listed_anew(self):
        await self.cluster.wait_listed(30)
        for name in ("kept", "gone", "replaced"):
            await self.cluster.create(self.body(name))
        await self.so(lambda: len(self.heard) == 3 and self.api.watchers)
        before = self.cluster.get("replaced").uid
        self.api.away = True
        self.api.disconnect()
        await self.so(lambda: not self.api.watchers)
        self.api.vanish("gone")
        self.api.vanish("replaced")
        self.api.objects["replaced"] = {**self.body("replaced")}
        self.api.objects["replaced"]["metadata"].update(uid="new", generation=1, annotations={})
        self.api._changed(self.api.objects["replaced"], "ADDED")
        self.api.oldest, self.api.away = self.api.version, False
        await self.so(lambda: self.cluster.get("gone") is None and self.cluster.get("replaced").uid != before)
        self.assertEqual(len(self.lists()), 2)
        self.assertEqual(self.cluster.get("kept").name, "kept")

    async def test_an_error_event_with_410_is_listed_anew(self):
        await self.cluster.wait_listed(30)
        await self.so(lambda: self.api.watchers)
        event = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "gone"}, "version": 0}
        for queue in self.api.watchers:
            queue.put_nowait(event)
        await self.so(lambda: len(self.lists()) == 2)
        await self.cluster.create(self.body("a"))
        self.api.edit("a", image="x")
        await self.so(lambda: self.cluster.get("a").spec.get("image") == "x")

    async def test_an_object_that_nobody_foresaw_ends_no_watch(self):
        await self.cluster.wait_listed(30)
        await self.so(lambda: self.api.watchers)
        event = {"type": "ERROR", "object": {"code": "none", "status": []}, "version": 0}
        for bad in (event, {**event, "type": "ADDED", "object": {"status": {"conditions": [1]}, "metadata": {"labels": {"hub.jupyter.org/name": "jupyterhub"}}}}):
            await self.so(lambda: self.api.watchers)
            before = set(self.api.watchers)
            for queue in before:
                queue.put_nowait(bad)
            self.api.bookmark()
            self.api.disconnect()
            await self.so(lambda: not before & self.api.watchers)
        await self.cluster.create(self.body("a"))
        self.api.edit("a", image="x")
        await self.so(lambda: self.cluster.get("a").spec.get("image") == "x")

    async def test_an_api_server_that_is_away_is_waited_for(self):
        self.api.away = True
        self.assertFalse(await self.cluster.wait_listed(0.05))
        self.api.away = False
        self.assertTrue(await self.cluster.wait_listed(30))

    async def test_an_answer_that_is_late_does_not_bring_back_what_was_deleted(self):
        await self.cluster.wait_listed(30)
        found = await self.cluster.create(self.body("a"))
        raw = {**self.api.objects["a"], "metadata": dict(self.api.objects["a"]["metadata"])}
        self.api.vanish("a")
        await self.so(lambda: self.cluster.get("a") is None)
        self.assertEqual(self.cluster._take_answer(raw).uid, found.uid)
        self.assertIsNone(self.cluster.get("a"))

    async def test_refusals_say_why_and_only_those_that_pass_are_asked_again(self):
        await self.cluster.wait_listed(30)
        self.api.refuse = lambda method, path, body: (403, "Forbidden", "denied the request: too large") if method == "POST" else None
        with self.assertRaisesRegex(module.Refused, "too large"):
            await self.cluster.create(self.body("a"))
        for code in (429, 500, 503):
            self.api.refuse = lambda method, path, body: (code, "Busy", "later") if method == "POST" else None
            with self.assertRaises(module.Unreachable):
                await self.cluster.create(self.body("a"))
        self.api.refuse = None
        self.assertEqual((await self.cluster.create(self.body("a"))).name, "a")

    async def test_a_hub_outside_of_a_pod_is_told_what_it_needs(self):
        with unittest.mock.patch.dict("os.environ", {"KUBERNETES_SERVICE_HOST": ""}), self.assertRaisesRegex(ValueError, "must run in a pod"):
            module.configuration(self.api.url, "", None)

    async def test_a_change_is_waited_for_and_what_is_not_heard_of_is_read(self):
        await self.cluster.wait_listed(30)
        found = await self.cluster.create(self.body("a"))
        reads = lambda: sum(item[:2] == ("GET", f"{self.cluster._path}/a") for item in self.api.requests)
        await self.cluster.change(found, 0.01)
        self.assertEqual(reads(), 1)
        waiting = asyncio.ensure_future(self.cluster.change(found, 30))
        await asyncio.sleep(0)
        self.api.edit("a", image="x")
        await waiting
        await self.cluster.change(found, 30)
        del waiting
        self.assertEqual((reads(), list(self.cluster._changes)), (1, []))
