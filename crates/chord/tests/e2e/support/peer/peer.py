"""A peer that stands in rings with our nodes and judges what they say.

It imitates chord.py: its wire, its strictness about fields, its limits. It was written from the description of that
wire and from the Chord paper of 2003, shares nothing with our own code, and needs only Python's standard library.
"""

import sys

sys.dont_write_bytecode = True  # The folder of a test is no place for a cache.

import argparse
import os
import signal
import threading
import time
from functools import partial

from doors import Door
from http_door import HttpClient, HttpServer
from ring import RingMember
from xmlrpc_door import XmlRpcClient, XmlRpcServer

PROTOCOLS = {"http": (HttpClient, HttpServer), "xmlrpc": (XmlRpcClient, XmlRpcServer)}

# Plain XML-RPC integers have 32 bits and a sign.
XMLRPC_RING_SIZE_MAX = 31

EXIT_CANNOT_LISTEN = 1


def parse_arguments():
    """The command line. Without a usable one, argparse says why and exits with status 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("port", metavar="PORT", type=int, help="0 takes any free port")
    parser.add_argument("ring_size", metavar="RING_SIZE", type=int, help="bits of a position, 1 to 256")
    parser.add_argument("--interval", type=float, default=0.5, metavar="SECONDS", help="pause between rounds (0.5)")
    parser.add_argument("--timeout", type=float, default=2.0, metavar="SECONDS", help="for each request to a peer (2)")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end with the process that started this one")
    parser.add_argument("--misbehave", choices=["html", "missing-field", "wrong-type", "silence"],
                        help="how to answer everything but node, create, join and shutdown wrongly")
    parser.add_argument("--misbehave-on-signal", action="store_true",
                        help="not from the start: SIGUSR1 begins and ends it")
    arguments = parser.parse_args()
    if not 1 <= arguments.ring_size <= 256:
        parser.error("RING_SIZE must be 1 to 256")
    if arguments.protocol == "xmlrpc" and arguments.ring_size > XMLRPC_RING_SIZE_MAX:
        parser.error(f"XML-RPC carries positions of up to {XMLRPC_RING_SIZE_MAX} bits: choose a smaller RING_SIZE")
    return arguments


def main():
    """Serve until told to shut down, killed, or left alone by whoever holds standard input open."""
    arguments = parse_arguments()
    client_type, server_type = PROTOCOLS[arguments.protocol]
    try:
        server = server_type((arguments.host, arguments.port))
    except OSError as error:
        sys.stderr.write(f"cannot listen on {arguments.host}:{arguments.port}: {error}\n")
        sys.exit(EXIT_CANNOT_LISTEN)
    name = f"{arguments.host}:{server.server_address[1]}"
    log = partial(write_log_line, name)
    member = RingMember(name, arguments.ring_size, client_type(arguments.timeout).send, log)
    server.door = Door(member, log)
    arrange_misbehaviour(server.door, arguments, log)
    if arguments.until_stdin_closes:
        threading.Thread(target=end_with_stdin, daemon=True).start()
    threading.Thread(target=maintain, args=(member, arguments.interval), daemon=True).start()
    sys.stderr.write(f"Running on {name} with ring size {arguments.ring_size}...\n")
    sys.stderr.flush()
    server.serve_forever(poll_interval=0.05)
    log("ends after its shutdown")


def write_log_line(name, line):
    """One line on standard error, written at once and whole, though many threads do it."""
    moment = time.time()
    clock = time.strftime("%H:%M:%S", time.localtime(moment))
    sys.stderr.write(f"{clock}.{int(moment % 1 * 1000):03} [{name}] {line}\n")
    sys.stderr.flush()


def maintain(member, interval):
    """Round after round until the node leaves."""
    while not member.leaving.wait(interval):
        member.maintain()


def arrange_misbehaviour(door, arguments, log):
    """From the start, or begun and ended by a signal."""
    if not arguments.misbehave_on_signal:
        door.misbehaviour = arguments.misbehave
        return

    def toggle(*_):
        door.misbehaviour = None if door.misbehaviour else arguments.misbehave
        log(f"misbehaves: {door.misbehaviour}")

    signal.signal(signal.SIGUSR1, toggle)


def end_with_stdin():
    """End at once when nobody holds standard input open any more."""
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
