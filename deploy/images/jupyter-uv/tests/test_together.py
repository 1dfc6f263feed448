"""Two people in one notebook, by rooms of jupyter-collaboration: who gets in, what both see, and that it is off unless asked for."""

import asyncio
import json
import os

import nbformat
from jupyter_k8s_workspace.identity import HEADER
from rooms import NAME, Rooms
from running import Running, assertion, until
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect


class On(Rooms):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("first")]), os.path.join(self.home, NAME))

    async def last_use(self):
        answer = await self.ask("/api/status?no_track_activity=1", [assertion()])
        return json.loads(answer.body)["last_activity"]

    async def test_both_write_and_see_each_other_and_the_file_has_all(self):
        room = await self.room()
        alice, bob = await self.enters(room, "alice"), await self.enters(room, "bob")
        await alice.has("first")
        await bob.has("first")
        await asyncio.gather(alice.writes("of alice"), bob.writes("of bob"))
        for person in (alice, bob):
            await person.has("of alice")
            await person.has("of bob")

        await until(lambda: {cell.source for cell in self.saved()} == {"first", "of alice", "of bob"})
        await alice.leaves()
        await bob.leaves()

    async def test_an_open_room_edits_and_what_pages_send_by_themselves_are_not_use(self):
        room = await self.room()
        alice, bob = await self.enters(room, "alice"), await self.enters(room, "bob")
        before = await self.last_use()
        await alice.says_that_it_is_there()
        await alice.writes("after it")
        await bob.has("after it")
        self.assertEqual(await self.last_use(), before)
        # The control.
        await self.ask("/api/contents", [assertion()])
        self.assertNotEqual(await self.last_use(), before)
        await alice.leaves()
        await bob.leaves()

    async def test_a_room_is_closed_to_pages_of_other_origins_and_to_requests_past_the_door(self):
        room = await self.room()
        for headers, code in [({HEADER: assertion(bearer=True), "Origin": "https://evil.example"}, 403), ({}, 401), ({HEADER: "a.b.c"}, 401)]:
            with self.subTest(headers), self.assertRaises(Exception) as caught:
                await websocket_connect(HTTPRequest(room, headers=headers))
            self.assertEqual(getattr(caught.exception, "code", None), code)
        # The control.
        alice = await self.enters(room, "alice", Origin=f"http://127.0.0.1:{self.port}")
        await alice.has("first")
        await alice.leaves()
        self.assertEqual((await self.session([])).code, 401)
        # A page needs proof against forgery.
        self.assertEqual((await self.session([assertion()])).code, 403)


class Off(Running):
    async def test_nothing_is_served_and_nothing_is_written(self):
        answer = await self.ask("/api/collaboration/session/x", [assertion(bearer=True)], method="PUT", body="{}")
        self.assertEqual(answer.code, 404)
        extensions = self.app.extension_manager.extensions
        self.assertFalse(extensions["jupyter_server_ydoc"].enabled or extensions["jupyter_server_fileid"].enabled)
        written = [name for _, _, names in os.walk(self.home) for name in names]
        for word in ("ystore", "file_id", "collaboration", "changes.db", "files.db"):
            self.assertFalse([name for name in written if word in name], word)
