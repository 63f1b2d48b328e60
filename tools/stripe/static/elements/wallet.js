/* The sheet of a wallet: whose address, which shipping method, and yes or no. */

import { listen, tell } from "./frame.js";

const ADDRESSES = [
  ["Ada Lovelace, Berlin", {
    line1: "Invalidenstr. 1", line2: "", city: "Berlin", state: "", postal_code: "10115",
    country: "DE",
  }],
  ["Ada Lovelace, Paris", {
    line1: "1 rue de Rivoli", line2: "", city: "Paris", state: "", postal_code: "75001",
    country: "FR",
  }],
  ["Ada Lovelace, New York", {
    line1: "350 5th Ave", line2: "", city: "New York", state: "NY", postal_code: "10118",
    country: "US",
  }],
];
const TITLES = { apple_pay: "Apple Pay", google_pay: "Google Pay" };
const find = (id) => document.getElementById(id);
let details = {};
let rates = [];

const money = (amount) => {
  const format = new Intl.NumberFormat("en", {
    style: "currency", currency: (details.currency || "eur").toUpperCase(),
  });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
};

const draw = () => {
  const lines = [...(details.lineItems || []), { name: "Total", amount: details.amount }];
  find("lines").replaceChildren(...lines.map(({ name, amount }) => {
    const row = document.createElement("div");
    row.append(
      Object.assign(document.createElement("dt"), { textContent: name }),
      Object.assign(document.createElement("dd"), { textContent: money(amount) }),
    );
    return row;
  }));
  find("pay").textContent = `Pay ${money(details.amount)}`;
};

const drawRates = () => {
  const chosen = rate();
  const kept = rates.some((one) => chosen && one.id === chosen.id) ? chosen.id : (rates[0] || {}).id;
  find("rates").hidden = !rates.length;
  find("rates").querySelectorAll("label").forEach((one) => one.remove());
  for (const { id, displayName, amount } of rates) {
    const radio = Object.assign(document.createElement("input"), {
      type: "radio", name: "rate", value: id, checked: id === kept,
    });
    radio.addEventListener("change", () => question("rate", { shippingRate: rate() }));
    const label = document.createElement("label");
    label.append(radio, `${displayName}, ${money(amount)}`);
    find("rates").append(label);
  }
};

const rate = () => {
  const radio = document.querySelector("input[name=rate]:checked");
  return rates.find((one) => radio && one.id === radio.value);
};

const address = () => ADDRESSES[Number(find("address").value)][1];

const question = (kind, detail) => {
  find("pay").disabled = true;
  tell({ kind, detail });
};

// Before the buyer pays, a wallet tells only the part of the address that prices depend on.
const askAboutAddress = () => {
  const { city, state, country, postal_code } = address();
  question("address", { name: "Ada Lovelace", address: { city, state, country, postal_code } });
};

const person = () => {
  const billingDetails = { name: "Ada Lovelace", address: ADDRESSES[0][1] };
  if (details.emailRequired) billingDetails.email = find("email").value;
  if (details.phoneNumberRequired) billingDetails.phone = "+4930123456";
  return billingDetails;
};

find("address").append(...ADDRESSES.map(([text], index) =>
  Object.assign(document.createElement("option"), { value: String(index), textContent: text })));
find("address").addEventListener("change", askAboutAddress);
find("cancel").addEventListener("click", () => tell({ kind: "cancel" }));
find("wallet").addEventListener("submit", (event) => {
  event.preventDefault();
  const detail = { billingDetails: person() };
  if (details.shippingAddressRequired) {
    detail.shippingAddress = { name: "Ada Lovelace", address: address() };
    detail.shippingRate = rate();
  }
  tell({ kind: "pay", detail });
});

listen({
  start(message) {
    details = message;
    rates = message.shippingRates || [];
    find("title").textContent = TITLES[message.wallet];
    find("email-field").hidden = !message.emailRequired;
    find("address-field").hidden = !message.shippingAddressRequired;
    draw();
    drawRates();
    if (message.shippingAddressRequired) askAboutAddress();
  },
  changed({ refused, amount, lineItems, shippingRates }) {
    find("refusal").textContent = refused ? "This shop does not ship to this address." : "";
    find("pay").disabled = refused;
    details = { ...details, amount, lineItems: lineItems || details.lineItems };
    if (shippingRates) rates = shippingRates;
    draw();
    drawRates();
  },
});
