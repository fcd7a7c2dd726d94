"""Orders from another machine, where there are no secrets: a network of its own for whoever gives them, which takes root."""

import os
import re
import shutil
import subprocess
import sys

from .rings import PATIENCE_SECONDS, Failed, LeftOut, is_refused, of_http, program, until
from .strangers import ORDERS, XML

# A network that documents use as an example, so that nobody's is in the way (RFC 5737).
HERE, THERE = "192.0.2.1", "192.0.2.2"
FROM_ELSEWHERE = [*[order for order in ORDERS if order[1] != "/notify"], ("POST", "/RPC2", XML.replace(b">put<", b">shutdown<"))]
SHOOT = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
sock.sendall(sys.stdin.buffer.read())
while more := sock.recv(65536):
    sys.stdout.buffer.write(more)
"""


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


class Elsewhere:
    """Two machines with a cable between, as far as the network goes; nothing of them is left at the end."""

    def __init__(self):
        self.here, self.there = (f"chord-attack-{os.getpid()}-{side}" for side in ("here", "there"))

    def __enter__(self):
        steps = [("netns", "add", self.here), ("netns", "add", self.there),
                 ("-n", self.here, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", self.there)]
        for side, address in ((self.here, HERE), (self.there, THERE)):
            steps += [("-n", side, "address", "add", f"{address}/30", "dev", "cable"), ("-n", side, "link", "set", "cable", "up"),
                      ("-n", side, "link", "set", "lo", "up")]
        try:
            for step in steps:
                if (done := ip(*step)).returncode != 0:
                    raise PermissionError(done.stderr.strip())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for side in (self.here, self.there):
            ip("netns", "delete", side)

    def tell(self, port, said):
        line = ["ip", "netns", "exec", self.there, sys.executable, "-c", SHOOT, HERE, str(port)]
        done = subprocess.run(line, input=said, capture_output=True, timeout=30, check=False)
        if done.returncode != 0:
            raise Failed(f"nobody gets there from elsewhere: {done.stderr.decode()[-300:]}")
        return done.stdout


def orders(ring):
    if os.geteuid() != 0 or not shutil.which("ip"):
        raise LeftOut("a network of its own takes root, and ip")
    try:
        with Elsewhere() as elsewhere:
            return give_orders(ring, elsewhere)
    except PermissionError as error:
        raise LeftOut(str(error)) from error


def give_orders(ring, elsewhere):
    log = ring.path / "log-elsewhere"
    line = ["ip", "netns", "exec", elsewhere.here, program(), "serve", "--listen", f"{HERE}:0", "--log-format", "json", "--header-wait", f"{PATIENCE_SECONDS}s"]
    with open(log, "wb") as to:
        node = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=to, stderr=to)
    try:
        def port():
            found = [word for word in log.read_text(errors="replace").split('"') if f"Running on {HERE}:" in word]
            return found and found[0].split(f"{HERE}:")[1].split(" ")[0]

        at, said = until("the node runs", port), ""
        for method, path, body in FROM_ELSEWHERE:
            head = f"{method} {path} HTTP/1.1\r\nhost: {HERE}:{at}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
            answer = elsewhere.tell(at, head.encode() + body)
            status, words = of_http(answer)
            # A fault has the status 200; the header says what it is.
            is_forbidden = status == 403 or words.split(" ")[1:2] == ["forbidden"]
            if not is_refused(answer) or not is_forbidden:
                raise Failed(f"{path} from elsewhere said {words!r}")
            said = said or words
        if node.poll() is not None:
            raise Failed("the node has ended")
        until("the log tells of it", lambda: '"why":"place"' in log.read_text(errors="replace"))
        numbers = elsewhere.tell(at, f"GET /metrics HTTP/1.1\r\nhost: {HERE}:{at}\r\nconnection: close\r\n\r\n".encode())
        counted = re.search(rb'chord_refused_total\{why="place"\} (\d+)', numbers)
        if not counted or int(counted[1]) < len(FROM_ELSEWHERE):
            raise Failed(f"of {len(FROM_ELSEWHERE)} orders from elsewhere {counted[1].decode() if counted else 'none'} were counted")
        return said
    finally:
        node.kill()
        node.wait()
