"""A Chromium without a window, driven by the WebDriver protocol: no more than the page's test and pictures need."""

import base64
import contextlib
import http.client
import json
import math
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request

from ending import held
from local_ring import Server, Wrong

WAIT_SECONDS = 30
ANSWER_SECONDS = 60
END_SECONDS = 20  # after which a process that was killed is told of
MARGIN = 16
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {
    "tab": "\ue004", "enter": "\ue007", "escape": "\ue00c", "space": " ", "end": "\ue010", "home": "\ue011",
    "left": "\ue012", "up": "\ue013", "right": "\ue014", "down": "\ue015", "shift": "\ue008",
}


class Stuck(Wrong):
    """The browser does not answer: nothing more is to be had of it."""


class Browser:
    """One window."""

    def __init__(self, width=1400, height=1000, dark=False, phone=False, still=False, seconds=ANSWER_SECONDS):
        for program in ("chromium", "chromedriver"):
            if not shutil.which(program):
                raise Wrong(f"there is no {program}: install the packages chromium and chromium-driver of Debian")
        self.seconds, self.session, self.driver = seconds, None, None
        # Both leave files where temporary ones belong, and a browser that has not opened is left behind by its driver: they have a
        # folder and a session of their own, by which all of that is found.
        self.folder = tempfile.TemporaryDirectory(prefix="chord-browser-")
        switches = ["--headless=new", "--hide-scrollbars", f"--window-size={width},{height}"]
        if os.geteuid() == 0:
            switches.append("--no-sandbox")
        if dark:
            switches += ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]
        if still:
            switches.append("--force-prefers-reduced-motion")
        options = {"args": switches}
        if phone:
            metrics = {"width": width, "height": height, "pixelRatio": 2.0, "touch": True}
            options["mobileEmulation"] = {"deviceMetrics": metrics}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        started = re.compile(r"started successfully on port (\d+)")
        try:
            own = {"env": {**os.environ, "TMPDIR": self.folder.name}, "start_new_session": True}
            self.driver = Server(["chromedriver", "--port=0"], lambda server: started.search(server.printed), **own)
            self.at = f"http://127.0.0.1:{started.search(self.driver.printed).group(1)}"
            session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self.session = f"/session/{session['sessionId']}"
            if dark:
                self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        except BaseException:
            self.end()
            raise

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.at + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self.seconds) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            problem = json.load(error)["value"]
            raise Wrong(f"{method} {path}: {problem['error']}: {problem['message'][:500]}") from None
        except (OSError, http.client.HTTPException) as error:
            raise Stuck(f"the browser does not answer to {method} {path} within {self.seconds} s: {error!r}") from None

    def devtools(self, command, **parameters):
        return self.call("POST", f"{self.session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, address):
        self.call("POST", f"{self.session}/url", {"url": address})

    def run(self, script, *arguments):
        """Runs the body of a function in the page."""
        return self.call("POST", f"{self.session}/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, what, script, *arguments, seconds=WAIT_SECONDS):
        """Waits until the script returns something true, and returns that."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.run(script, *arguments)
            if found:
                return found
            if time.monotonic() > deadline:
                seen = self.run("return document.body.innerText")
                raise Wrong(f"not within {seconds} s: {what}. The page says:\n{seen[:3000]}\n{self.complaints()}")
            time.sleep(0.05)

    def press(self, *keys):
        """Presses keys, as a user does who has no mouse."""
        actions = []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self.call("POST", f"{self.session}/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def tab_to(self, is_there, steps=200):
        """Presses tab until that holds of what has the keyboard."""
        for _ in range(steps):
            self.press("tab")
            if self.run(is_there):
                return
        raise Wrong(f"tab does not lead to where this holds: {is_there}")

    def type(self, text):
        """Puts a text where the keyboard is, as an input method does: also what no key has, such as emoji."""
        self.devtools("Input.insertText", text=text)

    def media(self, **features):
        """Has the page believe that its user prefers that, until nothing is said: `prefers_color_scheme="dark"`."""
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def resize(self, width=0, height=0):
        """Has the page believe that it is shown on a screen of that size; its own again without one."""
        if not width:
            return self.devtools("Emulation.clearDeviceMetricsOverride")
        return self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def allow(self, permission):
        self.call("POST", f"{self.session}/permissions", {"descriptor": {"name": permission}, "state": "granted"})

    def numbers(self):
        """What the browser measures of the page: https://chromedevtools.github.io/devtools-protocol/tot/Performance/."""
        return {one["name"]: one["value"] for one in self.devtools("Performance.getMetrics")["metrics"]}

    def press_back(self):
        """Shift and tab."""
        shift, tab = KEYS["shift"], KEYS["tab"]
        actions = [("keyDown", shift), ("keyDown", tab), ("keyUp", tab), ("keyUp", shift)]
        actions = [{"type": kind, "value": value} for kind, value in actions]
        self.call("POST", f"{self.session}/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def element(self, selector):
        found = self.call("POST", f"{self.session}/element", {"using": "css selector", "value": selector})
        return f"{self.session}/element/{found[ELEMENT]}"

    def click(self, selector):
        self.call("POST", f"{self.element(selector)}/click", {})

    def write(self, selector, text):
        """Puts a text in place of what a field has."""
        self.call("POST", f"{self.element(selector)}/clear", {})
        self.call("POST", f"{self.element(selector)}/value", {"text": text})

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def complaints(self):
        """What the browser complains of since it was asked last."""
        lines = self.call("POST", f"{self.session}/se/log", {"type": "browser"})
        return [line["message"] for line in lines if line["level"] in ("SEVERE", "WARNING")]

    def picture(self, path, whole=False, until=None, of=None):
        """Saves what is to be seen, or the whole page, or the page down to the end of all elements that are named, or one of them."""
        parameters = {"format": "png"}
        if whole:
            parameters["captureBeyondViewport"] = True
            size = self.devtools("Page.getLayoutMetrics")["cssContentSize"]
            parameters["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        if until:
            end = "const ends = [...document.querySelectorAll(arguments[0])].map((one) => one.getBoundingClientRect().bottom); return [window.innerWidth, Math.max(...ends) + window.scrollY]"
            width, bottom = self.run(end, until)
            parameters["captureBeyondViewport"] = True
            parameters["clip"] = {"x": 0, "y": 0, "width": width, "height": math.ceil(bottom) + MARGIN, "scale": 1}
        if of:
            box = "const box = document.querySelector(arguments[0]).getBoundingClientRect(); return [box.x + window.scrollX, box.y + window.scrollY, box.width, box.height]"
            x, y, width, height = self.run(box, of)
            parameters["captureBeyondViewport"] = True
            parameters["clip"] = {"x": x - MARGIN / 2, "y": y - MARGIN / 2, "width": width + MARGIN, "height": math.ceil(height) + MARGIN, "scale": 1}
        path.write_bytes(base64.b64decode(self.devtools("Page.captureScreenshot", **parameters)["data"]))

    def end(self):
        try:
            if self.session:
                self.call("DELETE", self.session)
        except Wrong as error:
            print(f"the browser did not end well: {error}", file=sys.stderr)
        finally:
            with held():
                if self.driver:
                    self.driver.end()
                    end_session(self.driver.process.pid)
                self.folder.cleanup()


def of_session(number):
    """The processes that live in that session."""
    living = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == number and state not in "ZX":
                living.append(int(process.name))
    return living


def end_session(number):
    """Kills what is left there, until nothing is."""
    deadline = time.monotonic() + END_SECONDS
    while left := of_session(number):
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            print(f"what the browser started does not end: {left}", file=sys.stderr)
            return
        time.sleep(0.02)
