// What has happened since this page was opened: events made of the differences between pictures, and the way back to them.

import { clock, count } from "./angle.js";
import { byId, h, say } from "./dom.js";

/** Pictures and events that are kept, and nodes in all pictures together, each of which is a kilobyte or two: a page may stay open for days. */
const PICTURES_MAX = 2000;
const PICTURED_MAX = 40000;
const EVENTS_MAX = 5000;

/** Events that are in the list at first, and with each look further down: more would make every picture slower. */
const LISTED = 100;

/** What has happened between two pictures: nothing is news until all nodes have been asked once. */
export function eventsBetween(before, now) {
  const events = [];
  if (!now.about.isSettled) return events;
  const add = (kind, node, what) => events.push({ at: now.at, kind, node, what });
  const known = before.at > 0;
  for (const [name, node] of now.nodes) {
    const former = before.nodes.get(name);
    if (!former || former === node) {
      if (!former && known && node.isMember) joined(name, node, add);
      continue;
    }
    happenedTo(name, former, node, now, add);
  }
  for (const name of before.nodes.keys()) {
    if (!now.nodes.has(name)) add("forgotten", name, `${name} is forgotten: it does not answer, and nobody names it`);
  }
  if (!known) {
    add("opened", null, `This page began to look: ${count(now.order.length, "node", "nodes")}`);
    return events;
  }
  const [were, are] = [before.cycles.length, now.cycles.length];
  if (are > were && were === 1) add("cut", null, `The ring fell into ${are} rings`);
  if (were > 1 && are === 1) add("merged", null, "The rings merged into one");
  if (before.isCalm && !now.isCalm && are === 1) add("unrest", null, "Neighbours do not agree");
  if (!before.isCalm && now.isCalm) add("healed", null, "Every node agrees with its neighbours again");
  return events;
}

/** Whoever joins may have been handed over records by the time it is seen. */
function joined(name, node, add) {
  add("joined", name, `${name} joined`);
  handed(name, 0, node, add);
}

function handed(name, had, node, add) {
  const has = node.report.taken_over ?? 0;
  // Whoever becomes a member anew counts from 0.
  const records = has < had ? has : has - had;
  if (records > 0) add("handover", name, `${name} was handed over ${count(records, "record", "records")}`);
}

function happenedTo(name, former, node, now, add) {
  if (former.isThere !== node.isThere) {
    if (former.isExpected) {
      if (node.isMember) joined(name, node, add);
    } else if (node.isThere) add("back", name, `${name} answers${node.isMember ? " again" : ", and is no member"}`);
    else if (former.isMember && !node.hasLeft) add("gone", name, `${name} does not answer any more`);
    else add("left", name, `${name} has ended, after it left the ring`);
    return;
  }
  if (!node.isThere) {
    // Its neighbours' word may come later than that it does not answer.
    if (node.hasLeft && !former.hasLeft) add("left", name, `${name} had left the ring before it ended`);
    return;
  }
  if (former.isMember !== node.isMember) {
    if (node.isMember) joined(name, node, add);
    else add("left", name, `${name} left the ring`);
    return;
  }
  if (former.report.started_at_ms !== node.report.started_at_ms) add("back", name, `${name} was started anew`);
  const suspects = (each) => new Set(each.report.links.filter((link) => link.is_suspect).map((link) => link.node));
  const suspected = suspects(former);
  for (const other of suspects(node)) {
    // Of one that is known not to answer it is no news.
    if (!suspected.has(other) && now.nodes.get(other)?.isThere) add("suspected", name, `${name} suspects ${other}`);
  }
  if (former.predecessor !== node.predecessor && node.predecessor) {
    add("predecessor", name, `${name} answers for what lies behind ${node.predecessor}`);
  }
  handed(name, former.report.taken_over ?? 0, node, add);
  if (former.successor !== node.successor && node.successor) {
    add("successor", name, `${name} takes ${node.successor} for its successor`);
  }
  const [lacked, lacks] = [former.report.copies_missing, node.report.copies_missing];
  if (lacked === 0 && lacks > 0) add("repairing", name, `${name} makes ${count(lacks, "copy", "copies")} anew`);
  if (lacked > 0 && lacks === 0) add("repaired", name, `${name}: every copy is there again`);
}

/** Keeps the pictures, and shows one of them. */
export class History {
  constructor(onShow) {
    this.pictures = [];
    this.events = [];
    this.dropped = 0;
    /** How many events are in the list, at most: more once somebody has looked for them. */
    this.listed = LISTED;
    this.shown = null;
    /** The picture up to which it is told what has happened. */
    this.told = null;
    this.onShow = onShow;
    this.build(byId("history"));
  }

  get isLive() {
    return this.shown === null;
  }

  add(ring) {
    const events = eventsBetween(this.told ?? { at: 0, nodes: new Map() }, ring);
    if (ring.about.isSettled) this.told = ring;
    this.pictures.push(ring);
    this.events.push(...events);
    const most = Math.max(2, Math.min(PICTURES_MAX, Math.floor(PICTURED_MAX / Math.max(1, ring.nodes.size))));
    if (this.pictures.length > most) this.pictures.splice(0, this.pictures.length - most);
    if (this.events.length > EVENTS_MAX) {
      this.dropped += this.events.length - EVENTS_MAX;
      this.events.splice(0, this.events.length - EVENTS_MAX);
    }
    this.list.prepend(...events.slice(-this.listed).map((event) => this.item(event)).reverse());
    this.trim();
    this.draw();
  }

  /** Whether it is known how the ring was then: a picture holds until the next. */
  has(at) {
    return this.pictures.length > 0 && at >= this.pictures[0].at && at <= Math.max(this.pictures.at(-1).at, Date.now());
  }

  /** The picture as it was at that time, or the oldest that is kept. */
  goTo(at) {
    const then = this.pictures.findLast((ring) => ring.at <= at) ?? this.pictures[0];
    this.shown = then ?? null;
    this.draw();
    this.reveal();
    this.onShow();
  }

  goLive() {
    this.shown = null;
    this.draw();
    this.list.scrollTop = 0;
    this.onShow();
  }

  build(section) {
    // What it says the slider says too, and one of them is enough for those who listen.
    this.now = h("output", { class: "when", "aria-live": "off" });
    this.slider = h("input", {
      type: "range",
      min: "0",
      value: "0",
      "aria-label": "Time: go back to what was",
      oninput: () => {
        const idx = Number(this.slider.value);
        if (idx >= this.pictures.length - 1) this.goLive();
        else this.goTo(this.pictures[idx].at);
      },
    });
    this.live = h("button", { type: "button", onclick: () => this.goLive() }, "Back to now");
    this.kept = h("p", { class: "hint", id: "history-kept" });
    this.list = h("ol", { class: "events", "aria-labelledby": "history-title", "aria-describedby": "history-kept", onscroll: () => this.scrolled(), onkeydown: (event) => this.steer(event), onfocusin: (event) => this.hold(event.target) });
    this.older = h("button", { type: "button", class: "link older", onclick: () => this.listMore() });
    section.append(
      h("div", { class: "head" }, h("h2", { id: "history-title" }, "What has happened"), this.now, this.live),
      this.slider,
      this.kept,
      this.list,
      this.older,
    );
  }

  draw() {
    const idx = this.shown === null ? this.pictures.length - 1 : this.pictures.indexOf(this.shown);
    this.slider.max = String(Math.max(0, this.pictures.length - 1));
    this.slider.value = String(Math.max(0, idx));
    const at = (this.shown ?? this.pictures.at(-1))?.at ?? 0;
    const text = this.shown ? `as it was at ${clock(at)}` : "now";
    say(this.now, text);
    this.slider.setAttribute("aria-valuetext", text);
    this.live.hidden = this.shown === null;
    document.body.classList.toggle("past", this.shown !== null);
    this.sayKept();
    this.markLater();
  }

  /** How far back one can look, and how many events there are. */
  sayKept() {
    if (this.events.length === 0) return;
    const events = this.dropped > 0 ? `The newest ${this.events.length.toLocaleString("en")} events, ${this.dropped.toLocaleString("en")} older ones are let go` : count(this.events.length, "event", "events");
    const [first] = this.pictures;
    const isAll = first.at <= this.events[0].at;
    say(this.kept, `${events}, since ${clock(this.events[0].at)}. ${isAll ? "The slider goes back as far." : `Pictures to go back to are kept since ${clock(first.at)}.`}`);
    const more = this.events.length - this.list.childElementCount;
    this.older.hidden = more <= 0;
    say(this.older, `Show older ones (${more.toLocaleString("en")})`);
  }

  item(event) {
    return h("li", { "data-kind": event.kind, "data-at": event.at }, h("button", { type: "button", class: "link", tabindex: "-1", onclick: () => this.goTo(event.at) }, h("time", {}, clock(event.at)), event.what));
  }

  /** Keeps no more in the list than have been asked for. */
  trim() {
    while (this.list.childElementCount > Math.min(this.listed, this.events.length)) this.list.lastElementChild.remove();
    if (!this.list.querySelector('[tabindex="0"]')) this.list.firstElementChild?.firstElementChild.setAttribute("tabindex", "0");
  }

  /** Tab leads to the list, and not to each of its events: arrow keys go from one to the next. */
  steer(event) {
    const at = document.activeElement.closest("li");
    if (!at || at.parentElement !== this.list) return;
    const to = { ArrowDown: at.nextElementSibling, ArrowUp: at.previousElementSibling, Home: this.list.firstElementChild, End: this.list.lastElementChild }[event.key];
    if (!to) return;
    event.preventDefault();
    to.firstElementChild.focus();
  }

  /** The event that has the keyboard is the one that tab leads to the next time. */
  hold(button) {
    for (const one of this.list.querySelectorAll('[tabindex="0"]')) one.setAttribute("tabindex", "-1");
    button.setAttribute("tabindex", "0");
  }

  /** Lists events that are further back. */
  listMore(n = LISTED) {
    const from = this.list.childElementCount;
    const more = this.events.slice(Math.max(0, this.events.length - from - n), this.events.length - from).reverse();
    this.list.append(...more.map((event) => this.item(event)));
    this.listed = Math.max(LISTED, this.list.childElementCount);
    this.sayKept();
    this.markLater();
    return more.length;
  }

  /** The list goes on by itself for who scrolls to its end, and is short again when they are back at its beginning. */
  scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.list;
    if (scrollTop + clientHeight > scrollHeight - clientHeight && this.list.childElementCount < this.events.length) this.listMore();
    if (scrollTop === 0 && this.shown === null && this.listed > LISTED) {
      this.listed = LISTED;
      this.trim();
      this.sayKept();
    }
  }

  /** Pales what happened after the picture that is shown. */
  markLater() {
    const at = this.shown?.at ?? Infinity;
    if (at === this.markedAt && at === Infinity) return;
    this.markedAt = at;
    for (const one of this.list.children) one.classList.toggle("later", Number(one.dataset.at) > at);
  }

  /** Scrolls to the last that had happened by the picture that is shown. */
  reveal() {
    const found = () => [...this.list.children].find((one) => Number(one.dataset.at) <= this.shown.at);
    while (!found() && this.listMore() > 0);
    const one = found();
    if (one && !one.contains(document.activeElement)) this.list.scrollTop = one.offsetTop - this.list.clientHeight / 2;
  }
}
