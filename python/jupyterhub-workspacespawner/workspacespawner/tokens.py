"""A pod's token -> verified, or refused, with the keys of the API server (IO)."""

import asyncio
import contextlib
import time

import jwt

from .cluster import Api

# The kubelet's tokens have about 1,200 characters.
LONGEST = 16384
LEEWAY = 10
# Seconds between two requests for keys, whatever strangers send; before the first answer.
EVERY = 60
FIRST = 5
# What the API server signs with. None of them takes a public key for a shared secret.
ALGORITHMS = {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"}
REQUIRED = ["iss", "aud", "sub", "exp", "nbf", "iat"]


class InvalidToken(Exception):
    """The text is for the hub's log, never for the caller, and quotes no token."""


class Unknown(Exception):
    """The keys, or this one, are not known yet, so nothing can be said for now."""


class Verifier:
    """Keys of the API server, and who issues its tokens; asked for again when a token names another one."""

    def __init__(self, api: Api, clock=time.monotonic):
        self._api, self._clock = api, clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._issuer = ""
        self._asked = float("-inf")
        self._lock = asyncio.Lock()

    async def verify(self, token: str, audience: str, namespace: str, account: str) -> str:
        """The UID of the pod whose token it is, if this account of this namespace has it for this audience alone."""
        if len(token) > LONGEST:
            raise InvalidToken("it is too long")
        with _refuse_on_error():
            key_id = jwt.get_unverified_header(token)["kid"]
        key = self._keys.get(key_id) or await self._fetch_key(key_id)
        with _refuse_on_error():
            claims = jwt.decode(
                token, key, [key.algorithm_name], audience=audience, issuer=self._issuer, leeway=LEEWAY, options={"require": REQUIRED}
            )
        if claims["aud"] not in (audience, [audience]):
            raise InvalidToken("it has other audiences too")
        if claims["sub"] != f"system:serviceaccount:{namespace}:{account}":
            raise InvalidToken("it is of another account")
        bound = claims.get("kubernetes.io") or {}
        pod = (bound.get("pod") or {}).get("uid")
        if not pod or bound.get("namespace") != namespace:
            raise InvalidToken("it is not bound to a pod")
        return pod

    async def _fetch_key(self, key_id: str) -> jwt.PyJWK:
        """Asks for the keys. Raises `Unknown` if it may not yet, or gets no answer: the key may be a new one."""
        async with self._lock:
            # Another request may have fetched it while this one waited.
            if key_id not in self._keys:
                await self._fetch()
        if key_id not in self._keys:
            raise InvalidToken("it is signed with a key that is none of the API server's")
        return self._keys[key_id]

    async def _fetch(self) -> None:
        if self._clock() < self._asked + (EVERY if self._keys else FIRST):
            raise Unknown("the token's key is not known, and the API server was asked for its keys a short while ago")
        # Counted also if it fails: a stranger must not make the hub ask in a loop. Pods ask again for two minutes.
        self._asked = self._clock()
        try:
            issuer = await self._api.call("GET", "/.well-known/openid-configuration")
            keys = jwt.PyJWKSet.from_dict(await self._api.call("GET", "/openid/v1/jwks")).keys
        except Exception as error:
            # Also keys that cannot be read: pods ask again, and the log says why.
            raise Unknown(str(error)) from error
        self._issuer = str(issuer.get("issuer") or "")
        self._keys = {key.key_id: key for key in keys if key.key_id and key.algorithm_name in ALGORITHMS}


@contextlib.contextmanager
def _refuse_on_error():
    """PyJWT has errors of its own for most bad tokens, not for each. Whatever it raises: nobody is vouched for."""
    try:
        yield
    except Exception as error:
        raise InvalidToken(type(error).__name__) from None
