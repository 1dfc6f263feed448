"""Part of node_network.rs: runs in a pod on the node's network, with the node's processes in sight.

serve ADDRESS:PORT …       adds each address to the loopback interface by netlink, listens there, and removes the addresses at the end
connect [SOURCE …] [TARGET …] from the network namespace of each SOURCE: which ports it listens on, and which TARGETs answer

A source is the address of a pod, or "" for the node itself. A target is protocol:address:port.
"""

import concurrent.futures
import ctypes
import http.server
import json
import os
import re
import signal
import socket
import socketserver
import struct
import sys
import threading

# Seconds. A packet that opens a connection may be lost twice: the kernel sends it again after one second and after three.
LIMIT = 4
# A datagram may be lost, so a question is asked again, as resolvers do.
QUESTIONS = 3
NETWORK = 0x40000000
NEW_ADDRESS, DELETE_ADDRESS = 20, 21
REQUEST_AND_ACKNOWLEDGE, CREATE = 0x5, 0x400
LISTEN = "0A"
# As the kernel writes 127.0.0.0/8, ::1 and IPv4 in IPv6: each group of four bytes reversed.
LOOPBACK = re.compile(r"(0000000000000000FFFF0000)?......7F|00000000000000000000000001000000")
# A question for a name of every cluster, by RFC 1035.
QUESTION = struct.pack("!HHHHHH", 1, 0x0100, 1, 0, 0, 0)
QUESTION += b"".join(bytes([len(part)]) + part for part in (b"kubernetes", b"default", b"svc", b"cluster", b"local", b""))
QUESTION += struct.pack("!HH", 1, 1)


def change(address, kind, flags):
    packed = socket.inet_aton(address)
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, socket.if_nametoindex("lo"))
    for attribute in (1, 2):
        body += struct.pack("=HH4s", 8, attribute, packed)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        error = struct.unpack_from("=i", kernel.recv(4096), 16)[0]
    if error:
        sys.exit(f"netlink: {address}: {os.strerror(-error)}")


def serve(*places):
    places = [place.rsplit(":", 1) for place in places]

    def end(*_):
        for address, _ in places:
            change(address, DELETE_ADDRESS, REQUEST_AND_ACKNOWLEDGE)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    # Not http.server's own: it asks DNS for the name of each address, which takes ten seconds where there is none.
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    for address, port in places:
        change(address, NEW_ADDRESS, REQUEST_AND_ACKNOWLEDGE | CREATE)
        server = socketserver.ThreadingTCPServer((address, int(port)), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.pause()


def processes():
    """One process of each network namespace, by the addresses that the namespace has."""
    found, seen = {}, set()
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            namespace = os.readlink(f"/proc/{process}/ns/net")
            if namespace in seen:
                continue
            with open(f"/proc/{process}/net/fib_trie") as trie:
                local = re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", trie.read())
        except OSError:
            # It has ended meanwhile.
            continue
        seen.add(namespace)
        found.update((address, process) for address in local)
    return found


def listening(process):
    ports = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{process}/net/{table}") as lines:
            for line in list(lines)[1:]:
                _, local, _, state = line.split()[:4]
                address, port = local.rsplit(":", 1)
                if state == LISTEN and not LOOPBACK.fullmatch(address):
                    ports.add(int(port, 16))
    return sorted(ports)


def answers(target):
    protocol, address, port = target.split(":")
    if protocol == "udp":
        return any(tells_a_name(address, int(port)) for _ in range(QUESTIONS))
    try:
        socket.create_connection((address, int(port)), timeout=LIMIT).close()
        return True
    except OSError:
        return False


def tells_a_name(address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
        question.settimeout(LIMIT)
        try:
            question.connect((address, port))
            question.send(QUESTION)
            question.recv(512)
            return True
        except OSError:
            return False


def connect(sources, targets):
    known = processes()
    sources, targets = json.loads(sources), json.loads(targets)
    libc = ctypes.CDLL(None, use_errno=True)

    def from_there(source):
        process = known[source] if source else "self"
        handle = os.open(f"/proc/{process}/ns/net", os.O_RDONLY)

        # A namespace is entered by one thread, and the others of this process stay where they are.
        def enter():
            if libc.setns(handle, NETWORK):
                raise OSError(ctypes.get_errno(), "setns")

        with concurrent.futures.ThreadPoolExecutor(64, initializer=enter) as pool:
            opened = list(pool.map(answers, targets))
        os.close(handle)
        return {"listening": listening(process), "reached": [it for it, is_open in zip(targets, opened) if is_open]}

    missing = [source for source in sources if source and source not in known]
    if missing:
        sys.exit(f"no process of this node has the addresses {missing}")
    with concurrent.futures.ThreadPoolExecutor(len(sources)) as pool:
        print(json.dumps(dict(zip(sources, pool.map(from_there, sources)))))


if __name__ == "__main__":
    {"serve": serve, "connect": connect}[sys.argv[1]](*sys.argv[2:])
