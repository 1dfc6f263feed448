"""JupyterHub's servers -> Workspaces of jupyter-k8s (the package).

`names`, `objects`, `settings`, `profiles`, `assess` compute; `cluster`, `tokens`, `launch`, `access`, `orphans` ask and
answer; `spawner` is what JupyterHub calls; `launcher` runs in the pod, alone.
"""

from .spawner import WorkspaceSpawner

__all__ = ["WorkspaceSpawner"]
