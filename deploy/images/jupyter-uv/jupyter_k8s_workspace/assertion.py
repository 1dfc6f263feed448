"""A request's assertion -> the caller, or a refusal (reads the mounted keys; no network).

The gateway attests users. The operator requests the last activity. Each signs with its own keys, which the
pod has as files that the kubelet keeps up to date.
"""

import json
import os
import re
import time
from dataclasses import dataclass

import jwt

HEADER = "Workspace-Assertion"
ALGORITHM = "EdDSA"
# Seconds by which this node's clock and the signer's may differ.
LEEWAY = 10
GATEWAY = "jupyter-k8s-gateway"
OPERATOR = "jupyter-k8s-operator"
# Issuer -> file with its keys: a key of one issuer is never taken for the other.
FILES = {GATEWAY: "gateway.json", OPERATOR: "operator.json"}
REQUIRED = ["iss", "aud", "sub", "iat", "nbf", "exp"]
# An assertion has some hundred characters; who sends more sends something else.
LONGEST = 8192
# Assertions that were good, kept until they end: a page makes dozens of requests with the same one.
KEPT = 64

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class Refused(Exception):
    """The request has no valid assertion. The text is for the server's log, never for the caller."""


@dataclass(frozen=True)
class Attested:
    """The caller."""

    issuer: str
    subject: str
    # Unix seconds from which the assertion no longer counts.
    ends: float
    # Unix seconds at which the person is signed out, if that is known.
    session_end: int | None = None
    # Whether they sent a token with the request itself, and no cookie of the gateway's.
    bearer: bool = False


class KeySets:
    """The key files in a folder, read again when they change."""

    def __init__(self, folder):
        self._folder = folder
        self._read = {}

    def key(self, issuer, key_id):
        path = os.path.join(self._folder, FILES[issuer])
        try:
            # The kubelet replaces a link to the folder: a changed file is another one.
            found = os.stat(path)
            version = (found.st_mtime_ns, found.st_ino, found.st_size)
            if issuer not in self._read or self._read[issuer][0] != version:
                with open(path, encoding="utf-8") as file:
                    self._read[issuer] = (version, _keys(json.load(file)))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, jwt.PyJWTError) as error:
            raise Refused(f"the keys of {issuer} cannot be read: {error}") from error
        keys = self._read[issuer][1]
        if key_id not in keys:
            raise Refused(f"{issuer} has no key {key_id!r}")
        return keys[key_id]


def _keys(document):
    wanted = {"kty": "OKP", "crv": "Ed25519", "alg": ALGORITHM}
    usable = [key for key in document["keys"] if all(key.get(name) == value for name, value in wanted.items())]
    return {key["kid"]: jwt.PyJWK(key, algorithm=ALGORITHM).key for key in usable}


class Checker:
    """Verifies callers of a workspace with the keys in a folder."""

    def __init__(self, uid, folder, now=time.time):
        if not uid:
            raise ValueError("the workspace's UID is not known: WORKSPACE_UID is empty")
        self._uid = uid
        self._keys = KeySets(folder)
        self._now = now
        self._good = {}

    def check(self, values):
        """Of the values of all headers of that name."""
        if len(values) != 1:
            raise Refused(f"{len(values)} assertions instead of one")
        token = values[0]
        known = self._good.get(token)
        if known and self._now() < known.ends:
            return known
        attested = self._verify(token)
        if len(self._good) >= KEPT:
            self._good.clear()
        self._good[token] = attested
        return attested

    def _verify(self, token):
        if len(token) > LONGEST or not _SHAPE.fullmatch(token):
            raise Refused("it is not a JSON Web Token")
        try:
            header = jwt.get_unverified_header(token)
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except jwt.PyJWTError as error:
            raise Refused(str(error)) from error
        if header.get("alg") != ALGORITHM or "crit" in header:
            raise Refused(f"signed by {header.get('alg')!r}")
        if not isinstance(issuer, str) or issuer not in FILES:
            raise Refused(f"made by {issuer!r}")
        key = self._keys.key(issuer, header.get("kid"))
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._uid,
                issuer=issuer,
                leeway=LEEWAY,
                options={"require": REQUIRED, "strict_aud": True},
            )
        except jwt.PyJWTError as error:
            raise Refused(str(error)) from error
        subject, end = claims["sub"], claims.get("session_end")
        if not isinstance(subject, str) or not subject:
            raise Refused("it names no user")
        return Attested(
            issuer,
            subject,
            claims["exp"] + LEEWAY,
            end if isinstance(end, int) else None,
            # Of people the gateway alone speaks.
            issuer == GATEWAY and claims.get("bearer") is True,
        )
