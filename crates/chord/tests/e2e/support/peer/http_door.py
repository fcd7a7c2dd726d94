"""JSON over HTTP as chord.py speaks it: answers are called text/html, and each connection is closed after one."""

import http.client
import json
import threading
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from doors import html_page
from messages import REQUESTS, PeerFailed, WrongMessage

BODY_BYTES_MAX = 4 * 1024 * 1024
IDLE_CONNECTIONS_MAX = 4


class HttpServer(ThreadingHTTPServer):
    """Listens, and answers each connection in a thread of its own, as its door says."""

    request_queue_size = 128
    door = None

    def __init__(self, address):
        super().__init__(address, _Handler)

    def handle_error(self, request, client_address):
        """Whoever asked has gone; nothing else can go wrong outside of the handler."""
        self.door.note_lost_client(client_address)


class _Handler(BaseHTTPRequestHandler):
    timeout = 10

    def do_POST(self):
        command = self.path.removeprefix("/")
        if command not in REQUESTS:
            self._reply(404, html_page("404 Not Found", "There is no such command."))
            return
        try:
            asker = "{}:{}".format(*self.client_address[:2])
            answer = self.server.door.answer(asker, command, self._read_request())
            self._reply(200, answer if isinstance(answer, str) else json.dumps(answer))
        except Exception as error:  # noqa: BLE001 - chord.py answers whatever goes wrong with a page and 500
            self._reply(500, html_page("500 Internal Server Error", escape(str(error))))
        self.server.door.end_if_left(self.server)

    def _read_request(self):
        """The object that was sent, or the text that is none."""
        length = int(self.headers.get("Content-Length", 0))
        if not 0 <= length <= BODY_BYTES_MAX:
            raise WrongMessage("the body is too large")
        body = self.rfile.read(length)
        try:
            return json.loads(body)
        except ValueError:
            return body.decode(errors="replace")

    def _reply(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Requests are not logged: what they change is."""


class HttpClient:
    """Carries requests to peers. Like chord.py's, it keeps the connections of those that let it."""

    def __init__(self, timeout):
        self._timeout = timeout
        self._lock = threading.Lock()
        self._idle = {}

    def send(self, peer, command, request):
        """What the peer answers, whatever it is; PeerFailed if it does not, WrongMessage if it is not JSON."""
        connection = self._take_idle(peer)
        if connection is not None:
            try:
                return self._exchange(connection, peer, command, request)
            except ConnectionError:
                pass  # The peer may close a connection that nobody used for a while.
            except (OSError, http.client.HTTPException) as error:
                raise PeerFailed(f"{peer} {command}: {error!r}") from error
        host, _, port = peer.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=self._timeout)
        try:
            return self._exchange(connection, peer, command, request)
        except (OSError, http.client.HTTPException) as error:
            raise PeerFailed(f"{peer} {command}: {error!r}") from error

    def _exchange(self, connection, peer, command, request):
        keep = False
        try:
            connection.request("POST", f"/{command}", json.dumps(request), {"Content-Type": "application/json"})
            response = connection.getresponse()
            body = response.read(BODY_BYTES_MAX)
            keep = not response.will_close and response.isclosed()
        finally:
            if keep:
                self._give_back(peer, connection)
            else:
                connection.close()
        if response.status != 200:
            raise PeerFailed(f"{peer} {command}: {response.status} {body[:200]!r}")
        try:
            return json.loads(body)
        except ValueError as error:
            raise WrongMessage(f"got fields that are not JSON: {body[:200]!r}") from error

    def _take_idle(self, peer):
        with self._lock:
            idle = self._idle.get(peer)
            return idle.pop() if idle else None

    def _give_back(self, peer, connection):
        with self._lock:
            idle = self._idle.setdefault(peer, [])
            if len(idle) < IDLE_CONNECTIONS_MAX:
                idle.append(connection)
                return
        connection.close()
