"""A headless Chromium, driven through its own pipe: no port, no network, no driver."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(
    PROGRAM is None, reason="no chromium on PATH, which shows the page as people see it"
)
LONGEST_SECONDS = 120  # that an answer may take before the test fails


class Page:
    """One tab. ``problems`` holds what its console complained of, exceptions and refused scripts included."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive, self._rest, self._last = send, receive, b"", 0
        self._session = ""
        self.problems: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its result."""
        self._last += 1
        command = {"id": self._last, "method": method, "params": params}
        command |= {"sessionId": self._session} if self._session else {}
        os.write(self._send, json.dumps(command).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._last:
                assert "error" not in message, message
                return dict(message["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._receive], [], [], LONGEST_SECONDS)[0], "no answer from chromium"
            got = os.read(self._receive, 1 << 20)
            assert got, "chromium ended"
            self._rest += got
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if message.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.problems.append(text.decode())
        if message.get("method") == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if not url.startswith(("file:", "data:")):
                self.problems.append(f"asks for {url}")
        return message

    def open(self, file: Path, *, width: int, height: int = 900) -> None:
        """Show a file in a window of this width, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Page.navigate", url=file.resolve().as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def point(self, selector: str, across: float = 0.5, down: float = 0.5) -> None:
        """Scroll to an element and move the pointer over it; places are shares of its width and height."""
        found = f"const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
        place = f"const b = e.getBoundingClientRect(); return [b.x + b.width * {across}, b.y + b.height * {down}];"
        x, y = self.run(f"(() => {{ {found} {place} }})()")
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key: str) -> None:
        """One key, as a keyboard sends it."""
        text = {"text": "\r"} if key == "Enter" else {}
        code = {"Enter": 13, "Home": 36, "ArrowRight": 39}[key]
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self) -> bytes:
        """The whole page as a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def pdf(self) -> bytes:
        """The page as it prints, on A4."""
        printed = self.call("Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69)
        return base64.b64decode(printed["data"])


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """A browser with its profile in ``folder``."""
    there, ours = os.pipe(), os.pipe()
    words = [str(PROGRAM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    words += ["--disable-background-networking", f"--user-data-dir={folder}", "--remote-debugging-pipe"]
    # It takes commands on 3 and answers on 4; the shell puts the pipes there.
    shell = f'exec "$0" "$@" 3<&{there[0]} 4>&{ours[1]}'
    process = subprocess.Popen(
        ["bash", "-c", shell, *words],
        pass_fds=(there[0], ours[1]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    os.close(there[0])
    os.close(ours[1])
    try:
        yield Page(there[1], ours[0])
    finally:
        process.kill()
        process.wait()
        os.close(there[1])
        os.close(ours[0])
