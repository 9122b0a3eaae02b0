"""A headless Chromium, driven through chromedriver by the WebDriver protocol, without a library."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

AVAILABLE = bool(shutil.which("chromedriver") and (shutil.which("chromium")))


class Browser:
    """Shows one page at a time and keeps the messages of its console."""

    def __init__(self, width=1200, height=900):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.base = f"http://127.0.0.1:{port}/session"
        words = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            f"--window-size={width},{height}",
        ]
        words.append("--autoplay-policy=no-user-gesture-required")
        options = {
            "goog:chromeOptions": {"args": words, "binary": shutil.which("chromium")},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        body = {"capabilities": {"alwaysMatch": options}}
        for _ in range(100):
            try:
                self.base += "/" + self._call("", body)["sessionId"]
                return
            except urllib.error.URLError:
                time.sleep(0.1)
        raise RuntimeError("chromedriver does not answer")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._call("", method="DELETE")
        finally:
            self.driver.terminate()
            self.driver.wait(30)

    def _call(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def open(self, path):
        self._call("/url", {"url": Path(path).resolve().as_uri()})

    def run(self, script):
        """Run the body of an async function and return its result."""
        wrapped = f"const done = arguments[0]; (async () => {{ {script} }})().then(done);"
        return self._call("/execute/async", {"script": wrapped, "args": []})

    def console(self):
        return self._call("/se/log", {"type": "browser"})

    def screenshot(self):
        return base64.b64decode(self._call("/screenshot"))
