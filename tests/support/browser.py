"""A Chromium without a window, driven over the WebDriver protocol."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WITHIN_S = 30.0
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_ENTER = "\ue007"


def why_no_browser() -> str:
    """Return why no test can use a browser here; empty if it can."""
    missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
    return f"{' and '.join(missing)} not installed (Debian: apt install chromium chromium-driver)" if missing else ""


class Browser:
    """One window; every method that looks for something waits until it is there."""

    def __init__(self, driver: str, *, width: int = 1280, height: int = 900) -> None:
        self._driver = driver
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        options = {"args": [*arguments, f"--window-size={width},{height}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._send("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._driver += f"/{session['sessionId']}"

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self._driver}{path}", data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise LookupError(json.load(error)["value"]["message"]) from None

    def open(self, url: str) -> None:
        """Load a page."""
        self._send("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page, which may return something."""
        return self._send("POST", "/execute/sync", {"script": script, "args": arguments})

    def wait(self, what: str, found: Callable[[], Any]) -> Any:
        """Return the first true result of a function."""
        end = time.monotonic() + WITHIN_S
        while time.monotonic() < end:
            try:
                if result := found():
                    return result
            except LookupError:
                pass  # the page is being changed
            time.sleep(0.05)
        raise AssertionError(f"{what} did not appear; the page says:\n{self.text()}\n{self.errors()}")

    def text(self, selector: str = "body") -> str:
        """Return the visible text of the first element that a CSS selector finds."""
        found = self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        return str(found)

    def sees(self, text: str, selector: str = "body") -> None:
        """Wait until an element shows a text."""
        self.wait(repr(text), lambda: text in self.text(selector))

    def _element(self, selector: str, text: str = "") -> str:
        script = (
            "return [...document.querySelectorAll(arguments[0])].find("
            "one => !arguments[1] || one.innerText.includes(arguments[1]))"
        )
        found = self.wait(f"{selector} {text!r}", lambda: self.run(script, selector, text))
        return str(found[_ELEMENT])

    def click(self, selector: str, text: str = "") -> None:
        """Click the first element that a CSS selector finds and that shows a text."""

        def clicked() -> bool:
            self._send("POST", f"/element/{self._element(selector, text)}/click", {})
            return True

        self.wait(f"a click on {selector} {text!r}", clicked)

    def type(self, selector: str, text: str) -> None:
        """Type into a field in place of what it holds."""
        element = self._element(selector)
        self._send("POST", f"/element/{element}/clear", {})
        self._send("POST", f"/element/{element}/value", {"text": text})

    def keys(self, text: str) -> None:
        """Press keys in the page."""
        actions = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self._send("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def enter(self) -> None:
        """Press the key Enter."""
        self.keys(_ENTER)

    def resize(self, width: int, height: int) -> None:
        """Give the page another size, as on another device; narrower than a window can be."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._send("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})

    def picture(self, file: Path) -> None:
        """Write what the page looks like to a PNG file."""
        file.write_bytes(base64.b64decode(self._send("GET", "/screenshot")))

    def errors(self) -> list[str]:
        """Return the errors that the page reported since the last call."""
        log = self._send("POST", "/se/log", {"type": "browser"})
        return [line["message"] for line in log if line["level"] == "SEVERE"]

    def close(self) -> None:
        """Close the window."""
        self._send("DELETE", "")


@contextmanager
def browser(**size: int) -> Iterator[Browser]:
    """Open a window."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ}
    )
    try:
        end = time.monotonic() + WITHIN_S
        while True:
            try:
                opened = Browser(f"http://127.0.0.1:{port}/session", **size)
                break
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < end, "chromedriver does not answer"
                time.sleep(0.1)
        try:
            yield opened
        finally:
            opened.close()
    finally:
        driver.terminate()
        driver.wait(WITHIN_S)
