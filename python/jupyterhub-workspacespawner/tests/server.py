"""A single-user server for tests: answers each request with its own arguments, environment and path (standard library)."""

import http.server
import json
import os
import sys
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        environment = {name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape") for name, value in os.environb.items()}
        body = json.dumps({"path": self.path, "arguments": sys.argv[1:], "environment": environment}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-JupyterHub-Version", os.environ.get("EXPECTED_VERSION", ""))
        self.end_headers()
        self.wfile.write(body)
        if self.path.endswith("/end"):
            sys.stderr.write(urllib.parse.unquote(self.headers.get("Line", "")))
            sys.stderr.flush()
            os._exit(int(self.headers.get("Code", "0")))

    def log_message(self, *unused):
        pass


url = urllib.parse.urlparse(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.ThreadingHTTPServer.request_queue_size = 64
http.server.ThreadingHTTPServer(("127.0.0.1", url.port), Handler).serve_forever()
