"""An agent in a notebook, by the MCP server that docs/remote.md names: what it does beside people, and what it cannot do where that is off."""

import asyncio
import json
import os
from subprocess import PIPE
from urllib.parse import parse_qs, urlsplit

from jupyter_k8s_workspace.identity import HEADER
from rooms import NAME, Rooms
from running import Running, assertion, until
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

# It has packages of its own (requirements-mcp.txt).
PROGRAM = os.environ["JUPYTER_MCP_SERVER"]
TOKEN = "token-of-this-run"


class Connect(HTTPServer):
    """For `kubectl workspace connect`, the gateway and the door: who sends the token is attested."""

    def start_request(self, server_conn, request_conn):
        request = super().start_request(server_conn, request_conn)
        received = request.headers_received

        def headers_received(line, headers):
            parameter = parse_qs(urlsplit(line.path).query).get("token")
            if headers.get("Authorization") == f"Bearer {TOKEN}" or parameter == [TOKEN]:
                headers[HEADER] = assertion(bearer=True)
            return received(line, headers)

        request.headers_received = headers_received
        return request


class Agent:
    """The MCP server's process, and the client that starts it: JSON-RPC, a message a line."""

    def __init__(self, application, home):
        self.home = home
        self.last = 0
        self.http = Connect(application)
        socket, self.port = bind_unused_port()
        self.http.add_socket(socket)

    async def __aenter__(self):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.home,
            "JUPYTER_URL": f"http://127.0.0.1:{self.port}",
            "JUPYTER_TOKEN": TOKEN,
        }
        self.log = open(os.path.join(self.home, "mcp.log"), "w+")
        self.process = await asyncio.create_subprocess_exec(PROGRAM, stdin=PIPE, stdout=PIPE, stderr=self.log, env=environment, limit=1 << 20)
        try:
            client = {"name": "tests", "version": "1"}
            await self.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
            self.write(method="notifications/initialized")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()
        self.log.close()
        self.http.stop()

    def write(self, **message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def answer(self):
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            if message.get("id") == self.last and "method" not in message:
                return message
        return "it ended"

    async def ask(self, method, **params):
        self.last += 1
        self.write(id=self.last, method=method, params=params)
        try:
            answer = await asyncio.wait_for(self.answer(), 60)
        except TimeoutError:
            answer = "no answer"
        if "result" in answer:
            return answer["result"]
        self.log.seek(0)
        raise AssertionError(f"{method}: {answer}\n{self.log.read()[-4000:]}")

    async def call(self, tool, **arguments):
        """Whether the tool did it, and what it says."""
        result = await self.ask("tools/call", name=tool, arguments=arguments)
        return not result.get("isError"), [part["text"] for part in result["content"]]

    async def creates(self):
        return await self.call("use_notebook", notebook_name="shared", notebook_path=NAME, mode="create")

    async def inserts(self):
        return await self.call("insert_cell", cell_index=0, cell_type="code", cell_source="6*7")


def results(cells):
    """What cells show as values."""
    return [output["data"]["text/plain"] for cell in cells for output in cell.get("outputs", []) if output["output_type"] == "execute_result"]


class On(Rooms):
    def has_been_saved(self, source, result):
        cells = self.saved()
        return source in [cell.source for cell in cells] and results(cells) == [result]

    async def test_it_writes_runs_and_reads_cells_and_people_see_it_and_the_file_has_it(self):
        async with Agent(self.app.web_app, self.home) as agent:
            done, said = await agent.creates()
            self.assertTrue(done, said)
            bob = await self.enters(await self.room(), "bob")
            done, said = await agent.inserts()
            self.assertTrue(done, said)
            await bob.has("6*7")
            done, said = await agent.call("execute_cell", cell_index=0)
            self.assertTrue(done and said[0] == "42", said)
            await until(lambda: results(bob.notebook.source["cells"]) == ["42"])
            done, said = await agent.call("read_cell", cell_index=0)
            self.assertTrue(done and said[1:] == ["6*7", "42"], said)
            await bob.writes("of bob")
            await until(lambda: self.has_been_saved("of bob", "42"))
            done, said = await agent.call("read_cell", cell_index=2)
            self.assertTrue(done and said[1] == "of bob", said)
            await bob.leaves()


class Off(Running):
    async def test_it_changes_and_runs_no_cell_and_still_runs_code_and_lists_files(self):
        async with Agent(self.app.web_app, self.home) as agent:
            done, said = await agent.creates()
            self.assertTrue(done, said)
            done, said = await agent.inserts()
            self.assertFalse(done, said)
            self.assertIn("404", said[0])
            done, said = await agent.call("execute_cell", cell_index=0)
            self.assertFalse(done, said)
            # The control.
            done, said = await agent.call("execute_code", code="6*7")
            self.assertTrue(done and said[0] == "42", said)
            done, said = await agent.call("list_files")
            self.assertTrue(done and NAME in said[0], said)
