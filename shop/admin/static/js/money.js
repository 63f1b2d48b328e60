// @ts-check
// Forms about money: the sum and what stays, while one types. Whole minor units only; the server decides.

import { gettext as _, ngettext } from "./words.js";

document.addEventListener("input", (event) => {
  const form = /** @type {HTMLFormElement | null} */ (
    /** @type {Element} */ (event.target).closest("form[data-refund], form[data-cancel]")
  );
  if (form) say(form);
});
// A dialog may have come with a fresh part of the page.
document.addEventListener("click", (event) => {
  if (/** @type {Element} */ (event.target).closest("[commandfor]")) sayAll();
});
sayAll();

function sayAll() {
  for (const form of document.querySelectorAll("form[data-refund], form[data-cancel]")) {
    say(/** @type {HTMLFormElement} */ (form));
  }
}

/** @param {HTMLFormElement} form */
function say(form) {
  if (form.dataset.refund !== undefined) sayRefund(form);
  else sayCancel(form);
}

/** @param {HTMLFormElement} form */
function sayRefund(form) {
  const balance = Number(form.dataset.balance);
  const { total, units, fault } = sumOf(form, balance);
  const sum = /** @type {HTMLElement} */ (form.querySelector("[data-sum]"));
  const rest = /** @type {HTMLElement} */ (form.querySelector("[data-rest]"));
  const give = /** @type {HTMLElement} */ (form.querySelector("[data-give]"));
  const isRight = !fault && total > 0 && total <= balance;
  const isReturn = !fault && total === 0 && units > 0;
  const amount = money(total, form);
  sum.textContent = fault || amount;
  sum.classList.toggle("over", fault !== "" || total > balance);
  rest.textContent = fault ? "—" : total > balance ? _("Only %(amount)s is left to refund", { amount: money(balance, form) }) : money(balance - total, form);
  give.textContent = isRight ? _("Refund %(amount)s", { amount }) : isReturn ? _("Record return") : _("Refund");
  const agreed = /** @type {HTMLInputElement} */ (form.elements.namedItem("agreed"));
  agreed.value = isRight || isReturn ? String(total) : "";
  if (isReturn) {
    form.dataset.confirm = ngettext(
      "Record the return of %(num)s item? It comes to %(amount)s, so no money moves.",
      "Record the return of %(num)s items? They come to %(amount)s, so no money moves.",
      units,
      { amount },
    );
    form.dataset.ok = _("Record return");
  } else if (isRight) {
    const question = _("Refund %(amount)s to %(card)s? Stripe sends the refund right away. It cannot be cancelled.", { amount, card: form.dataset.card });
    form.dataset.confirm = question;
    form.dataset.ok = _("Refund %(amount)s", { amount });
  } else {
    delete form.dataset.confirm;
  }
}

/** What the form comes to, and of how many units. @param {HTMLFormElement} form @param {number} balance @returns {{total: number, units: number, fault: string}} */
function sumOf(form, balance) {
  const what = new FormData(form).get("what");
  const rows = [.../** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll("[data-line]"))];
  const steps = rows.map((row) => (row.dataset.steps ?? "").split(" ").map(Number));
  if (what === "all") return { total: balance, units: steps.reduce((sum, one) => sum + one.length - 1, 0), fault: "" };
  const digits = Number(form.dataset.digits);
  if (what === "amount") {
    const amount = minor(box(form, "[data-amount]")?.value ?? "", digits);
    return { total: amount ?? 0, units: 0, fault: amount === null ? _("Not an amount") : "" };
  }
  let total = 0;
  let units = 0;
  let fault = "";
  for (const [number, row] of rows.entries()) {
    const typed = row.querySelector("input[type=number]");
    const words = typed instanceof HTMLInputElement ? typed.value.trim() || "0" : "0";
    const part = /^\d+$/.test(words) ? steps[number][Number(words)] : undefined;
    if (part === undefined) fault = _("More than is left to refund");
    const shown = /** @type {HTMLElement} */ (row.querySelector("[data-line-sum]"));
    shown.textContent = part ? money(part, form) : "";
    total += part ?? 0;
    units += part === undefined ? 0 : Number(words);
  }
  const shipping = box(form, "[data-shipping]");
  if (shipping) {
    const amount = minor(shipping.value, digits);
    if (amount === null) fault = _("Not an amount");
    else if (amount > Number(shipping.dataset.most)) fault = _("More shipping than was paid");
    total += amount ?? 0;
  }
  return { total, units, fault };
}

/** @param {HTMLFormElement} form */
function sayCancel(form) {
  const label = form.querySelector("[data-cancel-label]");
  if (!label) return;
  const isAll = new FormData(form).get("what") !== "lines";
  const units = [.../** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("input[type=number]"))].reduce(
    (sum, one) => sum + (Number(one.value) || 0),
    0,
  );
  label.textContent = isAll ? _("Cancel the order") : ngettext("Cancel %(num)s item", "Cancel %(num)s items", units);
}

/**
 * Typed words as minor units; nothing is 0. Null for what `parse_amount` on the server refuses (it has the last word):
 * more decimals than the currency has, and one separator before three digits, which can be read in two ways.
 * @param {string} typed @param {number} digits
 */
function minor(typed, digits) {
  const words = typed.trim();
  if (!words) return 0;
  const grouped = /^[1-9]\d{0,2}(?:([ '’\u00a0\u2009\u202f])\d{3}(?:\1\d{3})*|,\d{3}(?:,\d{3})*(?=[.]|$)|[.]\d{3}(?:[.]\d{3})*(?=,|$))/;
  if (digits !== 3 && /^[1-9]\d{0,2}[.,]\d{3}$/.test(words)) return null;
  const whole = digits === 3 && /^\d+[.,]\d{3}$/.test(words) ? "" : (grouped.exec(words)?.[0] ?? "");
  const plain = whole.replace(/\D/g, "") + words.slice(whole.length);
  const parts = /^(\d{0,10})(?:[.,](\d+))?$/.exec(plain);
  if (!parts || !plain || (parts[2] ?? "").length > digits) return null;
  return Number(parts[1] + (parts[2] ?? "").padEnd(digits, "0"));
}

/** Exact: the digits are moved as text. @param {number} amount @param {HTMLFormElement} form */
function money(amount, form) {
  const digits = Number(form.dataset.digits);
  const text = String(amount).padStart(digits + 1, "0");
  const exact = digits ? `${text.slice(0, -digits)}.${text.slice(-digits)}` : text;
  const look = new Intl.NumberFormat(document.documentElement.dataset.numberLocale, {
    style: "currency",
    currency: form.dataset.currency,
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return look.format(/** @type {any} */ (exact));
}

/** @param {HTMLFormElement} form @param {string} selector */
function box(form, selector) {
  return /** @type {HTMLInputElement | null} */ (form.querySelector(selector));
}
