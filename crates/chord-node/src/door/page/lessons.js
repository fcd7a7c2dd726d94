// Six lessons in `chord dev`: each has something done to the ring, and says what to watch for.

import { byId, h, set } from "./dom.js";

const CHORD = "Stoica et al., Chord, ToN 2003";
const ZAVE = "Zave, Reasoning about identifier spaces, TSE 2017";

/** The key that is traced in the lesson of lookups, unless the user has typed another. */
const KEY = "lesson";

const added = ({ before, ring }) => ring.members.filter(({ node }) => !before.ring.nodes.get(node.name)?.isMember).map(({ node }) => node);
const torn = ({ ring }) => ring.beliefs.some((belief) => !belief.isAgreed);
const isVictimGone = ({ ring, victim }) => victim !== null && !ring.nodes.get(victim)?.isThere;
/** Everyone who is there agrees: those who are not are shown for a while longer. */
const isCalm = ({ ring }) => ring.cycles.length <= 1 && ring.claims.length === 0 && ring.beliefs.every((belief) => belief.isAgreed);

/** Each step is an order, and what is to be seen after it: words, whether it is to be seen, and whether that is over. Both are
asked at every picture, and one yes is enough. */
const LESSONS = [
  {
    name: "join",
    title: "Join",
    from: `${CHORD}, section IV-E`,
    about: "A node that joins knows one member. It asks that one to find the successor of its own position, and takes what it is told for its successor. Nobody else changes anything yet: the others find out by themselves.",
    steps: [
      {
        does: "Add a node",
        order: () => ["add"],
        watch: [
          ["A new dot: its place is the hash of its name, and nobody chooses it.", (now) => added(now).length > 0],
          ["A solid line from it to its successor. As long as its predecessor names another, the two lines differ and are dashed.", (now) => added(now).some((node) => node.successor)],
          ["Its arc: it answers for what lies behind its predecessor. The arc is hatched until its records have been handed over.", (now) => added(now).some((node) => node.ring.range?.is_complete)],
          ["Everyone agrees.", (now) => added(now).length > 0 && isCalm(now)],
        ],
      },
    ],
  },
  {
    name: "lookup",
    title: "Lookup",
    from: `${CHORD}, sections IV-C and IV-D`,
    about: "The owner of a key is its successor: the first node at or after the key's position. A node that does not know it asks the closest preceding node among its fingers. Each such step halves the way at least, so that there are about ½ log₂ N of them.",
    steps: [
      {
        does: "Trace a key",
        order: () => ["trace", KEY],
        watch: [
          ["The diamond: where the key is hashed to. The owner is the next node clockwise.", (now) => now.trace !== null],
          ["The arrows: each leads to a node before the key, the last to the owner. Below stands why each node chose the next.", (now) => now.trace !== null],
          ["Its copies are at the owner and the next two successors, and agree.", (now) => now.trace?.do_agree === true],
        ],
      },
    ],
  },
  {
    name: "stabilization",
    title: "Stabilize",
    from: `${CHORD}, section IV-E; ${ZAVE}`,
    about: "Now and then each node asks its successor for that one's predecessor. If that lies between the two, it is the better successor; either way the node notifies its successor that it is there. The rule that a node is live before it is believed in is Zave's: without it the ring can break for ever.",
    steps: [
      {
        does: "Add two nodes",
        order: () => ["add", "add"],
        watch: [
          ["Dashed lines: beliefs that are not returned yet.", torn, (now) => added(now).length > 1 && isCalm(now)],
          ["Round by round they become thin and grey. In slow motion, chord dev --slow 10, you can count the rounds.", (now) => added(now).length > 1 && !torn(now)],
          ["The ring is one cycle in the order of positions, as it should be.", (now) => added(now).length > 1 && isCalm(now)],
        ],
      },
    ],
  },
  {
    name: "crash",
    title: "Crash",
    from: `${CHORD}, section IV-E.3`,
    about: "Each node has a list of successors. When the first does not answer, the next takes its place; so a ring lives as long as not all nodes of a list fail at once. Of each record three nodes have a copy, and what one had is made anew elsewhere.",
    steps: [
      { does: "Start load", order: () => ["load"], watch: [["Writes are acknowledged.", (now) => now.play.load.acknowledged > 0]] },
      {
        does: "Kill a node",
        order: (now) => ["kill", victim(now)],
        watch: [
          ["Its dot is crossed out: nobody serves at its address.", isVictimGone],
          ["Its predecessor names the second of its list as successor now.", (now) => isVictimGone(now) && isCalm(now)],
          ["Under-replicated goes up, and back to 0 when the copies are there again.", (now) => isVictimGone(now) && isCalm(now) && now.ring.copiesMissing === 0],
          ["Lost stays 0.", (now) => isVictimGone(now) && isCalm(now) && now.ring.copiesMissing === 0 && now.play.load.lost === 0],
        ],
      },
    ],
  },
  {
    name: "cut",
    title: "Cut",
    from: `${ZAVE}`,
    about: "The network is cut: one half does not hear the other. To each half the others look dead, so it closes its ring without them. Chord's own rules hold in each half, and would never bring the two together: that there is at most one ring they only keep, and do not restore. This page looks at both halves from outside.",
    steps: [
      {
        does: "Cut in two",
        order: () => ["cut"],
        watch: [
          ["Lines that lead across the cut break: their nodes do not answer each other.", (now) => now.play.is_cut && torn(now), (now) => now.ring.cycles.length > 1],
          ["Two rings: from each half the lines lead back into it. Both answer for the whole circle, and take writes.", (now) => now.ring.cycles.length > 1],
          ["With load, out of reach may go up: who asks one half does not find what only the other has.", (now) => now.ring.cycles.length > 1],
        ],
      },
    ],
  },
  {
    name: "merge",
    title: "Merge",
    from: "ARCHITECTURE.md: this program's own rule, beside the papers",
    about: "Every node remembers those it knew, and asks one of them in each round. As soon as an answer comes from another ring, each places the other among its neighbours, and stabilization does the rest. Of two writes to one key the newer version stays.",
    steps: [
      { does: "Cut in two, if it is whole", order: (now) => (now.play.is_cut ? [] : ["cut"]), watch: [["Two rings.", (now) => now.ring.cycles.length > 1]] },
      {
        does: "Heal the cut",
        order: () => ["heal"],
        watch: [
          ["Dashed lines across the circle: the first who have heard of the other ring.", (now) => !now.play.is_cut && torn(now) && now.ring.cycles.length === 1, (now) => !now.play.is_cut && isCalm(now)],
          ["One ring, on which everyone agrees.", (now) => !now.play.is_cut && isCalm(now)],
          ["Out of reach goes back to 0, and lost stays 0.", (now) => !now.play.is_cut && isCalm(now) && now.ring.copiesMissing === 0 && now.play.load.behind + now.play.load.lost === 0],
        ],
      },
    ],
  },
];

/** Whom the lesson of crashes kills: the one opposite of who shows the page. */
function victim({ ring }) {
  const { members } = ring;
  const own = members.findIndex(({ node }) => node.name === ring.about.seenBy);
  return members[(own + Math.ceil(members.length / 2)) % members.length]?.node.name;
}

/** Shows one lesson, and follows what happens in it. */
export class Lessons {
  /** `current` tells of the ring, `acts` are the orders by name. */
  constructor(current, acts) {
    this.current = current;
    this.acts = acts;
    this.lesson = null;
    this.build(byId("lessons"));
  }

  build(section) {
    this.tabs = LESSONS.map((lesson) =>
      h("button", { type: "button", "aria-pressed": "false", "data-lesson": lesson.name, onclick: () => this.open(this.lesson === lesson ? null : lesson) }, lesson.title),
    );
    this.text = h("div", { class: "lesson", "aria-live": "polite" });
    section.append(h("h2", { id: "lessons-title" }, "Lessons"), h("div", { class: "tabs" }, this.tabs), this.text);
    this.open(null);
  }

  open(lesson) {
    this.lesson = lesson;
    this.victim = null;
    this.tabs.forEach((tab, idx) => set(tab, { "aria-pressed": String(LESSONS[idx] === lesson) }));
    if (!lesson) return this.text.replaceChildren(h("p", { class: "hint" }, "Six things that happen to a ring. Each lesson has one of them done, and says what to watch for."));
    this.steps = lesson.steps.map((step) => this.step(step));
    this.text.replaceChildren(h("p", {}, lesson.about), h("ol", { class: "steps" }, this.steps.map(({ element }) => element)), h("p", { class: "hint" }, `From: ${lesson.from}`));
    return undefined;
  }

  step(step) {
    const watch = step.watch.map(([text, isToBeSeen, isOver]) => ({ isToBeSeen, isOver, item: h("li", { "data-seen": "false" }, text, h("span", { class: "off" })) }));
    const one = { before: null, watch };
    const button = h("button", { type: "button", onclick: () => this.begin(step, one) }, step.does);
    one.element = h("li", {}, button, h("p", { class: "hint" }, "Watch for:"), h("ul", {}, watch.map(({ item }) => item)));
    return one;
  }

  /** Does what the step says, and begins to watch. */
  async begin(step, one) {
    const now = this.now();
    for (const { item } of one.watch) this.mark(item, "false");
    // The ring as it is now is what the rest is compared with.
    one.before = { ring: now.ring };
    const orders = step.order(now);
    if (orders[0] === "kill") [, this.victim] = orders;
    if (["kill", "trace"].includes(orders[0])) await this.acts[orders[0]](orders[1]);
    else for (const order of orders) await this.acts[order]();
    this.draw(true);
  }

  now() {
    return { ...this.current(), victim: this.victim };
  }

  /** Marks what has been seen, if there is somebody to do what the lessons want. */
  draw(works) {
    byId("lessons").hidden = !works;
    if (!this.lesson) return;
    const now = this.now();
    for (const { before, watch } of this.steps) {
      if (!before) continue;
      for (const { isToBeSeen, isOver, item } of watch) {
        if (item.dataset.seen !== "false") continue;
        if (isToBeSeen({ ...now, before })) this.mark(item, "true");
        else if (isOver?.({ ...now, before })) this.mark(item, "over");
      }
    }
  }

  mark(item, seen) {
    item.dataset.seen = seen;
    const words = { true: " (seen)", over: " It was over before this page could see it: chord dev --slow 10 is slower.", false: "" };
    item.lastChild.textContent = words[seen];
    item.lastChild.className = seen === "true" ? "off" : "hint";
  }
}
