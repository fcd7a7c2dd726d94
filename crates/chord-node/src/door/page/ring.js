// The picture: nodes at their true places, what each answers for, and what each believes of its neighbours.

import { arc, arcBack, brief, chord, percent, point, sweep } from "./angle.js";
import { Keyed, byId, s, set } from "./dom.js";

const RIM = 322;
const BAND = 26;
const NEXT = RIM - 34;
const BEFORE = RIM - 46;
const LABEL = RIM + 36;

/** How far inside of the lines of the innermost of several rings its labels stand. */
const INNER_GAP = 22;

/** How far inside of one ring the next is drawn, where there are several; more than three would leave no room. */
const STEP = 82;
const RINGS_MAX = 3;

/** So much of the circle one label takes: where nodes are closer, fewer are labelled. */
const LABEL_TURN = 0.024;

/** With more nodes than this, what is in order is drawn with less. */
const MANY = 40;

/** Draws the ring into the page. */
export class Picture {
  constructor(select) {
    this.select = select;
    this.box = byId("ring");
    // Those who do not see hear of the nodes, and of all else from the table.
    const layer = (name) => s("g", { class: name, role: "presentation", "aria-hidden": name === "dots" ? null : "true" });
    this.layers = {};
    const names = ["claims", "arcs", "cut", "fingers", "beliefs", "leaders", "path", "dots", "labels", "middle"];
    for (const name of names) this.layers[name] = layer(name);
    this.keyed = Object.fromEntries(names.map((name) => [name, new Keyed(this.layers[name])]));
    const track = s("circle", { class: "track", r: RIM, "stroke-width": BAND });
    this.svg = s("svg", { role: "presentation" }, arrowheads(), track);
    this.svg.append(...names.map((name) => this.layers[name]));
    this.box.append(this.svg);
    this.box.addEventListener("keydown", (event) => this.steer(event));
  }

  /** Draws that ring; `view` says what of it is selected, and `play` where it is cut, if it is one to play with. */
  draw(ring, view, play) {
    this.ring = ring;
    this.view = view;
    this.box.classList.toggle("many", ring.order.length > MANY);
    this.box.classList.toggle("all", view.fingers === "all");
    this.frame();
    this.drawArcs();
    this.isCut = play?.is_cut === true;
    if (this.isCut) this.drawCut(play.nodes);
    byId("legend-cut").hidden = !this.isCut;
    this.drawBeliefs();
    this.drawFingers();
    this.drawPath();
    this.drawDots();
    this.drawMiddle();
    Object.values(this.keyed).forEach((keyed) => keyed.sweep());
  }

  /** Leaves room at the sides for the longest label. */
  frame() {
    const letter = window.matchMedia("(max-width: 720px)").matches ? 14.5 : 10.4;
    const longest = this.ring.order.reduce((most, { node }) => Math.max(most, short(this.ring.label(node.name)).length), 7);
    const half = Math.round(Math.max(414, LABEL + longest * letter + 4));
    set(this.svg, { viewBox: `${-half} -414 ${2 * half} 828` });
  }

  /** How far inside of the rim a node is drawn: 0 unless there are several rings. */
  inset(name) {
    if (this.ring.cycles.length < 2) return 0;
    return STEP * Math.min(this.ring.depths.get(name) ?? 0, RINGS_MAX - 1);
  }

  drawArcs() {
    for (const { node, turn, hue } of this.ring.order) {
      const range = node.isMember ? node.ring.range : null;
      if (!range) continue;
      const from = range.after === range.up_to ? turn : this.ring.turnOf(range.after);
      const path = this.keyed.arcs.get(node.name, () => {
        const title = s("title");
        return s("path", { "stroke-width": BAND, onclick: () => this.select(node.name) }, title);
      });
      const isSelected = this.view.node === node.name;
      set(path, { d: arc(from, turn, RIM - this.inset(node.name)), class: `arc hue${hue}${range.is_complete ? "" : " partial"}${isSelected ? " selected" : ""}` });
      path.firstChild.textContent = `${node.name} answers for ${percent(range.share)} of the ring`;
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

  drawBeliefs() {
    const places = new Map(this.ring.order.map((place) => [place.node.name, place.turn]));
    for (const belief of this.ring.beliefs) {
      const from = places.get(belief.of);
      const to = places.get(belief.about);
      if (from === undefined || to === undefined) continue;
      const path = this.keyed.beliefs.get(`${belief.kind} ${belief.of}`, () => s("path", {}, s("title")));
      const isNext = belief.kind === "successor";
      const inset = this.inset(belief.of);
      const d = isNext ? arc(from, to, NEXT - inset) : arcBack(from, to, BEFORE - inset);
      const arrow = !belief.isAgreed ? "url(#torn)" : this.ring.order.length > MANY ? null : "url(#calm)";
      const isOfSelected = this.view.node === belief.of;
      set(path, { d, class: `belief ${belief.kind}${belief.isAgreed ? "" : " torn"}${isOfSelected ? " selected" : ""}`, "marker-end": arrow });
      const back = belief.isAgreed ? "which agrees" : belief.says ? `which names ${belief.says} instead` : "which does not say so";
      path.firstChild.textContent = `${belief.of} takes ${belief.about} for its ${belief.kind}, ${back}`;
    }
  }

  drawFingers() {
    if (this.view.fingers === "none") return;
    const places = new Map(this.ring.order.map((place) => [place.node.name, place]));
    for (const { node, turn, hue } of this.ring.order) {
      if (!node.isMember || (this.view.fingers === "selected" && node.name !== this.view.node)) continue;
      for (const finger of node.ring.fingers) {
        const to = places.get(finger.node);
        if (!to) continue;
        const path = this.keyed.fingers.get(`${node.name} ${finger.node}`, () => s("path", {}, s("title")));
        set(path, { d: chord(turn, to.turn, BEFORE - 8), class: `finger hue${hue}${to.node.isThere ? "" : " torn"}` });
        path.firstChild.textContent = `${node.name}: entries ${finger.first} to ${finger.last} name ${finger.node}`;
      }
    }
  }

  drawPath() {
    const { trace } = this.view;
    if (!trace) return;
    const turns = trace.steps.map(({ position }) => this.ring.turnOf(position));
    turns.slice(1).forEach((to, idx) => {
      const path = this.keyed.path.get(`hop ${idx}`, () => s("path", { class: "hop", pathLength: 1, "marker-end": "url(#hop)" }));
      set(path, { d: chord(turns[idx], to, BEFORE - 12) });
      path.style.setProperty("--hop", idx);
    });
    const key = this.ring.turnOf(trace.position);
    const [x, y] = point(key, RIM);
    const mark = this.keyed.path.get("key", () => s("g", { class: "mark" }, s("path", { d: "M0-13 13 0 0 13-13 0Z" }), s("title")));
    set(mark, { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    mark.lastChild.textContent = `The key lies at ${trace.position}`;
  }

  drawDots() {
    const { order } = this.ring;
    const size = order.length > 100 ? 4.5 : order.length > MANY ? 7 : order.length > 16 ? 10 : 13;
    const labelled = this.labelled();
    order.forEach(({ node, turn, hue }, idx) => {
      const dot = this.keyed.dots.get(node.name, () => {
        const g = s("g", { role: "option", id: `dot-${domId(node.name)}`, onclick: () => this.select(node.name) });
        g.append(s("circle", { class: "hit" }), s("circle", { class: "dot" }), s("path", { class: "cross" }), s("title"));
        return g;
      });
      const [x, y] = point(turn, RIM - this.inset(node.name));
      const isSelected = this.view.node === node.name;
      const state = node.isMember ? "" : node.isThere ? " idle" : " absent";
      set(dot, {
        transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})`,
        class: `node hue${hue}${state}${isSelected ? " selected" : ""}`,
        "aria-selected": isSelected ? "true" : "false",
        "aria-label": `${node.name}, ${idx + 1} of ${order.length}, ${node.isMember ? "a member" : node.answer}`,
        "data-node": node.name,
        "data-turn": turn.toFixed(6),
      });
      const [hit, circle, cross, title] = dot.children;
      set(hit, { r: size + 8 });
      set(circle, { r: isSelected ? size * 1.35 : size });
      const arm = size * 0.5;
      set(cross, { d: state === " absent" ? `M${-arm} ${-arm} ${arm} ${arm}M${-arm} ${arm} ${arm} ${-arm}` : "" });
      title.textContent = `${node.name} at ${brief(node.position)}`;
      if (labelled.has(node.name)) this.drawLabel(node, turn, isSelected);
    });
    set(this.box, { "aria-activedescendant": this.view.node && this.ring.nodes.has(this.view.node) ? `dot-${domId(this.view.node)}` : null });
  }

  /** Whether a node is in the innermost of several rings: its label has room inside of that. */
  isInside(name) {
    const inset = this.inset(name);
    return inset > 0 && inset === STEP * Math.min(this.ring.cycles.length - 1, RINGS_MAX - 1);
  }

  drawLabel(node, turn, isSelected) {
    const isInside = this.isInside(node.name);
    const inset = this.inset(node.name);
    const [x, y] = point(turn, isInside ? BEFORE - inset - INNER_GAP : LABEL);
    const outward = x > 0 ? "start" : "end";
    const side = Math.abs(x) < 40 ? "middle" : isInside ? (x > 0 ? "end" : "start") : outward;
    if (inset > 0 && !isInside) {
      // The label stands outside of all rings: a line leads to it.
      const ends = [RIM - inset + BAND / 2, RIM + BAND / 2 + 12].map((radius) => point(turn, radius).map((part) => part.toFixed(1)).join(" "));
      set(this.keyed.leaders.get(node.name, () => s("path", { class: "leader" })), { d: `M${ends.join("L")}` });
    }
    const text = this.keyed.labels.get(node.name, () => s("text", { onclick: () => this.select(node.name) }, s("tspan"), s("tspan", { class: "share" })));
    const isRoomy = this.ring.order.length <= 24;
    const isAbove = isInside ? y > 60 : y < -60;
    const lift = isRoomy && isAbove ? -12 : 5;
    set(text, { x: x.toFixed(1), y: (y + lift).toFixed(1), "text-anchor": side, class: `${node.isThere ? "" : "absent"}${isInside ? " inner" : ""}${isSelected ? " selected" : ""}` });
    const [name, share] = text.children;
    const label = this.ring.label(node.name);
    if (name.textContent !== short(label)) name.textContent = short(label);
    const part = node.isMember && node.ring.range ? percent(node.ring.range.share) : node.isThere ? "no member" : "gone";
    const more = isRoomy ? part : "";
    if (share.textContent !== more) share.textContent = more;
    set(share, { x: x.toFixed(1), dy: isRoomy ? "1.25em" : 0 });
  }

  /** Whose label has room: the selected node's and those of the path first, then as they come. */
  labelled() {
    const wanted = new Set([this.view.node, ...(this.view.trace?.steps ?? []).map(({ node }) => node)]);
    const rank = ({ node }) => (wanted.has(node.name) ? 0 : node.isThere ? 2 : 1);
    const taken = { outer: [], inner: [] };
    const names = new Set();
    for (const place of [...this.ring.order].sort((a, b) => rank(a) - rank(b))) {
      const isInside = this.isInside(place.node.name);
      const beside = isInside ? taken.inner : taken.outer;
      // The same room is a larger part of a smaller circle.
      const room = isInside ? (LABEL_TURN * 2 * LABEL) / (BEFORE - this.inset(place.node.name) - INNER_GAP) : LABEL_TURN;
      const isFree = beside.every((turn) => Math.min(sweep(turn, place.turn), sweep(place.turn, turn)) >= room);
      if (!isFree && place.node.name !== this.view.node) continue;
      beside.push(place.turn);
      names.add(place.node.name);
    }
    return names;
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
    if (small.textContent !== host) small.textContent = host;
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
  return s("defs", {}, ...heads);
}
