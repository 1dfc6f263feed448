"""`profile_list` and what a person chose -> the overrides of a start, or words why not (pure).

Entries, fields of the form and options are KubeSpawner's, so that its lists and forms go on working. Unlike there,
what does not exist or is not offered is refused.
"""

import copy
import re
from typing import Any

from jupyterhub.utils import recursive_update

from . import names

LONGEST_VALUE = 4096
MOST_OPTIONS = 64
UNLISTED = "--unlisted-choice"
NOTHING = "no profile is offered to you: ask an administrator of the hub"
_PREFIX = "profile-option-"


class Bad(Exception):
    """What was chosen is not offered. `status` is HTTP's."""

    reason = "Options"

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


def entries(profile_list: Any) -> list[dict]:
    """Each profile with slug, title and a default choice per option. Raises `ValueError` for what an administrator got wrong."""
    if isinstance(profile_list, dict):
        profile_list = [profile_list[key] for key in sorted(profile_list)]
    if not isinstance(profile_list, (list, tuple)):
        raise ValueError(f"profile_list must be a list or a dict of profiles, it is {type(profile_list).__name__}")
    found = [_entry(item, position) for position, item in enumerate(profile_list)]
    slugs = [item["slug"] for item in found]
    twice = next((slug for slug in slugs if slugs.count(slug) > 1), None)
    if twice:
        raise ValueError(f"profile_list must not have two profiles with the slug {twice!r}: give one of them another slug")
    return found


def _entry(item: Any, position: int) -> dict:
    if not isinstance(item, dict) or not (item.get("display_name") or item.get("template")):
        raise ValueError(f"profile_list[{position}] must be a dict with display_name or template")
    item = copy.deepcopy(item)
    item["display_name"] = item.get("display_name") or item["template"]
    item.setdefault("slug", _slug(item["display_name"]))
    for name, option in (item.get("profile_options") or {}).items():
        choices = option.get("choices") or {}
        if choices and not any(choice.get("default") for choice in choices.values()):
            next(iter(choices.values()))["default"] = True
        unlisted = option.setdefault("unlisted_choice", {})
        unlisted.setdefault("enabled", False)
        unlisted.setdefault("display_name_in_choices", "Other...")
        where = f"profile_list[{position}]: template_option of {name!r} must"
        if "template_option" in option and not (isinstance(option["template_option"], str) and option["template_option"]):
            raise ValueError(f"{where} be the name of an option of the template, it is {option['template_option']!r}")
        if "template_option" in option and unlisted["enabled"] and not _override(unlisted):
            raise ValueError(f'{where} not have an unlisted_choice without kubespawner_override: write one, such as {{"image": "{{value}}"}}')
    return item


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or names.slug(title)


def is_for(entry: dict, user: str, groups: set[str]) -> bool:
    """Whether a person is offered a profile. One that names nobody is for everybody."""
    if "users" not in entry and "groups" not in entry:
        return True
    return user in (entry.get("users") or ()) or bool(groups & set(entry.get("groups") or ()))


def parse_form(form: dict) -> dict:
    """What a form sent -> user options, by KubeSpawner's names of fields."""
    profile = next(iter(form.get("profile") or ()), None)
    if not profile:
        return {}
    prefix = f"{_PREFIX}{profile}--"
    return {"profile": profile, **{key[len(prefix) :]: value[0] for key, value in form.items() if key.startswith(prefix) and value}}


def check(options: Any) -> dict:
    """User options, if they have a shape that options can have."""
    if not isinstance(options, dict):
        raise Bad(f"user_options must be an object of options, it is {type(options).__name__}")
    if len(options) > MOST_OPTIONS:
        raise Bad(f"user_options must have at most {MOST_OPTIONS} options, it has {len(options)}")
    for name, value in options.items():
        if str(name).startswith("__jupyterhub"):
            raise Bad(f"option {_quote(name)} is JupyterHub's own: leave it out")
        if value is not None and not isinstance(value, str):
            raise Bad(f"option {_quote(name)} must be text, it is {type(value).__name__}")
        if value and len(value.encode(errors="replace")) > LONGEST_VALUE:
            raise Bad(f"option {_quote(name)} must have at most {LONGEST_VALUE} bytes")
    return options


def find(options: dict, offered: list[dict]) -> dict:
    """The chosen profile, or the default one."""
    if not offered:
        raise Bad(NOTHING, 403)
    slug = options.get("profile")
    found = [item for item in offered if (item["slug"] == slug if slug else item.get("default"))]
    if slug and not found:
        raise missing(slug)
    return (found or offered)[0]


def missing(slug: str) -> Bad:
    """The same for a profile that does not exist and for one that only others are offered."""
    return Bad(f"profile must be one that is offered, there is no {_quote(slug)}: open the form to see which there are", 403)


def choose(options: dict, profile: dict) -> list[dict]:
    """What a profile and its options override, in the order in which they count."""
    template = {"template": profile["template"]} if profile.get("template") else {}
    chosen = [_choose_option(name, option, options) for name, option in (profile.get("profile_options") or {}).items()]
    return [{**template, **_override(profile)}, *chosen]


def _choose_option(name: str, option: dict, options: dict) -> dict:
    choices, unlisted = option.get("choices") or {}, option["unlisted_choice"]
    other, choice, listed = options.get(name + UNLISTED), options.get(name), ", ".join(choices) or "none"
    if other:
        if not unlisted["enabled"]:
            raise Bad(f"option {_quote(name)} must be one of {listed}: others are not allowed")
        rule = unlisted.get("validation_regex")
        if rule and not re.fullmatch(rule, other):
            said = unlisted.get("validation_message") or f"match {rule!r} as a whole"
            raise Bad(f"option {_quote(name)}, {_quote(other)}, does not fit: {said}")
        return _format(_override(unlisted), other)
    if choice:
        if choice not in choices:
            raise Bad(f"option {_quote(name)} must be one of {listed}, it is {_quote(choice)}")
        return _override_of_choice(option, choice)
    default = next((key for key, item in choices.items() if item.get("default")), None)
    if default is None:
        raise Bad(f"option {_quote(name)} must be given: it has no default")
    return _override_of_choice(option, default)


def _override_of_choice(option: dict, key: str) -> dict:
    """What a choice overrides. Of a template's option it is that option's choice, unless it has overrides of its own, perhaps none."""
    choice = option["choices"][key]
    if "template_option" in option and not choice.keys() & {"kubespawner_override", "spawner_override"}:
        return {"template_options": {option["template_option"]: key}}
    return _override(choice)


def _override(of: dict) -> dict:
    return {**(of.get("kubespawner_override") or {}), **(of.get("spawner_override") or {})}


def _format(value: Any, text: str) -> Any:
    """`{value}` is what was typed; nothing else in braces means anything, there or in what was typed."""
    if isinstance(value, str):
        return value.replace("{value}", text)
    if isinstance(value, dict):
        return {_format(key, text): _format(item, text) for key, item in value.items()}
    return [_format(item, text) for item in value] if isinstance(value, list) else value


def merge(present: Any, change: Any) -> Any:
    """A dict gets the other one's values, None removes; anything else is replaced."""
    found, change = copy.deepcopy(present), copy.deepcopy(change)
    if not isinstance(found, dict) or not isinstance(change, dict):
        return change
    recursive_update(found, change)
    return found


def _quote(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 100 else text[:100] + "…")
