"""How a script ends: what it has started and made is gone, whatever ends it, and what went wrong is one sentence."""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tours"))

from ending import in_order  # noqa: E402


class Wrong(Exception):
    """Something without which it cannot go on, in a sentence."""


class Unheard(Exception):
    """Nobody takes what it prints."""


def say(text):
    try:
        print(text, flush=True)
    except OSError as error:
        raise Unheard(error) from error


def to_the_end(main, *more_wrong):
    """Ends this program by what `main` returns."""
    if sys.stdout is None:
        # What is opened next would be taken for it.
        complain("standard output is closed: what is to be said cannot be written")
        sys.exit(1)
    try:
        try:
            with in_order(pathlib.Path(sys.argv[0]).name):
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
    if sys.stderr is None:
        return
    try:
        print(f"error: {words}", file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
