"""A query by PostgreSQL's simple protocol (version 3.0) -> the first column of its rows."""

import socket
import struct

SQL = """CREATE TABLE IF NOT EXISTS starts (at timestamptz PRIMARY KEY);
INSERT INTO starts VALUES (pg_postmaster_start_time()) ON CONFLICT DO NOTHING;
SELECT count(*) FROM starts"""

with socket.create_connection(("127.0.0.1", 5432), timeout=20) as server, server.makefile("rb") as answers:

    def rows() -> list[str]:
        found = []
        while True:
            kind, length = struct.unpack("!ci", answers.read(5))
            message = answers.read(length - 4)
            if kind == b"E":
                raise SystemExit(message)
            if kind == b"D":
                (size,) = struct.unpack_from("!i", message, 2)
                found.append(message[6 : 6 + size].decode())
            if kind == b"Z":
                return found

    start = struct.pack("!i", 3 << 16) + b"user\0postgres\0\0"
    server.sendall(struct.pack("!i", len(start) + 4) + start)
    rows()
    query = SQL.encode() + b"\0"
    server.sendall(b"Q" + struct.pack("!i", len(query) + 4) + query)
    print(*rows())
