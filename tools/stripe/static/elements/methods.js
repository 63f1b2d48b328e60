/* The payment methods other than cards: their names, the fields that each needs, and what it says. */

export const TITLES = {
  card: "Card", link: "Link", sepa_debit: "SEPA Debit", ideal: "iDEAL", bancontact: "Bancontact",
  klarna: "Klarna", multibanco: "Multibanco", konbini: "Konbini", oxxo: "OXXO",
};
const BANKS = [
  ["", "Select bank"], ["abn_amro", "ABN AMRO"], ["asn_bank", "ASN Bank"], ["bunq", "bunq"],
  ["ing", "ING"], ["knab", "Knab"], ["n26", "N26"], ["rabobank", "Rabobank"],
  ["regiobank", "RegioBank"], ["revolut", "Revolut"], ["sns_bank", "SNS"],
  ["triodos_bank", "Triodos Bank"], ["van_lanschot", "Van Lanschot"],
];
const COUNTRIES = "AT BE CH CZ DE DK ES FI FR GB IE IT NL NO PL PT SE US".split(" ");
const EEA = ("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE "
  + "SI SK").split(" ");
const NEEDS = {
  link: ["email", "code"],
  sepa_debit: ["iban", "name", "email", "line1", "country"], ideal: ["bank", "name"], bancontact: ["name"],
  klarna: ["email", "country"], multibanco: ["email"], konbini: ["name", "email"],
  oxxo: ["name", "email"],
};
const OPTIONAL = { ideal: ["bank", "name"] };
const LABELS = {
  iban: "IBAN", line1: "Address line 1", name: "Full name", email: "Email", bank: "Bank", country: "Country or region", code: "Code",
};
const HINTS = {
  card: "No money moves. Try 4242 4242 4242 4242, any coming date and any CVC.",
  link: "No money moves. 000001 is a wrong code, any other six digits are right.",
  sepa_debit: "No money moves. DE89370400440532013000 succeeds, DE62370400440532013001 fails.",
  multibanco: "No money moves. An email that begins with succeed_immediately is paid at once.",
};
HINTS.konbini = HINTS.multibanco;
HINTS.oxxo = HINTS.multibanco;
const ELSEWHERE = "No money moves. You will go to a test page of the bank.";
const MANDATE = "By providing your IBAN and confirming this payment, you authorise this shop and "
  + "Stripe to send instructions to your bank to debit your account.";
const CHECKS = {
  iban: (value) => (/^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$/.test(value.replace(/\s/g, "").toUpperCase())
    ? null : ["incomplete_iban", "Your IBAN is incomplete."]),
  name: (value) => (value.trim() ? null : ["incomplete_name", "Your name is incomplete."]),
  email: (value) => (/^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(value.trim())
    ? null : ["incomplete_email", "Your email is incomplete."]),
  line1: (value) => (value.trim() ? null : ["incomplete_line1", "Your address is incomplete."]),
  country: (value) => (value ? null : ["incomplete_country", "Choose your country."]),
  bank: () => null,
  // One code is wrong, so that one sees what a buyer sees then.
  code: (value) => {
    if (!/^\d{6}$/.test(value.trim())) return ["incomplete_code", "Your code is incomplete."];
    return value.trim() === "000001" ? ["invalid_code", "This code is not valid."] : null;
  },
};
const place = document.getElementById("other");
let inputs = {};

export const hint = (type) => HINTS[type] || ELSEWHERE;

const element = (tag, properties, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

const input = (name, given) => {
  const id = `other-${name}`;
  const choices = { bank: BANKS, country: ["", ...COUNTRIES].map((one) => [one, one || "Select"]) };
  let made;
  if (choices[name]) {
    made = element("select", { id, name }, ...choices[name].map(
      ([value, text]) => element("option", { value, textContent: text })));
  } else {
    made = element("input", { id, name, type: name === "email" ? "email" : "text" });
    made.autocomplete = { email: "email", name: "name" }[name] || "off";
    if (name === "iban") made.placeholder = "DE00 0000 0000 0000 0000 00";
  }
  made.value = given || "";
  made.setAttribute("aria-describedby", `${id}-error`);
  return made;
};

/* Build the fields of a type; those that the shop asks for itself are left out. */
export const build = (type, { fields, defaultValues }, { onInput, onFocus, onBlur }) => {
  const told = (fields || {}).billingDetails;
  const known = (defaultValues || {}).billingDetails || {};
  const left = (name) => told === "never" || (told || {})[name] === "never"
    || (["line1", "country"].includes(name) && ((told || {}).address === "never"
      || ((told || {}).address || {})[name] === "never"));
  inputs = {};
  place.replaceChildren();
  for (const name of NEEDS[type] || []) {
    // Link asks for the address of its own account, which may be another one.
    if (!["iban", "bank", "code"].includes(name) && type !== "link" && left(name)) continue;
    const isAddress = ["line1", "country"].includes(name);
    const given = isAddress ? (known.address || {})[name] : known[name];
    const made = input(name, given);
    inputs[name] = made;
    const error = element("p", { id: `${made.id}-error`, className: "error" });
    const label = element("label", { htmlFor: made.id, textContent: LABELS[name] });
    place.append(element("div", { className: "field wide" }, label, made, error));
    made.addEventListener("input", () => { show(name, null); reveal(type); onInput(); });
    made.addEventListener("focus", onFocus);
    made.addEventListener("blur", onBlur);
  }
  reveal(type);
  if (type === "sepa_debit") {
    place.append(element("p", { className: "note wide", textContent: MANDATE }));
  }
};

/* Banks outside the European Economic Area want the address of the account holder. */
const reveal = (type) => {
  if (type !== "sepa_debit") return;
  const bank = inputs.iban.value.trim().slice(0, 2).toUpperCase();
  for (const name of ["line1", "country"]) {
    if (inputs[name]) inputs[name].parentElement.hidden = bank.length < 2 || EEA.includes(bank);
  }
};

const isShown = (name) => !inputs[name].parentElement.hidden;

export const show = (name, message) => {
  const made = inputs[name];
  if (!made) return;
  document.getElementById(`${made.id}-error`).textContent = message || "";
  if (message) made.setAttribute("aria-invalid", "true");
  else made.removeAttribute("aria-invalid");
};

const problem = (type, name) => {
  const value = inputs[name].value;
  if (!isShown(name)) return null;
  if (!value && (OPTIONAL[type] || []).includes(name)) return null;
  return CHECKS[name](value);
};

export const check = (type) => {
  let first = null;
  for (const name of Object.keys(inputs)) {
    const found = problem(type, name);
    show(name, found && found[1]);
    if (found && !first) {
      first = { type: "validation_error", code: found[0], message: found[1] };
      inputs[name].focus();
    }
  }
  return first;
};

export const isComplete = (type) => Object.keys(inputs).every((name) => !problem(type, name));
export const isEmpty = () => Object.values(inputs).every((one) => !one.value);
export const disable = (off) => { for (const one of Object.values(inputs)) one.disabled = off; };

/* What is typed: the part of a payment method that is the type's own, and its billing details. */
export const typed = (type) => {
  const value = (name) =>
    (inputs[name] && isShown(name) ? inputs[name].value.trim() : "") || undefined;
  const own = {};
  if (inputs.iban) own.iban = value("iban");
  if (inputs.bank && value("bank")) own.bank = value("bank");
  const billing = { name: value("name"), email: value("email") };
  if (value("country")) billing.address = { country: value("country"), line1: value("line1") };
  return { own: { [type]: own }, billing };
};
