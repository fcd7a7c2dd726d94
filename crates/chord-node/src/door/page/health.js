// The state of the ring in words: what is the matter, why, and what to do, as the node that shows the ring says it.

import { byId, h, say } from "./dom.js";

/** Reasons that are shown: more of them would push the ring off the screen just when one wants to see it. */
const SHOWN_MAX = 3;

/** Shows how the ring is, and its numbers. */
export function showHealth(ring, select) {
  const { severity, verdict: words, detail, reasons, more } = ring.about.health;
  const verdict = byId("verdict");
  verdict.dataset.level = severity;
  say(verdict, words);
  const shown = reasons.slice(0, SHOWN_MAX).map(({ code, severity: level, sentence, next, node }) =>
    h(
      "li",
      { "data-level": level, "data-code": code },
      node ? h("button", { type: "button", class: "link", onclick: () => select(node) }, sentence) : h("strong", {}, sentence),
      " ",
      next,
    ),
  );
  const left = more + Math.max(0, reasons.length - SHOWN_MAX);
  if (left > 0) shown.push(h("li", {}, `And ${left.toLocaleString("en")} more.`));
  if (detail) shown.push(h("li", { "data-level": severity }, detail));
  const list = byId("reasons");
  const text = shown.map((item) => item.textContent).join("\n");
  if (list.dataset.text !== text) {
    list.dataset.text = text;
    list.replaceChildren(...shown);
  }
  const totals = [
    ["nodes", String(ring.members.length)],
    ["records", ring.records.toLocaleString("en")],
    ["under-replicated", ring.copiesMissing.toLocaleString("en")],
    ["not answering", String(ring.order.filter(({ node }) => !node.isThere).length)],
  ];
  byId("totals").replaceChildren(...totals.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { "data-total": name }, value))));
}
