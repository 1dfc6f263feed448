"""A port of this machine, which leads to a kernel's shell channel, key and expression -> the value that the kernel computes (IO).

It speaks ZMTP 3 and the Jupyter protocol by itself, as the machine of a test has neither of their libraries.
"""

import hashlib
import hmac
import json
import socket
import struct
import sys
import time

port, key, expression = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3]


def read(stream, count):
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise ConnectionError("nothing answers")
        data += more
    return data


def frame(flags, body):
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | 2]) + struct.pack(">Q", len(body)) + body


def receive(stream):
    parts = []
    while True:
        (flags,) = read(stream, 1)
        (size,) = struct.unpack(">Q", read(stream, 8)) if flags & 2 else read(stream, 1)
        body = read(stream, size)
        if flags & 4:
            continue
        parts.append(body)
        if not flags & 1:
            return parts


def connect():
    stream = socket.create_connection(("127.0.0.1", port), timeout=60)
    stream.sendall(b"\xff" + bytes(8) + b"\x7f" + bytes([3, 0]) + b"NULL".ljust(20, b"\0") + bytes(32))
    read(stream, 64)
    kind = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
    stream.sendall(frame(4, kind))
    return stream


def compute(stream):
    header = {"msg_id": "1", "session": "test", "username": "alice", "date": "2026-01-01T00:00:00Z", "version": "5.3"}
    content = {"code": "", "silent": False, "store_history": False, "allow_stdin": False, "user_expressions": {"value": expression}}
    parts = [json.dumps(part).encode() for part in ({**header, "msg_type": "execute_request"}, {}, {}, content)]
    signed = hmac.new(key, b"".join(parts), hashlib.sha256).hexdigest().encode()
    frames = [b"<IDS|MSG>", signed, *parts]
    stream.sendall(b"".join(frame(index < len(frames) - 1, part) for index, part in enumerate(frames)))
    while True:
        answer = receive(stream)
        at = answer.index(b"<IDS|MSG>")
        if json.loads(answer[at + 2])["msg_type"] == "execute_reply":
            return json.loads(answer[at + 5])["user_expressions"]["value"]["data"]["text/plain"]


# ssh accepts before anything listens in the pod.
end = time.monotonic() + 100
while True:
    try:
        print(compute(connect()))
        break
    except OSError:
        if time.monotonic() > end:
            raise
        time.sleep(0.2)
