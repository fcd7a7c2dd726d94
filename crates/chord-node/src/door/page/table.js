// All nodes as a table: the picture's twin for those who do not see it, and for those who want to sort.

import { brief, canBeStart, lasting, percent } from "./angle.js";
import { byId, h, say, set } from "./dom.js";

const text = (value) => value ?? "–";
const share = (node) => node.ring?.range?.share ?? -1;
const state = (ring, { node }) => ring.stateOf(node);
const saysStart = (ring, node) => node.isThere && canBeStart(node.report.started_at_ms, ring.at);

/** What a row says, and what it is sorted by. */
const COLUMNS = [
  { key: "node", title: "node", show: (ring, { node }) => node.name, by: (ring, { node }) => node.name },
  { key: "position", title: "position", show: (ring, { node }) => brief(node.position), by: (ring, place) => place.turn },
  { key: "state", title: "state", show: state, by: state },
  { key: "share", title: "of positions", isNumber: true, show: (ring, { node }) => (share(node) < 0 ? "–" : percent(share(node))), by: (ring, { node }) => share(node) },
  { key: "records", title: "records", isNumber: true, show: (ring, { node }) => (node.isThere ? node.report.records.toLocaleString("en") : "–"), by: (ring, { node }) => node.report?.records ?? -1 },
  { key: "missing", title: "missing", isNumber: true, show: (ring, { node }) => (node.isThere ? node.report.copies_missing.toLocaleString("en") : "–"), by: (ring, { node }) => node.report?.copies_missing ?? -1 },
  { key: "predecessor", title: "predecessor", show: (ring, { node }) => text(node.predecessor), by: (ring, { node }) => text(node.predecessor) },
  { key: "successor", title: "successor", show: (ring, { node }) => text(node.successor), by: (ring, { node }) => text(node.successor) },
  { key: "up", title: "up for", isNumber: true, show: (ring, { node }) => (saysStart(ring, node) ? lasting(ring.at - node.report.started_at_ms) : "–"), by: (ring, { node }) => (saysStart(ring, node) ? -node.report.started_at_ms : 1) },
  { key: "version", title: "version", show: (ring, { node }) => text(node.report?.version), by: (ring, { node }) => text(node.report?.version) },
];

/** The table in the page. */
export class Table {
  constructor(select, onSort) {
    this.select = select;
    this.heads = COLUMNS.map((column) =>
      h("th", { scope: "col", class: column.isNumber ? "number" : null, "data-column": column.key }, h("button", { type: "button", onclick: () => onSort(column.key) }, column.title)),
    );
    this.body = h("tbody");
    this.rows = new Map();
    byId("table").append(
      h("div", { class: "head" }, h("h2", { id: "table-title" }, "All nodes"), h("p", { class: "hint" }, "The same as the picture. Each column can be sorted by.")),
      h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, this.heads)), this.body)),
    );
  }

  /** Step by step. */
  *draw(ring, view) {
    const what = `${view.sort} ${view.isDown} ${view.node}`;
    if (this.drawn === ring && this.drawnAs === what) return;
    const column = COLUMNS.find(({ key }) => key === view.sort) ?? COLUMNS[1];
    const way = view.isDown ? -1 : 1;
    COLUMNS.forEach(({ key }, idx) => set(this.heads[idx], { "aria-sort": key !== column.key ? null : view.isDown ? "descending" : "ascending" }));
    const places = [...ring.order].sort((a, b) => way * compare(column.by(ring, a), column.by(ring, b)) || a.turn - b.turn);
    for (const [idx, place] of places.entries()) {
      yield;
      const { node } = place;
      const row = this.row(node.name);
      set(row, { "data-state": state(ring, place).replaceAll(" ", "-"), class: `hue${place.hue}${view.node === node.name ? " selected" : ""}` });
      COLUMNS.forEach(({ show }, at) => say(at === 0 ? row.children[0].firstChild : row.children[at], show(ring, place)));
      row.children[0].firstChild.setAttribute("aria-pressed", view.node === node.name ? "true" : "false");
      if (this.body.children[idx] !== row) this.body.insertBefore(row, this.body.children[idx] ?? null);
    }
    for (const [name, row] of this.rows) {
      if (!ring.nodes.has(name)) {
        row.remove();
        this.rows.delete(name);
      }
    }
    [this.drawn, this.drawnAs] = [ring, what];
  }

  row(name) {
    let row = this.rows.get(name);
    if (!row) {
      const cells = COLUMNS.map(({ key, isNumber }, idx) =>
        idx === 0
          ? h("th", { scope: "row" }, h("button", { type: "button", class: "link name", onclick: () => this.select(name) }))
          : h("td", { class: isNumber ? "number" : null, "data-column": key }),
      );
      row = h("tr", { "data-node": name }, cells);
      this.rows.set(name, row);
    }
    return row;
  }
}

const { compare: compareTexts } = new Intl.Collator("en", { numeric: true });

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return compareTexts(String(a), String(b));
}
