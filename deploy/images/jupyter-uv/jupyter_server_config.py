"""JupyterLab behind the door. Environment and files in the home (~/.jupyter) can still set what is not set here."""

import os

c = get_config()  # noqa: F821 - Jupyter's loader provides it

# The door listens on the workspace's port (JUPYTER_PORT) and alone opens this socket, whose path is also in the image's entry point.
c.ServerApp.sock = "/tmp/jupyter-k8s/application.sock"
# Jupyter takes JUPYTER_PORT for its own port, and no other than this one beside a socket.
c.ServerApp.port = 8888
# Where browsers find this server, if it shares its host with others.
c.ServerApp.base_url = os.environ.get("WORKSPACE_BASE_PATH", "/")
c.ServerApp.root_dir = os.environ["HOME"]
c.ServerApp.open_browser = False
# The gateway decides who may connect and attests the user of each request; the door answers 401 to others. If another service decides, the
# operator sets "none", and only a NetworkPolicy keeps other clients away.
c.IdentityProvider.token = ""
if os.environ.get("WORKSPACE_ASSERTION_KEYS") != "none":
    c.ServerApp.identity_provider_class = "jupyter_k8s_workspace.AssertedIdentityProvider"
c.ServerApp.jpserver_extensions = {"jupyter_k8s_workspace": True}
c.ServerApp.allow_remote_access = True
c.ServerApp.trust_xheaders = True
# Matches nothing: answers to tokens too are for pages of this origin alone. Unset, Jupyter lets every origin read those.
c.ServerApp.allow_origin_pat = "(?!)"
# Stopping is the workspace's business: a server that quits is only started again.
c.ServerApp.quit_button = False
# There is no bin to empty in JupyterLab, so a deleted file would fill the disk unseen.
c.FileContentsManager.delete_to_trash = False

# No calls to the outside of the server's own accord, and no extension manager for an environment that is read-only.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
