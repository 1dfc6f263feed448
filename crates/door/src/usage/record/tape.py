"""Bytes between a browser and an application -> lines of a trace, without contents (IO)."""

import asyncio
import contextlib
import json
import re
import time

# A path's random parts, such as the id of a kernel. VS Code's commit stays: the door knows its pages by it.
IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
CONTROL = 0x8


class Tape:
    """What one scene records. `connect` opens a connection to the application, `header` is added to each request."""

    def __init__(self, connect, header):
        self.connect, self.header = connect, header
        self.start, self.lines, self.names, self.sockets, self.tasks, self.cut_off = time.monotonic(), [], {}, 0, set(), False
        self.statics = None

    def now(self):
        return round(time.monotonic() - self.start, 2)

    def add(self, kind, **fields):
        self.lines.append({"at": self.now(), "kind": kind, **{name: value for name, value in fields.items() if value is not None}})

    async def listen(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    def cut(self, off):
        """Ends all connections and, while it is `off`, refuses new ones."""
        self.cut_off = off
        for task in self.tasks if off else ():
            task.cancel()

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if not self.cut_off:
                await self._pass(reader, writer)
        self.tasks.discard(task)
        writer.transport.abort() if self.cut_off else writer.close()

    async def _pass(self, reader, writer):
        """One request, and the answer or the frames of a websocket. The connection then ends."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        method, target, _ = head[0].split(" ")
        fields = [line.split(":", 1) for line in head[1:]]
        known = {name.lower(): value.strip() for name, value in fields}
        is_socket = known.get("upgrade", "").lower() == "websocket"
        socket = None
        if is_socket:
            self.sockets += 1
            socket = self.sockets
        self._request(method, target.split("?")[0], known.get("sec-fetch-mode"), socket)
        kept = [f"{name}:{value}" for name, value in fields if is_socket or name.lower() != "connection"]
        more = [self.header] if is_socket else [self.header, "Connection: close"]
        application, to_application = await self.connect()
        try:
            to_application.write("\r\n".join([head[0], *kept, *more, "", ""]).encode("latin-1"))
            to_application.write(await reader.readexactly(int(known.get("content-length", 0))))
            if is_socket:
                answer = await application.readuntil(b"\r\n\r\n")
                writer.write(answer)
                if answer.startswith(b"HTTP/1.1 101"):
                    await self._frames(socket, (reader, to_application), (application, writer))
            else:
                await copy(application, writer)
        finally:
            to_application.close()
            if is_socket:
                self.add("close", socket=socket)

    async def _frames(self, socket, to_server, to_client):
        def sent(opcode, size):
            self.add("control" if opcode & CONTROL else "frame", socket=socket, bytes=size)

        def answered(opcode, size):
            # One line a second.
            if not opcode & CONTROL:
                last = next((line for line in reversed(self.lines[-20:]) if line["kind"] == "answer" and line["socket"] == socket), None)
                if last is None or self.now() - last["at"] >= 1:
                    self.add("answer", socket=socket, frames=0, bytes=0)
                    last = self.lines[-1]
                last["frames"] += 1
                last["bytes"] += size

        tasks = [asyncio.create_task(copy(*to_server, Frames(sent))), asyncio.create_task(copy(*to_client, Frames(answered)))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _request(self, method, path, mode, socket):
        path = IDS.sub(lambda found: self.names.setdefault(found[0], f"id{len(self.names) + 1}"), path)
        if "/static/" in path:
            # A page's own files: the first one of each second.
            path = path[: path.index("/static/") + 8]
            if self.statics is not None and self.now() - self.statics < 1:
                return
            self.statics = self.now()
        self.add("request", method=method, path=path, mode=mode, socket=socket)

    def write(self, file, head):
        lines = [head, *sorted(self.lines, key=lambda line: line["at"])]
        file.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


class Frames:
    """Tells the opcode and the length of each frame (RFC 6455, section 5.2) whose head is in the bytes that it is given."""

    def __init__(self, found):
        self.found, self.head, self.rest = found, b"", 0

    def __call__(self, data):
        while data:
            skipped = min(self.rest, len(data))
            self.rest -= skipped
            self.head, data = self.head + data[skipped:], b""
            if len(self.head) < 2:
                return
            short = self.head[1] & 0x7F
            end = 2 + {126: 2, 127: 8}.get(short, 0)
            if len(self.head) < end:
                return
            size = int.from_bytes(self.head[2:end], "big") if end > 2 else short
            self.found(self.head[0] & 0xF, size)
            self.rest = size + (4 if self.head[1] & 0x80 else 0)
            self.head, data = b"", self.head[end:]


async def copy(reader, writer, look=None):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            if look:
                look(data)
            writer.write(data)
            await writer.drain()
