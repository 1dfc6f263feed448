"""The user whom the gateway attests -> the user that Jupyter knows (pure but for reading the environment)."""

import os
import re

from jupyter_server.auth.identity import IdentityProvider, User
from tornado.web import HTTPError

from .assertion import HEADER, OPERATOR, Checker, Refused

# Folder with the keys, or OPEN. Unset: all requests are refused.
KEYS_VARIABLE = "WORKSPACE_ASSERTION_KEYS"
UID_VARIABLE = "WORKSPACE_UID"
# Value of KEYS_VARIABLE if the gateway does not decide who may connect.
OPEN = "none"

# The only pages that the operator requests, to learn the last activity.
OPERATORS_PAGES = ("api/status", "api/kernels", "api/terminals")
_SEPARATORS = re.compile(r"[\s._-]+")


class DenyAll:
    """Refuses all requests, because the pod has no keys."""

    def __init__(self, why):
        self._why = why

    def check(self, values):
        raise Refused(self._why)


def checker(environment=os.environ):
    """The verifier of callers; None if the pod's settings require none."""
    folder = environment.get(KEYS_VARIABLE, "")
    if folder == OPEN:
        return None
    if not folder:
        return DenyAll(f"{KEYS_VARIABLE} is not set")
    try:
        return Checker(environment.get(UID_VARIABLE, ""), folder)
    except ValueError as error:
        return DenyAll(str(error))


def admit(check, request, base_url):
    """The caller of this request, or Refused. The operator may read three pages and do nothing else."""
    attested = check.check(request.headers.get_list(HEADER))
    if attested.issuer == OPERATOR:
        pages = [base_url + page for page in OPERATORS_PAGES]
        if request.method != "GET" or request.path not in pages:
            raise Refused("the operator has no business here")
    return attested


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

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.check = checker()

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
        try:
            attested = admit(self.check, handler.request, handler.base_url)
        except Refused as refused:
            self.log.debug("refused: %s", refused)
            raise HTTPError(401) from refused
        handler.session_end = attested.session_end
        handler.sent_a_token = attested.bearer
        shown = display_name(attested.subject)
        return User(username=attested.subject, name=shown, display_name=shown, initials=initials(shown))
