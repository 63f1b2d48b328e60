// @ts-check
// Lists: selecting rows, the selection bar, moving with the keyboard.
import { need } from "./need.js";

export function watchLists() {
  for (const listing of document.querySelectorAll("[data-listing]")) watchSelection(listing);
  document.addEventListener("keydown", move);
}

/** @param {Element} listing */
export function watchSelection(listing) {
  if (!listing.querySelector("[data-bulk]") || !listing.querySelector("[data-all]")) return; // an empty list has nothing to select
  const bar = need(listing, "[data-bulk]", HTMLElement);
  const all = need(listing, "[data-all]", HTMLInputElement);
  const boxes = () =>
    /** @type {HTMLInputElement[]} */ ([...listing.querySelectorAll("input[name=rowid]")]);

  function show() {
    const chosen = boxes().filter((box) => box.checked).length;
    bar.hidden = chosen === 0;
    need(bar, "[data-count]", HTMLElement).textContent = String(chosen);
    all.checked = chosen > 0 && chosen === boxes().length;
    all.indeterminate = chosen > 0 && !all.checked;
  }
  listing.addEventListener("change", (event) => {
    if (event.target === all) for (const box of boxes()) box.checked = all.checked;
    show();
  });
  need(bar, "[data-clear]", HTMLElement).addEventListener("click", () => {
    for (const box of boxes()) box.checked = false;
    show();
  });
  // The browser may have kept the boxes ticked when coming back.
  show();
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
