"""A pod's token -> verified, or refused, with the keys of the API server (IO)."""

import asyncio
import re
import time

import jwt

from .cluster import Api, Refused, Unreachable

# The kubelet's tokens have about 1,200 characters.
LONGEST = 16384
MOST_KEYS = 64
LEEWAY = 10
# Seconds between two requests for keys, whatever strangers send; before the first answer.
EVERY = 60
FIRST = 5
# What the API server signs with. None of them takes a public key for a shared secret.
ALGORITHMS = {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"}
REQUIRED = ["iss", "aud", "sub", "exp", "nbf", "iat"]

# What is no JSON, or nested too deep for the parser, is not always told as a bad token.
_BAD = (jwt.PyJWTError, ValueError, TypeError, RecursionError)
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class InvalidToken(Exception):
    """The text is for the hub's log, never for the caller, and quotes no token."""


class Unknown(Exception):
    """The keys, or this one, are not known yet, so nothing can be said before `seconds` have passed."""

    def __init__(self, message: str, seconds: float):
        super().__init__(message)
        self.seconds = seconds


class Verifier:
    """Keys of the API server, and who issues its tokens; asked for again when a token names another one."""

    def __init__(self, api: Api, clock=time.monotonic):
        self._api, self._clock = api, clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._issuer = ""
        self._asked: float | None = None
        self._lock = asyncio.Lock()

    async def verify(self, token: str, audience: str, namespace: str, account: str) -> None:
        """Returns if this account of this namespace has the token, in a pod, for this audience alone."""
        if len(token) > LONGEST or not _SHAPE.fullmatch(token):
            raise InvalidToken("it has not the shape of a token")
        try:
            header = jwt.get_unverified_header(token)
        except _BAD as error:
            raise InvalidToken(type(error).__name__) from None
        key_id = header.get("kid")
        if not isinstance(key_id, str):
            raise InvalidToken("it names no key")
        if key_id not in self._keys:
            await self._ask(key_id)
        if key_id not in self._keys:
            raise InvalidToken("it is signed with a key that is none of the API server's")
        key = self._keys[key_id]
        try:
            claims = jwt.decode(
                token, key, [key.algorithm_name], audience=audience, issuer=self._issuer, leeway=LEEWAY, options={"require": REQUIRED}
            )
        except _BAD as error:
            raise InvalidToken(type(error).__name__) from None
        if claims["aud"] not in (audience, [audience]):
            raise InvalidToken("it has other audiences too")
        if claims["sub"] != f"system:serviceaccount:{namespace}:{account}":
            raise InvalidToken("it is of another account")
        bound = claims.get("kubernetes.io")
        pod = bound.get("pod") if isinstance(bound, dict) else None
        if not isinstance(pod, dict) or not pod.get("uid") or bound.get("namespace") != namespace:
            raise InvalidToken("it is not bound to a pod")

    async def _ask(self, key_id: str) -> None:
        """Fetches the keys. Raises `Unknown` if it may not yet, or gets no answer: the key may be a new one."""
        async with self._lock:
            if key_id in self._keys:
                return  # Another request fetched it while this one waited.
            wait = EVERY if self._keys else FIRST
            left = 0 if self._asked is None else self._asked + wait - self._clock()
            if left > 0:
                raise Unknown("the token's key is not known, and the API server was asked for its keys a short while ago", left)
            # Counted also if it fails: a stranger must not make the hub ask in a loop. Pods ask again for two minutes.
            self._asked = self._clock()
            try:
                issuer = await self._api.call("GET", "/.well-known/openid-configuration")
                keys = await self._api.call("GET", "/openid/v1/jwks")
            except (Refused, Unreachable) as error:
                raise Unknown(str(error), wait) from error
            self._issuer, self._keys = str(issuer.get("issuer") or ""), dict(_usable(keys))


def _usable(answer: dict):
    """Each key that verifies something, by its name."""
    for item in (answer.get("keys") or [])[:MOST_KEYS]:
        try:
            key = jwt.PyJWK(item)
        except Exception:
            continue  # Whatever it raises: a key that cannot be read verifies nothing.
        if key.algorithm_name in ALGORITHMS and key.key_id:
            yield key.key_id, key
