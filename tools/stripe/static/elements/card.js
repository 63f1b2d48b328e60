/* The fields of a card: checks what is typed as it is typed. */

export const fields = {
  number: document.getElementById("number"),
  expiry: document.getElementById("expiry"),
  cvc: document.getElementById("cvc"),
};
const brandLabel = document.getElementById("brand");
const BRANDS = [
  [/^4/, "visa", "Visa"],
  [/^(5[1-5]|2[2-7])/, "mastercard", "Mastercard"],
  [/^3[47]/, "amex", "Amex"],
  [/^(6011|65|64[4-9])/, "discover", "Discover"],
];
export const FIELD_OF = {
  incorrect_number: "number", invalid_number: "number",
  invalid_expiry_month: "expiry", invalid_expiry_year: "expiry", expired_card: "expiry",
  invalid_cvc: "cvc", incorrect_cvc: "cvc",
};
const digits = (field) => field.value.replace(/\D/g, "");
const brand = () => BRANDS.find(([pattern]) => pattern.test(digits(fields.number)));
const cvcLength = () => (brand() && brand()[1] === "amex" ? 4 : 3);
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

export const show = (name, message) => {
  document.getElementById(`${name}-error`).textContent = message || "";
  if (message) fields[name].setAttribute("aria-invalid", "true");
  else fields[name].removeAttribute("aria-invalid");
};

/* The first thing that is wrong, as Stripe.js names it, or null; every field says its own. */
export const check = () => {
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

export const isComplete = () => Object.values(CHECKS).every((one) => one() === null);
export const isEmpty = () => Object.values(fields).every((field) => field.value === "");

/* What is typed, as the API wants it. */
export const typed = () => {
  const { month, year } = expiry();
  return {
    number: digits(fields.number), exp_month: month, exp_year: year, cvc: digits(fields.cvc),
  };
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


export const attach = ({ onInput, onFocus, onBlur }) => {
  for (const [name, field] of Object.entries(fields)) {
    field.addEventListener("input", (event) => {
      FORMATS[name](event);
      if (field.hasAttribute("aria-invalid") && !CHECKS[name]()) show(name, null);
      onInput();
    });
    field.addEventListener("blur", () => {
      const problem = field.value ? CHECKS[name]() : null;
      show(name, problem && problem[1]);
      onBlur();
    });
    field.addEventListener("focus", onFocus);
  }
};

export const forget = () => { brandLabel.textContent = ""; };
