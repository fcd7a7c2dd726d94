"""The machine on which it is measured: what it is, and how busy others keep it."""

import os
import pathlib
import platform
import re
import subprocess
import time

# Processes that wanted a core in the minute before, or cores that were busy in the second before a row, above which others
# were at work.
QUIET_LOAD = 0.5
SAMPLE_SECONDS = 1


def load():
    """How many processes wanted a core in the last minute; only at the beginning are these all other people's."""
    return os.getloadavg()[0]


def busy_cores():
    """How many cores were busy in a second in which this does nothing."""

    def ticks():
        line = pathlib.Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0]
        user, nice, system, idle, waiting, *others = map(int, line.split()[1:9])
        busy = user + nice + system + sum(others)
        return busy, busy + idle + waiting

    busy_before, all_before = ticks()
    time.sleep(SAMPLE_SECONDS)
    busy, whole = ticks()
    return (busy - busy_before) / max(1, whole - all_before) * os.cpu_count()


def now():
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime())


def make():
    """What it is made of, and whom the program is compared with on it."""
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    cpu = re.search(r"model name\s*: (.*)", text)
    cores = len(re.findall(r"^processor", text, re.MULTILINE))
    programs = []
    for name in ("redis-server", "etcd", "dhtnode"):
        try:
            told = subprocess.run([name, "--version"], capture_output=True, text=True, check=False)
        except OSError:
            continue
        version = re.search(r"\d+\.\d+(\.\d+)?", told.stdout + told.stderr)
        programs.append(f"{name} {version.group(0)}" if version else name)
    make = cpu.group(1) if cpu else "an unknown make"
    return f"{cores} cores of {make}, {platform.system()} {platform.release()}; {', '.join(programs)}"
