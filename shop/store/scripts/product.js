// @ts-check
/** Follow a choice without loading the page: address, picture, price, stock and number. */
import { gettext as _ } from "../../static/js/words.js";

/** @typedef {{id: number, sku: string, title: string, values: number[], price: string, compare: string, state: string, stock: string, left: number | null, image: number}} Variant */

/** @param {HTMLElement} page */
export default function product(page) {
  const facts = JSON.parse(page.querySelector("[data-facts]")?.textContent ?? "{}");
  /** @type {Variant[]} */
  const variants = facts.variants;
  const choices = /** @type {HTMLFormElement | null} */ (page.querySelector("#choices"));
  const hidden = /** @type {HTMLInputElement | null} */ (page.querySelector("input[name=variant_id]"));
  if (!hidden) return;
  let current = /** @type {Variant} */ (variants.find((one) => String(one.id) === hidden.value));

  const checked = () => [.../** @type {NodeListOf<HTMLInputElement>} */ (choices?.querySelectorAll("input:checked") ?? [])];
  const overlap = (/** @type {Variant} */ one, /** @type {number[]} */ wanted) => wanted.filter((id) => one.values.includes(id)).length;

  choices?.addEventListener("change", (event) => {
    const last = Number(/** @type {HTMLElement} */ (event.target).dataset.value);
    const wanted = checked().map((input) => Number(input.dataset.value));
    // What was touched last counts most; of the rest as much as is to be had.
    const fits = variants.filter((one) => one.values.includes(last));
    fits.sort((a, b) => overlap(b, wanted) - overlap(a, wanted) || Number(a.state === "sold_out") - Number(b.state === "sold_out"));
    if (fits[0]) choose(fits[0]);
  });

  /** @param {Variant} variant */
  function choose(variant) {
    const moved = variant.image !== current.image;
    current = variant;
    history.replaceState(history.state, "", `${page.dataset.address}?variant=${encodeURIComponent(variant.sku)}`);
    if (hidden) hidden.value = String(variant.id);
    for (const fieldset of choices?.querySelectorAll("fieldset") ?? []) {
      for (const input of fieldset.querySelectorAll("input")) {
        input.checked = variant.values.includes(Number(input.dataset.value));
        if (input.checked) text(fieldset, "[data-chosen]", input.dataset.name ?? "");
      }
    }
    if (moved) page.dispatchEvent(new CustomEvent("show-picture", { detail: variant.image }));
    show();
  }

  function show() {
    const can = current.state !== "sold_out";
    const line = page.querySelector("[data-stock]");
    if (line instanceof HTMLElement) line.dataset.state = current.state;
    text(page, "[data-stock]", current.stock);
    text(page, "[data-sku]", current.sku);
    text(page, "[data-title]", current.title);
    text(page, "[data-sticky-price]", current.price);
    showPrice();
    for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (page.querySelectorAll("[data-buy]"))) {
      button.disabled = !can;
      button.textContent = can ? _("Add to cart") : _("Sold out");
    }
    for (const fieldset of choices?.querySelectorAll("fieldset") ?? []) note(fieldset);
  }

  function showPrice() {
    const [plain, now, before] = ["span", "span", "s"].map((tag) => document.createElement(tag));
    const box = page.querySelector("[data-price] .price");
    if (!box) return;
    if (!current.compare) {
      plain.textContent = current.price;
      return box.replaceChildren(plain);
    }
    now.className = "now";
    now.textContent = current.price;
    before.textContent = current.compare;
    box.replaceChildren(now, " ", before);
  }

  /** Say beside each value what it would lead to. @param {HTMLFieldSetElement} fieldset */
  function note(fieldset) {
    const inputs = [...fieldset.querySelectorAll("input")];
    const own = inputs.map((input) => Number(input.dataset.value));
    const others = current.values.filter((id) => !own.includes(id));
    for (const input of inputs) {
      const values = [...others, Number(input.dataset.value)];
      const target = variants.find((one) => one.values.length === values.length && values.every((id) => one.values.includes(id)));
      const words = !target ? _("not in this combination") : target.state === "sold_out" ? _("sold out") : "";
      const pill = input.closest(".pill");
      pill?.classList.toggle("is-out", words !== "");
      if (pill) text(pill, ".note", words);
    }
  }

  /** @param {ParentNode} root @param {string} selector @param {string} words */
  function text(root, selector, words) {
    const found = root.querySelector(selector);
    if (found && found.textContent !== words) found.textContent = words;
  }

  page.addEventListener("live-stock", (event) => {
    const changes = /** @type {CustomEvent} */ (event).detail;
    const money = new Intl.NumberFormat(document.documentElement.dataset.numberLocale, { style: "currency", currency: facts.currency });
    const digits = money.resolvedOptions().maximumFractionDigits ?? 2;
    for (const variant of variants) {
      const change = changes[variant.id];
      if (!change) continue;
      variant.state = change.state;
      variant.left = change.left;
      variant.stock = change.state === "low" ? facts.words.low.replace("{left}", change.left) : facts.words[change.state];
      if (typeof change.price_minor === "number") variant.price = money.format(change.price_minor / 10 ** digits);
    }
    show();
  });

  const bar = page.querySelector("[data-sticky-buy]");
  const button = page.querySelector("#buy-form [data-buy]");
  if (bar && button) {
    // The margin makes everything below the fold count as seen: only what left at the top is gone.
    new IntersectionObserver(([entry]) => bar.classList.toggle("is-shown", !entry.isIntersecting), {
      rootMargin: "0px 0px 99999px",
    }).observe(button);
  }
}
