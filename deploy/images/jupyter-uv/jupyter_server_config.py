"""JupyterLab behind the door. Environment and files in the home (~/.jupyter) can still set what is not set here."""

import os
import sys
import tempfile

from jupyter_core.paths import jupyter_data_dir, jupyter_runtime_dir
from jupyter_k8s_workspace import door, home

c = get_config()  # noqa: F821 - Jupyter's loader provides it

# The door listens on the workspace's port (JUPYTER_PORT) and gives the server its socket as a flag. A server that the door has not started,
# such as by the command of a template, ends here and starts anew behind the door.
door.start()
# Jupyter takes JUPYTER_PORT for its own port, and no other than this one beside a socket.
c.ServerApp.port = 8888
# Where browsers find this server, if it shares its host with others.
c.ServerApp.base_url = os.environ.get("WORKSPACE_BASE_PATH", "/")
# In recovery the home is empty. What is to be repaired is on the disk, often in hidden files.
disk = os.environ.get("WORKSPACE_RECOVERY_DISK")
c.ServerApp.root_dir = disk or os.environ["HOME"]
if disk:
    c.ContentsManager.allow_hidden = True
    home.unlock(disk)
# The last line of a server that ends is what its user sees.
if obstacle := home.obstacle(os.environ["HOME"], disk or os.environ["HOME"]):
    sys.exit(obstacle)
home.mark_migrated()
# On a full disk, notebooks open and kernels start.
if error := home.write_error(jupyter_data_dir()):
    print(f"the home is full or cannot be written: {error}", file=sys.stderr)
    c.NotebookNotary.data_dir = jupyter_runtime_dir()
    if not os.path.isdir(os.path.join(os.environ["HOME"], ".ipython")):
        os.environ.setdefault("IPYTHONDIR", os.path.join(tempfile.gettempdir(), "ipython"))
# With a secret that cannot be read, no notebook could be saved.
elif os.path.exists(secret := os.path.join(jupyter_data_dir(), "notebook_secret")) and not os.access(secret, os.R_OK):
    print(f"{secret} cannot be read; notebooks are trusted during this run", file=sys.stderr)
    c.NotebookNotary.data_dir = jupyter_runtime_dir()
c.ServerApp.open_browser = False
# Terminals read ~/.bashrc and keep the container's PATH, because they are no login shells. Installers (nvm, rustup) write to ~/.bashrc if it
# is there.
c.ServerApp.terminado_settings = {"shell_command": [os.environ.get("SHELL") or "/bin/bash"]}
try:
    # Nobody waits for the other end of a named pipe.
    os.close(os.open(os.path.join(os.environ["HOME"], ".bashrc"), os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o666))
except OSError as error:
    print(f"terminals have no ~/.bashrc: {error}", file=sys.stderr)
# The gateway decides who may connect and attests the user of each request; the door answers 401 to others. If another service decides, the
# operator sets "none", and only a NetworkPolicy keeps other clients away.
c.IdentityProvider.token = ""
if os.environ.get("WORKSPACE_ASSERTION_KEYS") != "none":
    c.ServerApp.identity_provider_class = "jupyter_k8s_workspace.AssertedIdentityProvider"
# People in one notebook, and agents that edit cells (docs/using.md, "Working together").
together = os.environ.get("JUPYTER_COLLABORATION", "off")
if together not in ("on", "off"):
    print(f'JUPYTER_COLLABORATION: "{together}" must be on or off; it is off', file=sys.stderr)
state = os.path.join(os.environ["HOME"], ".local/share/jupyter/collaboration")
if together == "on":
    try:
        os.makedirs(state, exist_ok=True)
    except OSError as error:
        print(f"JUPYTER_COLLABORATION is off: {error}", file=sys.stderr)
        together = "off"
c.ServerApp.jpserver_extensions = {
    "jupyter_k8s_workspace": True,
    "jupyter_server_ydoc": together == "on",
    "jupyter_server_fileid": together == "on",
}
if together == "on":
    c.LabApp.extra_labextensions_path = [os.path.join(sys.prefix, "share/jupyter/collaboration")]
    # On the volume: a page that stays open while the workspace is stopped gives what was typed there to the next run.
    c.YDocExtension.session_store_path = os.path.join(state, "sessions.json")
    c.SQLiteYStore.db_path = os.path.join(state, "changes.db")
    c.BaseFileIdManager.db_path = os.path.join(state, "files.db")
    # Seconds. Unset, each change of each document is kept for ever.
    c.SQLiteYStore.squash_after_inactivity_of = 3600
c.ServerApp.allow_remote_access = True
c.ServerApp.trust_xheaders = True
# Matches nothing: answers to tokens too are for pages of this origin alone. Unset, Jupyter lets every origin read those.
c.ServerApp.allow_origin_pat = "(?!)"
# Stopping is the workspace's business: a server that quits is only started again.
c.ServerApp.quit_button = False
# There is no bin to empty in JupyterLab, so a deleted file would fill the disk unseen.
c.FileContentsManager.delete_to_trash = False
# Without a bin, Jupyter deletes empty folders only. JupyterLab asks before.
c.FileContentsManager.always_delete_dir = True

# No calls to the outside of the server's own accord, and no extension manager for an environment that is read-only.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
