"""What schemathesis has to know of this API that OpenAPI cannot say, and what it gets wrong itself."""

import json
import re

import schemathesis

# Longer than a node on a busy machine takes.
PATIENCE_MS = 5000

# How long changes are watched that nobody makes.
WATCHING = "20ms"
LIFETIME = re.compile("[1-9][0-9]*(ms|s|m|h|d)?")


@schemathesis.serializer("application/x-ndjson")
def lines(_context, value):
    """A batch: one JSON value a line."""
    values = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(line).encode() + b"\n" for line in values)


@schemathesis.deserializer("application/x-ndjson")
def answers(_context, response):
    """The answers of a batch."""
    return [json.loads(line) for line in response.content.splitlines()]


@schemathesis.deserializer("application/octet-stream")
def value_text(_context, response):
    """A value, each byte as a character."""
    return response.content.decode("latin-1")


@schemathesis.deserializer("text/event-stream")
def events_text(_context, response):
    """The lines of events, as they are."""
    return response.content.decode()


@schemathesis.hook
def filter_case(_context, case):
    """Whether a case says something about us: an unknown header is none of a server's business."""
    return "x-schemathesis-unknown-property" not in (case.headers or {})


@schemathesis.hook
def map_case(_context, case):
    """Takes out what contradicts itself, which OpenAPI cannot say, and what is valid by mistake.

    The coverage phase of 4.32 takes 0 for a valid value of any header that has a pattern.
    Who waits three milliseconds is rightly told that they were too few. Who watches is told for ever, unless for how long
    is said.
    """
    headers, data = case.headers or {}, getattr(getattr(case.meta, "phase", None), "data", None)
    tested = getattr(data, "parameter", None)
    for name in ("If-Match", "If-None-Match"):
        if headers.get(name) == "0" and tested != name:
            headers[name] = "*"
    wait = headers.get("chord-deadline-ms", "")
    if wait.isdigit() and 0 < int(wait) < PATIENCE_MS:
        headers["chord-deadline-ms"] = str(PATIENCE_MS)
    if case.path.startswith(("/v1/watch", "/v1/ring/live")):
        query = case.query or {}
        lasts = query.get("for", WATCHING)
        # One that is no time is refused at once.
        case.query = {**query, "for": WATCHING if LIFETIME.fullmatch(str(lasts)) else lasts}
    if case.method in ("PUT", "POST") and "If-Match" in headers and "If-None-Match" in headers:
        del headers["If-Match" if tested == "If-None-Match" else "If-None-Match"]
    return case
