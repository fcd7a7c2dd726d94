// Elements, made of parts. Whatever comes from a node or a user becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** What steers, turns the line round or shows nothing, as the terminal has it too: of names that look alike one may have these. */
const UNSEEN = /[\p{Cc}\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{13430}-\u{1343f}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
const SHORT = { "\0": "\\0", "\t": "\\t", "\n": "\\n", "\r": "\\r" };

/** In a value these belong to what is to be read: lines, tabs, and what joins and shapes letters. */
const OF_TEXT = /[\n\t\u200b-\u200d\ufe00-\ufe0f]/u;

const escape = (letter) => SHORT[letter] ?? `\\u{${letter.codePointAt(0).toString(16)}}`;

/** The text with escapes in the place of what is not seen. */
export function visible(text) {
  return String(text).replace(UNSEEN, escape);
}

/** The same of a value, which may have several lines. */
export function visibleValue(text) {
  return text.replace(UNSEEN, (letter) => (OF_TEXT.test(letter) ? letter : escape(letter)));
}

/** Attributes that are read by people. */
const READ = new Set(["aria-label", "title", "aria-valuetext"]);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, READ.has(name) ? visible(value) : value);
    }
  }
  const parts = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  element.append(...parts.map((part) => (part instanceof Node ? part : visible(part))));
  return element;
}

/** An element of the page. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of a picture. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function byId(id) {
  return document.getElementById(id);
}

/** Sets attributes that differ, so that nothing is drawn anew without need. */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    const text = value === null || value === undefined || value === false ? null : value === true ? "" : READ.has(name) ? visible(value) : String(value);
    if (element.getAttribute(name) === text) continue;
    if (text === null) element.removeAttribute(name);
    else element.setAttribute(name, text);
  }
  return element;
}

/** Makes one element like another that was made anew, and keeps what is the same: so nobody loses what they click or read.
What has another `data-key` is another thing, and takes the place of the old one. */
export function update(old, fresh) {
  const differs = ["nodeType", "nodeName"].some((name) => old[name] !== fresh[name]) || old.dataset?.key !== fresh.dataset?.key;
  if (differs || old.childNodes.length !== fresh.childNodes.length) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return undefined;
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  const children = [...fresh.childNodes];
  [...old.childNodes].forEach((child, idx) => update(child, children[idx]));
  return undefined;
}

/** Sets the text, if it differs. */
export function say(element, text) {
  const seen = visible(text);
  if (element.textContent !== seen) element.textContent = seen;
  return element;
}

/** Whether a button can be used: one that cannot keeps the keyboard, which would get lost with it. */
export function able(button, can) {
  return set(button, { "aria-disabled": can ? null : "true" });
}

export function isAble(button) {
  return button.getAttribute("aria-disabled") !== "true";
}

/** How long the page may draw before it looks whether its user wants something. */
const SLICE_MS = 25;

/** Draws step by step, with a pause whenever that has taken a while: a liar may name a thousand nodes. */
export async function inSlices(steps) {
  let began = performance.now();
  while (!steps.next().done) {
    if (performance.now() - began < SLICE_MS) continue;
    await new Promise((done) => setTimeout(done));
    began = performance.now();
  }
}

/** Children by name that are kept from one picture to the next. */
export class Keyed {
  constructor(parent) {
    this.parent = parent;
    this.children = new Map();
    this.used = new Set();
  }

  /** The child of that name, which `make` makes. */
  get(name, make) {
    this.used.add(name);
    let child = this.children.get(name);
    if (!child) {
      child = make();
      this.children.set(name, child);
      this.parent.append(child);
    }
    return child;
  }

  /** Removes those that were not asked for since. */
  sweep() {
    for (const [name, child] of this.children) {
      if (!this.used.has(name)) {
        child.remove();
        this.children.delete(name);
      }
    }
    this.used.clear();
  }
}

/** Tells those who listen to the page, and shows it for a while. */
export function announce(text, isShown = true) {
  const said = byId("said");
  said.classList.toggle("quiet", !isShown);
  said.textContent = visible(text);
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => (said.textContent = ""), 4000);
}

/** A button that copies a text, or what the function returns that is given for it. */
export function copyButton(what, text) {
  return h("button", {
    type: "button",
    class: "copy",
    "aria-label": `Copy ${what}`,
    "data-key": typeof text === "string" ? `copy ${text}` : null,
    title: `Copy ${what}`,
    onclick: () => copy(what, typeof text === "string" ? text : text()),
  });
}

export async function copy(what, text) {
  let isCopied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    isCopied = copyUnasked(text);
  }
  announce(isCopied ? `Copied: ${what}` : `This browser lets the page copy nothing: ${what} is not copied.`);
}

/** Copies where there is no clipboard to ask for. */
function copyUnasked(text) {
  const area = h("textarea", { class: "off" });
  // Something has to be selected, and a field would make other lines of it.
  area.value = "-";
  area.addEventListener("copy", (event) => {
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
  });
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}
