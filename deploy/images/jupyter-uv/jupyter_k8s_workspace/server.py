"""Jupyter's web application -> the same, with two pages of ours (IO)."""

import json
import secrets

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado.web import authenticated
from tornado.websocket import WebSocketHandler

from .identity import AssertedIdentityProvider

PREFIX = "jupyter-k8s"

DONE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Signed in</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;display:grid;place-content:center;min-height:90vh;text-align:center}</style>
<h1>You are signed in</h1><p>Go back to your other tab and work on. This one can be closed.</p>
<script nonce="%s">new BroadcastChannel("jupyter-k8s-session").postMessage("signed-in");window.close();</script></html>
"""


class Session(APIHandler):
    """Time at which the user's session ends in any case."""

    _track_activity = False

    @authenticated
    def get(self):
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps({"user": self.current_user.display_name, "end": getattr(self, "session_end", None)}))


class SignedIn(JupyterHandler):
    """Last page of "sign in again": notifies the other tabs, and closes itself."""

    @authenticated
    def get(self):
        nonce = secrets.token_urlsafe(16)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header(
            "Content-Security-Policy",
            f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; frame-ancestors 'none'",
        )
        self.finish(DONE % nonce)


def guard_rooms(server_app):
    """Rooms of documents refuse websockets of other origins, as kernels do: their package lets all of them in. Changes that are older than an
    hour are squashed, also in documents that change all the time: the package has no setting for it."""
    if server_app.jpserver_extensions.get("jupyter_server_ydoc"):
        from jupyter_server_ydoc.handlers import YDocWebSocketHandler
        from jupyter_server_ydoc.stores import SQLiteYStore

        SQLiteYStore.squash_history_older_than = 3600
        YDocWebSocketHandler.check_origin = WebSocketHandler.check_origin


def load(server_app):
    """Adds the pages, where the gateway attests users."""
    guard_rooms(server_app)
    if not isinstance(server_app.identity_provider, AssertedIdentityProvider):
        return
    base_url = server_app.base_url
    server_app.web_app.add_handlers(
        ".*$",
        [
            (f"{base_url}{PREFIX}/session", Session),
            (f"{base_url}{PREFIX}/signed-in", SignedIn),
        ],
    )
