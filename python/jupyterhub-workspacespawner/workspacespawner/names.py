"""Names of users and servers -> names of objects and values of labels (pure).

Fields of settings and labels are those of KubeSpawner's scheme `safe`, so that a claim of the old hub fits the new one: 32 bits of a hash
tell names apart that are no valid ones. The name of a workspace, and so of its disk, is ours: 64 bits, of the hub's number of the user.
"""

import hashlib
import re

LONGEST = 48
# Digits of a hash: KubeSpawner's, and of a workspace's name.
_HASH, _LONG_HASH = 8, 16
# Of two names that are too long together, this much of each; and in a workspace's name.
_HALF, _SHORT_HALF = 17, 13
_OBJECT = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_FIELD = re.compile(r"\{([a-z_]+)\}")
_LAST_FIELD = re.compile(_FIELD.pattern + r"\Z")


def slug(name: str) -> str:
    """A name for one part of an object's name: itself if it is a DNS-1035 label or empty, else with a hash."""
    return _slug(name, _OBJECT, LONGEST, LONGEST)


def label(name: str) -> str:
    """A value of a label; the empty name is one."""
    return _slug(name, _LABEL, 63, 32)


def workspace(person: str, user: str, server: str, attempt: int) -> str:
    """The name of a new workspace, at most 48 characters, beginning with a letter. Person, server and attempt tell it from others."""
    readable = "--".join(_readable(name, _SHORT_HALF) for name in (user, server) if name)
    return f"{readable}---{_hash(person, server, str(attempt), digits=_LONG_HASH)}"


def user_server(user: str, server: str) -> str:
    """Both names in one, at most 48 characters, beginning with a letter."""
    first, second = slug(user), slug(server)
    if len(first) + len(second) + 2 > LONGEST:
        return f"{_readable(user, _HALF)}--{_readable(server, _HALF)}---{_hash(user, server)}"
    return f"{first}--{second}" if second else first


def escape(name: str) -> str:
    """A name in KubeSpawner's earlier scheme `escape`, which older claims have: other characters as their bytes, each after "-"."""
    return re.sub("[^a-z0-9]", lambda other: "".join(f"-{byte:x}" for byte in other[0].encode()), name)


def fields(user: str, server: str) -> dict:
    """KubeSpawner's fields of both names."""
    first, second, both = slug(user), slug(server), user_server(user, server)
    return {
        "username": first, "safe_username": first, "unescaped_username": user, "escaped_username": escape(user),
        "servername": second, "safe_servername": second, "unescaped_servername": server, "escaped_servername": escape(server),
        "user_server": both, "safe_user_server": both, "escaped_user_server": f"{escape(user)}--{escape(server)}",
    }  # fmt: skip


def expand(text: str, values: dict) -> str:
    """Fields in text, as KubeSpawner replaces them; other braces stay. It removes each "-" that a field leaves at the end, as of an empty name.

    It also removes those of a name as it is: "bob-" would have bob's claim or folder. Here they stay.
    """
    while (last := _LAST_FIELD.search(text)) and values.get(last[1]) == "":
        text = text[: last.start()].rstrip("-")
    found = _FIELD.sub(lambda field: values.get(field[1], field[0]), text)
    return found.rstrip("-") if last and not last[1].startswith("unescaped_") else found


def _slug(name: str, valid: re.Pattern, longest: int, hashed: int) -> str:
    # "--" joins two parts and "---" begins a hash: nobody's name may look as if it had either.
    if not name or valid.fullmatch(name) and len(name) <= longest and "--" not in name:
        return name
    return f"{_readable(name, hashed - _HASH - 3)}---{_hash(name)}"


def _hash(*names: str, digits: int = _HASH) -> str:
    # 0xff is in no UTF-8, so ("ab", "c") and ("a", "bc") differ.
    return hashlib.sha256(b"\xff".join(name.encode() for name in names)).hexdigest()[:digits]


def _readable(name: str, longest: int) -> str:
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).lstrip("-")[:longest].rstrip("-")
    if text and not text[0].isalpha():
        text = "x-" + text[: longest - 2]
    return text or "x"
