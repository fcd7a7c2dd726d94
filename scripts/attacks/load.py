"""Other clients, beside an attack: reads and writes at a fixed rate, each counted from when it was due. Prints JSON.

load.py SECONDS RATE SECRET CA NODE ...     (- for no secret, or no TLS)
"""

import json
import socket
import ssl
import sys
import time

KEYS = 50
WAIT_SECONDS = 10
# The nodes close what has said nothing for two seconds; a client knows that, and on a busy machine it may come late.
STALE_SECONDS = 1


class Line:
    """A connection to a node that stays."""

    def __init__(self, node, secret, ca):
        self.node, self.ca = node, ca
        self.authorization = "" if secret == "-" else f"authorization: Bearer {secret}\r\n"
        self.sock, self.heard, self.used = None, b"", 0

    def close(self):
        self.sock.close()
        self.sock = None

    def connect(self):
        host, port = self.node.rsplit(":", 1)
        self.sock, self.heard = socket.create_connection((host, int(port)), WAIT_SECONDS), b""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.ca != "-":
            self.sock = ssl.create_default_context(cafile=self.ca).wrap_socket(self.sock, server_hostname=host)

    def ask(self, method, path, body=b""):
        """The status."""
        if self.sock is not None and time.monotonic() - self.used > STALE_SECONDS:
            self.close()
        if self.sock is None:
            self.connect()
        head = f"{method} {path} HTTP/1.1\r\nhost: {self.node}\r\n{self.authorization}content-length: {len(body)}\r\n\r\n"
        try:
            self.sock.sendall(head.encode() + body)
            status, self.used = self.hear(), time.monotonic()
            return status
        except OSError:
            self.close()
            raise

    def hear(self):
        while b"\r\n\r\n" not in self.heard:
            self.more()
        head, self.heard = self.heard.split(b"\r\n\r\n", 1)
        lines = head.lower().split(b"\r\n")
        length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
        while len(self.heard) < length:
            self.more()
        self.heard = self.heard[length:]
        return int(lines[0].split()[1])

    def more(self):
        came = self.sock.recv(65536)
        if not came:
            raise ConnectionResetError("the node closed the connection before it had answered")
        self.heard += came


def main():
    seconds, rate, secret, ca, *nodes = sys.argv[1:]
    seconds, rate = float(seconds), float(rate)
    lines = [Line(node, secret, ca) for node in nodes]
    for line in lines:
        line.ask("PUT", "/v1/kv/load-0", b"value")
    took, wrong, n_asked = [], [], 0
    begin = time.monotonic()
    while (due := begin + n_asked / rate) < begin + seconds:
        time.sleep(max(0, due - time.monotonic()))
        path = f"/v1/kv/load-{n_asked * 7 % KEYS}"
        method, body = ("PUT", b"value") if n_asked % 2 else ("GET", b"")
        try:
            status = lines[n_asked % len(lines)].ask(method, path, body)
            if status not in (200, 201, 204, 404):
                wrong.append(f"status {status}")
        except OSError as error:
            wrong.append(str(error))
        took.append(time.monotonic() - due)
        n_asked += 1
    took.sort()
    at = lambda share: took[min(len(took) - 1, int(len(took) * share))] * 1000  # noqa: E731
    print(json.dumps({"p50_ms": at(0.5), "p99_ms": at(0.99), "asked": n_asked, "wrong": wrong[:3], "n_wrong": len(wrong)}))


if __name__ == "__main__":
    main()
