"""JupyterLab as a server of JupyterHub, which decides address, base path and who may connect. Files in the home can change this."""

import os

c = get_config()  # noqa: F821 - Jupyter's loader provides it

c.ServerApp.root_dir = os.environ["HOME"]
# A kernel that computes is use, and the hub is told so.
c.ServerApp.jpserver_extensions = {"jupyter_k8s_hub": True}
# As in the JupyterLab image.
c.ServerApp.terminado_settings = {"shell_command": [os.environ.get("SHELL") or "/bin/bash"]}
# There is no bin to empty in JupyterLab, so a deleted file would fill the disk unseen.
c.FileContentsManager.delete_to_trash = False
# Without a bin, Jupyter deletes empty folders only. JupyterLab asks before.
c.FileContentsManager.always_delete_dir = True

# No calls to the outside of the server's own accord, and no extension manager for an environment that is read-only.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
