// The picture: nodes at their true places, what each answers for, and what each believes of its neighbours.

import { arc, arcBack, brief, chord, count, percent, point, sweep } from "./angle.js";
import { Keyed, byId, s, say, set, visible } from "./dom.js";
import { HUES } from "./model.js";

const RIM = 322;
const BAND = 26;
const NEXT = RIM - 34;
const BEFORE = RIM - 46;
const LABEL = RIM + 27;

/** Where a key is: between the arcs and the lines, so that it covers neither them nor a node. */
const KEY = RIM - BAND / 2 - 9;

/** How far inside of the lines of the innermost of several rings its labels stand. */
const INNER_GAP = 14;

/** How far inside of one ring the next is drawn, where there are several; more than three would leave no room. */
const STEP = 82;
const RINGS_MAX = 3;

/** Where a label that must be there may go when its place is taken: along the circle, and outwards. */
const SHIFTS = [0, 0.017, -0.017, 0.034, -0.034, 0.05, -0.05];
const LEVEL = 30;

/** With more nodes than this, what is in order is drawn with less; with no more than that, labels say more than names. */
const MANY = 40;
const ROOMY = 24;

/** With more nodes than this, all lines that are in order are one: liars may name a thousand nodes. */
const CROWD = 300;

/** Draws the ring into the page. */
export class Picture {
  constructor(select) {
    this.select = select;
    this.box = byId("ring");
    // Those who do not see hear of the nodes, and of all else from the table.
    const layer = (name) => s("g", { class: name, role: "presentation", "aria-hidden": name === "dots" ? null : "true" });
    this.layers = {};
    const names = ["claims", "arcs", "cut", "fingers", "beliefs", "leaders", "path", "dots", "marks", "labels", "middle"];
    for (const name of names) this.layers[name] = layer(name);
    this.keyed = Object.fromEntries(names.map((name) => [name, new Keyed(this.layers[name])]));
    const track = s("circle", { class: "track", r: RIM, "stroke-width": BAND });
    this.svg = s("svg", { role: "presentation" }, arrowheads(), track);
    this.svg.append(...names.map((name) => this.layers[name]));
    this.box.append(this.svg);
    this.box.addEventListener("keydown", (event) => this.steer(event));
  }

  /** Draws that ring; `view` says what of it is selected, and `play` where it is cut, if it is one to play with. Step by step. */
  *draw(ring, view, play) {
    this.ring = ring;
    this.view = view;
    this.box.classList.toggle("many", ring.order.length > MANY);
    this.box.classList.toggle("crowd", ring.order.length > CROWD);
    this.box.classList.toggle("all", view.fingers === "all");
    this.frame();
    yield* this.drawArcs();
    this.isCut = play?.is_cut === true;
    if (this.isCut) this.drawCut(play.nodes);
    byId("legend-cut").hidden = !this.isCut;
    yield* this.drawBeliefs();
    yield* this.drawFingers();
    this.drawPath();
    yield* this.drawDots();
    yield* this.drawLabels();
    this.drawMiddle();
    Object.values(this.keyed).forEach((keyed) => keyed.sweep());
  }

  /** How large letters are, in the picture's own measure; style.css says the same. */
  type() {
    const isPhone = window.matchMedia("(max-width: 720px)").matches;
    const isMany = this.ring.order.length > MANY;
    // The picture is a third as large there: a letter of 32 has ten pixels.
    const name = isPhone ? (isMany ? 30 : 36) : isMany ? 13 : 17;
    return { name, inner: isPhone ? 30 : 15, small: isPhone ? (isMany ? 30 : 32) : isMany ? 13 : 14.5 };
  }

  /** Leaves room for the longest label, and for one above another. */
  frame() {
    const { name, small } = this.type();
    const { order } = this.ring;
    const longest = order.reduce((most, { node }) => Math.max(most, short(visible(this.ring.label(node.name))).length), 7);
    const wide = Math.max(longest * name * 0.61, 11 * small * 0.56);
    const high = name + 2 * small * 1.25 + (order.length > ROOMY ? LEVEL : 0);
    const half = [wide, high].map((room) => Math.round(Math.max(406, LABEL + room + 6)));
    set(this.svg, { viewBox: `${-half[0]} ${-half[1]} ${2 * half[0]} ${2 * half[1]}` });
  }

  /** How far inside of the rim a node is drawn: 0 unless there are several rings. */
  inset(name) {
    if (this.ring.cycles.length < 2) return 0;
    return STEP * Math.min(this.ring.depths.get(name) ?? 0, RINGS_MAX - 1);
  }

  *drawArcs() {
    for (const { node, turn, hue } of this.ring.order) {
      const range = node.isMember ? node.ring.range : null;
      if (!range) continue;
      yield;
      const from = range.after === range.up_to ? turn : this.ring.turnOf(range.after);
      const path = this.keyed.arcs.get(node.name, () => {
        const title = s("title");
        return s("path", { "stroke-width": BAND, onclick: () => this.select(node.name) }, title);
      });
      const isSelected = this.view.node === node.name;
      set(path, { d: arc(from, turn, RIM - this.inset(node.name)), class: `arc hue${hue}${range.is_complete ? "" : " partial"}${isSelected ? " selected" : ""}` });
      tell(path, `${node.name} answers for ${percent(range.share)} of the positions, and has ${count(node.report.records, "record", "records")} there`);
    }
    this.ring.claims.forEach(({ from, to, owners }, idx) => {
      const path = this.keyed.claims.get(`${idx}`, () => s("path", { "stroke-width": 5 }));
      set(path, { d: arc(from, to, RIM + BAND / 2 + 7), class: owners === 0 ? "claim nobody" : "claim several" });
    });
  }

  /** The cut, as a line between the nodes of one side and those of the other. */
  drawCut(nodes) {
    const apart = new Map(nodes.map(({ node, is_apart }) => [node, is_apart]));
    const sides = this.ring.order.filter(({ node }) => apart.has(node.name));
    const ends = sides.flatMap(({ node, turn }, idx) => {
      const next = sides[(idx + 1) % sides.length];
      return apart.get(node.name) === apart.get(next.node.name) ? [] : [turn + sweep(turn, next.turn) / 2];
    });
    if (ends.length !== 2) return;
    const [from, to] = ends.map((end) => point(end, RIM + BAND).map((part) => part.toFixed(1)).join(" "));
    const line = this.keyed.cut.get("line", () => s("path", { class: "cut" }, s("title", {}, "The network is cut here")));
    set(line, { d: `M${from}L${to}` });
  }

  *drawBeliefs() {
    const isCrowd = this.ring.order.length > CROWD;
    const calm = { successor: [], predecessor: [] };
    const places = new Map(this.ring.order.map((place) => [place.node.name, place.turn]));
    for (const belief of this.ring.beliefs) {
      const from = places.get(belief.of);
      const to = places.get(belief.about);
      if (from === undefined || to === undefined) continue;
      yield;
      if (isCrowd && belief.isAgreed && belief.of !== this.view.node) {
        calm[belief.kind].push(belief.kind === "successor" ? arc(from, to, NEXT - this.inset(belief.of)) : arcBack(from, to, BEFORE - this.inset(belief.of)));
        continue;
      }
      const path = this.keyed.beliefs.get(`${belief.kind} ${belief.of}`, () => s("path", {}, s("title")));
      const isNext = belief.kind === "successor";
      const inset = this.inset(belief.of);
      const d = isNext ? arc(from, to, NEXT - inset) : arcBack(from, to, BEFORE - inset);
      const arrow = !belief.isAgreed ? "url(#torn)" : this.ring.order.length > MANY ? null : "url(#calm)";
      const isOfSelected = this.view.node === belief.of;
      set(path, { d, class: `belief ${belief.kind}${belief.isAgreed ? "" : " torn"}${isOfSelected ? " selected" : ""}`, "marker-end": arrow });
      const back = belief.cannotTell ? "which cannot tell" : belief.isAgreed ? "which agrees" : belief.says ? `which names ${belief.says} instead` : "which does not say so";
      tell(path, `${belief.of} takes ${belief.about} for its ${belief.kind}, ${back}`);
    }
    for (const [kind, lines] of Object.entries(calm)) {
      if (lines.length > 0) set(this.keyed.beliefs.get(`all ${kind}`, () => s("path", { class: `belief ${kind}` })), { d: lines.join("") });
    }
  }

  *drawFingers() {
    if (this.view.fingers === "none") return;
    const places = new Map(this.ring.order.map((place) => [place.node.name, place]));
    for (const { node, turn, hue } of this.ring.order) {
      if (!node.isMember || (this.view.fingers === "selected" && node.name !== this.view.node)) continue;
      for (const finger of node.ring.fingers) {
        const to = places.get(finger.node);
        if (!to) continue;
        yield;
        const path = this.keyed.fingers.get(`${node.name} ${finger.node}`, () => s("path", {}, s("title")));
        const { isThere } = to.node;
        set(path, { d: chord(turn, to.turn, BEFORE - 8), class: `finger hue${hue}${isThere ? "" : " torn"}`, "marker-end": isThere ? `url(#finger${hue})` : "url(#torn)" });
        tell(path, `${node.name}: entries ${finger.first} to ${finger.last} name ${finger.node}`);
      }
    }
  }

  drawPath() {
    const { trace } = this.view;
    byId("legend-key").hidden = !trace;
    if (!trace) return;
    const turns = trace.steps.map(({ position }) => this.ring.turnOf(position));
    turns.slice(1).forEach((to, idx) => {
      const path = this.keyed.path.get(`hop ${idx}`, () => s("path", { class: "hop", pathLength: 1, "marker-end": "url(#hop)" }));
      set(path, { d: chord(turns[idx], to, BEFORE - 12) });
      path.style.setProperty("--hop", idx);
    });
    const key = this.ring.turnOf(trace.position);
    const [x, y] = point(key, KEY);
    const mark = this.keyed.path.get("key", () => s("g", { class: "mark" }, s("path", { d: "M0-11 11 0 0 11-11 0Z" }), s("title")));
    set(mark, { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    tell(mark, `The key lies at ${trace.position}`);
  }

  *drawDots() {
    const { order } = this.ring;
    const size = order.length > 100 ? 4.5 : order.length > MANY ? 7 : order.length > 16 ? 10 : 13;
    const owner = this.view.trace?.owner.node;
    for (const [idx, place] of order.entries()) {
      yield;
      const { node, turn, hue } = place;
      const dot = this.keyed.dots.get(node.name, () => {
        const g = s("g", { role: "option", id: `dot-${domId(node.name)}`, onclick: () => this.select(node.name) });
        g.append(s("circle", { class: "hit" }), s("circle", { class: "dot" }), s("path", { class: "cross" }), s("title"));
        return g;
      });
      const [x, y] = point(turn, RIM - this.inset(node.name));
      const isSelected = this.view.node === node.name;
      const state = node.isMember ? "" : node.isThere ? " idle" : " absent";
      const at = { transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})` };
      set(dot, {
        ...at,
        class: `node hue${hue}${state}${isSelected ? " selected" : ""}`,
        "aria-selected": isSelected ? "true" : "false",
        "aria-label": `${node.name}, ${idx + 1} of ${order.length}, ${node.isMember ? "a member" : this.ring.stateOf(node)}`,
        "data-node": node.name,
        "data-turn": turn.toFixed(6),
      });
      const [hit, circle, cross, title] = dot.children;
      set(hit, { r: size + 8 });
      set(circle, { r: isSelected ? size * 1.35 : size });
      set(cross, { d: state === " absent" ? crossOf(size * 0.5) : "" });
      tell(dot, `${node.name} at ${brief(node.position)}`, title);
      if (isSelected || node.name === owner) this.drawMark(place, { at, state, isOwner: node.name === owner, size: Math.max(size * 1.35, 9) });
    }
    set(this.box, { "aria-activedescendant": this.view.node && this.ring.nodes.has(this.view.node) ? `dot-${domId(this.view.node)}` : null });
  }

  /** The selected node and the owner of the key once more, above all others: where there are many, these would cover them. */
  drawMark({ node, hue }, { at, state, isOwner, size }) {
    const mark = this.keyed.marks.get(node.name, () => s("g", {}, s("circle", { class: "halo" }), s("circle", { class: "dot" }), s("path", { class: "cross" })));
    set(mark, { ...at, class: `top hue${hue}${state}${isOwner ? " owner" : ""}` });
    const [halo, dot, cross] = mark.children;
    set(halo, { r: size + 5 });
    set(dot, { r: size });
    set(cross, { d: state === " absent" ? crossOf(size * 0.5) : "" });
  }

  /** Whether a node is in the innermost of several rings: its label has room inside of that. */
  isInside(name) {
    const inset = this.inset(name);
    return inset > 0 && inset === STEP * Math.min(this.ring.cycles.length - 1, RINGS_MAX - 1);
  }

  /** Labels what has room: the selected node, its fingers if they are drawn and those of the path in any case, then those that do not answer, then the others as they come. */
  *drawLabels() {
    const { trace } = this.view;
    const wanted = new Set([this.view.node, trace?.owner.node, ...(trace?.steps ?? []).map(({ node }) => node)]);
    const fingers = this.view.fingers === "selected" ? (this.ring.nodes.get(this.view.node)?.ring?.fingers ?? []) : [];
    for (const { node } of fingers) wanted.add(node);
    const rank = ({ node }) => (node.name === this.view.node ? 0 : wanted.has(node.name) ? 1 : node.isThere ? 3 : 2);
    const type = this.type();
    const taken = [];
    const isRoomy = this.ring.order.length <= ROOMY;
    for (const place of [...this.ring.order].sort((a, b) => rank(a) - rank(b))) {
      yield;
      const isWanted = wanted.has(place.node.name);
      const lines = this.linesOf(place.node);
      const all = [lines, lines.slice(0, 1)].flatMap((some) => this.spots(place, some, type, isWanted || isRoomy));
      const spot = all.find(({ box }) => taken.every((other) => isApart(box, other))) ?? (isWanted ? all[0] : null);
      if (!spot) continue;
      taken.push(spot.box);
      this.drawLabel(place, spot, isWanted);
    }
  }

  /** What stands beside a node: its name, and what it answers for where there is room to say it. */
  linesOf(node) {
    const lines = [short(visible(this.ring.label(node.name)))];
    const isRoomy = this.ring.order.length <= ROOMY;
    const isOwner = this.view.trace?.owner.node === node.name;
    if (isOwner) lines.push("owner");
    if (!node.isMember) lines.push(node.isThere ? "no member" : this.ring.stateOf(node));
    else if (isRoomy || this.view.node === node.name) {
      const { range } = node.ring;
      if (range && !isOwner) lines.push(percent(range.share));
      lines.push(count(node.report.records, "record", "records"));
    }
    return lines.slice(0, 3);
  }

  /** Where a label can stand, the best place first. */
  spots({ node, turn }, lines, type, mayMove) {
    const isInside = this.isInside(node.name);
    const base = isInside ? BEFORE - this.inset(node.name) - INNER_GAP : LABEL;
    const size = isInside ? type.inner : type.name;
    const wide = Math.max(lines[0].length * size * 0.61, ...lines.slice(1).map((line) => line.length * type.small * 0.56));
    const high = size + (lines.length - 1) * type.small * 1.25;
    const spot = (shift, level) => {
      const [x, y] = point(turn + shift, base + level * LEVEL);
      const outward = Math.abs(x) < 40 ? 0 : x > 0 ? 1 : -1;
      const side = isInside ? -outward : outward;
      // The edge of the label that looks at the node lies on the circle.
      const [, way] = point(turn + shift, isInside ? -1 : 1);
      const top = y + (way - 1) * (high / 2);
      const left = x + (side - 1) * (wide / 2);
      return { x, top, side, size, lines, isInside, isMoved: shift !== 0 || level !== 0, box: [left, top, left + wide, top + high] };
    };
    if (!mayMove) return [spot(0, 0)];
    const along = SHIFTS.map((shift) => spot(shift, 0));
    return isInside ? along : [...along.slice(0, 3), spot(0, 1), ...along.slice(3), spot(SHIFTS[1], 1), spot(SHIFTS[2], 1)];
  }

  drawLabel({ node, turn }, { x, top, side, size, lines, isInside, isMoved, box }, isWanted) {
    const inset = this.inset(node.name);
    if (isMoved || (inset > 0 && !isInside)) {
      // The label does not stand beside its node: a line leads to it.
      const from = point(turn, isInside ? RIM - inset - BAND / 2 : RIM - inset + BAND / 2 - (isMoved ? 6 : 0));
      const edge = side === 0 ? [x, top > 0 ? box[1] - 2 : box[3] + 2] : [x - 3 * side, top + size / 2];
      const to = isInside ? nearest(from, box) : isMoved ? edge : point(turn, RIM + BAND / 2 + 12);
      const ends = [from, to].map((end) => end.map((part) => part.toFixed(1)).join(" "));
      set(this.keyed.leaders.get(node.name, () => s("path", { class: "leader" })), { d: `M${ends.join("L")}` });
    }
    const text = this.keyed.labels.get(node.name, () => s("text", { onclick: () => this.select(node.name) }, s("tspan"), s("tspan", { class: "share" }), s("tspan", { class: "share" })));
    const kind = `${node.isThere ? "" : "absent"}${isInside ? " inner" : ""}${isWanted ? " wanted" : ""}${this.view.node === node.name ? " selected" : ""}`;
    set(text, { x: x.toFixed(1), y: (top + size * 0.8).toFixed(1), "text-anchor": ["end", "middle", "start"][side + 1], class: kind });
    [...text.children].forEach((line, idx) => {
      const words = lines[idx] ?? "";
      say(line, words);
      if (idx > 0) set(line, { x: x.toFixed(1), dy: words ? "1.25em" : 0 });
    });
  }

  drawMiddle() {
    const { order, members } = this.ring;
    const lines = this.keyed.middle.get("text", () => s("text", { "text-anchor": "middle" }, s("tspan", { class: "big", x: 0, y: 4 }), s("tspan", { class: "small", x: 0, dy: "1.6em" })));
    const [big, small] = lines.children;
    const isHidden = this.view.fingers !== "none" || this.view.trace !== null || this.isCut;
    set(lines, { class: isHidden ? "off" : null });
    const text = order.length === 0 ? "" : `${members.length} ${members.length === 1 ? "node" : "nodes"}`;
    if (big.textContent !== text) big.textContent = text;
    const { start, end } = this.ring.common;
    const host = start ? `on ${start.slice(0, -1)}` : end.startsWith(":") ? `all on port ${end.slice(1)}` : end ? `all of ${end.slice(1)}` : "";
    say(small, host);
  }

  steer(event) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const names = this.ring.order.map(({ node }) => node.name);
    if (names.length === 0) return;
    const idx = names.indexOf(this.view.node);
    let to = null;
    if (event.key in steps) to = idx < 0 ? 0 : (idx + steps[event.key] + names.length) % names.length;
    else if (event.key === "Home") to = 0;
    else if (event.key === "End") to = names.length - 1;
    else if (event.key === "Escape") return this.select(null);
    if (to === null) return undefined;
    event.preventDefault();
    return this.select(names[to]);
  }
}

/** The words of an element that a pointer is held over. */
function tell(element, words, title = element.lastChild) {
  say(title, words);
}

function isApart(a, b) {
  return a[0] > b[2] + 6 || a[2] + 6 < b[0] || a[1] > b[3] + 2 || a[3] + 2 < b[1];
}

/** Where a line from there meets the label. */
function nearest([x, y], [left, top, right, bottom]) {
  const clamp = (value, least, most) => Math.min(Math.max(value, least), most);
  return [clamp(x, left - 3, right + 3), clamp(y, top - 2, bottom + 2)];
}

function crossOf(arm) {
  return `M${-arm} ${-arm} ${arm} ${arm}M${-arm} ${arm} ${arm} ${-arm}`;
}

function short(label) {
  return label.length > 22 ? `${label.slice(0, 10)}…${label.slice(-10)}` : label;
}

function domId(name) {
  return Array.from(name, (letter) => letter.codePointAt(0).toString(36)).join("-");
}

function arrowheads() {
  const head = (id) => s("marker", { id, viewBox: "0 0 10 10", refX: 9, refY: 5, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" }, s("path", { d: "M0 0 10 5 0 10Z" }));
  const heads = ["calm", "torn", "hop"].map(head);
  set(heads[1], { markerWidth: 14, markerHeight: 14 });
  set(heads[2], { markerWidth: 16, markerHeight: 16 });
  const ends = Array.from({ length: HUES }, (_, hue) => s("marker", { id: `finger${hue}`, viewBox: "0 0 10 10", refX: 5, refY: 5, markerWidth: 7, markerHeight: 7, markerUnits: "userSpaceOnUse" }, s("circle", { cx: 5, cy: 5, r: 5, class: `end hue${hue}` })));
  return s("defs", {}, ...heads, ...ends);
}
