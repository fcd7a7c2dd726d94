// Six lessons in `chord dev`: each has something done to the ring, and says what to watch for.

import { byId, h, set } from "./dom.js";

const CHORD = "Stoica et al., Chord, ToN 2003";
const ZAVE = "Zave, Reasoning about identifier spaces, TSE 2017";

const membersOf = (ring) => ring.members.map(({ node }) => node);
const added = ({ before, ring }) => membersOf(ring).filter((node) => !before.ring.nodes.get(node.name)?.isMember);
const tornOf = (ring, isWanted) => ring.beliefs.some((belief) => !belief.isAgreed && isWanted(belief));
const isAdded = (now) => (belief) => added(now).some(({ name }) => belief.of === name || belief.about === name);
const nodeOf = (ring, name) => ring.nodes.get(name ?? "");
const positionOf = (ring, name) => nodeOf(ring, name)?.position;

/** Everyone who is there agrees: those who are not are shown for a while longer. */
const isCalm = ({ ring }) => ring.members.length > 0 && ring.cycles.length === 1 && ring.claims.length === 0 && ring.beliefs.every((belief) => belief.isAgreed);

/** The successor of each is the next in the order of positions, and all are in one ring. */
const isInOrder = ({ ring }) => {
  const members = membersOf(ring);
  return ring.cycles[0]?.length === members.length && members.every((node, idx) => members.length === 1 || node.successor === members[(idx + 1) % members.length].name);
};

const hasSettled = (now) => added(now).length >= now.wanted && isCalm(now);

/** The victim is shown, and does not answer. */
const isVictimGone = ({ ring, victim }) => victim !== null && nodeOf(ring, victim)?.isThere === false;

/** Whoever named the victim as its successor now names the second of the list that it had. */
const isReplaced = ({ before, ring, victim }) => {
  const former = membersOf(before.ring).find((node) => node.successor === victim);
  const second = former?.ring.successors[1]?.node;
  return second !== undefined && nodeOf(ring, former.name)?.successor === second;
};

/** Both sides of the cut are seen, and each is a ring of its own. */
const areTwoRings = ({ ring, play }) => {
  if (!play.is_cut || ring.cycles.length !== 2) return false;
  const apart = new Map(play.nodes.map(({ node, is_apart }) => [node, is_apart]));
  return ring.cycles.every((cycle) => new Set(cycle.map((name) => apart.get(name))).size === 1) && new Set(ring.cycles.map(([name]) => apart.get(name))).size === 2;
};

/** A belief that leads from one side of the cut to the other. */
const isAcross = ({ play }) => {
  const apart = new Map(play.nodes.map(({ node, is_apart }) => [node, is_apart]));
  return ({ of, about }) => apart.has(of) && apart.has(about) && apart.get(of) !== apart.get(about);
};

/** A belief that leads from one of the rings that there were into another. */
const isBetween = ({ before }) => ({ of, about }) => {
  const ringOf = (name) => before.ring.cycles.findIndex((cycle) => cycle.includes(name));
  return ringOf(of) >= 0 && ringOf(about) >= 0 && ringOf(of) !== ringOf(about);
};

const isHealed = (now) => !now.play.is_cut && isCalm(now) && isInOrder(now);
const isTraced = ({ before, trace }) => trace !== null && trace !== before.trace;

/** The owner is the first member at or after the key. */
const isOwnedByNext = ({ ring, trace }) => {
  const key = ring.turnOf(trace.position);
  const next = ring.members.find(({ turn }) => turn >= key) ?? ring.members[0];
  return next?.node.name === trace.owner.node;
};

/** Every key of the load has been read once more since that picture. */
const isReadBackSince = (now, checked) => checked !== null && now.play.load.checked - checked > now.play.load.keys && now.play.load.keys > 0;

/** What has been so at some picture since the step began, from all pictures until then. */
const BEEN = { isTorn: false, isTornBetween: false, missing: 0, wasBehind: false, checkedAtRest: null };

function beenAfter(been, now) {
  const isAtRest = isCalm(now) && !now.play.is_cut && now.ring.copiesMissing === 0 && (now.victim === null || isVictimGone(now));
  return {
    isTorn: been.isTorn || tornOf(now.ring, isAdded(now)),
    isTornBetween: been.isTornBetween || (!now.play.is_cut && tornOf(now.ring, isBetween(now))),
    missing: Math.max(been.missing, isVictimGone(now) ? now.ring.copiesMissing : 0),
    wasBehind: been.wasBehind || (areTwoRings(now) && now.play.load.behind > 0),
    checkedAtRest: isAtRest ? (been.checkedAtRest ?? now.play.load.checked) : null,
  };
}

/** Each step is some orders, and what is to be seen after them: words, whether it has been seen, and whether it is too late for
that. All are asked at every picture, and have to hold for what the step itself has brought about: each begins with what was
`before`, and what has `been` since. */
const LESSONS = [
  {
    name: "join",
    title: "Join",
    from: `${CHORD}, section IV-E`,
    about: "A node that joins knows one member. It asks that one to find the successor of its own position, and takes what it is told for its successor. Nobody else changes anything yet: the others find out by themselves.",
    steps: [
      {
        does: "Add a node",
        wanted: 1,
        orders: () => [["add"]],
        watch: [
          ["A new dot: its place is the hash of its name, and nobody chooses it.", (now) => added(now).length > 0],
          ["Its lines are dashed as long as its neighbours do not name it.", ({ been }) => been.isTorn, hasSettled],
          ["A solid line from it to its successor, which names it in turn.", (now) => added(now).some((node) => now.ring.beliefs.some(({ kind, of, isAgreed }) => kind === "successor" && of === node.name && isAgreed))],
          ["Its arc: it answers for what lies behind its predecessor. The arc is hatched until its records have been handed over.", (now) => added(now).some((node) => node.predecessor && node.ring.range?.is_complete && node.ring.range.after === positionOf(now.ring, node.predecessor))],
          ["Everyone agrees.", (now) => hasSettled(now) && isInOrder(now)],
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
        does: "Put a key and trace it",
        orders: () => [["trace"]],
        watch: [
          ["The diamond: where the key is hashed to. The owner is the next node clockwise.", (now) => isTraced(now) && isOwnedByNext(now)],
          ["The arrows: each leads to a node before the key, the last to the owner. Below stands why each node chose the next.", (now) => isTraced(now) && now.trace.steps.length > 1 && now.trace.steps.at(-1).node === now.trace.owner.node],
          ["Its copies are at the owner and the next two successors, and agree.", (now) => isTraced(now) && now.trace.do_agree && now.trace.copies.length === Math.min(3, now.ring.members.length) && now.trace.copies.every(({ has }) => has === "value")],
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
        wanted: 2,
        orders: () => [["add"], ["add"]],
        watch: [
          ["Dashed lines: beliefs that are not returned yet.", ({ been }) => been.isTorn, hasSettled],
          ["Round by round they become thin and grey. In slow motion, chord dev --slow 10, you can count the rounds.", (now) => now.been.isTorn && hasSettled(now), hasSettled],
          ["The ring is one cycle in the order of positions, as it should be.", (now) => hasSettled(now) && isInOrder(now)],
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
      { does: "Start load", orders: () => [["load"]], watch: [["Writes are acknowledged.", ({ before, play }) => play.load.rate > 0 && play.load.acknowledged > before.play.load.acknowledged]] },
      {
        does: "Kill a node",
        orders: (now) => [["kill", victim(now)]],
        watch: [
          ["Its dot is crossed out: nobody serves at its address.", isVictimGone],
          ["Its predecessor names the second of its list as successor now.", (now) => isVictimGone(now) && isReplaced(now)],
          ["Under-replicated goes up,", ({ been }) => been.missing > 0, (now) => isReadBackSince(now, now.been.checkedAtRest)],
          ["and back to 0 when the copies are there again.", (now) => isVictimGone(now) && isCalm(now) && now.been.missing > 0 && now.ring.copiesMissing === 0, (now) => isReadBackSince(now, now.been.checkedAtRest)],
          ["Every write has been read back since, and lost is still 0.", (now) => isVictimGone(now) && isReadBackSince(now, now.been.checkedAtRest) && now.play.load.lost === 0],
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
        does: "Start load, and cut in two",
        orders: ({ play }) => (play.is_cut ? [["load"]] : [["load"], ["cut"]]),
        watch: [
          ["Lines that lead across the cut break: their nodes do not answer each other.", (now) => now.play.is_cut && tornOf(now.ring, isAcross(now)), areTwoRings],
          ["Two rings: from each half the lines lead back into it. Both answer for the whole circle, and take writes.", (now) => areTwoRings(now) && now.ring.beliefs.every((belief) => belief.isAgreed)],
          ["Out of reach goes up: who asks one half does not find what only the other has.", ({ been }) => been.wasBehind],
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
      { does: "Cut in two, if it is whole", orders: (now) => (now.play.is_cut ? [] : [["cut"]]), watch: [["Two rings.", areTwoRings]] },
      {
        does: "Heal the cut",
        orders: () => [["heal"]],
        watch: [
          ["Dashed lines across the circle: the first who have heard of the other ring.", ({ before, been }) => before.ring.cycles.length > 1 && been.isTornBetween, (now) => now.before.ring.cycles.length > 1 && isHealed(now)],
          ["One ring, on which everyone agrees.", (now) => now.before.ring.cycles.length > 1 && isHealed(now)],
          ["Every write has been read back since: out of reach is 0 again, and lost is still 0.", (now) => now.before.ring.cycles.length > 1 && isHealed(now) && isReadBackSince(now, now.been.checkedAtRest) && now.play.load.behind + now.play.load.lost === 0],
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
    const { wanted = 0 } = step;
    const watch = step.watch.map(([text, isToBeSeen, isOver]) => ({ isToBeSeen, isOver, item: h("li", { "data-seen": "false" }, text, h("span", { class: "off" })) }));
    const one = { before: null, been: BEEN, wanted, watch };
    const button = h("button", { type: "button", onclick: () => this.begin(step, one) }, step.does);
    one.element = h("li", {}, button, h("p", { class: "hint" }, "Watch for:"), h("ul", {}, watch.map(({ item }) => item)));
    return one;
  }

  /** Does what the step says, and begins to watch. */
  async begin(step, one) {
    const now = this.now();
    for (const { item } of one.watch) this.mark(item, "false");
    // Things as they are now are what the rest is compared with.
    const orders = step.orders(now);
    Object.assign(one, { before: { ring: now.ring, play: now.play, trace: now.trace }, been: BEEN });
    const kill = orders.find(([what]) => what === "kill");
    if (kill) [, this.victim] = kill;
    for (const [what, of] of orders) await this.acts[what](of);
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
    for (const one of this.steps) {
      const { before, wanted, watch } = one;
      if (!before) continue;
      one.been = beenAfter(one.been, { ...now, before });
      const all = { ...now, before, wanted, been: one.been };
      for (const { isToBeSeen, isOver, item } of watch) {
        if (item.dataset.seen !== "false") continue;
        if (isToBeSeen(all)) this.mark(item, "true");
        else if (isOver?.(all)) this.mark(item, "over");
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
