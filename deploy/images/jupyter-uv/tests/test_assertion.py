"""Which assertions a workspace accepts."""

import base64
import hashlib
import hmac
import json
import os
import tempfile
import time
import unittest
import unittest.mock

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jupyter_k8s_workspace import assertion, identity
from jupyter_k8s_workspace.assertion import GATEWAY, OPERATOR, Checker, Refused

UID = "uid-1"
NOW = 1_800_000_000


def encoded(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Signer:
    """One key of an issuer."""

    def __init__(self, key_id):
        self.key_id = key_id
        self.private = Ed25519PrivateKey.generate()
        self.raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def public(self):
        return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.key_id, "x": encoded(self.raw)}

    def sign(self, header=None, **claims):
        now = claims.pop("now", int(time.time()))
        content = {"iss": GATEWAY, "aud": UID, "sub": "alice", "iat": now, "nbf": now, "exp": now + 60}
        content.update(claims)
        content = {name: value for name, value in content.items() if value is not None}
        headers = {"kid": self.key_id, **(header or {})}
        # Not jwt.encode, which makes no token that it would not take.
        return jwt.api_jws.encode(json.dumps(content).encode(), self.private, algorithm="EdDSA", headers=headers)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.gateway, self.operator = Signer("g"), Signer("o")
        self.publish("gateway.json", self.gateway)
        self.publish("operator.json", self.operator)
        self.checker = Checker(UID, self.folder)

    def publish(self, name, *signers):
        """As the kubelet does: another file in the place of the old one."""
        path = os.path.join(self.folder, name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump({"keys": [signer.public() for signer in signers]}, file)
        os.replace(path + ".new", path)

    def refused(self, *values):
        with self.assertRaises(Refused) as caught:
            self.checker.check(list(values))
        return str(caught.exception)


class Assertions(Case):
    def test_a_good_one_names_the_person_and_the_end_of_the_session(self):
        attested = self.checker.check([self.gateway.sign(session_end=NOW)])
        self.assertEqual((attested.issuer, attested.subject, attested.session_end), (GATEWAY, "alice", NOW))

    def test_none_and_two_are_refused(self):
        good = self.gateway.sign()
        self.refused()
        self.refused(good, good)
        self.refused(f"{good}, {good}")

    def test_time_is_kept_with_a_small_leeway(self):
        now = int(time.time())
        self.refused(self.gateway.sign(now=now - 60 - assertion.LEEWAY - 1))
        self.refused(self.gateway.sign(now=now + assertion.LEEWAY + 30))
        self.checker.check([self.gateway.sign(now=now + assertion.LEEWAY - 5)])
        self.checker.check([self.gateway.sign(now=now - 60 - assertion.LEEWAY + 5)])

    def test_one_that_was_good_is_good_no_longer_than_it_says(self):
        clock = [time.time()]
        checker = Checker(UID, self.folder, now=lambda: clock[0])
        token = self.gateway.sign(now=int(clock[0]) - 60 - assertion.LEEWAY + 2)
        checker.check([token])
        clock[0] += 3
        with unittest.mock.patch.object(checker, "_verify", side_effect=Refused("asked again")):
            with self.assertRaisesRegex(Refused, "asked again"):
                checker.check([token])

    def test_other_audiences_issuers_and_keys_are_refused(self):
        for claims in [
            {"aud": "uid-2"},
            {"aud": [UID]},
            {"aud": [UID, "uid-2"]},
            {"iss": "somebody"},
            {"iss": OPERATOR},
            {"iss": ["jupyter-k8s-gateway"]},
            {"sub": ""},
            {"sub": 7},
        ]:
            with self.subTest(claims):
                self.refused(self.gateway.sign(**claims))
        self.refused(Signer("g").sign())
        self.refused(Signer("unknown").sign())
        self.refused(self.operator.sign())

    def test_every_claim_is_needed(self):
        for claim in assertion.REQUIRED:
            with self.subTest(claim):
                self.refused(self.gateway.sign(**{claim: None}))

    def test_the_algorithm_is_pinned(self):
        content = {"iss": GATEWAY, "aud": UID, "sub": "alice", "iat": NOW, "nbf": NOW, "exp": NOW * 2}
        self.refused(jwt.encode(content, None, algorithm="none", headers={"kid": "g"}))
        # Signed by the public key as if it were a shared secret.
        signed = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "g"}, content))
        tag = hmac.new(self.gateway.raw, signed.encode(), hashlib.sha256).digest()
        self.refused(f"{signed}.{encoded(tag)}")
        self.refused(self.gateway.sign(header={"crit": ["b64"], "b64": True}))

    def test_whatever_is_no_token_is_refused_and_breaks_nothing(self):
        good = self.gateway.sign()
        head, body, signature = good.split(".")
        other = self.gateway.sign(sub="mallory").split(".")[1]
        for text in [
            f"{encoded(b'{}')}.{body}.{signature}",
            f"""{encoded(b'{"alg":"EdDSA","kid":["g"]}')}.{body}.{signature}""",
            "",
            ".",
            "..",
            "a.b.c",
            "x" * 10_000,
            f"{good}.",
            good[:-4],
            f"{head}.{other}.{signature}",
            f"{head}.{encoded(b'[]')}.{signature}",
            f" {good}",
            f"{good}\u0660",
        ]:
            with self.subTest(text[:20]):
                self.refused(text)

    def test_rotated_keys_are_taken_up_and_dropped_ones_no_longer_count(self):
        later = Signer("later")
        self.refused(later.sign())
        self.publish("gateway.json", self.gateway, later)
        self.checker.check([later.sign()])
        self.publish("gateway.json", later)
        self.refused(self.gateway.sign(sub="again"))

    def test_missing_or_broken_key_files_refuse_everybody(self):
        path = os.path.join(self.folder, "gateway.json")
        for content in ["", "{}", "[]", '{"keys": 1}', '{"keys": [{"kty": "OKP"}]}', '{"keys": ["x"]}']:
            with self.subTest(content):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(content)
                self.refused(self.gateway.sign())
        os.remove(path)
        self.refused(self.gateway.sign())

    def test_what_is_kept_is_bounded(self):
        for number in range(assertion.KEPT + 5):
            self.checker.check([self.gateway.sign(sub=f"person-{number}")])
        self.assertLessEqual(len(self.checker._good), assertion.KEPT)


class Environment(unittest.TestCase):
    def test_a_pod_that_was_told_nothing_believes_nobody(self):
        for environment in [{}, {identity.KEYS_VARIABLE: ""}, {identity.KEYS_VARIABLE: "/keys"}]:
            with self.subTest(environment), self.assertRaises(Refused):
                identity.checker(environment).check(["x"])

    def test_only_one_word_opens_a_pod(self):
        self.assertIsNone(identity.checker({identity.KEYS_VARIABLE: identity.OPEN}))
        self.assertIsNotNone(identity.checker({identity.KEYS_VARIABLE: "None", identity.UID_VARIABLE: UID}))


class Names(unittest.TestCase):
    def test_people_are_shown_by_a_name_and_initials(self):
        for user_name, shown, letters in [
            ("alice", "alice", "A"),
            ("https://id.example/realm#alice.smith", "alice.smith", "AS"),
            ("bob.m.jones@example.org", "bob.m.jones", "BJ"),
            ("oidc:carol", "carol", "C"),
            ("system:serviceaccount:team:robot-two", "robot-two", "RT"),
            ("#", "#", "#"),
            ("…", "…", "…"),
        ]:
            with self.subTest(user_name):
                self.assertEqual(identity.display_name(user_name), shown)
                self.assertEqual(identity.initials(shown), letters)


if __name__ == "__main__":
    unittest.main()
