"""The part of a tour that redis-py goes: `raw PROTOCOL PORT` sends the commands of standard input as they are, and
`typed PROTOCOL PORT` uses what the library has for them. Each answer is a line of JSON; bytes are Latin-1 in it."""

import json
import sys
import threading

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def plain(answer):
    """An answer as JSON has it."""
    if isinstance(answer, bytes):
        return answer.decode("latin-1")
    if isinstance(answer, dict):
        return {str(plain(key)): plain(value) for key, value in answer.items()}
    if isinstance(answer, (list, tuple)):
        return [plain(part) for part in answer]
    if isinstance(answer, set):
        return sorted(plain(part) for part in answer)
    if isinstance(answer, Exception):
        return {"error": str(answer)}
    return answer


def tell(**line):
    print(json.dumps(line), flush=True)


def raw(protocol, port):
    connection = redis.Connection(port=port, protocol=protocol, socket_timeout=20)
    for command in json.load(sys.stdin):
        connection.send_command(*[word.encode("latin-1") for word in command])
        try:
            answer = connection.read_response()
        except redis.RedisError as error:
            answer = error
        tell(answer=plain(answer))


def check(name, run, differs=None):
    try:
        answer = run()
    except redis.RedisError as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    tell(check=name, answer=plain(answer), differs=differs)


def typed(protocol, port):
    client = redis.Redis(port=port, protocol=protocol, decode_responses=True, socket_timeout=20)
    binary = redis.Redis(port=port, protocol=protocol, socket_timeout=20)
    strings(client, binary)
    expiry(client)
    all_keys(client)
    connection(client, port, protocol)
    server(client)
    pipelines(client)
    notifications(client)
    pools(port, protocol)


def strings(client, binary):
    check("set", lambda: client.set("py", "grüße"))
    check("get decoded", lambda: client.get("py"))
    check("get bytes", lambda: binary.get("py"))
    any_bytes = b"\x00\xff"
    check("set and get any bytes", lambda: [
        binary.set(any_bytes, bytes(range(256))), binary.get(any_bytes), binary.delete(any_bytes)])
    check("set nx", lambda: [client.set("py", "x", nx=True), client.set("py2", "x", nx=True)])
    check("set xx get", lambda: client.set("py", "v", xx=True, get=True))
    check("set ex, keepttl", lambda: [client.set("py", "v", ex=100), client.set("py", "w", keepttl=True), client.ttl("py") > 90])
    check("setnx, getset, getdel", lambda: [client.setnx("py", 1), client.getset("py", 2), client.getdel("py"), client.get("py")])
    check("mset, mget", lambda: [client.mset({"m1": 1, "m2": "two"}), client.mget(["m1", "none", "m2"])])
    check("append, strlen, getrange, setrange", lambda: [
        client.append("log", "hello"), client.strlen("log"), client.getrange("log", 0, 1), client.setrange("log", 1, "u")])
    check("incr, incrby, decrby", lambda: [client.incr("n"), client.incrby("n", 41), client.decrby("n", 2), client.decr("n")])
    check("incrbyfloat", lambda: client.incrbyfloat("n", 0.5))
    check("incr of a word", lambda: client.incr("log"))
    check("exists, touch, type", lambda: [client.exists("m1", "m2", "none"), client.touch("m1"), client.type("m1")])
    check("delete, unlink", lambda: [client.delete("m1", "none"), client.unlink("m2"), client.delete("log", "n")])
    check("`in` and []", lambda: [client.set("item", 1), "item" in client, client["item"], client.delete("item")])


def expiry(client):
    client.set("e", "v")
    check("ttl of a key that stays, and of none", lambda: [client.ttl("e"), client.pttl("e"), client.ttl("none")])
    check("expire with conditions", lambda: [
        client.expire("e", 100), client.expire("e", 50, nx=True), client.expire("e", 50, lt=True), client.expire("e", 9, gt=True)])
    check("expireat, expiretime", lambda: [client.expireat("e", 4102444800), client.expiretime("e"), client.pexpiretime("e")])
    check("pexpire, persist", lambda: [client.pexpire("e", 100000), client.persist("e"), client.persist("e")])
    check("getex", lambda: [client.getex("e", ex=100), client.ttl("e") > 90, client.getex("e", persist=True), client.ttl("e")])
    check("SETEX, PSETEX", lambda: [
        client.execute_command("SETEX", "e", 100, "v"), client.execute_command("PSETEX", "e", 100000, "w"), client.get("e"), client.delete("e")])


def all_keys(client):
    names = {f"scan:{number}" for number in range(500)}
    check("mset of 500", lambda: client.mset(dict.fromkeys(names, "v")))
    check("scan_iter", lambda: set(client.scan_iter(match="scan:*", count=50)) == names)
    check("scan_iter tells each once", lambda: len(list(client.scan_iter(match="scan:*"))))
    check("scan_iter of a type", lambda: list(client.scan_iter(_type="list")))
    check("keys", lambda: set(client.keys("scan:4?")) == {f"scan:{number}" for number in range(40, 50)})
    check("dbsize", lambda: client.dbsize() >= 500)
    check("randomkey", lambda: client.exists(client.randomkey()))
    check("delete of 500", lambda: client.delete(*names))


def connection(client, port, protocol):
    named = redis.Redis(port=port, protocol=protocol, client_name="tour", decode_responses=True, single_connection_client=True)
    check("ping, echo", lambda: [client.ping(), client.echo("x")])
    check("client_name", named.client_getname)
    check("client_id", lambda: named.client_id() > 0)
    check("client_setname", lambda: [named.client_setname("other"), named.client_getname()])
    check("client_info", lambda: {name: named.client_info()[name] for name in ("name", "db", "user", "flags", "resp")
                                  if name in named.client_info()})
    check("client_list has its own", lambda: [c["name"] for c in named.client_list() if c["id"] == str(named.client_id())])
    check("client_no_evict", lambda: named.client_no_evict("ON"))
    check("select", lambda: [named.select(0)])
    check("db=1", lambda: redis.Redis(port=port, protocol=protocol, db=1).ping(), "one-database")
    check("password", lambda: redis.Redis(port=port, protocol=protocol, username="default", password="x").ping())
    check("another user", lambda: redis.Redis(port=port, protocol=protocol, username="nobody", password="x", retry=Retry(NoBackoff(), 0)).ping())
    check("reset", named.reset)
    check("quit", named.quit)
    named.close()
    bare = redis.Connection(port=port, protocol=protocol, socket_timeout=20)

    def replies():
        for line in (("CLIENT", "REPLY", "SKIP"), ("ECHO", "a"), ("ECHO", "b"), ("CLIENT", "REPLY", "OFF"), ("ECHO", "c"),
                     ("CLIENT", "REPLY", "ON"), ("ECHO", "d")):
            bare.send_command(*line)
        return [bare.read_response() for _ in range(3)]

    check("client reply skip, off, on", replies)
    bare.disconnect()


def server(client):
    check("info", lambda: {name: client.info()[name] for name in ("redis_mode", "role", "loading", "cluster_enabled", "connected_slaves")})
    check("info of a section", lambda: client.info("replication")["role"])
    check("info has a version", lambda: client.info("server")["redis_version"].count("."))
    check("config_get", lambda: client.config_get("maxmemory-policy"))
    check("time", lambda: len(client.time()))
    check("command_count", lambda: client.command_count() > 0)
    check("command_list", lambda: "get" in client.command_list())
    for name in ("get", "set", "mget", "mset", "del", "incr", "expire", "scan", "ping", "keys", "getex", "append", "ttl"):
        check(f"command info {name}", lambda: client.execute_command("COMMAND", "INFO", name)[name] and {
            part: client.execute_command("COMMAND", "INFO", name)[name][part]
            for part in ("name", "arity", "first_key_pos", "last_key_pos", "step_count")})
    check("a list", lambda: client.lpush("list", 1), "strings-only")
    check("a hash", lambda: client.hset("hash", "field", "value"), "strings-only")
    check("a script", lambda: client.eval("return 1", 0), "strings-only")
    client.delete("list", "hash")
    check("flushdb", client.flushdb, "no-flush")


def pipelines(client):
    def together(transaction):
        with client.pipeline(transaction=transaction) as pipe:
            pipe.set("p", 1).incr("p").get("p").expire("p", 100).delete("p")
            return pipe.execute()

    def long():
        with client.pipeline(transaction=False) as pipe:
            for number in range(2000):
                pipe.set(f"p{number % 7}", number).get(f"p{number % 7}")
            return [answer for answer in pipe.execute() if answer is not True] == [str(number) for number in range(2000)]

    def with_error():
        with client.pipeline(transaction=False) as pipe:
            return pipe.set("p", "word").incr("p").get("p").execute(raise_on_error=False)

    check("pipeline", lambda: together(False))
    check("pipeline of 4000", long)
    check("pipeline with an error in it", with_error)
    client.set("p", "untouched")
    check("pipeline as a transaction", lambda: together(True), "no-transactions")
    check("after it", lambda: [client.get("p"), client.ping()], "no-transactions")
    client.delete("p", *[f"p{number}" for number in range(7)])


def notifications(client):
    if "psubscribe" not in client.command_list():
        tell(check="keyspace notifications", skipped="there is no PSUBSCRIBE yet")
        return

    def told():
        with client.pubsub() as pubsub:
            pubsub.psubscribe("__keyspace@0__:watched*")
            # Nothing is missed once it is confirmed; a ring needs a moment for that.
            heard = [pubsub.get_message(timeout=5)]
            client.set("watched", 1)
            client.delete("watched")
            heard += [pubsub.get_message(timeout=5) for _ in range(2)]
            return [[message["type"], message["channel"], message["data"]] for message in heard if message]

    check("keyspace notifications", told)


def pools(port, protocol):
    pool = redis.BlockingConnectionPool(port=port, protocol=protocol, max_connections=4, timeout=20, decode_responses=True)
    shared = redis.Redis(connection_pool=pool)

    def count():
        for _ in range(50):
            shared.incr("pool")

    def threads():
        started = [threading.Thread(target=count) for _ in range(8)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        return shared.getdel("pool")

    check("a pool of 4 for 8 threads", threads)

    def closed():
        one = redis.Redis(port=port, protocol=protocol, single_connection_client=True, decode_responses=True)
        one.connection._sock.close()
        return one.ping()

    check("a connection that broke", closed)
    pool.disconnect()


if __name__ == "__main__":
    {"raw": raw, "typed": typed}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
