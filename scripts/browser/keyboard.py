"""Tests of the page for those who use a keyboard alone, or have the page read to them."""

import time
import urllib.error
import urllib.request

import playing
from playing import check, open_page

PHONE = (390, 844)
HAS = "return document.activeElement.id === '%s'"
QUIET_SECONDS = 5

# What has the keyboard: in which part of the page it is, whether that can be seen, and whether it is marked.
STOP = """
const one = document.activeElement;
if (one === document.body) return null;
const box = one.getBoundingClientRect();
const style = getComputedStyle(one);
const part = one.closest('header, #health, .picture, #play, #lessons, #node, #trace, #history, #table, .skip');
return {
  part: part?.id || part?.tagName.toLowerCase() + '.' + (part?.className ?? ''),
  what: one.id || one.getAttribute('aria-label') || one.innerText.slice(0, 30) || one.tagName,
  isSeen: box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight,
  isMarked: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
};
"""
PARTS = ["a.skip", "header.", "health", "section.picture", "play", "lessons", "node", "trace", "history", "table"]


def stored(name, key):
    """The value under a key, as a program reads it; nothing if there is none."""
    try:
        with urllib.request.urlopen(f"http://{name}/v1/kv/{key}", timeout=30) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        check(error.code == 404, f"a read of {key} is answered with {error.code}")
        return None


def puts_gets_and_deletes_by_keyboard_alone(browser, names):
    open_page(browser, names[0])
    is_button = "return document.activeElement.tagName === 'BUTTON' && document.activeElement.textContent === '%s'"
    result = "return document.querySelector('.result').innerText.includes(arguments[0])"
    browser.tab_to(HAS % "key")
    browser.press(*"by-hand")
    browser.tab_to(HAS % "value")
    browser.press(*"typed by hand")
    browser.tab_to(is_button % "Put")
    browser.press("enter")
    browser.wait("it is stored", result, "Stored by")
    check(stored(names[1], "by-hand") == b"typed by hand", "another node has what was typed")
    check(browser.run(is_button % "Put"), "the keyboard is where it was")
    browser.press_back()
    check(browser.run(is_button % "Get"), "get is before put")
    browser.press("space")
    browser.wait("the value is shown", "return document.querySelector('#got')?.innerText === 'typed by hand'")
    browser.tab_to(is_button % "Delete")
    browser.press("space")
    browser.wait("it is deleted", result, "Deleted by")
    check(stored(names[1], "by-hand") is None, "another node has nothing any more")
    check(browser.run(is_button % "Delete"), "the keyboard is where it was")


def kills_by_keyboard_alone(browser, names):
    open_page(browser, names[0])
    before = playing.names_of(names[0])
    browser.tab_to(HAS % "play-add")
    browser.press("enter")
    browser.wait("there is one more", playing.N_MEMBERS, len(before) + 1)
    new = next(name for name in playing.names_of(names[0]) if name not in before)
    browser.wait("the ring is whole", playing.IS_WHOLE, seconds=playing.STEP_SECONDS)
    for _ in range(200):
        browser.press_back()
        if browser.run(HAS % "ring"):
            break
    selected, another = None, "const one = document.querySelector('#ring .node.selected')?.dataset.node; return one === arguments[0] ? null : one"
    for _ in range(len(before) + 2):
        browser.press("right")
        # The picture is drawn a moment later.
        selected = browser.wait("another node is selected", another, selected)
        if selected == new:
            break
    check(selected == new, f"arrow keys lead to {new}: {selected}")
    browser.wait("it can be killed", playing.CAN_CLICK, "#play-kill")
    browser.tab_to(HAS % "play-kill")
    browser.press("enter")
    browser.wait("it does not answer", "return ['unreachable', 'silent'].includes(document.querySelector(`#table tr[data-node=\"${arguments[0]}\"]`)?.dataset.state)", new)
    check(playing.names_of(names[0]) == before, "the others run still")
    browser.wait("it is said that it does not run", "return document.querySelector('#play-about').innerText.includes('does not run')")
    check(browser.run(HAS % "play-kill"), "the keyboard is where it was")
    browser.press("enter")
    time.sleep(0.5)
    check((playing.names_of(names[0]), browser.text("#play-trouble")) == (before, ""), "a button that cannot be used does nothing")
    browser.wait("the others close the ring", playing.IS_WHOLE, seconds=playing.STEP_SECONDS)


def shows_where_the_keyboard_is(browser, names):
    """From the beginning of the page to its end, on a wide screen and on that of a phone."""
    for size in ((), PHONE):
        browser.resize(*size)
        try:
            open_page(browser, names[0])
            browser.run("location.hash = `node=${encodeURIComponent(arguments[0])}&key=stops`", names[1])
            browser.wait("the key is traced", "return document.querySelectorAll('.hops li').length > 0")
            playing.click(browser, "#lessons [data-lesson=join]")
            browser.run("document.activeElement.blur(); window.scrollTo(0, 0); document.querySelector('.skip').focus({ preventScroll: true })")
            stops = [browser.run(STOP)]
            while len(stops) < 200:
                browser.press("tab")
                stop = browser.run(STOP)
                if stop is None or stop["part"] == "a.skip":
                    break
                stops.append(stop)
            hidden = [stop for stop in stops[1:] if not stop["isSeen"] or not stop["isMarked"]]
            check(not hidden, f"at {size or 'full size'} the keyboard is where nobody sees it: {hidden}")
            found = list(dict.fromkeys(stop["part"] for stop in stops))
            expected = [part for part in PARTS if part in found or part != "health"]
            check(found == expected, f"at {size or 'full size'} tab leads to {found} rather than to {expected}")
            in_history = [stop for stop in stops if stop["part"] == "history"]
            check(len(in_history) <= 4, f"tab stops at single events: {in_history}")
            wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
            check(wide[0] <= wide[1], f"the page is wider than the screen: {wide}")
        finally:
            browser.resize()


def can_be_read_on_a_phone(browser, names):
    """What stands in the picture, in pixels of the page."""
    sizes = """
        const scale = document.querySelector('#ring svg').getScreenCTM().a;
        const lines = [...document.querySelectorAll('#ring .labels tspan, #ring .middle tspan')].filter((line) => line.textContent !== '');
        return lines.map((line) => [line.textContent, parseFloat(getComputedStyle(line).fontSize) * scale]);
    """
    browser.resize(*PHONE)
    try:
        open_page(browser, names[0])
        found = browser.run(sizes)
        check(len(found) > len(names), f"there are names and more: {found}")
        small = [line for line in found if line[1] < 9.5]
        check(not small, f"what is too small to be read: {small}")
    finally:
        browser.resize()


def moves_nothing_for_those_who_want_that(browser, names):
    moving = "return document.getAnimations().filter((one) => one.effect.getComputedTiming().iterations === Infinity && one.playState === 'running').length"
    open_page(browser, names[0])
    browser.wait("something moves", f"{moving} > 0")
    browser.media(prefers_reduced_motion="reduce")
    try:
        browser.wait("nothing does", f"{moving} === 0")
        browser.write("#key", "still")
        browser.click("#trace .primary")
        drawn = "return [...document.querySelectorAll('#ring .hop')].every((one) => getComputedStyle(one).strokeDashoffset === '0px') && document.querySelectorAll('.hops li').length > 0"
        browser.wait("the way is drawn all the same", drawn)
    finally:
        browser.media()


LISTEN = """
window.heard = [];
window.listening = new MutationObserver((changes) => {
  for (const { target } of changes) {
    const one = (target.nodeType === Node.TEXT_NODE ? target.parentElement : target)?.closest('[aria-live], [role=status], [role=alert], output');
    if (one && one.getAttribute('aria-live') !== 'off' && one.textContent) window.heard.push(`${one.id || one.className}: ${one.textContent}`);
  }
});
window.listening.observe(document.body, { subtree: true, childList: true, characterData: true });
"""


def tells_those_who_listen_only_news(browser, names):
    """Numbers change all the time while there is load, and nobody wants to have them read."""
    open_page(browser, names[0])
    playing.order(names[0], "load", {"rate": 50})
    try:
        playing.choose(browser, names[1])
        browser.wait("there are writes", f"{playing.COUNT} > 20", "acknowledged")
        browser.wait("the ring is whole", playing.IS_WHOLE, seconds=playing.STEP_SECONDS)
        browser.run(LISTEN)
        before = browser.run(playing.COUNT, "acknowledged")
        time.sleep(QUIET_SECONDS)
        check(browser.run(playing.COUNT, "acknowledged") > before, "numbers have changed")
        heard = browser.run("return window.heard")
        # Under load a copy may be late for one picture, and that is news.
        chatter = [line for line in heard if not line.startswith("verdict:")]
        check(not chatter and len(heard) <= 2, f"nothing has happened, and this is read out: {heard}")
        playing.click(browser, '#node [aria-label="Copy its position"]')
        browser.wait("what one does oneself is said", "return window.heard.some((line) => line.includes('Copied: its position'))")
    finally:
        browser.run("window.listening?.disconnect()")
        playing.order(names[0], "load", {"rate": 0})


TESTS = [
    puts_gets_and_deletes_by_keyboard_alone,
    shows_where_the_keyboard_is,
    can_be_read_on_a_phone,
    moves_nothing_for_those_who_want_that,
    tells_those_who_listen_only_news,
]
# These leave a dead node behind for a minute.
LAST = [kills_by_keyboard_alone]
