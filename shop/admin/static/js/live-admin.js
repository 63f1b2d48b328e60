// @ts-check
// The admin on the shop's sockets: connection light, toasts, sound, count in the tab's title.
// Pages listen to `live:<topic>` on document, with detail {type, data, at}, and to `live:resync`.
import { need } from "./need.js";
import { followPresence } from "./presence.js";
import { chime, watchSound } from "./sound.js";
import { toast } from "./toasts.js";
import { gettext as _ } from "./words.js";

const WORDS = { on: _("Live"), trying: _("Reconnecting…"), off: _("Offline") };
/** @type {Record<string, "on" | "trying" | "off">} */
const LIGHTS = { connecting: "trying", open: "on", waiting: "trying", paused: "off" };
const ORDERS = "/admin/orders/show/";
const STOCK = "/admin/inventory/list/?q=";

export async function followStaffTopics() {
  watchSound();
  const topics = meta("live-topics").split(" ").filter(Boolean);
  if (!topics.length) return light("off");
  // The page's own scripts run after this one, and must hear what is told first.
  const isListening = new Promise((done) => document.addEventListener("DOMContentLoaded", done, { once: true }));
  const live = await import("./live.js");
  await isListening;
  const since = Number(meta("live-since"));
  live.onState((/** @type {string} */ state) => light(LIGHTS[state] ?? "off"));
  for (const topic of topics) {
    live.follow(topic, {
      snapshot: (/** @type {object} */ data) => tell(topic, { type: "snapshot", data }),
      event: (/** @type {Record<string, any>} */ data, /** @type {{type: string, at: string}} */ about) => {
        const event = { type: about.type, data, at: about.at };
        announce(event);
        tell(topic, event);
      },
      resync: () => tell("resync", { type: "resync", data: { topic } }),
      refused: (/** @type {string} */ code) => code === "forbidden" && signedOut(),
    }, { since });
  }
  followPresence(live);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) count(0);
  });
}

/** @typedef {{type: string, data: Record<string, any>, at?: string}} LiveEvent */

/** @param {string} name @param {LiveEvent} event */
function tell(name, event) {
  document.dispatchEvent(new CustomEvent(`live:${name}`, { detail: event }));
}

/** @param {LiveEvent} event */
function announce({ type, data }) {
  if (type === "order.placed") {
    const words = [money(data.total_minor, data.currency), data.customer].filter(Boolean).join(" · ");
    toast({ title: _("New order %(number)s", { number: data.number }), text: words, href: `${ORDERS}${data.id}` });
    chime();
    count(1);
  } else if (type === "stock.low") {
    const { sku, after } = data;
    const text = after > 0 ? _("%(sku)s: %(count)s left", { sku, count: after }) : _("%(sku)s: sold out", { sku });
    toast({ title: _("Low stock"), text, href: `${STOCK}${encodeURIComponent(sku)}`, tone: "warning" });
  } else if (type === "task.opened") {
    const href = data.order_id ? `${ORDERS}${data.order_id}` : "";
    toast({ title: _("New task"), text: data.sentence, tone: "warning", href, stay: true });
  }
}

let wasOn = false;
let isOut = false;

/** The sign-in has ended, or the role that may hear this: a green light would be a lie. */
function signedOut() {
  const text = document.querySelector("[data-live-text]");
  if (isOut || !text) return;
  light("off");
  isOut = true;
  const link = document.createElement("a");
  link.href = location.href;
  link.textContent = _("sign in again");
  text.replaceChildren(_("Not live: "), link);
}

/** @param {"on" | "trying" | "off"} state */
function light(state) {
  const element = /** @type {HTMLElement | null} */ (document.querySelector("[data-live]"));
  if (!element || isOut) return;
  wasOn ||= state === "on";
  element.dataset.live = state;
  need(element, "[data-live-text]", HTMLElement).textContent =
    state === "trying" && !wasOn ? _("Connecting…") : WORDS[state];
}

let unseen = 0;
const title = document.title;

/** A number in the tab's title while nobody looks. @param {number} more */
function count(more) {
  unseen = more && document.hidden ? unseen + more : 0;
  document.title = unseen ? `(${unseen}) ${title}` : title;
}

/** Minor units as people read them; the number of digits depends on the currency. @param {number} minor @param {string} currency */
function money(minor, currency) {
  const format = new Intl.NumberFormat(document.documentElement.dataset.numberLocale, { style: "currency", currency });
  return format.format(minor / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

/** @param {string} name */
function meta(name) {
  return document.querySelector(`meta[name="${name}"]`)?.getAttribute("content") ?? "";
}
