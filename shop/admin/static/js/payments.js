// @ts-check
// The payments page follows what happens: open tasks by the socket, a comparison by asking again.
import { watchTimes } from "./times.js";

const ASK_EVERY_MS = 2000;

let asking = false;
for (const name of ["live:staff:tasks", "live:staff:orders", "live:resync"]) {
  document.addEventListener(name, refresh);
}
window.setInterval(() => {
  if (document.querySelector("[data-running]") && !document.hidden) refresh();
}, ASK_EVERY_MS);

async function refresh() {
  const place = document.querySelector("[data-payments]");
  if (!place || asking || document.querySelector("dialog[open]")) return;
  asking = true;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("[data-payments]");
    const chosen = days(place)?.value;
    if (!fresh || fresh.innerHTML === place.innerHTML) return;
    place.replaceWith(fresh);
    const select = days(fresh);
    if (select && chosen) select.value = chosen;
    watchTimes(fresh);
  } finally {
    asking = false;
  }
}

/** @param {Element} place */
function days(place) {
  return /** @type {HTMLSelectElement | null} */ (place.querySelector("[name=days]"));
}
