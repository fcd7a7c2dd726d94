"""What other clients feel of an attack: the slowest of a hundred of their requests, without it and beside it, in turn."""

import json
import statistics
import time

from .changed import OTHERS_MOST, CutOff, ticks_of_all, ticks_of_own
from .rings import Failed

RATE = 200
TIMES = 2
# What is less than this counts as this: who asks is a program in Python that shares the cores with attackers and nodes, and
# whoever waits for a core there waits for some three milliseconds.
LEAST_MS = 2
# Once is enough if it holds; where it does not, the median of so many.
ROUNDS = 5
# And so many more where the machine was too busy to say.
BUSY_ROUNDS = 3
PAUSE_SECONDS = 0.05
LOAD_SECONDS = 60
# The machine is too busy to judge anything where strangers take too much of it, or where, without an attack, others wait so many
# times as long as they did when it was quiet.
QUIET_TIMES = 10


class Slowed(Failed):
    """Others waited for too long."""


class Felt:
    """The cell of a line: whether it was judged, and what is to be read there."""

    def __init__(self, is_judged, words):
        self.is_judged, self.words = is_judged, words


class Bench:
    """Other clients of a ring."""

    def __init__(self, ring, seconds):
        self.ring, self.seconds, self.quiet_ms = ring, seconds, None

    def measure(self, attack=None):
        """What they felt, the share of the cores that strangers took meanwhile, and what the attack says, which goes on again and
        again."""
        (busy, total), own = ticks_of_all(), ticks_of_own(self.ring)
        load, said = self.ring.load(self.seconds, RATE), None
        try:
            while attack and (said is None or load.poll() is None):
                said = attack.run(self.ring)
                time.sleep(PAUSE_SECONDS)
            printed = load.communicate(timeout=LOAD_SECONDS)[0]
        finally:
            load.kill()
            load.wait()
        felt = json.loads(printed) if load.returncode == 0 else {"p99_ms": 0, "asked": 0, "n_wrong": 1, "wrong": ["nobody answered"]}
        busy_now, total_now = ticks_of_all()
        others = (busy_now - busy - (ticks_of_own(self.ring) - own)) / max(1, total_now - total)
        return felt, others, said

    def round(self, attack):
        """Directly one after the other: without the attack, and beside it; why that says nothing, if so; and what it says."""
        before, others_before, _ = self.measure()
        beside, others_beside, said = self.measure(attack)
        before_ms, beside_ms, others, busy = before["p99_ms"], beside["p99_ms"], max(others_before, others_beside), None
        if not before["n_wrong"]:
            self.quiet_ms = min(before_ms, self.quiet_ms or before_ms)
        if others > OTHERS_MOST:
            busy = f"strangers take {100 * others:.0f} % of the cores"
        elif before["n_wrong"]:
            busy = f"requests failed without it: {', '.join(before['wrong'])}"
        elif before_ms > QUIET_TIMES * max(self.quiet_ms, LEAST_MS):
            busy = f"it was {self.quiet_ms:.1f} ms when quiet"
        elif beside["n_wrong"]:
            raise CutOff(f"{beside['n_wrong']} of {beside['asked']} requests of others failed: {', '.join(beside['wrong'])}")
        return before_ms, beside_ms, busy, said

    def beside(self, attack):
        """The cell, and what the attack says."""
        rounds = []
        for number in range(ROUNDS + BUSY_ROUNDS):
            before_ms, beside_ms, busy, said = self.round(attack)
            if busy is None:
                rounds.append((beside_ms / max(before_ms, LEAST_MS), f"{before_ms:.1f} → {beside_ms:.1f} ms"))
                if rounds[0][0] <= TIMES or len(rounds) == ROUNDS:
                    break
            if number + 1 - len(rounds) == BUSY_ROUNDS:
                return Felt(False, f"not judged, {before_ms:.1f} → {beside_ms:.1f} ms: {busy}"), said
        times, words = statistics.median(each[0] for each in rounds), ", ".join(each[1] for each in rounds)
        if times > TIMES:
            raise Slowed(f"others waited {times:.1f} times as long: {words}")
        return Felt(True, f"{words} ({times:.1f} ×)"), said
