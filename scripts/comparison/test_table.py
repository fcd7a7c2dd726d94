"""What `scripts/compare --write` leaves of a table, and what it does not write: python3 -m unittest discover
scripts/comparison."""

import importlib.machinery
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(SCRIPTS), str(SCRIPTS / "tours")]
sys.dont_write_bytecode = True

from comparison.table import HEAD, ONE_RUN, RUNS, Row, block_of, missed, of_runs, put, renewed  # noqa: E402
from local_ring import Wrong, named as named_by_chord  # noqa: E402

BLOCK = "\n".join(
    [
        "<!-- scripts/compare -->",
        *HEAD,
        "| one node | put | old | a | old | old | |",
        "| one node | get | old | a | old | old | |",
        "| a ring | put | old | b | old | old | |",
        "",
        "- Missed: nothing.",
        "- Measured as one, ring: 3 rounds of 2 s; long ago.",
        "<!-- end -->",
    ]
)


def rows(n_puts, n_gets):
    one = Row("one node", "a", "/s", 1.0, ["put", "get"])
    for operation, count in (("put", n_puts), ("get", n_gets)):
        for _ in range(count):
            one.add(operation, 50, 100)
    return {"one": one, "ring": Row("a ring", "b", "/s", None, ["put"])}


def script():
    """scripts/compare, which has no ending, as a module."""
    loader = importlib.machinery.SourceFileLoader("compare", str(SCRIPTS / "compare"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("compare", loader))
    loader.exec_module(module)
    return module


class Table(unittest.TestCase):
    def test_a_row_of_all_rounds_takes_the_place_of_the_older_one_and_is_named(self):
        lines = renewed(BLOCK, rows(2, 2), 2, "2 rounds; today").splitlines()
        self.assertEqual(lines[3], "| one node | put | 50 /s | a | 100 /s | **0.50**, 0.50 – 0.50 | at least 1.0, missed |")
        self.assertEqual(lines[5:7], ["| a ring | put | old | b | old | old | |", ""])
        notes = ["- Missed: one put, one get.", "- Measured as one: 2 rounds; today.", "- Measured as ring: 3 rounds of 2 s; long ago."]
        self.assertEqual(lines[7:], [*notes, "<!-- end -->"])

    def test_a_row_that_is_not_whole_is_not_written(self):
        for n_puts, n_gets in ((2, 1), (2, 0), (0, 0), (1, 1)):
            self.assertEqual(renewed(BLOCK, rows(n_puts, n_gets), 2, "today"), BLOCK)
        disturbed = rows(2, 2)
        disturbed["one"].is_disturbed = True
        self.assertEqual(renewed(BLOCK, disturbed, 2, "today"), BLOCK)

    def test_a_rate_is_missed_below_what_is_wanted_and_a_time_above_by_its_median(self):
        for unit, pairs, is_missed in (
            ("/s", [(99, 100), (99, 100), (300, 100)], True),
            ("/s", [(100, 100), (1, 100), (100, 100)], False),
            ("µs", [(101, 100), (101, 100), (1, 100)], True),
            ("µs", [(100, 100), (100, 100), (900, 100)], False),
        ):
            row = Row("one node", "a", unit, {"put": 1.0}, ["put"])
            for pair in pairs:
                row.add("put", *pair)
            self.assertEqual((row.is_missed("put"), missed({"one": row})), (is_missed, ["one put"] if is_missed else []))
            self.assertEqual(row.line("put").endswith(", missed |"), is_missed)

    def test_a_side_that_did_nothing_is_not_a_round(self):
        row = Row("one node", "a", "/s", 1.0, ["put"])
        self.assertRaises(ValueError, row.add, "put", 100, 0)
        self.assertEqual((row.lines(), row.is_whole(1)), ([], False))

    def test_what_a_line_of_the_document_has_missed_is_marked_and_named(self):
        block = block_of((SCRIPTS.parent / "docs" / "performance.md").read_text(encoding="utf-8"), ONE_RUN).group(0)
        short = []
        for name, row in measured().items():
            for operation in row.operations:
                (line,) = [line for line in block.splitlines() if line.startswith(row.start(operation))]
                self.assertTrue(line.removesuffix(" |").removesuffix(", missed").endswith(f"| {row.wish(operation)}"), line)
                ratio, limit = float(re.search(r"\*\*(.*)\*\*", line).group(1)), row.limit(operation)
                # Two digits do not tell of what is as much as is wanted.
                if limit is not None and ratio != limit:
                    self.assertEqual(line.endswith(", missed |"), (ratio < limit) == (row.unit == "/s"), line)
                short += [f"{name} {operation}"] if line.endswith(", missed |") else []
        self.assertIn(f"\n- Missed: {', '.join(short) or 'nothing'}.\n", block)

    def test_whole_runs_stand_beside_each_other_and_tell_what_is_missing(self):
        first, second, third = rows(2, 2), rows(2, 1), rows(2, 2)
        third["one"].is_disturbed = True
        lines = list(of_runs([(first, "on Monday"), (second, "on Tuesday"), (third, "today")], 2))
        self.assertEqual(lines[0], "| what | | wanted | run 1 | run 2 | run 3 |")
        cells = "**0.50**, 0.50 – 0.50, missed; 50 /s to 100 /s | not measured | beside other work"
        self.assertEqual(lines[2:5], [
            f"| one node | put | at least 1.0 | {cells} |",
            f"| one node | get | at least 1.0 | {cells} |",
            "| a ring | put |  | not measured | not measured | not measured |",
        ])
        self.assertEqual(lines[5:], [
            "",
            "- Run 1: on Monday. Missed: one put, one get.",
            "- Run 2: on Tuesday. Missed: nothing.",
            "- Run 3: today. Missed: nothing.",
        ])

    def test_each_table_is_put_in_its_own_place(self):
        with tempfile.TemporaryDirectory() as folder:
            document = pathlib.Path(folder) / "performance.md"
            document.write_text(f"a\n{BLOCK}\nb\n{RUNS}\nold\n<!-- end -->\nc\n", encoding="utf-8")
            put(document, RUNS, lambda block: block.replace("old", "new \\1"))
            self.assertEqual(document.read_text(encoding="utf-8"), f"a\n{BLOCK}\nb\n{RUNS}\nnew \\1\n<!-- end -->\nc\n")

    def test_a_document_that_cannot_be_written_stays_as_it_was(self):
        with tempfile.TemporaryDirectory() as folder:
            document = pathlib.Path(folder) / "performance.md"
            document.write_text(f"a\n{BLOCK}\nb\n", encoding="utf-8")
            whole, written = document.read_text(encoding="utf-8"), pathlib.Path.write_text

            def half(path, text, **how):
                written(path, text[: len(text) // 2], **how)
                raise OSError(28, "No space left on device")

            with mock.patch.object(pathlib.Path, "write_text", half), self.assertRaises(OSError):
                put(document, ONE_RUN, lambda block: block.replace("old", "new"))
            self.assertEqual(document.read_text(encoding="utf-8"), whole)
            self.assertEqual([path.name for path in pathlib.Path(folder).iterdir()], ["performance.md"])

    def test_the_last_of_several_runs_and_all_of_them_are_written_and_told_by_the_exit_code(self):
        def run(strict, busy, fails=False):
            """The exit code of two runs, and what they have written."""
            rates = iter([2, 1])

            def one(options, row):
                if fails:
                    raise Wrong("nobody is at home")
                rate = next(rates)
                for _ in range(options.rounds):
                    row.add("put", rate, 2)

            compared = script()
            with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ), mock.patch("builtins.print"):
                def built(_):
                    compared.machine.load.return_value = 1.5  # The build's own.
                    return "sh"

                os.environ.pop("CHORD", None)
                compared.named, compared.built = lambda: None, built
                compared.DOCUMENT = pathlib.Path(folder) / "performance.md"
                compared.DOCUMENT.write_text(f"{ONE_RUN}\n<!-- end -->\n{RUNS}\n<!-- end -->\n", encoding="utf-8")
                compared.ROWS = {"one": (one, Row("one node", "a", "/s", 1.0, ["put"]))}
                compared.machine = mock.Mock(QUIET_LOAD=0.5, **{
                    "now.return_value": "2026-11-27 09:00", "load.return_value": 0.1, "busy_cores.return_value": busy,
                    "make.return_value": "a machine",
                })
                words = {"only": ["one"], "rounds": 3, "seconds": 2, "runs": 2, "write": True, "noisy": False, "strict": strict}
                code = compared.compare(types.SimpleNamespace(**words, is_given=False, is_all=True))
                return code, compared.DOCUMENT.read_text(encoding="utf-8")

        code, written = run(strict=False, busy=0.2)
        self.assertEqual(code, 0)
        line = "| one node | put | 1 /s | a | 2 /s | **0.50**, 0.50 – 0.50 | at least 1.0, missed |\n"
        self.assertIn(line, block_of(written, ONE_RUN).group(0))
        cells = "**1.00**, 1.00 – 1.00; 2 /s to 2 /s | **0.50**, 0.50 – 0.50, missed; 1 /s to 2 /s"
        self.assertIn(f"| one node | put | at least 1.0 | {cells} |\n", block_of(written, RUNS).group(0))
        first = "a load of 0.1 before it, and up to 0.2 cores busy before a row; a machine"
        self.assertIn(f"- Run 1: 2026-11-27 09:00 to 09:00 UTC; 3 rounds of 2 s; {first}. ", written)
        how = first.replace("a load of 0.1 before it", "right after the run before it")
        self.assertIn(f"- Run 2: 2026-11-27 09:00 to 09:00 UTC; 3 rounds of 2 s; {how}. Missed: one put.\n", written)
        self.assertEqual(run(strict=True, busy=0.2)[0], 1)
        code, written = run(strict=False, busy=1.5)
        self.assertEqual(code, 1)
        self.assertNotIn("| one node", block_of(written, ONE_RUN).group(0))
        self.assertIn("| beside other work | beside other work |", block_of(written, RUNS).group(0))
        code, written = run(strict=False, busy=0.2, fails=True)
        self.assertEqual(code, 1)
        self.assertIn("| not measured | not measured |", block_of(written, RUNS).group(0))

    def test_a_program_that_is_not_there_is_not_built_instead(self):
        before = os.environ.get("CHORD")
        try:
            for name in ("/nowhere/chord", "no-such-chord", str(SCRIPTS)):
                os.environ["CHORD"] = name
                self.assertRaisesRegex(Wrong, f"CHORD is {name}, but there is no", named_by_chord)
            os.environ["CHORD"] = "sh"
            self.assertTrue(os.path.isabs(named_by_chord()))
            os.environ["CHORD"] = ""
            self.assertIsNone(named_by_chord())
        finally:
            os.environ.pop("CHORD")
            os.environ.update({} if before is None else {"CHORD": before})

    def test_what_makes_no_sense_is_refused_before_anything_is_measured(self):
        for words, said in (
            (["--rounds", "0"], "0 is no number from 1"),
            (["--seconds", "-1"], "-1 is no number from 1"),
            (["--only", "on"], "there is no row on"),
            (["--only", "disk", "--data", "/nowhere"], "/nowhere is no directory"),
            (["--write", "--noisy", "--rounds", "2"], "3 rounds and 2 seconds, or more"),
            (["--write", "--noisy", "--seconds", "1"], "3 rounds and 2 seconds, or more"),
            (["--write", "--noisy", "--runs", "3", "--only", "one"], "are for all rows"),
        ):
            ended = subprocess.run([SCRIPTS / "compare", *words], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(ended.returncode, 2, words)
            self.assertIn(said, ended.stderr)

    def test_who_is_first_in_one_round_is_second_in_the_next(self):
        asked = []

        def ours(operation):
            asked.append(f"our {operation}")
            return 1

        def theirs(operation):
            asked.append(f"their {operation}")
            return 2

        row = Row("one node", "a", "/s", 1.0, ["put"])
        script().in_turn(types.SimpleNamespace(rounds=3), row, ["put"], ours, theirs)
        self.assertEqual(asked, ["our put", "their put", "their put", "our put", "our put", "their put"])
        self.assertEqual(row.pairs, {"put": [(1, 2)] * 3})

    def test_each_row_of_the_document_is_one_that_is_measured(self):
        text = (SCRIPTS.parent / "docs" / "performance.md").read_text(encoding="utf-8")
        block = block_of(text, ONE_RUN).group(0)
        for row in measured().values():
            for operation in row.operations:
                self.assertEqual(block.count(f"\n{row.start(operation)} "), 1, row.start(operation))
        noted = [name for line in block.splitlines() for name in named(line)]
        self.assertEqual(sorted(noted), sorted(measured()), "each row has one note")
        self.assertTrue(block_of(text, RUNS), "whole runs have their place")


def measured():
    return {name: row for name, (_, row) in script().ROWS.items()}


def named(line):
    return line.removeprefix("- Measured as ").split(":")[0].split(", ") if line.startswith("- Measured as ") else []


if __name__ == "__main__":
    unittest.main()
