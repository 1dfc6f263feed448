"""JupyterHub's calls -> changes of one server's Workspace (IO)."""

import asyncio
import time

from jupyterhub.spawner import Spawner
from tornado import web
from tornado.ioloop import IOLoop

from . import assess, launch, objects, profiles, settings
from .cluster import Refused, Unreachable
from .configured import failure, uncount
from .objects import Workspace
from .options import Options

# Seconds.
QUIET = 10
AGAIN = 1
FIRST_LIST = 30
STOP = 60
# A start ends so much before JupyterHub ends it, which knows no reason and counts it as an error of the hub; at most by half.
EARLIER = 10


class WorkspaceSpawner(Options, Spawner):
    """Makes, starts and stops a Workspace per server. It has no right on pods, Secrets or claims, and needs none."""

    workspace_name = workspace_uid = run_id = ""
    _starting = False
    _exit_code: int | None = None
    _failed_since: float | None = None
    # When memory last ran out, as the Workspace's status said.
    _out_of_memory = ""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._moving = asyncio.Lock()

    # --- state

    def get_state(self):
        state = super().get_state()
        if self.workspace_name:
            # It stays when the server stops: it is the name of the disk.
            state.update(namespace=self.namespace, workspace=self.workspace_name)
        if self.workspace_uid:
            state.update(uid=self.workspace_uid, run_id=self.run_id)
        if self._out_of_memory:
            state.update(out_of_memory=self._out_of_memory)
        return state

    def load_state(self, state):
        super().load_state(state)
        self._out_of_memory = state.get("out_of_memory", "")
        # Another spawner's has no workspace.
        if state.get("namespace") == self.namespace:
            self.workspace_name = state.get("workspace", "")
        if self.workspace_name and state.get("uid"):
            self.workspace_uid, self.run_id = state["uid"], state["run_id"]
            launch.servers[self.workspace_uid] = self

    def clear_state(self):
        super().clear_state()
        if launch.servers.get(self.workspace_uid) is self:
            launch.servers.pop(self.workspace_uid, None)
        self.workspace_uid = self.run_id = ""
        self._exit_code = self._failed_since = None
        self._restore_settings()

    def _adopt(self, found: Workspace) -> None:
        self.workspace_uid = found.uid
        launch.servers[found.uid] = self

    def _remember(self, name: str) -> None:
        """From now on this is the workspace of the server, whatever its names, and also if the hub's process ends."""
        self.workspace_name = name
        self.orm_spawner.state = self.get_state()
        self.db.commit()

    def _other_names(self) -> set:
        """Names of the workspaces of this user's other servers."""
        return {(other.state or {}).get("workspace") for other in self.user.orm_spawners.values() if other is not self.orm_spawner}

    def _find(self) -> Workspace | None:
        """The workspace of this server. Without a state that names it, its number and marks tell."""
        named = self.cluster.get(self.workspace_name)
        if named and self.cluster.is_ours(named) and self.hub_server.is_its(named):
            return named
        return self.cluster.find_by_server(self.hub_server, self._other_names())

    @property
    def workspace(self) -> Workspace | None:
        """The workspace of this server's state."""
        return self.cluster.find_by_uid(self.workspace_name, self.workspace_uid) if self.workspace_uid else None

    # --- start

    async def start(self):
        try:
            return await self._start_or_say_why()
        except web.HTTPError:
            uncount(self.handler)
            raise

    async def _start_or_say_why(self) -> str:
        self._starting, self._exit_code, self._failed_since, self._notes = True, None, None, []
        if self._out_of_memory:
            self._notes.append(f"Last run: memory ran out at {self._out_of_memory}. A larger choice has more.")
            self._out_of_memory = ""
        self._until = time.monotonic() + max(self.start_timeout - EARLIER, self.start_timeout / 2)
        try:
            return assess.url(await self._start())
        except (profiles.Bad, Refused, Unreachable) as error:
            status = error.status if error.status in (400, 403, 409, 503) else 400
            raise failure(status, error.reason or "Refused", str(error)) from error
        except ValueError as error:
            raise failure(400, "Settings", str(error)) from error
        finally:
            self._starting = False

    async def _start(self) -> tuple:
        template = await self._choose()
        launch.answer(self)
        try:
            return await asyncio.wait_for(self._run(template), self._until - time.monotonic())
        except asyncio.TimeoutError as error:
            reason, why = "StartTimeout", "the operator has not seen to it yet: is it running?"
            if not await self.cluster.wait_listed(0):
                why = "the Kubernetes API server does not answer"
            elif (found := self.cluster.get(self.workspace_name)) and found.current:
                reason, why = found.reason or reason, assess.words(found)
            name = self.workspace_name or f"of {self._log_name}"
            raise failure(424, reason, f"workspace {name} was not ready in time (start_timeout, {self.start_timeout} s): {why}") from error

    async def _run(self, template: str) -> tuple:
        while not await self.cluster.wait_listed(QUIET):
            if self.cluster.refusal:
                raise self.cluster.refusal
            self.log.warning("start of %s waits for the list of workspaces", self._log_name)
        labels = self.expand({**self.common_labels, **self.extra_labels})
        found = self._find()
        self._remember(found.name if found else self.workspace_name or self.hub_server.new_name(self._other_names()))
        wanted = objects.workspace(self.workspace_name, self.hub_server, template, self.expand(settings.spec(self)), labels)
        return await self._wait_ready(await self._bring_up(wanted))

    async def _bring_up(self, wanted: dict) -> str:
        """Brings the workspace to run as wanted, from whatever is there. Returns the runID of a run that is not the new one."""
        name, template = wanted["metadata"]["name"], wanted["spec"]["templateRef"]
        # The run before the one that was asked for. After a request without an answer, what runs may be that one.
        asked = unanswered = None
        while True:
            if found := self.cluster.get(name):
                self._check_owner(found)
                # The status says it until the start.
                if found.stopped and (text := assess.last_run(found)) and text not in self._notes:
                    self._notes.append(text)
            try:
                if found is None:
                    asked = ""
                    self._adopt(await self.cluster.create(objects.create(wanted)))
                    return asked
                if found.deleting:
                    await self._wait_gone(found)
                elif found.wanted and unanswered is not None and found.template == template:
                    self._adopt(found)
                    return unanswered
                elif not found.stopped:
                    # If it runs, JupyterHub has no server of it: nobody knows what runs there, with which token.
                    await self._stop_and_wait(found)
                elif found.template != template:
                    # Another template takes another object; the same owner's disk of that name is taken over.
                    await self._delete(found, keep_disk=True)
                    await self._wait_gone(found)
                else:
                    asked = found.run_id
                    self._adopt(await self.cluster.patch(found.name, objects.start(found, wanted)))
                    return asked
            except Unreachable as error:
                unanswered = asked
                self.log.warning("start of %s: %s", self._log_name, error)
            except Refused as error:
                # Somebody was faster, or the watch is behind: look again. A namespace that does not exist stays so.
                if error.status not in (404, 409) or error.status == 404 and found is None:
                    raise
                if present := await self.cluster.fetch(name):
                    self._check_owner(present)
            else:
                continue
            await asyncio.sleep(AGAIN)

    def _check_owner(self, found: Workspace) -> None:
        if not self.cluster.is_ours(found):
            wrong = f"must belong to {self.cluster.identity}, it belongs to {found.owner or 'nobody'}: its owner or an administrator must delete it"
        elif not self.hub_server.is_its(found):
            wrong = f"must be of user number {self.user.id}, it is of number {found.user_id or 'none'}: an administrator who knows better must "
            wrong += f"annotate it with {objects.GIVEN_TO}={self.user.id}"
        else:
            return
        raise Refused(409, "NameConflict", f"NameConflict: workspace {found.name}, which was this server's, {wrong}")

    async def _wait_ready(self, before: str) -> tuple:
        while True:
            # The watch may be behind the answer to our write.
            found = self.workspace or await self.cluster.fetch(self.workspace_name)
            if found is None or found.uid != self.workspace_uid:
                raise failure(409, "Deleted", f"workspace {self.workspace_name} was deleted while it started")
            self._check_owner(found)
            if address := assess.find_address(found, before):
                self.run_id, self._failed_since = found.run_id, None
                return address
            if self._exit_code == 0:
                raise failure(424, "CommandEnded", f"the command of workspace {found.name} ended with code 0 before it was ready")
            if not found.wanted:
                raise failure(409, "Stopped", f"workspace {found.name} was stopped while it started")
            if assess.is_invalid(found):
                raise failure(424, found.reason or "Invalid", assess.words(found))
            if (left := self._grace(found)) is not None and left <= 0:
                raise failure(424, found.reason or "Failed", assess.words(found))
            await self.cluster.change(found, QUIET if left is None else min(left, QUIET))

    def _grace(self, found: Workspace) -> float | None:
        """Seconds for which it may still be failed; None: it is not."""
        if not assess.is_failing(found):
            self._failed_since = None
            return None
        self._failed_since = self._failed_since or time.monotonic()
        # What may pass by itself has the time of a start. Before a first answer, a command that ended twice does not pass.
        passing = assess.PASSING - ({"CrashLooping"} if self._starting else set())
        grace = max(self.failure_grace, self.start_timeout) if found.reason in passing else self.failure_grace
        return self._failed_since + grace - time.monotonic()

    async def _wait_gone(self, found: Workspace) -> None:
        """Waits until no object is left of it."""
        while now := self.cluster.find_by_uid(found.name, found.uid):
            await self.cluster.change(now, QUIET)

    # --- poll and stop

    async def poll(self):
        if self._starting:
            return None
        if not await self.cluster.wait_listed(FIRST_LIST):
            return None
        if not self.workspace_uid:
            return await self._poll_without_state()
        found, code = self.workspace, 1 if self._exit_code is None else self._exit_code
        if found is None or found.deleting:
            return code
        if not found.wanted:
            return 0
        if self._is_elsewhere(found):
            self._later(self._move)
        left = self._grace(found)
        ended = self._exit_code == 0 or left is not None and left <= 0 and found.run_id == self.run_id
        return code if ended and await self.cluster.ask_to_stop(found) else None

    async def _poll_without_state(self):
        # The hub ended while it started the server, and gave it no address: what runs is nobody's.
        found = self._find()
        if found and found.wanted and self.server:
            return 0 if await self.cluster.ask_to_stop(found) else None
        return 0

    async def stop(self, now=False):
        found = await self._find_or_raise()
        if found is None:
            return
        try:
            found = await asyncio.wait_for(self._stop_and_wait(found), STOP)
        except asyncio.TimeoutError:
            last = self.cluster.get(found.name) or found
            raise TimeoutError(f"workspace {found.name} has not stopped within {STOP} s: {assess.words(last)}") from None
        if self.remove and found:
            await self._delete(found, keep_disk=True)

    async def _stop_and_wait(self, found: Workspace) -> Workspace | None:
        """Stops it, and waits until no pod is left of it."""
        while (now := self.cluster.find_by_uid(found.name, found.uid)) and not now.stopped:
            try:
                if now.wanted:
                    await self.cluster.patch(now.name, objects.stop(now))
                else:
                    await self.cluster.change(now, QUIET)
                continue
            except Unreachable as error:
                self.log.warning("stop of %s: %s", self._log_name, error)
            except Refused as error:
                if error.status not in (404, 409):
                    raise
                await self.cluster.fetch(now.name)
            await asyncio.sleep(AGAIN)
        return now

    async def _find_or_raise(self) -> Workspace | None:
        """The workspace of this server. Raises if none are known: what is not seen then is not gone."""
        if not await self.cluster.wait_listed(FIRST_LIST):
            why = self.cluster.refusal or "the Kubernetes API server does not answer"
            raise TimeoutError(f"{why}, so the workspaces are not known: try again")
        return self.workspace or self._find()

    async def delete_forever(self):
        if found := await self._find_or_raise():
            await self._delete(found, keep_disk=not self.delete_pvc)

    async def _delete(self, found: Workspace, keep_disk: bool) -> None:
        if change := objects.retain(found, keep_disk):
            await self.cluster.patch(found.name, change)
        await self.cluster.delete(found)

    async def rename(self, old_name, new_name):
        """The state, which names workspace and disk, goes with the server. An earlier version kept none of a stopped one."""
        if not self.workspace_name and (found := await self._find_or_raise()):
            self._remember(found.name)

    async def get_url(self):
        found = self.workspace
        return assess.url(found.address) + self.server.base_url if found and found.address else self.server.url

    # --- progress

    async def progress(self):
        told, percent = set(), 0
        while self.pending == "spawn":
            for step, text in [(0, note) for note in self._notes] + (assess.steps(self.workspace) if self.workspace else []):
                if text not in told:
                    told.add(text)
                    percent = max(percent, step)
                    yield {"progress": percent, "message": text}
            await asyncio.sleep(AGAIN)

    # --- changes of its workspace

    def on_change(self) -> None:
        """This server's workspace has changed."""
        if self._starting or self.pending or not self.server:
            return
        found = self.workspace
        if found and found.out_of_memory > self._out_of_memory:
            self._out_of_memory = found.out_of_memory
            self.log.warning("%s: memory ran out at %s", self._log_name, found.out_of_memory)
        if found is None or not found.wanted:
            self._later(self._notify)
        elif (left := self._grace(found)) is None:
            if self._is_elsewhere(found):
                self._later(self._move)
        else:
            # A little later, so that the time is over then.
            self._later(self._notify, max(left, 0) + 0.1)

    def _later(self, work, seconds: float = 0) -> None:
        IOLoop.current().call_later(seconds, work)

    async def _notify(self) -> None:
        if self.workspace_uid and not self.pending and self.server:
            await self.poll_and_notify()

    def _is_elsewhere(self, found: Workspace | None) -> bool:
        """Whether this server, which JupyterHub neither starts nor stops, runs in another pod than it knows of."""
        if self.pending or not self.server or not found or not assess.find_address(found, ""):
            return False
        return (self.server.ip, self.server.port, self.run_id) != (*found.address, found.run_id)

    async def _move(self) -> None:
        """The same server has another pod: the database and the proxy get its address at once."""
        proxy = self.user.settings["proxy"]
        async with self._moving:
            found = self.workspace
            if not self._is_elsewhere(found):
                return
            self.run_id = found.run_id
            self.server.ip, self.server.port = found.address
            self.orm_spawner.state = self.get_state()
            self.db.commit()
            self.log.info("%s moved to %s", self._log_name, assess.url(found.address))
            await proxy.add_user(self.user, self.name)
            if self.pending == "stop" or not self.server:
                # A stop removed the route meanwhile, perhaps before it was added.
                await proxy.delete_user(self.user, self.name)

    # --- what pods ask

    async def verify(self, token: str, uid: str) -> str:
        """The UID of the pod that has the token."""
        audience = f"{self.launch_url.rstrip('/')}/workspaces/{uid}/launch"
        return await self.shared.keys.verify(token, audience, self.namespace, self.launch_service_account)

    async def answer_pod(self) -> bytes:
        """What a pod of this server's workspace gets."""
        if self.workspace and not self.cluster.is_ours(self.workspace):
            raise launch.Nobody("the workspace is not the hub's")
        if not self._starting and (not self.server or self.pending == "stop"):
            raise launch.Nobody("nobody wants this server now")
        if not self.api_token:
            # The hub was restarted meanwhile, and its database has hashes of tokens alone.
            await self.on_command_end(0)
            raise launch.Nobody("the hub was restarted and no longer has this server's token: start the server again")
        return launch.answer(self)

    async def on_command_end(self, code: int) -> None:
        """The pod's command ended by itself. With code 0 that was meant, and the server is stopped."""
        self._exit_code = code
        if code == 0 and not self._starting:
            self._later(self._notify)
