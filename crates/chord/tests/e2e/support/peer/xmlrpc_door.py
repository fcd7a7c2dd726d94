"""XML-RPC as chord.py speaks it: one method a command, one struct as its parameter, one struct as the answer."""

import http.client
import xmlrpc.client
from socketserver import ThreadingMixIn
from xml.parsers.expat import ExpatError
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

from messages import REQUESTS, PeerFailed, WrongMessage


class XmlRpcServer(ThreadingMixIn, SimpleXMLRPCServer):
    """Listens, and answers each connection in a thread of its own, as its door says."""

    daemon_threads = True
    request_queue_size = 128
    door = None

    def __init__(self, address):
        super().__init__(address, _Handler, logRequests=False, allow_none=True)

    def handle_error(self, request, client_address):
        """Whoever asked has gone; nothing else can go wrong outside of the handler."""
        self.door.note_lost_client(client_address)

    def _marshaled_dispatch(self, data, dispatch_method=None, path=None):
        """A peer that misbehaves may answer with a page where XML-RPC is expected."""
        response = super()._marshaled_dispatch(data, dispatch_method, path)
        page = dispatch_method.__self__.page
        return page.encode() if page else response


class _Handler(SimpleXMLRPCRequestHandler):
    rpc_paths = ("/", "/RPC2")
    timeout = 10
    page = None

    def do_POST(self):
        super().do_POST()
        self.server.door.end_if_left(self.server)

    def _dispatch(self, method, params):
        """One call; whatever is raised here becomes a fault with code 1."""
        if method not in REQUESTS or len(params) != 1:
            raise WrongMessage("there is no such command, or it was not given one struct")
        asker = "{}:{}".format(*self.client_address[:2])
        answer = self.server.door.answer(asker, method, params[0])
        self.page = answer if isinstance(answer, str) else None
        return answer


class _Transport(xmlrpc.client.Transport):
    def __init__(self, timeout):
        super().__init__()
        self._timeout = timeout

    def make_connection(self, host):
        connection = super().make_connection(host)
        connection.timeout = self._timeout
        return connection


class XmlRpcClient:
    """Carries requests to peers, each on a connection of its own."""

    def __init__(self, timeout):
        self._timeout = timeout

    def send(self, peer, command, request):
        """What the peer answers, whatever it is; PeerFailed if it does not, WrongMessage if it is not XML-RPC."""
        proxy = xmlrpc.client.ServerProxy(f"http://{peer}/RPC2", _Transport(self._timeout), allow_none=True)
        try:
            with proxy:
                return getattr(proxy, command)(request)
        except (ExpatError, xmlrpc.client.ResponseError, ValueError, TypeError) as error:
            raise WrongMessage(f"got fields that are not XML-RPC: {error!r}") from error
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise PeerFailed(f"{peer} {command}: {error!r}") from error
