"""Attacks by one client that wants more than one may have: connections, new ones, requests, and bytes under way."""

import re
import time

from .rings import CLIENT_BYTES, CLIENT_CONNECTIONS, CLIENT_CONNECTS, CLIENT_REQUESTS, Failed

# Three of these are more than one client may have under way.
BODY_BYTES = 900 << 10
FITTING = CLIENT_BYTES // BODY_BYTES
# Another limit, or what an earlier attempt still has there, may be in the way: then it is tried again for so long.
AGAIN_SECONDS = 10
PAUSE_SECONDS = 0.1


def limit_of(answer):
    """Which limit is said to be reached; none if it is no refusal."""
    match = re.search(rb"client-(?:connections|connects|requests|bytes)", answer)
    return match[0].decode() if match else None


def words(answer):
    """The line that refuses."""
    line = next((line for line in answer.split(b"\r\n") if b"client-" in line), answer[:80])
    detail = re.search(rb'"detail": ?"([^"]*)', line)
    return f"503 {detail[1].decode()}" if detail else line.decode(errors="replace")


def begun(ring, n_bytes):
    """A connection with a request whose body is still to come, and what the node says to that."""
    sock = ring.connect()
    try:
        head = f"PUT /v1/kv/attack-0 HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {n_bytes}\r\n\r\n"
        sock.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer or not (answer.startswith(b"HTTP/1.1 100") or limit_of(answer)):
            more = sock.recv(65536)
            if not more:
                break
            answer += more
    except BaseException:
        sock.close()
        raise
    return sock, answer


def at_work(ring, n_bytes, n_wanted, limit):
    """Begins requests until so many have been begun and one more is refused by that limit: what is said then."""
    held, deadline = [], time.monotonic() + AGAIN_SECONDS
    try:
        while time.monotonic() < deadline:
            sock, answer = begun(ring, n_bytes)
            if answer.startswith(b"HTTP/1.1 100"):
                held.append(sock)
                if len(held) > n_wanted:
                    raise Failed(f"{len(held)} are at work, and {limit} allows {n_wanted}")
                continue
            sock.close()
            if limit_of(answer) not in (limit, "client-connects"):
                raise Failed(f"number {len(held) + 1} of {n_wanted}: {answer[:200]!r}")
            if limit_of(answer) == limit and len(held) == n_wanted:
                if not answer.startswith(b"HTTP/1.1 503"):
                    raise Failed(f"refused in other words: {answer[:200]!r}")
                return answer
            time.sleep(PAUSE_SECONDS)
    finally:
        for sock in held:
            sock.close()
    raise Failed(f"{len(held)} of {n_wanted} could be begun within {AGAIN_SECONDS} s")


def connections(ring):
    """As many connections with a request under way as one may have, and one more."""
    return words(at_work(ring, 2, CLIENT_CONNECTIONS, "client-connections"))


def bytes_under_way(ring):
    """Bodies that are said to be large, and one more than fits."""
    return words(at_work(ring, BODY_BYTES, FITTING, "client-bytes"))


def connects(ring):
    """Connections as fast as they can be made, each with a command."""
    start, served, refused = time.monotonic(), 0, []
    for _ in range(3 * CLIENT_CONNECTS):
        answer = ring.told(b"PING\r\nQUIT\r\n")
        if answer.startswith(b"+PONG"):
            served += 1
        elif limit_of(answer) == "client-connects":
            refused.append(answer)
        elif answer:
            raise Failed(f"a connection: {answer[:200]!r}")
    allowed = CLIENT_CONNECTS * (1 + time.monotonic() - start) + 1
    return judged("connections", served, refused, allowed)


def requests(ring):
    """Four times as many commands at once as one may send in a second."""
    n_asked, start, deadline = 4 * CLIENT_REQUESTS, time.monotonic(), time.monotonic() + AGAIN_SECONDS
    while limit_of(answer := answers(ring, n_asked)) == "client-connects":
        if time.monotonic() > deadline:
            raise Failed(f"no connection within {AGAIN_SECONDS} s")
        time.sleep(PAUSE_SECONDS)
    lines = answer.split(b"\r\n")
    served, refused = lines.count(b"+PONG"), [line for line in lines if line.startswith(b"-BUSY") and limit_of(line) == "client-requests"]
    if served + len(refused) != n_asked:
        raise Failed(f"{served} requests were served and {len(refused)} refused, of {n_asked}: {answer[-200:]!r}")
    return judged("requests", served, refused, CLIENT_REQUESTS * (1 + time.monotonic() - start) + 1)


def answers(ring, n_asked):
    """What comes back to so many commands, sent at once."""
    answer = b""
    with ring.connect() as sock:
        sock.sendall(b"PING\r\n" * n_asked)
        while answer.count(b"\r\n") < n_asked and (more := sock.recv(65536)):
            answer += more
    return answer


def judged(what, served, refused, allowed):
    if served > allowed:
        raise Failed(f"{served} {what} were served, and {allowed:.0f} are allowed")
    if not refused:
        raise Failed(f"none of {served} {what} was refused")
    return words(refused[0])
