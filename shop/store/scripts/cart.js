// @ts-check
/** The cart, on its page or in the drawer: its forms are sent by script, and the answer takes its place. */
import { fill, read } from "../../static/js/pages.js";
import { toast } from "../../static/js/toasts.js";
import { ngettext } from "../../static/js/words.js";

const PAUSE = 400;
const UNDO_SECONDS = 8;

/** @param {HTMLElement} cart */
export default function cart(cart) {
  /** @type {any} */ let waiting;
  let asked = 0;
  hideUndo();

  cart.addEventListener("submit", (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (!form.dataset.cartForm) return;
    event.preventDefault();
    if (form.ariaBusy) return;
    clearTimeout(waiting);
    send(form);
  });
  cart.addEventListener("change", (event) => {
    const form = /** @type {HTMLInputElement} */ (event.target).form;
    if (form?.dataset.cartForm !== "quantity") return;
    clearTimeout(waiting);
    waiting = setTimeout(() => send(form), PAUSE);
  });

  /** @param {HTMLFormElement} form */
  async function send(form) {
    const mine = ++asked;
    form.closest("[data-item]")?.setAttribute("data-waiting", "");
    form.ariaBusy = cart.ariaBusy = "true";
    const fresh = await post(form);
    form.ariaBusy = null;
    // A later change is on its way; its answer holds this one too.
    if (mine !== asked) return;
    cart.ariaBusy = null;
    // It may have arrived all the same: the cart says so, and sending it again would do it twice.
    if (!fresh) return location.assign(cart.closest("dialog") ? "/cart" : location.pathname);
    const focused = document.activeElement?.id;
    const wasInside = cart.contains(document.activeElement);
    show(cart, fresh);
    if (focused && document.getElementById(focused)) document.getElementById(focused)?.focus();
    else if (wasInside) cart.querySelector(/** @type {any} */ ("[data-undo] button, .button"))?.focus();
    hideUndo();
    // An alert beside its line or field is read out by itself, and a toast would only cover it.
    const isSaid = cart.closest("dialog") || cart.querySelector("[role=alert]:not([hidden], [hidden] *), [data-undo]");
    if (isSaid) return;
    toast({ title: ngettext("Your cart has %(num)s item.", "Your cart has %(num)s items.", Number(cart.dataset.count)), seconds: 3 });
  }

  function hideUndo() {
    const notice = cart.querySelector("[data-undo]");
    if (notice) setTimeout(() => notice.contains(document.activeElement) || notice.remove(), UNDO_SECONDS * 1000);
  }
}

/** Send a form and give the cart out of the answer; null if there is none in it. @param {HTMLFormElement} form */
export async function post(form) {
  try {
    const response = await fetch(form.action, {
      method: "POST",
      body: new FormData(form),
      headers: { "X-Requested-With": "fetch" },
      credentials: "same-origin",
    });
    return /** @type {HTMLElement | null} */ ((await read(response)).querySelector("[data-cart]"));
  } catch {
    return null;
  }
}

/** Put a fresh cart in place of a shown one, and its count into the header. @param {HTMLElement} shown @param {HTMLElement} fresh */
export function show(shown, fresh) {
  fill(shown, fresh);
  shown.dataset.version = fresh.dataset.version;
  shown.dataset.count = fresh.dataset.count;
  const link = document.querySelector("[data-cart-link]");
  const badge = link?.querySelector(".cart-count");
  if (badge) badge.textContent = Number(fresh.dataset.count) ? String(fresh.dataset.count) : "";
  link?.setAttribute("aria-label", label(Number(fresh.dataset.count)));
}

/** What the link to the cart is called. @param {number} count */
export function label(count) {
  return ngettext("Cart, %(num)s item", "Cart, %(num)s items", count);
}
