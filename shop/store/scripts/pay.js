// @ts-check
/** The payment form: Stripe's Payment Element, its refusals in words, and the time that the items are reserved. */

import { appearance, loadStripe } from "./stripe-js.js";
import { gettext as _ } from "../../static/js/words.js";

/** @param {HTMLFormElement} form */
export default async function pay(form) {
  const { clientSecret, key, return: returnUrl = "", billing = "{}" } = form.dataset;
  const find = (/** @type {string} */ selector) => /** @type {any} */ (form.querySelector(selector));
  const [button, words, state] = ["[data-pay]", "[data-pay-words]", "[data-state]"].map(find);
  const label = words.textContent;
  countDown();

  const Stripe = await loadStripe();
  if (!Stripe) return problem(_("The payment form could not be loaded. Check your connection and reload this page."));
  const stripe = Stripe(key);
  const elements = stripe.elements({ clientSecret, appearance: appearance() });
  const element = elements.create("payment", { layout: "tabs", defaultValues: { billingDetails: JSON.parse(billing) } });
  element.on("ready", () => {
    find("[data-loading]")?.remove();
    button.disabled = false;
  });
  element.on("loaderror", () => problem(_("The payment form could not be loaded. Reload this page to try again.")));
  element.on("change", () => problem(""));
  find("[data-loading]")?.remove();
  element.mount(find("[data-fields]"));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-busy") === "true") return;
    busy(true);
    problem("");
    const result = await stripe.confirmPayment({
      elements,
      confirmParams: { return_url: returnUrl },
      redirect: "if_required",
    });
    const words = result.error && refusal(result.error);
    // Without words the payment is over, one way or the other: the server knows which.
    if (!words) return location.assign(returnUrl);
    busy(false);
    problem(words);
  });

  /** @param {boolean} is */
  function busy(is) {
    button.setAttribute("aria-busy", String(is));
    words.textContent = is ? _("Paying …") : label;
    state.textContent = is ? _("We are waiting for your bank. Please keep this page open.") : "";
  }

  /** @param {string} sentence */
  function problem(sentence) {
    find("[data-problem-words]").textContent = sentence;
    find("[data-problem]").hidden = !sentence;
    find("[data-loading]")?.remove();
  }
}

/**
 * What the customer can do something about; the rest is worded for programmers, such as that this payment was
 * finished or called off in another tab.
 * @param {{type: string, message: string}} error
 */
function refusal({ type, message }) {
  if (type === "card_error") return _("%(reason)s Nothing was charged. Try again, or pay another way.", { reason: message });
  if (type === "validation_error") return message;
  if (type === "api_connection_error") return _("The payment service cannot be reached. Check your connection, then try again.");
  return "";
}

/** When the time is over the page says so itself. */
function countDown() {
  const shown = /** @type {HTMLElement | null} */ (document.querySelector("[data-hold]"));
  if (!shown) return;
  // Seconds left by the server's clock: this machine's may be wrong.
  const left = Number(shown.dataset.hold);
  if (left < 24 * 3600) setTimeout(() => location.reload(), (left + 2) * 1000);
}
