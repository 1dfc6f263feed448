"""Profiles and options: what is offered, what is taken, what is refused in which words; and who may use which template."""

import copy
import json
import pathlib
import re
import types
import unittest.mock

import api_server
import jupyterhub
from hub import Case

from workspacespawner import access, profiles

LIST = [
    {
        "display_name": "Small <b>lab</b>",
        "slug": "small",
        "kubespawner_override": {"mem_limit": "1G", "extra_labels": {"size": "s", "other": "x"}},
        "profile_options": {
            "image": {
                "choices": {
                    "base": {"display_name": "Base", "kubespawner_override": {"image": "base:1"}},
                    "full": {"display_name": "Full", "kubespawner_override": {"image": "full:1", "extra_labels": {"other": None}}},
                },
                "unlisted_choice": {
                    "enabled": True, "validation_regex": "quay.io/[a-z]+", "kubespawner_override": {"image": "{value}", "extra_labels": {"x": "{y}"}},
                },
            },
            "closed": {"choices": {"one": {}, "two": {"default": True, "spawner_override": {"port": 9000}}}},
        },
    },
    {"template": "gpu", "groups": ["ml"], "users": ["zoe"]},
]

# The words with which the rules refuse choices, as their own test has them.
REFUSED = pathlib.Path(__file__).parents[3] / "crates/rules/tests/refused_options.json"

# The template has the options `gpu` and `memory-of-gpu`, which holds for one choice alone, and `image`.
OF_TEMPLATE = [
    {
        "template": "gpu",
        "profile_options": {
            "device": {
                "template_option": "gpu",
                "choices": {"none": {"display_name": "None"}, "a100": {"display_name": "NVIDIA A100"}, "t4": {"display_name": "NVIDIA T4"}},
            },
            "part": {"template_option": "memory-of-gpu", "choices": {"unset": {"display_name": "-", "kubespawner_override": {}}, "40g": {}}},
            "image": {
                "template_option": "image",
                "choices": {"lab": {"default": True}, "r": {"kubespawner_override": {"template_options": {"image": "rstudio"}, "port": 9000}}},
                "unlisted_choice": {"enabled": True, "kubespawner_override": {"image": "{value}"}},
            },
        },
    }
]


class Choices(unittest.TestCase):
    def choose(self, **options):
        offered = profiles.entries(LIST)
        return profiles.choose(profiles.check(options), profiles.find(options, offered))

    def test_a_list_a_dict_and_a_template_alone_are_profiles(self):
        found = profiles.entries(LIST)
        self.assertEqual([item["slug"] for item in found], ["small", "gpu"])
        self.assertEqual(found[1]["display_name"], "gpu")
        self.assertEqual([item["slug"] for item in profiles.entries({"b": LIST[0], "a": LIST[1]})], ["gpu", "small"])
        self.assertEqual(profiles.find({}, found), found[0])
        self.assertEqual(profiles.entries([{"display_name": "Data Science: R!"}])[0]["slug"], "data-science-r")

    def test_fields_of_the_form_are_kubespawners(self):
        form = {"profile": ["small"], "profile-option-small--image": ["full"], "profile-option-gpu--image": ["x"], "_xsrf": ["y"]}
        self.assertEqual(profiles.parse_form(form), {"profile": "small", "image": "full"})
        self.assertEqual(profiles.parse_form({}), {})

    def test_overrides_come_in_order_profile_then_options_then_defaults(self):
        found = self.choose(profile="small", image="full")
        self.assertEqual([item.get("image") or item.get("port") or item.get("mem_limit") for item in found], ["1G", "full:1", 9000])
        self.assertEqual(self.choose()[1]["image"], "base:1")
        self.assertEqual(self.choose(profile="gpu")[0], {"template": "gpu"})

    def test_an_unlisted_choice_must_match_as_a_whole_and_is_nothing_but_text(self):
        found = self.choose(**{"profile": "small", "image--unlisted-choice": "quay.io/lab"})
        self.assertEqual(found[1], {"image": "quay.io/lab", "extra_labels": {"x": "{y}"}})
        for bad in ("quay.io/lab:evil", "x quay.io/lab", "quay.io/lab\n", "quay.io/{x}", "QUAY.IO/lab"):
            with self.assertRaisesRegex(profiles.Bad, "'image'.*must|'image'.*does not fit"):
                self.choose(**{"profile": "small", "image--unlisted-choice": bad})
        self.assertEqual(profiles._format({"a": ["{value}"]}, "{b}"), {"a": ["{b}"]})

    def test_what_is_not_offered_is_refused_by_option_value_and_rule(self):
        for options, words in (
            ({"profile": "none"}, "there is no 'none'"),
            ({"profile": "{x.__class__}"}, "there is no"),
            ({"image": "none"}, "option 'image' must be one of base, full, it is 'none'"),
            ({"profile": "small", "closed--unlisted-choice": "x"}, "option 'closed' must be one of one, two"),
            ({"profile": ["small"]}, "option 'profile' must be text, it is list"),
            ({"profile": 1}, "must be text, it is int"),
            ({"profile": True}, "must be text, it is bool"),
            ({"image": {"a": {}}}, "must be text, it is dict"),
            ({"image": "é" * 2049}, "at most 4096 bytes"),
            ({"__jupyterhub_x": "1"}, "JupyterHub's own"),
            ({str(number): "" for number in range(65)}, "at most 64 options"),
        ):
            with self.subTest(words), self.assertRaisesRegex(profiles.Bad, words) as caught:
                profiles.check(options)
                self.choose(**options)
            self.assertEqual(caught.exception.status, 403 if "there is no" in words else 400)
            self.assertLess(len(str(caught.exception)), 400)
        for options in ([], "x", None, 1):
            with self.assertRaisesRegex(profiles.Bad, "must be an object"):
                profiles.check(options)
        nested = []
        for _ in range(1000):
            nested = [nested]
        with self.assertRaises(profiles.Bad):
            profiles.check({"a": nested})

    def test_dicts_merge_and_none_removes(self):
        self.assertEqual(profiles.merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": None, "e": 4}}), {"a": {"c": 2, "e": 4}, "d": 3})
        self.assertEqual(profiles.merge([1], [2]), [2])

    def test_a_profile_is_for_whom_it_names(self):
        entry = LIST[1]
        self.assertTrue(profiles.is_for(LIST[0], "alice", set()))
        self.assertFalse(profiles.is_for(entry, "alice", {"other"}))
        self.assertTrue(profiles.is_for(entry, "alice", {"ml"}))
        self.assertTrue(profiles.is_for(entry, "zoe", set()))


class Spawn(Case):
    config = {"profile_list": LIST, "common_labels": {}, "extra_labels": {"base": "1"}}

    async def refused(self, status, words, name="alice", **options):
        with self.assertRaisesRegex(Exception, words) as caught:
            await self.spawn(name, options=options)
        self.assertEqual(caught.exception.status_code, status)
        return str(caught.exception)

    async def test_what_is_chosen_is_in_the_workspace_and_gone_with_the_next_choice(self):
        await self.spawn(options={"profile": "small", "image": "full"})
        raw = self.api.objects["alice"]
        self.assertEqual((raw["spec"]["image"], raw["spec"]["port"]), ("full:1", 9000))
        self.assertEqual({k: v for k, v in raw["metadata"]["labels"].items() if "/" not in k}, {"base": "1", "size": "s"})
        await self.user().stop("")
        await self.refused(400, "must be one of base, full", profile="small", image="x")
        await self.spawn(options={"profile": "small"})
        self.assertEqual(raw["spec"]["image"], "base:1")
        self.assertEqual(raw["metadata"]["labels"]["other"], "x")

    async def test_a_stored_choice_that_is_no_longer_offered_gives_way_to_the_default_and_is_told(self):
        request = types.SimpleNamespace(body=b"", query_arguments={"next": [b"/"]})
        handler = types.SimpleNamespace(request=request, settings={})
        await self.spawn(options={"profile": "small", "image": "full"})
        await self.user().stop("")
        # It counts for as long as it is offered.
        await self.user().spawn("", handler=handler)
        self.assertEqual(self.api.objects["alice"]["spec"]["image"], "full:1")
        await self.user().stop("")
        self.new_hub(profile_list=[{"display_name": "New", "template": "new"}])
        # The control: the same, sent.
        request.body = b"{}"
        with self.assertRaisesRegex(Exception, "there is no 'small'"):
            await self.user().spawn("", options={"profile": "small"}, handler=handler)
        request.body = b""
        await self.user().spawn("", handler=handler)
        self.assertEqual(self.api.objects["alice"]["spec"]["templateRef"], "new")
        self.assertIn("no longer offered", self.of(self.user())._notes[0])

    async def test_a_profile_of_others_is_refused_in_the_words_for_what_does_not_exist(self):
        self.user("gus", groups=["ml"])
        words = await self.refused(403, "there is no 'gpu'", profile="gpu")
        missing = await self.refused(403, "there is no 'none'", profile="none")
        self.assertEqual(words.split("profile must")[1].replace("gpu", "none"), missing.split("profile must")[1])
        self.assertEqual(self.api.objects, {})
        await self.spawn("gus", options={"profile": "gpu"})
        self.assertEqual(self.api.objects["gus"]["spec"]["templateRef"], "gpu")

    async def test_lists_made_by_functions_count(self):
        async def made(spawner):
            return [{"template": "for-" + spawner.user.name}]

        for function in (made, lambda spawner: [{"template": "for-" + spawner.user.name}]):
            self.new_hub(profile_list=function)
            await self.spawn()
            self.assertEqual(self.api.objects["alice"]["spec"]["templateRef"], "for-alice")
            await self.user().stop("")

    async def test_the_form_shows_what_is_offered_and_what_was_chosen_and_runs_nothing(self):
        spawner = self.of(self.user())
        form = await spawner.get_options_form()
        self.assertIn('name="profile" value="small" checked', form)
        self.assertIn('name="profile-option-small--image--unlisted-choice"', form)
        self.assertNotIn("gpu", form)
        self.assertIn("Small &lt;b&gt;lab", form)
        spawner.user_options = {"profile": "small", "image": "full"}
        self.assertIn('value="full" selected', await spawner.get_options_form())
        self.new_hub(profile_list=[{"template": "t", "profile_options": {"o": {"unlisted_choice": {"enabled": True}}}}])
        spawner = self.of(self.user())
        spawner.user_options = {"profile": "t", "o--unlisted-choice": '"><script>'}
        self.assertIn('value="&#34;&gt;&lt;script&gt;"', await spawner.get_options_form())
        spawner.user_options = {"profile": "t", "o--unlisted-choice": "{{ 6 * 7 }}"}
        form = await spawner.get_options_form()
        self.assertNotIn("{{", form)
        self.new_hub(profile_form_template="{% for p in profile_list %}[{{ p.slug }}]{% endfor %}", profile_list=LIST)
        self.assertEqual(await self.of(self.user()).get_options_form(), "[small]")

    async def test_roles_decide_who_uses_which_template(self):
        self.new_hub(review_access=True, profile_list=[{"template": "lab"}, {"template": "gpu"}])
        now = [0.0]
        spawner = self.of(self.user("alice", groups=["ml"]))
        spawner.shared.access = access.Access(spawner.shared.cluster.api, "servers", lambda: now[0])
        for options in ({"profile": "gpu"}, {}):
            await self.refused(403, "no profile is offered to you: ask an administrator", **options)
        self.api.roles = {("hub:alice", "lab"), ("hub:ml", "gpu")}
        now[0] = access.KEPT_SECONDS
        await self.spawn(options={"profile": "gpu"})
        await self.user().stop("")
        self.api.roles = {("hub:alice", "lab")}
        now[0] *= 2
        await self.refused(403, "there is no 'gpu'", profile="gpu")
        form = await self.of(self.user()).get_options_form()
        self.assertIn('value="lab" checked', form)
        self.assertNotIn("gpu", form)
        reviews = lambda: sum("localsubject" in item[1] for item in self.api.requests)
        before = reviews()
        await self.of(self.user()).get_options_form()
        self.assertEqual(reviews(), before)
        now[0] *= 2
        self.api.reviews_fail = True
        await self.refused(503, "whether you may use template", profile="lab")
        self.api.reviews_fail, self.api.refuse = False, lambda method, path, body: (403, "Forbidden", "no") if "localsubject" in path else None
        await self.refused(503, "whether you may use template lab is not known: ask an administrator of the hub", profile="lab")

    async def test_names_of_kubernetes_own_are_never_asked_about(self):
        self.api.roles = {("system:masters", "lab"), ("system:admin", "lab"), ("hub:system:masters", "gpu"), ("ml", "lab")}
        user = self.user("alice", groups=["system:masters"])
        prefixes = [("", ""), ("hub:", ""), ("hub:", "system:")]
        for user_prefix, group_prefix in prefixes:
            self.new_hub(review_access=True, template="lab", profile_list=[], access_user_prefix=user_prefix, access_group_prefix=group_prefix)
            await self.refused(403, "lab is not")
        self.new_hub(review_access=True, template="lab", profile_list=[], access_user_prefix="")
        await self.refused(403, "lab is not", name="system:admin")
        asked = [item[2]["spec"] for item in self.api.requests if "localsubject" in item[1]]
        self.assertEqual([[spec["user"], *spec["groups"]] for spec in asked], [["alice"], ["hub:alice"]])
        await self.refused(403, "lab is not", name="kubeadm:admin")
        self.assertEqual(sum("localsubject" in item[1] for item in self.api.requests), len(asked))
        # The controls: a name behind a prefix, and another group beside it.
        self.new_hub(review_access=True, template="gpu", profile_list=[])
        await self.spawn()
        await self.user().stop("")
        self.user("alice", groups=["ml"])
        self.new_hub(review_access=True, template="lab", profile_list=[], access_group_prefix="")
        await self.spawn()

    def test_names_of_kubernetes_own_are_those_of_the_gateway(self):
        names = pathlib.Path(__file__).parents[3] / "crates/api/src/names.rs"
        listed = re.search(r"KUBERNETES_PREFIXES: [^=]*= \[(.*)\];", names.read_text())[1]
        self.assertEqual(json.loads(f"[{listed}]"), list(access.RESERVED))

    async def test_a_name_of_kubernetes_own_is_warned_of_once(self):
        self.new_hub(review_access=True, profile_list=[{"template": "lab"}, {"template": "gpu"}], access_group_prefix="")
        self.api.roles = {("hub:alice", "lab"), ("hub:alice", "gpu")}
        user = self.user("alice", groups=["system:masters"])
        with unittest.mock.patch.object(access, "get_logger") as log:
            form = await self.of(user).get_options_form()
        self.assertIn('value="gpu"', form)
        log().warning.assert_called_once()

    async def test_a_template_that_an_override_names_is_reviewed_too(self):
        choices = {"cpu": {"default": True}, "gpu": {"spawner_override": {"template": "gpu"}}}
        self.new_hub(
            review_access=True,
            profile_list=[
                {"display_name": "a", "template": "lab", "profile_options": {"kind": {"choices": choices}}},
                {"display_name": "b", "template": "lab", "kubespawner_override": {"template": "gpu"}},
            ],
        )
        self.api.roles = {("hub:alice", "lab"), ("hub:bob", "lab"), ("hub:bob", "gpu")}
        await self.refused(403, "there is no 'a'", profile="a", kind="gpu")
        await self.refused(403, "there is no 'b'", profile="b")
        self.assertEqual(self.api.objects, {})
        await self.spawn(options={"profile": "a", "kind": "cpu"})
        self.assertEqual(self.api.objects["alice"]["spec"]["templateRef"], "lab")
        for options in ({"profile": "a", "kind": "gpu"}, {"profile": "b"}):
            await self.spawn("bob", options=options)
            self.assertEqual(self.api.objects["bob"]["spec"]["templateRef"], "gpu")
            await self.user("bob").stop("")

    async def test_options_of_the_template_are_in_the_workspace_and_gone_with_the_next_choice(self):
        self.new_hub(profile_list=OF_TEMPLATE, template_options={"size": "large"})
        sent = {"profile": ["gpu"], "profile-option-gpu--device": ["a100"], "profile-option-gpu--part": ["40g"]}
        await self.spawn(options=profiles.parse_form(sent))
        spec = self.api.objects["alice"]["spec"]
        self.assertEqual(spec["options"], {"size": "large", "gpu": "a100", "memory-of-gpu": "40g", "image": "lab"})
        self.assertNotIn("image", spec)
        form = await self.of(self.user()).get_options_form()
        self.assertIn('<option value="a100" selected>NVIDIA A100</option>', form)
        await self.user().stop("")
        await self.spawn(options={"profile": "gpu", "device": "t4", "image--unlisted-choice": "r/own:1"})
        self.assertEqual(spec["options"], {"size": "large", "gpu": "t4"})
        self.assertEqual(spec["image"], "r/own:1")
        await self.user().stop("")
        await self.spawn(options={"profile": "gpu", "image": "r"})
        self.assertEqual((spec["options"], spec["port"]), ({"size": "large", "gpu": "none", "image": "rstudio"}, 9000))
        self.assertNotIn("image", spec)
        await self.user().stop("")
        self.new_hub(template="gpu", profile_list=[])
        await self.spawn()
        self.assertNotIn("options", spec)

    async def test_an_unknown_choice_of_the_template_never_leaves_the_hub(self):
        self.new_hub(profile_list=OF_TEMPLATE)
        await self.refused(400, "option 'device' must be one of none, a100, t4, it is 'h100'", device="h100")
        await self.refused(400, "option 'part' must be one of unset, 40g: others are not allowed", **{"part--unlisted-choice": "80g"})
        self.assertEqual(self.api.writes(), [])

    async def test_choices_that_do_not_go_together_are_refused_in_the_words_of_the_webhook(self):
        self.new_hub(profile_list=OF_TEMPLATE)
        record = json.loads(REFUSED.read_text())
        options_of_record = {option["name"] for option in record["options"]}
        (words,) = (row["refusal"] for row in record["refused"] if row["given"] == {"gpu": "t4", "memory-of-gpu": "40g"})

        def webhook(method, path, body):
            if method not in ("POST", "PATCH") or not path.startswith("/apis/workspaces"):
                return None
            spec = copy.deepcopy(self.api.objects["alice"]["spec"] if method == "PATCH" else {})
            api_server.merge(spec, body["spec"])
            given = {name: choice for name, choice in (spec.get("options") or {}).items() if name in options_of_record}
            refusals = [row["refusal"] for row in record["refused"] if row["given"] == given]
            return (422, "Invalid", refusals[0]) if refusals else None

        self.api.refuse = webhook
        self.assertIn(words, await self.refused(400, "choose one of 20g, 10g", device="t4", part="40g"))
        self.assertEqual(self.api.objects, {})
        await self.spawn(options={"device": "a100", "part": "40g"})
        await self.user().stop("")
        # The same of a workspace that is there: it stays stopped.
        self.assertIn(words, await self.refused(400, "choose one of 20g, 10g", device="t4", part="40g"))
        spec = self.api.objects["alice"]["spec"]
        self.assertEqual((spec["desiredStatus"], spec["options"]["gpu"]), ("Stopped", "a100"))
        await self.spawn(options={"device": "t4"})
        self.assertEqual(spec["options"], {"gpu": "t4", "image": "lab"})

    def test_a_template_option_that_an_administrator_got_wrong_is_said(self):
        for option, words in (
            ({"template_option": 1}, "template_option of 'o' must be the name of an option of the template, it is 1"),
            ({"template_option": ""}, "must be the name"),
            ({"template_option": "x", "unlisted_choice": {"enabled": True}}, "must not have an unlisted_choice without kubespawner_override"),
        ):
            with self.subTest(words), self.assertRaisesRegex(ValueError, words):
                profiles.entries([{"template": "t", "profile_options": {"o": option}}])
        profiles.entries(OF_TEMPLATE)

    async def test_a_profile_without_any_template_is_said(self):
        self.new_hub(template="", profile_list=[{"display_name": "a"}])
        await self.refused(400, "'a' must have a template")

    async def test_what_is_typed_and_fits_no_setting_is_refused_and_no_failure_of_the_hub(self):
        typed = {"unlisted_choice": {"enabled": True, "spawner_override": {"mem_limit": "{value}"}}}
        self.new_hub(profile_list=[{"template": "lab", "profile_options": {"memory": typed}}])
        await self.refused(400, "does not fit the setting mem_limit", **{"memory--unlisted-choice": "lots"})
        await self.spawn(options={"memory--unlisted-choice": "1G"})

    async def test_profiles_that_are_lost_are_said_and_change_nothing(self):
        self.new_hub(profile_list=[{"display_name": "a", "kubespawner_override": {"extra_pod_config": {"x": 1}, "image": "i"}}], template="lab")
        with unittest.mock.patch.object(type(self.of(self.user())), "_warned", set()):
            spawner = await self.spawn()
            self.assertEqual(spawner._warned, {"extra_pod_config"})
        self.assertFalse(hasattr(spawner, "extra_pod_config"))
        self.assertEqual(self.api.objects["alice"]["spec"]["image"], "i")

    @unittest.skipIf(jupyterhub.version_info < (6,), "5.x counts every failed start")
    async def test_refusals_do_not_count_as_the_hubs_failures(self):
        with self.assertRaises(Exception) as caught:
            await self.spawn(options={"profile": "none"})
        self.assertEqual((type(caught.exception).__name__, caught.exception.reason), ("SpawnException", "Options"))
