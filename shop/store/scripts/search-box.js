// @ts-check
/** Suggestions below a search field: a combobox with a listbox, by the ARIA pattern. */
import { gettext as _, ngettext } from "../../static/js/words.js";

const PAUSE = 160;
const MIN_QUERY_LENGTH = 2;
/** @type {Map<string, string>} */
const known = new Map();
let count = 0;

/** @param {HTMLElement} box */
export default function searchBox(box) {
  const input = /** @type {HTMLInputElement} */ (box.querySelector("input[type=search]"));
  const list = document.createElement("div");
  const status = document.createElement("p");
  const name = `suggestions-${++count}`;
  list.id = name;
  list.className = "suggestions";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", _("Suggestions"));
  list.hidden = true;
  status.className = "visually-hidden";
  status.setAttribute("role", "status");
  box.append(list, status);
  for (const [key, value] of Object.entries({ role: "combobox", "aria-controls": name, "aria-expanded": "false", "aria-autocomplete": "list" })) {
    input.setAttribute(key, value);
  }

  /** @type {AbortController | undefined} */ let asking;
  /** @type {any} */ let waiting;
  let chosen = -1;
  const options = () => /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=option]")]);

  /** @param {boolean} visible */
  function show(visible) {
    list.hidden = !visible;
    input.setAttribute("aria-expanded", String(visible));
    if (!visible) mark(-1);
  }

  /** @param {number} index */
  function mark(index) {
    chosen = index;
    input.removeAttribute("aria-activedescendant");
    for (const [n, option] of options().entries()) {
      option.setAttribute("aria-selected", String(n === index));
      if (n !== index) continue;
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    }
  }

  /** @param {string} html */
  function fill(html) {
    list.innerHTML = html;
    for (const [n, option] of options().entries()) option.id = `${name}-${n}`;
    chosen = -1;
    input.removeAttribute("aria-activedescendant");
    const found = list.querySelectorAll("[role=group] [role=option]").length;
    status.textContent = found ? ngettext("%(num)s suggestion", "%(num)s suggestions", found) : _("No suggestions");
    show(options().length > 0 && document.activeElement === input);
  }

  async function ask() {
    const q = input.value.trim();
    asking?.abort();
    if (q.length < MIN_QUERY_LENGTH) return show(false);
    const answer = known.get(q);
    if (answer !== undefined) return fill(answer);
    asking = new AbortController();
    const { signal } = asking;
    try {
      const response = await fetch(`${box.dataset.suggest}?q=${encodeURIComponent(q)}`, { signal });
      if (!response.ok) return show(false);
      const html = await response.text();
      known.set(q, html);
      if (!signal.aborted) fill(html);
    } catch {
      if (!signal.aborted) show(false);
    }
  }

  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, PAUSE);
  });
  input.addEventListener("focus", () => {
    if (options().length && input.value.trim().length >= MIN_QUERY_LENGTH) show(true);
  });
  input.addEventListener("keydown", (event) => {
    const last = options().length - 1;
    if (event.key === "Escape") {
      if (!list.hidden) event.preventDefault();
      return show(false);
    }
    if (list.hidden) {
      if (event.key === "ArrowDown" && options().length) show(true);
      else return;
    }
    if (event.key === "ArrowDown") mark(chosen === last ? -1 : chosen + 1);
    else if (event.key === "ArrowUp") mark(chosen === -1 ? last : chosen - 1);
    else if (event.key === "Home" && chosen >= 0) mark(0);
    else if (event.key === "End" && chosen >= 0) mark(last);
    else if (event.key === "Enter" && chosen >= 0) location.assign(options()[chosen].dataset.href ?? "");
    else return;
    event.preventDefault();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const option = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[role=option]"));
    if (option) location.assign(option.dataset.href ?? "");
  });
  input.addEventListener("blur", () => show(false));
  if (document.activeElement === input && input.value !== input.defaultValue) ask();
}
