"""What is judged of an attack, on machines and rings that are made up: env -C scripts python3 -m unittest attacks.test_judging"""

import json
import pathlib
import tempfile
import time
import unittest

from .felt import BUSY_ROUNDS, ROUNDS, Bench, CutOff, Slowed
from .rings import QUIET_SECONDS, Ring


class Told(Bench):
    """A bench that is told what others felt: p99 in milliseconds in turn without the attack and beside it, how many of their
    requests failed, and what strangers took of the cores."""

    def __init__(self, *told, quiet_ms=None):
        super().__init__(None, 0)
        self.told, self.n_measured, self.quiet_ms = list(told), 0, quiet_ms

    def measure(self, attack=None):
        self.n_measured += 1
        p99_ms, n_wrong, others = (*self.told.pop(0), 0, 0)[:3]
        return {"p99_ms": p99_ms, "asked": 100, "n_wrong": n_wrong, "wrong": ["closed"] * n_wrong}, others, "refused"


def pairs(*times):
    return [(each,) for each in times]


class WhatOthersFeel(unittest.TestCase):
    def test_twice_as_long_is_well_and_asked_once(self):
        bench = Told(*pairs(3, 6))
        self.assertTrue(bench.beside(None)[0].is_judged)
        self.assertEqual(bench.n_measured, 2)

    def test_a_few_milliseconds_that_are_several_times_as_many_are_too_much(self):
        bench = Told(*pairs(*[1, 9] * ROUNDS))
        with self.assertRaisesRegex(Slowed, "4.5 times"):
            bench.beside(None)
        self.assertEqual(bench.n_measured, 2 * ROUNDS)

    def test_two_rounds_that_were_unlucky_are_made_up_for_by_three_that_were_not_and_three_are_not_by_two(self):
        self.assertTrue(Told(*pairs(3, 30, 3, 4, 3, 7, 3, 5, 3, 6)).beside(None)[0].is_judged)
        with self.assertRaises(Slowed):
            Told(*pairs(3, 30, 3, 4, 3, 7, 3, 5, 3, 7)).beside(None)

    def test_each_round_is_held_against_what_was_felt_directly_before_it(self):
        # The least that ever was, 3, would make this fail.
        self.assertTrue(Told(*pairs(9, 17), quiet_ms=3).beside(None)[0].is_judged)

    def test_a_machine_that_is_slow_by_itself_is_not_judged_though_the_ratio_is_well(self):
        felt, said = Told(*pairs(*[9074, 4698] * BUSY_ROUNDS), quiet_ms=3).beside(None)
        self.assertFalse(felt.is_judged)
        self.assertIn("not judged", felt.words)
        self.assertEqual(said, "refused")

    def test_where_strangers_take_the_cores_nothing_is_judged_not_even_what_failed(self):
        felt, _ = Told(*[(3, 0, 0.1), (3, 1, 0.5)] * BUSY_ROUNDS).beside(None)
        self.assertIn("strangers take 50 %", felt.words)

    def test_a_busy_round_is_made_again(self):
        self.assertTrue(Told((3, 0, 0.9), (9, 0, 0.9), (3,), (4,)).beside(None)[0].is_judged)

    def test_requests_of_others_that_fail_beside_an_attack_are_its_doing_and_those_before_it_are_not(self):
        with self.assertRaisesRegex(CutOff, "2 of 100"):
            Told((3,), (3, 2)).beside(None)
        self.assertTrue(Told((3, 2), (3,), (3,), (4,)).beside(None)[0].is_judged)


class Logs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.ring = Ring.__new__(Ring)
        self.ring.path, self.ring.lines, self.ring.read_to = pathlib.Path(folder.name), [], [0, 0, 0]
        for idx in range(3):
            self.write(idx, "Running on …\n")

    def write(self, idx, text):
        with open(self.ring.path / f"log-{idx}", "a", encoding="utf-8") as log:
            log.write(text)

    def line(self, why, ago=0):
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - ago))
        return json.dumps({"timestamp": at, "event": "refused", "why": why}) + "\n"

    def test_what_was_said_before_is_not_said_again(self):
        self.write(0, self.line("secret"))
        n_told = len(self.ring.log())
        self.write(2, self.line("form"))
        self.assertEqual([line[:2] for line in self.ring.log()[n_told:]], [("refused", "form")])

    def test_a_line_that_is_half_written_is_read_when_it_is_whole(self):
        whole = self.line("secret")
        self.write(1, whole[:20])
        self.assertEqual(self.ring.log(), [])
        self.write(1, whole[20:])
        self.assertEqual(len(self.ring.log()), 1)

    def test_it_is_waited_until_a_node_would_tell_of_it_again(self):
        self.write(0, self.line("secret", ago=3))
        self.assertAlmostEqual(self.ring.quiet_for({("refused", "secret")}), QUIET_SECONDS - 3, delta=1.5)
        self.assertEqual(self.ring.quiet_for({("refused", "form")}), 0)


if __name__ == "__main__":
    unittest.main()
