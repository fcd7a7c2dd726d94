"""Makes XML-RPC calls with Python's own client, for tests in another language.

Reads one call a line from standard input, {"node": "HOST:PORT", "method": "get", "params": [{"key": "foo"}]}, and
writes one line for each: {"answer": ...}, {"fault": [code, sentence]} or {"failed": "..."}. Ends with its input.
"""

import json
import sys
import xmlrpc.client

TIMEOUT_S = 15


class Transport(xmlrpc.client.Transport):
    """Python's transport, with a limit on every wait."""

    def make_connection(self, host):
        connection = super().make_connection(host)
        connection.timeout = TIMEOUT_S
        return connection


def call(node, method, params):
    with xmlrpc.client.ServerProxy(f"http://{node}/RPC2", Transport(), allow_none=True) as server:
        try:
            return {"answer": getattr(server, method)(*params)}
        except xmlrpc.client.Fault as fault:
            return {"fault": [fault.faultCode, fault.faultString]}
        except (OSError, xmlrpc.client.Error, ValueError, OverflowError) as error:
            return {"failed": f"{type(error).__name__}: {error}"}


for line in sys.stdin:
    print(json.dumps(call(**json.loads(line))), flush=True)
