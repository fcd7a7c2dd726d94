"""What was measured, as lines of a table, and the table in the documents."""

import re
import statistics

HEAD = ["| what | | ours | beside | theirs | ratio, least – largest | wanted |", "|---|---|---|---|---|---|---|"]
BLOCK = re.compile(r"<!-- scripts/compare -->\n.*?<!-- end -->", re.DOTALL)
# Which rows, by their names for --only, and how.
NOTE = re.compile(r"- Measured as ([a-z, ]+): (.*)\.")


class Row:
    """One kind of work, with a line for each operation."""

    def __init__(self, what, beside, unit, wanted, operations):
        self.what, self.beside, self.unit, self.wanted = what, beside, unit, wanted
        self.operations, self.pairs = operations, {}

    def add(self, operation, ours, theirs):
        """What both did in one round."""
        self.pairs.setdefault(operation, []).append((ours, theirs))

    def is_whole(self, n_rounds):
        """Whether each operation was measured in all rounds."""
        return all(len(self.pairs.get(operation, [])) == n_rounds for operation in self.operations)

    def lines(self):
        return [self.line(operation, pairs) for operation, pairs in self.pairs.items()]

    def start(self, operation):
        """How the line of that operation begins, by which it is found in a table."""
        return f"| {self.what} | {operation} |"

    def line(self, operation, pairs):
        ours, theirs = (self.figure(statistics.median(side)) for side in zip(*pairs))
        ratios = [ours / theirs for ours, theirs in pairs]
        spread = f"**{figure(statistics.median(ratios))}**, {figure(min(ratios))} – {figure(max(ratios))}"
        return f"{self.start(operation)} {ours} | {self.beside} | {theirs} | {spread} | {self.wish(operation)} |"

    def figure(self, value):
        return f"{value:,.0f} /s" if self.unit == "/s" else f"{value:.1f} {self.unit}"

    def wish(self, operation):
        wanted = self.wanted[operation] if isinstance(self.wanted, dict) else self.wanted
        if wanted is None:
            return ""
        return f"{'at least' if self.unit == '/s' else 'at most'} {wanted}"


def figure(ratio):
    """Two digits after the point, or none where they say nothing."""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def write(document, rows, n_rounds, how):
    """Puts the lines of those rows that were measured in all rounds in the place of older ones. The rows have names."""
    text = document.read_text(encoding="utf-8")
    block = BLOCK.search(text)
    if not block:
        raise SystemExit(f"{document} has no place for the table")
    document.write_text(text.replace(block.group(0), renewed(block.group(0), rows, n_rounds, how)), encoding="utf-8")


def renewed(block, rows, n_rounds, how):
    """The block with the table and, below it, how each of its rows was measured."""
    older = block.splitlines()
    is_new = {name: row.is_whole(n_rounds) for name, row in rows.items()}
    lines = []
    for name, row in rows.items():
        lines += row.lines() if is_new[name] else [line for line in older if line.startswith(f"| {row.what} |")]
    notes = [note(filter(is_new.get, rows), how)] if any(is_new.values()) else []
    for line in older:
        if of_others := NOTE.fullmatch(line):
            names = [name for name in of_others.group(1).split(", ") if not is_new.get(name)]
            notes += [note(names, of_others.group(2))] if names else []
    return "\n".join([older[0], *HEAD, *lines, "", *notes, older[-1]])


def note(names, how):
    return f"- Measured as {', '.join(names)}: {how}."
