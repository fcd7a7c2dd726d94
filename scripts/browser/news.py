"""Tests of what the page tells as news: each thing that really happens to a ring, in its words, and nothing else."""

import json
import re
import signal
import time
import urllib.parse
import urllib.request

import playing
from feeding import fed, listened
from local_ring import Ring, Wrong
from playing import IS_WHOLE, STEP_SECONDS, check, choose, click, names_of, open_page

# The words of all events of a kind, the newest first.
TOLD = "return [...document.querySelectorAll(`.events li[data-kind='${arguments[0]}']`)].map((one) => one.querySelector('button').lastChild.textContent)"
ALL_TOLD = "return [...document.querySelectorAll('.events li')].map((one) => [one.dataset.kind, one.querySelector('button').lastChild.textContent])"
SIGN = "const one = getComputedStyle(document.querySelector(`.events li[data-kind='${arguments[0]}'] time`), '::before'); return [one.content, one.color]"
BEGINNING = """
const of = ({ nodes }) => nodes.filter(({ node }) => node === arguments[0]);
const [first] = window.told;
return [!first.has_asked_all && of(first).length === 0, window.told.flatMap(of).some(({ report }) => !report)];
"""
TRIES = 10
HASH = "return new URLSearchParams(location.hash.slice(1)).get(arguments[0])"


def says(browser, kind, words, seconds=STEP_SECONDS):
    """Waits until an event of that kind says that; the words are whole."""
    browser.wait(f"the time line says {words!r} as {kind}", f"{TOLD}.includes(arguments[1])", kind, words, seconds=seconds)


def says_one_like(browser, kind, pattern):
    browser.wait(f"the time line says {pattern!r} as {kind}", f"{TOLD}.some((words) => new RegExp(arguments[1]).test(words))", kind, pattern, seconds=STEP_SECONDS)


def whole(browser):
    browser.wait("the ring is whole", IS_WHOLE, seconds=STEP_SECONDS)


def fetch(name):
    with urllib.request.urlopen(f"http://{name}/v1/node", timeout=30) as answer:
        return json.load(answer)


def handed_over(browser, name):
    """How many records were handed over to a node, by the time line: perhaps not all at once."""
    told = [re.fullmatch(f"{name} was handed over ([0-9,]+) records?", words) for words in browser.run(TOLD, "handover")]
    return sum(int(words.group(1).replace(",", "")) for words in told if words)


def tells_what_was_done_in_words(browser, names):
    """Each button in turn, and what the time line says of it, which it has not said before."""
    own = names[0]
    open_page(browser, own)
    browser.wait("all nodes were asked once", f"{TOLD}.length > 0", "opened", seconds=STEP_SECONDS)
    for idx in range(60):
        urllib.request.urlopen(urllib.request.Request(f"http://{own}/v1/kv/news-{idx}", b"value", method="PUT"), timeout=30).close()
    early = [told for told in browser.run(ALL_TOLD) if told[0] in ("joined", "back", "gone", "left", "cut", "merged")]
    check(not early, f"nothing was done yet: {early}")
    before = names_of(own)

    def add():
        known = names_of(own)
        click(browser, "#play-add")
        browser.wait("there is one more", playing.N_MEMBERS, len(known) + 1)
        return next(name for name in names_of(own) if name not in known)

    new = add()
    says(browser, "joined", f"{new} joined")
    whole(browser)
    deadline = time.monotonic() + STEP_SECONDS
    while (told := handed_over(browser, new)) != (taken := fetch(new)["taken_over"]):
        check(time.monotonic() < deadline, f"{new} was handed over {taken} records, and the time line says {told}")
        time.sleep(0.2)

    choose(browser, new)
    click(browser, "#play-freeze")
    says(browser, "gone", f"{new} does not answer any more")
    click(browser, "#play-freeze")
    says(browser, "back", f"{new} answers again")
    whole(browser)

    click(browser, "#play-leave")
    says_one_like(browser, "left", f"^{new} (left the ring|has ended, after it left the ring|had left the ring before it ended)$")
    browser.wait("it has left", playing.N_MEMBERS, len(before), seconds=STEP_SECONDS)
    whole(browser)

    left = browser.run(TOLD, "left")
    gone = len(browser.run(TOLD, "gone"))
    other = add()  # perhaps under the name of the one that has left
    browser.wait("it is told that it joined", f"{TOLD}[0] === arguments[1]", "joined", f"{other} joined", seconds=STEP_SECONDS)
    whole(browser)
    choose(browser, other)
    click(browser, "#play-kill")
    browser.wait("it is told that it is gone", f"((found) => found.length > arguments[2] && found.includes(arguments[1]))({TOLD.removeprefix('return ')})".join(["return ", ""]), "gone", f"{other} does not answer any more", gone, seconds=STEP_SECONDS)
    check(browser.run(TOLD, "left") == left, f"who was killed has not left: {browser.run(TOLD, 'left')}")
    says_one_like(browser, "repaired", ": every copy is there again$")
    whole(browser)

    click(browser, "#play-cut")
    says(browser, "cut", "The ring fell into 2 rings")
    check(not browser.run(TOLD, "merged"), "nothing has merged yet")
    says_one_like(browser, "suspected", f"^({'|'.join(before)}) suspects ({'|'.join(before)})$")
    click(browser, "#play-cut")
    says(browser, "merged", "The rings merged into one")
    whole(browser)
    joined = browser.run(TOLD, "joined")
    # One that comes back at once under the name of the one that left may be told of as the same.
    is_told_once = new == other and joined == [f"{new} joined"]
    check(is_told_once or sorted(joined) == sorted([f"{new} joined", f"{other} joined"]), f"only they joined: {joined}")


def tells_nobody_as_new_who_was_there_before(browser, _):
    """A node that is slow to answer when the page is opened, or of which nothing was said yet, has not joined."""
    ring = Ring(5)
    names = [f"127.0.0.1:{port}" for port in ring.ports]
    slow = ring.nodes[3].process
    undo = listened(browser)
    try:
        open_page_of_ring(browser, names[0])
        for _ in range(TRIES):
            browser.open("about:blank")
            time.sleep(1)  # the node's crawler stops meanwhile; whether it has, is asked below
            slow.send_signal(signal.SIGSTOP)
            browser.open(f"http://{names[0]}/")
            browser.wait("something is told", "return window.told.length > 0")
            slow.send_signal(signal.SIGCONT)
            browser.wait("all are shown", "return document.querySelectorAll('#ring .node:not(.absent)').length === 5", seconds=STEP_SECONDS)
            browser.wait("all that is told is drawn", "const one = window.told.at(-1); return one.has_asked_all && Number(document.body.dataset.drawn) >= one.at_ms")
            whole(browser)
            # Who looked a moment ago goes on as it was; and this may have been so slow that the node was taken for silent.
            begins_without, was_silent = browser.run(BEGINNING, names[3])
            if begins_without and not was_silent:
                break
        else:
            raise Wrong(f"in none of {TRIES} tries {names[0]} began anew, and asked {names[3]} before it was too late")
        told = browser.run(ALL_TOLD)
        check(told[-1] == ["opened", "This page began to look: 5 nodes"], f"the first that is told: {told}")
        check(not any(kind in ("joined", "back", "forgotten") for kind, _ in told), f"nobody has joined: {told}")
    finally:
        slow.send_signal(signal.SIGCONT)
        browser.open("about:blank")
        undo()
        ring.end()


def open_page_of_ring(browser, name):
    browser.open("about:blank")
    browser.open(f"http://{name}/")
    whole(browser)


def waits_with_news_until_all_were_asked(browser, names):
    undo = fed(browser, names[0])
    try:
        # What is amiss just now would be news by itself.
        browser.wait("the ring is whole", IS_WHOLE, seconds=STEP_SECONDS)
        browser.run("window.isFed = true")
        before = browser.run(ALL_TOLD)
        feed = """
            const all = window.all = window.picture.nodes;
            window.feed('ring', { nodes: all.slice(0, 2), has_asked_all: false });
            window.feed('changes', { nodes: all.slice(2, 3), has_asked_all: false });
            window.feed('changes', { nodes: all.slice(3), has_asked_all: true });
        """
        browser.run(feed)
        check(browser.run(ALL_TOLD) == before, f"who asks anew has no news: {browser.run(ALL_TOLD)[:4]}")
        browser.run("window.feed('changes', { gone: [window.all.at(-1).node], has_asked_all: true })")
        check(browser.run(TOLD, "forgotten") != [], "and what happens then is told")
        browser.run("window.feed('ring', { nodes: window.all.slice(0, 2), has_asked_all: false, at_ms: Date.now() })")
        browser.run("window.feed('changes', { has_asked_all: false, at_ms: Date.now() + 11000 })")
        check(len(browser.run(TOLD, "forgotten")) > 1, "nor are there no news for ever where a liar makes up names")
    finally:
        undo()


def takes_many_that_have_left_for_no_quarrel(browser, names):
    """The node tells sixteen reasons, the gravest first: what it does not tell is no graver than these."""
    undo = fed(browser, names[0])
    try:
        browser.run("window.isFed = true")

        def say(severity, code, n_told, more):
            reasons = [{"code": code, "severity": severity, "node": None, "sentence": f"Reason {idx}.", "next": "Wait."} for idx in range(n_told)]
            health = {"severity": severity, "verdict": "Said by a test", "detail": None, "reasons": reasons, "more": more}
            browser.run("window.feed('changes', { has_asked_all: true, ...JSON.parse(arguments[0]) })", json.dumps({"health": health}))

        say("fine", "none", 0, 0)
        said = lambda: len(browser.run(TOLD, "unrest"))  # noqa: E731
        before = said()
        say("note", "left", 16, 1)
        say("fine", "none", 0, 0)
        check(said() == before, f"seventeen have left in good order, and that is no quarrel: {browser.run(ALL_TOLD)[:3]}")
        say("heals", "not-ready", 16, 5)
        check(said() == before + 1, "behind sixteen grave reasons there may be one of neighbours")
        say("fine", "none", 0, 0)
        say("heals", "disagreement", 1, 0)
        check(said() == before + 2, "and a told one is told")
        check(browser.run(TOLD, "unrest")[0] == "Neighbours do not agree", "in words")
    finally:
        undo()


def leads_to_a_time_by_its_address(browser, names):
    open_page(browser, names[0])
    playing.order(names[0], "load", {"rate": 20})
    try:
        browser.wait("there is something to go back to", "return Number(document.querySelector('.history input').max) > 3")
    finally:
        playing.order(names[0], "load", {"rate": 0})
    now = "return document.querySelector('.when').textContent"
    note = "return document.querySelector('#no-picture').hidden ? '' : document.querySelector('#no-picture').innerText"
    check(browser.run(HASH, "t") is None, "now is no time of its own")
    browser.run("const one = document.querySelector('.history input'); one.value = 1; one.dispatchEvent(new Event('input'))")
    time_of = browser.wait("the address has the time", HASH, "t")
    was = browser.run(now)
    check(was.startswith("as it was at "), f"the page is in the past: {was}")
    for permission in ("clipboard-read", "clipboard-write"):
        browser.allow(permission)
    click(browser, "#copy-link")
    browser.wait("it is copied", "return document.querySelector('#said').innerText.startsWith('Copied: ')")
    check(f"t={time_of}" in browser.run("return navigator.clipboard.readText()"), "the link has the time")
    browser.click(".history .head > button")
    browser.wait("now has none", f"{HASH} === null", "t")
    check(browser.run(now) == "now", "it is now again")
    browser.run("location.hash = `t=${arguments[0]}`", time_of)
    browser.wait("the address leads there", "return document.querySelector('.when').textContent === arguments[0]", was)
    check(browser.run(note) == "", "of which there is nothing to say")
    browser.run("location.hash = ''")
    browser.wait("an address without a time is now", "return document.querySelector('.when').textContent === 'now'")
    for wrong, words in ((time_of, "has pictures since"), ("99999999999999", "has pictures since"), ("<b>", "at a time that is none")):
        browser.open("about:blank")
        browser.open(f"http://{names[0]}/#t={urllib.parse.quote(wrong)}")
        browser.wait("it is said that there is no picture", "return !document.querySelector('#no-picture').hidden")
        check(words in browser.run(note) and "as it is now" in browser.run(note), f"for {wrong}: {browser.run(note)}")
        browser.wait("what is shown is now", f"{HASH} === null && document.querySelector('.when').textContent === 'now'", "t")


def tells_that_one_joined_who_was_named_before_it_answered(browser, names):
    undo = fed(browser, names[0])
    try:
        browser.wait("all nodes were asked once", f"{TOLD}.length > 0", "opened", seconds=STEP_SECONDS)
        browser.run("window.isFed = true")
        script = """
            const [one] = structuredClone(window.picture.nodes.filter(({ report }) => report));
            const { report, ...silent } = { ...one, node: 'newcomer:1', position: '1' };
            const feed = (node) => window.feed('changes', { nodes: [structuredClone(node)], has_asked_all: true });
            const unheard = { ...silent, answer: 'unreachable', because: 'nobody serves there' };
            feed(unheard);
            report.ring.is_member = arguments[0];
            feed({ ...silent, report });
            report.ring.is_member = true;
            feed({ ...silent, report });
            feed(unheard);
            feed({ ...silent, report });
            window.feed('changes', { gone: ['newcomer:1'], has_asked_all: true });
        """
        for was_member in (True, False):
            before = len(browser.run(ALL_TOLD))
            browser.run(script, was_member)
            told = [kind for kind, words in browser.run(ALL_TOLD)[:-before] if words.startswith("newcomer:1 ") and kind not in ("handover", "predecessor", "successor")]
            check(told[::-1] == ["joined", "gone", "back", "forgotten"], f"it joined once, and was away once: {told}")
    finally:
        undo()


def shows_a_return_as_good(browser, names):
    """A node that answers again, and is no member yet."""
    undo = fed(browser, names[0])
    try:
        browser.run("window.isFed = true")
        script = """
            const [first, ...others] = structuredClone(window.picture.nodes.filter(({ report }) => report)).reverse();
            const { report, ...silent } = first;
            window.feed('changes', { nodes: [{ ...silent, answer: 'unreachable', because: 'nobody serves there' }] });
            report.ring.is_member = false;
            window.feed('changes', { nodes: [{ ...first, report }] });
            return first.node;
        """
        name = browser.run(script)
        check(browser.run(TOLD, "back")[:1] == [f"{name} answers, and is no member"], f"it is told: {browser.run(ALL_TOLD)[:3]}")
        sign, trouble = browser.run(SIGN, "back"), browser.run(SIGN, "gone")
        check(sign[0] == '"+"' and trouble[0] == '"−"' and sign[1] != trouble[1], f"with a plus, and not in red: {sign}, {trouble}")
    finally:
        undo()


TESTS = [
    tells_what_was_done_in_words,
    tells_that_one_joined_who_was_named_before_it_answered,
    waits_with_news_until_all_were_asked,
    takes_many_that_have_left_for_no_quarrel,
    leads_to_a_time_by_its_address,
    shows_a_return_as_good,
    tells_nobody_as_new_who_was_there_before,
]
