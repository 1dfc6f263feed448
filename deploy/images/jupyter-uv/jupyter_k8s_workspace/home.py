"""The home -> what of it keeps Jupyter from being used, in one line that the door shows to its user (IO).

`jupyter_server_config.py` asks before the server starts. Modules and packages of the home take no part in the start (-sP). Jupyter leaves out
most files that it cannot parse, and says so in the log. Named here is what it would wait for without end, or fail at with each page.
"""

import contextlib
import errno
import json
import os
import stat
import tempfile
from fnmatch import fnmatchcase
from glob import has_magic
from itertools import islice
from json import JSONDecodeError
from pathlib import Path

from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir

# What pages open without a look at its kind and size, in the folders for settings and for data. Everybody waits meanwhile.
_OPENED = (
    (jupyter_config_dir, "lab/user-settings/*/*.jupyterlab-settings"),
    (jupyter_config_dir, "lab/user-settings/*/*/*.jupyterlab-settings"),
    (jupyter_config_dir, "lab/workspaces/*.jupyterlab-workspace"),
    (jupyter_data_dir, "notebook_secret"),
)
# Objects that the start or each page needs, and whether Jupyter leaves out what is no file or no JSON.
_OBJECTS = (
    (jupyter_config_dir, "jupyter_*config.json", True),
    (jupyter_config_dir, "jupyter_*config.d/*.json", True),
    (jupyter_config_dir, "labconfig/*.json", True),
    (jupyter_config_dir, "labconfig/*.d/*.json", True),
    (jupyter_data_dir, "labextensions/[!@]*/package.json", False),
    (jupyter_data_dir, "labextensions/@*/*/package.json", False),
)
_LARGEST = 64 << 20
# Names that are looked at for a pattern. Links that lead in circles, or folders full of them, do not hold the check up.
_MOST_NAMES = 20_000


def obstacle(home, root):
    """What keeps the server from being used, or None. `root` is the folder whose files it shows: the home, or in recovery the disk."""
    try:
        os.scandir(root).close()
    except OSError as error:
        return _unusable(root, "read", error)
    # A full disk is no obstacle: files can be deleted.
    error = write_error(home)
    if error and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return _unusable(home, "written", error)
    for folder, pattern in _OPENED:
        for file in _files(folder(), pattern):
            if why := _wrong_kind(file):
                return f"{file} {why}"
    for folder, pattern, is_left_out in _OBJECTS:
        for file in _files(folder(), pattern):
            if why := _wrong_kind(file, is_left_out) or _wrong_object(file, is_left_out):
                return f"{file} {why}"
    return None


def write_error(folder):
    """Why nothing can be written to the folder, which is made if it is missing; or None."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            # Some file systems find only when a block is written that none is free.
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        return error
    return None


def unlock(disk):
    """Gives an owner who took their own rights away these rights back. Without them recovery would have neither files nor a terminal."""
    with contextlib.suppress(OSError):
        found = os.stat(disk)
        if found.st_uid == os.getuid():
            os.chmod(disk, stat.S_IMODE(found.st_mode) | stat.S_IRWXU)


def mark_migrated():
    """Jupyter moves what IPython 3 left, once it finds ~/.ipython, and cannot start where it fails to mark that. So the first start marks it."""
    mark = os.path.join(jupyter_config_dir(), "migrated")
    try:
        os.makedirs(os.path.dirname(mark), exist_ok=True)
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError:
        # It is there, or the next start tries again.
        pass


def _unusable(folder, verb, error):
    found = os.stat(folder)
    why, remedy = error.strerror, "An administrator can mend that"
    if error.errno == errno.EACCES:
        why = f"it belongs to user {found.st_uid} and has mode {stat.S_IMODE(found.st_mode):04o}"
        if found.st_uid == os.getuid():
            remedy = "A start in recovery mends that (chmod u+rwx)"
    return f"{folder} cannot be {verb} by user {os.getuid()}: {why}. {remedy}"


def _files(folder, pattern):
    return (Path(path) for path, matches in islice(_paths(folder, pattern.split("/")), _MOST_NAMES) if matches)


def _paths(folder, parts):
    """Each path that is looked at on the way, and whether the whole pattern matches it."""
    first, *rest = parts
    for name in _names(folder) if has_magic(first) else [first]:
        path = os.path.join(folder, name)
        matches = fnmatchcase(name, first)
        yield path, matches and not rest
        if matches and rest:
            yield from _paths(path, rest)


def _names(folder):
    try:
        with os.scandir(folder) as entries:
            # Jupyter leaves out hidden ones, too.
            yield from (entry.name for entry in entries if not entry.name.startswith("."))
    except OSError:
        return


def _wrong_kind(file, is_left_out=False):
    try:
        found = file.stat()
    except OSError:
        # It cannot be opened at all.
        return None
    if stat.S_ISREG(found.st_mode):
        if found.st_size > _LARGEST:
            return f"has {found.st_size >> 20} MiB; it must not have more than {_LARGEST >> 20} MiB"
        return None
    if stat.S_ISDIR(found.st_mode) or is_left_out:
        return None
    return "is a named pipe or device; it must be a file"


def _wrong_object(file, is_left_out):
    try:
        if not file.is_file():
            return None
        content = json.loads(file.read_text("utf-8"))
    except OSError:
        return None
    except JSONDecodeError as error:
        return None if is_left_out else f"must be JSON: {error}"
    except UnicodeDecodeError as error:
        return f"must be UTF-8: {error.reason} at byte {error.start}"
    except (ValueError, RecursionError) as error:
        # A number or a nesting beyond Python's limits: Jupyter fails at it, too.
        return f"cannot be read as JSON: {error}"
    return None if isinstance(content, dict) else "must be a JSON object"
