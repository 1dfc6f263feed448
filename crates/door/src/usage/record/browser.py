"""Headless Chromium, driven by its DevTools protocol -> keys, clicks and scrolling on a page (IO)."""

import asyncio
import json
import os
import signal
import tempfile
import time

from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import websocket_connect

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--window-size=1400,1000",
    "--remote-debugging-port=0",
]
# Seconds between two keys.
KEY = 0.2


class Browser:
    async def start(self, url):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        null = asyncio.subprocess.DEVNULL
        self.process = await asyncio.create_subprocess_exec(
            "chromium", *FLAGS, f"--user-data-dir={self.profile.name}", "about:blank", stdin=null, stdout=null, stderr=null, start_new_session=True
        )
        port = os.path.join(self.profile.name, "DevToolsActivePort")
        while not os.path.exists(port) or not open(port).read():
            await asyncio.sleep(0.1)
        self.address = "http://127.0.0.1:" + open(port).read().split()[0]
        pages = json.loads((await AsyncHTTPClient().fetch(self.address + "/json")).body)
        self.socket = await websocket_connect(next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"])
        self.count, self.acted = 0, time.monotonic()
        await self.call("Page.navigate", url=url)

    async def call(self, method, **parameters):
        self.count += 1
        number = self.count
        await self.socket.write_message(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(await asyncio.wait_for(self.socket.read_message(), 60))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    async def value(self, expression):
        return (await self.call("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")

    async def place(self, css):
        """Where the middle of an element is, once it is there."""
        box = f"document.querySelector({json.dumps(css)})?.getBoundingClientRect()"
        text = f"(box => box?.width ? [box.x + box.width / 2, box.y + box.height / 2] : null)({box})"
        for _ in range(360):
            if found := await self.value(text):
                return found
            await asyncio.sleep(0.5)
        raise RuntimeError(f"{css} did not appear")

    async def click(self, css):
        x, y = await self.place(css)
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.acted = time.monotonic()

    async def scroll(self, css):
        x, y = await self.place(css)
        await self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=60)
        self.acted = time.monotonic()

    async def key(self, key, code, number, modifiers=0, text=None):
        """`modifiers`: 2 for Control, 8 for Shift."""
        more = {"text": text} if text else {}
        common = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **common, **more)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **common)
        self.acted = time.monotonic()

    async def enter(self, modifiers=0):
        await self.key("Enter", "Enter", 13, modifiers, "\r")

    async def type(self, text):
        for letter in text:
            await self.key(letter, f"Key{letter.upper()}" if letter.isalpha() else "", ord(letter.upper()) if letter.isalnum() else 0, text=letter)
            await asyncio.sleep(KEY)

    async def hide(self):
        """Another tab is shown."""
        await self.call("Target.createTarget", url="about:blank")
        await asyncio.sleep(1)
        if await self.value("document.visibilityState") != "hidden":
            raise RuntimeError("the page is still visible")

    def signal(self, number):
        """To the browser's own processes."""
        os.killpg(self.process.pid, number)

    async def close(self):
        if self.process and self.process.returncode is None:
            self.signal(signal.SIGKILL)
            await self.process.wait()
            self.profile.cleanup()
