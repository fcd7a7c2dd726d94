"""Servers that are compared: rings of this program, and those of others. They end with the block that they are made for."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tours"))

from ending import held  # noqa: E402
from local_ring import READY, ROOT, Server, Wrong, cargo_builds, chord, named  # noqa: E402

READY_SECONDS = 60
RING_BITS = 160
PORTS_TO_CHOOSE_FROM = 100
# What each program is in: a package of Debian.
PACKAGES = {
    "redis-server": "redis-server",
    "redis-benchmark": "redis-tools",
    "redis-cli": "redis-tools",
    "etcd": "etcd-server",
    "dhtnode": "dhtnode",
}


def built(file, *what):
    """A release build of that, or of all, which is made anew if its source has changed; returns where the file is."""
    cargo_builds("--quiet", *what)
    return str(ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / file)


def installed(programs):
    """Installs what is missing, where this is a Debian."""
    missing = sorted({PACKAGES[program] for program in programs if not shutil.which(program)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Wrong(f"there is no {', '.join(missing)}, and no apt-get to install it by")
    root = [] if os.geteuid() == 0 else ["sudo"]
    print(f"installing {', '.join(missing)}...", file=sys.stderr, flush=True)
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    for line in ([*apt, "update"], [*apt, "install", "-y", *missing]):
        if code := subprocess.run(line, check=False, stdout=subprocess.DEVNULL).returncode:
            raise Wrong(f"{' '.join(missing)} cannot be installed: apt-get ended with {code}")


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def position(name):
    """Where a node of that name lies on its ring, from 0 to 1."""
    return (int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % 2**RING_BITS) / 2**RING_BITS


def even_ports(count):
    """Free ports on which nodes own about equal parts of the ring: by chance one of three may own four fifths, and is asked for
    what it has itself then."""
    free = {position(f"127.0.0.1:{port}"): port for port in free_ports(PORTS_TO_CHOOSE_FROM)}

    def beginning_at(begin):
        wanted = [(begin + idx / count) % 1 for idx in range(count)]
        chosen = [min(free, key=lambda at, place=place: abs((at - place + 0.5) % 1 - 0.5)) for place in wanted]
        return min((after - at) % 1 for at, after in zip(chosen, chosen[1:] + chosen[:1])) if count > 1 else 1, chosen

    _, chosen = max(map(beginning_at, free))
    return [free[at] for at in chosen]


def wait_until(what, holds):
    deadline = time.monotonic() + READY_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise Wrong(f"{what} is not ready after {READY_SECONDS} s")
        time.sleep(0.1)


def answers(url):
    """What a server says there; None if it does not, or is not content with itself."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except (OSError, urllib.error.URLError):
        return None


class Servers:
    """Processes that end with the block that they are made for."""

    def __init__(self, folder=None):
        self.processes, self.folder = [], tempfile.TemporaryDirectory(prefix="chord-compare-", dir=folder)
        self.path = pathlib.Path(self.folder.name)

    def start(self, line, is_ready=lambda server: True, pinned=False):
        prefix = ["taskset", "-c", "0"] if pinned else []
        self.processes.append(Server([*prefix, *map(str, line)], is_ready))

    @contextlib.contextmanager
    def or_end(self):
        """For what begins with them already there: if it fails, they end."""
        try:
            yield
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # At once, and hard: what they keep is thrown away.
        with held():
            for server in self.processes:
                if server.process.poll() is None:
                    server.process.send_signal(signal.SIGKILL)
            for server in self.processes:
                server.process.wait()
            self.folder.cleanup()

    @property
    def addresses(self):
        return [f"127.0.0.1:{port}" for port in self.ports]


class Ring(Servers):
    """A ring of `chord serve` processes."""

    def __init__(self, n_nodes, *switches, on_disk=None, pinned=False):
        super().__init__(on_disk)
        self.ports = even_ports(n_nodes)
        with self.or_end():
            for idx, address in enumerate(self.addresses):
                line = [chord(), "serve", "--listen", address, *switches]
                line += ["--join", self.addresses[0]] if idx else []
                line += ["--data", self.path / str(idx), "--sync", "always"] if on_disk else []
                self.start(line, lambda server: READY.search(server.printed), pinned)
            for address in self.addresses:
                wait_until(address, lambda address=address: answers(f"http://{address}/readyz") is not None)


class Redis(Servers):
    """redis-server: one, or a cluster of masters."""

    def __init__(self, n_masters=1, pinned=False):
        super().__init__()
        self.ports = free_ports(n_masters)
        with self.or_end():
            for port in self.ports:
                folder = self.path / str(port)
                folder.mkdir()
                line = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
                line += ["--dir", folder]
                line += ["--cluster-enabled", "yes"] if n_masters > 1 else []
                self.start(line, lambda server: "Ready to accept connections" in server.printed, pinned)
            if n_masters > 1:
                create = ["redis-cli", "--cluster", "create", *self.addresses, "--cluster-yes"]
                subprocess.run(create, check=True, stdout=subprocess.DEVNULL, timeout=READY_SECONDS)
                wait_until("the cluster", lambda: all(map(self.is_ready, self.ports)))

    @staticmethod
    def is_ready(port):
        told = subprocess.run(["redis-cli", "-p", str(port), "cluster", "info"], capture_output=True, text=True, check=False)
        return "cluster_state:ok" in told.stdout


class Etcd(Servers):
    """etcd, with its records on the disk, as it always has them."""

    def __init__(self, n_nodes, on_disk):
        super().__init__(on_disk)
        self.ports, others = free_ports(n_nodes), free_ports(n_nodes)
        all_others = ",".join(f"n{idx}=http://127.0.0.1:{port}" for idx, port in enumerate(others))
        with self.or_end():
            for idx, (address, other) in enumerate(zip(self.addresses, others)):
                line = ["etcd", "--name", f"n{idx}", "--data-dir", self.path / str(idx), "--log-level", "error"]
                line += ["--listen-client-urls", f"http://{address}", "--advertise-client-urls", f"http://{address}"]
                line += ["--listen-peer-urls", f"http://127.0.0.1:{other}"]
                line += ["--initial-advertise-peer-urls", f"http://127.0.0.1:{other}"]
                line += ["--initial-cluster", all_others, "--initial-cluster-state", "new"]
                self.start(line)
            for address in self.addresses:
                wait_until(address, lambda address=address: '"true"' in (answers(f"http://{address}/health") or ""))
