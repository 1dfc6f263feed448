"""Names of users and servers -> names of objects and values of labels (pure).

They are those of KubeSpawner's scheme `safe`, so that an administrator finds the same names, and a claim of the old
hub fits the new one. A name that is no valid one already gets a hash of all of it, so no two have the same.
"""

import hashlib
import re

LONGEST = 48
_HASH = 8
# Of two names that are too long together, this much of each.
_HALF = 17
_OBJECT = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def slug(name: str) -> str:
    """A name for one part of an object's name: itself if it is a DNS-1035 label or empty, else with a hash."""
    return _slug(name, _OBJECT, LONGEST, LONGEST)


def label(name: str) -> str:
    """A value of a label; the empty name is one."""
    return _slug(name, _LABEL, 63, 32)


def user_server(user: str, server: str) -> str:
    """The name of a server's workspace, at most 48 characters, beginning with a letter."""
    first, second = slug(user), slug(server)
    if len(first) + len(second) + 2 > LONGEST:
        return f"{_readable(user, _HALF)}--{_readable(server, _HALF)}---{_hash(user, server)}"
    return f"{first}--{second}" if second else first


def _slug(name: str, valid: re.Pattern, longest: int, hashed: int) -> str:
    # "--" joins two parts and "---" begins a hash: nobody's name may look as if it had either.
    if not name or valid.fullmatch(name) and len(name) <= longest and "--" not in name:
        return name
    return f"{_readable(name, hashed - _HASH - 3)}---{_hash(name)}"


def _hash(*names: str) -> str:
    # 0xff is in no UTF-8, so ("ab", "c") and ("a", "bc") differ.
    return hashlib.sha256(b"\xff".join(name.encode() for name in names)).hexdigest()[:_HASH]


def _readable(name: str, longest: int) -> str:
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).lstrip("-")[:longest].rstrip("-")
    if text and not text[0].isalpha():
        text = "x-" + text[: longest - 2]
    return text or "x"
