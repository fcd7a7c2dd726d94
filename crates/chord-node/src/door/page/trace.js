// A key: the way to its owner hop by hop, who keeps it and whether they agree, and get, put and delete.

import { brief, micros, percent } from "./angle.js";
import { able, announce, byId, copyButton, h, isAble, say, visible, visibleValue } from "./dom.js";
import { nodeLink } from "./node.js";

/** Letters of a value that are shown. */
const SHOWN_MAX = 2000;

/** How long an answer is waited for: longer than a node works on one. */
const ANSWER_MS = 20000;

/** Keys that are tried for one that another node owns. */
const LESSON_KEYS_MAX = 16;

/** How often, and after which pause, it is seen whether every copy is made: some tenths of a second, as a rule. */
const COPIES_TRIES_MAX = 20;
const COPIES_PAUSE_MS = 200;

/** The form for a key, and what came of it. */
export class Trace {
  constructor(current, select, onTrace) {
    this.current = current;
    this.select = select;
    this.onTrace = onTrace;
    this.key = h("input", { id: "key", type: "text", autocomplete: "off", spellcheck: "false", maxlength: 4096, required: true, placeholder: "greeting", "aria-describedby": "key-about" });
    // What is not seen in the field is said below it.
    this.about = h("p", { class: "hint", id: "key-about", hidden: true });
    // A key of the address which the field cannot hold, until something is typed there.
    this.held = null;
    this.key.addEventListener("input", () => {
      this.held = null;
      this.sayKey();
    });
    this.value = h("textarea", { id: "value", rows: 2, spellcheck: "false", placeholder: "what to put" });
    this.result = h("div", { class: "result", role: "status" });
    this.way = h("div", { class: "way" });
    const button = (text, act, kind) => h("button", { type: "button", class: kind, onclick: () => this.run(act) }, text);
    this.form = h(
      "form",
      { onsubmit: (event) => { event.preventDefault(); this.run(() => this.trace()); } },
      h("label", { for: "key" }, "Key"),
      h("div", { class: "row" }, this.key, h("button", { type: "submit", class: "primary" }, "Trace")),
      this.about,
      h("label", { for: "value" }, "Value"),
      this.value,
      h("div", { class: "row" }, button("Get", () => this.get()), button("Put", () => this.put()), button("Delete", () => this.remove(), "danger")),
    );
    byId("trace").append(h("h2", {}, "Trace a key"), this.form, this.result, this.way);
  }

  /** Does something with the key that is typed, or with another, and says what came of it. */
  async run(act, isTyped = true) {
    const buttons = [...this.form.querySelectorAll("button")];
    this.sayKey();
    if (!buttons.every(isAble) || (isTyped && !this.form.reportValidity())) return;
    buttons.forEach((button) => able(button, false));
    try {
      await act();
    } catch (error) {
      const isSilent = error instanceof TypeError || error.name === "TimeoutError";
      this.say("trouble", isSilent ? "This node does not answer: is it still running?" : error.message);
    } finally {
      buttons.forEach((button) => able(button, true));
    }
  }

  /** The key that everything here is about. */
  get wanted() {
    return this.held ?? this.key.value;
  }

  /** Takes a key that was not typed. A field of one line drops line breaks, and what is left is another key: so it shows such a
  key escaped. */
  take(key) {
    this.key.value = key;
    this.held = this.key.value === key ? null : key;
    if (this.held !== null) this.key.value = visible(key);
    this.sayKey();
  }

  /** Some of the key may not be seen, or turn the line round. */
  sayKey() {
    const seen = visible(this.wanted);
    const isHeld = this.held !== null;
    this.about.hidden = !isHeld && seen === this.key.value;
    const held = " with its line breaks, which cannot be typed here: as soon as the field is changed, the key is what stands there letter by letter";
    say(this.about, this.about.hidden ? "" : `It is ${seen}${isHeld ? held : ""}`);
  }

  /** The path of what is asked about the key. */
  path(of, key) {
    if (key === "." || key === "..") throw new Error("A browser takes this key for a step in a path: use a batch, or curl --path-as-is.");
    return `/v1/${of}/${encodeURIComponent(key)}`;
  }

  async ask(of, options = {}, key = this.wanted) {
    const began = performance.now();
    const response = await fetch(this.path(of, key), { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS), ...options });
    const took = performance.now() - began;
    const isText = (response.headers.get("content-type") ?? "").includes("json");
    // There is nothing, or there is something already where that was asked.
    if (response.ok || (of === "kv" && [404, 412].includes(response.status))) return { response, took };
    const problem = isText ? await response.json() : {};
    throw new Error(problem.detail ? `${problem.detail[0].toUpperCase()}${problem.detail.slice(1)}.` : `The node answered with ${response.status}.`);
  }

  /** What is typed meanwhile is not what was asked. */
  async trace(key = this.wanted) {
    const { response } = await this.ask("trace", {}, key);
    this.found = { key, ...(await response.json()) };
    this.say("", null);
    this.draw();
    this.onTrace(this.found);
    announce(`${this.found.owner.node} owns the key, ${this.found.hops} ${this.found.hops === 1 ? "hop" : "hops"} away`, false);
  }

  /** Traces a key of its own, which this node does not own, once every copy of it is made. What is typed stays, and so does
  what is stored under that key. */
  async lesson() {
    let key;
    for (let tries = 0; tries < LESSON_KEYS_MAX; tries += 1) {
      key = tries === 0 ? "lesson" : `lesson-${tries}`;
      const { hops } = await (await this.ask("lookup", {}, key)).response.json();
      if (hops > 0) break;
    }
    const { copies } = await (await this.ask("copies", {}, key)).response.json();
    if (!copies.some(({ has }) => has === "value")) await this.ask("kv", { method: "PUT", body: "what is to be learned", headers: { "If-None-Match": "*" } }, key);
    for (let tries = 0; tries < COPIES_TRIES_MAX; tries += 1) {
      const { do_agree: doAgree } = await (await this.ask("copies", {}, key)).response.json();
      if (doAgree) break;
      await new Promise((done) => setTimeout(done, COPIES_PAUSE_MS));
    }
    await this.trace(key);
    if (this.key.value === "") this.key.value = key;
    this.say("", `The lesson traced the key ${key}.`);
  }

  async get() {
    const { response, took } = await this.ask("kv");
    const from = response.headers.get("chord-owner");
    if (response.status === 404) return this.say("", `Nothing is stored under this key. ${from ? `${from} says so.` : ""}`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const { what, whole, shown, note } = readable(bytes);
    const about = h("p", {}, `${bytes.length.toLocaleString("en")} bytes from ${from}, in ${took.toFixed(1)} ms. Version ${response.headers.get("etag") ?? "unknown"}.`);
    const value = h("pre", { id: "got" }, document.createTextNode(visibleValue(shown)));
    this.say("", h("div", {}, about, value, note ? h("p", { class: "hint", id: "got-about" }, note) : null, copyButton(what, whole)));
    return undefined;
  }

  async put() {
    const { response, took } = await this.ask("kv", { method: "PUT", body: this.value.value });
    this.say("", `Stored by ${response.headers.get("chord-owner")}, ${response.headers.get("chord-copies")} copies, in ${took.toFixed(1)} ms.`);
    await this.again();
  }

  async remove() {
    const { response } = await this.ask("kv", { method: "DELETE" });
    this.say("", response.status === 404 ? "Nothing was stored under this key." : `Deleted by ${response.headers.get("chord-owner")}.`);
    await this.again();
  }

  /** The copies have changed. */
  async again() {
    if (this.found?.key !== this.wanted) return;
    const { copies, do_agree, verdict } = await (await this.ask("copies")).response.json();
    Object.assign(this.found, { copies, do_agree, verdict });
    this.draw();
  }

  say(kind, content) {
    this.result.className = `result ${kind}`;
    this.result.replaceChildren(...(content === null ? [] : [content]));
  }

  /** Shows the way, in the words of the node that was asked. */
  draw() {
    const { found } = this;
    if (!found) return;
    const ring = this.current();
    const link = (name) => nodeLink(ring, name, this.select);
    const hops = found.steps.map(({ node, next, sentence, took_us: us, round_trip_us: usual, leap }) => {
      // Nodes of other programs and older ones do not tell what they waited for.
      const took = (us ?? null) !== null ? `took ${micros(us)}` : usual === null ? null : `usually ${micros(usual)} away`;
      const part = leap === null ? null : `${percent(leap)} of the way to the key`;
      const more = [took, part].filter((text) => text !== null && next !== null).join(" · ");
      return h("li", { class: next === null ? "owner" : null }, link(node), h("p", {}, `${sentence}.`), more ? h("p", { class: "hint" }, more) : null);
    });
    const rows = found.copies.map(({ node, has, words, version }, idx) =>
      h("li", { "data-has": has }, link(node), ` ${idx === 0 ? "(owner) " : ""}${words}`, version ? h("code", { title: version }, ` ${briefVersion(version)}`) : null),
    );
    this.way.replaceChildren(
      h("p", { class: "found" }, "The key lies at ", h("code", { title: found.position }, brief(found.position)), copyButton("its position", found.position), ` and was found in ${micros(found.took_us)}, with ${found.hops === 1 ? "one hop" : `${found.hops} hops`}.`),
      h("h3", {}, "The way to its owner"),
      h("ol", { class: "hops" }, hops),
      h("h3", {}, "Who keeps it"),
      h("ul", { class: "copies" }, rows),
      h("p", { class: found.do_agree ? "hint" : "trouble" }, found.verdict),
    );
  }
}

/** When a version was written and by whom, without most of the digits. */
function briefVersion(version) {
  const [ms, again, writer] = version.split(".");
  return writer ? `${ms}.${again}.${brief(writer)}` : version;
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

/** A value as text, or as hexadecimal digits where it is none: what that is called, all of it, which is made when it is wanted,
what is shown of it, and what to say of that. */
function readable(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const { start, n, isAll } = beginning(text);
    const note = isAll ? null : `Only its first ${n.toLocaleString("en")} letters are shown. The button copies all of it.`;
    return { what: "the value", whole: () => text, shown: isAll ? text : `${start}…`, note };
  } catch {
    const start = bytes.slice(0, SHOWN_MAX / 4);
    const isAll = start.length === bytes.length;
    const part = isAll ? "" : `Only its first ${start.length.toLocaleString("en")} bytes are shown. The button copies all of them. `;
    const note = `${part}It is no text, so it is shown, and copied, as hexadecimal digits.`;
    return { what: "the value as hexadecimal digits", whole: () => hex(bytes), shown: isAll ? hex(start) : `${hex(start)} …`, note };
  }
}

/** The first letters of a text, no half ones, how many they are, and whether that is all. */
function beginning(text) {
  let [at, n] = [0, 0];
  for (; n < SHOWN_MAX && at < text.length; n += 1) at += text.codePointAt(at) > 0xffff ? 2 : 1;
  return { start: text.slice(0, at), n, isAll: at === text.length };
}
