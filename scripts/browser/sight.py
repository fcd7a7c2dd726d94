"""Tests of what can be seen on the page: lines that can be told from the paper, texts that hide nothing, traffic, and a ring of liars."""

import signal
import time
import urllib.parse
import urllib.request

import axe
from feeding import fed
from local_ring import Ring, Wrong
from playing import IS_WHOLE, STEP_SECONDS, check, choose, open_page

CONTRAST_MIN = 3
TASK_MS = 200
LIARS = 1024
WRITES_MIN, WRITE_PAUSE = 40, 0.05
CLOCKS = 0.1  # a node counts from its start on, by another clock
TRIES = 5  # beside other programs a task takes longer by the clock

# The least contrast of what is drawn with each of the selectors to the card, with its opacity and those around it.
CONTRASTS = """
const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
const rgb = (color) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [[r, g, b], a / 255];
};
const light = (parts) => {
  const [r, g, b] = parts.map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const [paper] = rgb(getComputedStyle(document.querySelector('.picture')).backgroundColor);
return arguments[0].map(([selector, property]) => {
  const all = [...document.querySelectorAll(selector)].map((one) => {
    const [color, alpha] = rgb(getComputedStyle(one)[property]);
    let opacity = alpha;
    for (let at = one; at && at.id !== 'ring'; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    const seen = color.map((part, idx) => part * opacity + paper[idx] * (1 - opacity));
    const [a, b] = [light(seen), light(paper)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  });
  return [selector, all.length, Math.min(...all)];
});
"""
MEANING = [
    ("#ring .belief.successor", "stroke"), ("#ring .belief.predecessor", "stroke"), ("#ring .arc", "stroke"), ("#ring .node:not(.idle, .absent) .dot", "fill"),
    ("#ring .node:is(.idle, .absent) .dot", "stroke"),
    ("#ring .finger", "stroke"), ("#ring .hop", "stroke"), ("#calm path", "fill"), (".key.calm", "borderTopColor"), (".key.before", "borderTopColor"),
    (".key.torn", "borderTopColor"), (".key.cut-key", "borderTopColor"),
]


def draws_what_means_something_so_that_it_is_seen(browser, names):
    try:
        for scheme in ("light", "dark"):
            browser.media(prefers_color_scheme=scheme)
            open_page(browser, names[0])
            browser.run("location.hash = 'fingers=all&key=seen-well'")
            browser.wait("the key is traced", "return document.querySelectorAll('.hops li').length > 0")
            time.sleep(0.5)  # colours that change do so for a moment
            found = browser.run(CONTRASTS, MEANING)
            drawn = {selector: n for selector, n, _ in found}
            for selector in ("#ring .belief.successor", "#ring .belief.predecessor", "#ring .arc", "#ring .node:not(.idle, .absent) .dot", "#calm path"):
                check(drawn[selector] > 0, f"there are some of {selector}")
            pale = [(selector, round(least, 2)) for selector, n, least in found if n and least < CONTRAST_MIN]
            check(not pale, f"{scheme}: these are too pale: {pale}")
    finally:
        browser.media()


HIDDEN = "a\u202eb\x1b[2J\u200bc\nd"
SHOWN = "a\\u{202e}b\\u{1b}[2J\\u{200b}c\\nd"
TO_THE_FIRST = "const one = document.querySelector('.history input'); one.value = 0; one.dispatchEvent(new Event('input'))"
UNSEEN = "return /[\\u202a-\\u202e\\u2066-\\u2069\\u200b\\u001b]/.test(document.querySelector('main').textContent)"


def shows_what_is_not_seen_as_escapes(browser, names):
    undo = fed(browser, names[0])
    try:
        browser.open("about:blank")
        browser.open(f"http://{names[0]}/#" + urllib.parse.urlencode({"node": HIDDEN, "key": HIDDEN}, quote_via=urllib.parse.quote))
        browser.wait("the key is traced", "return document.querySelectorAll('.hops li').length > 0")
        check(SHOWN in browser.text("#node"), f"the node's name has escapes: {browser.text('#node')!r}")
        # A field has one line: a key with more stands there as escapes, and is the key all the same.
        check(browser.run("return document.querySelector('#key').value") == SHOWN, "the key is shown")
        check(browser.text("#key-about").startswith(f"It is {SHOWN} with its line breaks"), f"below it stands what is not seen: {browser.text('#key-about')!r}")
        value = "one\n\ttwo \u202eeerht\u001b[31m 👩\u200d👩"
        quoted = urllib.parse.quote(HIDDEN, safe="")
        urllib.request.urlopen(urllib.request.Request(f"http://{names[0]}/v1/kv/{quoted}", value.encode(), method="PUT"), timeout=30).close()
        browser.click("#trace .row:last-of-type button:nth-child(1)")
        browser.wait("the value is shown", "return document.querySelector('#got') !== null")
        got = browser.run("return document.querySelector('#got').textContent")
        check(got == "one\n\ttwo \\u{202e}eerht\\u{1b}[31m 👩\u200d👩", f"the value keeps its lines and letters: {got!r}")
        browser.run("document.querySelector('#value').value = ''")
        browser.run("document.querySelector('.result').replaceChildren()")
        browser.wait("the ring is whole", IS_WHOLE, seconds=STEP_SECONDS)
        browser.run("window.isFed = true")
        liar = """
            const hidden = arguments[0];
            const nodes = structuredClone(window.picture.nodes.filter(({ report }) => report));
            const [first] = nodes;
            Object.assign(first.report, { version: hidden, copies_at: [hidden] });
            first.report.ring.not_ready_because = hidden;
            first.report.ring.is_ready = false;
            first.report.links = [{ node: hidden, round_trip_us: 1, is_suspect: true }];
            const reason = { code: 'x', severity: 'act', node: first.node, sentence: hidden, next: hidden };
            window.feed('ring', { nodes: [...nodes, { node: hidden, position: '5', answer: 'unreachable', because: hidden }],
              health: { severity: 'act', verdict: hidden, detail: hidden, reasons: [reason], more: 0 } });
            window.feed('changes', { gone: [hidden] });
            window.feed('changes', { nodes: [{ node: hidden, position: '5', answer: 'unreachable', because: hidden }] });
            location.hash = new URLSearchParams({ node: first.node });
        """
        browser.run(liar, HIDDEN)
        browser.wait("the verdict has escapes", "return document.querySelector('#verdict').textContent === arguments[0]", SHOWN)
        browser.wait("the node is shown", "return document.querySelector('#node').innerText.includes(arguments[0])", SHOWN)
        browser.wait("so is the other in the table", "return document.querySelector('#table').innerText.includes(arguments[0])", SHOWN)
        for part in ("#reasons", "#node", "#table", ".events", "#ring"):
            check(SHOWN in browser.run("return document.querySelector(arguments[0]).textContent", part), f"{part} has escapes")
        check(not browser.run(UNSEEN), "nothing is on the page that is not seen")
        labels = browser.run("return [...document.querySelectorAll('[aria-label], [title]')].map((one) => `${one.getAttribute('aria-label')} ${one.title}`)")
        check(not any("\u202e" in label for label in labels), "nor in what is read to people")
        apart = browser.run("return [...document.querySelectorAll('#node .name, #table td, #reasons .link')].every((one) => getComputedStyle(one).unicodeBidi === 'isolate')")
        check(apart, "a name that is written from right to left turns nothing else round")
    finally:
        browser.open("about:blank")
        undo()


# What the node has told of itself: when it counted (in seconds since 1970), and how many operations came by REST until then.
COUNTED = """
return window.told.flatMap(({ nodes }) => nodes).filter(({ node, report }) => node === arguments[0] && report)
  .map(({ report }) => [(report.started_at_ms + report.up_ms) / 1000, report.work.doors.rest]);
"""


def shows_what_a_node_has_to_do(browser, names):
    """Beside what the test asks it for: the node's count beside the test's own, and what the page shows beside the node's count."""
    line = "return [...document.querySelectorAll('#node [data-of=traffic] > div')].map((one) => [one.children[0].innerText, one.children[1].innerText])"
    undo = fed(browser, names[0])
    try:
        choose(browser, names[1])
        browser.wait("it is counted", f"{line}.some(([name]) => name === 'operations')", seconds=STEP_SECONDS)
        at_first = browser.run(COUNTED, names[1])[-1][1]
        begun, ended = [], []
        deadline = time.monotonic() + STEP_SECONDS
        told = {}
        while len(ended) < WRITES_MIN or " by REST" not in told.get("operations", ""):  # a node that was silent is counted anew
            check(time.monotonic() < deadline, f"of {len(ended)} writes the page shows {told}")
            begun.append(time.time())
            urllib.request.urlopen(urllib.request.Request(f"http://{names[1]}/v1/kv/busy", b"v", method="PUT"), timeout=30).close()
            ended.append(time.time())
            time.sleep(WRITE_PAUSE)
            told, counted = dict(browser.run(line)), browser.run(COUNTED, names[1])
        for at, times in counted:
            least, most = sum(end < at - CLOCKS for end in ended), sum(begin <= at + CLOCKS for begin in begun)
            check(least <= times - at_first <= most, f"from {least} to {most} writes were asked for, and the node has counted {times - at_first}")
        by_rest = [part.split(" by ")[0] for part in told["operations"].split(": ")[1].split(", ") if part.endswith(" by REST")]
        rate, seconds = (float(words.replace(",", "")) for words in (by_rest[0], told["counted over"].removesuffix(" s")))
        pairs = [(now[1] - then[1], now[0] - then[0]) for idx, now in enumerate(counted) for then in counted[:idx]]
        shown = [(times, over) for times, over in pairs if abs(over - seconds) <= 0.06 and abs(times / over - rate) <= 0.06 + rate / 100]
        check(shown, f"{rate} writes a second over {seconds} s are none of what the node has counted: {counted}")
        check(" a second" in told["operations"] and " messages a second: " in told["maintenance"] and " for the ring" in told["maintenance"], f"maintenance: {told}")
        check("a second; " in told["repair"] and "since its start" in told["repair"], f"repair: {told['repair']!r}")
        check("% of a core, " in told["its process"] and "MiB of memory" in told["its process"], f"its process: {told['its process']!r}")
        quiet = f"!{line.removeprefix('return ')}.find(([name]) => name === 'operations')[1].includes('by REST')"
        browser.wait("then nobody asks it by REST", f"return {quiet}", seconds=STEP_SECONDS)
    finally:
        undo()


def stays_awake_when_a_thousand_nodes_are_made_up(browser, names):
    undo = fed(browser, names[0])
    try:
        longest = []
        for _ in range(TRIES):
            longest.append(longest_task(browser, names))
            if longest[-1] <= TASK_MS:
                return
        raise Wrong(f"the longest task took {longest} ms")
    finally:
        browser.open("about:blank")
        undo()
        browser.complaints()


def longest_task(browser, names):
    open_page(browser, names[0])
    browser.run("""
        window.isFed = true;
        window.longest = 0;
        new PerformanceObserver((list) => { for (const one of list.getEntries()) window.longest = Math.max(window.longest, one.duration); }).observe({ type: 'longtask' });
        const base = window.picture.nodes.find((one) => one.report);
        const made = Array.from({ length: arguments[0] }, (_, idx) => {
          const node = structuredClone(base);
          const name = (at) => `host${(at + arguments[0]) % arguments[0]}.example:1`;
          Object.assign(node, { node: name(idx), position: String(BigInt(idx) * 2n ** 150n) });
          node.report.ring.node = node.node;
          node.report.ring.successors = [{ node: name(idx + 1) }];
          node.report.ring.predecessor = { node: name(idx - 1) };
          return node;
        });
        window.text = JSON.stringify({ ...window.picture, at_ms: Date.now(), nodes: made, gone: [], has_asked_all: true });
        setTimeout(() => window.stream.dispatchEvent(new MessageEvent('ring', { data: window.text })), 500);
    """, LIARS)
    browser.wait("all are drawn", "return document.querySelectorAll('#ring .node').length === arguments[0] && document.querySelectorAll('#table tbody tr').length === arguments[0]", LIARS, seconds=STEP_SECONDS)
    time.sleep(1)
    return browser.run("return window.longest")


def keeps_nobody_from_what_was_nor_from_what_fell_silent(browser, _):
    """With a node dead, the time line gone back, and the node itself frozen."""
    text = axe.source()
    ring = Ring(4)
    names = [f"127.0.0.1:{port}" for port in ring.ports]
    own = ring.nodes[0].process

    def look(what):
        for scheme in ("light", "dark"):
            browser.media(prefers_color_scheme=scheme)
            time.sleep(0.5)
            found = axe.findings(browser, text)
            check(not found, f"{what}, {scheme}: {found}")

    try:
        browser.open("about:blank")
        browser.open(f"http://{names[0]}/#node={urllib.parse.quote(names[2])}")
        browser.wait("the ring is whole", IS_WHOLE, seconds=STEP_SECONDS)
        ring.nodes[2].kill()
        browser.wait("it is gone", "return document.querySelector('#verdict').dataset.level === 'gone'", seconds=STEP_SECONDS)
        axe.must_look(browser, text)
        browser.run(TO_THE_FIRST)
        browser.wait("some came later", "return document.querySelectorAll('.events .later').length > 0 && document.body.classList.contains('past')")
        look("what was")
        browser.run("document.querySelector('.history .head > button').click()")
        browser.write("#value", "so that the page stays")
        own.send_signal(signal.SIGSTOP)
        browser.wait("it is silent", "return !document.querySelector('#silent').hidden && document.querySelector('#silent a') !== null")
        look("fallen silent")
        check(browser.run("return !document.querySelector('#silent').hidden"), "it was silent all the time")
        browser.run(TO_THE_FIRST)
        look("what was, of one that fell silent")
    finally:
        own.send_signal(signal.SIGCONT)
        browser.media()
        browser.open("about:blank")
        browser.complaints()  # what could not be loaded from a node that stands still
        ring.end()


TESTS = [
    draws_what_means_something_so_that_it_is_seen,
    shows_what_is_not_seen_as_escapes,
    shows_what_a_node_has_to_do,
    stays_awake_when_a_thousand_nodes_are_made_up,
]
WITH_AXE = [keeps_nobody_from_what_was_nor_from_what_fell_silent]
