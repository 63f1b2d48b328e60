// @ts-check
// Stock follows what happens, and is corrected in place: before and after, a reason, and the answer.
import "./dialogs.js";
import { need } from "./need.js";
import { toast } from "./toasts.js";
import { gettext as _ } from "./words.js";

const TONES = { out: ["bad", _("Sold out")], low: ["warn", _("Low")], ok: ["good", _("In stock")] };

/** @typedef {{on_hand: number, reserved: number, committed: number, available: number}} Level */

const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById("adjust-dialog"));
if (dialog) watchAdjusting(dialog);
followStock();

/** @param {HTMLDialogElement} dialog */
function watchAdjusting(dialog) {
  const form = need(dialog, "form", HTMLFormElement);
  const amount = need(form, "[data-amount]", HTMLInputElement);
  const seen = need(form, "[name=seen]", HTMLInputElement);
  const wrong = need(form, "[data-adjust-error]", HTMLElement);
  const once = need(form, "[name=once]", HTMLInputElement);
  const save = need(form, "[type=submit]", HTMLButtonElement);

  function preview() {
    const sets = new FormData(form).get("mode") === "set";
    const before = Number(seen.value);
    amount.name = sets ? "set" : "delta";
    need(form, "[data-amount-label]", HTMLElement).textContent = sets ? _("Set to") : _("Change by");
    need(form, "[data-before]", HTMLElement).textContent = before.toLocaleString("en");
    const after = sets ? Number(amount.value || before) : before + Number(amount.value);
    need(form, "[data-after]", HTMLElement).textContent = after.toLocaleString("en");
  }
  form.addEventListener("input", preview);
  document.addEventListener("click", (event) => {
    const button = /** @type {HTMLElement | null} */ (
      /** @type {Element} */ (event.target).closest("[data-adjust]")
    );
    const line = button?.closest("tr");
    if (!button || !line) return;
    form.reset();
    form.action = button.dataset.address ?? "";
    need(form, "[data-adjust-name]", HTMLElement).textContent = button.dataset.name ?? "";
    seen.value = need(line, '[data-cell="on_hand"]', HTMLElement).textContent.replaceAll(",", "");
    once.value = crypto.getRandomValues(new Uint32Array(4)).join("-");
    wrong.hidden = true;
    preview();
    dialog.showModal();
    amount.focus();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (save.disabled) return;
    save.disabled = true;
    const answer = await sent(form);
    save.disabled = false;
    if (answer.error) {
      wrong.hidden = false;
      need(wrong, "p", HTMLElement).textContent = answer.error;
      return;
    }
    dialog.close();
    toast({ title: _("Stock saved"), text: answer.message, tone: "success" });
    const id = form.action.slice(form.action.lastIndexOf("/") + 1);
    for (const place of places(id)) fill(place, answer);
    if (document.querySelector("[data-reloads]")) location.reload();
  });
}

/** Send the form; gives the answer, with `error` when nothing is known to be saved. @param {HTMLFormElement} form */
async function sent(form) {
  try {
    const response = await fetch(form.action, {
      method: "POST",
      body: new FormData(form),
      headers: { Accept: "application/json" },
    });
    const answer = await response.json();
    return response.ok ? answer : { error: answer.error ?? _("That did not work. Try again.") };
  } catch {
    return { error: _("No response from the shop. Save again: the change is made only once.") };
  }
}

function followStock() {
  const region = document.querySelector("[data-status-words]");
  document.addEventListener("live:resync", async () => {
    const ids = new Set([...document.querySelectorAll("[data-variant]")].map((one) => one.getAttribute("data-variant") ?? ""));
    for (const id of ids) await show(id);
  });
  document.addEventListener("live:staff:stock", async (event) => {
    const { type, data } = /** @type {CustomEvent} */ (event).detail;
    if (type !== "stock.changed") return;
    const level = await show(data.variant_id);
    if (region && level) region.textContent = _("%(sku)s: %(count)s available", { sku: data.sku, count: level.available });
  });
}

/** Ask for a variant's numbers and show them where it stands; null where it does not. @param {number | string} id */
async function show(id) {
  const shown = places(id);
  if (!shown.length) return null;
  const response = await fetch(`/admin/inventory/level/${id}`);
  if (!response.ok) return null;
  const level = await response.json();
  for (const place of shown) fill(place, level);
  return level;
}

/** @param {number | string} id */
function places(id) {
  return /** @type {HTMLElement[]} */ ([...document.querySelectorAll(`[data-variant="${id}"]`)]);
}

/** @param {HTMLElement} place @param {Level} level */
function fill(place, level) {
  for (const key of /** @type {(keyof Level)[]} */ (["on_hand", "reserved", "committed", "available"])) {
    const cell = place.querySelector(`[data-cell="${key}"]`);
    if (cell) cell.textContent = level[key].toLocaleString("en");
  }
  const state = level.available <= 0 ? "out" : level.available <= Number(place.dataset.low) ? "low" : "ok";
  const pill = place.querySelector('[data-cell="state"] .pill');
  if (pill) {
    pill.className = `pill pill-${TONES[state][0]}`;
    pill.textContent = TONES[state][1];
  }
  place.classList.remove("touched");
  void place.offsetWidth; // restart the animation
  place.classList.add("touched");
}
