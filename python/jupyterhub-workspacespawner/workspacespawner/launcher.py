"""A pod's token -> the command and environment that the hub gives for it, run (IO)."""
import base64, json, os, signal, subprocess, sys, threading, time
from urllib import request

# An argument of python3 -I -c: for 3.8, no packages, 4,096 characters, nothing like a variable.
FILES = ["/var/run/secrets/jupyterhub/token", "/dev/shm/jupyterhub-launch", "/dev/termination-log"]
TOKEN, KEPT, MESSAGE = sys.argv[1:] + FILES[len(sys.argv) - 1 :]
child, stopping, tail = None, False, b""


def end(number, frame):
    global stopping
    stopping |= number in (2, 3, 15)  # INT, QUIT, TERM
    if child:
        if stopping and asked() and not any(signal.getitimer(0)):
            signal.alarm(30)  # Then KILL.
        os.kill(child.pid, 9 if number == signal.SIGALRM else number)
    elif stopping:
        os._exit(0 if asked() else 128 + number)


def asked():
    return os.path.exists(MESSAGE) and open(MESSAGE, "rb").read(4096).strip() == b"stop-workspace"


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
        url = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["aud"][0]
        try:
            return opener.open(request.Request(url, body, dict(Authorization="Bearer " + token), method=method), timeout=10).read()
        except request.HTTPError as problem:
            said, again = " answers %d" % problem.code, problem.code == 503
        except Exception as problem:  # also a cut-off answer
            said, again = " does not answer: %s" % problem, True
        if not again or time.monotonic() > limit:
            raise OSError(url + said)
        time.sleep(delay)
        delay = min(delay * 2, 5)


def fetch():
    try:  # Of the container's earlier run.
        return json.load(open(KEPT, "rb"))
    except (OSError, ValueError):
        body = ask("POST", 120)
    found = json.loads(body)
    try:
        with open(KEPT + "~", "wb", opener=lambda *at: os.open(*at, 0o600)) as file:
            file.write(body)
        os.rename(KEPT + "~", KEPT)
    except OSError:
        pass  # It asks again.
    return found


def hand_on(errors):
    global tail
    for part in iter(lambda: errors.read1(65536), b""):
        os.write(2, part)
        tail = (tail + part)[-4096:]


for name in "TERM INT QUIT HUP USR1 USR2 WINCH CONT ALRM".split():
    signal.signal(getattr(signal, "SIG" + name), end)
try:
    found = fetch()
except (ValueError, OSError) as problem:
    fail("the hub does not say what to run: %s" % problem)
raw = lambda text: text.encode(errors="surrogateescape")
env = dict(os.environb)
env.update(map(raw, pair) for pair in found["environment"].items())
command = list(map(raw, found["command"]))
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
child = None
code = os.WEXITSTATUS(status) or status and 128 + os.WTERMSIG(status)
output.join(1)
if asked():
    code = 0
elif code and not stopping:
    leave(tail)
elif not stopping:
    # The hub stops the workspace; ending now would start it anew.
    ask("DELETE", 1e9, b'{"code": 0}')
    time.sleep(1e9)
os._exit(code)
