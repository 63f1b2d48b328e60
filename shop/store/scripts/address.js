// @ts-check
/**
 * The fields of an address, and what the cart costs, follow the country (or the saved address) that is chosen: the
 * server shows the form again, as its button "Update" would, and what was typed stays.
 */

import { fill, read } from "../../static/js/pages.js";

/** @param {HTMLFormElement} form */
export default function address(form) {
  /** @type {AbortController | undefined} */ let asking;

  form.addEventListener("change", (event) => {
    const { name } = /** @type {HTMLInputElement} */ (event.target);
    if (name === "address_id" || /(^|-)country$/.test(name)) update();
  });

  async function update() {
    asking?.abort();
    asking = new AbortController();
    const body = new FormData(form);
    body.set("update", "country");
    try {
      const address = form.getAttribute("action") ?? "";
      const response = await fetch(address, { method: "POST", body, signal: asking.signal });
      // Otherwise nothing is lost: the next step checks the address by its country in any case.
      if (response.ok && !response.redirected) show(await read(response));
    } catch (error) {
      if (/** @type {Error} */ (error).name !== "AbortError") console.warn(error);
    }
  }

  /** @param {Document} page */
  function show(page) {
    for (const stale of form.querySelectorAll("[data-address-fields]")) {
      const fresh = page.getElementById(stale.id);
      if (fresh) exchange(stale, fresh);
    }
    for (const part of page.querySelectorAll(".checkout-aside [data-part], .total-bar summary [data-part]")) {
      const name = part.getAttribute("data-part");
      for (const shown of document.querySelectorAll(`[data-part=${name}]`)) {
        shown.replaceChildren(...part.cloneNode(true).childNodes);
      }
    }
  }
}

/** New fields in place of old ones; what was typed since is taken along. @param {Element} stale @param {Element} fresh */
function exchange(stale, fresh) {
  /** @type {NodeListOf<HTMLInputElement>} */
  const old = stale.querySelectorAll("input[name]");
  for (const field of old) {
    const next = fresh.querySelector(`input[name="${field.name}"]`);
    if (next instanceof HTMLInputElement && field.value) next.value = field.value;
  }
  fill(stale, fresh);
}
