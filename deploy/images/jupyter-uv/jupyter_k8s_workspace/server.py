"""Jupyter's web application -> the same, with a guard before everything in it, and two pages of ours (IO).

The identity provider answers for Jupyter's own handlers. An extension may add handlers without authentication; the guard runs
before those too.
"""

import json
import re
import secrets

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado.routing import Matcher, PathMatches, Rule
from tornado.web import RequestHandler, authenticated

from .assertion import Refused
from .identity import AssertedIdentityProvider, admit

PREFIX = "jupyter-k8s"

DONE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Signed in</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;display:grid;place-content:center;min-height:90vh;text-align:center}</style>
<h1>You are signed in</h1><p>Go back to your other tab and work on. This one can be closed.</p>
<script nonce="%s">new BroadcastChannel("jupyter-k8s-session").postMessage("signed-in");window.close();</script></html>
"""


class Unattested(Matcher):
    """Matches requests without a valid assertion."""

    def __init__(self, check, base_url):
        self._check = check
        self._base_url = base_url

    def match(self, request):
        try:
            admit(self._check, request, self._base_url)
        except Refused:
            return {}
        return None


class Refusal(RequestHandler):
    """401 for every request, without information about the server."""

    def check_xsrf_cookie(self):
        """Nothing is done that could be forged."""

    def prepare(self):
        self.set_status(401)
        self.clear_header("Server")
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps({"message": "This address answers through the gateway only.", "reason": "NotAttested"}))


class Ready(RequestHandler):
    """Answers readiness probes: the kubelet cannot authenticate. The answer has no user data."""

    def compute_etag(self):
        return None

    def check_xsrf_cookie(self):
        """Nothing is done that could be forged."""

    def get(self):
        self.clear_header("Server")
        self.set_status(204)

    head = get


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


def load(server_app):
    """Puts the guard first, where the gateway attests users."""
    provider = server_app.identity_provider
    application, base_url = server_app.web_app, server_app.base_url
    if not isinstance(provider, AssertedIdentityProvider):
        return
    application.add_handlers(
        ".*$",
        [
            (f"{base_url}{PREFIX}/session", Session),
            (f"{base_url}{PREFIX}/signed-in", SignedIn),
        ],
    )
    # The first of all rules, so that it also applies to handlers that are added later.
    application.default_router.rules[:0] = [
        Rule(PathMatches(f"{re.escape(base_url)}{PREFIX}/ready$"), Ready),
        Rule(Unattested(provider.check, base_url), Refusal),
    ]
