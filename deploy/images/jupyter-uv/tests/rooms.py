"""Notebooks that several people have open, by rooms of jupyter-collaboration (IO)."""

import asyncio
import json
import os
import urllib.parse

import nbformat
from jupyter_k8s_workspace.identity import HEADER
from jupyter_ydoc import YNotebook
from pycrdt import Awareness, YMessageType, create_awareness_message, create_sync_message, create_update_message, handle_sync_message
from running import Running, assertion, until
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

NAME = "shared.ipynb"


class Person:
    """A page, or an agent, that has the notebook open."""

    def __init__(self, socket):
        self.socket = socket
        self.notebook = YNotebook()
        self.awareness = Awareness(self.notebook.ydoc)
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        await self.socket.write_message(create_sync_message(self.notebook.ydoc), binary=True)
        while message := await self.socket.read_message():
            if message[0] == YMessageType.SYNC and (reply := handle_sync_message(message[1:], self.notebook.ydoc)):
                await self.socket.write_message(reply, binary=True)

    async def has(self, source):
        await until(lambda: source in [cell["source"] for cell in self.notebook.source["cells"]])

    async def writes(self, source):
        updates = []
        observed = self.notebook.ydoc.observe(lambda event: updates.append(event.update))
        self.notebook.append_cell(nbformat.v4.new_code_cell(source))
        self.notebook.ydoc.unobserve(observed)
        for update in updates:
            await self.socket.write_message(create_update_message(update), binary=True)

    async def says_that_it_is_there(self):
        self.awareness.set_local_state({"user": {}})
        state = self.awareness.encode_awareness_update([self.awareness.client_id])
        await self.socket.write_message(create_awareness_message(state), binary=True)

    async def leaves(self):
        self.socket.close()
        await self.reader


class Rooms(Running):
    together = "on"

    async def session(self, assertions):
        body = '{"format": "json", "type": "notebook"}'
        return await self.ask(f"/api/collaboration/session/{NAME}", assertions, method="PUT", body=body)

    async def room(self):
        answer = await self.session([assertion(bearer=True)])
        self.assertIn(answer.code, (200, 201), answer.body)
        found = json.loads(answer.body)
        room = f"json:notebook:{found['fileId']}"
        query = urllib.parse.urlencode({"sessionId": found["sessionId"]})
        return f"ws://127.0.0.1:{self.port}/api/collaboration/room/{room}?{query}"

    async def enters(self, room, name, **headers):
        request = HTTPRequest(room, headers={HEADER: assertion(sub=name), **headers})
        return Person(await websocket_connect(request))

    def saved(self):
        """Cells of the file; none while it is written."""
        try:
            return nbformat.read(os.path.join(self.home, NAME), 4).cells
        except nbformat.reader.NotJSONError:
            return []
