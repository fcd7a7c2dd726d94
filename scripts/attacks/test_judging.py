"""What is judged of an attack, and of what TLS costs, on machines and rings that are made up: env -C scripts python3 -m unittest attacks.test_judging"""

import collections
import contextlib
import copy
import importlib.machinery
import importlib.util
import io
import json
import pathlib
import tempfile
import time
import unittest
import unittest.mock

from . import shapes
from .changed import CutOff
from .felt import BUSY_ROUNDS, ROUNDS, Bench, Slowed
from .rings import QUIET_SECONDS, Heard, Ring, Wrong


def script(name):
    loader = importlib.machinery.SourceFileLoader(name, str(pathlib.Path(__file__).resolve().parent.parent / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


ATTACK, ENTRY_COST = script("attack"), script("entry-cost")


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


class MadeUp:
    """A ring whose nodes do, at each attack, what is told in turn: change their state, and say lines in their log."""

    kind, processes = "made-up", []

    def __init__(self, *told):
        self.told, self.n_attacks, self.lines = list(told), 0, []
        self.now = {"node": {"position": 7, "predecessor": "a", "successors": ["b"], "predecessor_changes_total": 2.0}, "records": [("k", "1", "digest")]}

    def state(self):
        return copy.deepcopy(self.now)

    def attack(self, _):
        self.n_attacks += 1
        change, events = self.told.pop(0)
        self.lines += [(event, None, 0) for event in events]
        if isinstance(change, Exception):
            raise change
        change(self.now)
        return "refused"

    def log(self):
        return self.lines

    def refused(self):
        return {}

    def quiet_for(self, _):
        return 0

    def is_whole(self):
        return True


def neighbour(now):
    now["node"]["predecessor_changes_total"] += 2


def record(now):
    now["records"] = [("k", "1", "another digest")]


def stranger(now):
    neighbour(now)
    now["node"]["predecessor"] = "a stranger"


def nothing(_):
    pass


class WhatChanges(unittest.TestCase):
    def tried(self, *told, others=0):
        """How it ends, the line, and how often it was tried, on a machine of which strangers take so much."""
        ring, tally, line = MadeUp(*told), collections.Counter(), io.StringIO()
        attack = ATTACK.Attack("made up", ring.attack, (), [], None)
        times = iter(range(1000))
        with unittest.mock.patch("attacks.changed.ticks_of_all", lambda: ((at := next(times)) * 100 * others, at * 100)), \
                unittest.mock.patch("attacks.changed.ticks_of_own", lambda _: 0), contextlib.redirect_stdout(line):
            ATTACK.attack_once(attack, ring, None, tally, False)
        return +tally, line.getvalue(), ring.n_attacks

    def test_what_changes_where_every_node_had_its_core_is_the_attacks_doing_and_tried_once(self):
        for change in (neighbour, record, stranger):
            tally, line, n_tried = self.tried((change, ["peer-dropped"]))
            self.assertEqual((tally, n_tried), ({"has changed something": 1}, 1))
            self.assertTrue(line.startswith("FAILED"), line)

    def test_counters_of_neighbours_are_tried_again_where_a_node_was_stopped_or_strangers_take_the_cores(self):
        for events, others in ((["was-stopped", "peer-dropped"], 0), ([], 0.5)):
            tally, line, n_tried = self.tried((neighbour, events), (neighbour, events), (nothing, []), others=others)
            self.assertEqual((tally, n_tried), ({"not measured": 1}, 3))
            self.assertTrue(line.startswith("ok"), line)

    def test_where_the_machine_always_stands_still_it_is_said_and_not_judged(self):
        tally, line, n_tried = self.tried(*[(neighbour, ["was-stopped"])] * 9)
        self.assertEqual((tally, n_tried), ({"stood still": 1}, ATTACK.TRIES))
        self.assertRegex(line, "^refused .*not judged whether it changed anything, the machine stood still.*was-stopped.*8.0 → 10.0")
        said, is_good = ATTACK.summary(tally, 1)
        self.assertTrue(is_good)
        self.assertIn("1 of 1 attacks were refused, and 0 changed nothing, in 1 s; for 1 that is not judged", said)

    def test_a_node_that_was_stopped_is_no_excuse_for_a_record_or_for_a_strange_neighbour(self):
        for change in (record, stranger):
            tally, _, n_tried = self.tried((change, ["was-stopped"]), others=0.9)
            self.assertEqual((tally, n_tried), ({"has changed something": 1}, 1))

    def test_a_node_that_was_stopped_before_the_attack_is_no_excuse_for_it(self):
        tally, _, _ = self.tried((neighbour, ["was-stopped"]), (neighbour, []))
        self.assertEqual(tally, {"has changed something": 1})

    def test_others_who_are_cut_off_are_excused_in_the_same_way(self):
        cut = CutOff("EOF")
        self.assertEqual(self.tried((cut, []))[0], {"had others' requests fail": 1})
        self.assertEqual(self.tried((cut, ["was-stopped"]), (nothing, []))[0], {"not measured": 1})
        self.assertEqual(self.tried(*[(cut, ["was-stopped"])] * 9)[0], {"stood still": 1})

    def test_the_last_line_tells_those_that_are_counted_from_those_that_have_nothing_to_count(self):
        said, is_good = ATTACK.summary(collections.Counter({"judged": 5, "not measured": 2, "counted": 4, "left out": 1}), 9)
        self.assertTrue(is_good)
        self.assertIn("7 of 7 attacks were refused, and 7 changed nothing, in 9 s; 4 were counted and logged, and 3 have nothing to count", said)
        self.assertFalse(ATTACK.summary(collections.Counter({"judged": 5, "counted": 5, "has changed something": 1}), 9)[1])
        self.assertFalse(ATTACK.summary(collections.Counter({"left out": 5}), 9)[1])


class Resets(unittest.TestCase):
    def answered(self, n_bytes, *answers):
        """What an attack takes for the answer to a request of so many bytes, of these in turn; nothing stands for a reset."""
        def told(_):
            heard = Heard(answers.pop(0) or b"")
            heard.was_reset = not heard
            return heard

        answers, ring = list(answers), unittest.mock.Mock()
        ring.told = told
        return shapes.answered(ring, b"x" * n_bytes)

    def test_a_reset_may_eat_the_answer_to_a_large_request_alone_and_not_each_time(self):
        self.assertEqual(self.answered(1 << 20, None, None, b"HTTP/1.1 413"), b"HTTP/1.1 413")
        self.assertEqual(self.answered(1 << 20, *[None] * shapes.RESETS, b"HTTP/1.1 413"), b"")
        self.assertEqual(self.answered(100, None, b"HTTP/1.1 413"), b"")


class WhatTlsCosts(unittest.TestCase):
    def test_what_costs_too_much_fails_and_a_baseline_that_stood_still_is_no_success(self):
        ENTRY_COST.judge({"put with TLS": 1.29, "get with TLS": 0.8}, 1.3)
        with self.assertRaisesRegex(Wrong, "more than 1.3 times as much: put with TLS 1.31"):
            ENTRY_COST.judge({"put with TLS": 1.31, "get with TLS": 0.0}, 1.3)
        with self.assertRaisesRegex(Wrong, "not judged, .*: get with TLS 0.00"):
            ENTRY_COST.judge({"put with TLS": 1.1, "get with TLS": 0.0}, 1.3)


if __name__ == "__main__":
    unittest.main()
