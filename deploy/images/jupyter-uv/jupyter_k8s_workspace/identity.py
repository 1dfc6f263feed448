"""The assertion that the door has verified -> the user that Jupyter knows (pure).

The door answers all others with 401, and nobody but the pod's user can open the socket behind it. So nothing is verified here again, and
a server that listens on a port in place of that socket knows nobody.
"""

import base64
import json
import re
from dataclasses import dataclass

from jupyter_server.auth.identity import IdentityProvider, User
from tornado.web import HTTPError

HEADER = "Workspace-Assertion"
GATEWAY = "jupyter-k8s-gateway"

_SEPARATORS = re.compile(r"[\s._-]+")


@dataclass(frozen=True)
class Attested:
    """The caller."""

    subject: str
    # Unix seconds at which the person is signed out, if that is known.
    session_end: int | None
    # Whether they sent a token with the request itself, and no cookie of the gateway's.
    bearer: bool


def attested(request):
    """The caller of this request; None if it did not come through the door."""
    values = request.headers.get_list(HEADER)
    try:
        (token,) = values
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        subject, end = claims["sub"], claims.get("session_end")
        # Of people the gateway alone speaks.
        bearer = claims.get("iss") == GATEWAY and claims.get("bearer") is True
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    if not isinstance(subject, str) or not subject:
        return None
    return Attested(subject, end if isinstance(end, int) else None, bearer)


def is_same_origin(request):
    """Whether the browser says, once, that a page of this origin sent the request."""
    return request.headers.get_list("Sec-Fetch-Site") == ["same-origin"]


def display_name(user_name):
    """A user name without what the installation puts before it, and without the host of an e-mail address."""
    name = user_name.rsplit("#", 1)[-1].rsplit(":", 1)[-1] or user_name
    return name.split("@", 1)[0] or name


def initials(name):
    """The first letters of the first and the last part."""
    parts = [part for part in _SEPARATORS.split(name) if part]
    if not parts:
        return name[:1].upper()
    return (parts[0][0] + (parts[-1][0] if len(parts) > 1 else "")).upper()


class AssertedIdentityProvider(IdentityProvider):
    """Knows people by the gateway's assertion alone: no token, no password, no cookie."""

    @property
    def auth_enabled(self):
        return True

    @property
    def login_available(self):
        return False

    @property
    def logout_available(self):
        return False

    def is_token_authenticated(self, handler):
        """Whether the request needs no proof (`_xsrf`) that a page of this server sent it.

        Browsers add cookies to what any page sends, and so a request that came by one needs that proof. Nothing adds a token but who
        knows it. A browser that says `Sec-Fetch-Site: same-origin` proves more than the cookie: no page can write that header, but a
        page of a sibling host can write the cookie.
        """
        return getattr(handler, "sent_a_token", False) or is_same_origin(handler.request)

    def should_check_origin(self, handler):
        """Scripts send none, and pages that hold a token are of this origin: the gateway lets no other pass."""
        return True

    def get_user(self, handler):
        # Asked again for the same request: it was answered before.
        known = getattr(handler, "_jupyter_current_user", None)
        if known:
            return known
        if not handler.serverapp.sock:
            self.log.error("Jupyter must listen on a socket behind the door: on a port, an assertion proves nothing")
            raise HTTPError(401)
        caller = attested(handler.request)
        if caller is None:
            raise HTTPError(401)
        handler.session_end = caller.session_end
        handler.sent_a_token = caller.bearer
        shown = display_name(caller.subject)
        return User(username=caller.subject, name=shown, display_name=shown, initials=initials(shown))
