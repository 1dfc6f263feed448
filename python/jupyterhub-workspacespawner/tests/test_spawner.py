"""A server's life over the API server in memory, with JupyterHub's own users (no cluster)."""

import asyncio
import datetime
import pathlib
import time
import unittest.mock

import jupyterhub
from hub import Case

from workspacespawner import assess, launch, orphans, spawner as module


class Life(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.addCleanup(setattr, module, "AGAIN", module.AGAIN)
        module.AGAIN = 0.01

    async def test_a_server_starts_stops_and_starts_again_with_one_write_each(self):
        spawner = await self.spawn()
        self.assertEqual(spawner.server.url, f"http://127.0.0.1:{self.ports[0]}/user/alice/")
        raw = self.api.objects["alice"]
        self.assertEqual(raw["spec"]["templateRef"], "lab")
        self.assertEqual(raw["spec"]["ownershipType"], "OwnerOnly")
        self.assertNotIn("env", raw["spec"])
        before = len(self.api.requests)
        for _ in range(100):
            self.assertIsNone(await spawner.poll())
        self.assertEqual(len(self.api.requests), before)
        first = spawner.run_id
        await self.user().stop("")
        self.assertEqual(raw["spec"]["desiredStatus"], "Stopped")
        spawner = await self.spawn()
        self.assertNotEqual(spawner.run_id, first)
        self.assertEqual([item[0] for item in self.api.writes()], ["POST", "PATCH", "PATCH"])

    async def test_what_the_hub_says_of_a_server_is_in_its_object(self):
        self.new_hub(
            image="lab:1", mem_limit="2G", cpu_guarantee=0.5, extra_resource_limits={"nvidia.com/gpu": "1"}, storage_capacity="5Gi",
            node_selector={"pool": "{username}"}, extra_labels={"team": "{username}", "hub.jupyter.org/name": "forged"},
            node_affinity_required=[{"matchExpressions": []}],
        )  # fmt: skip
        await self.spawn("Ann Lee", "x")
        (raw,) = self.api.objects.values()
        spec = raw["spec"]
        self.assertEqual(spec["image"], "lab:1")
        self.assertEqual(spec["resources"], {"limits": {"memory": str(2 * 1024**3), "nvidia.com/gpu": "1"}, "requests": {"cpu": "0.5"}})
        self.assertEqual(spec["storage"], {"size": "5Gi"})
        self.assertTrue(spec["nodeSelector"]["pool"].startswith("ann-lee---"))
        required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        self.assertEqual(required, {"nodeSelectorTerms": [{"matchExpressions": []}]})
        self.assertEqual(spec["displayName"], "Ann Lee: x")
        self.assertEqual(spec["variables"]["hub.servername"], "x")
        self.assertEqual(spec["variables"]["hub.path"], "user/Ann%20Lee/x/")
        self.assertEqual(raw["metadata"]["labels"]["hub.jupyter.org/name"], "jupyterhub")
        self.assertTrue(raw["metadata"]["labels"]["team"].startswith("ann-lee---"))
        self.assertEqual(raw["metadata"]["annotations"]["hub.jupyter.org/username"], "Ann Lee")

    async def test_a_restart_changes_what_differs_and_removes_what_is_unset(self):
        self.new_hub(image="lab:1", mem_limit="2G")
        await self.spawn()
        await self.user().stop("")
        self.new_hub(mem_limit="1G")
        await self.spawn()
        change = self.api.writes()[-1][2]["spec"]
        self.assertEqual(change, {"desiredStatus": "Running", "image": None, "resources": {"limits": {"memory": str(1024**3)}}})

    async def test_named_servers_have_workspaces_of_their_own(self):
        for name in ("", "one", "two"):
            await self.spawn(server=name)
        self.assertEqual(sorted(self.api.objects.servers()), ["alice", "alice--one", "alice--two"])
        spawner = self.user().spawners["one"]
        await self.user().stop("one")
        await spawner.delete_forever()
        await self.so(lambda: "alice--one" not in self.api.objects.servers())
        self.assertEqual([await self.user().spawners[name].poll() for name in ("", "two")], [None, None])

    async def test_requests_whose_answers_are_lost_make_one_workspace_and_one_run(self):
        self.of(self.user())
        await self.so(lambda: self.api.watchers)
        for runs in (1, 2):
            self.api.lose_answers = 1
            before = len(self.api.writes())
            await self.spawn()
            self.assertEqual((self.api.objects.servers(), self.api.operator.runs), (["alice"], runs))
            self.assertEqual({item[0] for item in self.api.writes()[before:]}, {"POST"} if runs == 1 else {"PATCH"})
            self.assertIsNone(await self.user().spawners[""].poll())
            self.api.lose_answers = 1
            await self.user().stop("")
            self.assertEqual(self.api.objects["alice"]["spec"]["desiredStatus"], "Stopped")

    async def test_a_server_that_is_slow_to_be_heard_of_is_read(self):
        module.QUIET, kept = 0.05, module.QUIET
        try:
            self.api.operator.auto = False
            task = self.begin()
            await self.so(lambda: "alice" in self.api.objects.servers() and self.api.watchers)
            for queue in list(self.api.watchers):
                self.api.watchers.discard(queue)
            self.api.operator.starting("alice")
            self.api.operator.ready("alice", "127.0.0.1", self.ports[0])
            await task
        finally:
            module.QUIET = kept

    async def test_the_same_server_at_another_address_without_a_click(self):
        spawner = await self.spawn()
        self.api.operator.starting("alice")
        self.api.operator.ready("alice", "127.0.0.1", self.ports[1])
        await self.so(lambda: self.proxy.routes[("alice", "")] == f"http://127.0.0.1:{self.ports[1]}")
        self.assertEqual(spawner.server.port, self.ports[1])
        self.assertIsNone(await spawner.poll())
        self.assertEqual(spawner.orm_spawner.state["run_id"], spawner.run_id)

    async def test_a_server_that_stops_while_its_route_is_added_has_none(self):
        for stops in (True, False):
            spawner = await self.spawn()
            adding, go, added = asyncio.Event(), asyncio.Event(), []

            async def slow():
                adding.set()
                await go.wait()
                added.append(True)

            self.proxy.slow = slow
            self.api.operator.starting("alice")
            self.api.operator.ready("alice", "127.0.0.1", self.ports[1])
            await adding.wait()
            if stops:
                # As JupyterHub stops a server.
                spawner._stop_pending = True
                await self.proxy.delete_user(self.user())
                await self.user().stop("")
                spawner._stop_pending = False
            go.set()
            # The control: without the stop, the route is there.
            wanted = {} if stops else {("alice", ""): f"http://127.0.0.1:{self.ports[1]}"}
            await self.so(lambda: added and self.proxy.routes == wanted)
            self.proxy.slow = self.nothing

    async def test_a_server_that_stops_before_its_move_is_known_of_does_not_move(self):
        spawner = await self.spawn()
        self.api.operator.starting("alice")
        self.api.operator.ready("alice", "127.0.0.1", self.ports[1])
        moved = spawner._move
        with unittest.mock.patch.object(spawner, "_move", self.nothing):
            await self.so(lambda: spawner._is_elsewhere(spawner.workspace))
        spawner._stop_pending, before = True, dict(self.proxy.routes)
        await moved()
        self.assertEqual((self.proxy.routes, spawner.server.port), (before, self.ports[0]))
        # The control.
        spawner._stop_pending = False
        await moved()
        self.assertEqual(spawner.server.port, self.ports[1])

    async def nothing(self):
        pass

    async def test_what_is_stopped_elsewhere_is_heard_at_once(self):
        spawner = await self.spawn()
        spawner.poll_interval = 10**6
        self.api.edit("alice", desiredStatus="Stopped")
        await self.so(lambda: not self.user().active)
        self.assertEqual(self.proxy.routes, {})
        self.assertEqual(len(self.api.writes()), 1)

    async def test_what_is_deleted_elsewhere_is_heard_at_once(self):
        await self.spawn()
        self.api.operator.running.clear()
        self.api.vanish("alice")
        await self.so(lambda: not self.user().active)
        await self.spawn()
        self.assertIn("alice", self.api.objects.servers())

    async def test_an_api_server_that_is_away_ends_no_server(self):
        spawner = await self.spawn()
        self.api.away = True
        self.api.disconnect()
        self.assertIsNone(await spawner.poll())
        self.new_hub()
        launch.servers.clear()
        type(spawner)._shared.clear()
        restored = self.user().spawners[""]
        module.FIRST_LIST, kept = 0.05, module.FIRST_LIST
        try:
            self.assertIsNone(await restored.poll())
        finally:
            module.FIRST_LIST = kept
        self.api.away = False
        self.assertIsNone(await restored.poll())

    async def test_a_hub_that_restarts_finds_its_servers(self):
        before = await self.spawn()
        state, writes = before.orm_spawner.state, len(self.api.writes())
        self.new_hub()
        spawner = self.user().spawners[""]
        self.assertEqual(spawner.get_state(), state)
        self.assertIsNone(await spawner.poll())
        self.assertEqual(await spawner.get_url(), spawner.server.url)
        self.assertEqual(len(self.api.writes()), writes)
        self.api.edit("alice", desiredStatus="Stopped")
        await self.so(lambda: not self.api.operator.running)
        await self.so(lambda: not spawner.workspace.wanted)
        self.assertEqual(await spawner.poll(), 0)

    async def test_a_server_that_the_hub_was_starting_when_it_ended_is_stopped(self):
        task = self.begin()
        await self.so(lambda: "alice" in self.api.objects.servers())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # As the database is when the process is killed: a server, no state.
        orm_spawner = self.user().orm_spawners[""]
        if orm_spawner.server is None:
            from jupyterhub import orm

            orm_spawner.server = orm.Server(base_url="/user/alice/")
        orm_spawner.state = {}
        self.db.commit()
        self.api.edit("alice", desiredStatus="Running")
        self.new_hub()
        self.assertEqual(await self.user().spawners[""].poll(), 0)
        self.assertEqual(self.api.objects["alice"]["spec"]["desiredStatus"], "Stopped")
        await self.spawn()

    async def test_a_workspace_that_runs_unknown_to_the_hub_is_stopped_before_it_starts_as_wanted(self):
        await self.spawn()
        await self.user().stop("")
        self.api.edit("alice", desiredStatus="Running")
        await self.so(lambda: self.api.operator.running)
        before = len(self.api.writes())
        await self.spawn()
        wanted = [item[2]["spec"]["desiredStatus"] for item in self.api.writes()[before:]]
        self.assertEqual(wanted, ["Stopped", "Running"])

    async def test_a_run_that_another_asked_for_is_never_taken_for_the_own(self):
        await self.spawn()
        await self.user().stop("")
        refused = []

        def refuse(method, path, body):
            if method == "PATCH" and not refused:
                refused.append(path)
                asyncio.get_running_loop().call_soon(lambda: self.api.edit("alice", desiredStatus="Running", image="admins:1"))
                return 409, "Conflict", "the object has been modified"

        self.api.refuse = refuse
        self.new_hub(image="users:2")
        await self.spawn()
        self.assertEqual((len(refused), self.api.objects["alice"]["spec"]["image"]), (1, "users:2"))

    async def test_a_stop_ends_at_once_if_the_workspace_is_gone_and_the_watch_has_not_said_so(self):
        spawner = await self.spawn()
        self.api.watchers.clear()
        self.api.operator.running.clear()
        self.api.vanish("alice")
        await asyncio.wait_for(spawner.stop(), module.STOP / 2)

    async def test_a_failure_that_was_heard_before_a_stop_ends_no_later_server(self):
        self.new_hub(failure_grace=30)
        before = await self.spawn()
        self.api.operator.auto = False
        self.api.operator.fails("alice", "CrashLooping", "y")
        await self.so(lambda: before._failed_since)
        self.api.operator.auto = True
        await self.user().stop("")
        await self.spawn()
        # What its timer does.
        await before._notify()
        self.assertTrue(self.user().active)
        self.assertEqual(self.api.objects["alice"]["spec"]["desiredStatus"], "Running")

    async def test_a_choice_leaves_nothing_behind_in_a_spawner_that_starts_again(self):
        small = {"display_name": "small"}
        gpu = {"display_name": "gpu", "template": "gpu", "kubespawner_override": {"image": "gpu:1", "environment": {"A": "1"}}}
        self.new_hub(profile_list=[small, gpu])
        spawner = await self.spawn(options={"profile": "gpu"})
        self.assertEqual((spawner.template, spawner.image, spawner.environment), ("gpu", "gpu:1", {"A": "1"}))
        spawner.clear_state()
        self.assertEqual((spawner.template, spawner.image, spawner.environment), ("lab", None, {}))

    async def test_another_template_takes_another_object_and_keeps_the_disk(self):
        await self.spawn()
        await self.user().stop("")
        uid = self.api.objects["alice"]["metadata"]["uid"]
        self.new_hub(template="gpu")
        await self.spawn()
        raw = self.api.objects["alice"]
        self.assertEqual(raw["spec"]["templateRef"], "gpu")
        self.assertNotEqual(raw["metadata"]["uid"], uid)
        methods = [(item[0], (item[2].get("spec") or {}).get("storage")) for item in self.api.writes()[2:]]
        self.assertEqual(methods, [("PATCH", {"retain": "Retain"}), ("DELETE", None), ("POST", None)])

    async def test_a_hub_that_ends_within_a_change_of_template_goes_on_at_the_next_start(self):
        for method in ("PATCH", "DELETE", "POST"):
            self.new_hub(template="lab")
            await self.spawn()
            await self.user().stop("")
            uid = self.api.objects["alice"]["metadata"]["uid"]
            before = len(self.api.writes())
            self.new_hub(template="gpu")
            task = self.begin()
            await self.so(lambda: any(item[0] == method for item in self.api.writes()[before:]))
            # As a kill: nothing of the process goes on.
            spawner = self.user().spawners[""]
            with unittest.mock.patch.object(type(spawner), "poll", return_value=0):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            self.new_hub(template="gpu")
            await self.spawn()
            self.assertEqual(self.api.objects.servers(), ["alice"])
            self.assertNotEqual(self.api.objects["alice"]["metadata"]["uid"], uid)
            self.assertEqual(self.api.objects["alice"]["spec"]["templateRef"], "gpu")
            kept = [item[2]["spec"].get("storage") for item in self.api.writes()[before:] if item[0] == "PATCH" and "storage" in item[2]["spec"]]
            self.assertEqual(kept, [{"retain": "Retain"}])
            await self.user().stop("")
            self.api.operator.running.clear()
            self.api.vanish("alice")

    async def test_a_workspace_of_somebody_else_is_neither_used_nor_changed(self):
        self.api.users["mallory-token"] = "mallory"
        await self.spawn("bob")
        raw = self.api.objects["bob"]
        await self.user("bob").stop("")
        raw["metadata"]["annotations"]["workspaces.jupyter.org/created-by"] = "mallory"
        raw["spec"]["ownershipType"] = "Public"
        self.api.edit("bob", image="mallorys")
        writes = len(self.api.writes())
        with self.assertRaisesRegex(Exception, "NameConflict"):
            await self.spawn("bob")
        self.assertEqual(len(self.api.writes()), writes)
        raw["metadata"]["annotations"]["workspaces.jupyter.org/created-by"] = "system:serviceaccount:jhub:hub"
        self.api.edit("bob", image="x")
        await self.so(lambda: self.user("bob").spawners[""].cluster.all())
        await self.spawn("bob")

    async def test_delete_forever_deletes_the_disk_only_if_it_should(self):
        for keep, retain in ((True, "Retain"), (False, "Delete")):
            self.new_hub(delete_pvc=not keep)
            await self.spawn()
            spawner = self.user().spawners[""]
            await self.user().stop("")
            before = len(self.api.writes())
            await spawner.delete_forever()
            await self.so(lambda: not self.api.objects)
            writes = self.api.writes()[before:]
            # The status does not say what the template wants, so it is written.
            self.assertEqual([item[0] for item in writes], ["PATCH", "DELETE"])
            self.assertEqual(writes[0][2]["spec"]["storage"], {"retain": retain})

    async def test_a_stop_removes_the_workspace_and_keeps_the_disk_if_so_set(self):
        self.new_hub(remove=True)
        await self.spawn()
        await self.user().stop("")
        await self.so(lambda: not self.api.objects)
        self.assertEqual(self.api.writes()[-2][2]["spec"]["storage"], {"retain": "Retain"})
        await self.spawn()

    async def test_an_existing_claim_is_the_home_and_never_retained(self):
        self.new_hub(pvc_name_template="claim-{username}", storage_sub_path="home/{username}")
        await self.spawn()
        self.assertEqual(self.api.objects["alice"]["spec"]["storage"], {"claimName": "claim-alice", "subPath": "home/alice"})
        spawner = self.user().spawners[""]
        await self.user().stop("")
        await spawner.delete_forever()
        self.assertEqual([item[0] for item in self.api.writes()], ["POST", "PATCH", "DELETE"])

    async def test_a_renamed_person_keeps_the_disk_and_a_new_one_of_the_old_name_gets_another(self):
        for remove in (False, True):
            # With `remove`, a stopped server has no workspace: its name alone leads to the disk.
            self.new_hub(remove=remove)
            old, new = f"wanda-{remove}", f"wanda-new-{remove}"
            before = (await self.spawn(old)).workspace_name
            await self.user(old).stop("")
            self.rename(old, new)
            for _ in range(2):
                self.assertEqual((await self.spawn(new)).workspace_name, before)
                self.assertEqual(self.marks(before), (new, ""))
                await self.user(new).stop("")
            later = (await self.spawn(old)).workspace_name
            self.assertNotEqual(later, before)
            await self.user(old).stop("")
            # After a restart too.
            self.new_hub(remove=remove)
            self.assertEqual([(await self.spawn(name)).workspace_name for name in (old, new)], [later, before])

    def rename(self, old, new):
        """What `PATCH /hub/api/users/<old>` does."""
        self.user(old).orm_user.name = new
        self.db.commit()
        self.new_hub(**self.settings["config"].WorkspaceSpawner)

    def marks(self, name):
        annotations = self.api.objects[name]["metadata"]["annotations"]
        return annotations["hub.jupyter.org/username"], annotations["hub.jupyter.org/servername"]

    async def test_a_renamed_person_with_another_template_keeps_the_disk(self):
        before = (await self.spawn("wanda")).workspace_name
        await self.user("wanda").stop("")
        self.rename("wanda", "wanda-new")
        self.new_hub(template="gpu")
        await self.spawn("wanda-new")
        self.assertEqual((list(self.api.objects), self.api.objects[before]["spec"]["templateRef"]), ([before], "gpu"))
        storage = [(item[2].get("spec") or {}).get("storage") for item in self.api.writes()[-3:]]
        self.assertEqual(storage, [{"retain": "Retain"}, None, None])

    async def test_renamed_servers_keep_the_disk_and_new_ones_of_the_old_names_get_another(self):
        for remove, template in ((False, "lab"), (False, "gpu"), (True, "lab")):
            for old in ("", "old"):
                self.new_hub(remove=remove)
                user = f"alice-{remove}-{template}"
                before = (await self.spawn(user, old)).workspace_name
                await self.user(user).stop(old)
                await self.rename_server(user, old, "new" + old)
                self.new_hub(remove=remove, template=template)
                self.assertEqual((await self.spawn(user, "new" + old)).workspace_name, before)
                self.assertEqual(self.marks(before), (user, "new" + old))
                await self.user(user).stop("new" + old)
                self.assertNotEqual((await self.spawn(user, old)).workspace_name, before)
                await self.user(user).stop(old)

    async def rename_server(self, user, old, new):
        """As JupyterHub 6 does: `PATCH /hub/api/users/<user>/servers/<old>`."""
        spawner = self.of(self.user(user), old)
        await spawner.rename(old, new)
        spawner.orm_spawner.name = new
        self.db.commit()
        self.user(user).spawners.pop(old)

    async def earlier(self, name, user="wanda", server=""):
        """A workspace as an earlier version left it: of an earlier name, and the hub has kept no state of it."""
        await self.spawn(user, server)
        (raw,) = self.api.objects.values()
        await self.user(user).stop(server)
        await self.so(lambda: not self.api.operator.running)
        self.api.vanish(raw["metadata"]["name"])
        raw["metadata"]["name"] = name
        self.api.objects[name] = raw
        self.api._changed(raw, "ADDED")
        self.user(user).orm_spawners[server].state = {}
        self.db.commit()
        self.new_hub()
        await self.so(lambda: self.of(self.user(user), server).cluster.get(name))
        return raw

    async def test_workspaces_of_an_earlier_version_are_found_by_number_and_server(self):
        for change in (None, self.rename, self.rename_server):
            await self.earlier("wanda--a", "wanda", "a")
            user, server = "wanda", "a"
            if change == self.rename:
                user = "wanda-new"
                self.rename("wanda", user)
            elif change:
                server = "b"
                await self.rename_server("wanda", "a", server)
            self.assertEqual((await self.spawn(user, server)).workspace_name, "wanda--a")
            others = [("wanda", ""), ("wanda", "a"), ("other", server)]
            for other in others if change else []:
                self.assertNotEqual((await self.spawn(*other)).workspace_name, "wanda--a", other)
            await self.asyncTearDown()
            del self.db
            await self.asyncSetUp()

    async def test_a_workspace_of_an_earlier_user_of_the_same_number_is_not_taken(self):
        # SQLite gives the number of a deleted user to the next one; and a hub may lose its database.
        raw = await self.earlier("wanda")
        user = self.user("wanda").orm_user
        user.created += datetime.timedelta(hours=1)
        self.assertNotEqual((await self.spawn("wanda")).workspace_name, "wanda")
        # Unless an administrator gives it.
        await self.user("wanda").stop("")
        user.orm_spawners[""].state = {}
        self.db.commit()
        for name in list(self.api.objects):
            if name != "wanda":
                self.api.vanish(name)
        self.new_hub()
        raw["metadata"]["annotations"]["hub.jupyter.org/userid"] = str(user.id)
        self.api._changed(raw, "MODIFIED")
        await self.so(lambda: self.of(self.user("wanda")).cluster.get("wanda").given_to)
        self.assertEqual((await self.spawn("wanda")).workspace_name, "wanda")

    async def test_a_workspace_that_was_given_to_another_user_is_refused_with_the_cure_and_keeps_its_files(self):
        name = (await self.spawn("wanda")).workspace_name
        await self.user("wanda").stop("")
        self.api.objects[name]["metadata"]["annotations"]["hub.jupyter.org/userid"] = "77"
        self.api._changed(self.api.objects[name], "MODIFIED")
        await self.so(lambda: self.of(self.user("wanda")).cluster.get(name).given_to)
        writes = len(self.api.writes())
        number = self.user("wanda").id
        with self.assertRaisesRegex(Exception, f"of user number {number}, it is of number 77.*hub.jupyter.org/userid={number}"):
            await self.spawn("wanda")
        self.assertEqual(len(self.api.writes()), writes)
        self.api.objects[name]["metadata"]["annotations"]["hub.jupyter.org/userid"] = str(number)
        self.api._changed(self.api.objects[name], "MODIFIED")
        await self.so(lambda: self.of(self.user("wanda")).cluster.get(name).given_to == str(number))
        self.assertEqual((await self.spawn("wanda")).workspace_name, name)

    async def test_what_no_server_is_stops_after_a_while(self):
        spawner = await self.spawn()
        await self.spawn("bob")
        now = [0.0]
        found = orphans.Orphans(spawner.cluster, lambda uid: uid == spawner.workspace_uid, True, lambda: now[0])
        await found.sweep()
        now[0] = orphans.AFTER - 1
        await found.sweep()
        self.assertEqual(len(self.api.writes()), 2)
        now[0] = orphans.AFTER
        await found.sweep()
        self.assertEqual(self.api.objects["bob"]["spec"]["desiredStatus"], "Stopped")
        self.assertEqual(self.api.objects["alice"]["spec"]["desiredStatus"], "Running")

    async def test_an_orphan_that_cannot_be_stopped_keeps_no_other_running(self):
        spawner = await self.spawn()
        await self.spawn("bob")
        now = [0.0]
        found = orphans.Orphans(spawner.cluster, lambda uid: False, True, lambda: now[0])
        await found.sweep()
        now[0] = orphans.AFTER
        self.api.refuse = lambda method, path, body: (403, "Forbidden", "no") if "/alice" in path else None
        await found.sweep()
        self.assertEqual([self.api.objects[name]["spec"]["desiredStatus"] for name in ("alice", "bob")], ["Running", "Stopped"])
        self.api.refuse = None
        await found.sweep()
        self.assertEqual(self.api.objects["alice"]["spec"]["desiredStatus"], "Stopped")

    async def test_orphans_are_only_reported_if_so_set(self):
        spawner = await self.spawn()
        now = [0.0]
        found = orphans.Orphans(spawner.cluster, lambda uid: False, False, lambda: now[0])
        await found.sweep()
        now[0] = orphans.AFTER
        await found.sweep()
        self.assertEqual(orphans.FOUND._value.get(), 1)
        self.assertEqual(len(self.api.writes()), 1)


class Failure(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.addCleanup(setattr, module, "AGAIN", module.AGAIN)
        module.AGAIN = 0.01
        self.api.operator.auto = False

    def desired(self):
        return self.api.objects["alice"]["spec"]["desiredStatus"] if self.api.objects else None

    async def failed(self, task, words, status):
        await self.so(lambda: self.desired() == "Stopped")
        self.api.operator.stopped("alice")
        with self.assertRaisesRegex(Exception, words) as caught:
            await task
        self.assertEqual(caught.exception.status_code, status)
        self.assertRegex(caught.exception.jupyterhub_message, words)
        if jupyterhub.version_info >= (6,):
            self.assertEqual(type(caught.exception).__name__, "SpawnException")
        return caught.exception

    async def test_what_waiting_does_not_mend_fails_by_reason_and_nothing_runs(self):
        for reason in ("ImagePullFailed", "PodSecurityViolation", "QuotaExceeded"):
            task = self.begin()
            await self.so(lambda: self.desired() == "Running")
            self.api.operator.starting("alice")
            self.api.operator.fails("alice", reason, "because of it")
            error = await self.failed(task, f"{reason}: because of it", 424)
            if jupyterhub.version_info >= (6,):
                self.assertEqual(error.reason, reason)
        # Once it is mended, the next start works.
        self.api.operator.auto = True
        await self.spawn()

    async def test_an_invalid_workspace_fails_at_once(self):
        self.new_hub(failure_grace=3600)
        task = self.begin()
        await self.so(lambda: "alice" in self.api.objects.servers())
        self.api.operator.fails("alice", "TemplateNotFound", "the WorkspaceTemplate lab does not exist", phase="Invalid")
        await self.failed(task, "TemplateNotFound: the WorkspaceTemplate lab does not exist", 424)

    async def test_a_failure_that_mends_itself_in_time_is_none(self):
        self.new_hub(failure_grace=3600)
        task = self.begin()
        await self.so(lambda: "alice" in self.api.objects.servers())
        self.api.operator.starting("alice")
        self.api.operator.fails("alice", "SecretNotFound", "no Secret keys")
        self.api.operator.ready("alice", "127.0.0.1", self.ports[0])
        await task

    async def test_a_refusal_is_told_in_its_words(self):
        words = 'admission webhook "workspaces" denied the request: image must be one of uv'
        self.api.refuse = lambda method, path, body: (403, "Forbidden", words) if method == "POST" and path.endswith("workspaces") else None
        with self.assertRaisesRegex(Exception, "image must be one of uv") as caught:
            await self.spawn()
        self.assertEqual(caught.exception.status_code, 403)
        self.assertEqual(self.api.objects, {})
        self.api.refuse, self.api.operator.auto = None, True
        await self.spawn()

    async def test_a_namespace_that_does_not_exist_is_said_at_once(self):
        words = 'namespaces "servers" not found'
        self.api.refuse = lambda method, path, body: (404, "NotFound", words) if method == "POST" and path.endswith("workspaces") else None
        with self.assertRaisesRegex(Exception, words) as caught:
            await self.spawn()
        self.assertEqual(caught.exception.status_code, 400)
        self.assertEqual(len(self.api.writes("POST")), 1)

    async def test_a_hub_that_may_not_read_workspaces_says_so(self):
        self.addCleanup(setattr, module, "QUIET", module.QUIET)
        module.QUIET = 0.05
        words = 'workspaces is forbidden: User "hub" cannot list resource "workspaces" in the namespace "servers"'
        self.api.refuse = lambda method, path, body: (403, "Forbidden", words) if path.endswith("workspaces") else None
        with self.assertRaisesRegex(Exception, "cannot list resource") as caught:
            await self.spawn()
        self.assertEqual(caught.exception.status_code, 403)
        self.api.refuse, self.api.operator.auto = None, True
        cluster = self.of(self.user()).cluster
        await self.so(lambda: not cluster.refusal)
        await self.spawn()

    async def test_a_server_that_fails_later_ends_after_its_grace(self):
        self.api.operator.auto = True
        await self.spawn()
        self.api.operator.auto = False
        self.api.operator.fails("alice", "ImagePullFailed", "no such image")
        await self.so(lambda: self.desired() == "Stopped")
        self.api.operator.stopped("alice")
        await self.so(lambda: not self.user().active)

    async def test_a_server_that_crashes_starts_again_and_ends_only_after_the_time_of_a_start(self):
        self.new_hub(failure_grace=0.01, start_timeout=12)
        self.api.operator.auto = True
        spawner = await self.spawn()
        spawner.start_timeout = 2
        self.api.operator.auto = False
        began = time.monotonic()
        self.api.operator.fails("alice", "OOMKilled", "used more memory than its limit")
        self.api.operator.fails("alice", "CrashLooping", "exit code 1")
        await self.so(lambda: spawner._failed_since)
        await self.so(lambda: time.monotonic() > spawner._failed_since + 0.2)
        self.assertIsNone(await spawner.poll())
        # The kubelet is done.
        self.api.operator.ready("alice", "127.0.0.1", self.ports[0])
        await self.so(lambda: spawner._failed_since is None)
        self.assertIsNone(await spawner.poll())
        # It crashes for good.
        self.api.operator.fails("alice", "CrashLooping", "exit code 1")
        await self.so(lambda: self.desired() == "Stopped")
        self.assertGreater(time.monotonic() - began, 2)
        self.api.operator.stopped("alice")
        await self.so(lambda: not self.user().active)

    async def test_a_command_that_ends_twice_in_a_start_ends_the_start_after_the_grace_and_is_told(self):
        self.new_hub(start_timeout=3600)
        task = self.begin()
        await self.so(lambda: "alice" in self.api.objects.servers())
        self.api.operator.starting("alice")
        self.api.operator.fails("alice", "CrashLooping", "last with exit code 3")
        await self.failed(task, "CrashLooping: last with exit code 3", 424)

    async def test_a_crash_in_a_start_is_told_at_once_and_ends_no_start(self):
        self.new_hub(failure_grace=0.01)
        task = self.begin()
        await self.so(lambda: "alice" in self.api.objects.servers())
        self.api.operator.starting("alice")
        self.api.operator.fails("alice", "ContainerExited", "exit code 1")
        spawner = self.user().spawners[""]
        await self.so(lambda: spawner._failed_since)
        await self.so(lambda: time.monotonic() > spawner._failed_since + 0.2)
        self.assertIn("ContainerExited: exit code 1", [text for _, text in assess.steps(spawner.workspace)])
        self.assertFalse(task.done())
        self.api.operator.ready("alice", "127.0.0.1", self.ports[0])
        await task

    async def test_a_start_ends_before_jupyterhubs_time_with_the_reason_of_the_status(self):
        for wanted, words in ((False, "the operator has not seen to it yet"), (True, "Unschedulable: 0/3 nodes are available")):
            self.new_hub(start_timeout=4)
            task = self.begin()
            await self.so(lambda: self.desired() == "Running")
            if wanted:
                self.api.operator.starting("alice")
                self.api.operator.fails("alice", "Unschedulable", "0/3 nodes are available", phase="Starting")
            error = await self.failed(task, f"start_timeout, 4 s.*{words}", 424)
            if jupyterhub.version_info >= (6,):
                self.assertEqual(error.reason, "Unschedulable" if wanted else "StartTimeout")

    async def test_a_start_while_the_api_server_is_away_ends_in_time_too(self):
        self.api.away = True
        self.new_hub(start_timeout=2)
        # The hub then stops what it could not start, which waits for the first list.
        with unittest.mock.patch.object(module, "FIRST_LIST", 0.5):
            with self.assertRaisesRegex(Exception, "start_timeout, 2 s.*API server does not answer") as caught:
                await self.spawn()
        self.assertEqual(caught.exception.status_code, 424)
        self.api.away, self.api.operator.auto = False, True
        self.new_hub()
        await self.spawn()

    async def test_a_stop_that_takes_longer_than_a_start_may_is_said(self):
        self.api.operator.auto = True
        await self.spawn()
        await self.user().stop("")
        self.api.operator.auto = False
        self.api.edit("alice", desiredStatus="Running")
        self.api.operator.starting("alice")
        self.new_hub(start_timeout=4)
        cluster = self.of(self.user()).cluster
        await self.so(lambda: cluster.all()[0].phase == "Starting")
        task = self.begin()
        await self.so(lambda: self.desired() == "Stopped")
        self.api.status("alice", phase="Stopping", reason="Stopping", message="The workspace is being stopped.")
        with self.assertRaisesRegex(Exception, "start_timeout, 4 s.*The workspace is being stopped"):
            await task

    def test_reasons_that_may_pass_are_reasons_of_the_status(self):
        page = (pathlib.Path(__file__).parents[3] / "docs/reasons.md").read_text()
        self.assertEqual({reason for reason in assess.PASSING if f"| `{reason}` | Degraded=True |" not in page}, set())

    async def test_a_failure_that_passed_in_the_start_does_not_hide_a_later_one(self):
        self.new_hub(failure_grace=0.2)
        self.api.operator.auto = False
        task = self.begin()
        await self.so(lambda: "alice" in self.api.objects.servers())
        self.api.operator.starting("alice")
        self.api.operator.fails("alice", "SecretNotFound", "x")
        spawner = self.user().spawners[""]
        await self.so(lambda: spawner._failed_since)
        self.api.operator.ready("alice", "127.0.0.1", self.ports[0])
        await task
        self.assertIsNone(spawner._failed_since)
        self.api.operator.fails("alice", "ImagePullFailed", "y")
        await self.so(lambda: self.api.objects["alice"]["spec"]["desiredStatus"] == "Stopped")
        self.api.operator.stopped("alice")

    async def test_a_stop_that_hangs_says_what_the_status_says(self):
        self.api.operator.auto = True
        spawner = await self.spawn()
        self.api.operator.auto = False
        module.STOP, kept = 0.1, module.STOP
        try:
            with self.assertRaisesRegex(TimeoutError, "alice---[0-9a-f]+ has not stopped"):
                await spawner.stop()
        finally:
            module.STOP = kept
        self.api.operator.stopped("alice")
        await spawner.stop()

    async def test_progress_tells_each_step_and_reason_once_and_ends_with_the_start(self):
        self.new_hub(failure_grace=3600)
        task, events = self.begin(), []
        spawner = self.user().spawners[""]

        async def listen():
            async for event in spawner._generate_progress():
                events.append(event)

        listening = asyncio.ensure_future(listen())
        await self.so(lambda: "alice" in self.api.objects.servers())
        self.api.operator.starting("alice")
        await self.so(lambda: any("Pod created" in event["message"] for event in events))
        self.api.operator.fails("alice", "ImagePullFailed", "no such image")
        await self.so(lambda: any("ImagePullFailed: no such image" in event["message"] for event in events))
        self.api.operator.ready("alice", "127.0.0.1", self.ports[0])
        await task
        await listening
        percents, messages = [event["progress"] for event in events], [event["message"] for event in events]
        self.assertEqual(percents, sorted(percents))
        self.assertEqual(len(messages), len(set(messages)))
        self.assertEqual(messages[0], "Server requested")

    async def test_the_first_step_of_a_start_tells_which_rule_ended_the_last_run_in_the_words_of_the_status(self):
        self.api.operator.auto = True
        await self.spawn()
        self.api.operator.auto = False
        left, rule = "No pod is left; the disk is kept.", {"rule": "MaxAge", "time": "2026-01-01T08:00:00Z"}
        why = "Stopped at 2026-01-01T08:00:00Z after 480 min, its maximum age."
        failed = "Stopped at 2026-01-01T08:00:00Z after 15 min without being ready for five minutes together (CrashLooping)."
        for because, message, told in (
            (rule, f"{why} {left}", f"Last run: {why}"),
            (rule, why, f"Last run: {why}"),
            ({**rule, "rule": "Failed", "reason": "CrashLooping"}, f"{failed} {left}", f"Last run: {failed}"),
            (rule, "", None),
            # The controls: a user stopped it, and no earlier rule is told of.
            (None, left, None),
            (None, f"{why} {left}", None),
        ):
            with self.subTest(message, because=because):
                stopping = asyncio.ensure_future(self.user().stop(""))
                await self.so(lambda: self.api.objects["alice"]["spec"]["desiredStatus"] == "Stopped")
                self.api.operator.stopped("alice", message, stoppedBecause=because)
                await stopping
                task, events = self.begin(), []
                spawner = self.user().spawners[""]
                await self.so(lambda: self.api.objects["alice"]["spec"]["desiredStatus"] == "Running")
                self.api.operator.starting("alice")
                self.assertIsNone(self.api.objects["alice"]["status"]["stoppedBecause"])
                async for event in spawner._generate_progress():
                    events.append(event["message"])
                    if "Pod created" in events:
                        break
                self.assertEqual(events[1] == told, told is not None)
                self.assertEqual([text for text in events if "Last run" in text], [told] if told else [])
                self.api.operator.ready("alice", "127.0.0.1", self.ports[0])
                await task

    async def test_a_start_with_another_template_tells_of_the_last_run_too(self):
        self.api.operator.auto = True
        await self.spawn()
        await self.user().stop("")
        why = "Stopped at 2026-01-01T08:00:00Z because stop-workspace was called in it."
        self.api.operator.stopped("alice", f"{why} No pod is left.", stoppedBecause={"rule": "Requested", "time": "2026-01-01T08:00:00Z"})
        self.new_hub(template="other")
        spawner = await self.spawn()
        self.assertEqual((self.api.objects["alice"]["spec"]["templateRef"], spawner._notes), ("other", [f"Last run: {why}"]))
        # It is told once.
        await self.user().stop("")
        self.assertEqual((await self.spawn())._notes, [])

    async def test_memory_that_ran_out_is_logged_and_told_at_the_next_start_once(self):
        self.api.operator.auto = True
        spawner = await self.spawn()
        with unittest.mock.patch.object(spawner.log, "warning") as warning:
            for _ in range(2):
                self.api.status("alice", outOfMemory={"time": "2026-01-01T08:00:00Z", "ended": "Process"})
            await self.so(lambda: spawner._out_of_memory)
            await self.user().stop("")
        lines = [call.args[0] % call.args[1:] for call in warning.call_args_list]
        self.assertEqual(sum("memory ran out at 2026-01-01T08:00:00Z" in line for line in lines), 1)
        self.assertIn("Last run: memory ran out at 2026-01-01T08:00:00Z.", (await self.spawn())._notes[0])
        await self.user().stop("")
        self.assertEqual((await self.spawn())._notes, [])


class Settings(Case):
    async def test_settings_that_cannot_work_are_refused_with_the_cure(self):
        for settings, words in (
            ({"template": ""}, "template must name a WorkspaceTemplate"),
            ({"enable_user_namespaces": True}, "hub per namespace"),
            ({"port": 80}, "port must be from 1024 to 65535"),
            ({"profile_list": [{"description": "x"}]}, "display_name or template"),
            ({"profile_list": [{"template": "a"}, {"template": "a"}]}, "two profiles with the slug 'a'"),
        ):
            self.new_hub(**settings)
            with self.subTest(words), self.assertRaisesRegex(Exception, words):
                self.of(self.user())
        self.new_hub()
        self.of(self.user())
        self.new_hub()
        self.settings["config"].WorkspaceSpawner.pop("namespace")
        with self.assertRaisesRegex(ValueError, "must run in a pod .*automountServiceAccountToken"):
            self.of(self.user())
        self.new_hub()
        self.settings.update(internal_ssl=True, internal_trust_bundles={}, internal_certs_location="")
        with self.assertRaisesRegex(Exception, "internal_ssl must be off"):
            self.of(self.user())

    async def test_names_of_kubespawner_go_on_counting(self):
        self.new_hub()
        config = self.settings["config"]
        config.KubeSpawner.update({"image": "old:1", "mem_limit": "1G", "volumes": [], "pvc_name_template": "claim-{username}"})
        config.WorkspaceSpawner.mem_limit = "2G"
        with unittest.mock.patch.object(module.WorkspaceSpawner, "_warned", set()):
            spawner = self.of(self.user())
            self.assertEqual(spawner._warned, {"volumes", "pvc_name_template"})
        self.assertEqual((spawner.image, spawner.mem_limit, spawner.pvc_name_template), ("old:1", 2 * 1024**3, None))

    async def test_a_start_without_a_command_is_refused_and_says_what_to_set(self):
        self.new_hub(cmd=None)
        with self.assertRaisesRegex(Exception, "cmd must be set"):
            await self.spawn()
        self.assertEqual(self.api.objects, {})
        self.new_hub(cmd=["jupyterhub-singleuser"])
        await self.spawn()
        self.assertIn("alice", self.api.objects.servers())

    async def test_terms_are_a_list_or_a_dict_whose_values_count_by_order_of_keys(self):
        preferred, required = "preferredDuringSchedulingIgnoredDuringExecution", "requiredDuringSchedulingIgnoredDuringExecution"
        for trait, path in (
            ("tolerations", ("tolerations",)),
            ("node_affinity_preferred", ("affinity", "nodeAffinity", preferred)),
            ("node_affinity_required", ("affinity", "nodeAffinity", required, "nodeSelectorTerms")),
            ("pod_affinity_preferred", ("affinity", "podAffinity", preferred)),
            ("pod_affinity_required", ("affinity", "podAffinity", required)),
            ("pod_anti_affinity_preferred", ("affinity", "podAntiAffinity", preferred)),
            ("pod_anti_affinity_required", ("affinity", "podAntiAffinity", required)),
        ):
            for given in ([{"key": "a"}, {"key": "b"}], {"2": {"key": "b"}, "1": {"key": "a"}}):
                with self.subTest(trait, given=given):
                    self.new_hub(**{trait: given})
                    await self.spawn(trait.replace("_", "-"))
                    found = self.api.objects[trait.replace("_", "-")]["spec"]
                    for part in path:
                        found = found[part]
                    self.assertEqual(found, [{"key": "a"}, {"key": "b"}])
                    await self.user(trait.replace("_", "-")).stop("")

    async def test_fields_in_environment_are_expanded_and_nothing_else(self):
        json = '{"a": {"username": "$(HOME)"}}'
        self.new_hub(environment={"WHO": "{username}", "JSON": json, "F": lambda spawner: "{username}"})
        spawner = await self.spawn("Ann")
        env = spawner.get_env()
        self.assertTrue(env["WHO"].startswith("ann---"))
        self.assertEqual((env["JSON"], env["F"]), (json, "{username}"))


class Objects(unittest.TestCase):
    def test_a_disk_is_kept_or_deleted_only_where_there_is_one(self):
        from workspacespawner import objects

        def change(kept, storage=None, home=None):
            raw = {"metadata": {"uid": "u"}, "spec": {"storage": storage} if storage else {}, "status": {"resolved": {"storage": home or {}}}}
            return objects.retain(objects.Workspace(raw), kept)

        self.assertEqual(change(False, home={"retain": "Retain"})["spec"], {"storage": {"retain": "Delete"}})
        self.assertEqual(change(True, storage={"retain": "Delete"}, home={"retain": "Retain"})["spec"], {"storage": {"retain": "Retain"}})
        self.assertIsNone(change(True, home={"retain": "Retain"}))
        self.assertIsNone(change(False, home={"retain": "Delete"}))
        # Nothing says it.
        self.assertEqual(change(True)["spec"], {"storage": {"retain": "Retain"}})
        self.assertEqual(change(False)["spec"], {"storage": {"retain": "Delete"}})
        self.assertIsNone(change(True, home={"ephemeral": True}))
        self.assertIsNone(change(True, storage={"claimName": "c"}))

    def test_a_stopped_server_takes_what_the_traits_decide_and_keeps_disk_and_other_fields(self):
        from workspacespawner import objects, settings

        server = objects.Server("h", "ann", 1, None, "", "", "/user/ann/")
        traits = settings.Settings(storage_capacity="9Gi", node_selector={"pool": "a"})
        for name in ("cpu_limit", "cpu_guarantee", "mem_limit", "mem_guarantee"):
            setattr(traits, name, None)
        wanted = objects.workspace("w", server, "lab", settings.spec(traits), {})
        made = objects.create(wanted)["spec"]
        self.assertEqual((made["storage"], "image" in made), ({"size": "9Gi"}, False))
        spec = {**made, "image": "i", "nodeSelector": None, "storage": {"size": "1Gi"}, "desiredStatus": "Stopped", "shutdown": "theirs"}
        present = objects.Workspace({"metadata": {"uid": "u"}, "spec": spec})
        change = {"image": None, "nodeSelector": {"pool": "a"}, "desiredStatus": "Running"}
        self.assertEqual(objects.start(present, wanted)["spec"], change)

    def test_an_object_that_is_badly_written_is_read(self):
        from workspacespawner import objects

        for raw in ({}, {"metadata": {"labels": None}, "spec": None, "status": {"endpoint": None, "conditions": None}}):
            self.assertEqual(objects.Workspace(raw).address, None)

    def test_addresses_of_both_families_are_urls(self):
        from workspacespawner import assess

        self.assertEqual(assess.url(("10.0.0.1", 8888)), "http://10.0.0.1:8888")
        self.assertEqual(assess.url(("fd00::1", 8888)), "http://[fd00::1]:8888")

    def test_what_is_shown_has_no_control_characters_and_fits(self):
        from workspacespawner import objects

        server = objects.Server("h", "a\u202eb\n\x9b" + "x" * 500, 1, None, "", "", "/user/x/")
        self.assertLessEqual(len(objects.display_name(server)), 100)
        self.assertNotRegex(objects.display_name(server), "[\u202e\n\x9b]")
