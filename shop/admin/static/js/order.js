// @ts-check
// One order's page: dialogs, copying, printing, and what others do to it meanwhile.
import "./dialogs.js";
import "./money.js";
import { need } from "./need.js";
import { fill, page } from "./pages.js";
import { toast } from "./toasts.js";
import { gettext as _, ngettext } from "./words.js";

const place = /** @type {HTMLElement | null} */ (document.querySelector("[data-order]"));
if (place) {
  followOrder(place);
  watchShipping();
  document.querySelector("[data-print]")?.addEventListener("click", () => window.print());
}
document.addEventListener("click", copy);
document.addEventListener("keydown", press);

/**
 * J and K go to the order below and above, S opens the shipment, Ctrl+Enter ships it and goes on.
 * @param {KeyboardEvent} event
 */
function press(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = /** @type {HTMLFormElement | null} */ (target.closest("[data-ship]"));
    if (!form) return;
    event.preventDefault();
    form.requestSubmit(need(form, "[data-ship-next]", HTMLButtonElement));
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey && !target.closest("input, textarea, select, dialog")) {
    const wanted = { j: "[rel=next]", k: "[rel=prev]", s: "[data-ship-open]" }[event.key.toLowerCase()];
    if (!wanted || document.querySelector("dialog[open]")) return;
    /** @type {HTMLElement | null} */ (document.querySelector(wanted))?.click();
  }
}

/** @param {MouseEvent} event */
async function copy(event) {
  const button = /** @type {HTMLElement | null} */ (
    /** @type {Element} */ (event.target).closest("[data-copy]")
  );
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy ?? "");
    toast({ title: _("Copied"), tone: "success" });
  } catch {
    toast({ title: _("Copying is not allowed in this browser"), tone: "warning" });
  }
}

/** @param {HTMLElement} place */
function followOrder(place) {
  const note = need(document, "[data-changed]", HTMLElement);
  const id = Number(place.dataset.order);
  document.addEventListener("live:staff:orders", async (event) => {
    const { type, data } = /** @type {CustomEvent} */ (event).detail;
    if (type === "snapshot" || data.id !== id || data.version <= shownVersion(place)) return;
    need(note, "[data-changed-text]", HTMLElement).textContent =
      _("%(number)s was just changed: it is %(status)s.", { number: place.dataset.number, status: data.status_label });
    const button = need(note, "button", HTMLButtonElement);
    button.hidden = !isWorking(place);
    note.hidden = false;
    button.hidden = await refresh(place, () => isWorking(place));
  });
  document.addEventListener("live:resync", () => refresh(place, () => isWorking(place)));
  need(note, "[data-show-change]", HTMLElement).addEventListener("click", async () => {
    note.hidden = await refresh(place, () => false);
  });
}

/** Whether the person has begun something that a fresh page would take away. @param {HTMLElement} place */
function isWorking(place) {
  const typed = [...place.querySelectorAll("textarea")].some((box) => box.value.trim());
  return typed || document.querySelector("dialog[open]") !== null;
}

/** @param {HTMLElement} place */
function shownVersion(place) {
  return Number(place.querySelector("[data-version]")?.getAttribute("data-version"));
}

/**
 * Take the page's part anew, unless `isUnwanted`; whether the page shows the newest now.
 * Two of these can be on their way at once: an older answer that comes late is left out.
 * @param {HTMLElement} place @param {() => boolean} isUnwanted
 */
async function refresh(place, isUnwanted) {
  if (isUnwanted()) return false;
  const part = await page(place.dataset.part ?? "").catch(() => null);
  const fresh = /** @type {HTMLElement | null | undefined} */ (part?.querySelector("[data-version]"));
  if (!part || !fresh || isUnwanted()) return false;
  if (Number(fresh.dataset.version) < shownVersion(place)) return true;
  fill(place, part.body);
  const pill = need(document, "[data-order-status]", HTMLElement);
  pill.className = `pill pill-${fresh.dataset.tone}`;
  pill.textContent = fresh.dataset.label ?? "";
  return true;
}

/** The button says how many items leave. */
function watchShipping() {
  const say = () => {
    const form = document.querySelector("[data-ship]");
    if (!form) return;
    const boxes = /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("input[type=number]")]);
    const units = boxes.reduce((sum, box) => sum + (Number(box.value) || 0), 0);
    need(form, "[data-ship-label]", HTMLElement).textContent = ngettext("Ship %(num)s item", "Ship %(num)s items", units);
  };
  document.addEventListener("input", (event) => {
    if (/** @type {Element} */ (event.target).closest("[data-ship]")) say();
  });
  say();
}
