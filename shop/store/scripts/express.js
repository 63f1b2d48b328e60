// @ts-check
/**
 * Apple Pay, Google Pay and Link in the cart and at the first step of checkout: Stripe's Express Checkout Element
 * before there is a PaymentIntent. The server says what the cart costs and places the order; nothing is written
 * before the customer confirms in the wallet.
 */

import { appearance, loadStripe } from "./stripe-js.js";
import { gettext as _ } from "../../static/js/words.js";

// One row, so that the place which is kept for it is as high as the buttons are.
const LOOK = { buttonHeight: 48, layout: { maxColumns: 2, maxRows: 1, overflow: "auto" } };
/** Whether a wallet was shown on this page before, so that its place is kept when the cart changes. */
let isKnown = false;
/** @type {any} */ let mounted;

/** @param {HTMLElement} box */
export default async function express(box) {
  // In the drawer there is no room for it, and the page around it allows no frames of Stripe's.
  if (box.closest("dialog")) return;
  if (isKnown) box.dataset.state = "reserved";
  mounted?.destroy();
  mounted = null;
  const { script = "", key, capture, quoteUrl = "", orderUrl = "", csrf = "" } = box.dataset;
  const find = (/** @type {string} */ selector) => /** @type {any} */ (box.querySelector(selector));
  let facts = await ask(quoteUrl, {});
  if (!facts?.can_buy) return absent();
  try {
    await show();
  } catch (reason) {
    console.info("No express checkout here.", reason);
    absent();
  }

  async function show() {
    const Stripe = await loadStripe(script);
    if (!Stripe || !box.isConnected) return absent();
    const stripe = Stripe(key);
    const look = appearance();
    const theme = look.theme === "night" ? "white" : "black";
    const elements = stripe.elements({
      mode: "payment",
      amount: facts.amount_minor,
      currency: facts.currency,
      captureMethod: capture,
      allowedPaymentMethodTypes: facts.methods,
      appearance: look,
    });
    const element = elements.create("expressCheckout", {
      ...LOOK,
      buttonTheme: { applePay: theme, googlePay: theme },
      emailRequired: true,
      ...sheet(),
    });
    let isBusy = false;

    element.on("ready", (/** @type {any} */ event) => {
      if (!event.availablePaymentMethods) return absent();
      isKnown = true;
      remember(true);
      box.dataset.state = "shown";
    });
    element.on("loaderror", () => absent());
    element.on("click", (/** @type {any} */ event) => {
      problem("");
      event.resolve(sheet());
    });
    element.on("shippingaddresschange", (/** @type {any} */ event) => change({ country: event.address.country }, event));
    element.on("shippingratechange", (/** @type {any} */ event) => change({ shipping_method: event.shippingRate.id }, event));
    element.on("cancel", () => problem(""));
    element.on("confirm", confirm);
    element.mount(find("[data-buttons]"));
    mounted = element;

    /** What the customer chose in the wallet so far: it is sent along with every question. @type {Record<string, string>} */
    const chosen = {};

    /** @param {Record<string, string>} choice @param {{resolve: (with_: object) => void, reject: () => void}} event */
    async function change(choice, event) {
      // With another country its own first method counts again.
      if (choice.country && choice.country !== chosen.country) delete chosen.shipping_method;
      Object.assign(chosen, choice);
      const fresh = await ask(quoteUrl, chosen);
      if (!fresh?.can_buy || fresh.version !== facts.version) return event.reject();
      facts = fresh;
      elements.update({ amount: facts.amount_minor });
      event.resolve({ lineItems: items(), shippingRates: facts.shipping_rates });
    }

    /** @param {any} event */
    async function confirm(event) {
      if (isBusy) return;
      isBusy = true;
      try {
        await buy(event);
      } finally {
        isBusy = false;
      }
    }

    /** @param {any} event */
    async function buy(event) {
      const { error: unready } = await elements.submit();
      if (unready) return refuse(event, { reason: "fail", message: unready.message });
      const { name = "", address = {} } = event.shippingAddress ?? {};
      const placed = await ask(orderUrl, {
        version: facts.version,
        amount_minor: facts.amount_minor,
        email: event.billingDetails?.email ?? "",
        phone: event.billingDetails?.phone ?? "",
        name,
        address,
        shipping_method: event.shippingRate?.id ?? facts.shipping_rates[0].id,
      });
      if (placed?.is_done) return location.assign(placed.order_url);
      if (!placed?.client_secret) {
        refuse(event, placed ?? { reason: "fail", message: AWAY });
        await lookAgain(placed);
        return;
      }
      const { error } = await stripe.confirmPayment({
        elements,
        clientSecret: placed.client_secret,
        confirmParams: { return_url: placed.return_url },
        redirect: "if_required",
      });
      if (!error) return location.assign(placed.return_url);
      problem(error.type === "card_error" ? _("%(reason)s Nothing was charged.", { reason: error.message }) : NOT_FINISHED, placed.payment_url);
    }

    /** What was refused may differ from what is shown: the next try begins with how it is now. @param {any} placed */
    async function lookAgain(placed) {
      if (!STALE.has(placed?.code)) return;
      problem(placed.message, location.pathname, _("Show your cart as it is now"));
      const fresh = await ask(quoteUrl, chosen);
      if (!fresh?.can_buy) return;
      facts = fresh;
      elements.update({ amount: facts.amount_minor });
    }

    /** @param {any} event @param {{reason?: string, message: string, payment_url?: string}} why */
    function refuse(event, { reason = "fail", message, payment_url = "" }) {
      event.paymentFailed({ reason, message });
      problem(message, payment_url);
    }
  }

  /** What the wallet's sheet begins with. */
  function sheet() {
    return {
      lineItems: items(),
      shippingAddressRequired: true,
      allowedShippingCountries: facts.countries,
      shippingRates: facts.shipping_rates,
    };
  }

  function items() {
    return facts.line_items;
  }

  /** Nothing to show: no wallet, or a cart that none can buy. Where its place was kept, it stays empty. */
  function absent() {
    isKnown = false;
    remember(false);
    box.dataset.state = box.dataset.state === "reserved" ? "empty" : "absent";
  }

  /** @param {string} sentence @param {string} [link] @param {string} [label] */
  function problem(sentence, link = "", label = _("Choose another way to pay")) {
    find("[data-words]").textContent = sentence;
    find("[data-express-problem]").hidden = !sentence;
    const other = find("[data-pay-link]");
    other.hidden = !link;
    other.textContent = label;
    other.href = link || "#";
  }

  /** @param {string} address @param {object} body @returns {Promise<any>} the answer, also a refusal; null without one */
  async function ask(address, body) {
    try {
      const answer = await fetch(address, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { "Content-Type": "application/json", "X-CSRFToken": csrf },
        credentials: "same-origin",
      });
      return await answer.json();
    } catch {
      return null;
    }
  }
}

const STALE = new Set(["cart_changed", "out_of_stock"]);
const AWAY = _("We could not be reached. Nothing was charged. Check your connection, then try again.");
const NOT_FINISHED = _("The payment was not finished. Nothing was charged.");

/** So that the next page keeps a place for the buttons and nothing moves. @param {boolean} has */
function remember(has) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `wallet=${has ? 1 : 0}; Path=/; Max-Age=${has ? 31536000 : 0}; SameSite=Lax${secure}`;
}
