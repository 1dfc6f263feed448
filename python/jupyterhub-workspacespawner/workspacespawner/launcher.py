"""A pod's token -> the command and environment that the hub gives for it, run (IO)."""
import base64, json, os, signal, subprocess, sys, threading, time
from urllib import error, request

# An argument of python3 -I -c: Python 3.8, no packages, 4,096 characters, nothing that looks like a variable.
FILES = ["/var/run/secrets/jupyterhub/token", "/dev/shm/jupyterhub-launch", "/dev/termination-log"]
TOKEN, KEPT, MESSAGE = sys.argv[1:] + FILES[len(sys.argv) - 1 :]
child, stopping, tail = None, False, b""


def end(number, frame):
    global stopping
    stopping = stopping or number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
    if child:
        child.send_signal(number)
    elif stopping:
        os._exit(128 + number)


def leave(output):
    if os.path.exists(MESSAGE):
        open(MESSAGE, "wb").write(output.strip().split(b"\n")[-1][:900])


def fail(text):
    leave(text.encode(errors="replace"))
    sys.exit("launch: " + text)


# Without proxies and redirects: no other address may see the token.
opener = request.OpenerDirector()
for name in "HTTPHandler HTTPSHandler HTTPDefaultErrorHandler HTTPErrorProcessor".split():
    opener.add_handler(getattr(request, name)())


def ask(method, seconds, body=None):
    limit, delay = time.monotonic() + seconds, 0.2
    while True:
        token = open(TOKEN).read().strip()
        part = token.split(".")[1]
        aud = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["aud"]
        url = aud if isinstance(aud, str) else aud[0]
        asked = request.Request(url, body, dict(Authorization="Bearer " + token), method=method)
        try:
            with opener.open(asked, timeout=10) as answer:
                return answer.read()
        except error.HTTPError as problem:
            said, again = " answers %d" % problem.code, problem.code == 503
        except Exception as problem:  # also an answer that is cut off
            said, again = " does not answer: %s" % problem, True
        if not again or time.monotonic() > limit:
            raise OSError(url + said)
        time.sleep(delay)
        delay = min(delay * 2, 5)


def fetch():
    try:  # Of the container's earlier run.
        return json.loads(open(KEPT, "rb").read())
    except (OSError, ValueError):
        body = ask("POST", 120)
    found = json.loads(body)
    try:
        with open(os.open(KEPT + "~", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(body)
        os.rename(KEPT + "~", KEPT)
    except OSError:
        pass  # It asks again.
    return found


def hand_on(errors):
    global tail
    for part in iter(lambda: os.read(errors.fileno(), 65536), b""):
        os.write(2, part)
        tail = (tail + part)[-4096:]


for name in "TERM INT QUIT HUP USR1 USR2 WINCH CONT".split():
    signal.signal(getattr(signal, "SIG" + name), end)
try:
    found = fetch()
except (ValueError, OSError) as problem:
    fail("the hub does not say what to run: %s" % problem)
raw = lambda text: text.encode("utf-8", "surrogateescape")
env = dict(os.environb)
env.update((raw(name), raw(value)) for name, value in found["environment"].items())
command = [raw(part) for part in found["command"]]
# Not a user's own program of that name.
ours = os.path.join(os.path.dirname(os.fsencode(sys.executable)), command[0])
if os.access(ours, os.X_OK):
    command[0] = ours
try:
    child = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
except OSError as problem:
    fail("cannot run %s: %s" % (found["command"][0], problem))
output = threading.Thread(target=hand_on, args=[child.stderr], daemon=True)
output.start()
# As process 1 it has all children without a parent.
pid = 0
while pid != child.pid:
    pid, status = os.wait()
code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
child = None
if code and not stopping:
    output.join(1)
    leave(tail)
elif not stopping:
    # The hub stops the workspace; ending now would start it anew.
    ask("DELETE", 1e9, b'{"code": 0}')
    while True:
        signal.pause()
sys.exit(code)
