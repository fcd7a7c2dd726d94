// Where things are: positions to angles, angles to points, numbers to words.

const FINE = 48n;
const DAY_MS = 86400000;

/** Which part of the circle lies before a position: 0 to 1. A position may have 256 bits. */
export function turn(position, bits) {
  const value = BigInt(position);
  const size = BigInt(bits);
  const part = size > FINE ? value >> (size - FINE) : value << (FINE - size);
  return Number(part) / 2 ** Number(FINE);
}

/** From one part of the circle clockwise to another: more than 0, up to 1. */
export function sweep(from, to) {
  const way = to - from;
  return way > 0 ? way : way + 1;
}

/** The point at that part of the circle; 0 is at the top, and the way is clockwise. */
export function point(part, radius) {
  const angle = part * 2 * Math.PI;
  return [Math.sin(angle) * radius, -Math.cos(angle) * radius];
}

const number = (value) => value.toFixed(2);

function at(part, radius) {
  return point(part, radius).map(number).join(" ");
}

/** An arc clockwise from one part to another. */
export function arc(from, to, radius) {
  const way = sweep(from, to);
  if (way > 0.9999) {
    const half = from + 0.5;
    return `M${at(from, radius)}A${radius} ${radius} 0 0 1 ${at(half, radius)}A${radius} ${radius} 0 0 1 ${at(from, radius)}`;
  }
  return `M${at(from, radius)}A${radius} ${radius} 0 ${way > 0.5 ? 1 : 0} 1 ${at(to, radius)}`;
}

/** The same, drawn the other way round. */
export function arcBack(from, to, radius) {
  const way = sweep(to, from);
  return `M${at(from, radius)}A${radius} ${radius} 0 ${way > 0.5 ? 1 : 0} 0 ${at(to, radius)}`;
}

/** A line through the circle, bent towards its middle: the more, the further apart its ends are. */
export function chord(from, to, radius) {
  const [on, back] = [sweep(from, to), sweep(to, from)];
  const way = Math.min(on, back);
  // On the shorter side, so that a line to one who is close behind does not lead round the middle.
  const middle = point(on <= back ? from + on / 2 : from - back / 2, radius * Math.max(0, 0.86 - way * 1.7));
  return `M${at(from, radius)}Q${middle.map(number).join(" ")} ${at(to, radius)}`;
}

export function percent(share) {
  if (share >= 0.0995 || share === 0) return `${Math.round(share * 100)} %`;
  return `${(share * 100).toPrecision(2)} %`;
}

export function count(value, one, many) {
  return `${value.toLocaleString("en")} ${value === 1 ? one : many}`;
}

export function bytes(value) {
  value = Math.round(value);
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let idx = 0;
  while (value >= 1024 && idx < units.length - 1) {
    value /= 1024;
    idx += 1;
  }
  return `${idx === 0 ? value : value.toFixed(1)} ${units[idx]}`;
}

export function micros(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1000) return `${us} µs`;
  if (us >= 999500) return `${(us / 1e6).toFixed(2)} s`;
  return `${(us / 1000).toFixed(us < 9950 ? 1 : 0)} ms`;
}

export function lasting(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

/** Whether a node can have been started then, as whoever looks at `now` sees it: clocks may differ, by a day at most. */
export function canBeStart(ms, now) {
  return Number.isFinite(ms) && ms > 0 && ms <= now + DAY_MS;
}

export function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

/** The same, with the day where it is not today. */
export function moment(ms) {
  const date = new Date(ms);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? clock(ms) : `${clock(ms)} on ${date.toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" })}`;
}

/** So many in a second, in as many digits as say something. */
export function perSecond(value) {
  return value === 0 || value >= 99.5 ? Math.round(value).toLocaleString("en") : value < 0.05 ? "under 0.1" : value.toFixed(1);
}

/** A long number of digits as its beginning and its end. */
export function brief(position) {
  return position.length > 14 ? `${position.slice(0, 6)}…${position.slice(-4)}` : position;
}
