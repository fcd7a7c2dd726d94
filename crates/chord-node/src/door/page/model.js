// What is known of the ring: each node's own answer, and what follows from all of them together.

import { sweep, turn } from "./angle.js";

/** The owners' colours, none of which is that of trouble; see style.css. */
const HUES = 6;

/** What is said before anything was seen. */
const UNSEEN = { severity: "waiting", verdict: "Looking at the ring", detail: null, reasons: [], more: 0 };

/** A node as it is shown. */
class Node {
  constructor(seen, before) {
    this.name = seen.node;
    this.position = seen.position;
    this.answer = seen.answer;
    this.because = seen.because ?? null;
    this.report = seen.report;
    this.last = seen.report ?? before?.last ?? null;
  }

  get isThere() {
    return this.answer === "answered";
  }

  get isMember() {
    return this.isThere && this.report.ring.is_member;
  }

  get ring() {
    return this.report?.ring ?? null;
  }

  get successor() {
    return this.ring?.successors[0]?.node ?? null;
  }

  get predecessor() {
    return this.ring?.predecessor?.node ?? null;
  }
}

/** The ring at one moment. It does not change. */
export class Ring {
  constructor(at, nodes, about) {
    this.at = at;
    this.nodes = nodes;
    this.about = about;
  }

  static empty() {
    return new Ring(0, new Map(), { seenBy: "", leftOut: 0, pauseMs: 0, health: UNSEEN });
  }

  /** The ring after an event of the stream. */
  after(event, isWhole) {
    const nodes = isWhole ? new Map() : new Map(this.nodes);
    for (const seen of event.nodes) nodes.set(seen.node, new Node(seen, this.nodes.get(seen.node)));
    for (const gone of event.gone) nodes.delete(gone);
    const about = { seenBy: event.seen_by, leftOut: event.left_out, pauseMs: event.pause_ms, health: event.health };
    return new Ring(event.at_ms, nodes, about);
  }

  get bits() {
    this.knownBits ??= [...this.nodes.values()].find((node) => node.ring)?.ring.ring_size ?? 160;
    return this.knownBits;
  }

  turnOf(position) {
    return turn(position, this.bits);
  }

  /** All nodes in the order of the ring, with where they are. */
  get order() {
    if (!this.ordered) {
      this.ordered = [...this.nodes.values()]
        .map((node) => ({ node, turn: this.turnOf(node.position) }))
        .sort((a, b) => a.turn - b.turn || (a.node.name < b.node.name ? -1 : 1));
      const n = this.ordered.length;
      this.ordered.forEach((place, idx) => (place.hue = idx === n - 1 && n % HUES === 1 && n > 1 ? 2 : idx % HUES));
    }
    return this.ordered;
  }

  get members() {
    return this.order.filter(({ node }) => node.isMember);
  }

  /** Every belief about who is next: whose, about whom, and whether the other side says the same. */
  get beliefs() {
    this.believed ??= this.order.flatMap(({ node }) => beliefsOf(this, node));
    return this.believed;
  }

  /** Arcs of the ring for which nobody answers, and those for which several do. */
  get claims() {
    this.claimed ??= claims(this);
    return this.claimed;
  }

  /** Into how many rings the nodes fall when one follows successors. */
  get cycles() {
    this.cyclesFound ??= cycles(this);
    return this.cyclesFound;
  }

  /** In which of these rings each member is, or to which its successors lead: that of the node that looks is 0. */
  get depths() {
    this.depthsFound ??= depths(this);
    return this.depthsFound;
  }

  get copiesMissing() {
    return this.members.reduce((sum, { node }) => sum + node.report.copies_missing, 0);
  }

  get records() {
    return this.members.reduce((sum, { node }) => sum + node.report.records, 0);
  }

  get isCalm() {
    return (
      this.cycles.length <= 1 &&
      this.claims.length === 0 &&
      this.beliefs.every((belief) => belief.isAgreed) &&
      this.order.every(({ node }) => node.isMember)
    );
  }

  /** The beginning and the end that all names have in common, where leaving them out leaves something to read. */
  get common() {
    this.commonParts ??= commonParts([...this.nodes.keys()]);
    return this.commonParts;
  }

  /** A name without what it has in common with all others. */
  label(name) {
    const { start, end } = this.common;
    return name.slice(start.length, name.length - end.length);
  }
}

function commonParts(names) {
  const hostOf = (name) => name.slice(0, name.lastIndexOf(":"));
  const same = (values) => new Set(values).size === 1;
  if (names.length < 2) return { start: "", end: "" };
  if (same(names.map(hostOf))) return { start: `${hostOf(names[0])}:`, end: "" };
  const portOf = (name) => name.slice(name.lastIndexOf(":"));
  if (!same(names.map(portOf))) return { start: "", end: "" };
  const domainOf = (name) => (hostOf(name).includes(".") ? hostOf(name).slice(hostOf(name).indexOf(".")) : "");
  const areNumbers = names.some((name) => /^[\d.]+$|^\[/.test(hostOf(name)));
  const domain = !areNumbers && same(names.map(domainOf)) ? domainOf(names[0]) : "";
  return { start: "", end: domain + portOf(names[0]) };
}

function beliefsOf(ring, node) {
  if (!node.isMember) return [];
  const beliefs = [];
  const add = (kind, about, back) => {
    if (about === null || about === node.name) return;
    const other = ring.nodes.get(about);
    const says = other?.isMember ? other[back] : null;
    beliefs.push({ kind, of: node.name, about, says, isAgreed: says === node.name });
  };
  add("successor", node.successor, "predecessor");
  add("predecessor", node.predecessor, "successor");
  return beliefs;
}

function claims(ring) {
  const ranges = [];
  for (const { node, turn: end } of ring.members) {
    const range = node.ring.range;
    if (range) ranges.push({ from: ring.turnOf(range.after), to: end, isAll: range.after === range.up_to });
  }
  if (ranges.length === 0 || ranges.some((range) => range.isAll)) {
    return ranges.length > 1 ? [{ from: 0, to: 1, owners: ranges.length }] : [];
  }
  const cuts = [...new Set(ranges.flatMap(({ from, to }) => [from, to]))].sort((a, b) => a - b);
  const found = [];
  cuts.forEach((from, idx) => {
    const to = cuts[(idx + 1) % cuts.length];
    const middle = from + sweep(from, to) / 2;
    const owners = ranges.filter((range) => sweep(range.from, middle % 1) < sweep(range.from, range.to)).length;
    if (owners !== 1) found.push({ from, to, owners });
  });
  return found;
}

function cycles(ring) {
  const state = new Map();
  const found = [];
  for (const { node } of ring.members) {
    const path = [];
    let name = node.name;
    while (name !== null && ring.nodes.get(name)?.isMember && !state.has(name)) {
      state.set(name, node.name);
      path.push(name);
      name = ring.nodes.get(name).successor ?? name;
    }
    if (state.get(name) === node.name && path.includes(name)) found.push(path.slice(path.indexOf(name)));
  }
  return found;
}

function depths(ring) {
  const found = new Map();
  const own = (cycle) => (cycle.includes(ring.about.seenBy) ? 0 : 1);
  [...ring.cycles].sort((a, b) => own(a) - own(b)).forEach((cycle, idx) => cycle.forEach((name) => found.set(name, idx)));
  for (const { node } of ring.members) {
    const path = [];
    let name = node.name;
    while (name !== null && !found.has(name) && !path.includes(name)) {
      path.push(name);
      name = ring.nodes.get(name)?.successor ?? null;
    }
    for (const each of path) found.set(each, found.get(name) ?? 0);
  }
  return found;
}
