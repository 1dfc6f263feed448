"""Names of objects: fixed ones, KubeSpawner's own, and what Kubernetes takes."""

import datetime
import itertools
import random
import re
import string
import unittest

from kubespawner import slugs

from workspacespawner import names, objects

# (user, server) -> both in one. Claims of another hub are found by it, so it never changes.
GOLDEN = {
    ("alice", ""): "alice",
    ("alice", "gpu"): "alice--gpu",
    ("Alice", ""): "alice---3bc51062",
    ("a-b", ""): "a-b",
    ("a.b", ""): "a-b---2e7336dc",
    ("a--b", ""): "a-b---90827a2e",
    ("DOM\\alice", ""): "dom-alice---ec01380f",
    ("alice@example.com", "my lab"): "alice-example-com---ff8d9819--my-lab---e283ee3c",
    ("1", ""): "x-1---6b86b273",
    ("😀", ""): "x---f0443a34",
    ("{user}\n", ""): "user---6238f11b",
    ("a" * 500, ""): "aaaaaaaaaaaaaaaaa--x---2d64e129",
    ("alice", "s" * 40): "alice--ssssssssssssssssssssssssssssssssssssssss",
}


class Identity(unittest.TestCase):
    def test_a_workspace_without_a_state_is_a_users_by_number_time_and_in_the_minute_of_clocks_by_name(self):
        since = datetime.datetime(2026, 1, 1, 12, 0, 0, 500_000)
        server = objects.Server("hub", "dave", 7, since, "", "", "/user/dave/")

        def was_its(created="2026-01-01T12:00:01Z", number="7", user="dave", name="", given=None, **meta):
            annotations = {objects.USER: user, objects.SERVER: name, **({objects.GIVEN_TO: given} if given else {})}
            meta.update(name="any", creationTimestamp=created, annotations=annotations)
            return server.was_its(objects.Workspace({"metadata": meta, "spec": {"variables": {"hub.userid": number}}}))

        self.assertTrue(was_its())
        self.assertTrue(was_its(user="as-he-was-called"))
        self.assertTrue(was_its("2026-01-01T12:00:00Z", user="as-he-was-called"), "Kubernetes writes whole seconds")
        self.assertTrue(was_its("2026-01-01T11:59:30Z"), "the clocks differ")
        self.assertFalse(was_its("2026-01-01T11:59:30Z", user="alice"), "of the earlier user of the number")
        self.assertFalse(was_its("2026-01-01T11:58:00Z"))
        self.assertTrue(was_its("2026-01-01T11:58:00Z", number="3", given="7"))
        self.assertFalse(was_its(number="8"))
        self.assertFalse(was_its(name="other"))
        self.assertFalse(was_its(deletionTimestamp="2026-01-01T12:30:00Z"))


class Names(unittest.TestCase):
    def test_names_are_fixed(self):
        for key, name in GOLDEN.items():
            self.assertEqual(names.user_server(*key), name, key)

    def test_names_are_those_of_the_released_kubespawner(self):
        for user, server in [*GOLDEN, *self.random_pairs()]:
            self.assertEqual(names.user_server(user, server), theirs("{user_server}", user, server), (user, server))
            self.assertEqual(names.slug(user), slugs.safe_slug(user, max_length=48))
            self.assertEqual(names.label(user), slugs.safe_slug(user, is_valid=slugs.is_valid_label))

    def test_fields_in_text_become_what_the_released_kubespawner_makes_of_them(self):
        # The first three are names of claims in earlier charts.
        texts = ["claim-{username}--{servername}", "claim-{escaped_username}{escaped_servername}", "claim-{escaped_user_server}", "a-", "{servername}-", "-{x}-"]
        texts += [f"{{{way}_{what}}}" for way in ("safe", "escaped") for what in ("username", "servername", "user_server")]
        texts += ["{username}", "{servername}", "{unescaped_username}", "{unescaped_servername}", "{user_server}"]
        for user, server in [("alice@example.com", ""), ("Ann", "-"), ("bob-", "b-"), *GOLDEN, *self.random_pairs()[:100]]:
            values = names.fields(user, server)
            for text in texts:
                if "unescaped" in text and names.expand(text, values).endswith("-"):
                    continue
                # It takes doubled braces for a brace, and unknown fields for an error.
                self.assertEqual(names.expand(text, values), theirs(text.replace("{x}", "{{x}}"), user, server), (text, user, server))
        for text in ("home/{unescaped_username}", "home/{unescaped_username}--{servername}"):
            self.assertEqual(names.expand(text, names.fields("bob-", "")), "home/bob-")
        self.assertEqual(names.expand("claim-{escaped_user_server}", names.fields("Ann@x.org", "")), "claim--41nn-40x-2eorg")

    def test_every_name_is_a_valid_one_and_no_two_are_the_same(self):
        found = {}
        for pair in self.random_pairs():
            name = names.user_server(*pair)
            self.assertTrue(re.fullmatch("[a-z]([-a-z0-9]{0,46}[a-z0-9])?", name), name)
            self.assertEqual(found.setdefault(name, pair), pair)
            self.assertTrue(re.fullmatch("([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", names.label(pair[0])))

    def test_workspaces_of_users_whose_names_no_32_bits_tell_apart_have_names_of_their_own(self):
        # Found within seconds.
        users = "wanDAATexAMPlEorgxyZ", "waNdaAtExAmPleOrgxyz"
        self.assertEqual(names.user_server(users[0], ""), names.user_server(users[1], ""))
        self.assertEqual(len({names.workspace(f"{number} 2026", user, "", 0) for number, user in enumerate(users)}), 2)
        # The same name: the number decides, then the server, then the attempt.
        found = [names.workspace(*of) for of in itertools.product(("1 2026", "2 2026", "1 2027"), ("a",), ("", "s"), (0, 1))]
        self.assertEqual(len(set(found)), len(found))
        self.assertRegex(found[0], "^a---[0-9a-f]{16}$")
        for user, server in self.random_pairs():
            self.assertRegex(names.workspace("1", user, server, 0), "^(?=.{1,48}$)[a-z]([-a-z0-9]*[a-z0-9])?$")

    def random_pairs(self):
        rng = random.Random(1)
        letters = string.ascii_lowercase + "ABC0123-._@ {}\\\n" + "é😀"
        word = lambda longest: "".join(rng.choice(letters) for _ in range(rng.randint(0, longest)))
        return [(word(rng.choice([3, 10, 60])) or "u", word(rng.choice([0, 5, 60]))) for _ in range(2000)]


def theirs(text, user, server):
    """What KubeSpawner makes of text with fields."""
    from unittest import mock

    from kubespawner import KubeSpawner

    spawner = mock.Mock(slug_scheme="safe", namespace="n", pod_name="p", pvc_name="c")
    spawner.name, spawner.user.name, spawner.user.id = server, user, 1
    spawner._namespace_default.return_value = "n"
    return KubeSpawner._expand_user_properties(spawner, text)
