"""Jupyter's web application -> the same, with two pages of ours, and with settings of the home that do not empty JupyterLab's page (IO)."""

import json
import os
import secrets
import sys

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado.web import HTTPError, authenticated
from tornado.websocket import WebSocketHandler

from .identity import AssertedIdentityProvider

PREFIX = "jupyter-k8s"

# Bytes of a request or its buffer with which notebooks can be saved.
_SMALLEST = 1 << 20

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


def leave_out_settings(log):
    """A file of settings that cannot be read, such as one that a full disk cut off, counts as none. Jupyter answers with an error for the
    settings of all extensions, and the page stays empty."""
    from jupyterlab_server import settings_utils

    read = settings_utils._get_user_settings

    def read_or_leave_out(settings_dir, schema_name, schema):
        try:
            return read(settings_dir, schema_name, schema)
        except (HTTPError, OSError) as error:
            log.warning("These settings are left out: %s", error)
            # There are none.
            return read(os.devnull, schema_name, schema)

    settings_utils._get_user_settings = read_or_leave_out


def keep_core_extensions(log):
    """Users can disable all extensions but JupyterLab's own, without some of which the page stays empty. An image can disable those, too.
    A `page_config.json` of no use counts as none."""
    from jupyterlab import labapp
    from jupyterlab_server import config

    key, read = "disabledExtensions", config.get_static_page_config

    def read_and_keep(*arguments, level="all", **others):
        of_image = read(level="sys_prefix", include_higher_levels=True)
        try:
            found = read(*arguments, level=level, **others)
        except (OSError, TypeError, AttributeError, ValueError, RecursionError) as error:
            # Since the start, or files that do not go together, such as a list and an object of the same name.
            log.warning("The page's configuration in the home is left out: %s", error)
            found = {**of_image}
        by_image = _names(of_image.get(key))
        found[key] = {name: off for name, off in _names(found.get(key)).items() if name in by_image or not name.startswith("@jupyterlab/")}
        return found

    config.get_static_page_config = labapp.get_static_page_config = read_and_keep


def _names(disabled):
    """Extensions that are disabled or not. A list disables them, as in an image's own file; anything else would be an error at each page."""
    if isinstance(disabled, list):
        return {name: True for name in disabled if isinstance(name, str)}
    return disabled if isinstance(disabled, dict) else {}


def refuse_small_requests(server_app):
    """Ends a server that could save nothing, by the option of the home that says so."""
    for name in ("max_body_size", "max_buffer_size"):
        if (value := getattr(server_app, name)) < _SMALLEST:
            sys.exit(f"ServerApp.{name} in ~/.jupyter is {value}; it must be at least {_SMALLEST} bytes, or no notebook can be saved")


def load(server_app):
    """Adds the pages, where the gateway attests users. What a home holds does not make JupyterLab's page empty."""
    refuse_small_requests(server_app)
    guard_rooms(server_app)
    leave_out_settings(server_app.log)
    keep_core_extensions(server_app.log)
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
