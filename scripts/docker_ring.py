"""Chord nodes in containers, asked by `docker exec` and checked against a sorted list."""

import dataclasses
import hashlib
import re
import shlex

from docker_engine import Failed, run

PORT = 5000
# The longest that a test waits for the answer to one request.
ANSWER_SECONDS = 5
NODE = re.compile(r"chord\.node\(([^)]*)\)")
GOT = re.compile(r"GetKeyResponse\(storage_node=chord\.node\(([^)]*)\), hops=\d+, value=(None|'(.*)'), found=(\w+)\)")
PUT = re.compile(r"PutKeyResponse\(storage_node=chord\.node\(([^)]*)\), hops=\d+\)")


@dataclasses.dataclass(frozen=True)
class Node:
    """One container, and the host name by which its node goes."""

    host: str
    container: str

    @property
    def name(self):
        return f"{self.host}:{PORT}"

    def client(self, *words):
        """The command that puts one question to this node."""
        line = ["chord", "http", "client", self.host, str(PORT), "--timeout", str(ANSWER_SECONDS), *words]
        return shlex.join(line)

    def shell(self, script, seconds=60, check=True):
        """Runs a script in the container."""
        command = ["docker", "exec", "--interactive", self.container, "sh"]
        return run(*command, input=script, seconds=seconds, check=check)

    def ask(self, questions):
        """Puts questions to this node, one after the other: for each its answer and the seconds that it took.

        An answer begins with `exit` if there was none in time.
        """
        lines = []
        for words in questions:
            lines.append(f"""begun=$(date +%s%N)
text=$({self.client(*words)} 2>&1); code=$?
text=$(printf '%s' "$text" | tail -n 1)
[ $code = 0 ] || text="exit $code: $text"
printf '%s %s\\n' $(($(date +%s%N) - begun)) "$text"
""")
        printed = self.shell("".join(lines), seconds=30 + 2 * ANSWER_SECONDS * len(questions)).stdout.splitlines()
        if len(printed) != len(questions):
            raise Failed(f"{self.host} was asked {len(questions)} questions and gave {len(printed)} answers")
        split = (line.split(" ", 1) for line in printed)
        return [(text, int(nanoseconds) / 1e9) for nanoseconds, text in split]


class Ring:
    """What a ring of these nodes should look like, worked out without Chord."""

    def __init__(self, nodes, bits):
        self.bits = bits
        self.nodes = sorted(nodes, key=lambda node: self.position(node.name))
        if len({self.position(node.name) for node in nodes}) != len(nodes):
            raise Failed("two of the test's nodes have the same position: choose other names")

    def position(self, text):
        return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") % 2**self.bits

    def without(self, *gone):
        return Ring([node for node in self.nodes if node not in gone], self.bits)

    def owner(self, key):
        """The first node at or after the key."""
        position = self.position(key)
        return next((node for node in self.nodes if self.position(node.name) >= position), self.nodes[0])

    def fault(self):
        """The first thing that a node has wrong about its neighbours; nothing in an ideal ring."""
        for index, node in enumerate(self.nodes):
            after = self.nodes[index + 1:] + self.nodes[:index]
            (successors, _), (predecessor, _) = node.ask([["get_successor_list"], ["get_predecessor"]])
            listed = NODE.findall(successors)
            # It goes round and round, up to as many entries as there are bits.
            stop = listed.index(node.name) if node.name in listed else len(listed)
            if listed[:stop] != [other.name for other in after]:
                return f"{node.host} answers: {successors[:200]}"
            if NODE.findall(predecessor) != [after[-1].name]:
                return f"{node.host} answers: {predecessor[:200]}"
        return None


def put(node, pairs):
    """Writes keys through one node, each of which must be acknowledged. Returns the slowest answer's seconds."""
    answers = node.ask([["put", key, value] for key, value in pairs.items()])
    for key, (text, _) in zip(pairs, answers, strict=True):
        if not PUT.fullmatch(text):
            raise Failed(f"put {key} through {node.host}: {text}")
    return max((seconds for _, seconds in answers), default=0)


def get(node, keys):
    """Reads keys through one node: their values, None for those that are not there, and the slowest's seconds."""
    keys = list(keys)
    values = {}
    answers = node.ask([["get", key] for key in keys])
    for key, (text, _) in zip(keys, answers, strict=True):
        got = GOT.fullmatch(text)
        if not got:
            raise Failed(f"get {key} through {node.host}: {text}")
        values[key] = got[3]
    return values, max((seconds for _, seconds in answers), default=0)


def must_hold(nodes, pairs):
    """Every pair must be read through every node, at the first try. Returns the slowest answer's seconds."""
    slowest = 0
    for node in nodes:
        values, seconds = get(node, pairs)
        slowest = max(slowest, seconds)
        wrong = {key: values[key] for key in pairs if values[key] != pairs[key]}
        if wrong:
            raise Failed(f"read through {node.host}, {len(wrong)} of {len(pairs)} keys have another value: {wrong}"[:500])
    return slowest
