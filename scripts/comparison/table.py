"""What was measured, as lines of a table, and the tables in the documents."""

import re
import statistics

HEAD = ["| what | | ours | beside | theirs | ratio, least – largest | wanted |", "|---|---|---|---|---|---|---|"]
# What stands before and after a table, so that it is found again.
ONE_RUN, RUNS, END = "<!-- scripts/compare -->", "<!-- scripts/compare --runs -->", "<!-- end -->"
# Which rows, by their names for --only, and how.
NOTE = re.compile(r"- Measured as ([a-z, ]+): (.*)\.")
MISSED = ", missed"


class Row:
    """One kind of work, with a line for each operation."""

    def __init__(self, what, beside, unit, wanted, operations):
        self.what, self.beside, self.unit, self.wanted = what, beside, unit, wanted
        self.operations, self.pairs = operations, {}
        # Whether others were at work, so that it is not to be written.
        self.is_disturbed = False

    def add(self, operation, ours, theirs):
        """What both did in one round."""
        if not (ours > 0 and theirs > 0):
            raise ValueError(f"a round of {operation} has {ours} and {theirs}, which have no ratio")
        self.pairs.setdefault(operation, []).append((ours, theirs))

    def is_whole(self, n_rounds):
        """Whether each operation was measured in all rounds."""
        return all(len(self.pairs.get(operation, [])) == n_rounds for operation in self.operations)

    def is_to_be_written(self, n_rounds):
        return self.is_whole(n_rounds) and not self.is_disturbed

    def lines(self):
        return [self.line(operation) for operation in self.pairs]

    def start(self, operation):
        """How the line of that operation begins, by which it is found in a table."""
        return f"| {self.what} | {operation} |"

    def line(self, operation):
        ours, theirs = self.rates(operation)
        wanted = f"{self.wish(operation)}{MISSED if self.is_missed(operation) else ''}"
        return f"{self.start(operation)} {ours} | {self.beside} | {theirs} | {self.spread(operation)} | {wanted} |"

    def cell(self, operation):
        """All of one run in one place."""
        ours, theirs = self.rates(operation)
        missed = MISSED if self.is_missed(operation) else ""
        return f"{self.spread(operation)}{missed}; {ours} to {theirs}"

    def rates(self, operation):
        return [self.figure(statistics.median(side)) for side in zip(*self.pairs[operation])]

    def ratios(self, operation):
        return [ours / theirs for ours, theirs in self.pairs[operation]]

    def spread(self, operation):
        ratios = self.ratios(operation)
        return f"**{figure(statistics.median(ratios))}**, {figure(min(ratios))} – {figure(max(ratios))}"

    def figure(self, value):
        return f"{value:,.0f} /s" if self.unit == "/s" else f"{value:.1f} {self.unit}"

    def limit(self, operation):
        return self.wanted[operation] if isinstance(self.wanted, dict) else self.wanted

    def wish(self, operation):
        limit = self.limit(operation)
        if limit is None:
            return ""
        return f"{'at least' if self.unit == '/s' else 'at most'} {limit}"

    def is_missed(self, operation):
        """Whether the median is below what is wanted of a rate, or above what is wanted of a time."""
        limit = self.limit(operation)
        if limit is None or operation not in self.pairs:
            return False
        median = statistics.median(self.ratios(operation))
        return median < limit if self.unit == "/s" else median > limit


def figure(ratio):
    """Two digits after the point, or none where they say nothing."""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def missed(rows):
    """What was measured and is not what is wanted, by the names of the rows."""
    return [f"{name} {operation}" for name, row in rows.items() for operation in row.operations if row.is_missed(operation)]


def block_of(text, begin):
    """Where a table stands in a document, with what is before and after it; None if it has no place."""
    return re.search(rf"{re.escape(begin)}\n.*?{re.escape(END)}", text, re.DOTALL)


def put(document, begin, renew):
    """Puts what `renew` makes of a table in its place."""
    text = document.read_text(encoding="utf-8")
    block = block_of(text, begin)
    text = text[: block.start()] + renew(block.group(0)) + text[block.end() :]
    # All of it or nothing: it is what people read.
    beside = document.with_name(f"{document.name}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(document)
    finally:
        beside.unlink(missing_ok=True)


def renewed(block, rows, n_rounds, how):
    """The table with the lines of those rows that are to be written in the place of older ones, and below it, what is missed
    and how each row was measured. The rows have names."""
    older = block.splitlines()
    is_new = {name: row.is_to_be_written(n_rounds) for name, row in rows.items()}
    lines, short = [], []
    for name, row in rows.items():
        for operation in row.operations:
            of_old = [line for line in older if line.startswith(row.start(operation))]
            of_row = [row.line(operation)] if is_new[name] else of_old
            lines += of_row
            short += [f"{name} {operation}" for line in of_row if line.endswith(f"{MISSED} |")]
    notes = [note(filter(is_new.get, rows), how)] if any(is_new.values()) else []
    for line in older:
        if of_others := NOTE.fullmatch(line):
            names = [name for name in of_others.group(1).split(", ") if not is_new.get(name)]
            notes += [note(names, of_others.group(2))] if names else []
    return "\n".join([older[0], *HEAD, *lines, "", f"- Missed: {', '.join(short) or 'nothing'}.", *notes, older[-1]])


def note(names, how):
    return f"- Measured as {', '.join(names)}: {how}."


def of_runs(runs, n_rounds):
    """Whole runs beside each other, each of which has its rows and how it was measured."""
    numbers = range(1, len(runs) + 1)
    yield f"| what | | wanted | {' | '.join(f'run {number}' for number in numbers)} |"
    yield f"|---|---|---|{'---|' * len(runs)}"
    for name, first in runs[0][0].items():
        for operation in first.operations:
            cells = []
            for rows, _ in runs:
                row = rows[name]
                cells.append(row.cell(operation) if row.is_to_be_written(n_rounds) else without(row))
            yield f"{first.start(operation)} {first.wish(operation)} | {' | '.join(cells)} |"
    yield ""
    for number, (rows, how) in zip(numbers, runs):
        written = {name: row for name, row in rows.items() if row.is_to_be_written(n_rounds)}
        yield f"- Run {number}: {how}. Missed: {', '.join(missed(written)) or 'nothing'}."


def without(row):
    """Why a row has no figures."""
    return "beside other work" if row.is_disturbed else "not measured"
