"""A pod's token -> the command and environment that the hub gives for it, run (IO)."""
import base64, json, os, signal, subprocess, sys, time
from urllib import error, request

# It stands alone, as an argument of python3 -I -c: Python 3.8, the standard library, 4,096 characters, nothing that looks like a
# variable. Arguments: the token's file, the file that keeps the answer.
TOKEN, KEPT = (sys.argv[1:] + ["/var/run/secrets/jupyterhub/token", "/dev/shm/jupyterhub-launch"][len(sys.argv) - 1 :])[:2]
child, stopping = None, False


def end(number, frame):
    global stopping
    stopping = stopping or number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
    if child:
        child.send_signal(number)
    elif stopping:
        os._exit(128 + number)


class NoRedirect(request.HTTPRedirectHandler):
    def redirect_request(self, *unused):
        return None


# Neither a proxy of the environment nor another address may see the token.
opener = request.build_opener(request.ProxyHandler(dict()), NoRedirect())


def ask(method, body=None):
    limit, delay = time.monotonic() + 120, 0.2
    while True:
        with open(TOKEN) as file:
            token = file.read().strip()
        part = token.split(".")[1]
        aud = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["aud"]
        url = aud if isinstance(aud, str) else aud[0]
        if not url.startswith(("http://", "https://")):
            sys.exit("launch: the audience of the token must be the address to ask, it is " + url[:200])
        headers = dict(Authorization="Bearer " + token)
        try:
            with opener.open(request.Request(url, body, headers, method=method), timeout=10) as answer:
                return answer.read()
        except error.HTTPError as problem:
            said = "%d %s" % (problem.code, problem.read(500).decode(errors="replace"))
            again = problem.code == 503
        except Exception as problem:  # also an answer that is cut off
            said, again = str(problem), True
        if not again or time.monotonic() > limit:
            raise RuntimeError(said)
        time.sleep(delay)
        delay = min(delay * 2, 5)


def kept():
    try:
        with open(KEPT, "rb") as file:
            return json.loads(file.read())
    except (OSError, ValueError):
        return None


def fetch():
    body = ask("POST")
    found = json.loads(body)
    try:
        # Whole or not at all: a container that restarts reads it.
        with open(os.open(KEPT + "~", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(body)
        os.rename(KEPT + "~", KEPT)
    except OSError as problem:
        print("launch: a restart of the container will ask the hub again:", problem, file=sys.stderr)
    return found


for name in "TERM INT QUIT HUP USR1 USR2 WINCH CONT".split():
    signal.signal(getattr(signal, "SIG" + name), end)
try:
    found = kept() or fetch()
except (RuntimeError, ValueError, OSError) as problem:
    sys.exit("launch: the hub does not say what to run: %s" % problem)
raw = lambda text: text.encode("utf-8", "surrogateescape")
env = dict(os.environb)
env.update((raw(name), raw(value)) for name, value in found["environment"].items())
command = [raw(part) for part in found["command"]]
try:
    child = subprocess.Popen(command, env=env)
except OSError as problem:
    sys.exit("launch: cannot run %s: %s" % (found["command"][0], problem))
# It may be process 1 of the container, whose children are all that have no parent.
while True:
    pid, status = os.wait()
    if pid == child.pid:
        break
code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
child = None
if not stopping:
    try:
        ask("DELETE", json.dumps(dict(code=code)).encode())
    except (RuntimeError, ValueError, OSError) as problem:
        print("launch: the hub was not told of the end:", problem, file=sys.stderr)
    # It ended by itself, so the hub stops the workspace; ending now would start it anew.
    while code == 0:
        signal.pause()
sys.exit(code)
