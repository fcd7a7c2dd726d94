"""OpenDHT: a ring of dhtnode processes, driven as a person would at the terminal of one of them, but faster."""

import contextlib
import os
import select
import subprocess
import time

from comparison.servers import READY_SECONDS, Servers, Wrong, free_ports
from ending import held, start

WARMUP_SECONDS = 0.5
# Its threads write into each other's lines, but not into a word.
DONE = {"put": b"success", "get": b"completed"}
FAILED = b"failure"


class Terminal:
    """A dhtnode and what it is told."""

    def __init__(self, port, bootstrap):
        line = ["dhtnode", "-p", str(port), "--no-rate-limit"]  # with its limit it answers 350 requests a second
        line += ["-b", f"127.0.0.1:{bootstrap}"] if bootstrap else []
        self.process = start(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.rest = b""

    def tell(self, commands):
        self.process.stdin.write("".join(f"{command}\n" for command in commands).encode())
        self.process.stdin.flush()

    def said(self, seconds, *words):
        """How often it has said each of these words meanwhile; waits for something so long at most."""
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return [0 for _ in words]
        some = os.read(self.process.stdout.fileno(), 1 << 16)
        if not some:
            raise Wrong("dhtnode has ended")
        # Of a word that was cut in two, the beginning came before.
        counts = [(self.rest[len(self.rest) - len(word) + 1 :] + some).count(word) for word in words]
        self.rest = (self.rest + some)[-max(map(len, words)) :]
        return counts


class Dht(Servers):
    """Some dhtnode processes that know each other."""

    def __init__(self, n_nodes):
        super().__init__()
        self.nodes = []
        ports = free_ports(n_nodes)
        with self.or_end():
            for port in ports:
                self.nodes.append(Terminal(port, ports[0] if self.nodes else None))
            deadline = time.monotonic() + READY_SECONDS
            while not self.knows(n_nodes - 1):
                if time.monotonic() > deadline:
                    raise Wrong(f"dhtnode does not know the others after {READY_SECONDS} s")

    def knows(self, n_others):
        self.nodes[0].tell(["ll"])
        time.sleep(0.2)
        return self.nodes[0].said(1, f"Known nodes: {n_others} good".encode()) != [0]

    def client(self, n_at_a_time, value_bytes, seconds):
        return Client(self.nodes[0], n_at_a_time, value_bytes, seconds)

    def __exit__(self, *_):
        with held():
            for node in self.nodes:
                with contextlib.suppress(OSError):
                    node.process.kill()
                node.process.wait()
            super().__exit__()


class Client:
    """So many requests at a time. Each put has a key of its own, since OpenDHT keeps all values that a key ever had."""

    def __init__(self, node, n_at_a_time, value_bytes, seconds):
        self.node, self.n_at_a_time, self.value, self.seconds = node, n_at_a_time, "v" * value_bytes, seconds
        self.n_put = self.n_got = 0

    def command(self, operation):
        if operation == "put":
            self.n_put += 1
            return f"p k{self.n_put} {self.value}"
        # One that was put a while ago.
        self.n_got += 1
        return f"g k{self.n_got % max(1, self.n_put - self.n_at_a_time) + 1}"

    def rate(self, operation):
        self.node.tell(self.command(operation) for _ in range(self.n_at_a_time))
        n_under_way, n_done = self.n_at_a_time, 0
        begin = time.monotonic() + WARMUP_SECONDS
        end = begin + self.seconds
        while n_under_way:
            n_ended, n_failed = self.node.said(5, DONE[operation], FAILED)
            now = time.monotonic()
            if n_failed or now > end + READY_SECONDS:
                raise Wrong(f"dhtnode fails to {operation}")
            n_done += n_ended if begin <= now < end else 0
            if now < end:
                self.node.tell(self.command(operation) for _ in range(n_ended))
            else:
                n_under_way -= n_ended
        return n_done / self.seconds
