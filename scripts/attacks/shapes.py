"""Attacks by what is sent, whoever sends it: too much, too slowly, in two ways at once, by a browser, or by thousands at a time."""

import http.client
import os
import re
import resource
import socket
import ssl
import threading
import time

from . import frames
from .changed import CutOff
from .rings import ATTACKER, PATIENCE_SECONDS, SECRETS, Failed, is_refused, of_http
from .strangers import PUT, expect, talk

N_CONNECTIONS = 5000
OPENED_PER_SECOND = 1500
# What is left to this process and others.
FILES_LEFT = 200
# A node ends what is too slow a little later than it is told to.
SLOW_SECONDS = PATIENCE_SECONDS + 6
# A node reads some of what is behind its refusal, and then closes. Of whoever sends more than this the system may reset the
# connection, and the answer may be lost by that; of one in so many it is not.
RESET_BYTES = 64 << 10
RESETS = 5


def let_in(ring, role="write"):
    """The header by which one is let in; none where all are."""
    return [f"authorization: Bearer {SECRETS[role]}"] if ring.has_secrets else []


def auth(ring):
    return f"AUTH {SECRETS['write']}\r\n".encode() if ring.has_secrets else b""


def answered(ring, request):
    """What comes back; for a large request once more where it was lost in a reset."""
    for _ in range(RESETS if len(request) > RESET_BYTES else 1):
        answer = ring.told(request)
        if answer or not answer.was_reset:
            break
    return answer


def large_over_http(ring):
    known = let_in(ring)
    cases = [
        ("a long header", ring.head("GET", "/v1/kv/k", [*known, f"x: {'x' * 40000}"]), (431,)),
        ("many headers", ring.head("GET", "/v1/kv/k", [*known, *(f"x-{n}: y" for n in range(100))]), (431,)),
        ("a long path", ring.head("GET", f"/v1/kv/{'k' * 70000}", known), (414, 431)),
        ("a long key", ring.head("GET", f"/v1/kv/{'k' * 4097}", known), (413,)),
        ("a large value", ring.head("PUT", "/v1/kv/attack-0", [*known, f"content-length: {3 << 20}"]) + b"x" * (3 << 20), (413,)),
        ("a value said to be huge", ring.head("PUT", "/v1/kv/attack-0", [*known, "content-length: 9999999999999"]), (413,)),
        ("chunks without end", ring.head("PUT", "/v1/kv/attack-0", [*known, "transfer-encoding: chunked"]) + b"ffffff\r\n" + b"x" * (3 << 20), (413,)),
        ("a large body", ring.head("POST", "/put", [*known, f"content-length: {40 << 20}"]) + b"x" * (4 << 20), (413,)),
        ("many operations", batch(ring, 1001), (400, 413)),
        ("a line without end", b"GET /" + b"x" * (1 << 17), (414, 431, 400)),
    ]
    said = ""
    for what, request, wanted in cases:
        status, words = of_http(answered(ring, request))
        if status not in wanted:
            raise Failed(f"{what}: {words!r}")
        said = said or words
    return said


def batch(ring, n_lines):
    body = b'{"op":"get","key":"attack-0"}\n' * n_lines
    headers = [*let_in(ring), "content-type: application/x-ndjson", f"content-length: {len(body)}"]
    return ring.head("POST", "/v1/batch", headers) + body


def deep(ring):
    """Nests that a parser would follow down its stack."""
    cases = [
        ("JSON", "/put", b'{"key": ' + b"[" * 100_000 + b"]" * 100_000 + b', "value": "v"}'),
        ("JSON of objects", "/get", b'{"key":' * 50_000 + b"1" + b"}" * 50_000),
        ("XML", "/RPC2", b"<methodCall><methodName>put</methodName><params><param>" + b"<value><array><data>" * 5_000),
        ("a batch", "/v1/batch", b'{"op":' + b"[" * 100_000 + b"\n"),
        ("XML with entities", "/RPC2", b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><methodCall><methodName>&b;</methodName></methodCall>'),
        ("binary", "/operate", b"\x01\x10" + b"\xff" * 5000),
    ]
    said = ""
    for what, path, body in cases:
        answer = ring.told(ring.head("POST", path, [*let_in(ring), f"content-length: {len(body)}"]) + body)
        words = of_http(answer)[1]
        if not is_refused(answer):
            raise Failed(f"{what}: {words!r}")
        said = said or words
    return said


def large_in_redis(ring):
    known = auth(ring)
    cases = [b"*1000000000\r\n", b"*2\r\n$3\r\nGET\r\n$9999999999\r\n", b"*2\r\n$-5\r\n", b"*-9\r\n*99999999999999999999\r\n", b"x" * (1 << 17),
             b"*3\r\n$3\r\nSET\r\n$8\r\nattack-0\r\n$67108864\r\n" + b"x" * (2 << 20), b"*1\r\n:5\r\n"]
    said = ""
    for case in cases:
        answer = answered(ring, known + case).decode(errors="replace").removeprefix("+OK\r\n")
        said = expect(f"Redis, {case[:20]}", answer, "-ERR Protocol error")
        if ring.has_secrets:
            expect(f"Redis without AUTH, {case[:20]}", answered(ring, case).decode(errors="replace"), "-ERR Protocol error")
    return said.split("\r\n")[0]


def large_in_frames(ring):
    with (connection := talk(ring)).sock:
        connection.say(frames.OPENING, frames.frame(frames.HELLO, 0, bytes([1, 1]) + frames.field(99, b"x" * 2000) + b"\0"))
        said = expect("a long hello", frames.words(connection.hear()), "bad-request")
    for length in (0, 1, 4, 65542, 1 << 31, (1 << 32) - 1):
        with (connection := talk(ring)).sock:
            connection.meet(SECRETS["write"] if ring.has_secrets else None)
            connection.say(length.to_bytes(4, "big") + bytes([frames.PING]) + b"x" * 64)
            heard = connection.hear()
            if heard is None or heard[0] != frames.FAREWELL or connection.hear() is not None:
                raise Failed(f"a frame of {length} bytes: {frames.words(heard)}, and not a farewell and the end")
    with (connection := talk(ring)).sock:
        connection.meet(SECRETS["write"] if ring.has_secrets else None)
        connection.say(frames.frame(frames.ANNOUNCED, 1, bytes([frames.OPERATE]) + (1 << 30).to_bytes(4, "big")))
        heard = connection.ask(frames.PIECE, b"x" * 65536)
        said = expect("a message that is said to be huge", frames.words(heard), "too-large")
    with (connection := talk(ring)).sock:
        connection.meet(SECRETS["write"] if ring.has_secrets else None)
        heard = connection.ask(frames.RECORDS, b"\0" + bytes([1, 7]) + frames.count(1 << 62))
        expect("a list that is said to be huge", frames.words(heard), "malformed")
    return said


def garbage(ring):
    said = ""
    for _ in range(10):
        answer = ring.told(os.urandom(4096), seconds=SLOW_SECONDS)
        if not answer.startswith((b"HTTP/1.1 4", b"-ERR", b"-NOAUTH")):
            raise Failed(f"nonsense was answered by {answer[:60]!r}")
        said = said or of_http(answer)[1]
    # A line without a version is a command of Redis: of a key that is not there, where everybody may ask. QUIT ends it.
    for opening, wanted in OPENINGS:
        answer = ring.told(opening)
        if not answer.startswith(wanted):
            raise Failed(f"{opening[:20]} was answered by {answer[:60]!r}")
    return said


OPENINGS = [
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.1 400"), (b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", b"HTTP/1.1 404"),
    (b"TRACE / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", b"HTTP/1.1 405"), (b"GET /\r\nQUIT\r\n", (b"$-1\r\n", b"-NOAUTH")),
    (b"\0" * 100, b"HTTP/1.1 400"), (b"USER anonymous\r\nQUIT\r\n", b"-ERR"), (b"SSH-2.0-x\r\nQUIT\r\n", b"-ERR"),
]


def slow_ones(ring):
    """What is begun and never ended, all at the same time: whether it is in plain, how it begins, what follows byte by byte, and
    what must be said at the end. Who has begun to speak frames is told nothing more, and who has not ended a handshake, an alert."""
    head, known = ring.head("PUT", "/v1/kv/attack-0", [*let_in(ring), "content-length: 100"]), auth(ring)
    met = frames.OPENING + frames.hello(challenge=os.urandom(32))
    return [
        ("half a header", False, head[:-20], b"x", rb"HTTP/1\.1 408 "),
        ("half a body", False, head + b"half", b"", rb"HTTP/1\.1 408 "),
        ("a body, byte by byte", False, head + b"half", b"x", rb"HTTP/1\.1 408 "),
        ("half a command", False, known + b"*3\r\n$3\r\nSET\r\n$8\r\natta", b"", rb"(\+OK\r\n)?-ERR [^\r]* did not arrive in time"),
        ("half a command, byte by byte", False, known + b"*3\r\n$3\r\nSET\r\n$900\r\natta", b"x", rb"(\+OK\r\n)?-ERR [^\r]* did not arrive in time"),
        ("half an opening of frames", False, frames.OPENING[:4], b"", rb"HTTP/1\.1 408 "),
        ("half a hello", False, met[:-10], b"", rb"$"),
        *([("frames without a proof", False, met, b"", re.escape(frames.OPENING))] if ring.has_secrets else []),
        *([("half a handshake", True, b"\x16\x03\x01\x01\x00\x01", b"", rb"\x15")] if ring.is_tls else []),
    ]


def slowly(ring):
    failed, said = [], []

    def one(what, plain, opening, drop, wanted):
        begun = time.monotonic()
        try:
            with ring.connect(plain=plain) as sock:
                sock.settimeout(0.3)
                sock.sendall(opening)
                answer = drip(sock, drop, begun + SLOW_SECONDS)
        except OSError as error:
            failed.append(f"{what}: {error}")
            return
        took = time.monotonic() - begun
        if answer is None:
            failed.append(f"{what} was waited for longer than {SLOW_SECONDS} s")
        elif not re.match(wanted, answer) or took < PATIENCE_SECONDS - 0.1:
            failed.append(f"{what} was ended after {took:.1f} s by {answer[:80]!r}")
        elif answer:
            said.append(of_http(answer)[1] if answer.startswith(b"HTTP") else answer[:80].decode(errors="replace").strip())

    threads = [threading.Thread(target=one, args=case) for case in slow_ones(ring)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise Failed("; ".join(failed))
    return next((words for words in said if words.startswith("408")), said[0] if said else "ended")


def drip(sock, drop, until):
    """What comes until the other side ends the connection; nothing if it never does. A byte goes there now and then."""
    answer = b""
    while time.monotonic() < until:
        try:
            more = sock.recv(65536)
            if not more:
                return answer
            answer += more
        except (TimeoutError, ssl.SSLWantReadError):
            try:
                sock.sendall(drop) if drop else None
            except OSError:
                drop = b""  # It has ended meanwhile, and what was said of that is still there.
        except OSError:
            return answer  # A byte that came too late resets it.
    return None


def never_read(ring):
    """Asks for much, and reads nothing of it: all that waits has a bound, and the connection an end."""
    before = ring.refused().get("time", 0)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.bind((ATTACKER, 0))
    host, port = ring.nodes[0].rsplit(":", 1)
    sock.settimeout(1)
    sock.connect((host, int(port)))
    if ring.is_tls:
        sock = ring.tls_context().wrap_socket(sock, server_hostname=host)
    with sock:
        try:
            for _ in range(4):
                sock.sendall(auth(ring) + b"GET attack-large\r\n" * 100)
        except OSError:
            pass
        deadline = time.monotonic() + SLOW_SECONDS
        while ring.refused().get("time", 0) == before:
            if time.monotonic() > deadline:
                raise Failed(f"what nobody reads was kept for longer than {SLOW_SECONDS} s")
            time.sleep(0.1)
    return "the connection ends, with what waited"


SMUGGLED = b"POST /put HTTP/1.1\r\nhost: x\r\ncontent-length: 40\r\n\r\n" + b'{"key": "smuggled", "value": "value"}   '
HIDING = [
    "content-length: 2\r\ncontent-length: 3", "content-length: 2, 3", "content-length: +2", "content-length: 0x2", "content-length : 2",
    "transfer-encoding: xchunked", "transfer-encoding: chunked, identity", "transfer-encoding: chunked\r\ntransfer-encoding: identity",
    "transfer-encoding:\r\n chunked", "transfer-encoding: \x0bchunked", "x: y\rtransfer-encoding: chunked", "content-length: 2\r\nhost: y",
]


def smuggled(ring):
    """What one program takes for a body must never be a request to the next: one answer, and the end."""
    known = "".join(f"{line}\r\n" for line in let_in(ring))
    said = ""
    for headers in HIDING:
        request = f"POST /node HTTP/1.1\r\nhost: x\r\n{known}{headers}\r\n\r\n".encode() + b"{}" + SMUGGLED.replace(b"host: x\r\n", f"host: x\r\n{known}".encode())
        answer = ring.told(request)
        status, words = of_http(answer)
        if status != 400 or answer.count(b"HTTP/1.1 ") != 1:
            raise Failed(f"{headers!r}: {answer[:200]!r}")
        said = said or words
    both = f"POST /node HTTP/1.1\r\nhost: x\r\n{known}content-length: 7\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    answer = ring.told(both + b"2\r\n{}\r\n0\r\n\r\n" + SMUGGLED)
    if answer.count(b"HTTP/1.1 ") != 1:
        raise Failed(f"what was behind chunks with a length was done: {answer[:200]!r}")
    return said


FOREIGN = [["origin: http://evil.example"], ["origin: null"], ["sec-fetch-site: cross-site"], ["sec-fetch-site: same-site"]]


def across_origins(ring):
    """A page of another site, in the browser of somebody who has the secret."""
    said = ""
    for foreign in FOREIGN:
        for method, path, body in [("GET", "/v1/kv/attack-0", b""), ("PUT", "/v1/kv/attack-0", b"taken"), ("POST", "/put", PUT), ("GET", "/metrics", b""),
                                   ("POST", "/shutdown", b"{}"), ("POST", "/RPC2", b"<x/>"), ("GET", "/v1/ring/live", b"")]:
            headers = [*foreign, "content-type: text/plain"]
            status, words = ring.request(method, path, headers, body, secret=SECRETS["admin"] if ring.has_secrets else None)
            if status != 403 and not (path == "/RPC2" and "forbidden" in words):
                raise Failed(f"{method} {path} with {foreign[0]}: {words!r}")
            said = said or words
    return said


def rebound(ring):
    """A name of another site that is made to lead here: to its browser, pages under it and the node are one site."""
    said = ""
    for host in ("evil.example", "evil.example:4567", f"127.0.0.1.evil.example:{ring.nodes[0].rsplit(':', 1)[1]}", "", "node2:4567"):
        for method, path, body in [("GET", "/v1/kv/attack-0", b""), ("PUT", "/v1/kv/attack-0", b"taken"), ("POST", "/shutdown", b"{}"), ("GET", "/v1/keys", b"")]:
            head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\nsec-fetch-site: same-origin\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
            status, words = of_http(ring.told(head.encode() + body))
            if status not in ((401,) if ring.has_secrets else (403,)):
                raise Failed(f"{method} {path} under {host!r}: {words!r}")
            said = said or words
    return said


def files():
    """As many connections as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = N_CONNECTIONS + FILES_LEFT
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    return min(N_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FILES_LEFT)


def crowd(ring):
    """Five thousand connections to one node that say nothing, half of a request, or half of a command."""
    n_wanted, opened = files(), []
    host, port = ring.nodes[0].rsplit(":", 1)
    # Where TLS is spoken alone, what is not is told so, and gone at once.
    beginnings = [b"", b"\x16\x03\x01\x02\x00\x01"] + ([] if ring.is_tls else [b"GET /v1/kv/k HTTP/1.1\r\nx: ", b"*3\r\n$3\r\nSET\r\n$1\r\n"])
    begun = time.monotonic()
    try:
        for number in range(n_wanted):
            # They come from elsewhere, and cost this machine nothing but what the node does for them.
            time.sleep(max(0, begun + number / OPENED_PER_SECOND - time.monotonic()))
            sock = socket.create_connection((host, int(port)), 10, source_address=(ATTACKER, 0))
            opened.append(sock)
            try:
                sock.sendall(beginnings[number % len(beginnings)])
            except OSError:
                pass
        try:
            answer = ring.ask(0, "GET", "/v1/kv/attack-1")[1]
        except (OSError, http.client.HTTPException) as error:
            raise CutOff(f"a client beside {n_wanted} connections was cut off: {error}") from None
        if answer != b"value 1":
            raise Failed(f"beside {n_wanted} connections a client was told {answer[:80]!r}")
    finally:
        for sock in opened:
            # At once, so that no port waits for a while for what may still come.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
    return f"{n_wanted} connections, of which those idle for longest make room; a client that comes then is answered"
