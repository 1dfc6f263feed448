"""Command of a Jupyter server that no door started, such as a template's -> the same command behind the door.

`jupyter_server_config.py` calls this before the server listens, however it was started: `jupyter lab`, a module of Python, a script.
"""

import os
import re
import sys

# Set by the door for what it starts.
VARIABLE = "WORKSPACE_DOOR"
# The door with the image's own arguments; the command follows.
PROGRAM = "/usr/local/bin/behind-door"
# What the door needs. It fills in the words in braces.
FLAGS = [
    "--ServerApp.sock={socket}",
    "--ServerApp.port=8888",
    "--ServerApp.base_url={base-path}",
    "--ServerApp.certfile=",
    "--ServerApp.keyfile=",
]

# A flag may be given once, so the command's own flags of these names go. Where a value is a word of its own, it follows.
_REPLACED = re.compile(
    r"--(?:(?:ServerApp|LabApp|NotebookApp|ExtensionApp)\.)?(port|ip|sock|base_url|certfile|keyfile)(?:=(.*))?", re.DOTALL
)


def behind_door(words, base_path):
    """The words of a command with the door's flags in place of its own, and what has to be said about those that were left out."""
    kept, notes = [], []
    rest = iter(words)
    for word in rest:
        found = _REPLACED.fullmatch(word)
        if not found:
            kept.append(word)
            continue
        name, value = found.groups()
        if value is None:
            value = next(rest, "")
        served = f"/{base_path.strip('/')}/".replace("//", "/")
        asked = f"/{value.strip('/')}/".replace("//", "/")
        if name == "base_url" and asked != served:
            notes.append(f"--ServerApp.base_url: {value} must be {served}, where the gateway serves this workspace; {served} is used")
    return [*kept, *FLAGS], notes


def start():
    """Becomes the door, which starts this command again, unless the door has started it or the image has none."""
    if VARIABLE in os.environ or not os.path.exists(PROGRAM):
        return
    words, notes = behind_door(sys.orig_argv[1:], os.environ.get("WORKSPACE_BASE_PATH", "/"))
    for note in notes:
        print(note, file=sys.stderr)
    sys.stderr.flush()
    # -sP: nothing in the home keeps the server from starting, as in the image's own command.
    os.execv(PROGRAM, [PROGRAM, sys.executable, "-sP", *words])
