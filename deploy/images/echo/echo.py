"""HTTP requests -> JSON of what was received; a test fixture, standard library only.

Every path: {"method", "path", "query", "headers": [[name, value], …] as received, "bodyLength"}.
/_log: the list of those of all requests before this one, oldest first (at most 10000).
/_say?type=<media type>&body=<text>, in any folder: that text, for pages and scripts.
/ws: a websocket. The first message is such an object of the handshake, after that every frame is sent back.
These paths come after $WORKSPACE_BASE_PATH, if that is set. The port is 8888, or $PORT; 0 takes a free one, which is printed.
"""

import base64
import collections
import hashlib
import http.server
import json
import os
import signal
import struct
import threading
import urllib.parse

LOG = collections.deque(maxlen=10_000)
LOG_LOCK = threading.Lock()
BASE = os.environ.get("WORKSPACE_BASE_PATH", "/")
LARGEST_FRAME = 16 * 1024 * 1024
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "echo"
    sys_version = ""

    def answer(self):
        path, _, query = self.path.partition("?")
        seen = {
            "method": self.command,
            "path": path,
            "query": query,
            "headers": self.headers.items(),
            "bodyLength": self.skip_body(),
        }
        with LOG_LOCK:
            before = list(LOG)
            LOG.append(seen)
        own = "/" + path.removeprefix(BASE)
        if own == "/ws" and self.headers.get("Upgrade", "").lower() == "websocket":
            self.websocket(seen)
        elif own.endswith("/_say"):
            said = urllib.parse.parse_qs(query)
            self.reply(said["body"][0].encode(), said["type"][0])
        else:
            self.reply(json.dumps(before if own == "/_log" else seen).encode(), "application/json")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def skip_body(self):
        """Reads the body, so that the connection can be used again; returns its length in bytes."""
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        length = 0
        while size := int(self.rfile.readline().split(b";")[0], 16):
            length += len(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return length

    def reply(self, body, media_type):
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def websocket(self, seen):
        key = self.headers.get("Sec-WebSocket-Key", "")
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
        self.end_headers()
        self.close_connection = True
        self.send_frame(0x80 | TEXT, json.dumps(seen).encode())
        while frame := self.receive_frame():
            first, payload = frame
            opcode = first & 0x0F
            if opcode == PING:
                first = 0x80 | PONG
            if opcode != PONG:
                self.send_frame(first, payload)
            if opcode == CLOSE:
                return

    def receive_frame(self):
        """First byte and unmasked payload of the next frame; None at the end of the connection."""
        head = self.rfile.read(2)
        if len(head) < 2:
            return None
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.rfile.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.rfile.read(8))
        if length > LARGEST_FRAME or not head[1] & 0x80:
            return None
        mask = self.rfile.read(4)
        payload = self.rfile.read(length)
        if len(payload) < length:
            return None
        return head[0], bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))

    def send_frame(self, first, payload):
        length = len(payload)
        if length < 126:
            head = struct.pack("!BB", first, length)
        elif length < 0x10000:
            head = struct.pack("!BBH", first, 126, length)
        else:
            head = struct.pack("!BBQ", first, 127, length)
        self.wfile.write(head + payload)

    def log_message(self, format, *args):
        """Nothing is written out: headers may hold what must not be in a pod's log."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Clients may leave at any time."""


def main():
    # The first process of a container ends on SIGTERM only if it says so.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server = Server(("", int(os.environ.get("PORT", "8888"))), Handler)
    print(f"listening on port {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
