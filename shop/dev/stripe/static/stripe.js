/* A stand-in for Stripe.js: the calls a checkout page makes, against the server this file came from.
   The card number lives in an iframe of that server; this page never sees it. */
(() => {
  "use strict";

  const origin = new URL(document.currentScript.src).origin;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const LOAD_WITHIN_MS = 10000;
  let frames = 0;

  class IntegrationError extends Error {
    constructor(message) {
      super(message);
      this.name = "IntegrationError";
    }
  }

  const intentOf = (clientSecret) => {
    const id = /^(pi_[A-Za-z0-9]+)_secret_[A-Za-z0-9]+$/.exec(clientSecret || "");
    if (!id) throw new IntegrationError("The clientSecret must look like pi_…_secret_….");
    return id[1];
  };

  const retrieve = async (key, clientSecret) => {
    const query = new URLSearchParams({ key, client_secret: clientSecret });
    try {
      const answer = await fetch(`${origin}/v1/payment_intents/${intentOf(clientSecret)}?${query}`);
      const body = await answer.json();
      return answer.ok ? { paymentIntent: body } : { error: body.error };
    } catch (problem) {
      if (problem instanceof IntegrationError) throw problem;
      return { error: lostConnection() };
    }
  };

  const lostConnection = () => ({
    type: "api_connection_error",
    message: "We could not reach the payment server. Check your connection and try again.",
  });

  const never = () => new Promise(() => {});

  const nextUrl = (intent) => {
    const action = intent.next_action || {};
    return (action.redirect_to_url || {}).url || (action.use_stripe_sdk || {}).stripe_js || null;
  };

  const withOutcome = (returnUrl, intent) => {
    const url = new URL(returnUrl);
    url.searchParams.set("payment_intent", intent.id);
    url.searchParams.set("payment_intent_client_secret", intent.client_secret);
    url.searchParams.set("redirect_status", intent.status === "processing" ? "pending" : "succeeded");
    return url.href;
  };

  class Emitter {
    #handlers = new Map();
    on(name, handler) {
      if (typeof handler !== "function") throw new IntegrationError("on() takes a function.");
      this.#handlers.set(name, [...(this.#handlers.get(name) || []), handler]);
      return this;
    }
    once(name, handler) {
      const first = (event) => { this.off(name, first); handler(event); };
      return this.on(name, first);
    }
    off(name, handler) {
      const kept = handler ? (this.#handlers.get(name) || []).filter((one) => one !== handler) : [];
      this.#handlers.set(name, kept);
      return this;
    }
    fire(name, event) {
      for (const handler of this.#handlers.get(name) || []) handler(event);
    }
  }

  class PaymentElement extends Emitter {
    #elements; #options; #frame = null; #questions = new Map(); #count = 0; #ready = null;
    #alive = false;

    constructor(elements, options) {
      super();
      this.#elements = elements;
      this.#options = options || {};
    }

    mount(place) {
      const target = typeof place === "string" ? document.querySelector(place) : place;
      if (!target) throw new IntegrationError(`There is no element ${place} to mount into.`);
      this.unmount();
      const frame = document.createElement("iframe");
      frame.title = "Secure payment input frame";
      frame.name = `stand-in-frame-${(frames += 1)}`;
      frame.setAttribute("scrolling", "no");
      // Through the CSSOM: a strict style-src forbids style attributes, not these.
      Object.assign(frame.style, {
        border: "0", display: "block", height: "220px", background: "transparent",
        // The frame keeps 4px around its fields for their focus rings.
        margin: "-4px", width: "calc(100% + 8px)",
        // Equal to the frame's own scheme, or browsers paint an opaque ground behind it.
        colorScheme: "light",
      });
      frame.src = `${origin}/elements/payment`;
      this.#frame = frame;
      this.#alive = false;
      this.#ready = new Promise((resolve) => {
        this.once("ready", resolve);
        this.once("loaderror", resolve);
      });
      setTimeout(() => {
        if (this.#frame === frame && !this.#alive) {
          this.fire("loaderror", { elementType: "payment", error: lostConnection() });
        }
      }, LOAD_WITHIN_MS);
      window.addEventListener("message", this.#listen);
      dark.addEventListener("change", this.#restyle);
      target.replaceChildren(frame);
    }

    unmount() {
      if (!this.#frame) return;
      window.removeEventListener("message", this.#listen);
      dark.removeEventListener("change", this.#restyle);
      this.#frame.remove();
      this.#frame = null;
      for (const answer of this.#questions.values()) answer({ error: lostConnection() });
      this.#questions.clear();
    }

    destroy() { this.unmount(); }
    update(options) { this.#options = { ...this.#options, ...options }; this.#restyle(); }
    focus() { this.#post({ kind: "focus" }); }
    blur() { this.#post({ kind: "blur" }); }
    clear() { this.#post({ kind: "clear" }); }

    ask(message) {
      if (!this.#frame) throw new IntegrationError("The payment Element is not mounted.");
      return this.#ready.then(() => new Promise((resolve) => {
        if (!this.#alive) return resolve({ error: lostConnection() });
        const number = (this.#count += 1);
        this.#questions.set(number, resolve);
        return this.#post({ ...message, number });
      }));
    }

    #post(message) {
      if (this.#frame) this.#frame.contentWindow.postMessage(message, origin);
    }

    #setUp() {
      const { key, clientSecret, appearance } = this.#elements.described();
      const options = { readOnly: Boolean(this.#options.readOnly) };
      return { key, clientSecret, options, appearance: { ...appearance, systemDark: dark.matches } };
    }

    // Before the frame says hello nobody is there to hear it; it then starts with the newest anyway.
    #restyle = () => { if (this.#alive) this.#post({ kind: "update", ...this.#setUp() }); };
    restyle() { this.#restyle(); }

    #listen = (event) => {
      if (event.origin !== origin || !this.#frame || event.source !== this.#frame.contentWindow) {
        return;
      }
      const message = event.data;
      if (message.kind === "hello") {
        this.#alive = true;
        this.#post({ kind: "start", ...this.#setUp() });
      }
      if (message.kind === "height") this.#frame.style.height = `${Math.ceil(message.height)}px`;
      if (message.kind === "event") {
        this.fire(message.name, { elementType: "payment", ...message.detail });
      }
      if (message.kind === "answer") {
        const answer = this.#questions.get(message.number);
        this.#questions.delete(message.number);
        if (answer) answer(message.result);
      }
    };
  }

  class Elements {
    #key; #options; #element = null;

    constructor(key, options) {
      this.#key = key;
      this.#options = { appearance: {}, ...options };
      if (this.#options.clientSecret) intentOf(this.#options.clientSecret);
    }

    create(type, options) {
      if (type !== "payment") throw new IntegrationError(`This stand-in has no "${type}" Element.`);
      if (this.#element) throw new IntegrationError("There is a payment Element already.");
      this.#element = new PaymentElement(this, options);
      return this.#element;
    }

    getElement(type) { return type === "payment" ? this.#element : null; }

    update(options) {
      this.#options = { ...this.#options, ...options };
      if (this.#element) this.#element.restyle();
    }

    async fetchUpdates() { return {}; }

    async submit() {
      return this.required().ask({ kind: "check" });
    }

    required() {
      if (!this.#element) throw new IntegrationError("Create and mount a payment Element first.");
      return this.#element;
    }

    described() {
      const { clientSecret = null, appearance } = this.#options;
      // Only plain values cross the border of the frame.
      return { key: this.#key, clientSecret, appearance: JSON.parse(JSON.stringify(appearance || {})) };
    }
  }

  const follow = (intent) => {
    const url = nextUrl(intent);
    if (url) window.location.assign(url);
    return Boolean(url);
  };

  const Stripe = (key, _options) => {
    if (typeof key !== "string" || !key.startsWith("pk_test_")) {
      throw new IntegrationError(
        "Please call Stripe() with a publishable test key: this stand-in takes pk_test_… only.",
      );
    }
    return {
      elements: (options) => new Elements(key, options),

      retrievePaymentIntent: (clientSecret) => retrieve(key, clientSecret),

      async confirmPayment({ elements, clientSecret, confirmParams = {}, redirect = "always" }) {
        if (!(elements instanceof Elements)) {
          throw new IntegrationError("confirmPayment() needs the elements it should confirm.");
        }
        const secret = clientSecret || elements.described().clientSecret;
        const id = intentOf(secret);
        if (redirect === "always" && !confirmParams.return_url) {
          throw new IntegrationError("confirmPayment() needs confirmParams.return_url.");
        }
        if (confirmParams.return_url) {
          try { new URL(confirmParams.return_url); } catch {
            throw new IntegrationError("confirmParams.return_url must be a full URL.");
          }
        }
        const result = await elements.required().ask({
          kind: "confirm", id, clientSecret: secret, params: JSON.parse(JSON.stringify(confirmParams)),
        });
        if (result.error) return result;
        const intent = result.paymentIntent;
        if (intent.status === "requires_action" && follow(intent)) return never();
        if (redirect === "always") {
          window.location.assign(withOutcome(confirmParams.return_url, intent));
          return never();
        }
        return result;
      },

      async handleNextAction({ clientSecret }) {
        const result = await retrieve(key, clientSecret);
        if (result.paymentIntent && result.paymentIntent.status === "requires_action"
            && follow(result.paymentIntent)) {
          return never();
        }
        return result;
      },
    };
  };

  Stripe.version = "stand-in";
  window.Stripe = Stripe;
})();
