"""A real browser for tests: Chromium without a window, spoken to over pipes, which loads nothing but what a test gives it."""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 120  # for an answer; a page that waits for ever fails
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--hide-scrollbars",
    "--mute-audio",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--font-render-hinting=none",
]


def find_browser() -> str | None:
    """The program, if this machine has one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A running browser with one tab; what the page logs, throws or asks the network for is kept."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = os.fdopen(to, "wb", 0), os.fdopen(back, "rb")
        self._numbers, self._rest = itertools.count(1), b""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    _session: str | None = None

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._back], [], [], PATIENCE_S)
            assert ready, "the browser does not answer"
            part = os.read(self._back.fileno(), 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        return json.loads(line)

    def wait(self, method: str) -> None:
        """Wait for an event, which may have come already."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._read())

    def open(self, path: Path, width: int, height: int = 900, *, dark: bool = False, media: str = "screen") -> None:
        """Open a file in a window of some width."""
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call("Page.navigate", url=path.as_uri())
        self.wait("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is awaited."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def complaints(self) -> list[str]:
        """What was logged as an error or warning, or thrown, since the page was opened."""
        named = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [json.dumps(event["params"])[:500] for event in self.events if event.get("method") in named]

    def requests(self) -> list[str]:
        """What the page asked for, itself and what it holds left out."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in sent]
        return [url[:200] for url in urls if not url.startswith(("data:", "file:"))] + urls[1:] * (
            sum(url.startswith("file:") for url in urls) > 1
        )

    def screenshot(self, path: Path, *, whole: bool = True, height: int | None = None) -> None:
        """Write a picture of the page, or of its first pixels."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, clip=clip)
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def browser() -> Iterator[Browser]:
    """Run a browser with a profile of its own, and end it."""
    program = find_browser()
    assert program is not None
    theirs, to = os.pipe()
    back, ours = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The browser reads from 3 and writes to 4, which may be other files here.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in (theirs, ours)]
        moved = f"import os, sys; os.dup2({ends[0]}, 3); os.dup2({ends[1]}, 4); os.execv(sys.argv[1], sys.argv[1:])"
        own = [f"--user-data-dir={profile}", "about:blank"]
        command = [sys.executable, "-ISc", moved, program, *_FLAGS, *own]
        process = subprocess.Popen(command, pass_fds=ends, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for end in (theirs, ours, *ends):
            os.close(end)
        try:
            yield Browser(to, back)
        finally:
            process.kill()
            process.wait()
