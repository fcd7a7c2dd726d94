"""The commands of chord.py: which fields each request and each answer has. Exactly these, as chord.py has it."""


class WrongMessage(Exception):
    """A request or an answer that is not what its command asks for."""


class RequestFailed(Exception):
    """A request that was understood and cannot be carried out."""


class PeerFailed(Exception):
    """A peer that did not answer, refused, or answered wrongly: failed for this one request."""


def _is_text(value):
    return isinstance(value, str)


def _is_text_or_none(value):
    return value is None or _is_text(value)


def _is_flag(value):
    return isinstance(value, bool)


def _is_integer(value):
    return isinstance(value, int) and not _is_flag(value)


def _is_count(value):
    return _is_integer(value) and value >= 0


def _is_key_or_position(value):
    return _is_text(value) or _is_integer(value)


def is_node_name(value):
    """Whether this is HOST:PORT."""
    if not _is_text(value):
        return False
    host, _, port = value.rpartition(":")
    return host != "" and port.isascii() and port.isdigit() and 0 < int(port) < 65536


def _is_node_name_or_none(value):
    return value is None or is_node_name(value)


def _is_list_of_node_names(value):
    return isinstance(value, list) and all(map(is_node_name, value))


REQUESTS = {
    "node": {},
    "create": {},
    "join": {"remote_node": is_node_name},
    "find_successor": {"key": _is_key_or_position},
    "notify": {"remote_node": _is_node_name_or_none},
    "get_predecessor": {},
    "get_successor_list": {},
    "get": {"key": _is_text},
    "put": {"key": _is_text, "value": _is_text, "no_redirect": _is_flag},
    "shutdown": {},
}

ANSWERS = {
    "node": {"node": is_node_name, "is_alive": _is_flag},
    "create": {},
    "join": {},
    "find_successor": {"node": is_node_name, "hops": _is_count},
    "notify": {},
    "get_predecessor": {"node": _is_node_name_or_none},
    "get_successor_list": {"successor_list": _is_list_of_node_names},
    "get": {"storage_node": is_node_name, "hops": _is_count, "value": _is_text_or_none, "found": _is_flag},
    "put": {"storage_node": is_node_name, "hops": _is_count},
    "shutdown": {},
}


def check(message, fields):
    """Raise WrongMessage unless the message has exactly these fields, each with a value that fits."""
    if not isinstance(message, dict):
        raise WrongMessage(f"got a {type(message).__name__} instead of fields {sorted(fields)}")
    got = sorted(message)
    if got != sorted(fields):
        raise WrongMessage(f"got fields {got} instead of {sorted(fields)}")
    for field, fits in fields.items():
        if not fits(message[field]):
            raise WrongMessage(f"got fields {got}, and {field} is {message[field]!r}")
