// What may be done to the ring of `chord dev`, which is there to be played with: see `dev.js`.

import { announce, byId, h, say, set } from "./dom.js";

/** How often the node is asked how far it has come with what it was told. */
const LOOK_MS = 1000;

/** How long it may take to say it. */
const WAIT_MS = 5000;

/** Writes in a second, unless the user wants more. */
const RATE = 50;

const EMPTY = { nodes: [], nodes_max: 0, is_cut: false, slowness: 1, load: { rate: 0, keys: 0, acknowledged: 0, unacknowledged: 0, checked: 0, behind: 0, lost: 0, lost_keys: [] } };

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
    const button = (id, text, act) => h("button", { type: "button", id: `play-${id}`, onclick: act }, text);
    const ofNode = (id, text) => button(id, text, () => this.order(this.verb(id), { node: this.selected }));
    this.add = button("add", "Add a node", () => this.order("add"));
    this.cut = button("cut", "Cut in two", () => this.order(this.state.is_cut ? "heal" : "cut"));
    this.ofNode = [ofNode("leave", "Leave"), ofNode("kill", "Kill"), ofNode("freeze", "Freeze")];
    this.about = h("p", { class: "hint", id: "play-about" });
    for (const one of this.ofNode) one.setAttribute("aria-describedby", "play-about");
    this.rate = h("input", { id: "play-rate", type: "number", min: 1, max: 1000, value: RATE, required: true });
    this.load = h("button", { type: "submit", id: "play-load" }, "Start");
    this.trouble = h("p", { class: "trouble", role: "status", id: "play-trouble" });
    this.counts = h("dl", { class: "counts" });
    const loads = (event) => {
      event.preventDefault();
      this.order("load", { rate: this.state.load.rate > 0 ? 0 : Number(this.rate.value) });
    };
    section.append(
      h("h2", { id: "play-title" }, "Play with the ring"),
      h("div", { class: "row" }, this.add, this.cut),
      this.about,
      h("div", { class: "row" }, this.ofNode),
      h("form", { onsubmit: loads }, h("label", { for: "play-rate" }, "Load: writes in a second"), h("div", { class: "row" }, this.rate, this.load)),
      this.counts,
      this.trouble,
    );
    this.draw();
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
    this.add.disabled = state.nodes.length >= state.nodes_max;
    const isOwn = this.selected !== null && this.selected === this.seenBy();
    this.ofNode.forEach((button, idx) => (button.disabled = !node || isOwn || (idx < 2 && node.is_leaving) || (idx === 0 && node.is_frozen)));
    say(this.ofNode[2], node?.is_frozen ? "Thaw" : "Freeze");
    say(this.about, this.words(node, isOwn));
    say(this.load, state.load.rate > 0 ? "Stop" : "Start");
    this.rate.readOnly = state.load.rate > 0;
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
    const counts = [
      ["acknowledged", load.acknowledged, "writes that the ring has acknowledged"],
      ["read back", load.checked, "times that the last acknowledged write of a key was read"],
      ["out of reach", load.behind, "keys that were not found as written when they were read last, while the ring is cut or heals"],
      ["lost", load.lost, "acknowledged writes that two nodes of a whole and quiet ring did not find"],
    ];
    if (this.counts.childElementCount === 0) {
      for (const [name, , title] of counts) this.counts.append(h("div", { title }, h("dt", {}, name), h("dd", { "data-count": name })));
    }
    counts.forEach(([name, value], idx) => {
      const cell = this.counts.children[idx].lastChild;
      say(cell, value.toLocaleString("en"));
      set(cell, { class: name === "lost" ? (value > 0 ? "trouble" : "good") : null });
    });
    if (load.lost > 0) say(this.trouble, `Lost: ${load.lost_keys.join(", ")}${load.lost > load.lost_keys.length ? " and more" : ""}.`);
  }
}
