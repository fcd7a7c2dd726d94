// What is known of the ring: each node's own answer, and what the node that shows the ring says of all of them together. What is
// the matter, and where, is its word alone; here is only what is drawn of it. A node of an older version does not say where.

import { turn } from "./angle.js";

/** The owners' colours, none of which is that of trouble; see style.css. */
export const HUES = 6;

/** What is said before anything was seen. */
const NOTHING_FOUND = { states: {}, torn: [], claims: [], rings: [] };
const UNSEEN = { severity: "waiting", verdict: "Looking at the ring", detail: null, reasons: [], more: 0 };

/** How long it may take until all nodes were asked once, at most: liars may make up names for ever. */
const SETTLE_MS = 10000;

/** Over how long it is counted what a node does in a second, at least. */
const COUNTED_MS = 2000;

/** The fresh value with all those parts of the old one that are the same in it: many pictures are kept, and little changes. */
function sharing(old, fresh) {
  if (old === fresh) return old;
  if (typeof old !== "object" || typeof fresh !== "object" || old === null || fresh === null || Array.isArray(old) !== Array.isArray(fresh)) return fresh;
  const keys = Object.keys(fresh);
  let isSame = Object.keys(old).length === keys.length;
  for (const key of keys) {
    fresh[key] = sharing(old[key], fresh[key]);
    isSame &&= fresh[key] === old[key] && key in old;
  }
  return isSame ? old : fresh;
}

/** A node as it is shown. */
class Node {
  constructor(seen, before, isNewcomer) {
    this.name = before?.name ?? seen.node;
    this.position = before?.position ?? seen.position;
    this.answer = seen.answer;
    this.because = seen.because ?? null;
    /** It does not answer, and has left in good order. */
    this.hasLeft = seen.has_left ?? false;
    this.report = seen.report ? shownOf(seen.report, before?.last) : null;
    this.last = this.report ?? before?.last ?? null;
    /** It was not there when all nodes had been asked once. */
    this.isNewcomer = before ? before.isNewcomer : isNewcomer;
    this.counts(seen.report ?? null, before);
  }

  /** What it did in a second lately; from when on that is counted only the newest picture has to know. */
  counts(report, before) {
    this.traffic = before?.traffic ?? null;
    this.counted = before?.counted ?? null;
    if (before) before.counted = null;
    const counted = report && countedOf(report);
    const isAnew = counted && (this.counted?.started !== counted.started || counted.up < this.counted.up);
    if (!counted || isAnew) this.traffic = null;
    if (!counted || isAnew || !this.counted) this.counted = counted;
    else if (counted.up - this.counted.up >= COUNTED_MS) {
      this.traffic = trafficBetween(this.counted, counted);
      this.counted = counted;
    }
  }

  /** Others have named it before it has ever answered. */
  get isExpected() {
    return this.isNewcomer && this.last === null;
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

/** What of a report the page shows; the rest would only fill memory. */
function shownOf({ work, process, ...report }, before) {
  return before ? sharing(before, report) : report;
}

/** The doors at which operations come, as people call them. */
const DOORS = { redis: "Redis", rest: "REST", json: "JSON", xmlrpc: "XML-RPC", binary: "frames", library: "its program", peer: "other nodes" };

/** What a node asks others for, not because a client wants something. */
const UPKEEP = { ring: "the ring", copies: "copies", upkeep: "upkeep" };

/** What a node has counted since it was started; nothing if it is of a version that does not. */
function countedOf({ started_at_ms: started, up_ms: up, work, process, ring }) {
  if (!work || !(up >= 0)) return null;
  const { doors, reads, writes, as_owner: asOwner, repair } = work;
  const done = (of) => (of ? of.ok + of.absent + of.refused + of.failed + of.uncertain + of.dropped : 0);
  const byDoor = doors ? Object.entries(DOORS).map(([door, words]) => [words, doors[door]]) : [["clients", done(reads) + done(writes)], ["other nodes", done(asOwner)]];
  const byUse = Object.entries(UPKEEP).map(([use, words]) => [words, ring.sent?.[use] ?? 0]);
  return { started, up, byDoor, byUse, sent: repair?.sent_bytes ?? 0, fetched: repair?.fetched_bytes ?? 0, cpu: process?.cpu_seconds ?? null, memory: process?.resident_bytes ?? null };
}

function trafficBetween(was, is) {
  const seconds = (is.up - was.up) / 1000;
  const rate = (now, then) => Math.max(0, now - then) / seconds;
  // By its name: the node may run another version by now.
  const rates = (now, then) => now.map(([words, times]) => [words, rate(times, new Map(then).get(words) ?? times)]);
  return {
    seconds,
    byDoor: rates(is.byDoor, was.byDoor),
    byUse: rates(is.byUse, was.byUse),
    repair: rate(is.sent + is.fetched, was.sent + was.fetched),
    sent: is.sent,
    fetched: is.fetched,
    cores: is.cpu === null || was.cpu === null ? null : rate(is.cpu, was.cpu),
    memory: is.memory,
  };
}

/** The ring at one moment. It does not change. */
export class Ring {
  constructor(at, nodes, about) {
    this.at = at;
    this.nodes = nodes;
    this.about = about;
  }

  static empty() {
    return new Ring(0, new Map(), { seenBy: "", leftOut: 0, pauseMs: 0, health: UNSEEN, found: NOTHING_FOUND, since: null, isSettled: false });
  }

  /** The ring after an event of the stream. */
  after(event, isWhole) {
    const nodes = isWhole ? new Map() : new Map(this.nodes);
    for (const seen of event.nodes) nodes.set(seen.node, new Node(seen, this.nodes.get(seen.node), this.about.isSettled));
    for (const gone of event.gone) nodes.delete(gone);
    const found = sharing(this.about.found, event.found ?? NOTHING_FOUND);
    const hasAskedAll = event.has_asked_all ?? true;
    const since = isWhole || this.about.since === null ? event.at_ms : this.about.since;
    const isSettled = hasAskedAll || event.at_ms - since >= SETTLE_MS;
    const about = { seenBy: event.seen_by, leftOut: event.left_out, pauseMs: event.pause_ms, health: event.health, found, since, isSettled };
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

  /**
   * Whether the node that shows the ring says that this, which is more than a note, is the matter, or may have no room to say
   * so: the gravest reasons are told first.
   */
  says(code) {
    const { reasons, more } = this.about.health;
    this.codes ??= new Set(reasons.map((reason) => reason.code));
    return this.codes.has(code) || (more > 0 && reasons.every((reason) => reason.severity !== "note"));
  }

  /** Every belief about who is next: whose, about whom, and what that one says. */
  get beliefs() {
    this.believed ??= this.order.flatMap(({ node }) => this.beliefsOf(node.name));
    return this.believed;
  }

  /** Those of one node. */
  beliefsOf(name) {
    this.believedBy ??= new Map();
    if (!this.believedBy.has(name)) this.believedBy.set(name, beliefsOf(this, this.nodes.get(name)));
    return this.believedBy.get(name);
  }

  /** Arcs of the ring for which nobody answers, and those for which several do. */
  get claims() {
    return this.about.found.claims;
  }

  /** The rings into which the nodes fall when one follows successors: one of all members, unless something else is said. */
  get cycles() {
    this.cyclesFound ??= this.about.found.rings.length > 0 ? this.about.found.rings : [this.members.map(({ node }) => node.name)].filter((ring) => ring.length > 0);
    return this.cyclesFound;
  }

  /** The beliefs that the other node does not share. */
  get torn() {
    this.tornFound ??= new Set(this.about.found.torn.map(({ of, side }) => `${side} ${of}`));
    return this.tornFound;
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

  /** Whether nothing is said to be the matter between neighbours. */
  get isCalm() {
    return !["several-rings", "disagreement", "no-owner", "several-owners"].some((code) => this.says(code));
  }

  /** How a node is, in the words that the terminal has for it too. */
  stateOf(node) {
    const { states } = this.about.found;
    if (Object.hasOwn(states, node.name)) return states[node.name];
    if (!node.isThere) return node.hasLeft ? "left" : node.answer.replaceAll("-", " ");
    if (!node.isMember) return "no member";
    return node.ring.is_ready ? "ready" : "not ready";
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
  if (!node?.isMember) return [];
  const beliefs = [];
  const add = (kind, about, back) => {
    if (about === null || about === node.name) return;
    const other = ring.nodes.get(about);
    const says = other?.isMember ? other[back] : null;
    // One that runs another program cannot tell what it believes, and nothing is known against it.
    const cannotTell = other?.answer === "other-program";
    beliefs.push({ kind, of: node.name, about, says, cannotTell, isAgreed: !ring.torn.has(`${kind} ${node.name}`) });
  };
  add("successor", node.successor, "predecessor");
  add("predecessor", node.predecessor, "successor");
  return beliefs;
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
