"""Jupyter's time of the last use, which JupyterHub's own extension reports to the hub -> the same, also while a kernel computes (in memory).

Jupyter counts a kernel's messages. A cell that prints nothing sends none until it ends, and the hub's culler would end it.
"""

from datetime import datetime, timezone


def _jupyter_server_extension_points():
    return [{"module": "jupyter_k8s_hub"}]


def _load_jupyter_server_extension(server_app):
    application = server_app.web_app
    last_activity = application.last_activity

    def now_if_busy():
        states = [kernel["execution_state"] for kernel in server_app.kernel_manager.list_kernels()]
        return datetime.now(timezone.utc) if "busy" in states else last_activity()

    application.last_activity = now_if_busy
