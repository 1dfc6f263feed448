"""What people do in an application, each a scene of its own: a page is loaded, then played until its last second (pure, but for the page)."""

import asyncio
import json
import signal
from dataclasses import dataclass, field
from typing import Callable

from browser import Browser

# Seconds at which a scene ends.
END = 600


def notebook(source):
    """One cell with this code, and text to read."""
    first = {"cell_type": "code", "id": "first", "execution_count": None, "metadata": {}, "outputs": [], "source": source}
    text = [
        {"cell_type": "markdown", "id": f"cell-{number}", "metadata": {}, "source": f"## Chapter {number}\n\n" + "What is read. " * 60}
        for number in range(40)
    ]
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": [first, *text], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


CELL = ".jp-Notebook .jp-CodeCell .cm-content"
WORDS = "the quick brown fox "


class Open(Browser):
    """A page of a scene."""

    def __init__(self, tape):
        self.tape, self.loaded, self.process = tape, 0, None

    def now(self):
        """Seconds since the page was loaded."""
        return self.tape.now() - self.loaded

    async def until(self, second):
        await asyncio.sleep(max(0, second - self.now()))

    async def types(self, begin, end):
        await self.until(begin)
        while self.now() < end:
            await self.type(WORDS)
            await asyncio.sleep(1)

    async def edits(self):
        """The first cell, whose place changes while a page loads."""
        while not await self.value(f"!!document.activeElement.closest({json.dumps(CELL)})"):
            await self.click(CELL)
            await asyncio.sleep(0.5)

    async def runs_first_cell(self):
        await self.edits()
        await self.enter(8)


@dataclass
class Scene:
    name: str
    about: str
    play: Callable
    image: str = "jupyter-uv"
    path: str = "lab/tree/read.ipynb"
    files: dict = field(default_factory=lambda: {"read.ipynb": notebook("6*7")})
    together: str = "off"

    async def load(self, page):
        """Until a person would begin."""
        if self.image == "code":
            await page.place(".monaco-workbench .explorer-folders-view .monaco-list-row")
        elif self.path == "lab":
            await page.place(".jp-LauncherCard")
        else:
            await page.place(CELL)
            await page.place(".jp-Notebook-ExecutionIndicator[data-status='idle']")
        await asyncio.sleep(5)
        page.loaded = page.tape.now()


async def reads(page):
    await page.until(60)
    await page.runs_first_cell()
    while page.now() < END - 10:
        await page.scroll(".jp-Notebook")
        await asyncio.sleep(7)
    await page.until(END)


async def types(page):
    await page.until(60)
    await page.edits()
    await page.types(60, 240)
    if WORDS not in await page.value(f"document.querySelector({json.dumps(CELL)}).innerText"):
        raise RuntimeError("what was typed is not in the cell")
    await page.until(END)


async def forgets(page):
    await page.until(60)
    await page.runs_first_cell()
    await page.until(END)


async def hides(page):
    await page.until(60)
    await page.runs_first_cell()
    await page.until(90)
    await page.hide()
    await page.until(END)


async def sleeps(page):
    """The lid is closed at 120 and opened for a moment twice."""
    if await page.value("!!document.querySelector('.jp-Notebook')"):
        await page.until(60)
        await page.runs_first_cell()
    await page.until(120)
    for second in (360, 520):
        page.signal(signal.SIGSTOP)
        # The network takes the connections away.
        await asyncio.sleep(20)
        page.tape.cut(True)
        await page.until(second)
        page.tape.cut(False)
        page.signal(signal.SIGCONT)
        await page.until(second + 25)
    page.signal(signal.SIGSTOP)
    page.tape.cut(True)
    await page.until(END)


async def computes(page):
    """A cell that computes, and the browser is closed."""
    await page.until(60)
    await page.edits()
    await page.key("End", "End", 35, 2)
    await page.enter()
    for line in ("import time", "while time.sleep(0.01) is None: sum(range(20000))"):
        await page.call("Input.insertText", text=line)
        await page.enter()
    await page.enter(8)
    await page.until(120)
    await page.close()
    await page.until(END)


async def debugs(page):
    """The loop of the first cell, step by step from its second line on. The debugger stays on."""
    await page.until(60)
    await page.edits()
    await page.click(".jp-DebuggerBugButton")
    await page.click(".jp-Notebook .jp-CodeCell .cm-breakpoint-gutter .cm-gutterElement:nth-child(4)")
    await page.runs_first_cell()
    stopped = ".jp-DebuggerEditor-highlight"
    await page.place(stopped)
    await page.until(100)
    while page.now() < 220:
        await page.key("F10", "F10", 121)
        await asyncio.sleep(8)
    while await page.value(f"!!document.querySelector({json.dumps(stopped)})"):
        await page.key("F9", "F9", 120)
        await asyncio.sleep(3)
    await page.place(".jp-Notebook-ExecutionIndicator[data-status='idle']")
    await page.until(END)


async def terminal(page, words, times):
    await page.click(".jp-LauncherCard[title*='terminal' i]")
    await page.click(".jp-Terminal .xterm-screen")
    await asyncio.sleep(3)
    for second in times:
        await page.until(second)
        await page.type(words)
        await page.enter()
    await page.until(END)


async def uses_terminal(page):
    await terminal(page, "ls", range(60, 200, 15))


async def prints(page):
    await terminal(page, "while sleep 5; do date; done", [60])


async def opens_file(page, name="notes.txt"):
    await page.key("p", "KeyP", 80, 2)
    await page.place(".quick-input-widget input")
    await asyncio.sleep(2)
    await page.type(name)
    await asyncio.sleep(3)
    await page.enter()
    await page.click(".monaco-editor .view-lines")


async def types_code(page):
    await page.until(60)
    await opens_file(page)
    await page.types(60, 240)
    await page.until(END)


async def types_checked_code(page):
    await page.until(60)
    await opens_file(page, "main.ts")
    await page.types(60, 240)
    # What the language server finds of it.
    await page.place(".monaco-editor .squiggly-error")
    await page.until(END)


async def forgets_code(page):
    await page.until(60)
    await opens_file(page)
    await page.until(END)


async def prints_in_code(page):
    await page.until(60)
    await page.key("`", "Backquote", 192, 2)
    await asyncio.sleep(10)
    # No terminal starts in a folder that is not trusted.
    find = "[...document.querySelectorAll('.monaco-dialog-box .monaco-button')].find(one => /trust|yes/i.test(one.textContent))"
    await page.value(f"{find}?.click()")
    await asyncio.sleep(10)
    await page.click(".terminal-wrapper .xterm-screen")
    await asyncio.sleep(5)
    await page.type("while sleep 1; do seq 500; done")
    await page.enter()
    await page.until(END)


LOOP = "total = 0\nfor number in range(8):\n    total += number\ntotal"
CODE = {"image": "code", "path": "", "files": {"notes.txt": "Notes\n"}}
TRUSTS = {".local/share/code-server/User/settings.json": '{"security.workspace.trust.enabled": false}'}
# No language server starts in a folder that is not trusted.
CHECKED = {**CODE, "files": {"main.ts": "const notes = 1\n", **TRUSTS}}
SCENES = [
    Scene("lab-reading", "A notebook is read, with a cell run at the beginning.", reads),
    Scene("lab-typing", "Somebody types into a cell without running it, then leaves the page open and visible.", types),
    Scene("lab-forgotten", "A cell is run, then the page stays open and visible.", forgets),
    Scene("lab-hidden", "A cell is run, then another tab is shown.", hides),
    Scene("lab-asleep", "A cell is run; the laptop sleeps, wakes for a moment twice, and sleeps.", sleeps),
    Scene("lab-shared", "A shared document: somebody types, then leaves the page open and visible.", types, together="on"),
    Scene("lab-computing", "A cell runs on, with little of the processor, and the browser is closed.", computes),
    Scene("lab-debugging", "A cell is debugged step by step, then the page stays open and visible.", debugs, files={"read.ipynb": notebook(LOOP)}),
    Scene("lab-terminal", "Commands in a terminal, then the page stays open and visible.", uses_terminal, path="lab", files={}),
    Scene("lab-printing", "A terminal prints by itself while the page stays open and visible.", prints, path="lab", files={}),
    Scene("code-typing", "Somebody types into a file, then leaves the page open and visible.", types_code, **CODE),
    Scene("code-language", "Somebody types TypeScript, which a language server checks, then leaves the page open.", types_checked_code, **CHECKED),
    Scene("code-forgotten", "A file is opened, then the page stays open and visible.", forgets_code, **CODE),
    Scene("code-asleep", "A page is opened; the laptop sleeps, wakes for a moment twice, and sleeps.", sleeps, **CODE),
    Scene("code-printing", "A terminal prints by itself while the page stays open and visible.", prints_in_code, **CODE),
]
