"""One member of a ring by the rules of the Chord paper of 2003 (Stoica and others, IEEE/ACM Transactions on
Networking 11(1), figures 5 and 6, and section IV.E.3 for the successor list), with what chord.py makes of them.

It shares chord.py's limits on purpose: keys stay where they are when a node joins, there are no replicas, a notifier
is believed unasked, and a frozen peer holds up whoever asks it until the request's time is over.
"""

import hashlib
import threading
from itertools import cycle, islice

from messages import ANSWERS, REQUESTS, PeerFailed, RequestFailed, WrongMessage, check


def between(start, position, end):
    """Whether the position is in the open interval (start, end), clockwise. (a, a) is everything but a."""
    if start < end:
        return start < position < end
    return position > start or position < end


def between_or_at_end(start, position, end):
    """Whether the position is in the interval (start, end], clockwise. (a, a] is the whole circle."""
    return position == end or between(start, position, end)


class RingMember:
    """What one node knows, what it answers, and what it does by itself from time to time.

    `send(peer, command, request)` carries a request to a peer and returns what came back; it raises PeerFailed or
    WrongMessage. `log(line)` tells the reader of the test's output. The lock guards the fields below it and is never
    held while a peer is asked.
    """

    def __init__(self, name, ring_size, send, log):
        self.name = name
        self.ring_size = ring_size
        self.position = self._position_of(name)
        self.leaving = threading.Event()
        self.has_left = False
        self._send = send
        self._log = log
        self._lock = threading.RLock()
        self._is_in_ring = False
        self._is_joining = False
        self._predecessor = None
        self._successors = []
        self._fingers = [None] * ring_size
        self._next_finger = 0
        self._values = {}

    # What others ask of this node.

    def answer(self, command, request):
        """The answer to one request, as a dict of exactly the fields that its command promises."""
        check(request, REQUESTS[command])
        if command not in ("node", "create", "join") and not self._is_in_ring:
            raise RequestFailed(f"{self.name} is not in a ring yet: create or join first")
        answer = getattr(self, f"_answer_{command}")(**request)
        check(answer, ANSWERS[command])
        return answer

    def _answer_node(self):
        return {"node": self.name, "is_alive": self._is_in_ring and not self.leaving.is_set()}

    def _answer_create(self):
        self._enter_ring(lambda: self.name)
        return {}

    def _answer_join(self, remote_node):
        self._enter_ring(lambda: self._ask(remote_node, "find_successor", {"key": self.position})["node"])
        return {}

    def _enter_ring(self, find_own_successor):
        with self._lock:
            if self._is_in_ring or self._is_joining:
                raise RequestFailed(f"{self.name} is in a ring already")
            self._is_joining = True
        try:
            self._set_successors(find_own_successor(), [])
            self._is_in_ring = True
        finally:
            self._is_joining = False

    def _answer_find_successor(self, key):
        node, hops = self._find_successor(self._position_of(key))
        return {"node": node, "hops": hops}

    def _answer_notify(self, remote_node):
        with self._lock:
            if remote_node is None or self._predecessor is None or between(
                self._position_of(self._predecessor), self._position_of(remote_node), self.position
            ):
                self._set_predecessor(remote_node)
        return {}

    def _answer_get_predecessor(self):
        return {"node": self._predecessor}

    def _answer_get_successor_list(self):
        """As many entries as the ring has bits: in a small ring the list goes round, this node included."""
        going_round = cycle([*self._distinct_successors(), self.name])
        return {"successor_list": list(islice(going_round, self.ring_size))}

    def _answer_get(self, key):
        owner, hops = self._owner_of(key)
        if owner != self.name:
            return {**self._ask(owner, "get", {"key": key}), "hops": hops}
        with self._lock:
            found = key in self._values
            return {"storage_node": self.name, "hops": hops, "value": self._values.get(key), "found": found}

    def _answer_put(self, key, value, no_redirect):
        owner, hops = (self.name, 0) if no_redirect else self._owner_of(key)
        if owner != self.name:
            return {**self._ask(owner, "put", {"key": key, "value": value, "no_redirect": False}), "hops": hops}
        with self._lock:
            self._values[key] = value
        return {"storage_node": self.name, "hops": hops}

    def _answer_shutdown(self):
        """Leave: hand everything over. The door ends the process after the answer."""
        self.leaving.set()
        try:
            self._hand_over(self._first_successor())
        except PeerFailed as failure:
            self._log(f"could not hand everything over: {failure}")
        self.has_left = True
        return {}

    def _hand_over(self, successor):
        """Give the successor the own predecessor, then all keys."""
        with self._lock:
            predecessor = None if self._predecessor == self.name else self._predecessor
            values = dict(self._values)
        self._log(f"leaves {successor} with {len(values)} keys")
        if successor == self.name:
            return
        self._ask(successor, "notify", {"remote_node": predecessor})
        for key, value in values.items():
            self._ask(successor, "put", {"key": key, "value": value, "no_redirect": True})

    # What this node does by itself.

    def maintain(self):
        """One round: stabilize, check the predecessor, repair one finger."""
        if not self._is_in_ring:
            return
        for step in (self._stabilize, self._check_predecessor, self._fix_next_finger):
            if self.leaving.is_set():
                return
            try:
                step()
            except (PeerFailed, RequestFailed) as failure:
                self._log(f"{step.__name__.strip('_')} did not succeed: {failure}")

    def _stabilize(self):
        """Take the first of those that answer for the successor: the list, then the predecessor, then nobody."""
        candidates = [*self._distinct_successors(), self._predecessor]
        for candidate in candidates:
            if candidate is None or candidate == self.name:
                continue
            try:
                self._stabilize_with(candidate)
                return
            except PeerFailed as failure:
                self._log(f"{candidate} cannot be the successor: {failure}")
        self._set_successors(self.name, [])
        self._answer_notify(self.name)

    def _stabilize_with(self, successor):
        self._require_alive(successor)
        closer = self._ask(successor, "get_predecessor", {})["node"]
        if closer is not None and between(self.position, self._position_of(closer), self._position_of(successor)):
            try:
                self._follow(closer)
                return
            except PeerFailed as failure:
                self._log(f"{closer} is no closer successor: {failure}")
        self._follow(successor)

    def _follow(self, successor):
        """Stand before this node: take over its list behind it, and tell it."""
        self._require_alive(successor)
        self._set_successors(successor, self._ask(successor, "get_successor_list", {})["successor_list"])
        self._ask(successor, "notify", {"remote_node": self.name})

    def _check_predecessor(self):
        predecessor = self._predecessor
        if predecessor in (None, self.name):
            return
        try:
            self._require_alive(predecessor)
        except PeerFailed as failure:
            self._log(f"the predecessor failed: {failure}")
            with self._lock:
                if self._predecessor == predecessor:
                    self._set_predecessor(None)

    def _fix_next_finger(self):
        index = self._next_finger
        self._next_finger = (index + 1) % self.ring_size
        self._fingers[index] = None
        self._fingers[index], _ = self._find_successor((self.position + 2**index) % 2**self.ring_size)

    # Finding the way.

    def _position_of(self, key):
        """Text is hashed, an integer is a position already."""
        if isinstance(key, str):
            key = int.from_bytes(hashlib.sha256(key.encode()).digest(), "big")
        return key % 2**self.ring_size

    def _owner_of(self, key):
        position, predecessor = self._position_of(key), self._predecessor
        if predecessor is not None and between_or_at_end(self._position_of(predecessor), position, self.position):
            return self.name, 0
        return self._find_successor(position)

    def _find_successor(self, position):
        """The first node at or after the position, and how often the question was forwarded."""
        successor = self._first_successor()
        if between_or_at_end(self.position, position, self._position_of(successor)):
            return successor, 0
        for peer in self._preceding_nodes_closest_first(position):
            try:
                answer = self._ask(peer, "find_successor", {"key": position})
                return answer["node"], answer["hops"] + 1
            except PeerFailed as failure:
                self._log(f"looks for another way to {position}: {failure}")
        raise RequestFailed(f"no node on the way to {position} answers")

    def _preceding_nodes_closest_first(self, position):
        known = {*self._distinct_successors(), *self._fingers} - {None, self.name}
        preceding = [peer for peer in known if between(self.position, self._position_of(peer), position)]
        return sorted(preceding, key=lambda peer: (position - self._position_of(peer)) % 2**self.ring_size)

    # Neighbours.

    def _distinct_successors(self):
        with self._lock:
            return list(self._successors)

    def _first_successor(self):
        return next(iter(self._distinct_successors()), self.name)

    def _set_successors(self, first, following):
        """Keep the list as far as it is in order: up to the first repeat or this node itself."""
        distinct = []
        for peer in [first, *following][: self.ring_size]:
            if peer == self.name or peer in distinct:
                break
            distinct.append(peer)
        with self._lock:
            if distinct[:1] != self._successors[:1] or not self._is_in_ring:
                self._log(f"successor changed: {self._first_successor()} -> {first}")
            self._successors = distinct

    def _set_predecessor(self, peer):
        if peer != self._predecessor:
            self._log(f"predecessor changed: {self._predecessor} -> {peer}")
        self._predecessor = peer

    # Asking peers.

    def _require_alive(self, peer):
        """Raise PeerFailed unless the peer says itself that it is alive. One that is leaving says it is not."""
        if not self._ask(peer, "node", {})["is_alive"]:
            raise PeerFailed(f"{peer} says that it is not alive")

    def _ask(self, peer, command, request):
        """The peer's answer. One that is not exactly what the command promises makes the peer a failed one."""
        try:
            answer = self._send(peer, command, request)
            check(answer, ANSWERS[command])
            self._check_content(peer, command, answer)
        except WrongMessage as wrong:
            self._log(f"STRICT VIOLATION from {peer} {command}: {wrong}")
            raise PeerFailed(f"{peer} answered {command} wrongly") from wrong
        return answer

    def _check_content(self, peer, command, answer):
        if command == "node" and answer["node"] != peer:
            raise WrongMessage(f"got fields of another node, {answer['node']}")
        if command == "get_successor_list" and len(answer["successor_list"]) != self.ring_size:
            raise WrongMessage(f"got fields ['successor_list'] with {len(answer['successor_list'])} entries")
        if command == "get" and (answer["value"] is not None) != answer["found"]:
            raise WrongMessage(f"got fields that contradict each other: {answer!r}")
