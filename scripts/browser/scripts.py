"""Tests of the scripts about the page and the numbers: they refuse what they cannot do, and leave nothing behind that they started."""

import contextlib
import importlib.machinery
import importlib.util
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from local_ring import ROOT, Wrong, chord
from playing import check

SCRIPTS = ROOT / "scripts"
START_SECONDS = 60
END_SECONDS = 60


def run(script, *words, **environment):
    line = [sys.executable, SCRIPTS / script, *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=START_SECONDS, env={**os.environ, "CHORD": chord(), **environment})


def refuses_what_it_cannot_do(_, __):
    with tempfile.TemporaryDirectory() as folder:
        wrong = [
            (("screenshots", folder, "--only", "rest-ligth"), "no picture has 'rest-ligth' in its name"),
            (("screenshots", folder, "--docs", "--only", "rest-light"), "no picture of the documentation has 'rest-light' in its name"),
            (("screenshots", folder, "--nodes", "-5", "--only", "many"), "--nodes takes 2 to 512, and not -5"),
            (("page-cost", "--seconds", "1"), "--seconds 1 is too short"),
            (("page-cost", "--seconds", "-1"), "--seconds -1 is too short"),
            (("page-cost", "--nodes", "0"), "--nodes 0 is no ring"),
            (("screenshots", __file__), f"{__file__} is no folder, and cannot be made one: "),
            (("screenshots", "/proc/nope"), "/proc/nope is no folder, and cannot be made one: "),
            (("page-test", "--only", "no-such-test"), "no test has 'no-such-test' in its name"),
        ]
        for line, words in wrong:
            refused(run(*line), words, line)
        for line in (("page-test",), ("screenshots", folder), ("page-cost",), ("metrics-test",), ("watch-cost",)):
            if line[0] != "metrics-test" or shutil.which("prometheus"):
                refused(run(*line, CHORD="/nonexistent"), "CHORD is /nonexistent, but there is no such program", line)
        check(not os.listdir(folder), "nothing was made")


def says_that_it_cannot_say_anything(_, __):
    with open("/dev/full", "w") as full:
        line = [sys.executable, SCRIPTS / "page-test", "--only", "of_a_browser_that_never_opened"]
        ended = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, timeout=2 * START_SECONDS, env={**os.environ, "CHORD": chord()})
    refused(ended, "error: what is to be said cannot be written: No space left on device", line)


def takes_its_arguments_as_others_do(_, __):
    for script in ("metrics-test", "watch-cost"):
        helped, wrong = run(script, "--help"), run(script, "--no-such")
        check(helped.returncode == 0 and helped.stdout.startswith(f"usage: {script}"), f"{script} --help: {helped}")
        check(wrong.returncode == 2 and "unrecognized arguments: --no-such" in wrong.stderr, f"{script} --no-such: {wrong}")


def module(script):
    """A script, without running it."""
    loader = importlib.machinery.SourceFileLoader(script.replace("-", "_"), str(SCRIPTS / script))
    loaded = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(loaded)
    return loaded


def says_that_promtool_takes_too_long_and_leaves_nothing_of_it(_, __):
    metrics = module("metrics-test")
    check(metrics.PROMTOOL_SECONDS >= 120, "on a machine that does much else it takes half a minute")
    path, before = os.environ["PATH"], tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as programs:
        slow = pathlib.Path(programs) / "promtool"
        slow.write_text('#!/bin/sh\nmkdir "${TMPDIR:-/tmp}/test_storage" && exec sleep 60\n')
        slow.chmod(0o755)
        os.environ.update(PATH=f"{programs}:{path}", TMPDIR=folder)
        tempfile.tempdir, metrics.PROMTOOL_SECONDS = folder, 2
        try:
            metrics.promtool("test", "rules", "x")
            said = "nothing"
        except Wrong as wrong:
            said = str(wrong)
        finally:
            os.environ["PATH"], tempfile.tempdir = path, before
            os.environ.pop("TMPDIR")
        check(said == "promtool test rules x: not within 2 s", f"it says {said}")
        check(not os.listdir(folder), f"it leaves {os.listdir(folder)}")


def takes_no_number_for_nothing(_, __):
    """A panel of a dashboard draws no line where Prometheus answers NaN."""
    shows = module("metrics-test").shows_something
    result = [{"value": [0, "NaN"]}, {"value": [0, "NaN"]}]
    check((shows([]), shows(result), shows([*result, {"value": [0, "0"]}])) == (False, False, True), "what is drawn")


def refused(ended, words, line):
    said = ended.stderr.strip()
    check(ended.returncode == 1 and words in said and "Traceback" not in said and "\n" not in said, f"{line}: {ended.returncode}, {said!r}")


def descendants(process):
    """All processes that this one has started, and those have."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, wanted = [], [process]
    while wanted:
        more = children.get(wanted.pop(), [])
        found += more
        wanted += more
    return found


def is_there(process):
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def leaves_nothing_behind_when_it_is_ended(_, __):
    lines = [(("watch-cost",), 3), (("page-cost", "--nodes", "3"), 1)]
    if shutil.which("prometheus"):
        lines.append((("metrics-test",), 4))
    for (script, *words), n_started in lines:
        for number in (signal.SIGTERM, signal.SIGHUP):
            ends_with_all_it_started([sys.executable, SCRIPTS / script, *words], n_started, number)


def ends_with_all_it_started(line, n_started, number):
    # Whoever runs this with nohup has SIGHUP ignored, and what it starts too.
    script = subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "CHORD": chord()}, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)
    )
    started = []
    try:
        deadline = time.monotonic() + START_SECONDS
        while len(started := descendants(script.pid)) < n_started:
            check(script.poll() is None and time.monotonic() < deadline, f"{line} started {len(started)} of {n_started}")
            time.sleep(0.05)
        script.send_signal(number)
        check(script.wait(END_SECONDS) == 128 + number, f"{line} ends with {script.returncode} on {number.name}")
        deadline = time.monotonic() + END_SECONDS
        while left := [process for process in started if is_there(process)]:
            check(time.monotonic() < deadline, f"{line} leaves {left} of {started} behind on {number.name}")
            time.sleep(0.05)
    finally:
        for process in [script.pid, *started]:
            if is_there(process):
                os.kill(process, signal.SIGKILL)
        script.wait()


TESTS = [
    refuses_what_it_cannot_do,
    takes_its_arguments_as_others_do,
    says_that_it_cannot_say_anything,
    says_that_promtool_takes_too_long_and_leaves_nothing_of_it,
    takes_no_number_for_nothing,
    leaves_nothing_behind_when_it_is_ended,
]
