"""How a script ends: what it has started and made is gone, whatever ends it, and what went wrong is one sentence."""

import os
import signal
import subprocess
import sys


class Wrong(Exception):
    """Something without which it cannot go on, in a sentence."""


class Unheard(Exception):
    """Nobody takes what it prints."""


def say(text):
    try:
        print(text, flush=True)
    except OSError as error:
        raise Unheard(error) from error


def stop(number, _):
    """As an error, so that all that is to be undone is undone; another one must not come between."""
    for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


def to_the_end(main, *more_wrong):
    """Ends this program by what `main` returns."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, stop)
    try:
        try:
            code = main()
        finally:
            flush()
    except Unheard as unheard:
        # What is left would be tried once more, and told of by Python.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(unheard.args[0], BrokenPipeError):
            complain(f"what is to be said cannot be written: {unheard}")
        code = 1
    except (Wrong, OSError, subprocess.SubprocessError, *more_wrong) as wrong:
        complain(wrong)
        code = 1
    sys.exit(code)


def flush():
    """What argparse has said, too."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise Unheard(error) from error


def complain(words):
    try:
        print(f"error: {words}", file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
