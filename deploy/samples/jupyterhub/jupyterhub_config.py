"""JupyterHub whose servers are workspaces. docs/jupyterhub.md explains it."""

import secrets
import sys
from pathlib import Path

from jupyterhub.auth import Authenticator

c = get_config()  # noqa: F821 - JupyterHub's loader provides it

c.JupyterHub.hub_bind_url = "http://:8081"
c.JupyterHub.hub_connect_url = "http://hub.jhub.svc:8081"
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://proxy-api.jhub.svc:8001"
c.JupyterHub.proxy_class = "workspace"  # Servers report their use; the proxy counts pings of forgotten tabs.
c.JupyterHub.last_activity_interval = 60  # Seconds until a proxy that moved has its routes again. JupyterHub's own: 300.
c.JupyterHub.upgrade_db = True  # A file, of which JupyterHub keeps a copy.
c.JupyterHub.concurrent_spawn_limit = 64

c.JupyterHub.spawner_class = "workspace"
c.JupyterHub.cleanup_servers = False  # A hub that restarts leaves servers running.
c.WorkspaceSpawner.namespace = "jhub-servers"
c.WorkspaceSpawner.launch_url = "http://hub.jhub.svc:8081/hub/api"  # As in the execution profile's audience.
c.WorkspaceSpawner.profile_list = [
    {"display_name": "JupyterLab", "template": "jupyterhub", "default": True},
    {"display_name": "JupyterLab, large", "template": "jupyterhub-large"},
    {
        "display_name": "JupyterLab, without my own configuration",
        "template": "jupyterhub",
        "kubespawner_override": {"environment": {"JUPYTER_CONFIG_DIR": "/tmp/jupyter"}},
    },
]
c.JupyterHub.allow_named_servers = True
c.JupyterHub.named_server_limit_per_user = 3


class People(Authenticator):
    """Who is a key of the Secret `people` signs in with its value. The kubelet brings changes within minutes."""

    async def authenticate(self, handler, data):
        people = {file.name: file.read_text() for file in Path("/var/run/secrets/people").iterdir() if file.is_file()}
        name, password = data["username"], data["password"]
        right = secrets.compare_digest(people.get(name, "").encode(), password.encode())
        return name if right and password else None


c.JupyterHub.authenticator_class = People
c.Authenticator.allow_all = True  # All of them.

# The only one who stops idle servers: templates have no idle shutdown.
c.JupyterHub.services = [{"name": "culler", "command": [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=3600", "--cull-every=600", "--url=http://127.0.0.1:8081/hub/api"]}]
c.JupyterHub.load_roles = [
    {
        "name": "culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["culler"],
    }
]
