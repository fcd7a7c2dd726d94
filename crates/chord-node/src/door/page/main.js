// The page: it listens to the ring, and shows it.

import { moment } from "./angle.js";
import { isDev } from "./dev.js";
import { copy, byId, inSlices, say } from "./dom.js";
import { showHealth } from "./health.js";
import { History } from "./history.js";
import { Lessons } from "./lessons.js";
import { Live } from "./live.js";
import { Ring } from "./model.js";
import { showNode } from "./node.js";
import { Play, RATE } from "./play.js";
import { Picture } from "./ring.js";
import { Table } from "./table.js";
import { Trace } from "./trace.js";

/** What of the ring is shown; the address of the page says the same, so that it can be passed on. */
const view = { node: null, fingers: "none", sort: "position", isDown: false, trace: null, key: "" };

let latest = Ring.empty();
let wantedKey = null;
let wantedTime = null;
const shown = () => history.shown ?? latest;

const select = (name) => change({ node: name });
const picture = new Picture(select);
const history = new History(() => {
  rememberSoon();
  draw();
});
const table = new Table(select, (column) => change({ sort: column, isDown: view.sort === column && !view.isDown }));
const trace = new Trace(shown, select, (found) => change({ trace: found, key: found.key }));

const play = isDev ? new Play(() => latest.about.seenBy, () => draw()) : null;
const lessons = isDev ? new Lessons(() => ({ ring: latest, play: play.state, trace: view.trace }), lessonActs()) : null;

/** What lessons may have done. */
function lessonActs() {
  const order = (what) => () => play.order(what);
  return {
    add: order("add"),
    cut: order("cut"),
    heal: order("heal"),
    load: () => play.state.load.rate > 0 || play.order("load", { rate: play.wantedRate ?? RATE }),
    kill: (node) => {
      select(node);
      return play.order("kill", { node });
    },
    trace: () => trace.run(() => trace.lesson(), false),
  };
}

function change(what) {
  Object.assign(view, what);
  remember();
  draw();
}

let isDrawing = false;
let isStale = false;

/** Draws everything, once for all that happens until then: part by part, so that the page answers its user in between. */
function draw() {
  isStale = true;
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() =>
    drawAll().finally(() => {
      isDrawing = false;
      if (isStale) draw();
    }),
  );
}

async function drawAll() {
  const pause = () => new Promise((done) => setTimeout(done));
  isStale = false;
  const ring = shown();
  await inSlices(picture.draw(ring, view, play && ring === latest ? play.state : null));
  showHealth(ring, select);
  play?.select(view.node);
  document.title = `${byId("verdict").textContent} · chord`;
  await pause();
  showNode(ring, view, select);
  lessons?.draw(play.works);
  await pause();
  await inSlices(table.draw(ring, view));
  document.body.dataset.drawn = String(ring.at);
}

/** How long the slider rests before the address says where: browsers take only some changes of it in a second. */
const REST_MS = 300;
let remembering = null;

function rememberSoon() {
  clearTimeout(remembering);
  remembering = setTimeout(remember, REST_MS);
}

function remember() {
  clearTimeout(remembering);
  const hash = new URLSearchParams();
  if (view.node) hash.set("node", view.node);
  if (view.fingers !== "none") hash.set("fingers", view.fingers);
  if (view.sort !== "position" || view.isDown) hash.set("sort", `${view.isDown ? "-" : ""}${view.sort}`);
  if (view.key || wantedKey) hash.set("key", view.key || wantedKey);
  if (history.shown) hash.set("t", String(history.shown.at));
  const text = hash.toString();
  window.history.replaceState(null, "", text ? `#${text}` : window.location.pathname);
}

/** Takes the view from the address. */
function recall() {
  const hash = new URLSearchParams(window.location.hash.slice(1));
  const fingers = ["none", "selected", "all"].includes(hash.get("fingers")) ? hash.get("fingers") : "none";
  const sort = hash.get("sort") ?? "position";
  Object.assign(view, { node: hash.get("node"), fingers, sort: sort.replace(/^-/, ""), isDown: sort.startsWith("-") });
  for (const radio of document.querySelectorAll("input[name=fingers]")) radio.checked = radio.value === fingers;
  wantedKey = hash.get("key");
  wantedTime = hash.get("t");
  const from = hash.get("from");
  if (from !== null) {
    say(byId("moved"), `${from} fell silent. The ring goes on here, as another of its nodes sees it.`);
    byId("moved").hidden = false;
    remember();
  }
  if (latest.at > 0) {
    traceWanted();
    goToWanted();
  }
}

/** Goes to the time of the address, if there is a picture of it. */
function goToWanted() {
  const note = byId("no-picture");
  const wanted = wantedTime;
  wantedTime = null;
  note.hidden = true;
  if (wanted === null) {
    if (history.shown) history.goLive();
    return;
  }
  const at = /^\d{1,15}$/.test(wanted) ? Number(wanted) : null;
  if (at !== null && history.has(at)) {
    history.goTo(at);
    return;
  }
  history.goLive();
  const when = at === null ? "at a time that is none" : `at ${moment(at)}`;
  say(note, `The link shows the ring as it was ${when}. This page has pictures since ${moment(history.pictures[0].at)} only, so it shows the ring as it is now.`);
  note.hidden = false;
}

/** Traces the key of the address, as soon as there are nodes to explain the way. */
function traceWanted() {
  const key = wantedKey;
  wantedKey = null;
  if (!key || key === view.key) return;
  // It stays in the address also if it cannot be traced now.
  view.key = key;
  trace.take(key);
  trace.run(() => trace.trace());
}

recall();

/** What the page listens to. */
const live = new Live({
  take(said, isWhole) {
    latest = latest.after(said, isWhole);
    say(byId("seen-by"), said.seen_by);
    sayWhereWritesWork(said.seen_by);
    history.add(latest);
    draw();
    if (isWhole) traceWanted();
    if (wantedTime !== null) goToWanted();
  },
  /** Those that answered when the ring was seen last, the ones after this node first. */
  others() {
    const names = latest.members.map(({ node }) => node.name);
    const own = names.indexOf(latest.about.seenBy);
    return [...names.slice(own + 1), ...names.slice(0, Math.max(own, 0))].filter((name) => name !== window.location.host);
  },
  /** A value that was typed would be lost. */
  mayLeave: () => byId("value").value === "",
  address(name) {
    const hash = new URLSearchParams(window.location.hash.slice(1));
    hash.set("from", latest.about.seenBy || window.location.host);
    return `${window.location.protocol}//${name}/#${hash}`;
  },
});

/** A node takes changes only from pages under its own name: other names may have been made to lead here. */
function sayWhereWritesWork(name) {
  if (window.location.host === name) return;
  const note = byId("elsewhere");
  if (!note.hidden) return;
  note.hidden = false;
  const link = document.createElement("a");
  link.href = `${window.location.protocol}//${name}/${window.location.hash}`;
  link.textContent = `${window.location.protocol}//${name}/`;
  const what = isDev ? "put, delete and play with the ring" : "put and delete";
  note.append("You see this page as ", window.location.host, `. To ${what}, open it as `, link, ".");
}

byId("copy-link").addEventListener("click", () => {
  remember();
  copy("a link to this view", window.location.href);
});
for (const radio of document.querySelectorAll("input[name=fingers]")) {
  radio.addEventListener("change", () => change({ fingers: radio.value }));
}
window.addEventListener("pagehide", () => live.rest());
window.addEventListener("pageshow", (event) => event.persisted && live.resume());
window.addEventListener("hashchange", recall);
