"""A headless browser that a test drives, over the pipe of its own protocol: no driver, no port."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def browser() -> str | None:
    """Where one is installed."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


class Tab:
    """One page."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back, self._number, self._rest = to, back, 0, b""
        self.session: str | None = None
        self.asked: list[str] = []  # addresses that were requested

    def call(self, method: str, **params: Any) -> Any:
        """The result of a command. Raises AssertionError for an error."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("method") == "Network.requestWillBeSent":
                self.asked.append(found["params"]["request"]["url"])
            if found.get("id") == self._number:
                assert "error" not in found, found
                return found["result"]

    def _next(self) -> Any:
        while b"\0" not in self._rest:
            part = os.read(self._back, 1 << 16)
            assert part, "the browser went away"
            self._rest += part
        one, _, self._rest = self._rest.partition(b"\0")
        return json.loads(one)

    def run(self, script: str) -> Any:
        """The value of an expression, promises awaited."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, script: str, seconds: float = 120) -> Any:
        """The value of an expression once it is true. Raises AssertionError."""
        until = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < until, f"never true: {script}"
            time.sleep(0.1)
        return value

    def drop(self, selector: str, at: int, files: dict[str, bytes]) -> None:
        """As if a person dropped files onto an element."""
        contents = {name: base64.b64encode(data).decode() for name, data in files.items()}
        self.run(
            f"""(() => {{
              const data = new DataTransfer();
              for (const [name, text] of Object.entries({json.dumps(contents)})) {{
                const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
                data.items.add(new File([bytes], name, {{ type: "image/png" }}));
              }}
              const to = document.querySelectorAll({json.dumps(selector)})[{at}];
              to.dispatchEvent(new DragEvent("drop", {{ dataTransfer: data, bubbles: true }}));
            }})()"""
        )


@contextmanager
def opened(address: str, downloads: Path) -> Iterator[Tab]:
    """A tab at an address; what it downloads lies in that folder."""
    path = browser()
    assert path is not None
    to_read, to_write = os.pipe()
    back_read, back_write = os.pipe()
    words = [path, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    words += [f"--user-data-dir={downloads / 'profile'}", "about:blank"]

    def numbered() -> None:  # the browser reads from 3 and writes to 4
        low, high = os.dup(to_read), os.dup(back_write)
        os.dup2(low, 3)
        os.dup2(high, 4)

    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(words, preexec_fn=numbered, close_fds=False, **quiet)
    os.close(to_read)
    os.close(back_write)
    tab = Tab(to_write, back_read)
    try:
        target = tab.call("Target.createTarget", url="about:blank")["targetId"]
        where = {"behavior": "allow", "downloadPath": str(downloads)}
        tab.call("Browser.setDownloadBehavior", **where)
        attached = tab.call("Target.attachToTarget", targetId=target, flatten=True)
        tab.session = attached["sessionId"]
        tab.call("Network.enable")
        tab.call("Page.navigate", url=address)
        here = f"location.href.startsWith({json.dumps(address)})"
        tab.wait_for(f"{here} && document.readyState === 'complete'")
        yield tab
    finally:
        process.kill()
        process.wait()
        os.close(to_write)
        os.close(back_read)
