# A server that stands in for another one: it passes requests on, and its answers bear a time that is ahead.
import email.utils, http.client, http.server, socket, ssl, sys, time

ADDRESS, PORT, HOST, AHEAD = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
OWN = {"connection", "content-length", "date", "transfer-encoding"}
# The test's own network leads to the server.
UNCHECKED = ssl._create_unverified_context()


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = UNCHECKED.wrap_socket(socket.create_connection((ADDRESS, PORT), 10), server_hostname=HOST)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = Connection(HOST, timeout=10)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in OWN:
                self.send_header(name, value)
        self.send_header("Date", email.utils.formatdate(time.time() + AHEAD, usegmt=True))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET


server = http.server.ThreadingHTTPServer(("", PORT), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
# A probe connects and says nothing: the handshake is the business of the connection's own thread.
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
