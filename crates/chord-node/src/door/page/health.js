// The state of the ring in words: what is the matter, why, and what to do, as the node that shows the ring says it.

import { count } from "./angle.js";
import { byId, h, say, set } from "./dom.js";

/** Reasons that are shown unasked: more of them would push the ring off the screen just when one wants to see it. */
const SHOWN_MAX = 3;

/** Whether the reader has opened the others; the ring that is shown last, to draw them at once. */
let isOpen = false;
let latest = null;

/** Shows how the ring is, and its numbers. */
export function showHealth(ring, select) {
  latest = { ring, select };
  const { severity, verdict: words, detail, reasons, more } = ring.about.health;
  const verdict = byId("verdict");
  verdict.dataset.level = severity;
  say(verdict, words);
  const shown = (isOpen ? reasons : reasons.slice(0, SHOWN_MAX)).map((reason) => item(reason, select));
  if (detail) shown.push(h("li", { "data-level": severity }, detail));
  // The node itself does not tell more than so many.
  if (more > 0 && (isOpen || reasons.length <= SHOWN_MAX)) shown.push(h("li", { class: "untold" }, `${count(more, "more reason is", "more reasons are")} not told here: the table has every node.`));
  const list = byId("reasons");
  const text = shown.map((one) => one.textContent).join("\n");
  if (list.dataset.text !== text) {
    list.dataset.text = text;
    update(list, shown);
  }
  showMore(Math.max(0, reasons.length - SHOWN_MAX));
  const totals = [
    ["nodes", String(ring.members.length)],
    ["records", ring.records.toLocaleString("en")],
    ["under-replicated", ring.copiesMissing.toLocaleString("en")],
    ["not answering", String(ring.order.filter(({ node }) => !node.isThere && !node.hasLeft && node.answer !== "other-program").length)],
  ];
  const box = byId("totals");
  if (box.childElementCount === 0) box.append(...totals.map(([name]) => h("div", {}, h("dt", {}, name), h("dd", { "data-total": name }))));
  totals.forEach(([, value], idx) => say(box.children[idx].lastChild, value));
}

function item({ code, severity, sentence, next, node }, select) {
  const what = node ? h("button", { type: "button", class: "link", onclick: () => select(node) }, sentence) : h("strong", {}, sentence);
  return h("li", { "data-level": severity, "data-code": code }, what, " ", next);
}

/** Puts the items in place of those that were there; whoever has the keyboard on one keeps it on the one in its place. */
function update(list, items) {
  const held = [...list.children].findIndex((one) => one.contains(document.activeElement));
  list.replaceChildren(...items);
  if (held >= 0) (items[Math.min(held, items.length - 1)]?.querySelector("button") ?? byId("more-reasons")).focus();
}

/** The button that shows the reasons beyond the first, or hides them again. */
function showMore(hidden) {
  const button = byId("more-reasons");
  if (!button.onclick) {
    button.onclick = () => {
      isOpen = !isOpen;
      showHealth(latest.ring, latest.select);
    };
  }
  button.hidden = hidden === 0;
  set(button, { "aria-expanded": String(isOpen) });
  say(button, isOpen ? "Show fewer" : `Show ${count(hidden, "more reason", "more reasons")}`);
}
