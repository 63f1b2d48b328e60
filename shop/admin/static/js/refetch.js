// @ts-check
// A part of the page, [data-refetch], that is fetched again when its topics tell something, and every two seconds
// while it has a [data-running]: a worker is busy then.
import { swap } from "./pages.js";

const ASK_EVERY_MS = 2000;

let isAsking = false;
const place = /** @type {HTMLElement | null} */ (document.querySelector("[data-refetch]"));
if (place) follow(place);

/** @param {HTMLElement} place */
function follow(place) {
  for (const topic of [...(place.dataset.refetch ?? "").split(" "), "resync"]) {
    document.addEventListener(`live:${topic}`, () => refresh(place));
  }
  setInterval(() => {
    if (place.querySelector("[data-running]") && !document.hidden) refresh(place);
  }, ASK_EVERY_MS);
}

/** @param {HTMLElement} place */
async function refresh(place) {
  if (isAsking || document.querySelector("dialog[open]")) return;
  isAsking = true;
  const chosen = [...place.querySelectorAll("select")].map(({ id, value }) => ({ id, value }));
  try {
    await swap(location.href, [place.id]);
  } catch {
    // Offline: the next turn asks again.
  } finally {
    isAsking = false;
  }
  for (const { id, value } of chosen) {
    const select = document.getElementById(id);
    if (select instanceof HTMLSelectElement) select.value = value;
  }
}
