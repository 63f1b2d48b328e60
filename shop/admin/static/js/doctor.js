// @ts-check
// The doctor's page follows a look that a worker is taking: by the socket, or by asking again.
import { watchTimes } from "./times.js";

const ASK_EVERY_MS = 2000;

let asking = false;
for (const name of ["live:staff:tasks", "live:resync"]) document.addEventListener(name, refresh);
window.setInterval(() => {
  if (document.querySelector("[data-waiting]") && !document.hidden) refresh();
}, ASK_EVERY_MS);

async function refresh() {
  const place = document.querySelector("[data-doctor]");
  if (!place || asking) return;
  asking = true;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("[data-doctor]");
    if (!fresh || fresh.innerHTML === place.innerHTML) return;
    place.replaceWith(fresh);
    watchTimes(fresh);
  } catch {
    // Offline: the next turn asks again.
  } finally {
    asking = false;
  }
}
