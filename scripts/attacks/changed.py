"""Whether an attack has changed something, and whether the machine was fit to tell."""

import os
import pathlib

from .rings import Failed, Wrong, until

# Where programs that have nothing to do with this take as much of the time of all cores, the machine is too busy to judge by.
OTHERS_MOST = 0.25
TICKS = os.sysconf("SC_CLK_TCK")
# What nodes change by themselves where one of them did not get a core for a while: they count that they lost a neighbour, and
# that it was one again.
OF_NEIGHBOURS = {"successor_changes_total", "predecessor_changes_total", "neighbours_dropped_total"}
# Which they are at the moment; until the ring is whole again, some of them are not there.
NEIGHBOURS = {"predecessor", "successors"}


class Changed(Failed):
    """One that has left its mark."""


class CutOff(Failed):
    """Requests of others that failed."""


class StoodStill(Exception):
    """Something went wrong that may be the doing of a machine that gave nodes no core. Says what cannot be judged."""


def ticks_of_all():
    """What all cores did for any program, and all the time that they had."""
    told = list(map(int, pathlib.Path("/proc/stat").read_text().split()[1:9]))
    return sum(told) - told[3] - told[4], sum(told)


def ticks_of_own(ring):
    """What was done for this program, those that it has waited for, and the nodes."""
    spent = sum(os.times()[:4]) * TICKS
    for process in ring.processes:
        try:
            spent += sum(map(int, pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        except OSError:
            pass  # It has ended, which others notice.
    return spent


class Watch:
    """What else happens on the machine from now on."""

    def __init__(self, ring):
        self.ring, self.n_told = ring, len(ring.log())
        self.all, self.own = ticks_of_all(), ticks_of_own(ring)

    def stood_still(self):
        """By what it can be seen that the nodes did not get the cores that they need; nothing if they did."""
        if any(line[0] == "was-stopped" for line in self.ring.log()[self.n_told:]):
            return "a node says was-stopped"
        busy, total = ticks_of_all()
        others = (busy - self.all[0] - (ticks_of_own(self.ring) - self.own)) / max(1, total - self.all[1])
        return f"strangers take {100 * others:.0f} % of the cores" if others > OTHERS_MOST else None


def difference(before, after):
    if isinstance(before, list):
        return f"{sorted(set(before) ^ set(after))}"
    return ", ".join(f"{name} {before[name]} → {after[name]}" for name in before if before[name] != after[name])


def differences(before, after):
    return "; ".join(f"{name}: {difference(before[name], after[name])}" for name in before if before[name] != after[name])


def names_of(before, after):
    """What differs, of any node."""
    return {name for node in before if node != "records" for name in before[node] if before[node][name] != after[node][name]}


def must_be_unchanged(ring, before, watch):
    """Fails if something has changed; where these are only what nodes do that were not given a core, and they were not, it cannot
    be said."""
    after = ring.state()
    if after == before:
        return
    if after["records"] != before["records"] or names_of(before, after) - OF_NEIGHBOURS - NEIGHBOURS or not watch.stood_still():
        raise Changed(differences(before, after))
    try:
        until("the ring is whole", ring.is_whole)
        after = ring.state()
    except Wrong as error:
        raise Changed(str(error)) from None
    # Whole, and with the same neighbours as before: a stranger would still be there.
    if after["records"] != before["records"] or names_of(before, after) - OF_NEIGHBOURS:
        raise Changed(differences(before, after))
    raise StoodStill(f"not judged whether it changed anything, the machine stood still ({watch.stood_still()}): {differences(before, after)}")
