/* The card field inside its iframe: checks what is typed, confirms by itself, tells the shop's page
   only the outcome. */
"use strict";

const form = document.getElementById("card");
const fields = {
  number: document.getElementById("number"),
  expiry: document.getElementById("expiry"),
  cvc: document.getElementById("cvc"),
};
const brandLabel = document.getElementById("brand");
const refusal = document.getElementById("refusal");
const BRANDS = [
  [/^4/, "visa", "Visa"],
  [/^(5[1-5]|2[2-7])/, "mastercard", "Mastercard"],
  [/^3[47]/, "amex", "Amex"],
  [/^(6011|65|64[4-9])/, "discover", "Discover"],
];
const FIELD_OF = {
  incorrect_number: "number", invalid_number: "number",
  invalid_expiry_month: "expiry", invalid_expiry_year: "expiry", expired_card: "expiry",
  invalid_cvc: "cvc", incorrect_cvc: "cvc",
};
const VARIABLES = {
  colorPrimary: "--primary", colorBackground: "--surface", colorText: "--text",
  colorTextSecondary: "--muted", colorTextPlaceholder: "--muted", colorDanger: "--danger",
  borderRadius: "--radius", fontSizeBase: "--size", fontFamily: "--family",
};
let shop = null;
let setUp = { key: "", clientSecret: null };
let lastChange = "";

const digits = (field) => field.value.replace(/\D/g, "");
const brand = () => BRANDS.find(([pattern]) => pattern.test(digits(fields.number)));
const cvcLength = () => (brand() && brand()[1] === "amex" ? 4 : 3);
const tell = (message) => { if (shop) window.parent.postMessage(message, shop); };
const fire = (name, detail = {}) => tell({ kind: "event", name, detail });

const fit = () => {
  tell({ kind: "height", height: document.documentElement.getBoundingClientRect().height });
};

const luhn = (number) => [...number].reverse().reduce((total, digit, index) => {
  const value = Number(digit) * (index % 2 ? 2 : 1);
  return total + (value > 9 ? value - 9 : value);
}, 0) % 10 === 0;

const expiry = () => {
  const parts = /^(\d{1,2})\s*\/?\s*(\d{2}|\d{4})$/.exec(fields.expiry.value.trim());
  if (!parts) return null;
  return { month: Number(parts[1]), year: Number(parts[2]) + (parts[2].length === 2 ? 2000 : 0) };
};

const CHECKS = {
  number() {
    const number = digits(fields.number);
    const length = brand() && brand()[1] === "amex" ? 15 : 16;
    if (number.length < length) return ["incomplete_number", "Your card number is incomplete."];
    if (!luhn(number)) return ["invalid_number", "Your card number is invalid."];
    return null;
  },
  expiry() {
    const date = expiry();
    if (!date) return ["incomplete_expiry", "Your card's expiration date is incomplete."];
    if (date.month < 1 || date.month > 12) {
      return ["invalid_expiry_month", "Your card's expiration month is invalid."];
    }
    const today = new Date();
    const months = (date.year - today.getFullYear()) * 12 + date.month - 1 - today.getMonth();
    if (months < 0) {
      return ["invalid_expiry_year_past", "Your card's expiration date is in the past."];
    }
    if (months > 600) {
      return ["invalid_expiry_year", "Your card's expiration year is invalid."];
    }
    return null;
  },
  cvc() {
    return digits(fields.cvc).length === cvcLength()
      ? null : ["incomplete_cvc", "Your card's security code is incomplete."];
  },
};

const show = (name, message) => {
  document.getElementById(`${name}-error`).textContent = message || "";
  if (message) fields[name].setAttribute("aria-invalid", "true");
  else fields[name].removeAttribute("aria-invalid");
};

const check = () => {
  let first = null;
  for (const name of Object.keys(fields)) {
    const problem = CHECKS[name]();
    show(name, problem && problem[1]);
    if (problem && !first) {
      first = { type: "validation_error", code: problem[0], message: problem[1] };
      fields[name].focus();
    }
  }
  return first;
};

const changed = () => {
  const complete = Object.values(CHECKS).every((one) => one() === null);
  const empty = Object.values(fields).every((field) => field.value === "");
  const detail = { complete, empty, collapsed: false, value: { type: "card" } };
  if (JSON.stringify(detail) !== lastChange) {
    lastChange = JSON.stringify(detail);
    fire("change", detail);
  }
};

const group = (number) => {
  const sizes = brand() && brand()[1] === "amex" ? [4, 6, 5] : [4, 4, 4, 4, 3];
  const parts = [];
  let rest = number;
  for (const size of sizes) {
    if (rest) parts.push(rest.slice(0, size));
    rest = rest.slice(size);
  }
  return parts.join(" ");
};

const FORMATS = {
  number() {
    // Typing in the middle must not throw the cursor to the end.
    if (fields.number.selectionStart === fields.number.value.length) {
      fields.number.value = group(digits(fields.number).slice(0, 19));
    }
    brandLabel.textContent = brand() ? brand()[2] : "";
    fields.cvc.placeholder = cvcLength() === 4 ? "1234" : "123";
  },
  expiry(event) {
    const field = fields.expiry;
    if (event.inputType && event.inputType.startsWith("delete")) return;
    if (/^[2-9]$/.test(field.value)) field.value = `0${field.value}`;
    if (/^\d{2}$/.test(field.value)) field.value += " / ";
    const plain = /^(\d{2})(\d{2}|\d{4})$/.exec(field.value);
    if (plain) field.value = `${plain[1]} / ${plain[2]}`;
  },
  cvc() {
    fields.cvc.value = digits(fields.cvc).slice(0, 4);
  },
};

for (const [name, field] of Object.entries(fields)) {
  field.addEventListener("input", (event) => {
    FORMATS[name](event);
    refusal.textContent = "";
    if (field.hasAttribute("aria-invalid") && !CHECKS[name]()) show(name, null);
    changed();
  });
  field.addEventListener("blur", () => {
    const problem = field.value ? CHECKS[name]() : null;
    show(name, problem && problem[1]);
    fire("blur");
  });
  field.addEventListener("focus", () => fire("focus"));
}
form.addEventListener("submit", (event) => event.preventDefault());

const flatten = (value, prefix, out) => {
  for (const [name, entry] of Object.entries(value)) {
    const full = prefix ? `${prefix}[${name}]` : name;
    if (entry === null || entry === undefined) continue;
    if (typeof entry === "object") flatten(entry, full, out);
    else out.append(full, String(entry));
  }
  return out;
};

const confirm = async ({ id, clientSecret, params }) => {
  const problem = check();
  if (problem) return { error: problem };
  refusal.textContent = "";
  const { month, year } = expiry();
  const method = {
    ...params.payment_method_data,
    type: "card",
    card: {
      number: digits(fields.number), exp_month: month, exp_year: year, cvc: digits(fields.cvc),
    },
  };
  const body = flatten(
    { ...params, payment_method_data: method, key: setUp.key, client_secret: clientSecret },
    "", new URLSearchParams(),
  );
  let answer;
  let outcome;
  try {
    answer = await fetch(`/v1/payment_intents/${id}/confirm`, { method: "POST", body });
    outcome = await answer.json();
  } catch {
    const message = "We could not reach the payment server. Check your connection and try again.";
    return { error: { type: "api_connection_error", message } };
  }
  if (answer.ok) return { paymentIntent: outcome };
  const { error } = outcome;
  if (error.type === "card_error") {
    const place = FIELD_OF[error.code];
    if (place) show(place, error.message);
    else refusal.textContent = error.message;
  }
  return { error };
};

const disable = (off) => {
  for (const field of Object.values(fields)) field.disabled = off;
};

const dress = (appearance) => {
  const { theme, systemDark, variables = {} } = appearance || {};
  const night = theme === "night" || (!["stripe", "flat"].includes(theme) && systemDark);
  document.documentElement.dataset.theme = night ? "night" : "stripe";
  for (const [name, property] of Object.entries(VARIABLES)) {
    if (variables[name]) document.documentElement.style.setProperty(property, variables[name]);
    else document.documentElement.style.removeProperty(property);
  }
};

const start = async () => {
  if (setUp.clientSecret) {
    const id = setUp.clientSecret.split("_secret_")[0];
    const query = new URLSearchParams({ key: setUp.key, client_secret: setUp.clientSecret });
    try {
      const answer = await fetch(`/v1/payment_intents/${id}?${query}`);
      const body = await answer.json();
      const payable = ["requires_payment_method", "requires_confirmation", "requires_action"];
      if (!answer.ok) return fire("loaderror", { error: body.error });
      if (!payable.includes(body.status)) {
        disable(true);
        const message = `This payment can no longer be paid: its status is ${body.status}.`;
        const type = "invalid_request_error";
        const code = "payment_intent_unexpected_state";
        return fire("loaderror", { error: { type, code, message } });
      }
    } catch {
      const message = "We could not reach the payment server.";
      return fire("loaderror", { error: { type: "api_connection_error", message } });
    }
  }
  return fire("ready");
};

const ACTIONS = {
  start(message) { ACTIONS.update(message); fit(); start(); },
  update(message) {
    setUp = { key: message.key, clientSecret: message.clientSecret };
    dress(message.appearance);
    disable(message.options.readOnly);
  },
  focus() { fields.number.focus(); },
  blur() { document.activeElement.blur(); },
  clear() { form.reset(); brandLabel.textContent = ""; changed(); },
  async check({ number }) {
    const error = check();
    const result = error ? { error } : { selectedPaymentMethod: "card" };
    tell({ kind: "answer", number, result });
  },
  async confirm(message) {
    disable(true);
    const work = confirm(message);
    const result = await work;
    disable(Boolean(result.paymentIntent && result.paymentIntent.status !== "requires_action"));
    tell({ kind: "answer", number: message.number, result });
  },
};

window.addEventListener("message", (event) => {
  if (event.source !== window.parent || (shop && event.origin !== shop)) return;
  const action = ACTIONS[event.data.kind];
  if (!action) return;
  shop = event.origin;
  action(event.data);
});

new ResizeObserver(fit).observe(document.documentElement);

// The parent's origin is not known yet; this says nothing but "loaded".
window.parent.postMessage({ kind: "hello" }, "*");
