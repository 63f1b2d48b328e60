// @ts-check
// The queue: new orders slide in on top, badges follow, a selection is processed and answered row by row.
import { ask } from "./confirm.js";
import { watchSelection } from "./lists.js";
import { need } from "./need.js";
import { watchTimes } from "./times.js";
import { toast } from "./toasts.js";

const SCROLLED_PX = 160;
const TINT_MS = 3000;
const QUIET_MS = 400;

/** @typedef {{id: number, number: string, status_label: string, tone: string, payment_status: string}} Facts */

const queue = /** @type {HTMLElement | null} */ (document.querySelector("[data-queue]"));
if (queue) watchQueue(queue);

/** @param {HTMLElement} queue */
function watchQueue(queue) {
  /** @type {number[]} */
  const held = [];
  const pill = /** @type {HTMLElement} */ (queue.querySelector("[data-arrivals]"));
  let timer = 0;

  document.addEventListener("live:staff:orders", (event) => {
    const { type, data } = /** @type {CustomEvent} */ (event).detail;
    if (type === "snapshot") return;
    clearTimeout(timer);
    timer = setTimeout(() => follow(queue), QUIET_MS);
    const shown = row(data.id);
    if (shown) badge(shown, data);
    else if ("takesNew" in queue.dataset && data.id > below(queue)) arrive(data.id);
  });
  document.addEventListener("live:resync", () => again(queue));
  pill.querySelector("button")?.addEventListener("click", async () => {
    const ids = held.splice(0);
    pill.hidden = true;
    window.scrollTo({ top: 0 });
    for (const id of ids) await put(queue, id);
    follow(queue);
  });
  const dialog = need(document, "[data-results]", HTMLDialogElement);
  need(dialog, "[data-close-results]", HTMLElement).addEventListener("click", () => dialog.close());
  watchBulk(queue, dialog);

  /** @param {number} id */
  async function arrive(id) {
    if (!isBusy(queue)) {
      await put(queue, id);
      return;
    }
    const html = await fetchRow(queue, id);
    if (!html || held.includes(id)) return;
    held.push(id);
    pill.hidden = false;
    need(pill, "span", HTMLElement).textContent = held.length === 1 ? "1 new order" : `${held.length} new orders`;
  }
}

/** The last order in a full list: those below it are on later pages, and did not just arrive. @param {HTMLElement} queue */
function below(queue) {
  const list = /** @type {HTMLElement | null} */ (queue.querySelector("[data-rows]"));
  const rows = /** @type {HTMLElement[]} */ ([...(list?.children ?? [])]);
  return list && rows.length >= Number(list.dataset.rows) ? Math.min(...rows.map((one) => Number(one.dataset.pk))) : 0;
}

/** Whether a new row would move what the person is reading or choosing. @param {HTMLElement} queue */
function isBusy(queue) {
  return (
    window.scrollY > SCROLLED_PX ||
    queue.querySelector("input[name=rowid]:checked") !== null ||
    document.querySelector("dialog[open]") !== null
  );
}

/** @param {HTMLElement} queue @param {number} id */
async function put(queue, id) {
  const html = await fetchRow(queue, id);
  if (!html || row(id)) return;
  const rows = /** @type {HTMLElement | null} */ (queue.querySelector("[data-rows]"));
  if (rows) {
    rows.insertAdjacentHTML("afterbegin", html);
    watchTimes(need(rows, "tr", HTMLElement));
    if (rows.childElementCount > Number(rows.dataset.rows)) rows.lastElementChild?.remove();
  } else {
    await again(queue); // the first row brings the table with it
  }
  const made = row(id);
  if (!made) return;
  made.classList.add("new");
  setTimeout(() => made.classList.remove("new"), TINT_MS);
  need(queue, "[data-arrived]", HTMLElement).textContent = `New order ${made.dataset.number}`;
}

/** @param {HTMLElement} queue @param {number} id */
async function fetchRow(queue, id) {
  const address = (queue.dataset.rowAddress ?? "").replace(/0$/, String(id)) + location.search;
  const response = await fetch(address);
  return response.status === 200 ? response.text() : "";
}

/** @param {number} id */
function row(id) {
  return /** @type {HTMLElement | null} */ (document.querySelector(`[data-rows] tr[data-pk="${id}"]`));
}

/** @param {HTMLElement} shown @param {Facts} data */
function badge(shown, data) {
  const pill = shown.querySelector("[data-status] .pill");
  if (!pill || !data.status_label) return;
  pill.className = `pill pill-${data.tone}`;
  pill.textContent = data.status_label;
  const words = data.payment_status.replaceAll("_", " ");
  need(shown, "[data-payment]", HTMLElement).textContent = words.charAt(0).toUpperCase() + words.slice(1);
  shown.classList.remove("touched");
  void shown.offsetWidth; // restart the animation
  shown.classList.add("touched");
}

/** The page as it would be shown now. @returns {Promise<HTMLElement | null>} */
async function fetchQueue() {
  const response = await fetch(location.href);
  if (!response.ok) return null;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.querySelector("[data-queue]");
}

/** Numbers follow what happened; rows stay where they are. @param {HTMLElement} queue */
async function follow(queue) {
  const fresh = await fetchQueue();
  if (!fresh) return;
  recount(queue, fresh);
  const pager = fresh.querySelector(".pager");
  if (pager && !isBusy(queue)) queue.querySelector(".pager")?.replaceWith(pager);
}

/** @param {HTMLElement} queue @param {HTMLElement} fresh */
function recount(queue, fresh) {
  for (const place of /** @type {NodeListOf<HTMLElement>} */ (queue.querySelectorAll("[data-tab-count]"))) {
    place.textContent = need(fresh, `[data-tab-count="${place.dataset.tabCount}"]`, HTMLElement).textContent;
  }
}

/** After a gap in the connection: take the list anew, unless that would move things. @param {HTMLElement} queue */
async function again(queue) {
  const fresh = await fetchQueue();
  if (!fresh) return;
  recount(queue, fresh);
  if (isBusy(queue)) return;
  const listing = need(fresh, "[data-listing]", HTMLElement);
  need(queue, "[data-listing]", HTMLElement).replaceWith(listing);
  watchTimes(listing);
  watchSelection(listing);
  watchBulk(queue, need(document, "[data-results]", HTMLDialogElement));
}

/** @param {HTMLElement} queue @param {HTMLDialogElement} dialog */
function watchBulk(queue, dialog) {
  const form = /** @type {HTMLFormElement | null} */ (queue.querySelector("[data-bulk-orders]"));
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const all = /** @type {HTMLInputElement | null} */ (form.querySelector("[name=all]"));
    const many = all?.checked
      ? (all.closest("label")?.textContent ?? "").trim()
      : `${queue.querySelectorAll("input[name=rowid]:checked").length} selected`;
    if (!(await ask(`Start processing the orders: ${many}?`, { ok: "Start processing" }))) return;
    const response = await fetch(form.action, {
      method: "POST",
      body: new FormData(form),
      headers: { Accept: "application/json" },
    });
    const answer = await response.json();
    if (!response.ok) {
      toast({ title: answer.error, tone: "danger", stay: true });
      return;
    }
    show(dialog, answer);
    for (const box of queue.querySelectorAll("[data-bulk] input:checked, input[name=rowid]:checked")) {
      /** @type {HTMLInputElement} */ (box).checked = false;
    }
    form.hidden = true;
    await again(queue);
  });
}

/** @param {HTMLDialogElement} dialog @param {{done: number, results: {number: string, ok: boolean, sentence: string}[]}} answer */
function show(dialog, answer) {
  need(dialog, "h2", HTMLElement).textContent = `${answer.done} of ${answer.results.length} are being processed`;
  need(dialog, "[data-result-list]", HTMLElement).replaceChildren(
    ...answer.results.map((result) => {
      const item = document.createElement("li");
      const number = document.createElement("b");
      number.textContent = result.number;
      item.className = result.ok ? "good" : "bad";
      item.append(number, ` ${result.sentence}`);
      return item;
    }),
  );
  dialog.showModal();
}
