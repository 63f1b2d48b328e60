// @ts-check
// One order's page: dialogs, copying, printing, and what others do to it meanwhile.
import "./dialogs.js";
import "./money.js";
import { watchTimes } from "./times.js";
import { toast } from "./toasts.js";

const place = /** @type {HTMLElement | null} */ (document.querySelector("[data-order]"));
if (place) {
  followOrder(place);
  watchShipping();
  document.querySelector("[data-print]")?.addEventListener("click", () => window.print());
}
document.addEventListener("click", copy);

/** @param {MouseEvent} event */
async function copy(event) {
  const button = /** @type {HTMLElement | null} */ (
    /** @type {Element} */ (event.target).closest("[data-copy]")
  );
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    toast({ title: "Copied", tone: "success" });
  } catch {
    toast({ title: "Copying is not allowed in this browser", tone: "warning" });
  }
}

/** @param {HTMLElement} place */
function followOrder(place) {
  const note = /** @type {HTMLElement} */ (document.querySelector("[data-changed]"));
  const id = Number(place.dataset.order);
  document.addEventListener("live:staff:orders", (event) => {
    const { type, data } = /** @type {CustomEvent} */ (event).detail;
    const known = Number(place.querySelector("[data-version]")?.getAttribute("data-version"));
    // Something may have happened after this page was made and before its socket was open.
    if (type === "snapshot" && !isWorking(place)) refresh(place, known);
    if (type === "snapshot" || data.id !== id || data.version <= known) return;
    note.querySelector("[data-changed-text]").textContent =
      `${place.dataset.number} was just changed: it is ${data.status_label}.`;
    note.hidden = false;
    note.querySelector("button").hidden = !isWorking(place);
    if (!isWorking(place)) refresh(place);
  });
  document.addEventListener("live:resync", () => {
    if (!isWorking(place)) refresh(place);
  });
  note.querySelector("[data-show-change]").addEventListener("click", async () => {
    await refresh(place);
    note.hidden = true;
  });
}

/** Whether the person has begun something that a fresh page would take away. @param {HTMLElement} place */
function isWorking(place) {
  const typed = [...place.querySelectorAll("textarea")].some((box) => box.value.trim());
  return typed || document.querySelector("dialog[open]") !== null;
}

/** Take the page's part anew, unless what came is no newer than `known`. @param {HTMLElement} place @param {number} [known] */
async function refresh(place, known = 0) {
  const response = await fetch(place.dataset.part);
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = /** @type {HTMLElement | null} */ (page.querySelector("[data-version]"));
  if (!fresh || Number(fresh.dataset.version) <= known) return;
  place.replaceChildren(...page.body.childNodes);
  watchTimes(place);
  const pill = document.querySelector("[data-order-status]");
  pill.className = `pill pill-${fresh.dataset.tone}`;
  pill.textContent = fresh.dataset.label;
}

/** The button says how many items leave. */
function watchShipping() {
  const say = () => {
    const form = document.querySelector("[data-ship]");
    if (!form) return;
    const boxes = /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("input[type=number]")]);
    const units = boxes.reduce((sum, box) => sum + (Number(box.value) || 0), 0);
    form.querySelector("[data-ship-label]").textContent = units === 1 ? "Ship 1 item" : `Ship ${units} items`;
  };
  document.addEventListener("input", (event) => {
    if (/** @type {Element} */ (event.target).closest("[data-ship]")) say();
  });
  say();
}
