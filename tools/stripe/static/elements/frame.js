/* What every frame does: talk with the page it is in, take its looks, call the server. */

const VARIABLES = {
  colorPrimary: "--primary", colorBackground: "--surface", colorText: "--text",
  colorTextSecondary: "--muted", colorTextPlaceholder: "--muted", colorDanger: "--danger",
  borderRadius: "--radius", fontSizeBase: "--size", fontFamily: "--family",
};
let shop = null;

export const tell = (message) => { if (shop) window.parent.postMessage(message, shop); };
export const fire = (name, detail = {}) => tell({ kind: "event", name, detail });

export const fit = () => {
  tell({ kind: "height", height: document.documentElement.getBoundingClientRect().height });
};

export const dress = (appearance) => {
  const { theme, systemDark, variables = {} } = appearance || {};
  const night = theme === "night" || (!["stripe", "flat"].includes(theme) && systemDark);
  document.documentElement.dataset.theme = night ? "night" : "stripe";
  for (const [name, property] of Object.entries(VARIABLES)) {
    if (variables[name]) document.documentElement.style.setProperty(property, variables[name]);
    else document.documentElement.style.removeProperty(property);
  }
};

export const LOST = {
  type: "api_connection_error",
  message: "We could not reach the payment server. Check your connection and try again.",
};

/* The server's answer: `{ body }` or `{ error }`. */
export const ask = async (path, options) => {
  try {
    const answer = await fetch(path, options);
    const body = await answer.json();
    return answer.ok ? { body } : { error: body.error };
  } catch {
    return { error: LOST };
  }
};

export const flatten = (value, prefix, out) => {
  for (const [name, entry] of Object.entries(value)) {
    const full = prefix ? `${prefix}[${name}]` : name;
    if (entry === null || entry === undefined) continue;
    if (typeof entry === "object") flatten(entry, full, out);
    else out.append(full, String(entry));
  }
  return out;
};

/* Follow the page's messages by their kind; the first one decides which origin is listened to. */
export const listen = (actions) => {
  window.addEventListener("message", (event) => {
    if (event.source !== window.parent || (shop && event.origin !== shop)) return;
    if (!Object.hasOwn(actions, event.data.kind)) return;
    shop = event.origin;
    actions[event.data.kind](event.data);
  });
  new ResizeObserver(fit).observe(document.documentElement);
  // The parent's origin is not known yet; this says nothing but "loaded".
  window.parent.postMessage({ kind: "hello" }, "*");
};

/* Which types the intent takes, or the dashboard offers to an amount without an intent. */
export const offered = async (setUp) => {
  if (setUp.clientSecret) {
    const id = setUp.clientSecret.split("_secret_")[0];
    const query = new URLSearchParams({ key: setUp.key, client_secret: setUp.clientSecret });
    const { body, error } = await ask(`/v1/payment_intents/${id}?${query}`);
    if (error) return { error };
    const payable = ["requires_payment_method", "requires_confirmation", "requires_action"];
    if (!payable.includes(body.status)) {
      return {
        isOver: true,
        error: {
          type: "invalid_request_error", code: "payment_intent_unexpected_state",
          message: `This payment can no longer be paid: its status is ${body.status}.`,
        },
      };
    }
    return { types: body.payment_method_types };
  }
  if (setUp.allowedPaymentMethodTypes) return { types: setUp.allowedPaymentMethodTypes };
  if (!setUp.currency) return { types: ["card"] };
  const query = new URLSearchParams({ currency: setUp.currency });
  if (setUp.captureMethod) query.set("capture_method", setUp.captureMethod);
  if (setUp.paymentMethodConfiguration) {
    query.set("payment_method_configuration", setUp.paymentMethodConfiguration);
  }
  const { body, error } = await ask(`/elements/offered?${query}`);
  if (error) return { error };
  const excluded = setUp.excludedPaymentMethodTypes || [];
  return { types: body.payment_method_types.filter((one) => !excluded.includes(one)) };
};
