// @ts-check
// The figures tick: a change in the shop fetches them anew, and the page says how old they are.
import { fill, page } from "./pages.js";
import { gettext as _ } from "./words.js";

const QUIET_MS = 600;
const OLD_S = 300;
const TICK_MS = 1600;
const FEED_MS = 3000;

const place = /** @type {HTMLElement | null} */ (document.querySelector("[data-dashboard]"));
const age = /** @type {HTMLElement | null} */ (document.querySelector("[data-age]"));
if (place && age) tick(place, age);

/** @param {HTMLElement} place @param {HTMLElement} age */
function tick(place, age) {
  let at = Date.now();
  let timer = 0;
  let asked = 0;

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, QUIET_MS);
  };
  async function refresh() {
    const mine = ++asked;
    const fresh = await page(place.dataset.dashboard ?? "").catch(() => null);
    if (!fresh || mine !== asked) return;
    mark(place, fresh.body);
    const isOpen = place.querySelector(".plot-table[open]") !== null;
    fill(place, fresh.body);
    if (isOpen) /** @type {HTMLDetailsElement | null} */ (place.querySelector(".plot-table"))?.setAttribute("open", "");
    at = Date.now();
    say();
  }
  function say() {
    const seconds = Math.round((Date.now() - at) / 1000);
    const offline = document.querySelector("[data-live]")?.getAttribute("data-live") !== "on";
    const when = ago(seconds);
    age.textContent = offline ? _("updated %(when)s, not live", { when }) : _("updated %(when)s", { when });
    age.classList.toggle("is-old", offline || seconds > OLD_S);
  }
  for (const name of ["live:staff:metrics", "live:staff:orders", "live:staff:stock", "live:staff:tasks", "live:resync"]) {
    document.addEventListener(name, (event) => {
      if (/** @type {CustomEvent} */ (event).detail.type !== "snapshot") soon();
    });
  }
  setInterval(say, 1000);
}

/** @param {number} seconds */
function ago(seconds) {
  if (seconds < 5) return _("just now");
  return seconds < 60 ? _("%(count)s s ago", { count: seconds }) : _("%(count)s min ago", { count: Math.floor(seconds / 60) });
}

/** Show which numbers moved and which orders are new. @param {HTMLElement} old @param {HTMLElement} fresh */
function mark(old, fresh) {
  for (const card of fresh.querySelectorAll("[data-figure]")) {
    const name = card.getAttribute("data-figure");
    const before = old.querySelector(`[data-figure="${name}"] .figure`)?.textContent;
    if (before === card.querySelector(".figure")?.textContent) continue;
    card.classList.add("is-ticking");
    setTimeout(() => card.classList.remove("is-ticking"), TICK_MS);
  }
  for (const line of fresh.querySelectorAll("[data-feed]")) {
    if (old.querySelector(`[data-feed="${line.getAttribute("data-feed")}"]`)) continue;
    line.classList.add("is-new");
    setTimeout(() => line.classList.remove("is-new"), FEED_MS);
  }
}
