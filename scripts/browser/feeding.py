"""Tests of what the page makes of more than a small ring has to tell: events are put into its stream behind those of the node."""

import json

from playing import IS_WHOLE, check, open_page

# What the page listens to, so that a test can say something there too, in the words of the node's last whole picture; and what the
# node itself has told.
LISTENER = """
const Heard = window.EventSource;
window.told = [];
window.EventSource = class extends Heard {
  constructor(...all) {
    super(...all);
    window.stream = this;
    this.addEventListener('ring', (event) => (window.picture = JSON.parse(event.data)));
    for (const kind of ['ring', 'changes']) this.addEventListener(kind, (event) => event.isTrusted && window.told.push(JSON.parse(event.data)));
    // While a test says how the ring is, the node does not, but for that it is there.
    for (const kind of ['ring', 'changes']) this.addEventListener(kind, (event) => event.isTrusted && window.isFed && event.stopImmediatePropagation());
  }
};
window.feed = (kind, what) => window.stream.dispatchEvent(new MessageEvent(kind, { data: JSON.stringify({ ...window.picture, at_ms: Date.now(), nodes: [], gone: [], ...what }) }));
window.startAnew = (times) => {
  const nodes = window.picture.nodes.filter(({ report }) => report); // one that has just left tells nothing
  for (let idx = 0; idx < times; idx += nodes.length) {
    for (const node of nodes) node.report.started_at_ms += 1;
    window.feed('changes', { nodes });
  }
};
"""
LISTED = "return document.querySelectorAll('.events li').length"
KEPT = "return document.querySelector('#history-kept').innerText"


def listened(browser):
    """Has all pages that are opened heard, and such that can be fed; returns how to undo that."""
    added = browser.devtools("Page.addScriptToEvaluateOnNewDocument", source=LISTENER)
    return lambda: browser.devtools("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


def fed(browser, name):
    """Opens the page of a node as one that can be fed; returns how to undo that."""
    undo = listened(browser)
    open_page(browser, name)
    return undo


def reason(idx, severity="heals"):
    return {"code": "not-ready", "severity": severity, "node": None, "sentence": f"Reason {idx}.", "next": "Wait."}


def shows_every_reason_to_those_who_want_them(browser, names):
    undo = fed(browser, names[0])
    shown = "return [...document.querySelectorAll('#reasons [data-code]')].map((one) => one.innerText)"
    button = "return [document.querySelector('#more-reasons').hidden, document.querySelector('#more-reasons').innerText]"
    try:
        check(browser.run(button)[0], "of a whole ring there is no more to say")
        browser.run("window.isFed = true")

        def say(n_told, more):
            health = {"severity": "heals", "verdict": "The ring is healing", "detail": None, "reasons": [reason(idx) for idx in range(n_told)], "more": more}
            browser.run("window.feed('changes', JSON.parse(arguments[0]))", json.dumps({"health": health}))
            browser.wait("it is shown", "return document.querySelector('#verdict').innerText === 'The ring is healing'")

        say(16, 5)
        browser.wait("three are shown", f"{shown}.length === 3")
        check(browser.run(button) == [False, "Show 13 more reasons"], f"it is said how many more there are to be shown: {browser.run(button)}")
        browser.tab_to("return document.activeElement.id === 'more-reasons'")
        browser.press("enter")
        browser.wait("all are shown", f"{shown}.length === 16")
        check(browser.run(shown)[15] == "Reason 15. Wait.", "the last one is")
        check("5 more reasons are not told" in browser.text("#reasons"), "and how many the node has not told")
        check(browser.run("return document.activeElement.id") == "more-reasons", "the keyboard is where it was")
        say(4, 0)
        browser.wait("the four that are left are shown", f"{shown}.length === 4")
        browser.press("enter")
        browser.wait("three are again", f"{shown}.length === 3")
        check(browser.run(button)[1] == "Show 1 more reason", "one is hidden")
        say(2, 0)
        browser.wait("two are shown", f"{shown}.length === 2")
        check(browser.run(button)[0], "there is no more to show")
    finally:
        undo()


def says_no_time_that_cannot_be(browser, names):
    """A node that says absurd things of when it was started, and dies."""
    undo = fed(browser, names[0])
    try:
        browser.run("window.isFed = true; location.hash = `node=${encodeURIComponent(arguments[0])}`", names[1])
        for started in (2**64 - 1, -5, 0, 9 * 10**15, "soon"):
            script = """
                const [node] = structuredClone(window.picture.nodes.filter(({ node }) => node === arguments[0]));
                node.report.started_at_ms = arguments[1];
                window.feed('changes', { nodes: [node] });
            """
            browser.run(script, names[1], started)
            up = "return [...document.querySelectorAll('#node .facts > div')].filter((one) => one.children[0].innerText === 'up for').map((one) => one.children[1].innerText)"
            browser.wait(f"nothing is made of {started!r} while it is there", f"{up}.join() === 'it does not say sensibly'")
            browser.run("const { report, ...node } = window.picture.nodes.find(({ node }) => node === arguments[0]); window.feed('changes', { nodes: [{ ...node, answer: 'unreachable', because: 'nobody serves there' }] })", names[1])
            browser.wait(f"nor of {started!r} when it is gone", "return document.querySelector('#node').innerText.includes('It does not say sensibly when it was started, and had ')")
            check("Invalid" not in browser.text("body") and "NaN" not in browser.text("body"), f"nor is anything said of {started!r} elsewhere")
    finally:
        undo()


def keeps_what_has_happened_and_lists_all_of_it(browser, names):
    undo = fed(browser, names[0])
    try:
        browser.wait("the ring is whole", IS_WHOLE, seconds=60)
        browser.run("window.isFed = true")
        began = browser.run(LISTED)
        browser.run("window.startAnew(arguments[0])", 250)
        browser.wait("it is said how many there are", f"{KEPT}.startsWith(`${{arguments[0]}} events, since`)", began + 250)
        check(browser.run(LISTED) == 100, "not all are listed unasked")
        browser.run("const list = document.querySelector('.events'); list.scrollTop = list.scrollHeight")
        browser.wait("more are listed for who scrolls there", f"{LISTED} > 100")
        browser.run("document.querySelector('.events').scrollTop = 0")
        browser.wait("and not for ever", f"{LISTED} === 100")
        while browser.run("return !document.querySelector('.older').hidden"):
            browser.run("document.querySelector('.older').click()")
        browser.wait("all are listed", f"{LISTED} === arguments[0]", began + 250)
        check("began to look" in browser.run("return document.querySelector('.events li:last-child').innerText"), "the first is the last in the list")
        browser.run("const one = document.querySelector('.history input'); one.value = 0; one.dispatchEvent(new Event('input'))")
        in_view = """
            const list = document.querySelector('.events');
            const [box, one] = [list, list.querySelector('li:not(.later)')].map((each) => each.getBoundingClientRect());
            return one.top >= box.top - 2 && one.bottom <= box.bottom + 2;
        """
        browser.wait("who goes back sees what happened then", in_view)
        browser.click(".history .head > button")
        browser.run("window.startAnew(arguments[0])", 5200)
        browser.wait("the oldest are let go, which is said", f"{KEPT}.startsWith('The newest 5,000 events') && {KEPT.removeprefix('return ')}.includes(`${{arguments[0]}} older ones are let go`)", began + 450)
        check(browser.run(LISTED) <= 400, "the list is not made longer by what happens")
    finally:
        undo()


TESTS = [
    says_no_time_that_cannot_be,
    shows_every_reason_to_those_who_want_them,
    keeps_what_has_happened_and_lists_all_of_it,
]
