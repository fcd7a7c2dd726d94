"""What both doors have in common: how a peer that is told to misbehave does so, and how the process ends."""

import sys
import threading
import time

from messages import WrongMessage

# What an operator asks for is always answered well, so that a peer which misbehaves can be brought into a ring.
WELL_ANSWERED = ("node", "create", "join", "shutdown")

# Longer than anybody waits for an answer.
SILENCE_SECONDS = 60


class Door:
    """Turns one request into one answer at a ring member; `misbehaviour` is how it does so wrongly, or None."""

    def __init__(self, member, log):
        self.member = member
        self.misbehaviour = None
        self._log = log

    def answer(self, asker, command, request):
        """The answer to one request, or what a misbehaving peer says instead: text is an HTML page."""
        try:
            answer = self.member.answer(command, request)
        except WrongMessage as wrong:
            self._log(f"STRICT VIOLATION from {asker} {command} request: {wrong}")
            raise
        if command in WELL_ANSWERED:
            return answer
        if self.misbehaviour == "silence":
            time.sleep(SILENCE_SECONDS)
        if self.misbehaviour == "html":
            return html_page("It works!", "This is not what you asked for.")
        if self.misbehaviour == "missing-field":
            return dict(list(answer.items())[1:])
        if self.misbehaviour == "wrong-type":
            return {field: 42 if not isinstance(value, int) else "many" for field, value in answer.items()}
        return answer

    def note_lost_client(self, client_address):
        """Say that an answer could not be given, and why."""
        self._log(f"could not answer {client_address}: {sys.exc_info()[1]!r}")

    def end_if_left(self, server):
        """After the answer to `shutdown` is written: end the server, from a thread that is not its own."""
        if self.member.has_left:
            threading.Thread(target=server.shutdown).start()


def html_page(title, text):
    """A page as chord.py answers with when something is wrong."""
    return f"<!doctype html>\n<html lang=en>\n<title>{title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n"
