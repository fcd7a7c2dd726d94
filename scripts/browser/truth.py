"""Tests of whether the page tells the truth: its numbers are held to what the test has put and counted by itself, and the lines
of those who do not agree to what each node says when the test asks it."""

import hashlib
import json
import re
import subprocess
import time
import urllib.request

import playing
from feeding import fed
from local_ring import Server, chord
from playing import IS_WHOLE, STEP_SECONDS, check, order

RING_BITS = 160
N_RECORDS = 200
N_BY_COMMAND_LINE = 8
SLOWNESS = 8  # so that neighbours do not agree for some seconds
TORN = "return [...document.querySelectorAll('#ring .belief.torn')].map((one) => one.querySelector('title').textContent.split(',')[0])"
RECORDS = "return [...document.querySelectorAll('#table tbody tr')].map((row) => [row.dataset.node, row.querySelector('[data-column=records]').textContent])"
TOTAL = "return document.querySelector(`[data-total='${arguments[0]}']`).textContent"


def ask(name, path):
    with urllib.request.urlopen(f"http://{name}{path}", timeout=30) as answer:
        return json.load(answer)


def ring_of_its_own(*switches):
    """A ring of `chord dev`, and the names of its nodes."""
    line = [chord(), "dev", "--port", "0", "--json", *map(str, switches)]
    server = Server(line, lambda server: server.printed.rstrip().endswith("}"), seconds=120)
    return server, [node["node"] for node in json.loads(server.printed[server.printed.index("{"):])["nodes"]]


def open_page(browser, name):
    browser.open("about:blank")
    browser.open(f"http://{name}/")
    browser.wait("the ring is whole", IS_WHOLE, seconds=STEP_SECONDS)


def until(what, condition, seconds=STEP_SECONDS):
    """Waits until nothing is wrong by the condition's word."""
    deadline = time.monotonic() + seconds
    while wrong := condition():
        check(time.monotonic() < deadline, f"not within {seconds} s: {what}: {wrong}")
        time.sleep(0.1)


def position(text):
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") % 2**RING_BITS


def owner_of(key, names):
    """The first node at or after the key."""
    in_order = sorted(names, key=position)
    return next((name for name in in_order if position(name) >= position(key)), in_order[0])


def counted(keys, names):
    """How many of the keys each node owns."""
    owners = [owner_of(key, names) for key in keys]
    return {name: owners.count(name) for name in names}


def differs(browser, keys, names):
    """In what the page's records are not those; nothing if they are."""
    records = counted(keys, names)
    found = {name: int(told.replace(",", "")) for name, told in browser.run(RECORDS) if told != "–"}
    totals = [browser.run(TOTAL, name) for name in ("nodes", "records", "under-replicated")]
    expected = [str(len(names)), str(len(keys)), "0"]
    return None if (found, totals) == (records, expected) else f"the page says {found} and {totals}, and {records} and {expected} is counted"


def has_the_numbers_that_are_counted(browser, _):
    dev, names = ring_of_its_own("--nodes", 6)
    keys = [f"truth-{idx}" for idx in range(N_RECORDS)]
    try:
        open_page(browser, names[0])
        check(differs(browser, [], names) is None, f"at first: {differs(browser, [], names)}")
        for idx, key in enumerate(keys):
            urllib.request.urlopen(urllib.request.Request(f"http://{names[idx % 6]}/v1/kv/{key}", b"value", method="PUT"), timeout=30).close()
        for key in keys[:N_BY_COMMAND_LINE]:
            told = subprocess.run([chord(), "trace", key, "--json", "--node", names[1]], capture_output=True, timeout=60, check=True).stdout
            owner = json.loads(told)["owner"]["node"]
            check(owner == owner_of(key, names), f"{owner} owns {key}, and by its hash it is {owner_of(key, names)}")
        until("each node has the records that are its own", lambda: differs(browser, keys, names))
        victim = max(names[1:], key=lambda name: counted(keys, names)[name])
        check(counted(keys, names)[victim] > 0, "who is killed had records")
        status, said = order(names[0], "kill", {"node": victim})
        check(status == 200, f"{victim} is not killed: {said}")
        left = [name for name in names if name != victim]
        until("the others have them all", lambda: differs(browser, keys, left))

        def lacking():
            copies = {key: [copy["has"] for copy in ask(names[0], f"/v1/copies/{key}")["copies"]] for key in keys}
            return {key: has for key, has in copies.items() if has != ["value"] * 3}

        until("where the page says that no copy is missing, none is", lambda: lacking() or differs(browser, keys, left))
        holds_acknowledged_writes(browser, left)
    finally:
        browser.open("about:blank")
        dev.end()


def sets_by_frames(names):
    """Writes that the nodes have counted at the door by which the load comes, and not the load itself."""
    total = 0
    for name in names:
        with urllib.request.urlopen(f"http://{name}/metrics", timeout=30) as answer:
            told = answer.read().decode()
        total += sum(int(number) for number in re.findall(r'(?m)^chord_operations_total\{door="binary",operation="set",result="ok"\} (\d+)', told))
    return total


def holds_acknowledged_writes(browser, names):
    before = sets_by_frames(names)
    order(names[0], "load", {"rate": 50})
    browser.wait("there are writes", f"{playing.COUNT} > 100", "acknowledged", seconds=STEP_SECONDS)
    order(names[0], "load", {"rate": 0})

    def wrong():
        shown, done = browser.run(playing.COUNT, "acknowledged"), sets_by_frames(names) - before
        return None if shown == done else f"the page says {shown} acknowledged writes, and the nodes' doors have counted {done}"

    until("each write that is acknowledged was done at a door", wrong)


def draws_the_belief_that_is_not_shared(browser, names):
    """One that is fed to the page, and what it looks like."""
    undo = fed(browser, names[0])
    try:
        browser.run("window.isFed = true")
        feed = "window.feed('changes', { found: { states: {}, torn: arguments[0], claims: [], rings: [] } })"
        browser.run(feed, [])
        browser.wait("all agree", "return document.querySelectorAll('#ring .belief').length > 0 && document.querySelectorAll('#ring .belief.torn').length === 0")
        for side in ("successor", "predecessor"):
            browser.run(feed, [{"of": names[1], "side": side}])
            browser.wait(f"the {side} of one is torn", f"{TORN}.length === 1")
            [told] = browser.run(TORN)
            check(re.fullmatch(f"{re.escape(names[1])} takes \\S+ for its {side}", told), f"which one: {told!r}")
            look = """
                const [torn, calm] = ['.torn', ':not(.torn)'].map((which) => getComputedStyle(document.querySelector(`#ring .belief.${arguments[0]}${which}`)));
                return [torn.strokeDasharray, calm.strokeDasharray, torn.stroke !== calm.stroke, parseFloat(torn.strokeWidth) > parseFloat(calm.strokeWidth)];
            """
            dashes, calm, is_coloured, is_thick = browser.run(look, side)
            check(dashes not in ("none", calm) and is_coloured and is_thick, f"it is dashed otherwise, in another colour and thicker: {browser.run(look, side)}")
            browser.run("location.hash = `node=${encodeURIComponent(arguments[0])}`", names[1])
            browser.wait("the panel says so", "return document.querySelector('#node').innerText.includes('(does not agree)')")
            browser.run(feed, [])
            browser.wait("then all agree again", "return document.querySelectorAll('#ring .belief.torn').length === 0 && !document.querySelector('#node').innerText.includes('(does not agree)')")
    finally:
        browser.open("about:blank")
        undo()


def quarrels(names):
    """What each node believes that the other does not, by the word of each."""
    rings = {name: ask(name, "/v1/node")["ring"] for name in names}
    believed = {name: {"successor": (ring["successors"] or [{"node": name}])[0]["node"], "predecessor": (ring["predecessor"] or {"node": None})["node"]} for name, ring in rings.items()}
    back = {"successor": "predecessor", "predecessor": "successor"}
    return sorted(
        f"{name} takes {about} for its {side}"
        for name, beliefs in believed.items()
        for side, about in beliefs.items()
        if about not in (name, None) and believed[about][back[side]] != name
    )


def draws_who_does_not_agree_until_they_do(browser, _):
    """A ring that is cut in two and healed: the lines are those of the nodes that do not agree by their own words."""
    dev, names = ring_of_its_own("--nodes", 6, "--slow", SLOWNESS)

    def draws(what, is_wanted, seconds=120):
        """Waits until that is drawn which the nodes say, and it is what is wanted."""
        deadline = time.monotonic() + seconds
        while True:
            before, drawn, after = quarrels(names), sorted(browser.run(TORN)), quarrels(names)
            if before == after == drawn and is_wanted(drawn):
                return drawn
            check(time.monotonic() < deadline, f"not within {seconds} s: {what}: the page draws {drawn}, and the nodes say {after}")

    def ordered(what):
        status, said = order(names[0], what)
        check(status == 200, f"{what}: {said}")

    try:
        open_page(browser, names[0])
        draws("a ring that is whole agrees", lambda drawn: not drawn)
        ordered("cut")
        draws("across the cut they do not agree", bool)
        browser.wait("there are two rings", "return document.querySelector('#reasons').innerText.includes('2 rings')", seconds=120)
        draws("each of the two rings agrees", lambda drawn: not drawn)
        ordered("heal")
        browser.wait("it is one ring", IS_WHOLE, seconds=120)  # how long the two quarrel is chance, and may be a moment
        draws("in the end all agree", lambda drawn: not drawn)
    finally:
        browser.open("about:blank")
        dev.end()


TESTS = [
    draws_the_belief_that_is_not_shared,
    draws_who_does_not_agree_until_they_do,
    has_the_numbers_that_are_counted,
]
