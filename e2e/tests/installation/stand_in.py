# A server that has a certificate, and answers nothing of use.
import http.server, ssl, sys

server = http.server.ThreadingHTTPServer(("", int(sys.argv[1])), http.server.BaseHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
# A probe connects and says nothing: the handshake is the business of the connection's own thread.
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
