// The state of the ring in words: what is the matter, why, and what to do.

import { count } from "./angle.js";
import { byId, h, say } from "./dom.js";

/** Reasons that are shown: more of them would push the ring off the screen just when one wants to see it. */
const SHOWN_MAX = 3;

const ANSWERS = {
  unreachable: "nobody serves at that address",
  silent: "it did not answer within a second",
  garbled: "its answer makes no sense",
  "other-ring": "it is of another ring",
  "other-program": "it cannot tell of itself: it runs another program, or an older version",
};

export function answerInWords(answer) {
  return ANSWERS[answer] ?? "it answers";
}

/** What is the matter, the gravest first: each with a level, a sentence and what to do. */
export function reasons(ring) {
  const found = [...absent(ring), ...torn(ring), ...records(ring), ...nodesThemselves(ring)];
  const order = { act: 0, heals: 1, gone: 2, note: 3 };
  return found.sort((a, b) => order[a.level] - order[b.level]);
}

function absent(ring) {
  const isHealed = torn(ring).length === 0 && ring.copiesMissing === 0;
  return ring.order
    .filter(({ node }) => !node.isThere)
    .map(({ node }) => {
      const isOther = node.answer === "other-program";
      return {
        level: isOther ? "note" : isHealed ? "gone" : "heals",
        node: node.name,
        what: `${node.name}: ${answerInWords(node.answer)}.`,
        next: isOther
          ? "It takes part in the ring; this page cannot show what it believes."
          : isHealed
            ? "The others have closed the ring round it and made its copies anew. Start it again, or forget it."
            : "The others close the ring round it and make its copies anew.",
      };
    });
}

function torn(ring) {
  const found = [];
  const members = ring.members.length;
  if (ring.cycles.length > 1) {
    found.push({
      level: "act",
      what: `The nodes form ${ring.cycles.length} rings instead of one.`,
      next: "They merge by themselves once they reach each other: see whether the network between them is cut.",
    });
  }
  const doubted = new Set(ring.beliefs.filter((belief) => !belief.isAgreed).map((belief) => belief.of));
  if (doubted.size > 0 && members > 0) {
    found.push({
      level: "heals",
      what: `${count(doubted.size, "node does", "nodes do")} not agree with a neighbour about who is next.`,
      next: "Each round of maintenance mends some of it: wait some seconds.",
    });
  }
  const unowned = ring.claims.filter((claim) => claim.owners === 0).length;
  const doubly = ring.claims.length - unowned;
  if (unowned > 0 && members > 0) {
    const what = `For ${count(unowned, "part", "parts")} of the ring nobody answers at the moment.`;
    found.push({ level: "heals", what, next: "Requests for keys there wait until a node has taken over: some seconds." });
  }
  if (doubly > 0) {
    const what = `For ${count(doubly, "part", "parts")} of the ring several nodes take themselves for the owner.`;
    found.push({ level: "heals", what, next: "Within one ring only one of them is vouched for by its predecessor, and answers." });
  }
  return found;
}

function records(ring) {
  const found = [];
  if (ring.copiesMissing > 0) {
    found.push({
      level: "heals",
      what: `Up to ${count(ring.copiesMissing, "copy is", "copies are")} missing.`,
      next: "They are being made: stop no further node until this is 0.",
    });
  }
  const unready = ring.members.filter(({ node }) => !node.ring.is_ready && node.report.copies_missing === 0);
  for (const { node } of unready.slice(0, 3)) {
    const why = node.ring.not_ready_because ?? "it does not say why";
    found.push({ level: "heals", node: node.name, what: `${node.name} is not ready: ${why}.`, next: "Wait before you stop another node." });
  }
  if (unready.length > 3) {
    found.push({ level: "heals", what: `${unready.length - 3} more nodes are not ready.`, next: "The table has them all." });
  }
  return found;
}

function nodesThemselves(ring) {
  const found = [];
  for (const { node } of ring.order.filter(({ node }) => node.isThere)) {
    const { storage, violations } = node.report;
    if (storage.trouble) {
      found.push({ level: "act", node: node.name, what: `${node.name} takes no writes.`, next: storage.trouble });
    }
    if (violations > 0) {
      const what = `${node.name} found a rule of the ring broken ${count(violations, "time", "times")}.`;
      found.push({ level: "act", node: node.name, what, next: "That is a defect of the program: its log says more. Please report it." });
    }
    if (!node.isMember) {
      const why = node.ring.not_ready_because ?? "it is in no ring";
      found.push({ level: "heals", node: node.name, what: `${node.name} is no member: ${why}.`, next: "Have it join, or stop it." });
    }
  }
  const members = ring.members;
  if (members.length === 1) {
    found.push({ level: "note", what: "The ring has one node: there are no copies elsewhere.", next: "Start more nodes and have them join." });
  }
  const versions = new Set(members.map(({ node }) => node.report.version));
  if (versions.size > 1) {
    const what = `The nodes run ${versions.size} versions: ${[...versions].sort().join(", ")}.`;
    found.push({ level: "note", what, next: "That is fine while you replace them one by one." });
  }
  if (ring.about.leftOut > 0) {
    const what = `${count(ring.about.leftOut, "name was", "names were")} left out of this picture, which has room for 1,024.`;
    found.push({ level: "note", what, next: "A node may be making names up, or the ring is larger than that." });
  }
  return found;
}

const VERDICTS = {
  act: "The ring needs you",
  heals: "The ring is healing",
  gone: "The ring is whole again, without those who are gone",
  note: "The ring is whole",
  fine: "The ring is whole",
};

/** Shows all that, and the numbers of the ring. */
export function showHealth(ring, select) {
  const found = reasons(ring);
  const level = ring.at === 0 ? "waiting" : (found[0]?.level ?? "fine");
  const verdict = byId("verdict");
  verdict.dataset.level = level;
  say(verdict, level === "waiting" ? "Looking at the ring" : VERDICTS[level]);
  const shown = found.slice(0, SHOWN_MAX).map(({ level, what, next, node }) =>
    h(
      "li",
      { "data-level": level },
      node ? h("button", { type: "button", class: "link", onclick: () => select(node) }, what) : h("strong", {}, what),
      " ",
      next,
    ),
  );
  if (found.length > SHOWN_MAX) shown.push(h("li", {}, `And ${found.length - SHOWN_MAX} more.`));
  if (level === "fine") shown.push(h("li", { "data-level": "fine" }, "Every node agrees with its neighbours, and every copy is there."));
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
