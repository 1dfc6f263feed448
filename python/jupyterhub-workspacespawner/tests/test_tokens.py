"""Which tokens of pods are taken (no cluster)."""

import asyncio
import base64
import json
import time

import api_server
from cryptography.hazmat.primitives import serialization
from hub import Case

from workspacespawner import cluster, tokens

URL = "http://hub/hub/api/workspaces/u1/launch"


class Tokens(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.now = [1000.0]
        self.asked = cluster.Api(cluster.configuration(self.api.url, "", None))
        self.verifier = tokens.Verifier(self.asked, lambda: self.now[0])

    async def asyncTearDown(self):
        await self.asked._client.close()
        await super().asyncTearDown()

    async def judge(self, token, audience=URL):
        await self.verifier.verify(token, audience, api_server.NAMESPACE, "jupyterhub-server")

    def fetches(self):
        return sum(item[1] == "/openid/v1/jwks" for item in self.api.requests)

    async def test_the_token_of_a_servers_pod_is_taken_also_by_an_elliptic_key(self):
        await self.judge(self.api.token(URL))
        self.api.keys["k2"] = api_server.new_ec_key()
        self.now[0] += tokens.EVERY
        await self.judge(self.api.token(URL, key="k2", algorithm="ES256"))
        self.assertEqual(self.fetches(), 2)

    async def test_every_other_token_is_refused(self):
        now = int(time.time())
        good = self.api.token(URL)
        public = self.api.keys["k1"].public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )  # fmt: skip
        # PyJWT refuses to sign so; a thief does not.
        head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "k1"}).encode()).rstrip(b"=").decode()
        import hashlib
        import hmac

        signed = f"{head}.{good.split('.')[1]}"
        mac = base64.urlsafe_b64encode(hmac.new(public, signed.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
        pod = {"name": "p", "uid": "u"}
        bad = {
            "none": api_server.unsigned(good),
            "the public key as a secret": f"{signed}.{mac}",
            "another key of the same name": self.api.token(URL, signer=api_server.rsa.generate_private_key(65537, 2048)),
            "expired": self.api.token(URL, exp=now - 60),
            "not yet": self.api.token(URL, nbf=now + 60),
            "another issuer": self.api.token(URL, iss="https://elsewhere"),
            "another server": self.api.token(URL.replace("u1", "u2")),
            "two audiences": self.api.token(URL, aud=[URL, "https://kubernetes.default.svc"]),
            "another account": self.api.token(URL, sub="system:serviceaccount:servers:default"),
            "another namespace": self.api.token(URL, sub="system:serviceaccount:other:jupyterhub-server"),
            "no pod": self.api.token(URL, **{"kubernetes.io": {"namespace": "servers"}}),
            "pod elsewhere": self.api.token(URL, **{"kubernetes.io": {"namespace": "other", "pod": pod}}),
            "no claims of Kubernetes": self.api.token(URL, **{"kubernetes.io": None}),
            "no end": self.api.token(URL, exp=None),
            "no key named": self.api.token(URL, header=False),
            "changed": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
            "too long": good + "A" * tokens.LONGEST,
            "a header that is nested": base64.urlsafe_b64encode(b"[" * 9000).rstrip(b"=").decode() + ".a.b",
            "a header that is no object": base64.urlsafe_b64encode(b"[1]").rstrip(b"=").decode() + ".a.b",
            "a header that is no text": base64.urlsafe_b64encode(b"\xff\xfe").rstrip(b"=").decode() + ".a.b",
            "nothing": "",
            "no token": "a.b.c",
            "bytes": "\x00.\x00.\x00",
        }
        for what, token in bad.items():
            with self.subTest(what), self.assertRaises(tokens.InvalidToken) as caught:
                await self.judge(token)
            self.assertNotIn(token or "-", str(caught.exception))
        # The control.
        await self.judge(good)
        self.assertEqual(self.fetches(), 1)

    async def test_keys_that_verify_nothing_are_left_out(self):
        secret = base64.urlsafe_b64encode(b"s" * 32).rstrip(b"=").decode()
        self.api.more_keys = [{"kid": "a", "kty": "RSA"}, {"kid": "e", "kty": "oct", "k": secret}]
        await self.judge(self.api.token(URL))
        self.assertEqual(list(self.verifier._keys), ["k1"])
        self.now[0] += tokens.EVERY
        with self.assertRaises(tokens.InvalidToken):
            await self.judge(self.api.token(URL, key="e", algorithm="HS256", signer=b"s" * 32))

    def of_key(self, name):
        """A token that names a key, with no good signature: anybody can write it."""
        head = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": name}).encode()).rstrip(b"=").decode()
        return f"{head}.{self.api.token(URL).split('.', 1)[1]}"

    async def test_unknown_keys_by_the_thousand_make_one_request_a_minute_and_are_not_kept(self):
        with self.assertRaises(tokens.InvalidToken):
            await self.judge(self.of_key("k"))
        for number in range(1000):
            with self.assertRaises(tokens.Unknown):
                await self.judge(self.of_key(f"k{number}x"))
        self.assertEqual(self.fetches(), 1)
        self.assertEqual(list(self.verifier._keys), ["k1"])
        # A key that is known is judged meanwhile, and a bad signature refused.
        await self.judge(self.api.token(URL))
        with self.assertRaises(tokens.InvalidToken):
            await self.judge(self.of_key("k1"))
        self.now[0] += tokens.EVERY
        with self.assertRaises(tokens.InvalidToken):
            await self.judge(self.of_key("other"))
        self.assertEqual(self.fetches(), 2)

    async def test_a_new_key_of_the_api_server_is_asked_for_again_and_not_refused(self):
        await self.judge(self.api.token(URL))
        self.api.keys["k2"] = api_server.new_ec_key()
        token = self.api.token(URL, key="k2", algorithm="ES256")
        self.now[0] += 20
        with self.assertRaises(tokens.Unknown):
            await self.judge(token)
        self.now[0] += tokens.EVERY - 20
        await self.judge(token)
        self.assertEqual(self.fetches(), 2)

    async def test_requests_at_once_share_one_fetch(self):
        good = [self.judge(self.api.token(URL)) for _ in range(20)]
        found = await asyncio.gather(*good, *(self.judge(self.of_key("x")) for _ in range(20)), return_exceptions=True)
        self.assertEqual([type(item) for item in found], [type(None)] * 20 + [tokens.Unknown] * 20)
        self.assertEqual(self.fetches(), 1)

    async def test_keys_are_kept_when_the_api_server_is_away_and_nothing_is_said_without_any(self):
        self.api.refuse = lambda *request: (503, "Unavailable", "later")
        with self.assertRaises(tokens.Unknown):
            await self.judge(self.api.token(URL))
        self.api.refuse = None
        with self.assertRaises(tokens.Unknown):
            await self.judge(self.api.token(URL))
        self.now[0] += tokens.FIRST
        await self.judge(self.api.token(URL))
        self.api.away = True
        self.now[0] += tokens.EVERY
        with self.assertRaises(tokens.Unknown):
            await self.judge(self.of_key("new"))
        await self.judge(self.api.token(URL))
