"""A Chromium that is told what to do through its DevTools protocol, with nothing but the standard library."""

import base64
import json
import os
import re
import socket
import struct
import subprocess
import tempfile
import time


class Page:
    """One tab. `messages` and `dialogs` gather what the page said and asked."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="parity-browser-")
        self.log = open(os.path.join(self.folder.name, "log"), "w+b")
        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={self.folder.name}/profile", "about:blank"],
            stdout=self.log, stderr=self.log)
        address = self._wait_for(lambda: re.search(rb"ws://127\.0\.0\.1:(\d+)/", self._said()), "Chromium did not start")
        self.port = int(address.group(1))
        target = self._wait_for(self._first_page, "Chromium has no page")
        self.socket = self._connect(target)
        self.number = 0
        self.messages, self.dialogs, self.violations = [], [], []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _said(self):
        with open(self.log.name, "rb") as log:
            return log.read()

    def _wait_for(self, what, otherwise, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = what()
            if found:
                return found
            time.sleep(0.05)
        raise RuntimeError(f"{otherwise}: {self._said()[-2000:]!r}")

    def _first_page(self):
        import urllib.request
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json") as answer:
            pages = [each for each in json.load(answer) if each["type"] == "page"]
        return pages[0]["webSocketDebuggerUrl"] if pages else None

    def _connect(self, url):
        path = url.split("/", 3)[3]
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall((f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\n"
                            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += connection.recv(65536)
        self.rest = self.rest.split(b"\r\n\r\n", 1)[1]
        return connection

    def _send(self, text):
        data = text.encode()
        mask = os.urandom(4)
        length = len(data)
        if length < 126:
            head = struct.pack("!BB", 0x81, 0x80 | length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", 0x81, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", 0x81, 0x80 | 127, length)
        self.socket.sendall(head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)))

    def _exactly(self, count):
        while len(self.rest) < count:
            more = self.socket.recv(1 << 20)
            if not more:
                raise RuntimeError("Chromium went away")
            self.rest += more
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def _receive(self):
        whole = b""
        while True:
            first, second = self._exactly(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", self._exactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self._exactly(8))
            whole += self._exactly(length)
            if first & 0x80:
                return json.loads(whole)

    def call(self, method, **parameters):
        self.number += 1
        self._send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = self._receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _note(self, event):
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.messages.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.messages.append(parameters["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(parameters["message"])
            self.number += 1
            self._send(json.dumps({"id": self.number, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}))

    def ask(self, expression):
        """The value of an expression, or of what it promises."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression, seconds=60):
        self._wait_for(lambda: self.ask(expression), f"never true: {expression}", seconds)

    def open(self, url, width=1280, dark=False):
        self.messages, self.dialogs = [], []
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.until("document.body && document.body.dataset.ready === 'yes'")

    def click(self, x, y):
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="none" if kind == "mouseMoved" else "left",
                      clickCount=0 if kind == "mouseMoved" else 1)

    def press(self, key):
        code = {"ArrowRight": 39, "ArrowLeft": 37, "Enter": 13, "End": 35, "Home": 36, "Tab": 9}[key]
        for kind in ("keyDown", "keyUp"):
            # Without its text, Enter is a key that sends no form.
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def screenshot(self, path):
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()
        self.folder.cleanup()
