"""A program and its arguments -> its exit code; a person at a terminal of 30 lines, who then enlarges the window (IO)."""

import fcntl
import os
import pty
import struct
import sys
import termios

SHOWN = b""


def resize(terminal, lines, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def read_until(terminal, text):
    global SHOWN
    while text not in SHOWN:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            part = b""
        if not part:
            sys.exit(f"it ended before {text!r}: {SHOWN!r}")
        SHOWN += part
    SHOWN = SHOWN.split(text, 1)[1]


process, terminal = pty.fork()
if process == 0:
    resize(0, 30, 100)
    os.execvp(sys.argv[1], sys.argv[1:])
# A typed line is shown, too: what is waited for is not in it.
os.write(terminal, b"echo si''ze $(stty size)\n")
read_until(terminal, b"size 30 100\r\n")
resize(terminal, 40, 120)
os.write(terminal, b"until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; echo en''larged; exit 5\n")
read_until(terminal, b"enlarged\r\n")
while True:
    try:
        if not os.read(terminal, 4096):
            break
    except OSError:
        break
_, status = os.waitpid(process, 0)
sys.exit(os.waitstatus_to_exitcode(status))
