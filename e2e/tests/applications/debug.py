"""A program, a line and an expression -> its value at that line, by the debugger as editors use it (IO).

The adapter speaks the Debug Adapter Protocol over its standard streams.
"""

import json
import signal
import subprocess
import sys

PROGRAM, LINE, EXPRESSION = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ADAPTER = subprocess.Popen([sys.executable, "-m", "debugpy.adapter"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
SENT = 0
SEEN = []


def send(command, **arguments):
    global SENT
    SENT += 1
    body = json.dumps({"seq": SENT, "type": "request", "command": command, "arguments": arguments}).encode()
    ADAPTER.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    ADAPTER.stdin.flush()
    return SENT


def message():
    length = 0
    while line := ADAPTER.stdout.readline().strip():
        name, _, value = line.partition(b":")
        length = int(value) if name == b"Content-Length" else length
    if not length:
        sys.exit("the debugger has ended")
    return json.loads(ADAPTER.stdout.read(length))


def wait_for(is_it):
    while True:
        for seen in SEEN:
            if is_it(seen):
                SEEN.remove(seen)
                return seen
        SEEN.append(message())


def event(name):
    return wait_for(lambda seen: seen["type"] == "event" and seen["event"] == name).get("body", {})


def answer(number):
    answered = wait_for(lambda seen: seen["type"] == "response" and seen["request_seq"] == number)
    if not answered["success"]:
        sys.exit(str(answered))
    return answered.get("body", {})


signal.alarm(100)
answer(send("initialize", clientID="test", adapterID="debugpy", pathFormat="path", linesStartAt1=True))
launched = send("launch", program=PROGRAM, console="internalConsole", python=[sys.executable])
event("initialized")
answer(send("setBreakpoints", source={"path": PROGRAM}, breakpoints=[{"line": LINE}]))
answer(send("configurationDone"))
answer(launched)
thread = event("stopped")["threadId"]
frame = answer(send("stackTrace", threadId=thread))["stackFrames"][0]
value = answer(send("evaluate", expression=EXPRESSION, frameId=frame["id"], context="repl"))["result"]
answer(send("continue", threadId=thread))
event("terminated")
ADAPTER.kill()
print(frame["line"], value)
