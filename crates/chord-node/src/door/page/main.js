// The page: it listens to the ring, and shows it.

import { isDev } from "./dev.js";
import { copy, byId, say } from "./dom.js";
import { showHealth } from "./health.js";
import { History } from "./history.js";
import { Lessons } from "./lessons.js";
import { Ring } from "./model.js";
import { showNode } from "./node.js";
import { Play } from "./play.js";
import { Picture } from "./ring.js";
import { Table } from "./table.js";
import { Trace } from "./trace.js";

/** What of the ring is shown; the address of the page says the same, so that it can be passed on. */
const view = { node: null, fingers: "none", sort: "position", isDown: false, trace: null, key: "" };

let latest = Ring.empty();
let wantedKey = null;
const shown = () => history.shown ?? latest;

const select = (name) => change({ node: name });
const picture = new Picture(select);
const history = new History(() => draw());
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
    load: () => play.state.load.rate > 0 || play.order("load", { rate: Number(play.rate.value) || 50 }),
    kill: (node) => {
      select(node);
      return play.order("kill", { node });
    },
    trace: () => {
      trace.key.value ||= "lesson";
      return trace.run(() => trace.lesson());
    },
  };
}

function change(what) {
  Object.assign(view, what);
  remember();
  draw();
}

let isDrawn = true;

/** Draws everything, once for all that happens until then. */
function draw() {
  if (!isDrawn) return;
  isDrawn = false;
  requestAnimationFrame(() => {
    isDrawn = true;
    const ring = shown();
    picture.draw(ring, view, play && ring === latest ? play.state : null);
    table.draw(ring, view);
    showNode(ring, view, select);
    showHealth(ring, select);
    play?.select(view.node);
    lessons?.draw(play.works);
    document.title = `${byId("verdict").textContent} · chord`;
    document.body.dataset.drawn = String(ring.at);
  });
}

function remember() {
  const hash = new URLSearchParams();
  if (view.node) hash.set("node", view.node);
  if (view.fingers !== "none") hash.set("fingers", view.fingers);
  if (view.sort !== "position" || view.isDown) hash.set("sort", `${view.isDown ? "-" : ""}${view.sort}`);
  if (view.key) hash.set("key", view.key);
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
  if (latest.at > 0) traceWanted();
}

/** Traces the key of the address, as soon as there are nodes to explain the way. */
function traceWanted() {
  const key = wantedKey;
  wantedKey = null;
  if (!key || key === view.key) return;
  trace.key.value = key;
  trace.run(() => trace.trace());
}

/** What the page listens to. */
let events = null;

function listen() {
  events?.close();
  events = new EventSource("/v1/ring/live");
  const state = (name, text) => {
    byId("live").dataset.state = name;
    say(byId("live"), text);
  };
  const take = (isWhole) => (event) => {
    const said = JSON.parse(event.data);
    latest = latest.after(said, isWhole);
    say(byId("seen-by"), said.seen_by);
    const seconds = said.pause_ms / 1000;
    state("live", seconds < 1 ? "live" : `live, every ${seconds.toFixed(0)} s`);
    sayWhereWritesWork(said.seen_by);
    history.add(latest);
    draw();
    if (isWhole) traceWanted();
  };
  events.addEventListener("ring", take(true));
  events.addEventListener("changes", take(false));
  events.addEventListener("error", () => {
    const isOver = events.readyState === EventSource.CLOSED;
    state("lost", isOver ? "not connected" : "connection lost, trying again");
    if (isOver) setTimeout(listen, 2000);
  });
}

/** A node takes changes only from pages under its own name: other names may have been made to lead here. */
function sayWhereWritesWork(name) {
  if (window.location.host === name) return;
  const note = byId("elsewhere");
  if (!note.hidden) return;
  note.hidden = false;
  const link = document.createElement("a");
  link.href = `http://${name}/${window.location.hash}`;
  link.textContent = `http://${name}/`;
  const what = isDev ? "put, delete and play with the ring" : "put and delete";
  note.append("You see this page as ", window.location.host, `. To ${what}, open it as `, link, ".");
}

byId("copy-link").addEventListener("click", () => copy("a link to this view", window.location.href));
for (const radio of document.querySelectorAll("input[name=fingers]")) {
  radio.addEventListener("change", () => change({ fingers: radio.value }));
}
// A browser keeps pages that were left for those who go back, with their connections, of which it has six for one address.
window.addEventListener("pagehide", () => events?.close());
window.addEventListener("pageshow", (event) => event.persisted && listen());
window.addEventListener("hashchange", recall);
recall();
listen();
