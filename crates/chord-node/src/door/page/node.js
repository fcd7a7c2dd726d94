// The panel of the selected node: all that it tells of itself.

import { brief, bytes, canBeStart, clock, count, lasting, micros, perSecond, percent } from "./angle.js";
import { byId, copyButton, h, update } from "./dom.js";

/** Shows the selected node. */
export function showNode(ring, view, select) {
  const card = byId("node");
  const node = view.node ? ring.nodes.get(view.node) : null;
  const key = `${view.node} ${node?.answer}`;
  const fresh = h("div", { "data-key": key }, content(ring, view, node, select));
  if (card.firstElementChild) update(card.firstElementChild, fresh);
  else card.append(fresh);
}

function content(ring, view, node, select) {
  if (!view.node) return [h("h2", {}, "A node"), h("p", { class: "hint" }, "Select a node in the ring or in the table to see what it tells of itself.")];
  if (!node) return [h("h2", {}, view.node), h("p", {}, "No node names it any more.")];
  return panel(ring, node, select);
}

function panel(ring, node, select) {
  const title = h("h2", {}, h("code", {}, node.name), copyButton("the node's name", node.name));
  const close = h("button", { type: "button", class: "close", "aria-label": "Close the panel", "data-key": "close", onclick: () => select(null) });
  const head = h("div", { class: "head" }, title, close);
  const place = fact("position", h("code", { title: node.position }, brief(node.position)), copyButton("its position", node.position));
  if (!node.isThere) {
    const parts = [head, h("p", { class: "trouble" }, `${sentence(node.because ?? "it does not answer")}.`), h("dl", { class: "facts" }, place)];
    const started = node.last && canBeStart(node.last.started_at_ms, ring.at) ? `was started at ${clock(node.last.started_at_ms)}` : "does not say sensibly when it was started";
    if (node.last) parts.push(h("p", { class: "hint" }, `It ${started}, and had ${count(node.last.records, "record", "records")} of its own when it was heard of last.`));
    return parts;
  }
  const { ring: believed, storage, links } = node.report;
  const range = believed.range;
  const facts = [
    place,
    fact("answers for", range ? `${percent(range.share)} of the positions, ${range.is_complete ? "and has all of it" : "and asks others for what it may lack"}` : "it does not know yet"),
    fact("records", `${node.report.records.toLocaleString("en")} of its own${ring.records > 0 ? `, ${percent(node.report.records / ring.records)} of all` : ""}`),
    fact("missing copies", node.report.copies_missing === 0 ? "none" : `up to ${node.report.copies_missing.toLocaleString("en")}`),
    fact("holds", `${count(storage.records, "record", "records")}, ${bytes(storage.bytes)}, ${storage.is_durable ? "on disk" : "in memory"}`),
    fact("ready", believed.is_ready ? "yes" : `no: ${believed.not_ready_because ?? "it does not say why"}`),
    fact("up for", upFor(ring, node)),
    fact("version", node.report.version),
  ];
  const name = (other, isAgreed) => nodeLink(ring, other, select, isAgreed);
  const agreed = (kind) => ring.beliefsOf(node.name).find((belief) => belief.kind === kind)?.isAgreed ?? true;
  const before = believed.predecessor ? name(believed.predecessor.node, agreed("predecessor")) : "none";
  const next = believed.successors.map(({ node: other }, idx) => h("li", {}, name(other, idx > 0 || agreed("successor"))));
  return [
    head,
    h("dl", { class: "facts" }, facts, fact("predecessor", before)),
    h("h3", {}, "Successors"),
    next.length > 0 ? h("ol", { class: "names" }, next) : h("p", { class: "hint" }, "It knows nobody else."),
    h("h3", {}, "Copies"),
    h("dl", { class: "facts" }, fact("of its records at", names(node.report.copies_at, name)), fact("it keeps for", names(node.report.copies_for, name))),
    h("h3", {}, "Traffic"),
    h("dl", { class: "facts", "data-of": "traffic" }, traffic(node.traffic, node.report)),
    details("fingers", `Fingers (${believed.fingers.length})`, fingers(believed, name)),
    details("links", `How it reaches others (${links.length})`, reach(links, name)),
  ];
}

/** How long it runs by its own word, if that can be. */
export function upFor(ring, { report }) {
  return canBeStart(report.started_at_ms, ring.at) ? lasting(ring.at - report.started_at_ms) : "it does not say sensibly";
}

/** What it does in a second, and what it has done. */
function traffic(now, report) {
  const work = [fact("at work on", count(report.operations, "operation", "operations")), fact("has asked", asked(report.ring.sent))];
  if (!now) return [fact("in a second", "is being counted, for some seconds"), ...work];
  const cpu = now.cores === null ? null : `${percent(now.cores)} of a core`;
  const memory = now.memory === null ? null : `${bytes(now.memory)} of memory`;
  const process = [cpu, memory].filter((words) => words !== null).join(", ");
  return [
    fact("operations", rates(now.byDoor, "by")),
    fact("maintenance", rates(now.byUse, "for", "message")),
    fact("repair", `${bytes(now.repair)} a second; ${bytes(now.sent)} sent and ${bytes(now.fetched)} fetched since its start`),
    fact("its process", process || "its system does not tell"),
    fact("counted over", `${now.seconds.toFixed(1)} s`),
    ...work,
  ];
}

/** So many in a second, and of these how many by which door, or for what. */
function rates(all, word, what = null) {
  const sum = all.reduce((total, [, rate]) => total + rate, 0);
  const parts = all.filter(([, rate]) => rate > 0).map(([name, rate]) => `${perSecond(rate)} ${word} ${name}`);
  const unit = what ? ` ${what}s` : "";
  return `${perSecond(sum)}${unit} a second${parts.length > 0 ? `: ${parts.join(", ")}` : ""}`;
}

/** How often it has asked its peers for what, since it was started. */
function asked(sent) {
  if (!sent) return "–";
  const kinds = [
    ["for the ring", sent.ring],
    ["for owners", sent.lookups],
    ["for clients", sent.operations],
    ["about copies", sent.copies],
    ["for their upkeep", sent.upkeep],
  ];
  return kinds.map(([what, times]) => `${times.toLocaleString("en")} ${what}`).join(", ");
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);

function names(list, name) {
  if (list.length === 0) return "nobody";
  return list.flatMap((other, idx) => (idx === 0 ? [name(other, true)] : [", ", name(other, true)]));
}

function fact(name, ...value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

/** A node's name that leads to its panel. */
export function nodeLink(ring, name, select, isAgreed = true) {
  const isThere = ring.nodes.get(name)?.isThere;
  const note = isAgreed ? (isThere === false ? " (does not answer)" : "") : " (does not agree)";
  return h("button", { type: "button", class: `link name${isAgreed && isThere !== false ? "" : " trouble"}`, "data-key": `to ${name}`, onclick: () => select(name) }, name, note);
}

function details(key, title, content) {
  return h("details", { "data-key": key }, h("summary", { "data-key": `open ${key}` }, title), content);
}

function fingers(believed, name) {
  if (believed.fingers.length === 0) return h("p", { class: "hint" }, "None beyond its successors: the ring is small.");
  const rows = believed.fingers.map((finger) => {
    const entries = finger.first === finger.last ? `${finger.first}` : `${finger.first} – ${finger.last}`;
    return h("tr", {}, h("td", {}, entries), h("td", {}, name(finger.node, true)));
  });
  return h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "entries"), h("th", { scope: "col" }, "first member there"))), h("tbody", {}, rows));
}

function reach(links, name) {
  const rows = links.map((link) =>
    h("tr", {}, h("td", {}, name(link.node, true)), h("td", { class: "number" }, micros(link.round_trip_us)), h("td", { class: link.is_suspect ? "trouble" : null }, link.is_suspect ? "suspected" : "well")),
  );
  const heads = ["node", "round trip", "reached"].map((text) => h("th", { scope: "col" }, text));
  return h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows));
}
