// @ts-check
/** Filters that apply at once: the address changes, grid and counts are swapped, the focus stays. */
import { swap } from "../../static/js/pages.js";
import { gettext as _ } from "../../static/js/words.js";

const PARTS = ["results", "filter-form"];
const WIDE = matchMedia("(min-width: 64rem)");

/** @param {HTMLElement} listing */
export default function init(listing) {
  const filters = /** @type {HTMLElement} */ (listing.querySelector("#filters"));
  const form = /** @type {HTMLFormElement} */ (document.getElementById("filter-form"));
  /** @type {AbortController | undefined} */ let asking;
  /** @type {any} */ let waiting;

  /** @param {string} address @param {boolean} remember */
  async function go(address, remember) {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    const results = document.getElementById("results");
    results?.setAttribute("aria-busy", "true");
    try {
      if (!(await swap(address, PARTS, signal))) return location.assign(address);
      if (remember) history.pushState({ listing: true }, "", address);
      label();
    } catch {
      if (!signal.aborted) location.assign(address);
    } finally {
      if (!signal.aborted) results?.removeAttribute("aria-busy");
    }
  }

  /** The address that a form would go to, without its empty fields. @param {HTMLFormElement} from */
  function addressOf(from) {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(from)) if (value !== "") query.append(name, String(value));
    return `${from.getAttribute("action")}${query.size ? `?${query}` : ""}`;
  }

  form.addEventListener("change", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => go(addressOf(form), true), 120);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go(addressOf(form), true);
  });
  listing.addEventListener("change", (event) => {
    const sort = /** @type {Element} */ (event.target).closest("[data-sort]");
    if (sort instanceof HTMLFormElement) go(addressOf(sort), true);
  });
  listing.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    const target = /** @type {Element} */ (event.target);
    if (target.closest("[data-filters-open]")) {
      event.preventDefault();
      return openDialog();
    }
    const link = /** @type {HTMLAnchorElement | null} */ (target.closest(".chip, .chip-clear"));
    if (!link) return;
    event.preventDefault();
    go(link.href, true).then(() => document.getElementById("sort")?.focus({ preventScroll: true }));
  });
  addEventListener("popstate", () => {
    if (location.hash === "") go(location.href, false);
  });

  /** @type {HTMLDialogElement | undefined} */ let dialog;
  function openDialog() {
    dialog ??= build();
    dialog.querySelector(".body")?.append(form);
    label();
    dialog.showModal();
  }
  function build() {
    const made = document.createElement("dialog");
    made.className = "filter-dialog";
    made.setAttribute("aria-labelledby", "filter-dialog-title");
    made.innerHTML =
      '<div class="bar"><h2 id="filter-dialog-title"></h2><button class="link-button" type="button" data-close></button></div>' +
      '<div class="body"></div><div class="foot"><button class="button wide" type="button" data-close data-show></button></div>';
    /** @type {HTMLElement} */ (made.querySelector("h2")).textContent = _("Filter");
    /** @type {HTMLElement} */ (made.querySelector("[data-close]")).textContent = _("Close");
    made.addEventListener("click", (event) => {
      if (/** @type {Element} */ (event.target).closest("[data-close]")) made.close();
    });
    made.addEventListener("close", () => {
      filters.append(form);
      /** @type {HTMLElement | null} */ (listing.querySelector("[data-filters-open]"))?.focus();
    });
    WIDE.addEventListener("change", () => WIDE.matches && made.open && made.close());
    document.body.append(made);
    return made;
  }
  function label() {
    const button = dialog?.querySelector("[data-show]");
    if (button) button.textContent = _("Show %(count)s", { count: document.getElementById("result-count")?.textContent ?? "" });
  }
}
