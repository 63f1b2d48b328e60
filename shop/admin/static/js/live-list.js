// @ts-check
// A list that follows a topic: rows change in place, new ones come on top, counts follow. Nothing
// moves under the hands of somebody who reads further down or is selecting.
import { page } from "./pages.js";
import { watchTimes } from "./times.js";
import { gettext as _, ngettext } from "./words.js";

const SCROLLED_PX = 160;
const TINT_MS = 3000;
const QUIET_MS = 400;

/** @param {HTMLElement} list @param {string} topic */
export function followList(list, topic) {
  /** @type {number[]} */
  const held = [];
  const pill = /** @type {HTMLElement | null} */ (list.querySelector("[data-arrivals]"));
  let timer = 0;

  document.addEventListener(`live:${topic}`, (event) => {
    const { type, data } = /** @type {CustomEvent} */ (event).detail;
    if (type === "snapshot") return;
    clearTimeout(timer);
    timer = setTimeout(() => recount(list), QUIET_MS);
    const shown = rowOf(list, data.id);
    if (shown) renew(list, shown, data.id);
    else if ("takesNew" in list.dataset && data.id > lastOnPage(list)) arrive(data.id);
  });
  document.addEventListener("live:resync", () => reload(list));
  pill?.querySelector("button")?.addEventListener("click", async () => {
    const ids = held.splice(0);
    pill.hidden = true;
    window.scrollTo({ top: 0 });
    for (const id of ids) await put(list, id);
    recount(list);
  });

  /** @param {number} id */
  async function arrive(id) {
    if (!isBusy(list)) return put(list, id);
    const html = await fetchRow(list, id, location.search);
    if (!html || !pill || held.includes(id)) return;
    held.push(id);
    pill.hidden = false;
    const words = pill.querySelector("span");
    if (!words) return;
    const { list: noun, nouns } = list.dataset;
    words.textContent = ngettext("%(num)s new %(noun)s", "%(num)s new %(nouns)s", held.length, { noun, nouns });
  }
}

/** Takes the list anew, unless that would move things. @param {HTMLElement} list */
export async function reload(list) {
  const fresh = await fetchList(list);
  if (!fresh) return;
  copyCounts(list, fresh);
  const listing = fresh.querySelector("[data-listing]");
  if (!listing || isBusy(list)) return;
  list.querySelector("[data-listing]")?.replaceWith(listing);
  watchTimes(listing);
}

/** Whether a new row would move what the person is reading or choosing. @param {HTMLElement} list */
function isBusy(list) {
  return (
    window.scrollY > SCROLLED_PX ||
    list.querySelector("input[name=rowid]:checked") !== null ||
    document.querySelector("dialog[open]:not([data-results])") !== null
  );
}

/** The last record of a full page: those below it are on later pages, and did not just arrive. @param {HTMLElement} list */
function lastOnPage(list) {
  const body = /** @type {HTMLElement | null} */ (list.querySelector("[data-rows]"));
  const rows = /** @type {HTMLElement[]} */ ([...(body?.children ?? [])]);
  return body && rows.length >= Number(body.dataset.rows) ? Math.min(...rows.map((one) => Number(one.dataset.pk))) : 0;
}

/** @param {HTMLElement} list @param {number} id */
async function put(list, id) {
  const html = await fetchRow(list, id, location.search);
  if (!html || rowOf(list, id)) return;
  const body = /** @type {HTMLElement | null} */ (list.querySelector("[data-rows]"));
  if (!body) return reload(list); // the first row brings the table with it
  body.insertAdjacentHTML("afterbegin", html);
  if (body.childElementCount > Number(body.dataset.rows)) body.lastElementChild?.remove();
  const made = rowOf(list, id);
  if (!made) return;
  watchTimes(made);
  made.classList.add("new");
  setTimeout(() => made.classList.remove("new"), TINT_MS);
  say(list, _("New %(noun)s %(name)s", { noun: list.dataset.list, name: made.dataset.name }));
}

/** Shows a row as it is now; it stays where it is, also when its tab has lost it. @param {HTMLElement} list @param {HTMLElement} shown @param {number} id */
async function renew(list, shown, id) {
  const columns = new URLSearchParams(location.search).get("cols");
  const html = await fetchRow(list, id, columns ? `?cols=${encodeURIComponent(columns)}` : "");
  if (!html) return;
  const holder = document.createElement("tbody");
  holder.innerHTML = html;
  for (const cell of shown.querySelectorAll("td[data-cell]:not(.card-title)")) {
    const fresh = holder.querySelector(`td[data-cell="${CSS.escape(cell.getAttribute("data-cell") ?? "")}"]`);
    if (!fresh || fresh.innerHTML === cell.innerHTML) continue;
    cell.innerHTML = fresh.innerHTML;
    watchTimes(cell);
  }
  shown.classList.remove("touched");
  void shown.offsetWidth; // restart the animation
  shown.classList.add("touched");
}

/** @param {HTMLElement} list @param {number} id @param {string} query */
async function fetchRow(list, id, query) {
  const address = (list.dataset.rowAddress ?? "").replace(/0$/, String(id)) + query;
  const response = await fetch(address);
  return response.status === 200 ? response.text() : "";
}

/** @param {HTMLElement} list @param {number} id */
function rowOf(list, id) {
  return /** @type {HTMLElement | null} */ (list.querySelector(`[data-rows] tr[data-pk="${id}"]`));
}

/** The list as it would be shown now. @param {HTMLElement} list */
async function fetchList(list) {
  const fresh = await page(location.href);
  return fresh && fresh.querySelector(`[data-list="${CSS.escape(list.dataset.list ?? "")}"]`);
}

/** Numbers follow what happened; rows stay where they are. @param {HTMLElement} list */
async function recount(list) {
  const fresh = await fetchList(list);
  if (!fresh) return;
  copyCounts(list, fresh);
  const pager = fresh.querySelector(".pager");
  if (pager && !isBusy(list)) list.querySelector(".pager")?.replaceWith(pager);
}

/** @param {HTMLElement} list @param {Element} fresh */
function copyCounts(list, fresh) {
  for (const place of /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll("[data-tab-count]"))) {
    const count = fresh.querySelector(`[data-tab-count="${place.dataset.tabCount}"]`);
    if (count) place.textContent = count.textContent;
  }
}

/** @param {HTMLElement} list @param {string} words */
function say(list, words) {
  const status = list.querySelector("[data-status-words]");
  if (status) status.textContent = words;
}
