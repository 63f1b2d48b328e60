/* A stand-in for Stripe.js: the calls a checkout page makes, against the server this file came from.
   What a buyer types lives in iframes of that server; the shop's page never sees it.
   The server joins the files of this folder, in their order, into one script. */

const script = new URL(document.currentScript.src);
const origin = script.origin;
const release = script.pathname.split("/")[1];
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const LOAD_WITHIN_MS = 10000;
let frames = 0;

class IntegrationError extends Error {
  constructor(message) {
    super(message);
    this.name = "IntegrationError";
  }
}

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
  listens(name) { return (this.#handlers.get(name) || []).length > 0; }
  fire(name, event) {
    for (const handler of this.#handlers.get(name) || []) handler(event);
  }
}

const plain = (value) => JSON.parse(JSON.stringify(value === undefined ? null : value));
const never = () => new Promise(() => {});

const lostConnection = () => ({
  type: "api_connection_error",
  message: "We could not reach the payment server. Check your connection and try again.",
});

const intentOf = (clientSecret) => {
  const id = /^(pi_[A-Za-z0-9]+)_secret_[A-Za-z0-9]+$/.exec(clientSecret || "");
  if (!id) throw new IntegrationError("The clientSecret must look like pi_…_secret_….");
  return id[1];
};

const ask = async (path, options) => {
  try {
    const answer = await fetch(`${origin}${path}`, options);
    const body = await answer.json();
    return answer.ok ? { paymentIntent: body } : { error: body.error };
  } catch {
    return { error: lostConnection() };
  }
};

const retrieve = (key, clientSecret) => {
  const query = new URLSearchParams({ key, client_secret: clientSecret });
  return ask(`/v1/payment_intents/${intentOf(clientSecret)}?${query}`);
};

const flatten = (value, prefix, out) => {
  for (const [name, entry] of Object.entries(value)) {
    const full = prefix ? `${prefix}[${name}]` : name;
    if (entry === null || entry === undefined) continue;
    if (typeof entry === "object") flatten(entry, full, out);
    else out.append(full, String(entry));
  }
  return out;
};

/* Where the buyer has to go next, or null: a bank's page. Vouchers are shown, not gone to. */
const nextUrl = (intent) => {
  const action = intent.next_action || {};
  return (action.redirect_to_url || {}).url || (action.use_stripe_sdk || {}).stripe_js || null;
};

const voucherUrl = (intent) => {
  const action = intent.next_action || {};
  return (action[action.type] || {}).hosted_voucher_url || null;
};

const withOutcome = (returnUrl, intent) => {
  const waits = ["processing", "requires_action"].includes(intent.status);
  const url = new URL(returnUrl);
  url.searchParams.set("payment_intent", intent.id);
  url.searchParams.set("payment_intent_client_secret", intent.client_secret);
  url.searchParams.set("redirect_status", waits ? "pending" : "succeeded");
  return url.href;
};
