"""Servers for a tour: a ring of `chord serve` processes, and a Redis beside it. All are gone when the tour ends."""

import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from ending import start
from outcome import Wrong

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
READY = re.compile(r"Founded a ring|Joined the ring")
START_SECONDS = 30
END_SECONDS = 30


def named():
    """The program that CHORD names, by its path or as one in PATH; None if it names none."""
    name = os.environ.get("CHORD")
    if not name:
        return None
    found = shutil.which(name)
    if not found:
        there = "there is no such program" if os.path.dirname(name) else "there is no program of that name in PATH"
        raise Wrong(f"CHORD is {name}, but {there}: name one, or none, so that this tree is built")
    return os.path.abspath(found)


def cargo_builds(*line):
    """Runs cargo in this tree."""
    try:
        subprocess.run(["cargo", "build", "--release", "--locked", *line], cwd=ROOT, check=True)
    except FileNotFoundError:
        raise Wrong("there is no cargo to build the program with: install Rust, or name a program by CHORD") from None
    except subprocess.CalledProcessError as error:
        raise Wrong(f"the program is not built: cargo ended with {error.returncode}") from None


def chord():
    """The program that CHORD names, or the release build, which is built if it is not there."""
    if program := named():
        return program
    program = ROOT / "target" / "release" / "chord"
    if not program.exists():
        cargo_builds()
    return str(program)


class Server:
    """A process that serves, in the background."""

    def __init__(self, line, is_ready, seconds=START_SECONDS, **how):
        self.line, self.printed, self.lines = line, "", queue.Queue()
        self.process = start(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **how)
        try:
            threading.Thread(target=self.read, daemon=True).start()
            self.wait_until(is_ready, seconds)
        except BaseException:
            # Whoever is told to end while it waits has no server to end yet.
            self.kill()
            raise

    def wait_until(self, is_ready, seconds):
        deadline = time.monotonic() + seconds
        while not is_ready(self):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise Wrong(f"{' '.join(map(str, self.line))} does not start:\n{self.printed}")
            time.sleep(0.02)

    def read(self):
        for text in self.process.stdout:
            self.printed += text

    def kill(self):
        """As a machine that loses power."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        """Ends it in good order; returns whether it did."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(END_SECONDS) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            return False


class Ring:
    """A ring of processes, each on a port that was free, or on those from that one on; with its records in that folder, or in
    memory alone."""

    def __init__(self, n_nodes, first_port=0, folder=None):
        self.nodes, self.ports, self.folder = [], [], folder
        try:
            for idx in range(n_nodes):
                node = self.start(first_port + idx if first_port else 0, self.ports[:1], *self.data(idx))
                self.nodes.append(node)
                self.ports.append(int(re.search(r"Running on \S*:(\d+)", node.printed).group(1)))
        except BaseException:
            self.end()
            raise

    @staticmethod
    def start(port, others, *switches):
        joins = [word for other in others for word in ("--join", f"127.0.0.1:{other}")]
        line = [chord(), "serve", "--listen", f"127.0.0.1:{port}", *joins, *switches]
        return Server(line, lambda server: READY.search(server.printed))

    def data(self, idx):
        return ["--data", f"{self.folder}/{idx}"] if self.folder else []

    def start_again(self, idx):
        """A node that was killed, on its port."""
        others = [port for port in self.ports if port != self.ports[idx]]
        self.nodes[idx] = self.start(self.ports[idx], others, *self.data(idx))

    def join(self, *switches):
        """One more node."""
        self.nodes.append(self.start(0, self.ports[1:], *switches))
        self.ports.append(int(re.search(r"Running on \S*:(\d+)", self.nodes[-1].printed).group(1)))
        return self.ports[-1]

    def end(self):
        # Beside each other: the last has nobody to hand its keys to.
        for node in self.nodes:
            if node.process.poll() is None:
                node.process.send_signal(signal.SIGTERM)
        return [node.end() for node in self.nodes]


class Redis:
    """A redis-server without a memory."""

    def __init__(self):
        if not shutil.which("redis-server"):
            raise Wrong("there is no redis-server: install the package redis-server of Debian")
        self.folder = tempfile.TemporaryDirectory()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        line = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        line += ["--notify-keyspace-events", "KA"]
        line += ["--dir", self.folder.name]
        self.server = Server(line, lambda server: "Ready to accept connections" in server.printed)

    def version(self):
        return "Redis " + re.search(r"[Vv]ersion[ =](\d+\.\d+\.\d+)", self.server.printed).group(1)

    def end(self):
        self.server.end()
        self.folder.cleanup()


def python_with(requirements, tools):
    """A Python that has what the file names, in a folder below target/, where it stays for the next time."""
    folder = ROOT / "target" / "ci-tools" / tools
    installed = folder / "installed.txt"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["python3", "-m", "venv", folder], check=True)
        install = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements]
        subprocess.run(install, check=True)
        shutil.copy(requirements, installed)
    return folder / "bin" / "python"
