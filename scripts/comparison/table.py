"""What was measured, as lines of a table, and the table in the documents."""

import re
import statistics

HEAD = ["| what | | ours | beside | theirs | ratio, least – largest | wanted |", "|---|---|---|---|---|---|---|"]
BLOCK = re.compile(r"(<!-- scripts/compare -->\n).*?(<!-- end -->)", re.DOTALL)


class Row:
    """One kind of work, with a line for each operation."""

    def __init__(self, what, beside, unit, wanted):
        self.what, self.beside, self.unit, self.wanted = what, beside, unit, wanted
        self.pairs = {}

    def add(self, operation, ours, theirs):
        """What both did in one round."""
        self.pairs.setdefault(operation, []).append((ours, theirs))

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


def write(document, rows, how):
    """Puts the lines of those rows that were measured in the place of older ones."""
    text = document.read_text(encoding="utf-8")
    block = BLOCK.search(text)
    if not block:
        raise SystemExit(f"{document} has no place for the table")
    older = block.group(0).splitlines()
    lines = []
    for row in rows:
        if row.pairs:
            lines += row.lines()
        else:
            lines += [line for line in older if line.startswith(f"| {row.what} |")]
    new = "\n".join([*HEAD, *lines, "", f"The newest of these lines: {how}."])
    document.write_text(BLOCK.sub(lambda found: f"{found.group(1)}{new}\n{found.group(2)}", text), encoding="utf-8")
