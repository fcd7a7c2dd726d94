"""Attacks of those who may not: without a secret, with a wrong one, with that of another, and on the way between two."""

import base64
import os
import socket
import ssl
import struct
import subprocess
import threading
import time

from . import frames
from .rings import ATTACKER, HOSTS, NO_SECRET, PATIENCE_SECONDS, RING, SECRETS, Failed, make_certificates, program

PUT = b'{"key": "attack-0", "value": "taken"}'
XML = b'<?xml version="1.0"?><methodCall><methodName>put</methodName><params><param><value><struct><member><name>key</name><value>attack-0</value></member><member><name>value</name><value>taken</value></member></struct></value></param></params></methodCall>'
# A record of TLS that begins a handshake; and an alert has two bytes, and is sealed by 17 more.
HANDSHAKE, ALERT_BYTES = 22, 19
# Every path of every language of HTTP, and how it is asked.
PATHS = [
    ("GET", "/v1/kv/attack-0", b""), ("HEAD", "/v1/kv/attack-0", b""), ("PUT", "/v1/kv/attack-0", b"taken"),
    ("DELETE", "/v1/kv/attack-0", b""), ("POST", "/v1/kv/attack-0/incr", b""),
    ("POST", "/v1/batch", b'{"op":"delete","key":"attack-0"}\n'), ("GET", "/v1/keys", b""), ("GET", "/v1/ring", b""),
    ("GET", "/v1/ring/live?for=1s", b""), ("GET", "/v1/node", b""), ("GET", "/v1/lookup/attack-0", b""),
    ("GET", "/v1/copies/attack-0", b""), ("GET", "/v1/trace/attack-0", b""), ("GET", "/v1/watch/attack-0?for=1s", b""),
    ("GET", "/v1/watch?prefix=attack", b""), ("GET", "/metrics", b""), ("GET", "/openapi.json", b""),
    ("GET", "/page/main.js", b""), ("POST", "/node", b"{}"), ("POST", "/get", b'{"key": "attack-0"}'), ("POST", "/put", PUT),
    ("POST", "/find_successor", b'{"key": "attack-0"}'), ("POST", "/get_predecessor", b"{}"),
    ("POST", "/get_successor_list", b"{}"), ("POST", "/notify", b'{"remote_node": "127.0.0.9:1"}'),
    ("POST", "/create", b"{}"), ("POST", "/join", b'{"remote_node": "127.0.0.9:1"}'), ("POST", "/shutdown", b"{}"),
    ("POST", "/operate", b"\x01\x10"), ("POST", "/replica", b"\x01\x01"), ("POST", "/RPC2", XML), ("POST", "/", XML),
]
COMMANDS = ["GET attack-0", "SET attack-0 taken", "DEL attack-0", "INCR attack-0", "MGET attack-0 attack-1", "FLUSHALL", "SHUTDOWN",
            "KEYS *", "SCAN 0", "SUBSCRIBE __keyspace@0__:attack-0", "CONFIG GET *", "CLIENT LIST", "INFO", "HELLO 3"]


def expect(door, words, *wanted):
    """Fails unless one of these is in the words."""
    if not any(each in words for each in wanted):
        raise Failed(f"{door} said {words!r}, not {' or '.join(wanted)}")
    return words


def http_refuses(ring, paths, wanted, **given):
    said = ""
    for method, path, body in paths:
        status, words = ring.request(method, path, ["accept: text/html"] if path == "/" and method == "GET" else [], body, **given)
        if path in ("/RPC2", "/") and status == 200:
            # A fault has the status 200; the header says what it is.
            status = {"no-secret": 401, "forbidden": 403}.get(words.split(" ")[1] if " " in words else "", status)
        if status not in wanted:
            raise Failed(f"{method} {path} said {words!r}")
        said = said or words
    return said


def talk(ring, idx=0, plain=False):
    return frames.Talk(ring.connect(idx, plain))


def without_secret(ring):
    said = [http_refuses(ring, [*PATHS, ("GET", "/", b"")], (401,))]
    http_refuses(ring, [("POST", "/dev/kill", b"{}")], (401, 404))
    for command in COMMANDS:
        said.append(expect(f"Redis, {command}", ring.redis(command)[0], "-NOAUTH", "-ERR unknown command"))
    with (connection := talk(ring)).sock:
        connection.say(frames.OPENING, frames.hello())
        said.append(expect("frames", frames.words(connection.hear()), "no-secret"))
    with (connection := talk(ring)).sock:
        connection.say(frames.OPENING, frames.hello(challenge=os.urandom(32)))
        connection.hear()
        heard = connection.ask(frames.OPERATE, frames.operate_set(b"attack-0", b"taken"))
        expect("frames before a proof", frames.words(heard), "ended", "no-secret")
    return f"{said[0]}; {said[1]}; {said[-1]}"


def with_wrong_secret(ring):
    true = SECRETS["write"]
    wrong = [NO_SECRET, true[:-1], f"{true}x", true.upper(), f"write {true}", "x" * 4000, true[::-1]]
    for secret in wrong:
        http_refuses(ring, PATHS[:3], (401,), secret=secret)
        expect("Redis", ring.redis(f"AUTH {secret}" if " " not in secret else f'AUTH "{secret}"')[0], "-WRONGPASS")
        with (connection := talk(ring)).sock:
            expect("frames", frames.words(connection.meet(secret)), "no-secret")
    pair = base64.b64encode(f"any:{NO_SECRET}".encode()).decode()
    for given in (f"Basic {pair}", "Basic !!!", "Bearer", f"Bearer  {true}x", f"Token {true}", f"Bearer {true}, Bearer {true}"):
        expect(given, ring.request("GET", "/v1/kv/attack-0", [f"authorization: {given}"])[1], "401")
    return ring.redis(f"AUTH {NO_SECRET}")[0]


def guessing(ring):
    n_guesses = 500
    answers = ring.redis(*(f"AUTH guess-number-{number:08}" for number in range(n_guesses)))
    n_wrong = sum(answer.startswith("-WRONGPASS") for answer in answers)
    if n_wrong != n_guesses:
        raise Failed(f"of {n_guesses} guesses {n_wrong} were wrong")
    return f"{n_guesses} times {answers[0].split(' ')[0]}"


class Between:
    """One on the way: takes connections and hands what comes to a node, and back; `heard` is what came from whoever connected, and
    `answered` what the node said."""

    def __init__(self, ring, host=ATTACKER, answers=None):
        self.ring, self.answers, self.heard, self.answered = ring, answers, b"", b""
        self.server = socket.create_server((host, 0))
        self.address = f"{host}:{self.server.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.pass_on, args=[sock], daemon=True).start()

    def pass_on(self, sock):
        if self.answers is not None:
            self.heard += sock.recv(65536)
            sock.sendall(self.answers)
            sock.settimeout(PATIENCE_SECONDS)
            try:
                while more := sock.recv(65536):
                    self.heard += more
            except OSError:
                pass
            sock.close()
            return
        there = self.ring.connect(plain=True)
        back = threading.Thread(target=self.pump, args=[there, sock, False], daemon=True)
        back.start()
        self.pump(sock, there, True)
        back.join()
        sock.close()
        there.close()

    def pump(self, source, to, is_kept):
        try:
            while more := source.recv(65536):
                if is_kept:
                    self.heard += more
                else:
                    self.answered += more
                to.sendall(more)
        except OSError:
            pass
        try:
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()


def victim(ring, node, *words, role="write"):
    """A client with a true secret, which is told to ask there."""
    line = [program(), *words, "--node", node, "--timeout", "5"]
    line += ["--secret-file", ring.secret_file(role)] if ring.has_secrets else []
    line += ["--tls-ca", ring.ca] if ring.is_tls else []
    return subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=30, check=False)


def replayed(ring):
    """A true meeting is recorded on its way, and said again: to the same node, and to the others."""
    with Between(ring) as between:
        # By its certificate a node is another one than who stands there, so in TLS somebody who looks at no certificate is heard.
        if ring.is_tls:
            record_in_tls(ring, between.address)
        elif (done := victim(ring, between.address, "get", "attack-1")).stdout.strip() != "value 1":
            raise Failed(f"the client that is listened to got {done.stdout!r}: {done.stderr}")
        recorded, of_true = between.heard, tls_records(between.answered) if ring.is_tls else []
    if len(recorded) < 100:
        raise Failed(f"only {len(recorded)} bytes were recorded")
    said = replayed_in_tls(ring, recorded, of_true) if ring.is_tls else ""
    for idx in range(0 if ring.is_tls else 3):
        with (connection := talk(ring, idx)).sock:
            connection.say(recorded)
            if (heard := connection.hear()) is None or heard[0] != frames.WELCOME:
                raise Failed(f"it said {frames.words(heard)} instead of a new challenge")
            said = expect("frames", frames.words(connection.hear()), "no-secret")
    return said


def tls_records(answer):
    """The kind and the length of each record; what is in it is sealed."""
    found = []
    while len(answer) >= 5:
        kind, length = answer[0], int.from_bytes(answer[3:5], "big")
        found.append((kind, length))
        answer = answer[5 + length:]
    return found


def replayed_in_tls(ring, recorded, of_true):
    """The handshake begins, and what follows was sealed for another one: no more comes back than to a hello behind which nothing
    comes, which is the node's part of the handshake and an alert."""
    hello = recorded[:5 + tls_records(recorded)[0][1]]
    alone = tls_records(ring.told(hello, plain=True))
    kinds = [kind for kind, _ in alone]
    if kinds[:1] != [HANDSHAKE] or alone[-1][1] > ALERT_BYTES or len(of_true) <= len(alone):
        raise Failed(f"a hello alone is answered by {alone}, and a true session by {of_true}: nothing can be told by that")
    for idx in range(3):
        again = tls_records(ring.told(recorded, idx, plain=True))
        if [kind for kind, _ in again] != kinds or again[-1][1] > ALERT_BYTES:
            raise Failed(f"a recorded session was answered by {again}, and a hello alone by {alone}")
    return "the session is not agreed on: an alert behind the node's part of the handshake"


def record_in_tls(ring, address):
    host, port = address.rsplit(":", 1)
    sock = socket.create_connection((host, int(port)), 10)
    # As one who knows the node by its own name, whatever carries it there.
    with ring.tls_context().wrap_socket(sock, server_hostname=HOSTS[0]) as secured:
        secured.sendall(ring.head("GET", "/v1/kv/attack-1", [f"authorization: Bearer {SECRETS['read']}"]))
        answer = b""
        while more := secured.recv(65536):
            answer += more
    if b"value 1" not in answer:
        raise Failed(f"the client that is listened to got {answer[:100]!r}")


def relayed(ring):
    """One between two who has each believe that it is the other."""
    if ring.is_tls:
        with Between(ring) as between:
            done = victim(ring, between.address, "get", "attack-1")
        if done.returncode == 0:
            raise Failed("a client believed one who passed on what another said")
        return expect("the client", done.stderr, "certificate is not for", "no connection in TLS").strip()
    # A proof that is made for the name of one node, by the challenge of another.
    with (connection := talk(ring, 1)).sock:
        said = expect("frames", frames.words(connection.meet(SECRETS["node"], believed=ring.nodes[0])), "no-secret")
    # The challenge of a node, given back to it as one's own: it must not prove itself first.
    with (one := talk(ring)).sock, (other := talk(ring)).sock:
        one.say(frames.OPENING, frames.hello(challenge=os.urandom(32)))
        theirs = frames.Reader(one.hear()[2][1:]).fields()[frames.CHALLENGE]
        other.say(frames.OPENING, frames.hello(challenge=theirs))
        fields = frames.Reader(other.hear()[2][1:]).fields()
        if fields[frames.CHALLENGE] == theirs:
            raise Failed("a node draws the same challenge twice")
        other.say(frames.of_proof(theirs))
        expect("frames", frames.words(other.hear()), "no-secret")
    return said


def downgraded(ring):
    """One who stands where a node did, and says that it speaks nothing that proves anything."""
    said = ""
    for answer in (b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", b"-ERR unknown command\r\n", b""):
        with Between(ring, answers=answer) as between:
            done = victim(ring, between.address, "get", "attack-1")
            if done.returncode == 0:
                raise Failed("a client believed it")
            if any(secret.encode() in between.heard for secret in SECRETS.values()):
                raise Failed("a client said its secret")
            if ring.is_tls and (b"attack-1" in between.heard or between.heard[:2] != b"\x16\x03"):
                raise Failed("a client that was told to speak TLS spoke without")
            said = said or done.stderr.strip()
    return f"the client: {said}"


def in_plain(ring):
    said = ""
    for door, opening in [
        ("HTTP", ring.head("GET", "/v1/kv/attack-0", [f"authorization: Bearer {SECRETS['admin']}"])), ("metrics", ring.head("GET", "/metrics")),
        ("the page", ring.head("GET", "/", ["accept: text/html"])), ("JSON", ring.head("POST", "/put", ["content-length: 2"]) + b"{}"),
        ("Redis", f"AUTH {SECRETS['admin']}\r\nFLUSHALL\r\n".encode()), ("frames", frames.OPENING + frames.hello(challenge=os.urandom(32))),
    ]:
        said = expect(door, ring.told(opening, plain=True).decode(errors="replace"), "this node speaks TLS alone")
    return "this node speaks TLS alone"


def in_old_tls(ring):
    """SSL 3.0, TLS 1.0 and 1.1: a node answers by an alert, and never by a hello of its own."""
    ciphers = struct.pack(">HHHH", 0xC013, 0xC014, 0x002F, 0x0035)
    for version in (0x0300, 0x0301, 0x0302):
        body = struct.pack(">H", version) + os.urandom(32) + b"\0" + struct.pack(">H", len(ciphers)) + ciphers + b"\x01\0"
        handshake = b"\x01" + len(body).to_bytes(3, "big") + body
        answer = ring.told(b"\x16\x03\x01" + struct.pack(">H", len(handshake)) + handshake, plain=True)
        if answer[:1] != b"\x15":
            raise Failed(f"the version {version:04x} was answered by {answer[:20]!r}, and not by an alert")
    return "an alert, and the end"


def posing(ring):
    """Somebody who calls itself a node that there is, or claims a position that is not the hash of its name."""
    other = ring.nodes[1]
    if ring.kind == "secret":
        with (connection := talk(ring)).sock:
            return expect("frames", frames.words(connection.meet(NO_SECRET, name=other, ring=RING)), "no-secret")
    if ring.is_tls:
        # Even one who knows the secret of nodes, and has a certificate for another host.
        context, certs = ring.tls_context(), ring.path / "certs"
        said = ""
        for own in (None, ATTACKER):
            if own:
                context.load_cert_chain(certs / f"{own}.pem", certs / f"{own}.key")
            with context.wrap_socket(ring.connect(plain=True), server_hostname=HOSTS[0]) as sock:
                heard = frames.Talk(sock).meet(SECRETS["node"], name=other, ring=RING)
                said = expect("frames", frames.words(heard), "forbidden")
        words = ring.request("POST", "/notify", [f"chord-from: {other}"], f'{{"remote_node": "{other}"}}'.encode(), secret=SECRETS["node"])[1]
        expect("JSON", words, "403")
        return said
    raise Failed("there is nothing to pose as")


def false_position(ring):
    """A member, or anybody where all are: a copy for a group whose owner stands elsewhere than where its name does."""
    ghost, at = "127.0.0.9:1", frames.position_of(ring.nodes[1])
    content = frames.store(ghost, at, at + 1, [ring.nodes[0]], b"attack-0", b"taken", int(time.time() * 1000))
    with (connection := talk(ring)).sock:
        met = connection.meet(SECRETS["node"] if ring.has_secrets else None, name=ghost, ring=RING)
        if met is None or met[0] not in (frames.WELCOME, frames.PROOF):
            raise Failed(f"a member is not let in: {frames.words(met)}")
        heard = connection.ask(frames.RECORDS, content)
    # An answer about records: its format, its kind, a flag, and of a refusal the choice.
    if heard is None or heard[0] != frames.TOLD:
        raise Failed(f"a copy for a false owner was answered by {frames.words(heard)}")
    reader = frames.Reader(heard[2])
    reader.fields()
    if (kind := reader.take(2)[1]) != 138:
        raise Failed(f"a copy for a false owner was taken: kind {kind}")
    why = {0: "in no ring", 1: "not the owner", 2: "outdated", 3: "senseless", 4: "store"}.get(reader.take(2)[1])
    return expect("records", f"the records' refusal {why}", "senseless")


def ghosts(ring):
    """Names of nodes that there are not, each said to be the predecessor: whoever is not there is not believed."""
    for number in range(50):
        ghost = f"127.0.0.9:{number + 1}"
        with (connection := talk(ring, number % 3)).sock:
            connection.meet(None, name=ghost, ring=RING)
            heard = connection.ask(frames.NOTIFY, b"\0" + frames.data(ghost.encode()))
            if heard is None or heard[0] != frames.DONE:
                raise Failed(f"frames said {frames.words(heard)}, and did not take it for a hint")
        words = ring.request("POST", "/notify", body=f'{{"remote_node": "{ghost}"}}'.encode(), idx=number % 3)[1]
        expect("JSON", words, "200")
    return "taken for a hint: the ghost is asked first, and does not answer"


ORDERS = [("POST", "/create", b"{}"), ("POST", "/join", b'{"remote_node": "127.0.0.9:1"}'), ("POST", "/shutdown", b"{}"),
          ("POST", "/notify", b'{"remote_node": "127.0.0.9:1"}')]
WRITES = [path for path in PATHS if path[1] in ("/put", "/v1/batch", "/v1/kv/attack-0/incr") or path[0] in ("PUT", "DELETE")]


def beyond_the_role(ring):
    said = http_refuses(ring, [*ORDERS, *WRITES], (403,), secret=SECRETS["read"])
    http_refuses(ring, ORDERS, (403,), secret=SECRETS["write"])
    for role, commands in (("read", ["SET attack-0 taken", "DEL attack-0", "FLUSHALL", "INCR attack-0"]), ("write", ["FLUSHALL"])):
        for command in commands:
            answer = ring.redis(command, secret=SECRETS[role])[0]
            expect(f"Redis, {command} by {role}", answer, "-NOPERM")
    for role in ("read", "write", "admin"):
        if not ring.is_tls:
            with (connection := talk(ring)).sock:
                expect("frames", frames.words(connection.meet(SECRETS[role], name="127.0.0.9:1", ring=RING)), "no-secret: a secret of the role")
        with (connection := talk(ring)).sock:
            connection.meet(SECRETS[role])
            heard = connection.ask(frames.NOTIFY, b"\0" + frames.data(b"127.0.0.9:1"))
            expect(f"frames by {role}", frames.words(heard), "forbidden")
    with (connection := talk(ring)).sock:
        connection.meet(SECRETS["read"])
        heard = connection.ask(frames.OPERATE, frames.operate_set(b"attack-0", b"taken"))
        expect("frames, a write by read", frames.words(heard), "forbidden")
    return said


def of_another_ring(ring):
    secret = SECRETS["node"] if ring.has_secrets else None
    headers = ["chord-ring-name: other", f"chord-ring-size: {frames.BITS}"]
    said = ""
    for method, path, body in [("GET", "/v1/kv/attack-0", b""), ("PUT", "/v1/kv/attack-0", b"taken"), ("POST", "/get_successor_list", b"{}")]:
        said = expect(path, ring.request(method, path, headers, body, secret=secret)[1], "foreign-ring")
    with (connection := talk(ring)).sock:
        connection.meet(secret, ring="other")
        expect("frames", frames.words(connection.ask(frames.GET_STATE, b"\0")), "foreign-ring")
    if not ring.is_tls:
        with (connection := talk(ring)).sock:
            connection.meet(secret, name="127.0.0.9:1", ring="other")
            heard = connection.ask(frames.NOTIFY, b"\0" + frames.data(b"127.0.0.9:1"))
            expect("frames, notify", frames.words(heard), "foreign-ring")
    return said


def handshakes_that_break(ring):
    """Half a handshake, then nonsense; and a client whose certificate nobody has signed."""
    for _ in range(5):
        ring.told(b"\x16\x03\x01\x02\x00" + os.urandom(600), plain=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    other = ring.path / "other"
    if not other.exists():
        make_certificates(other, HOSTS[1])
    context.load_cert_chain(other / f"{HOSTS[1]}.pem", other / f"{HOSTS[1]}.key")
    try:
        with context.wrap_socket(ring.connect(plain=True), server_hostname=HOSTS[0]) as sock:
            heard = frames.Talk(sock).meet(SECRETS["node"], name=ring.nodes[1], ring=RING)
            return expect("frames", frames.words(heard), "ended", "forbidden")
    except (ssl.SSLError, ConnectionError) as error:
        return str(error)
