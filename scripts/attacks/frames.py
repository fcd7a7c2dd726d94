"""Frames as nodes speak them, by docs/protocol.md: what an attacker has to know, and nothing of the program's own code."""

import hashlib
import hmac
import os
import ssl
import struct

OPENING = b"\xc7chord\r\n"
HELLO, WELCOME, DECLINED, FAREWELL, ANNOUNCED, PIECE, PROOF = 1, 2, 3, 4, 5, 6, 7
PING, GET_STATE, NOTIFY, LEAVE, RECORDS, OPERATE = 16, 17, 18, 20, 32, 33
PONG, STATE, DONE, TOLD, OPERATED, REFUSED = 128, 129, 130, 144, 145, 255
RING, NAME, CHALLENGE, OF_PROOF = 6, 7, 21, 22
ASKER = 1
BITS = 160


def count(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def data(content):
    return count(len(content)) + content


def field(number, content):
    return bytes([number]) + data(content)


def frame(kind, number, content):
    return struct.pack(">IBI", len(content) + 5, kind, number) + content


def position_of(name):
    return int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % (1 << BITS)


def position(number):
    return data(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def peer(name, at=None):
    return position(position_of(name) if at is None else at) + data(name.encode())


def version(milliseconds, writer):
    return struct.pack(">Q", milliseconds << 16) + position(writer)


def hello(name=None, ring=None, challenge=None):
    fields = b""
    if ring is not None:
        fields += field(RING, count(BITS) + ring.encode())
    if name is not None:
        fields += field(NAME, name.encode())
    if challenge is not None:
        fields += field(CHALLENGE, challenge)
    return frame(HELLO, 0, bytes([1, 1]) + fields + b"\0")


def proof(secret, ring, asker, answerer, challenges, side=ASKER):
    parts = [b"chord proof 1", bytes([side]), ring.encode(), struct.pack(">H", BITS), asker.encode(), answerer.encode(), *challenges]
    told = b"".join(struct.pack(">Q", len(part)) + part for part in parts)
    return hmac.new(secret.encode(), told, hashlib.sha256).digest()


def of_proof(told):
    return frame(PROOF, 0, field(OF_PROOF, told) + b"\0")


def operate_set(key, value):
    """As a client asks: always, with the usual consistency."""
    return b"\0" + bytes([1, 16]) + data(key) + count(1000) + bytes([0, 0, 1]) + data(value) + bytes([0, 1])


def store(owner, at, before, members, key, value, written_ms):
    """Keep this copy: for a group whose owner claims that position."""
    group = peer(owner, at) + position(before) + version(written_ms, at) + count(len(members))
    group += b"".join(data(member.encode()) for member in members)
    record = bytes([1]) + data(key) + version(written_ms, at) + data(value)
    return b"\0" + bytes([1, 2]) + group + count(1) + record


class Reader:
    def __init__(self, content):
        self.content, self.at = content, 0

    def take(self, n_bytes):
        taken = self.content[self.at:self.at + n_bytes]
        self.at += n_bytes
        return taken

    def count(self):
        number, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    def data(self):
        return self.take(self.count())

    def fields(self):
        found = {}
        while (number := self.take(1)[0]) != 0:
            found[number] = self.data()
        return found


class Talk:
    """One connection of frames, on a socket that is connected."""

    def __init__(self, sock):
        self.sock, self.heard = sock, b""
        self.opened = False

    def say(self, *frames):
        self.sock.sendall(b"".join(frames))

    def fill(self, n_bytes):
        while len(self.heard) < n_bytes:
            more = self.sock.recv(65536)
            if not more:
                return False
            self.heard += more
        return True

    def hear(self):
        """The kind, the number and the content of the next frame; nothing at the end."""
        try:
            if not self.opened:
                if not self.fill(len(OPENING)):
                    return None
                self.opened, self.heard = True, self.heard[len(OPENING):]
            if not self.fill(4):
                return None
            length = struct.unpack(">I", self.heard[:4])[0]
            if not self.fill(4 + length):
                return None
        except (ConnectionError, ssl.SSLError):
            return None
        kind, number = struct.unpack(">BI", self.heard[4:9])
        content, self.heard = self.heard[9:4 + length], self.heard[4 + length:]
        return kind, number, content

    def meet(self, secret=None, name=None, ring=None, believed=None):
        """Says hello and, by a secret, proves that it knows it; returns what ends that: a welcome, a proof, or who declines.

        `believed` is what is taken for the name of the other side.
        """
        ours = os.urandom(32)
        self.say(OPENING, hello(name, ring, ours))
        heard = self.hear()
        if heard is None or heard[0] != WELCOME or secret is None:
            return heard
        fields = Reader(heard[2][1:]).fields()
        if CHALLENGE not in fields:
            return heard
        of_ring = Reader(fields[RING])
        of_ring.count()
        theirs = of_ring.content[of_ring.at:].decode()
        answerer = believed or fields[NAME].decode()
        self.say(of_proof(proof(secret, theirs, name or "", answerer, [ours, fields[CHALLENGE]])))
        return self.hear()

    def ask(self, kind, content, number=1):
        self.say(frame(kind, number, content))
        return self.hear()


def words(heard):
    """What a frame says, for people: the code and the sentence of a refusal."""
    if heard is None:
        return "ended"
    kind, _, content = heard
    if kind not in (DECLINED, REFUSED):
        return f"kind {kind}"
    reader = Reader(content)
    if kind == DECLINED:
        reader.take(2)
    reader.fields()
    code = reader.data().decode()
    return f"{code}: {reader.data().decode()}"
