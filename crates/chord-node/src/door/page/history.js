// What has happened since this page was opened: events made of the differences between pictures, and the way back to them.

import { clock, count } from "./angle.js";
import { byId, h, say } from "./dom.js";

/** Pictures and events that are kept, and nodes in all pictures together, each of which is a kilobyte or two: a page may stay open for days. */
const PICTURES_MAX = 2000;
const PICTURED_MAX = 40000;
const EVENTS_MAX = 500;
const LISTED_MAX = 60;

/** What has happened between two pictures. */
export function eventsBetween(before, now) {
  const events = [];
  const add = (kind, node, what) => events.push({ at: now.at, kind, node, what });
  const known = before.at > 0;
  for (const [name, node] of now.nodes) {
    const former = before.nodes.get(name);
    if (!former || former === node) {
      if (!former && known && node.isMember) add("joined", name, `${name} joined`);
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

function happenedTo(name, former, node, now, add) {
  if (former.isThere !== node.isThere) {
    if (node.isThere) add(node.isMember ? "back" : "left", name, `${name} answers${node.isMember ? " again" : ", and is no member"}`);
    else add("gone", name, `${name} does not answer any more`);
    return;
  }
  if (!node.isThere) return;
  if (former.isMember !== node.isMember) {
    add(node.isMember ? "joined" : "left", name, node.isMember ? `${name} joined` : `${name} left the ring`);
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
    add("handover", name, `${name} answers for what lies behind ${node.predecessor}`);
  }
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
    this.shown = null;
    this.onShow = onShow;
    this.build(byId("history"));
  }

  get isLive() {
    return this.shown === null;
  }

  add(ring) {
    const last = this.pictures.at(-1);
    const events = eventsBetween(last ?? { at: 0, nodes: new Map() }, ring);
    this.pictures.push(ring);
    this.events.push(...events);
    const most = Math.max(2, Math.min(PICTURES_MAX, Math.floor(PICTURED_MAX / Math.max(1, ring.nodes.size))));
    if (this.pictures.length > most) this.pictures.splice(0, this.pictures.length - most);
    if (this.events.length > EVENTS_MAX) this.events.splice(0, this.events.length - EVENTS_MAX);
    this.draw(events.length > 0);
  }

  /** The picture as it was at that time. */
  goTo(at) {
    const then = this.pictures.findLast((ring) => ring.at <= at) ?? this.pictures[0];
    this.shown = then ?? null;
    this.draw(true);
    this.onShow();
  }

  goLive() {
    this.shown = null;
    this.draw(true);
    this.onShow();
  }

  build(section) {
    this.now = h("output", { class: "when" });
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
    this.list = h("ol", { class: "events" });
    section.append(
      h("div", { class: "head" }, h("h2", { id: "history-title" }, "What has happened"), this.now, this.live),
      this.slider,
      this.list,
    );
  }

  draw(hasNews) {
    const idx = this.shown === null ? this.pictures.length - 1 : this.pictures.indexOf(this.shown);
    this.slider.max = String(Math.max(0, this.pictures.length - 1));
    this.slider.value = String(Math.max(0, idx));
    const at = (this.shown ?? this.pictures.at(-1))?.at ?? 0;
    const text = this.shown ? `as it was at ${clock(at)}` : "now";
    say(this.now, text);
    this.slider.setAttribute("aria-valuetext", text);
    this.live.hidden = this.shown === null;
    document.body.classList.toggle("past", this.shown !== null);
    if (!hasNews) return;
    const shown = this.events.slice(-LISTED_MAX).reverse();
    this.list.replaceChildren(
      ...shown.map((event) =>
        h(
          "li",
          { "data-kind": event.kind, class: this.shown && event.at > this.shown.at ? "later" : null },
          h("button", { type: "button", class: "link", onclick: () => this.goTo(event.at) }, h("time", {}, clock(event.at)), event.what),
        ),
      ),
    );
  }
}
