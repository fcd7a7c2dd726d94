"""What redis-py does when a node is killed: `PORT PORT ... PID` are those of a ring and the process of the first port.

Its own way round is a name with several addresses, or a list of nodes as here; the ring has all keys at each of them."""

import json
import os
import signal
import sys
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

AGAIN_SECONDS = 15


def tell(check, problem):
    print(json.dumps({"check": check, "problem": problem}), flush=True)


def asked_until(nodes, do):
    """Asks one node after the other until one does it, for a while."""
    until = time.monotonic() + AGAIN_SECONDS
    while True:
        for node in nodes:
            try:
                return do(node)
            except redis.RedisError as error:
                last = error
        if time.monotonic() > until:
            raise last
        time.sleep(0.1)


def main():
    *ports, pid = map(int, sys.argv[1:])
    options = {"decode_responses": True, "socket_timeout": 5, "retry": Retry(NoBackoff(), 0)}
    nodes = [redis.Redis(port=port, **options) for port in ports]
    for number in range(200):
        nodes[number % len(nodes)].set(f"goes:{number}", number)
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    values = [asked_until(nodes, lambda node, number=number: node.get(f"goes:{number}")) for number in range(200)]
    took = time.monotonic() - began
    lost = [number for number, value in enumerate(values) if value != str(number)]
    tell("another has every key", f"{len(lost)} are lost" if lost else None)
    tell("in seconds", f"it took {took:.1f} s" if took > AGAIN_SECONDS else None)
    asked_until(nodes, lambda node: node.set("goes:after", "v"))
    tell("writes go on", None if asked_until(nodes, lambda node: node.get("goes:after")) == "v" else "it is not there")
    scanned = asked_until(nodes, lambda node: set(node.scan_iter(match="goes:*")))
    tell("a scan tells all", None if len(scanned) == 201 else f"it told {len(scanned)} of 201")


if __name__ == "__main__":
    main()
