"""A site whose cache and sessions are in a ring, and what it sees of it while a node is killed and comes back."""

import importlib.metadata
import signal
import sys
import threading
import time

import django
import redis
from django.conf import settings
from django.core.management import call_command
from django.http import HttpResponse
from django.urls import path

from local_ring import Ring, Wrong

USERS = 20
COUNTERS = 10
# Until others have taken over what a killed node owned, and clients have found another.
AGAIN_SECONDS = 10


def configure(ports):
    """Two nodes of the ring: once as Django comes, and once so that a node may go."""
    locations = [f"redis://127.0.0.1:{port}" for port in ports[:2]]
    nodes = [("127.0.0.1", port) for port in ports[:2]]
    from ring_cache import AnyNode

    settings.configure(
        SECRET_KEY="of nobody", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        CACHES={
            "plain": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": locations, "KEY_PREFIX": "plain"},
            "default": {
                "BACKEND": "ring_cache.RingCache", "LOCATION": locations, "KEY_PREFIX": "ring",
                "OPTIONS": {"connection_class": AnyNode, "nodes": nodes, "socket_timeout": 5},
            },
        },
    )
    django.setup()


def visit(request):
    """A page that knows who asks, and how often."""
    if not request.user.is_authenticated:
        return HttpResponse("nobody", status=403)
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(f"{request.user.username} {request.session['visits']}")


urlpatterns = [path("", visit)]


class Checks:
    def __init__(self, is_verbose):
        self.is_verbose, self.n_checks, self.n_wrong = is_verbose, 0, 0

    def same(self, name, answer, wanted):
        self.n_checks += 1
        if answer != wanted:
            self.n_wrong += 1
            print(f"WRONG  {name}: {answer!r}, not {wanted!r}", flush=True)
        elif self.is_verbose:
            print(f"ok     {name}", flush=True)

    def refused(self, name, run, kind, words):
        try:
            self.same(name, run(), f"an error that says {words!r}")
        except kind as error:
            self.same(name, words in str(error), True)


def operations(checks, name, cache):
    """All that Django's cache can do."""
    def check(what, answer, wanted):
        checks.same(f"{name}: {what}", answer, wanted)

    cache.set("a", {"any": ["object", 1]})
    check("set, get", [cache.get("a"), cache.get("none"), cache.get("none", 7)], [{"any": ["object", 1]}, None, 7])
    check("add", [cache.add("a", 1), cache.add("b", 1), cache.get("b")], [False, True, 1])
    check("add that is over", [cache.add("gone", 1, timeout=0), cache.get("gone")], [True, None])
    check("get_many", cache.get_many(["a", "b", "none"]), {"a": {"any": ["object", 1]}, "b": 1})
    check("incr, decr", [cache.incr("b"), cache.incr("b", 40), cache.decr("b", 2)], [2, 42, 40])
    checks.refused(f"{name}: incr of nothing", lambda: cache.incr("none"), ValueError, "not found")
    check("has_key, in", [cache.has_key("a"), "none" in cache], [True, False])
    check("touch", [cache.touch("a", 100), cache.touch("none"), cache.touch("a", None)], [True, False, True])
    cache.set("short", 1, timeout=1)
    check("a timeout", cache.get("short"), 1)
    until = time.monotonic() + 5
    while cache.get("short") is not None and time.monotonic() < until:
        time.sleep(0.05)
    check("a timeout that has passed", cache.get("short"), None)
    cache.set("versioned", "one", version=1)
    check("versions", [cache.incr_version("versioned"), cache.get("versioned"), cache.get("versioned", version=2)], [2, None, "one"])
    check("get_or_set", [cache.get_or_set("made", lambda: "new"), cache.get_or_set("made", "other")], ["new", "new"])
    check("bytes and text of any kind", [cache.set("éü", b"\x00\xff"), cache.get("éü")], [None, b"\x00\xff"])
    check("a value of 500 kB", [cache.set("large", "x" * 500_000), len(cache.get("large"))], [None, 500_000])
    check("delete", [cache.delete("a"), cache.delete("a")], [True, False])
    check("delete_many", [cache.delete_many(["b", "made", "large"]), cache.get_many(["b", "made", "large"])], [None, {}])
    checks.refused(f"{name}: clear", cache.clear, redis.exceptions.NoPermissionError, "no permissions to run the 'flushdb' command")


def many(checks, plain, cache):
    """What differs between Django's own client and that of ring_cache.py."""
    data = {f"many:{number}": number for number in range(100)}
    checks.refused("plain: set_many", lambda: plain.set_many(data), redis.ResponseError, "a ring has no transactions")
    checks.same("plain: set_many has set nothing", plain.get_many(data), {})
    checks.same("ring: set_many", [cache.set_many(data, timeout=300), cache.get_many(data) == data], [[], True])
    checks.same("ring: set_many that is over", [cache.set_many({"over": 1}, timeout=0), cache.get("over")], [[], None])


def until_it_works(run):
    """Tries again while there is an error; the answer, how often it was tried and how long it took."""
    began, n_errors = time.monotonic(), 0
    while True:
        try:
            return run(), n_errors, time.monotonic() - began
        except redis.RedisError:
            n_errors += 1
            if time.monotonic() - began > AGAIN_SECONDS:
                raise
            time.sleep(0.1)


class Counting(threading.Thread):
    """Counts while all this happens, and knows between which numbers the counter is to be."""

    def __init__(self, cache, key):
        super().__init__(daemon=True)
        self.cache, self.key, self.counted, self.unsure, self.is_over = cache, key, 0, 0, threading.Event()

    def run(self):
        while not self.is_over.is_set():
            try:
                self.cache.incr(self.key)
                self.counted += 1
            except (redis.RedisError, ValueError):
                self.unsure += 1
            time.sleep(0.005)


def logged_in():
    from django.contrib.auth.models import User
    from django.test import Client

    clients = {}
    for number in range(USERS):
        user = User.objects.create_user(f"user{number}")
        clients[user.username] = Client()
        clients[user.username].force_login(user)
    return clients


def page(client):
    answer = client.get("/")
    return f"{answer.status_code} {answer.content.decode()}"


def site(checks, ring, plain, cache):
    """Users are logged in while a node that they use is killed."""
    clients = logged_in()
    for name, client in clients.items():
        checks.same(f"{name} is logged in", page(client), f"200 {name} 1")
    cache.set_many({f"count:{number}": 0 for number in range(COUNTERS)}, timeout=None)
    counting = [Counting(cache, f"count:{number}") for number in range(COUNTERS)]
    for thread in counting:
        thread.start()
    plain.set("before", "v")
    ring.nodes[0].kill()
    began, longest, n_errors = time.monotonic(), 0.0, 0
    for name, client in clients.items():
        # The session may have been saved by an attempt that failed otherwise.
        told, errors, took = until_it_works(lambda client=client: page(client))
        checks.same(f"{name} is still logged in", told.rsplit(" ", 1)[0], f"200 {name}")
        visits = int(told.rsplit(" ", 1)[1]) if told.startswith("200") else 0
        checks.same(f"no visit of {name} is lost", visits >= 2, True)
        longest, n_errors = max(longest, took), n_errors + errors
    took = time.monotonic() - began
    checks.same(f"everything goes on within {AGAIN_SECONDS} s", longest <= AGAIN_SECONDS, True)
    for thread in counting:
        thread.is_over.set()
    for thread in counting:
        thread.join(30)
    for thread in counting:
        counted = until_it_works(lambda thread=thread: cache.get(thread.key))[0]
        is_right = thread.counted <= counted
        checks.same(f"{thread.key} has what was counted, {thread.counted} of {counted}", is_right, True)
    total = sum(thread.counted for thread in counting)
    print(f"a node was killed: {USERS} sessions went on after {took:.1f} s with {n_errors} errors, the slowest after {longest:.1f} s;"
          f" {total} counted, {sum(thread.unsure for thread in counting)} errors", flush=True)


def two_locations(checks, ring, plain):
    """What Django does with several locations: it writes to the first and reads from the others."""
    checks.same("plain: reads go on without the first location", until_it_works(lambda: plain.get("before"))[0], "v")
    checks.refused("plain: writes do not", lambda: plain.set("after", "v"), redis.ConnectionError, "")
    ring.start_again(0)
    until_it_works(lambda: plain.set("after", "v"))
    checks.same("plain: they do when it is back", until_it_works(lambda: plain.get("after"))[0], "v")


def cleared(checks, ring, cache):
    """A node that was told so deletes everything."""
    client = redis.Redis(port=ring.join("--allow-flush"))
    checks.same("there is something to clear", client.dbsize() > 0, True)
    checks.same("a node with --allow-flush clears", [client.flushdb(), client.dbsize(), cache.get("after")], [True, 0, None])


def tour(checks):
    ring = Ring(3)
    try:
        configure(ring.ports)
        call_command("migrate", verbosity=0)
        from django.core.cache import caches

        plain, cache = caches["plain"], caches["default"]
        versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("Django", "redis"))
        print(f"a ring on {', '.join(map(str, ring.ports))}; {versions}", flush=True)
        operations(checks, "plain", plain)
        operations(checks, "ring", cache)
        many(checks, plain, cache)
        site(checks, ring, plain, cache)
        two_locations(checks, ring, plain)
        cleared(checks, ring, plain)
    finally:
        ring.end()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    checks = Checks("--verbose" in sys.argv)
    began = time.monotonic()
    try:
        tour(checks)
    except Wrong as wrong:
        print(f"django-tour: {wrong}", file=sys.stderr)
        return 1
    print(f"{checks.n_checks} checks, {checks.n_wrong} wrong, {time.monotonic() - began:.0f} s")
    return 1 if checks.n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
