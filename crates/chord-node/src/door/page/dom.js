// Elements, made of parts. Whatever comes from a node or a user becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
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
    const text = value === null || value === undefined || value === false ? null : value === true ? "" : String(value);
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
  if (element.textContent !== text) element.textContent = text;
  return element;
}

/** Whether a button can be used: one that cannot keeps the keyboard, which would get lost with it. */
export function able(button, can) {
  return set(button, { "aria-disabled": can ? null : "true" });
}

export function isAble(button) {
  return button.getAttribute("aria-disabled") !== "true";
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
  said.textContent = text;
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => (said.textContent = ""), 4000);
}

/** A button that copies a text. */
export function copyButton(what, text) {
  return h("button", {
    type: "button",
    class: "copy",
    "aria-label": `Copy ${what}`,
    "data-key": `copy ${text}`,
    title: `Copy ${what}`,
    onclick: () => copy(what, text),
  });
}

export async function copy(what, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "off" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  announce(`Copied: ${what}`);
}
