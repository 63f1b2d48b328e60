// @ts-check
// Lists: filters and columns, selecting rows, doing things to them, moving with the keyboard.
import { ask } from "./confirm.js";
import { followList, reload } from "./live-list.js";
import { toast } from "./toasts.js";
import { gettext as _ } from "./words.js";

export function watchLists() {
  for (const list of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-list]"))) {
    watchSelection(list);
    watchActions(list);
    if (list.dataset.follows) followList(list, list.dataset.follows);
  }
  document.addEventListener("change", (event) => {
    const form = /** @type {Element} */ (event.target).closest("form");
    if (form && "submitOnChange" in form.dataset) form.requestSubmit();
  });
  // Short addresses: what is empty is left out, and the columns are one parameter.
  document.addEventListener("formdata", (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (!form.closest("[data-list]") || form.method !== "get") return;
    const columns = event.formData.getAll("cols");
    if (columns.length > 1) event.formData.set("cols", columns.join(","));
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });
  document.addEventListener("keydown", move);
}

/** @param {Element} list @returns {HTMLInputElement[]} */
function boxes(list) {
  return [...list.querySelectorAll("input[name=rowid]")].filter((box) => box instanceof HTMLInputElement);
}

/** @param {Element} list */
function watchSelection(list) {
  list.addEventListener("change", (event) => {
    const target = /** @type {HTMLInputElement} */ (event.target);
    if (target.matches("[data-all]")) for (const box of boxes(list)) box.checked = target.checked;
    showSelection(list);
  });
  list.addEventListener("click", (event) => {
    if (!(/** @type {Element} */ (event.target).closest("[data-clear]"))) return;
    clearSelection(list);
    boxes(list)[0]?.focus();
  });
  // The browser may have kept the boxes ticked when coming back.
  showSelection(list);
}

/** @param {Element} list */
function clearSelection(list) {
  for (const box of list.querySelectorAll("[data-bulk] input[type=checkbox], input[name=rowid]")) {
    if (box instanceof HTMLInputElement) box.checked = false;
  }
  showSelection(list);
}

/** @param {Element} list */
function showSelection(list) {
  const bar = list.querySelector("[data-bulk]");
  const all = list.querySelector("[data-all]");
  if (!(bar instanceof HTMLElement) || !(all instanceof HTMLInputElement)) return; // nothing to select
  const chosen = boxes(list).filter((box) => box.checked).length;
  bar.hidden = chosen === 0;
  const count = bar.querySelector("[data-count]");
  if (count) count.textContent = String(chosen);
  all.checked = chosen > 0 && chosen === boxes(list).length;
  all.indeterminate = chosen > 0 && !all.checked;
}

/** @typedef {{done: number, error?: string, results: {name: string, ok: boolean, sentence: string}[]}} Answer */

/** Does an action to the selection and shows what became of each row. @param {HTMLElement} list */
function watchActions(list) {
  list.addEventListener("submit", async (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    const button = event.submitter;
    if (!form.matches("[data-bulk]") || !(button instanceof HTMLButtonElement)) return;
    event.preventDefault();
    const all = form.querySelector("[name=all]");
    const chosen = boxes(list).filter((box) => box.checked).length;
    const isAll = all instanceof HTMLInputElement && all.checked;
    const many = isAll ? all.closest("label")?.textContent?.trim() ?? "" : String(chosen);
    const question = button.dataset.question?.replace("{count}", many);
    if (question && !(await ask(question, { ok: button.dataset.label }))) return;
    const body = new FormData(form, button);
    button.disabled = true;
    // Not `form.action`: that is the button of this name.
    const address = form.getAttribute("action") ?? "";
    const response = await fetch(address, { method: "POST", body, headers: { Accept: "application/json" } });
    button.disabled = false;
    const answer = /** @type {Answer} */ (await response.json());
    if (!response.ok) return toast({ title: answer.error ?? _("That did not work"), tone: "danger", stay: true });
    clearSelection(list);
    showResults(button.dataset.label ?? "", answer);
    await reload(list);
    showSelection(list);
  });
}

/** @param {string} label @param {Answer} answer */
function showResults(label, answer) {
  const dialog = document.querySelector("[data-results]");
  if (!(dialog instanceof HTMLDialogElement)) return;
  const title = dialog.querySelector("h2");
  if (title) {
    const { done, results } = answer;
    title.textContent = _("%(action)s: %(done)s of %(all)s done", { action: label, done, all: results.length });
  }
  dialog.querySelector("[data-result-list]")?.replaceChildren(
    ...answer.results.map((result) => {
      const item = document.createElement("li");
      const name = document.createElement("b");
      name.textContent = result.name;
      item.className = result.ok ? "good" : "bad";
      if (result.ok) item.append(result.sentence); // it names the row
      else item.append(name, ` ${result.sentence}`);
      return item;
    }),
  );
  dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close(), { once: true });
  dialog.addEventListener("close", () => {
    const first = document.querySelector("[data-listing] .row-link");
    if (first instanceof HTMLElement) first.focus();
  }, { once: true });
  dialog.showModal();
}

/** @param {KeyboardEvent} event */
function move(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (target.closest("input:not([type=checkbox]), textarea, select, button, a, summary")) return;
  const rows = [...document.querySelectorAll("[data-listing] tbody tr")];
  const at = rows.findIndex((row) => row.classList.contains("at"));
  const key = event.key.toLowerCase();
  if (key === "j" || key === "k") {
    const next = rows[at + (key === "j" ? 1 : -1)];
    if (!next) return;
    rows[at]?.classList.remove("at");
    next.classList.add("at");
    next.scrollIntoView({ block: "nearest" });
  } else if (key === "x" && rows[at]) {
    /** @type {HTMLElement | null} */ (rows[at].querySelector("input[name=rowid]"))?.click();
  } else if (key === "enter" && rows[at]) {
    /** @type {HTMLElement | null} */ (rows[at].querySelector(".row-link"))?.click();
  }
}
