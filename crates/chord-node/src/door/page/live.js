// What the page listens to: the node that serves it, and when that one falls silent, another node of the ring.

import { byId, h, say } from "./dom.js";

/** A node says something every two seconds, so it is silent when it has said nothing for this long. */
const SILENT_MS = 4500;

/** How often it is looked whether it is. */
const TICK_MS = 250;

/** With longer between two looks, it was this page that stood still: a computer slept, or a browser saved power. */
const ASLEEP_MS = 3000;

/** Others that are tried at a time, and how long each may take to answer. */
const TRIED_MAX = 6;
const TRY_MS = 1500;

/** The pause before they are tried again, and before the node itself is asked again that has ended the stream. */
const AGAIN_MS = 2000;

/** Listens to the ring. */
export class Live {
  /** `take` is given each picture, `others` names whom to go on at, and `mayLeave` says whether nothing would be lost by it. */
  constructor({ take, others, mayLeave, address }) {
    Object.assign(this, { take, others, mayLeave, address });
    this.heardAt = this.tickedAt = Date.now();
    this.isSilent = false;
    this.seenBy = "";
    setInterval(() => this.tick(), TICK_MS);
    this.listen();
  }

  listen() {
    this.events?.close();
    this.events = new EventSource("/v1/ring/live");
    const hear = (isWhole) => (event) => {
      const said = JSON.parse(event.data);
      this.seenBy = said.seen_by;
      this.pause = said.pause_ms;
      this.heard();
      this.take(said, isWhole);
    };
    this.events.addEventListener("ring", hear(true));
    this.events.addEventListener("changes", hear(false));
    this.events.addEventListener("beat", () => this.heard());
    this.events.addEventListener("error", () => {
      const isOver = this.events.readyState === EventSource.CLOSED;
      if (!this.isSilent) this.state("lost", isOver ? "not connected" : "connection lost, trying again");
      if (isOver) setTimeout(() => this.listen(), AGAIN_MS);
    });
  }

  /** A browser keeps pages that were left for those who go back, with their connections, of which it has six for one address. */
  rest() {
    this.events.close();
    this.isResting = true;
  }

  resume() {
    this.isResting = false;
    this.heardAt = this.tickedAt = Date.now();
    this.listen();
  }

  heard() {
    this.heardAt = Date.now();
    const seconds = (this.pause ?? 0) / 1000;
    this.state("live", seconds < 1 ? "live" : `live, every ${seconds.toFixed(0)} s`);
    if (!this.isSilent) return;
    this.isSilent = false;
    byId("silent").hidden = true;
    document.body.classList.remove("silent");
  }

  state(name, text) {
    byId("live").dataset.state = name;
    say(byId("live"), text);
  }

  tick() {
    const now = Date.now();
    if (now - this.tickedAt > ASLEEP_MS) this.heardAt = now;
    this.tickedAt = now;
    if (this.isResting || this.isSilent || now - this.heardAt < SILENT_MS) return;
    this.isSilent = true;
    document.body.classList.add("silent");
    this.state("silent", "silent");
    this.goOn();
  }

  /** Tries the others until one answers, or this one does again. */
  async goOn() {
    for (let tried = 0; this.isSilent; tried += TRIED_MAX) {
      const others = this.others();
      // Others in turn: those that were tried first may be gone too.
      const first = others.length > 0 ? tried % others.length : 0;
      const names = [...others.slice(first), ...others.slice(0, first)].slice(0, TRIED_MAX);
      // Once: it is an alarm, and each change of it interrupts those who listen.
      if (tried === 0 || names.length === 0) this.tell(names.length > 0 ? "Looking for another node of the ring." : "No other node is known here.");
      const next = await firstOf(names);
      if (!this.isSilent) return;
      if (next !== null) {
        if (this.mayLeave()) {
          this.tell("Going on at ", link(this.address(next), next), ".");
          window.location.assign(this.address(next));
          return;
        }
        this.tell("You have typed something here: go on at ", link(this.address(next), next), " when you are done.");
        return;
      }
      if (names.length > 0) this.tell("No other node of the ring can be reached from here. Trying again.");
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }

  tell(...what) {
    const note = byId("silent");
    const who = this.seenBy || window.location.host;
    note.hidden = false;
    const fresh = h("p", {}, h("strong", {}, `${who} has said nothing for ${(SILENT_MS / 1000).toFixed(1)} s.`), " What is shown is older. ", ...what);
    if (note.textContent !== fresh.textContent) note.replaceChildren(...fresh.childNodes);
  }
}

function link(address, name) {
  return h("a", { href: address }, name);
}

/** The first of these that answers; nothing if none does. What it says, this page cannot read and need not. */
async function firstOf(names) {
  const tries = names.map(async (name) => {
    const options = { mode: "no-cors", cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(TRY_MS) };
    await fetch(`${window.location.protocol}//${name}/page/icon.svg`, options);
    return name;
  });
  return Promise.any(tries).catch(() => null);
}
