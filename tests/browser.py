"""Drives a headless Chromium, for tests of pages: by the DevTools protocol, over a pipe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)


class Browser:
    """One tab of a browser.

    Attributes:
        requested: The addresses that were asked for since the page was opened.
    """

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._number, self._rest, self._session, self._loaded = 0, b"", "", False
        self.requested: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        left = json.dumps(message).encode() + b"\0"
        while left:
            left = left[os.write(self._to, left) :]
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(
        self, page: Path, *, width: int = 1280, dark: bool = False, scripts: bool = True
    ) -> None:
        """Open a page, and wait until it is loaded."""
        media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media="screen", features=media)
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1}
        self.call("Emulation.setDeviceMetricsOverride", mobile=width < 600, **size)
        self.requested, self._loaded = [], False
        self.call("Page.navigate", url=page.as_uri())
        while not self._loaded:
            self._next()

    def ask(self, expression: str) -> Any:
        """Return what an expression comes to, once it is known."""
        options = {"awaitPromise": True, "returnByValue": True}
        found = self.call("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def text(self) -> str:
        """Return what is read on the page, closed details included."""
        snapshot = self.call("DOMSnapshot.captureSnapshot", computedStyles=[])
        strings = snapshot["strings"]
        (document, *_) = snapshot["documents"]
        return " ".join(strings[each] for each in document["layout"]["text"] if each >= 0)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._back, 1 << 16)
            assert more, "the browser has ended"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        self._loaded = self._loaded or found.get("method") == "Page.loadEventFired"
        if found.get("method") == "Network.requestWillBeSent":
            self.requested.append(found["params"]["request"]["url"])
        return found


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Yield a browser that keeps its files in a folder; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("no Chromium on PATH; Debian has it as chromium")
    theirs, ours = os.pipe()
    back, their_answers = os.pipe()
    command = f'exec "$0" "$@" 3<&{theirs} 4>&{their_answers}'
    words = ["bash", "-c", command, program, *_OPTIONS, f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        words,
        pass_fds=(theirs, their_answers),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    os.close(theirs)
    os.close(their_answers)
    try:
        yield Browser(ours, back)
    finally:
        process.terminate()
        process.wait(30)
        os.close(ours)
        os.close(back)


def axe() -> str:
    """Return the source of axe-core; skips the test where there is none."""
    named = os.environ.get("AXE_CORE")
    places = [Path(named)] if named else [Path("node_modules/axe-core/axe.min.js")]
    for place in places:
        if place.is_file():
            return place.read_text(encoding="utf-8")
    pytest.skip("no axe-core: `npm install axe-core`, or name its axe.min.js in AXE_CORE")
