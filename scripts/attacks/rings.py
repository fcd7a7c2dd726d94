"""Rings that are attacked: three nodes each, what they say of themselves, and the log and the numbers that an attack leaves."""

import concurrent.futures
import datetime
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tours"))

from local_ring import ROOT  # noqa: E402
from outcome import Wrong  # noqa: E402

# Each address of the loopback is a host of its own, for certificates and for limits of clients alike.
HOSTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
ATTACKER = "127.66.6.6"
RING = "attacked"
# A node waits so long for slow clients here, where it would wait for ten or thirty seconds; so the list does not take an hour.
PATIENCE_SECONDS = 2
# And takes so many connections, half of what it would take, so that a crowd is one while they are waited for.
N_PLACES = 2048
# Of which one client may have so many in a ring where that is limited, open as many in a second, send so many requests in one,
# and have so many bytes under way: other clients need less.
CLIENT_CONNECTIONS, CLIENT_CONNECTS, CLIENT_REQUESTS, CLIENT_BYTES = 40, 200, 1000, 2 << 20
WAIT_SECONDS = 30
N_KEYS = 20
LARGE_BYTES = 256 << 10
SECRETS = {role: f"the-secret-of-{role}s-{role}s" for role in ("node", "admin", "write", "read")}
NO_SECRET = "the-secret-of-nobody"
# A node tells of the same once in so long, and half a second more.
QUIET_SECONDS = 10.5
# Attackers come from elsewhere: what they do themselves must take nothing from the nodes. So this program steps back, and starts
# nodes and other clients by a thread that has not.
STEPS_BACK = 10
STARTER, STARTED = concurrent.futures.ThreadPoolExecutor(1), []


def step_back():
    STARTER.submit(os.getpid).result()
    os.setpriority(os.PRIO_PROCESS, 0, STEPS_BACK)


def start(line, **options):
    def by_that_thread():
        STARTED.append(subprocess.Popen(list(map(str, line)), stdin=subprocess.DEVNULL, **options))
        return STARTED[-1]

    return STARTER.submit(by_that_thread).result()


def end_all():
    """At once, and hard: what they keep is thrown away. A signal may have come while one was started."""
    STARTER.submit(int).result()
    for process in STARTED:
        process.kill()
    while STARTED:
        STARTED.pop().wait()


def make_certificates(folder, *hosts):
    names = [word for host in hosts for word in ("--name", host)]
    done = subprocess.run([program(), "tls", "init", folder, *names], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (folder / "ca.pem").exists():
        raise Wrong(f"{program()} makes no certificates: {done.stderr.strip() or 'it says nothing'}")


class Failed(Exception):
    """An attack that was not refused, or that has left its mark."""


class LeftOut(Exception):
    """An attack that this machine, or who runs it, is not fit for."""


def program():
    """The program that CHORD names, or the one that was built last."""
    named = os.environ.get("CHORD")
    if named and shutil.which(named) is None:
        raise Wrong(f"CHORD names {named}, which is no program: build one by `cargo build -p chord --release`, and name that")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [target / kind / "chord" for kind in ("release", "debug")]
    there = [path for path in built if path.exists()]
    if not named and not there:
        raise Wrong("there is no chord: build it by `cargo build -p chord --release`, or name it by CHORD")
    return named or str(max(there, key=lambda path: path.stat().st_mtime))


def until(what, holds, seconds=WAIT_SECONDS):
    deadline, why = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            if found := holds():
                return found
        except (OSError, http.client.HTTPException) as error:
            why = error
        time.sleep(0.05)
    raise Wrong(f"{what}: not within {seconds} s ({why})")


class Ring:
    """Three processes. `kind` is `secret`, `tls`, which has secrets too, `open`, or `limited`, where one client may not have all."""

    def __init__(self, kind):
        self.kind, self.has_secrets, self.is_tls = kind, kind in ("secret", "tls"), kind == "tls"
        self.folder = tempfile.TemporaryDirectory(prefix="chord-attack-")
        self.path, self.processes, self.nodes = pathlib.Path(self.folder.name), [], []
        self.lines, self.read_to = [], [0] * len(HOSTS)
        self.ca = str(self.path / "certs" / "ca.pem") if self.is_tls else None
        try:
            self.begin()
        except BaseException:
            self.end()
            raise

    def begin(self):
        if self.is_tls:
            make_certificates(self.path / "certs", *HOSTS, ATTACKER)
        self.secret_file("node", *(f"{role} {secret}" for role, secret in SECRETS.items() if role != "node"))
        for idx, host in enumerate(HOSTS):
            with socket.create_server((host, 0)) as free:
                self.nodes.append(f"{host}:{free.getsockname()[1]}")
            self.start(idx)
        until("the ring is whole", self.is_whole)
        for number in range(N_KEYS):
            self.put(f"attack-{number}", f"value {number}".encode())
        self.put("attack-large", b"x" * LARGE_BYTES)
        self.put("attack-text", b"no number")
        until("every copy is made", lambda: all(self.number(idx, "chord_ready") == 1 for idx in range(3)))

    def secret_file(self, role, *more):
        """A file with that secret, made if it is not there."""
        path = self.path / f"secret-{role}"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text("\n".join([SECRETS.get(role, NO_SECRET), *more]) + "\n")
        return path

    def start(self, idx):
        patience = f"{PATIENCE_SECONDS}s"
        line = [program(), "serve", "--listen", self.nodes[idx], "--ring", RING, "--log-format", "json", "--header-wait", patience]
        line += ["--body-wait", patience, "--answer-wait", patience, "--connections", N_PLACES]
        if self.kind == "limited":
            line += ["--client-connections", CLIENT_CONNECTIONS, "--client-connects", CLIENT_CONNECTS]
            line += ["--client-requests", CLIENT_REQUESTS, "--client-bytes", f"{CLIENT_BYTES}B"]
        line += ["--secret-file", self.path / "secret-node"] if self.has_secrets else []
        if self.is_tls:
            of_host = self.path / "certs" / HOSTS[idx]
            line += ["--tls-cert", f"{of_host}.pem", "--tls-key", f"{of_host}.key", "--tls-ca", self.ca]
        line += ["--join", self.nodes[0]] if idx else []
        with open(self.path / f"log-{idx}", "wb") as log:
            self.processes.append(start(line, stdout=log, stderr=log))
        until(f"{self.nodes[idx]} answers", lambda: self.answers(idx))

    def answers(self, idx):
        if self.processes[idx].poll() is not None:
            said = (self.path / f"log-{idx}").read_text(errors="replace").strip()[-300:]
            raise Wrong(f"{program()} serve ended with {self.processes[idx].returncode} at once, and said {said or 'nothing'}")
        return self.ask(idx, "GET", "/healthz")[0] == 200

    def end(self):
        end_all()
        self.folder.cleanup()

    # Sockets.

    def tls_context(self):
        return ssl.create_default_context(cafile=self.ca)

    def connect(self, idx=0, plain=False, seconds=10):
        """A connection from where attackers are."""
        host, port = self.nodes[idx].rsplit(":", 1)
        sock = socket.create_connection((host, int(port)), seconds, source_address=(ATTACKER, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.is_tls and not plain:
            return self.tls_context().wrap_socket(sock, server_hostname=host)
        return sock

    def told(self, said, idx=0, plain=False, seconds=10):
        """All that comes back to these bytes until the connection ends, or nothing comes for so long."""
        with self.connect(idx, plain, seconds) as sock:
            return told(sock, said)

    def head(self, method, path, headers=(), version="HTTP/1.1", idx=0):
        lines = [f"{method} {path} {version}", f"host: {self.nodes[idx]}", "connection: close", *headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def request(self, method, path, headers=(), body=b"", secret=None, idx=0):
        """One request over HTTP as an attacker sends it: the status and what is said."""
        headers = [*headers, f"authorization: Bearer {secret}"] if secret else list(headers)
        headers += [f"content-length: {len(body)}"] if body or method in ("POST", "PUT") else []
        return of_http(self.told(self.head(method, path, headers, idx=idx) + body, idx))

    def redis(self, *lines, secret=None):
        """Commands on one connection, and the line that answers each."""
        auth = [f"AUTH {secret}"] if secret and self.has_secrets else []
        answer = self.told("".join(f"{line}\r\n" for line in [*auth, *lines, "QUIT"]).encode())
        said = answer.decode(errors="replace").split("\r\n")
        return said[len(auth):]

    # What the ring says of itself, asked by whom it lets in.

    def ask(self, idx, method, path, body=None):
        host, port = self.nodes[idx].rsplit(":", 1)
        make = (lambda: http.client.HTTPSConnection(host, int(port), timeout=WAIT_SECONDS, context=self.tls_context())) if self.is_tls \
            else (lambda: http.client.HTTPConnection(host, int(port), timeout=WAIT_SECONDS))
        connection = make()
        try:
            headers = {"authorization": f"Bearer {SECRETS['admin']}"} if self.has_secrets else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def put(self, key, value):
        until(f"{key} is stored", lambda: self.ask(0, "PUT", f"/v1/kv/{key}", value)[0] in (200, 201, 204))

    def numbers(self, idx):
        text = self.ask(idx, "GET", "/metrics")[1].decode()
        return {name: float(number) for name, number in re.findall(r"(?m)^(\w+(?:\{[^}]*\})?) (\S+)$", text)}

    def number(self, idx, name):
        return self.numbers(idx)[name]

    def is_whole(self):
        rings = [json.loads(self.ask(idx, "GET", "/v1/ring")[1]) for idx in range(3)]
        return all(ring["is_member"] and ring["predecessor"] and len(ring["successors"]) == 2 for ring in rings)

    def state(self):
        """All that an attack must not change."""
        found = {}
        for idx, node in enumerate(self.nodes):
            ring = json.loads(self.ask(idx, "GET", "/v1/ring")[1])
            numbers = self.numbers(idx)
            found[node] = {name: ring[name] for name in ("position", "is_member", "predecessor", "successors", "ring_name")}
            names = ("successor_changes_total", "predecessor_changes_total", "neighbours_dropped_total", "ring_violations_total")
            found[node] |= {name: numbers[f"chord_{name}"] for name in names}
            found[node]["runs"] = self.processes[idx].poll() is None
        listed = [json.loads(line) for line in self.ask(1, "GET", "/v1/keys")[1].splitlines()]
        listed = sorted((line["key"], line["version"]) for line in listed if not line["key"].startswith("load-"))
        found["records"] = until("the records are read", lambda: self.records(listed)) if listed else []
        return found

    def records(self, listed):
        """Keys and versions with what is stored there, of which a digest is enough; nothing if one cannot be read at the moment."""
        asked = "".join(json.dumps({"op": "get", "key": key}) + "\n" for key, _ in listed)
        status, told = self.ask(1, "POST", "/v1/batch", asked.encode())
        lines = [json.loads(line) for line in told.splitlines()] if status == 200 else []
        if len(lines) != len(listed) or any(line["status"] not in (200, 404) for line in lines):
            return None
        # What is no text is there in base64, by another name.
        found = [{name: content for name, content in line.items() if name == "status" or name.startswith("value")} for line in lines]
        return [(*each, hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]) for each, content in zip(listed, found)]

    def refused(self):
        """How many were refused, by why, at all nodes together; among them those who called themselves nodes in TLS, and idle
        connections that were ended for others."""
        found = {}
        for idx in range(3):
            for name, number in self.numbers(idx).items():
                if name == "chord_connections_displaced_total":
                    found["displaced"] = found.get("displaced", 0) + number
                if match := re.fullmatch(r'chord_(?:refused_total\{why|tls_handshakes_total\{result)="(\w+)"\}', name):
                    if name.startswith("chord_refused") or match[1] == "impostor":
                        found[match[1]] = found.get(match[1], 0) + number
        return found

    def log(self):
        """What the logs tell of, each with its reason where one is refused, in the order in which it was read."""
        for idx, begin in enumerate(self.read_to):
            with open(self.path / f"log-{idx}", "rb") as log:
                log.seek(begin)
                lines = log.read().split(b"\n")[:-1]  # The last one may be half written.
            self.read_to[idx] += sum(len(line) + 1 for line in lines)
            for line in lines:
                try:
                    said = json.loads(line)
                    at = datetime.datetime.fromisoformat(said["timestamp"]).timestamp()
                except (ValueError, KeyError, TypeError):
                    continue
                self.lines.append((said.get("event"), said.get("why"), at))
        return self.lines

    def quiet_for(self, wanted):
        """For how long it still has to wait until the nodes would tell of each of these again."""
        last = max((at for event, why, at in self.log() if (event, why) in wanted), default=0)
        return max(0, last + QUIET_SECONDS - time.time())

    def load(self, seconds, rate):
        """Other clients, for so long."""
        secret = SECRETS["write"] if self.has_secrets else "-"
        line = [sys.executable, HERE / "load.py", seconds, rate, secret, self.ca or "-", *self.nodes]
        return start(line, stdout=subprocess.PIPE, text=True)


class Heard(bytes):
    """What came back, and whether the connection was reset then, which is how a node ends one whose words it has not all read."""

    was_reset = False


def told(sock, said):
    answer, was_reset = b"", False
    try:
        sock.sendall(said)
    except OSError:
        pass  # It may have been refused by then; what it says is still there.
    try:
        while more := sock.recv(65536):
            answer += more
            if len(answer) > 1 << 20:
                break
    except TimeoutError:
        # It has said something, and waits for more.
        if not answer:
            raise
    except (ConnectionError, ssl.SSLError):
        was_reset = True
    heard = Heard(answer)
    heard.was_reset = was_reset
    return heard


def of_http(answer):
    """The status and the words of the first answer; 0 if there is none."""
    match = re.match(rb"HTTP/1\.1 (\d+)", answer)
    if not match:
        return 0, "ended" if not answer else answer[:60].decode(errors="replace")
    head, _, body = answer.partition(b"\r\n\r\n")
    code = re.search(rb"(?i)chord-error: (\S+)", head)
    words = re.search(rb'"(?:error|detail)": ?"([^"]*)', body)
    said = words[1].decode(errors="replace") if words else ""
    return int(match[1]), f"{match[1].decode()} {code[1].decode() if code else ''} {said}".replace("  ", " ").strip()


def is_refused(answer):
    """Whether HTTP refuses: by its status, by a fault of XML-RPC, or in each line of a batch. The last two have the status 200."""
    status = of_http(answer)[0]
    if status != 200:
        return 400 <= status < 500
    head, _, body = answer.partition(b"\r\n\r\n")
    if re.search(rb"(?i)content-type: text/xml", head):
        return b"<fault>" in body and re.search(rb"(?i)chord-error: \S", head) is not None
    lines = [re.search(rb'"status": ?(\d+)', line) for line in body.splitlines() if line.startswith(b"{")]
    return bool(lines) and all(line and int(line[1]) >= 400 for line in lines)
