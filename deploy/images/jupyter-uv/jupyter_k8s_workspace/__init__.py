"""A workspace's side of the gateway: JupyterLab knows the user whom the gateway attests."""

from .identity import AssertedIdentityProvider
from .server import load

__all__ = ["AssertedIdentityProvider"]


def _jupyter_server_extension_points():
    return [{"module": "jupyter_k8s_workspace"}]


def _load_jupyter_server_extension(server_app):
    load(server_app)
