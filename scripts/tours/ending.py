"""Ends a script in good order when it is told to, by Ctrl-C or by a signal: whatever it started ends with it."""

import contextlib
import os
import signal
import subprocess

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# After which a process that was killed is left to itself: the system does not let go of it.
KILL_SECONDS = 30

_started = []
_n_holds = 0
_came = None


@contextlib.contextmanager
def held():
    """A signal that comes meanwhile counts when this is over."""
    global _n_holds, _came
    _n_holds += 1
    try:
        yield
    finally:
        _n_holds -= 1
        if not _n_holds and _came:
            number, _came = _came, None
            raise SystemExit(128 + number)


def start(line, **how):
    """A process that is killed when the script ends, if it still runs."""
    with held():
        process = subprocess.Popen(line, **how)
        _started.append(process)
    return process


@contextlib.contextmanager
def in_order(name):
    """Within this a signal ends the script by SystemExit, with one line, so that each block on the way can clean up."""

    def come(number, _):
        global _came
        # Once is enough: another would end what cleans up.
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        called = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        with contextlib.suppress(OSError):
            os.write(2, f"{name}: ended by {called}\n".encode())
        if not _n_holds:
            raise SystemExit(128 + number)
        _came = number

    for each in SIGNALS:
        # Under nohup, and in the background, some are not to be heard.
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, come)
    try:
        yield
    finally:
        with held():
            kill_all()


def kill_all():
    for process in _started:
        if process.poll() is None:
            process.kill()
    for process in _started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_SECONDS)
