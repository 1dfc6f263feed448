"""JupyterHub's proxy that is written in Python, for JupyterHub's own tests, which expect that it passes requests on as they came."""

import urllib.parse

from configurable_http_proxy import cli, handlers


class AsItCame(handlers.ProxyHandler):
    async def get_target_url(self, path):
        # It takes escapes out of a path once too often, and writes others.
        url = await super().get_target_url(urllib.parse.quote(path))
        return url and urllib.parse.urlparse(url)._replace(path=self.request.path).geturl()

    def _get_proxy_request(self, url):
        # Else Tornado's client says that nothing is a form.
        self.request.headers.setdefault("Content-Type", "")
        return super()._get_proxy_request(url)


if __name__ == "__main__":
    from configurable_http_proxy import configproxy

    configproxy.ProxyHandler = AsItCame
    cli.main()
