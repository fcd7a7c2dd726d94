"""Tests of what only `chord dev` has on its page: its buttons, the count of lost writes, and the lessons."""

import json
import re
import time
import urllib.error
import urllib.request

from local_ring import Wrong

N_LOAD_KEYS = 500
STEP_SECONDS = 60
IDLE_MS = 4000

# Lines may be torn, and copies missing, for less than a picture takes.
QUICK = "dashed|Dashed|Round by round|Lines that lead across|Under-replicated|back to 0"

IS_WHOLE = "return ['fine', 'gone', 'note'].includes(document.querySelector('#verdict').dataset.level)"
N_MEMBERS = "return document.querySelector('[data-total=nodes]').textContent === String(arguments[0])"
COUNT = "return Number(document.querySelector(`[data-count='${arguments[0]}']`).textContent.replaceAll(',', ''))"
CAN_CLICK = "const one = document.querySelector(arguments[0]); return one !== null && !one.disabled && one.getAttribute('aria-disabled') !== 'true'"
STATE_OF = "return document.querySelector(`#table tr[data-node=\"${arguments[0]}\"]`)?.dataset.state"


def check(holds, what):
    if not holds:
        raise Wrong(what)


def order(name, what, body=None, **headers):
    """The status of an order, given as the page does it or with other headers, and what the node says."""
    headers = {"Origin": f"http://{name}", **{key.replace("_", "-"): value for key, value in headers.items()}}
    headers = {key: value for key, value in headers.items() if value is not None}
    data = json.dumps(body or {}).encode()
    request = urllib.request.Request(f"http://{name}/dev/{what}", data, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def state(name):
    with urllib.request.urlopen(f"http://{name}/dev/state", timeout=30) as answer:
        return json.load(answer)


def names_of(name):
    return sorted(node["node"] for node in state(name)["nodes"] if not node["is_leaving"])


def open_page(browser, name):
    browser.open("about:blank")
    browser.open(f"http://{name}/")
    browser.wait("the ring is whole", IS_WHOLE, seconds=STEP_SECONDS)
    browser.wait("the buttons are there", "return !document.querySelector('#play').hidden")
    browser.wait("they can be clicked", CAN_CLICK, "#play-add")


def click(browser, selector):
    """Clicks the element wherever it is: words that come and go above it move it, and a pointer would miss it."""
    browser.wait(f"{selector} can be clicked", CAN_CLICK, selector)
    browser.run("document.querySelector(arguments[0]).click()", selector)


def choose(browser, name):
    click(browser, f'#table tr[data-node="{name}"] button')


def adds_freezes_thaws_and_lets_leave(browser, names):
    open_page(browser, names[0])
    before = names_of(names[0])
    click(browser, "#play-add")
    browser.wait("there is one more", N_MEMBERS, len(before) + 1)
    new = next(name for name in names_of(names[0]) if name not in before)
    browser.wait("the ring is whole with it", IS_WHOLE, seconds=STEP_SECONDS)
    choose(browser, names[0])
    browser.wait("the node of this page is safe", "return document.querySelector('#play-kill').getAttribute('aria-disabled') === 'true'")
    choose(browser, new)
    click(browser, "#play-freeze")
    browser.wait("it is silent", f"{STATE_OF} === 'silent'", new)
    check([node["is_frozen"] for node in state(names[0])["nodes"] if node["node"] == new] == [True], "it is frozen")
    browser.wait("the button says thaw", "return document.querySelector('#play-freeze').innerText === 'Thaw'")
    click(browser, "#play-freeze")
    browser.wait("it answers again", f"{STATE_OF} === 'ready'", new, seconds=STEP_SECONDS)
    browser.wait("the ring is whole again", IS_WHOLE, seconds=STEP_SECONDS)
    click(browser, "#play-leave")
    browser.wait("it has left", N_MEMBERS, len(before), seconds=STEP_SECONDS)
    check(names_of(names[0]) == before, "the others are there")


def teaches_six_lessons_and_loses_no_write(browser, names):
    """Beside the count on the page the test has its own, of writes of its own."""
    open_page(browser, names[0])
    written = {}
    for idx in range(100):
        key, value = f"own-{idx}", f"value {idx}".encode()
        urllib.request.urlopen(urllib.request.Request(f"http://{names[0]}/v1/kv/{key}", value, method="PUT"), timeout=30).close()
        written[key] = value
    titles = browser.run("return [...document.querySelectorAll('#lessons [data-lesson]')].map((one) => one.dataset.lesson)")
    check(titles == ["join", "lookup", "stabilization", "crash", "cut", "merge"], f"six lessons: {titles}")
    for title in titles:
        click(browser, f"#lessons [data-lesson={title}]")
        n_steps = browser.run("return document.querySelectorAll('#lessons .steps > li').length")
        for step in range(1, n_steps + 1):
            at = f"#lessons .steps > li:nth-child({step})"
            click(browser, f"{at} > button")
            seen = "return [...document.querySelectorAll(`${arguments[0]} li`)].every((one) => one.dataset.seen !== 'false')"
            browser.wait(f"all is seen in step {step} of {title}", seen, at, seconds=STEP_SECONDS)
            passed = "return [...document.querySelectorAll(`${arguments[0]} li`)].filter((one) => one.dataset.seen === 'over').map((one) => one.innerText)"
            too_quick = [words for words in browser.run(passed, at) if not re.search(QUICK, words)]
            check(not too_quick, f"this was too quick to be seen: {too_quick}")
            if title == "cut":
                check(browser.run("return document.querySelector('#ring path.cut') !== null"), "the cut is drawn")
                check("2 rings" in browser.text("#reasons"), "it is said that there are two rings")
                check(state(names[0])["is_cut"], "it is cut")
    browser.wait("the ring is whole again", N_MEMBERS, len(names_of(names[0])), seconds=STEP_SECONDS)
    check(not state(names[0])["is_cut"], "it is healed")
    click(browser, "#play-load")
    browser.wait("the load has stopped", "return document.querySelector('#play-load').innerText === 'Start'")
    lost = 0
    for key, value in written.items():
        with urllib.request.urlopen(f"http://{names[0]}/v1/kv/{key}", timeout=30) as answer:
            lost += answer.read() != value
    shown = browser.run(COUNT, "lost")
    check((lost, shown) == (0, 0), f"{lost} of the test's writes are lost, and {shown} are shown")
    deadline = time.monotonic() + 20  # the last writes are acknowledged, and the page asks once a second
    while (shown := browser.run(COUNT, "acknowledged")) != (counted := state(names[0])["load"]["acknowledged"]):
        check(time.monotonic() < deadline, f"the page shows {shown} acknowledged writes, and the node counted {counted}")
        time.sleep(0.1)
    check(shown > 0, "writes were acknowledged")


def traces_a_lesson_and_leaves_what_is_there(browser, names):
    """What is typed, and what is stored under the keys that lessons use."""
    def ask(key, value=None, method="GET"):
        with urllib.request.urlopen(urllib.request.Request(f"http://{names[0]}/v1/kv/{key}", value, method=method), timeout=30) as answer:
            return answer.read()

    keys = ["lesson", *(f"lesson-{idx}" for idx in range(1, 16))]
    for key in keys:
        ask(key, f"mine, under {key}".encode(), "PUT")
    try:
        for typed in ("typed by me", ""):
            open_page(browser, names[0])
            browser.write("#key", typed)
            click(browser, "#lessons [data-lesson=lookup]")
            click(browser, "#lessons .steps > li > button")
            browser.wait("all is seen", "return document.querySelectorAll('#lessons li li').length === 3 && [...document.querySelectorAll('#lessons li li')].every((one) => one.dataset.seen === 'true')")
            traced = browser.wait("it is said which key was traced", "return document.querySelector('.result').innerText.match(/^The lesson traced the key (lesson(-[0-9]+)?)\\.$/)?.[1]")
            found = browser.run("return document.querySelector('#key').value")
            check(found == (typed or traced), f"{typed!r} was typed, and {found!r} stands there")
        changed = [key for key in keys if ask(key) != f"mine, under {key}".encode()]
        check(not changed, f"something else is stored now under {changed}")
    finally:
        for key in keys:
            ask(key, method="DELETE")
    open_page(browser, names[0])
    click(browser, "#lessons [data-lesson=lookup]")
    click(browser, "#lessons .steps > li > button")
    browser.wait("all is seen of a key that was deleted too", "return document.querySelectorAll('#lessons li li').length === 3 && [...document.querySelectorAll('#lessons li li')].every((one) => one.dataset.seen === 'true')")


# Orders are taken and not done, and no key is traced.
NOTHING_IS_DONE = """
const fetched = window.fetch;
window.undo = () => (window.fetch = fetched);
window.fetch = (path, options) => {
  if (options?.method === 'POST') return fetched('/dev/state');
  if (options?.method === 'PUT' || String(path).startsWith('/v1/')) return Promise.reject(new TypeError('not now'));
  return fetched(path, options);
};
"""


def ticks_nothing_that_has_not_happened(browser, names):
    """Each lesson again, on a ring on which there was load and nothing is done any more."""
    open_page(browser, names[0])
    order(names[0], "load", {"rate": 100})
    browser.wait("there are writes", f"{COUNT} > 20", "acknowledged")
    order(names[0], "load", {"rate": 0})
    browser.wait("it has stopped", "return document.querySelector('#play-load').innerText === 'Start'")
    browser.run(NOTHING_IS_DONE)
    try:
        for title in ["join", "lookup", "stabilization", "crash", "cut", "merge"]:
            click(browser, f"#lessons [data-lesson={title}]")
            for step in range(1, browser.run("return document.querySelectorAll('#lessons .steps > li').length") + 1):
                click(browser, f"#lessons .steps > li:nth-child({step}) > button")
            before = browser.run("return Number(document.body.dataset.drawn)")
            pictures = "return Number(document.body.dataset.drawn) > arguments[0]"
            browser.wait("some seconds have passed in the ring", pictures, before + IDLE_MS, seconds=STEP_SECONDS)
            ticked = "return [...document.querySelectorAll('#lessons li li')].filter((one) => one.dataset.seen !== 'false').map((one) => one.innerText)"
            seen = browser.run(ticked)
            check(seen == [], f"nothing was done, and the lesson of {title} says that this was seen: {seen}")
    finally:
        browser.run("window.undo()")


def offers_to_play_only_where_the_node_takes_orders(browser, names):
    hidden = "return [...document.querySelectorAll('#play, #lessons')].map((one) => one.hidden).join() === arguments[0]"
    port = names[0].rsplit(":", 1)[1]
    browser.open("about:blank")
    browser.open(f"http://localhost:{port}/")
    browser.wait("the ring is shown", IS_WHOLE, seconds=STEP_SECONDS)
    browser.wait("the page says where one can play", "return document.querySelector('#elsewhere').innerText.includes('play with the ring, open it as')")
    asked = "return performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/dev/state')).length > 1"
    browser.wait("it was asked whether the node takes orders", asked)
    check(browser.run(hidden, "true,true"), "under another name there are no buttons and no lessons")
    open_page(browser, names[0])
    # That page asks again and again, so what the browser says of its being refused is heard when it is gone.
    refused = [line for line in browser.complaints() if "/dev/state" not in line]
    check(not refused, f"the browser complains: {refused}")
    click(browser, "#lessons [data-lesson=join]")
    browser.run("""
        const fetched = window.fetch;
        window.undo = () => (window.fetch = fetched);
        window.fetch = (path, options) =>
          String(path).startsWith('/dev/') ? Promise.resolve(new Response('{"error":"busy"}', { status: 503 })) : fetched(path, options);
    """)
    browser.wait("there is nothing to play with while the node is busy", hidden, "true,true")
    browser.run("window.undo()")
    browser.wait("and there is again", hidden, "false,false")
    check(browser.run("return document.querySelector('[data-lesson=join]').getAttribute('aria-pressed')") == "true", "the lesson is open still")


def shows_a_write_that_is_lost(browser, names):
    """A key of the load is taken away behind its back."""
    open_page(browser, names[0])
    if state(names[0])["load"]["keys"] < 20:
        order(names[0], "load", {"rate": 100})
        browser.wait("there are writes", f"{COUNT} > 20", "acknowledged")
        order(names[0], "load", {"rate": 0})
    browser.wait("none is lost", f"{COUNT} === 0", "lost")
    urllib.request.urlopen(urllib.request.Request(f"http://{names[0]}/v1/kv/load-007", method="DELETE"), timeout=30).close()
    browser.wait("it is lost", f"{COUNT} === 1", "lost", seconds=STEP_SECONDS)
    check("1 acknowledged write is gone: load-007" in browser.text("#play-lost"), "it is said which")
    check("0 is good" in browser.text("#play-lost-about"), "it is said what that is")


def takes_only_rates_that_it_can_write_at(browser, names):
    open_page(browser, names[0])
    said = "return document.querySelector('#play-rate-about').innerText"
    check("from 1 to 1,000" in browser.run(said), "it is said which rates there are")
    for wrong in ("", "0", "-5", "1001", "99999999999999999999", "1.5", "1e9"):
        browser.write("#play-rate", wrong)
        browser.click("#play-load")
        check("a whole number from 1 to 1,000" in browser.run(said), f"a rate of {wrong!r}: {browser.run(said)}")
        found = browser.run("const one = document.querySelector('#play-rate'); return [one.getAttribute('aria-invalid'), document.activeElement === one]")
        check(found == ["true", True], f"a rate of {wrong!r} is marked, and can be typed anew: {found}")
        check(state(names[0])["load"]["rate"] == 0, f"nothing is written at a rate of {wrong!r}")
    browser.write("#play-rate", "7")
    check("A whole number" in browser.run(said), "what is right is not said to be wrong")
    browser.click("#play-load")
    browser.wait("it is said how much is written", "return document.querySelector('#play-rate-about').innerText.startsWith('7 writes in a second')")
    check(state(names[0])["load"]["rate"] == 7, "so much is written")
    browser.click("#play-load")
    browser.wait("it has stopped", "return document.querySelector('#play-load').innerText === 'Start'")
    browser.write("#play-rate", "-5")
    click(browser, "#lessons [data-lesson=crash]")
    click(browser, "#lessons .steps > li:nth-child(1) > button")
    browser.wait("a lesson writes as often as it should", "return document.querySelector('#play-rate').value === '50' && document.querySelector('#play-load').innerText === 'Stop'")
    click(browser, "#play-load")
    browser.wait("it has stopped again", "return document.querySelector('#play-load').innerText === 'Start'")


def obeys_only_its_own_page(browser, names):
    own, other = names[0], names[1]
    before = names_of(own)
    port = own.rsplit(":", 1)[1]
    refused = {
        "another site's page": {"Origin": "http://evil.example"},
        "a page of another node": {"Origin": f"http://{other}"},
        "no origin": {"Origin": None},
        "a name that was made to lead here": {"Origin": f"http://evil.example:{port}", "Host": f"evil.example:{port}"},
        "that name with the right origin": {"Host": f"evil.example:{port}"},
        "localhost": {"Origin": f"http://localhost:{port}", "Host": f"localhost:{port}"},
        "a browser that says where it comes from": {"Sec_Fetch_Site": "cross-site"},
        "another port of the same site": {"Sec_Fetch_Site": "same-site"},
    }
    for who, headers in refused.items():
        status, said = order(own, "add", **headers)
        check(status == 403 and "only for the page" in said["error"], f"{who}: {status} {said}")
    for what, body, expected in [
        ("kill", {"node": own}, 409), ("kill", {"node": "127.0.0.1:1"}, 404), ("kill", {}, 400), ("thaw", {"node": other}, 409),
        ("heal", {}, 409), ("load", {"rate": 1001}, 400), ("load", {"rate": -1}, 400), ("add", {"more": 1}, 400), ("explode", {}, 404),
        ("add", {"node": "x" * 5000}, 400),
    ]:
        status, said = order(own, what, body)
        check(status == expected and said["error"], f"{what} {body}: {status} {said}")
    open_page(browser, other)
    script = "return fetch(arguments[0], { method: 'POST', mode: 'no-cors', body: '{}' }).then(() => 'sent', () => 'not sent')"
    browser.run(script, f"http://{own}/dev/add")  # It may be sent, since the page asks others whether they are there; it is not obeyed.
    browser.complaints()
    check(names_of(own) == before, "nobody has added a node")


TESTS = [
    adds_freezes_thaws_and_lets_leave,
    obeys_only_its_own_page,
    offers_to_play_only_where_the_node_takes_orders,
    ticks_nothing_that_has_not_happened,
    traces_a_lesson_and_leaves_what_is_there,
    teaches_six_lessons_and_loses_no_write,
    takes_only_rates_that_it_can_write_at,
    shows_a_write_that_is_lost,
]
