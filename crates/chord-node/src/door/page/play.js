// What may be done to the ring of `chord dev`, which is there to be played with: see `dev.js`.

import { count } from "./angle.js";
import { able, announce, byId, h, isAble, say, set } from "./dom.js";

/** How often the node is asked how far it has come with what it was told. */
const LOOK_MS = 1000;

/** How long it may take to say it. */
const WAIT_MS = 5000;

/** Writes in a second, unless the user wants more, and as many as the node takes. */
export const RATE = 50;
const RATE_MAX = 1000;

const EMPTY = { nodes: [], nodes_max: 0, is_cut: false, slowness: 1, load: { rate: 0, keys: 0, acknowledged: 0, unacknowledged: 0, checked: 0, behind: 0, lost: 0, lost_keys: [] } };

/** What is counted of the load: its name, where the node says it, and what it means. */
const COUNTS = [
  ["acknowledged", "acknowledged", "Writes of which the ring has said that they are stored."],
  ["read back", "checked", "How often the last acknowledged write of a key was read, to see whether it is there."],
  ["out of reach", "behind", "Keys that were not found as they were written when they were read last. That may be while the ring is cut or heals, and goes back to 0."],
  ["lost", "lost", "Acknowledged writes that two nodes, one after the other, did not find on a ring that had been whole and quiet for three seconds."],
];

/** The buttons, and the count of lost writes. They are shown only while the node takes orders from this page. */
export class Play {
  constructor(seenBy, onState) {
    this.seenBy = seenBy;
    this.onState = onState;
    this.state = EMPTY;
    /** Whether the last question was answered: under another name, or while it stops, the node refuses. */
    this.works = false;
    this.selected = null;
    this.build(byId("play"));
    this.look();
  }

  /** Gives an order. Returns what the node says, or nothing if it was refused: then it is said why. */
  async order(what, body = {}) {
    say(this.trouble, "");
    try {
      const response = await fetch(`/dev/${what}`, { method: "POST", body: JSON.stringify(body), cache: "no-store" });
      const said = await response.json();
      if (!response.ok) throw new Error(`${said.error[0].toUpperCase()}${said.error.slice(1)}.`);
      if (said.nodes) this.take(said);
      return said;
    } catch (error) {
      say(this.trouble, error instanceof TypeError || error instanceof SyntaxError ? "This node does not answer: is it still running?" : error.message);
      announce(this.trouble.textContent, false);
      return null;
    }
  }

  /** Asks how things are, again and again. */
  async look() {
    if (!document.hidden) {
      const state = await this.ask();
      this.works = state !== null;
      byId("play").hidden = !this.works;
      if (this.works) this.take(state);
      else this.onState();
    }
    setTimeout(() => this.look(), LOOK_MS);
  }

  /** How things are; nothing if the node does not say it now. */
  async ask() {
    try {
      const response = await fetch("/dev/state", { cache: "no-store", signal: AbortSignal.timeout(WAIT_MS) });
      return response.ok ? await response.json() : null;
    } catch {
      return null;
    }
  }

  take(state) {
    this.state = state;
    this.draw();
    this.onState();
  }

  /** Shows the buttons of that node. */
  select(name) {
    if (this.selected === name) return;
    this.selected = name;
    this.draw();
  }

  build(section) {
    const button = (id, text, act) => h("button", { type: "button", id: `play-${id}`, onclick: (event) => isAble(event.currentTarget) && act() }, text);
    const ofNode = (id, text) => button(id, text, () => this.order(this.verb(id), { node: this.selected }));
    this.add = button("add", "Add a node", () => this.order("add"));
    this.cut = button("cut", "Cut in two", () => this.order(this.state.is_cut ? "heal" : "cut"));
    this.ofNode = [ofNode("leave", "Leave"), ofNode("kill", "Kill"), ofNode("freeze", "Freeze")];
    this.about = h("p", { class: "hint", id: "play-about" });
    for (const one of this.ofNode) one.setAttribute("aria-describedby", "play-about");
    this.rate = h("input", { id: "play-rate", type: "number", min: 1, max: RATE_MAX, step: 1, value: RATE, required: true, "aria-describedby": "play-rate-about", oninput: () => this.sayRate(false) });
    this.rateAbout = h("p", { class: "hint", id: "play-rate-about" });
    this.load = h("button", { type: "submit", id: "play-load" }, "Start");
    this.trouble = h("p", { class: "trouble", role: "status", id: "play-trouble" });
    this.lost = h("p", { class: "trouble", role: "status", id: "play-lost" });
    this.counts = h("dl", { class: "counts" });
    const loads = (event) => {
      event.preventDefault();
      if (this.state.load.rate > 0) this.order("load", { rate: 0 });
      else if (this.sayRate(true)) this.order("load", { rate: this.wantedRate });
      else this.rate.focus();
    };
    section.append(
      h("h2", { id: "play-title" }, "Play with the ring"),
      h("div", { class: "row" }, this.add, this.cut),
      this.about,
      h("div", { class: "row" }, this.ofNode),
      // Its own words stay as long as they are true; those of a browser go away after some seconds.
      h("form", { onsubmit: loads, novalidate: true }, h("label", { for: "play-rate" }, "Load: writes in a second"), h("div", { class: "row" }, this.rate, this.load), this.rateAbout),
      this.counts,
      h("p", { class: "hint", id: "play-lost-about" }, "Lost are acknowledged writes that are gone: 0 is good."),
      this.lost,
      h("details", {}, h("summary", {}, "What is counted"), h("dl", { class: "meanings" }, COUNTS.map(([name, , meaning]) => h("div", {}, h("dt", {}, name), h("dd", {}, meaning))))),
      this.trouble,
    );
    this.draw();
  }

  /** Writes in a second, as the field has them; nothing if the node would not take that. */
  get wantedRate() {
    const rate = this.rate.valueAsNumber;
    return Number.isInteger(rate) && rate >= 1 && rate <= RATE_MAX ? rate : null;
  }

  /** Says what the field takes: as a mistake only to those who want to start, until it is none. Returns whether it is none. */
  sayRate(isWanted) {
    const isRight = this.wantedRate !== null || this.state.load.rate > 0;
    const wasWrong = this.rate.getAttribute("aria-invalid") === "true";
    const isWrong = !isRight && (isWanted || wasWrong);
    set(this.rate, { "aria-invalid": isWrong ? "true" : null });
    set(this.rateAbout, { class: isWrong ? "trouble" : "hint" });
    const range = `from 1 to ${RATE_MAX.toLocaleString("en")}`;
    const { rate } = this.state.load;
    say(this.rateAbout, isWrong ? `This takes a whole number ${range}.` : rate > 0 ? `${count(rate, "write", "writes")} in a second, to 500 keys, until you stop it.` : `A whole number ${range}.`);
    if (isWanted && isWrong) announce(this.rateAbout.textContent, false);
    return isRight;
  }

  /** What the third button of a node does now. */
  verb(id) {
    return id === "freeze" && this.node?.is_frozen ? "thaw" : id;
  }

  get node() {
    return this.state.nodes.find(({ node }) => node === this.selected);
  }

  draw() {
    const { state, node } = this;
    say(this.cut, state.is_cut ? "Heal the cut" : "Cut in two");
    able(this.add, state.nodes.length < state.nodes_max);
    const isOwn = this.selected !== null && this.selected === this.seenBy();
    this.ofNode.forEach((button, idx) => able(button, node && !isOwn && !(idx < 2 && node.is_leaving) && !(idx === 0 && node.is_frozen)));
    say(this.ofNode[2], node?.is_frozen ? "Thaw" : "Freeze");
    say(this.about, this.words(node, isOwn));
    say(this.load, state.load.rate > 0 ? "Stop" : "Start");
    this.rate.readOnly = state.load.rate > 0;
    // Who opens the page while there is load sees how much.
    if (state.load.rate > 0) this.rate.value = state.load.rate;
    this.sayRate(false);
    this.count();
  }

  words(node, isOwn) {
    if (isOwn) return `${this.selected} shows you this page: select another node, to stop it.`;
    if (!node) return this.selected ? `${this.selected} does not run.` : "Select a node to have it leave, to kill or to freeze it.";
    const state = node.is_frozen ? " and frozen" : node.is_leaving ? " and leaving" : "";
    return `${node.node} is selected${state}${node.is_apart ? ", beyond the cut" : ""}.`;
  }

  count() {
    const { load } = this.state;
    if (this.counts.childElementCount === 0) {
      for (const [name] of COUNTS) this.counts.append(h("div", {}, h("dt", {}, name), h("dd", { "data-count": name })));
    }
    COUNTS.forEach(([name, of], idx) => {
      const cell = this.counts.children[idx].lastChild;
      say(cell, load[of].toLocaleString("en"));
      set(cell, { class: name === "lost" ? (load.lost > 0 ? "trouble" : "good") : null });
    });
    const more = load.lost > load.lost_keys.length ? " and more" : "";
    say(this.lost, load.lost > 0 ? `${count(load.lost, "acknowledged write is", "acknowledged writes are")} gone: ${load.lost_keys.join(", ")}${more}.` : "");
  }
}
