/* The Payment Element inside its iframe: offers the methods, checks what is typed, confirms by
   itself, and tells the shop's page only the outcome. */

import * as card from "./card.js";
import { ask, dress, fire, fit, flatten, listen, LOST, offered, tell } from "./frame.js";
import * as methods from "./methods.js";

const form = document.getElementById("pay");
const tabs = document.getElementById("methods");
const cardFields = document.getElementById("card");
const otherFields = document.getElementById("other");
const refusal = document.getElementById("refusal");
let setUp = { key: "", clientSecret: null, options: {} };
let type = "card";
let lastChange = "";

const handlers = {
  onInput() { refusal.textContent = ""; changed(); },
  onFocus() { fire("focus"); },
  onBlur() { fire("blur"); },
};

const changed = () => {
  const isCard = type === "card";
  const complete = isCard ? card.isComplete() : methods.isComplete(type);
  const empty = isCard ? card.isEmpty() : methods.isEmpty();
  const detail = { complete, empty, collapsed: false, value: { type } };
  if (JSON.stringify(detail) !== lastChange) {
    lastChange = JSON.stringify(detail);
    fire("change", detail);
  }
};

const choose = (chosen) => {
  type = chosen;
  cardFields.hidden = type !== "card";
  otherFields.hidden = type === "card";
  refusal.textContent = "";
  document.getElementById("hint").textContent = methods.hint(type);
  if (type !== "card") methods.build(type, setUp.options, handlers);
  fit();
};

const offer = (types) => {
  const wanted = setUp.options.paymentMethodOrder || [];
  const rank = (name) => (wanted.includes(name) ? wanted.indexOf(name) : wanted.length);
  const shown = types.filter((name) => methods.TITLES[name]).sort((a, b) => rank(a) - rank(b));
  tabs.hidden = shown.length < 2;
  for (const name of shown) {
    const radio = Object.assign(document.createElement("input"), {
      type: "radio", name: "method", value: name, id: `method-${name}`, checked: name === shown[0],
    });
    const label = document.createElement("label");
    label.append(radio, methods.TITLES[name]);
    radio.addEventListener("change", () => { choose(name); changed(); });
    tabs.append(label);
  }
  choose(shown[0] || "card");
};

const check = () => (type === "card" ? card.check() : methods.check(type));

const merged = (low, high) => {
  const out = { ...low };
  for (const [name, value] of Object.entries(high || {})) {
    const isGroup = value && typeof value === "object";
    out[name] = isGroup ? merged(out[name] || {}, value) : value;
  }
  return out;
};

const method = (given = {}) => {
  if (type === "card") return { ...given, type, card: card.typed() };
  const { own, billing } = methods.typed(type);
  return { ...given, type, ...own, billing_details: merged(billing, given.billing_details) };
};

const confirm = async ({ id, clientSecret, params }) => {
  const problem = check();
  if (problem) return { error: problem };
  refusal.textContent = "";
  const sent = { ...params, payment_method_data: method(params.payment_method_data) };
  if (type === "sepa_debit") {
    const online = { infer_from_client: true };
    sent.mandate_data = { customer_acceptance: { type: "online", online } };
  }
  const body = flatten(
    { ...sent, key: setUp.key, client_secret: clientSecret }, "", new URLSearchParams(),
  );
  const answer = await ask(`/v1/payment_intents/${id}/confirm`, { method: "POST", body });
  if (answer.body) return { paymentIntent: answer.body };
  const { error } = answer;
  if (error.type === "card_error") {
    const place = card.FIELD_OF[error.code];
    if (place) card.show(place, error.message);
    else refusal.textContent = error.message;
  } else if (error.param === "iban") {
    methods.show("iban", error.message);
  }
  return { error };
};

const disable = (off) => {
  for (const field of [...Object.values(card.fields), ...tabs.querySelectorAll("input")]) {
    field.disabled = off;
  }
  methods.disable(off);
};

const start = async () => {
  const { types, error, isOver } = await offered(setUp);
  if (isOver) disable(true);
  if (error) {
    const message = error === LOST ? "We could not reach the payment server." : error.message;
    return fire("loaderror", { error: { ...error, message } });
  }
  offer(types);
  return fire("ready");
};

card.attach(handlers);
form.addEventListener("submit", (event) => event.preventDefault());

listen({
  start(message) { this.update(message); fit(); start(); },
  update(message) {
    setUp = { ...message, options: message.options || {} };
    dress(message.appearance);
    disable(Boolean(setUp.options.readOnly));
  },
  focus() { (type === "card" ? card.fields.number : otherFields.querySelector("input,select"))?.focus(); },
  blur() { document.activeElement.blur(); },
  clear() { form.reset(); card.forget(); choose(type); changed(); },
  check({ number }) {
    const error = check();
    const result = error ? { error } : { selectedPaymentMethod: type };
    tell({ kind: "answer", number, result });
  },
  async confirm(message) {
    const work = confirm(message);
    disable(true);
    const result = await work;
    disable(Boolean(result.paymentIntent && result.paymentIntent.status !== "requires_action"));
    tell({ kind: "answer", number: message.number, result });
  },
});
