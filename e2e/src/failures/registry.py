"""A registry (OCI distribution, for readers) of one image, for who knows its password; a test fixture, standard library only.

The image is the echo server that this runs beside, with no more of the system than that needs and `true`; it bears every name that is asked for.
Who comes with the password ($USER_NAME, $PASSWORD) gets a token at /token; nothing else is had without one, but what is below public/. It listens on $PORT of the loopback alone.
"""

import base64
import collections
import glob
import hashlib
import hmac
import http.server
import json
import os
import platform
import re
import secrets
import shutil
import signal
import struct
import sys
import sysconfig
import tarfile
import threading
import urllib.parse

# The echo server's modules: their libraries are in this process, too.
assert (base64, collections, signal, struct, threading, urllib.parse)

ECHO = "/usr/local/lib/echo.py"
LAYER = "/tmp/layer.tar"
PORT = int(os.environ["PORT"])
CREDENTIALS = f"{os.environ['USER_NAME']}:{os.environ['PASSWORD']}".encode()
TOKEN = secrets.token_urlsafe()
UNUSED = {"__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


def collect(path, found):
    """Notes what is at a path: links as they are, with what they lead to, and folders with all that is in them."""
    parts = path.strip("/").split("/")
    for end in range(1, len(parts) + 1):
        place = "/" + "/".join(parts[:end])
        if os.path.islink(place):
            found.add(place)
            target = os.path.join(os.path.dirname(place), os.readlink(place))
            collect(os.path.normpath(os.path.join(target, *parts[end:])), found)
            return
    if os.path.isdir(path):
        for name in os.listdir(path):
            if name not in UNUSED:
                collect(os.path.join(path, name), found)
    elif os.path.isfile(path):
        found.add(path)


def libraries():
    """Shared libraries of this process, under each of their names, and what loads them."""
    with open("/proc/self/maps") as maps:
        mapped = set(re.findall(r"(/\S+\.so\S*)$", maps.read(), re.MULTILINE))
    for folder in {os.path.dirname(library) for library in mapped}:
        for name in os.listdir(folder):
            if os.path.realpath(os.path.join(folder, name)) in mapped:
                yield os.path.join(folder, name)
    yield from glob.glob("/lib*/ld-*.so*")
    yield from glob.glob("/etc/ld.so.cache")


def make_layer():
    """Writes the layer, the same of the same files; returns its digest."""
    found = set()
    for path in [sys.executable, sysconfig.get_path("stdlib"), ECHO, shutil.which("true"), *libraries()]:
        collect(path, found)
    with tarfile.open(LAYER, "w") as layer:
        for path in sorted(found):
            entry = layer.gettarinfo(path)
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            if entry.isreg():
                with open(path, "rb") as file:
                    layer.addfile(entry, file)
            else:
                layer.addfile(entry)
    with open(LAYER, "rb") as layer:
        return "sha256:" + hashlib.file_digest(layer, "sha256").hexdigest()


DIGEST = make_layer()


def digest(blob):
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def image(name):
    """Manifest and configuration of the image under this name: of each name it is another one."""
    config = json.dumps({
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": [sys.executable, ECHO], "User": "65532:65532", "Labels": {"name": name}},
        "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    }).encode()
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": DIGEST,
            "size": os.path.getsize(LAYER),
        }],
    }).encode()
    return manifest, config


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        said = self.headers.get("Authorization", "")
        if path == "/healthz":
            self.reply(200, b"ok", "text/plain")
        elif path == "/token":
            expected = "Basic " + base64.b64encode(CREDENTIALS).decode()
            if hmac.compare_digest(said, expected):
                self.reply(200, json.dumps({"token": TOKEN}).encode())
            else:
                self.refuse('Basic realm="registry"')
        elif path.startswith("/v2/public/"):
            self.serve(path)
        elif not hmac.compare_digest(said, f"Bearer {TOKEN}"):
            # By the name under which it was asked.
            realm = f"http://{self.headers.get('Host')}/token"
            self.refuse(f'Bearer realm="{realm}",service="registry"')
        elif path == "/v2/":
            self.reply(200, b"{}")
        else:
            self.serve(path)

    do_HEAD = do_GET

    def do_POST(self):
        # Clients ask here first, and then by GET.
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.reply(404, b"{}")

    def serve(self, path):
        asked = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", path)
        name, what, reference = asked.groups() if asked else ("", "", "")
        manifest, config = image(name)
        if what == "manifests" and reference in (digest(manifest), "1"):
            self.reply(200, manifest, MANIFEST)
        elif what == "blobs" and reference == digest(config):
            self.reply(200, config, CONFIG)
        elif what == "blobs" and reference == DIGEST:
            with open(LAYER, "rb") as layer:
                self.reply(200, layer.read(), "application/octet-stream", DIGEST)
        else:
            self.reply(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')

    def refuse(self, challenge):
        body = b'{"errors": [{"code": "UNAUTHORIZED"}]}'
        self.reply(401, body, headers={"WWW-Authenticate": challenge})

    def reply(self, code, body, media_type="application/json", known=None, headers=None):
        self.send_response(code)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", known or digest(body))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
