/* The Payment Element, the Express Checkout Element, and the Elements that belong together. */

class PaymentElement extends FramedElement {
  #elements; #options;

  constructor(elements, options) {
    super("payment", "/elements/payment");
    this.#elements = elements;
    this.#options = options || {};
  }

  update(options) { this.#options = { ...this.#options, ...options }; this.restyle(); }

  setUp() {
    const { fields, defaultValues, readOnly, paymentMethodOrder } = this.#options;
    const options = { fields, defaultValues, readOnly: Boolean(readOnly), paymentMethodOrder };
    return { ...this.#elements.described(), options: plain(options) };
  }
}

const WALLETS = {
  apple_pay: { option: "applePay", token: "tok_applePay" },
  google_pay: { option: "googlePay", token: "tok_googlePay" },
};
const RESOLVE_WITHIN_MS = 20000;

class ExpressCheckoutElement extends FramedElement {
  #elements; #options; #sheet = null;
  paying = null;

  constructor(elements, options) {
    super("expressCheckout", "/elements/express");
    this.#elements = elements;
    this.#options = options || {};
  }

  update(options) { this.#options = { ...this.#options, ...options }; this.restyle(); }

  title() { return "Secure express checkout frame"; }
  height() { return "0px"; }

  setUp() {
    const { paymentMethods = {}, buttonHeight = 44, layout = {} } = this.#options;
    const options = plain({ paymentMethods, buttonHeight, layout });
    return { ...this.#elements.described(), options };
  }

  hear(message) {
    if (message.kind === "pressed") this.#pressed(message.wallet);
  }

  // The shop answers a question of the sheet's by resolve() or reject(), within a while.
  #question(name, detail, whenSilent) {
    if (!this.listens(name)) return Promise.resolve(whenSilent);
    return new Promise((answer) => {
      const timer = setTimeout(() => answer(null), RESOLVE_WITHIN_MS);
      const done = (value) => { clearTimeout(timer); answer(value); };
      this.fire(name, {
        elementType: "expressCheckout", ...detail,
        resolve: (given) => done(given || {}), reject: () => done(null),
      });
    });
  }

  async #pressed(wallet) {
    const wanted = await this.#question("click", { expressPaymentType: wallet }, {});
    if (!wanted) return;
    const options = { ...this.#options, ...wanted };
    const { amount, currency } = this.#elements.described();
    this.paying = null;
    this.#sheet = new Sheet({
      url: `${origin}/elements/wallet`,
      title: "Test wallet",
      onMessage: (message) => this.#follow(wallet, options, message),
      onClose: () => { this.#sheet = null; },
    });
    this.#sheet.details = plain({ ...options, wallet, amount, currency });
  }

  async #follow(wallet, options, message) {
    const sheet = this.#sheet;
    if (message.kind === "hello") sheet.post({ kind: "start", ...sheet.details });
    if (message.kind === "cancel") {
      sheet.close();
      this.fire("cancel", { elementType: "expressCheckout" });
    }
    if (message.kind === "address" || message.kind === "rate") {
      const name = message.kind === "address" ? "shippingaddresschange" : "shippingratechange";
      const changed = await this.#question(name, message.detail, {});
      if (!this.#sheet) return;
      const { amount } = this.#elements.described();
      sheet.post({ kind: "changed", refused: changed === null, amount, ...plain(changed || {}) });
    }
    if (message.kind === "pay") {
      sheet.close();
      const { billingDetails, shippingAddress } = message.detail;
      this.paying = { wallet, billing: billingDetails, shipping: shippingAddress };
      this.fire("confirm", {
        elementType: "expressCheckout", expressPaymentType: wallet, ...message.detail,
        paymentFailed: () => { this.paying = null; },
      });
    }
  }
}

const DEFERRED = ["payment", "setup", "subscription"];

class Elements {
  #key; #options; #elements = new Map(); #submitted = false;

  constructor(key, options) {
    this.#key = key;
    this.#options = { appearance: {}, ...options };
    this.#refuseTypes();
    if (this.#options.clientSecret) {
      intentOf(this.#options.clientSecret);
    } else {
      this.#checkDeferred();
    }
  }

  // https://docs.stripe.com/changelog/endive/2026-09-30/remove-elements-deferred-intent-payment-method-types
  #refuseTypes() {
    if (this.#options.paymentMethodTypes) {
      throw new IntegrationError(
        "elements(): paymentMethodTypes is no longer supported. Use allowedPaymentMethodTypes.",
      );
    }
  }

  #checkDeferred() {
    const { mode, amount, currency } = this.#options;
    if (mode === undefined && amount === undefined && currency === undefined) return;
    if (!DEFERRED.includes(mode)) {
      throw new IntegrationError(`elements(): mode must be one of ${DEFERRED.join(", ")}.`);
    }
    if (mode === "payment" && (!Number.isInteger(amount) || amount < 0)) {
      throw new IntegrationError("elements(): amount must be a whole number of the smallest unit.");
    }
    if (!/^[a-z]{3}$/.test(currency || "")) {
      throw new IntegrationError("elements(): currency must be a three-letter code in lower case.");
    }
  }

  get isDeferred() { return !this.#options.clientSecret && this.#options.mode !== undefined; }
  get wasSubmitted() { return this.#submitted; }
  get amount() { return this.#options.amount; }
  get currency() { return this.#options.currency; }

  create(type, options) {
    const Kind = { payment: PaymentElement, expressCheckout: ExpressCheckoutElement }[type];
    if (!Kind) throw new IntegrationError(`This stand-in has no "${type}" Element.`);
    if (this.#elements.has(type)) {
      throw new IntegrationError(`There is a ${type} Element already.`);
    }
    this.#elements.set(type, new Kind(this, options));
    return this.#elements.get(type);
  }

  getElement(type) { return this.#elements.get(type) || null; }

  update(options) {
    this.#options = { ...this.#options, ...options };
    this.#refuseTypes();
    if (!this.#options.clientSecret) this.#checkDeferred();
    for (const element of this.#elements.values()) element.restyle();
  }

  async fetchUpdates() { return {}; }

  async submit() {
    this.#submitted = true;
    const wallet = this.wallet();
    if (wallet) return { selectedPaymentMethod: wallet.wallet };
    return this.required().ask({ kind: "check" });
  }

  /* The wallet that a buyer has just paid with, or null. */
  wallet() { return (this.#elements.get("expressCheckout") || {}).paying || null; }

  required() {
    const element = this.#elements.get("payment");
    if (!element) throw new IntegrationError("Create and mount a payment Element first.");
    return element;
  }

  described() {
    const {
      clientSecret = null, appearance, amount, currency, captureMethod, allowedPaymentMethodTypes,
      paymentMethodConfiguration, excludedPaymentMethodTypes,
    } = this.#options;
    // Only plain values cross the border of a frame.
    return plain({
      key: this.#key, clientSecret, amount, currency, captureMethod, allowedPaymentMethodTypes,
      paymentMethodConfiguration, excludedPaymentMethodTypes,
      appearance: { ...(appearance || {}), systemDark: dark.matches },
    });
  }
}
