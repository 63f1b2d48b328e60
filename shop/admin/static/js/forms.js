// @ts-check
// Forms with `data-guard`: say whether something is unsaved, ask before leaving, save with Ctrl+S.
// A page may have several: whichever is sent, the others that hold changes are saved first, so that
// nothing that somebody typed is gone while the page says “saved”.
import { read } from "./pages.js";
import { toast } from "./toasts.js";
import { gettext as _ } from "./words.js";

/** @type {Set<HTMLFormElement>} */
const changed = new Set();
let isLeaving = false;

export function watchForms() {
  for (const kind of ["input", "change"]) {
    document.addEventListener(kind, (event) => {
      const form = /** @type {HTMLInputElement} */ (event.target).form;
      if (form?.matches("[data-guard]")) mark(form);
    });
  }
  // A form that came back with errors holds what was typed: that is unsaved too.
  for (const form of guarded()) {
    if ("refused" in form.dataset || form.querySelector(".has-error")) mark(form);
  }
  document.addEventListener("submit", saveOthersFirst);
  window.addEventListener("beforeunload", (event) => {
    if (changed.size && !isLeaving) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s") return;
    const focused = /** @type {HTMLInputElement | null} */ (document.activeElement)?.form;
    const form = focused?.matches("[data-guard]") ? focused : [...changed][0] ?? guarded()[0];
    if (!form) return;
    event.preventDefault();
    form.requestSubmit();
  });
  const wrong = document.querySelector(".has-error .input, .has-error input");
  if (wrong instanceof HTMLElement) wrong.focus();
}

/** @returns {HTMLFormElement[]} */
function guarded() {
  return [...document.querySelectorAll("form[data-guard]")].filter((form) => form instanceof HTMLFormElement);
}

/** @param {HTMLFormElement} form */
function mark(form) {
  changed.add(form);
  form.classList.add("is-changed");
  for (const text of document.querySelectorAll("[data-guard-text]")) text.textContent = _("Unsaved changes");
}

/** @param {SubmitEvent} event */
async function saveOthersFirst(event) {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (event.defaultPrevented || form.method === "get") return;
  const others = [...changed].filter((other) => other !== form);
  if (!others.length) {
    isLeaving = true;
    return;
  }
  event.preventDefault();
  for (const other of others) {
    const refusal = await saved(other);
    if (refusal) {
      toast({ title: _("Not saved"), text: refusal, tone: "danger", stay: true });
      firstField(other)?.focus();
      return;
    }
    changed.delete(other);
    other.classList.remove("is-changed");
  }
  isLeaving = true;
  form.dataset.agreed = "yes"; // it has asked already, if it asks
  form.requestSubmit(/** @type {HTMLButtonElement | null} */ (event.submitter) ?? undefined);
  delete form.dataset.agreed;
}

/** @param {HTMLFormElement} form */
function firstField(form) {
  return /** @type {HTMLElement[]} */ ([...form.elements]).find((field) =>
    field.matches("input:not([type=hidden]), select, textarea"),
  );
}

/** Sends a form in the background; gives why it was refused, or nothing. @param {HTMLFormElement} form */
async function saved(form) {
  const response = await fetch(form.action, {
    method: "POST",
    body: new FormData(form),
    headers: { Accept: "application/json" },
    redirect: "manual", // where the page would go next
  });
  if (response.ok || response.type === "opaqueredirect") return "";
  if (response.headers.get("Content-Type")?.includes("json")) return (await response.json()).error;
  const page = await read(response);
  const words = page.querySelector(".has-error .error, .notice-danger p")?.textContent?.trim();
  return words || _("Please fix the marked fields.");
}
