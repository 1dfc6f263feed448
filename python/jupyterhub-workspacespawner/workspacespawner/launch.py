"""A pod's request for what it should run -> command and environment of its server, if its token is good (IO).

Importing this module adds the address to the hub. Nothing but the answer holds the server's token.
"""

import json
import weakref

from jupyterhub import apihandlers
from tornado import web
from traitlets.log import get_logger

from .tokens import InvalidToken, Unknown

LONGEST_ANSWER = 1024 * 1024
LONGEST_BODY = 256

# UID of a workspace -> the server's spawner, for as long as JupyterHub has it.
servers: "weakref.WeakValueDictionary" = weakref.WeakValueDictionary()
# UID of a workspace -> UIDs of its pods that asked, the present one last. Their tokens outlive them by minutes.
pods: dict[str, list[str]] = {}
MOST_PODS, MOST_WORKSPACES = 16, 10_000
GONE = "another pod of this workspace has asked since, so this one is gone"


class Nobody(Exception):
    """No server wants a pod of this workspace now. The text is for the pod's log."""


def answer(spawner) -> bytes:
    """What the pod of a server runs. ASCII with escapes, so that each byte of an environment arrives as it is."""
    if spawner.cmd is None:
        # KubeSpawner leaves the command to the image then; here that is the launcher.
        raise ValueError('cmd must be set: the hub does not know the image\'s own command. It is usually ["jupyterhub-singleuser"]')
    found = {"command": [*spawner.cmd, *spawner.get_args()], "environment": spawner.get_env()}
    for position, part in enumerate(found["command"]):
        _check(f"command: part {position}", part)
    for name, value in found["environment"].items():
        _check(f"environment: {name!r}", value)
        _check(f"environment: name {name!r}", name)
        if not name or "=" in name:
            raise ValueError(f"environment: name {name!r} must have a character and no '=': no process can have it")
    body = json.dumps(found).encode()
    if len(body) > LONGEST_ANSWER:
        raise ValueError(f"environment must have at most {LONGEST_ANSWER} bytes as JSON, it has {len(body)}: put large values into files")
    return body


def _check(what: str, value) -> None:
    """Raises for what no process can have. The value may be a secret, so it is not said."""
    if not isinstance(value, str):
        remedy = "write numbers in quotes; what comes from Secrets, ConfigMaps or the pod belongs into env of the template"
        raise ValueError(f"{what} must be text, it is {type(value).__name__}: {remedy}")
    try:
        # U+DC80 to U+DCFF are how Python writes bytes that are no text, and arrive as these.
        bad = b"\0" in value.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        bad = True
    if bad:
        raise ValueError(f"{what} must have no NUL and no lone surrogate (half of a character): no process can have it")


def _check_pod(uid: str, pod: str) -> None:
    """A workspace has one pod at a time, so a pod that asked before the present one is gone."""
    known = pods.setdefault(uid, [])
    if pod in known[:-1]:
        raise Nobody(GONE)
    if pod not in known:
        known.append(pod)
        del known[:-MOST_PODS]
    while len(pods) > MOST_WORKSPACES:
        pods.pop(next(iter(pods)))


@web.stream_request_body
class LaunchHandler(web.RequestHandler):
    """`POST` asks, `DELETE` tells how the command ended. It knows no cookies and no users: the pod's token is all that counts."""

    def check_xsrf_cookie(self):
        pass

    def prepare(self):
        self.body = b""
        # The connection of who sends more is closed.
        self.request.connection.set_max_body_size(LONGEST_BODY)

    def data_received(self, chunk):
        self.body += chunk

    async def post(self, uid):
        spawner = await self._spawner(uid)
        try:
            _check_pod(uid, self.pod)
            found = await spawner.answer_pod()
        except (Nobody, ValueError) as error:
            get_logger().warning("%s: its pod gets no environment: %s", spawner._log_name, error)
            return self._say(409, str(error))
        get_logger().info("pod of %s fetched its environment", spawner._log_name)
        self.set_header("Content-Type", "application/json")
        self.finish(found)

    async def delete(self, uid):
        spawner = await self._spawner(uid)
        try:
            code = json.loads(self.body)["code"]
        except (ValueError, KeyError, TypeError):
            code = None
        if type(code) is not int or not 0 <= code <= 255:
            return self._say(400, "code must be a whole number from 0 to 255")
        if self.pod in pods.get(uid, [])[:-1]:
            return self._say(409, GONE)
        await spawner.on_command_end(code)
        self._say(200, "")

    async def _spawner(self, uid):
        self.set_header("Cache-Control", "no-store")
        kind, _, token = self.request.headers.get("Authorization", "").partition(" ")
        # Any spawner knows the keys; which server it is counts once the token is good, so that nobody learns of servers.
        known = servers.get(uid) or next(iter(servers.values()), None)
        try:
            if known is None:
                raise Unknown("the hub does not know any server yet")
            if kind.lower() != "bearer":
                raise InvalidToken("it is no bearer token")
            self.pod = await known.verify(token, uid)
            # Another spawner may take tokens of another account.
            if servers.get(uid) is not known:
                raise Unknown("the hub does not know this server yet")
            return known
        except InvalidToken as error:
            get_logger().warning("refused a request for the environment of workspace %.64r because of its token: %s", uid, error)
            self._say(401, "the token is not good for this address")
        except Unknown as error:
            get_logger().warning("cannot judge a request for an environment: %s", error)
            self._say(503, "the hub does not know this server, or the API server's keys, yet")
        raise web.Finish

    def _say(self, status, text):
        self.set_status(status)
        self.set_header("Content-Type", "text/plain")
        self.finish(text)


apihandlers.default_handlers.append((r"/api/workspaces/([0-9a-f-]{1,64})/launch", LaunchHandler))
