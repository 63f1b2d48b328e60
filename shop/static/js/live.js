// @ts-check
/**
 * One WebSocket for a page, however many things on it are alive. Depends on nothing.
 *
 *   import { follow, onState } from "./live.js";
 *
 *   const stop = follow("product:12", {
 *     snapshot(data) {},                    // how things stand; on subscribing and on every return
 *     event(data, { type, at, seq }) {},    // one change; never twice, never out of order
 *     resync() {},                          // optional: some events are lost for good; a new snapshot follows
 *     refused(code) {},                     // optional: "forbidden", "unknown_topic", "too_many"
 *   }, { token, since });                   // token: only for topics that ask for one
 *                                           // since: the newest event that the page already shows
 *   stop();                                 // unsubscribe
 *
 *   onState((state) => {});                 // "connecting" | "open" | "waiting" | "paused"; answers how to stop
 *
 * The address is in <meta name="realtime-url">. It connects with the first topic, reconnects with
 * growing, random pauses and asks each topic for what was missed (`since`). It closes when the page
 * is left (so that the back button stays instant) or hidden for a minute, and opens again after.
 */

const FIRST_PAUSE = 500;
const MAX_PAUSE = 30_000;
const HIDDEN_LIMIT = 60_000;
const QUIET_LIMIT = 2.5; // heartbeats without a sign of life

/** @typedef {{type: string, at: string, seq: number}} About */
/** @typedef {{snapshot?: (data: any) => void, event?: (data: any, about: About) => void, resync?: () => void, refused?: (code: string) => void}} Handlers */
/** @typedef {{seq: number | null, token: string | undefined, handlers: Set<Handlers>, last: any}} Topic */

/** @type {Map<string, Topic>} */
const topics = new Map();
/** @type {Set<(state: string) => void>} */
const listeners = new Set();
/** @type {WebSocket | null} */
let socket = null;
let state = "paused";
let failures = 0;
let heard = 0;
/** @type {any} */ let retry;
/** @type {any} */ let beat;
/** @type {any} */ let hiding;

/**
 * @param {string} name
 * @param {Handlers} handlers
 * @param {{token?: string, since?: number}} [options]
 */
export function follow(name, handlers, options = {}) {
  const known = topics.get(name);
  const topic = known ?? { seq: options.since ?? null, token: options.token, handlers: new Set(), last: undefined };
  topic.handlers.add(handlers);
  topics.set(name, topic);
  if (!known) subscribe(name, topic);
  else if (topic.last !== undefined) handlers.snapshot?.(topic.last);
  open();
  return () => {
    topic.handlers.delete(handlers);
    if (topic.handlers.size || topics.get(name) !== topic) return;
    topics.delete(name);
    send({ op: "unsubscribe", topic: name });
    if (!topics.size) close("paused");
  };
}

/** @param {(state: string) => void} listener */
export function onState(listener) {
  listeners.add(listener);
  listener(state);
  return () => listeners.delete(listener);
}

/** @param {string} next */
function become(next) {
  if (next === state) return;
  state = next;
  for (const listener of listeners) listener(next);
}

/** @param {object} message */
function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

/** @param {string} name @param {Topic} topic */
function subscribe(name, topic) {
  send({ op: "subscribe", topic: name, since: topic.seq, ...(topic.token && { token: topic.token }) });
}

function open() {
  const address = /** @type {HTMLMetaElement | null} */ (document.querySelector('meta[name="realtime-url"]'))?.content;
  if (socket || !address || !topics.size || (document.hidden && state === "paused")) return;
  clearTimeout(retry);
  become("connecting");
  const mine = (socket = new WebSocket(address));
  mine.onopen = () => {
    heard = Date.now();
    for (const [name, topic] of topics) subscribe(name, topic);
  };
  mine.onmessage = (message) => {
    if (mine === socket) receive(message.data);
  };
  mine.onclose = () => {
    if (mine === socket) lost();
  };
}

function lost() {
  socket = null;
  clearInterval(beat);
  become("waiting");
  const longest = Math.min(MAX_PAUSE, FIRST_PAUSE * 2 ** failures++);
  retry = setTimeout(open, longest / 2 + (Math.random() * longest) / 2);
}

/** @param {string} next */
function close(next) {
  clearTimeout(retry);
  clearInterval(beat);
  const mine = socket;
  socket = null;
  mine?.close(1000);
  become(next);
}

/** @param {number} seconds */
function keepAlive(seconds) {
  clearInterval(beat);
  beat = setInterval(() => {
    if (Date.now() - heard > seconds * 1000 * QUIET_LIMIT) {
      socket?.close();
      lost();
    } else send({ op: "ping" });
  }, seconds * 1000);
}

/** @param {string} text */
function receive(text) {
  heard = Date.now();
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return;
  }
  if (message.op === "hello") {
    keepAlive(message.heartbeat || 25);
    return;
  }
  const topic = topics.get(message.topic);
  if (!topic) return;
  if (message.op === "subscribed") begin(topic, message);
  else if (message.op === "event") advance(topic, message);
  else if (message.op === "resync") readAnew(message.topic, topic);
  else if (message.op === "error" && message.code !== "rate_limited") {
    topics.delete(message.topic);
    for (const one of topic.handlers) one.refused?.(message.code);
  }
}

/** What `seq` comes with is known; after a short absence the missed events follow. @param {Topic} topic @param {any} message */
function begin(topic, message) {
  failures = 0;
  become("open");
  topic.seq = message.seq;
  topic.last = message.snapshot;
  for (const one of topic.handlers) one.snapshot?.(message.snapshot);
}

/** News was lost on its way to the server that tells us. @param {string} name @param {Topic} topic */
function readAnew(name, topic) {
  for (const one of topic.handlers) one.resync?.();
  if (topics.get(name) !== topic) return;
  topic.seq = null;
  subscribe(name, topic);
}

/** Numbers grow, but have gaps: all topics share one count. @param {Topic} topic @param {any} message */
function advance(topic, message) {
  if (topic.seq !== null && message.seq <= topic.seq) return;
  topic.seq = message.seq;
  topic.last = undefined;
  for (const one of topic.handlers) one.event?.(message.data, message);
}

addEventListener("pagehide", () => close("paused"));
addEventListener("pageshow", (event) => {
  if (event.persisted) open();
});
addEventListener("online", () => {
  if (state === "waiting") open();
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => close("paused"), HIDDEN_LIMIT);
  else open();
});
