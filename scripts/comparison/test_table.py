"""What `scripts/compare --write` leaves of a table, and what it does not write: python3 -m unittest discover scripts."""

import importlib.machinery
import importlib.util
import pathlib
import sys
import types
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SCRIPTS))
sys.dont_write_bytecode = True

from comparison.table import HEAD, Row, renewed  # noqa: E402

BLOCK = "\n".join(
    [
        "<!-- scripts/compare -->",
        *HEAD,
        "| one node | put | old | a | old | old | |",
        "| one node | get | old | a | old | old | |",
        "| a ring | put | old | b | old | old | |",
        "",
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
        self.assertEqual(lines[3], "| one node | put | 50 /s | a | 100 /s | **0.50**, 0.50 – 0.50 | at least 1.0 |")
        self.assertEqual(lines[5:7], ["| a ring | put | old | b | old | old | |", ""])
        notes = ["- Measured as one: 2 rounds; today.", "- Measured as ring: 3 rounds of 2 s; long ago."]
        self.assertEqual(lines[7:], [*notes, "<!-- end -->"])

    def test_a_row_that_is_not_whole_is_not_written(self):
        for n_puts, n_gets in ((2, 1), (2, 0), (0, 0), (1, 1)):
            self.assertEqual(renewed(BLOCK, rows(n_puts, n_gets), 2, "today"), BLOCK)

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
        measured = {name: row for name, (_, row) in script().ROWS.items()}
        for row in measured.values():
            for operation in row.operations:
                self.assertEqual(text.count(f"\n{row.start(operation)} "), 1, row.start(operation))
        noted = [name for line in text.splitlines() for name in named(line)]
        self.assertEqual(sorted(noted), sorted(measured), "each row has one note")


def named(line):
    return line.removeprefix("- Measured as ").split(":")[0].split(", ") if line.startswith("- Measured as ") else []


if __name__ == "__main__":
    unittest.main()
