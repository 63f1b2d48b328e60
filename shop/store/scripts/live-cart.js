// @ts-check
/** The cart in the header, and the cart page, follow what other tabs and devices do. */
import { label } from "./cart.js";
import { follow } from "../../static/js/live.js";
import { swap } from "../../static/js/pages.js";
import { toast } from "../../static/js/toasts.js";
import { ngettext } from "../../static/js/words.js";

/** What this tab did itself arrives by socket too: its own answer goes first, and then there is no news. */
const OWN_ANSWER = 500;

/** @param {HTMLElement} link */
export default function liveCart(link) {
  const badge = /** @type {HTMLElement} */ (link.querySelector(".cart-count"));
  /** @type {number | null} */ let version = null;
  /** @type {any} */ let waiting;

  /** @param {{version?: number, count: number}} cart @param {boolean} isNews */
  async function show(cart, isNews) {
    const changed = cart.version !== undefined && cart.version !== version;
    version = cart.version ?? version;
    const before = badge.textContent;
    badge.textContent = cart.count ? String(cart.count) : "";
    link.setAttribute("aria-label", label(cart.count));
    if (isNews && before !== badge.textContent) toast({ title: ngettext("Your cart changed: %(num)s item.", "Your cart changed: %(num)s items.", cart.count) });
    const fragment = document.querySelector("[data-live-cart]");
    const shown = fragment instanceof HTMLElement ? fragment.dataset.version : undefined;
    // While an own change is on its way, its answer brings the news.
    if (fragment?.ariaBusy === "true") return;
    if (fragment?.id && changed && String(version) !== shown) await swap(location.href, [fragment.id]);
  }

  follow("cart", {
    snapshot: (cart) => show(cart, false),
    event(cart) {
      clearTimeout(waiting);
      waiting = setTimeout(() => show(cart, true), OWN_ANSWER);
    },
  });
}
