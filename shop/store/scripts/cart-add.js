// @ts-check
/** Adding to the cart without leaving the page: the answer opens in a drawer. */
import { post, show } from "./cart.js";
import { attach } from "./shop.js";
import { gettext as _ } from "../../static/js/words.js";

/** @param {HTMLFormElement} form */
export default function cartAdd(form) {
  let isBusy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy) return;
    isBusy = true;
    const buttons = document.querySelectorAll(`#${form.id} button:not([type]), button[form="${form.id}"]`);
    for (const button of buttons) button.setAttribute("aria-busy", "true");
    const fresh = await post(form);
    for (const button of buttons) button.removeAttribute("aria-busy");
    isBusy = false;
    // It may have arrived all the same: the cart says so, and sending it again would add it twice.
    if (!fresh) return location.assign("/cart");
    const refused = fresh.querySelector("[role=alert]");
    const name = document.querySelector("h1")?.textContent?.trim() ?? _("It");
    open(fresh, refused ? "" : _("Added: %(name)s", { name }));
  });
}

/** @param {HTMLElement} fresh @param {string} words what is said, once */
function open(fresh, words) {
  const dialog = drawer();
  const cart = dialog.querySelector("[data-cart]");
  if (cart instanceof HTMLElement) show(cart, fresh);
  else {
    const place = /** @type {HTMLElement} */ (dialog.querySelector(".inside"));
    const empty = /** @type {HTMLElement} */ (fresh.cloneNode(false));
    show(empty, fresh);
    place.append(empty);
    attach(place);
  }
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("h2")?.focus();
  // The page's own place for messages is asleep behind the dialog.
  const said = dialog.querySelector("[role=status]");
  if (said) said.textContent = words;
}

/** The drawer, made when it is needed for the first time. */
function drawer() {
  const known = document.getElementById("cart-drawer");
  if (known instanceof HTMLDialogElement) return known;
  const dialog = document.createElement("dialog");
  dialog.id = "cart-drawer";
  dialog.className = "dialog side cart-drawer";
  dialog.setAttribute("aria-labelledby", "cart-drawer-title");
  dialog.setAttribute("closedby", "any");
  const said = document.createElement("p");
  said.className = "added";
  said.setAttribute("role", "status");
  const head = document.createElement("header");
  const title = document.createElement("h2");
  title.id = "cart-drawer-title";
  title.tabIndex = -1;
  title.textContent = _("Your cart");
  const close = document.createElement("button");
  close.type = "button";
  close.className = "icon-button";
  close.setAttribute("aria-label", _("Close"));
  const icon = document.querySelector("#menu-drawer .icon-button svg");
  if (icon) close.append(icon.cloneNode(true));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => said.replaceChildren());
  head.append(title, close);
  const inside = document.createElement("div");
  inside.className = "inside";
  dialog.append(head, said, inside);
  document.body.append(dialog);
  return dialog;
}
