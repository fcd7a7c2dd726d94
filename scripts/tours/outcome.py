"""How a script ends: what it has started and made is gone, whatever ends it, and what went wrong is one sentence."""

import os
import pathlib
import subprocess
import sys

from ending import in_order


class Wrong(Exception):
    """Something without which it cannot go on, in a sentence."""


class Unheard(Exception):
    """Nobody takes what it prints."""


class Told:
    """Standard output, which is tried no more once nothing could be written to it."""

    def __init__(self, stream):
        self.stream, self.unheard = stream, None

    def write(self, text):
        return self.tried(self.stream.write, text)

    def flush(self):
        return self.tried(self.stream.flush)

    def tried(self, act, *words):
        if self.unheard:
            raise self.unheard
        try:
            return act(*words)
        except OSError as error:
            # What is left would be tried once more at the end, and told of by Python.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
            self.unheard = Unheard(error)
            raise self.unheard from error

    def __getattr__(self, name):
        return getattr(self.stream, name)


def say(text):
    print(text, flush=True)


def to_the_end(main, *more_wrong):
    """Ends this program by what `main` returns; nothing is as 0."""
    if sys.stdout is None:
        # What is opened next would be taken for it.
        complain("standard output is closed: what is to be said cannot be written")
        sys.exit(1)
    told = sys.stdout = Told(sys.stdout)
    try:
        try:
            with in_order(pathlib.Path(sys.argv[0]).name):
                code = main() or 0
        finally:
            # What argparse has said, too.
            told.flush()
    except Unheard as unheard:
        cause = unheard.args[0]
        if not isinstance(cause, BrokenPipeError):
            complain(f"what is to be said cannot be written: {cause.strerror}")
        code = 1
    except (Wrong, OSError, subprocess.SubprocessError, *more_wrong) as wrong:
        complain(wrong)
        code = 1
    finally:
        sys.stdout = told.stream
    sys.exit(code)


def complain(words):
    if sys.stderr is None:
        return
    try:
        print(f"error: {words}", file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
