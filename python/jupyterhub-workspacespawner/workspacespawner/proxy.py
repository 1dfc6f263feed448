"""JupyterHub's proxy -> its routes, without their times of use (IO)."""

from jupyterhub.proxy import ConfigurableHTTPProxy


class WorkspaceProxy(ConfigurableHTTPProxy):
    """For hubs whose servers report their use themselves, as `jupyterhub-singleuser` does. The proxy counts each byte that it passes on, so
    the pings of a tab that somebody forgot keep a server for ever."""

    async def get_all_routes(self):
        routes = await super().get_all_routes()
        for route in routes.values():
            route["data"].pop("last_activity", None)
        return routes
