// @ts-check
// A combobox for relations with many rows: asks the server while one types.
import { need } from "./need.js";

const PAUSE_MS = 180;

export function watchSearchSelects() {
  for (const box of document.querySelectorAll("[data-search-select]")) {
    attach(/** @type {HTMLElement} */ (box));
  }
}

/** @param {HTMLElement} box */
function attach(box) {
  const [hidden, input] = box.querySelectorAll("input");
  const list = need(box, "ul", HTMLElement);
  let timer = 0;
  let asked = 0;

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  /** @param {{id: number | string, text: string}} row */
  function choose(row) {
    hidden.value = String(row.id);
    input.value = row.text;
    hidden.dispatchEvent(new Event("change", { bubbles: true }));
    close();
  }

  async function search() {
    const mine = ++asked;
    const address = `${box.dataset.searchSelect}?q=${encodeURIComponent(input.value)}`;
    const response = await fetch(address, { headers: { Accept: "application/json" } });
    if (!response.ok || mine !== asked) return;
    const rows = await response.json();
    list.replaceChildren(
      ...rows.map((/** @type {{id: number, text: string}} */ row, /** @type {number} */ n) => {
        const item = document.createElement("li");
        item.id = `${list.id}-${n}`;
        item.role = "option";
        item.ariaSelected = String(n === 0);
        item.textContent = row.text;
        // `mousedown` comes before the box loses the focus and closes.
        item.addEventListener("mousedown", () => choose(row));
        return item;
      }),
    );
    list.hidden = rows.length === 0;
    input.setAttribute("aria-expanded", String(rows.length > 0));
  }

  input.addEventListener("input", () => {
    hidden.value = "";
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE_MS);
  });
  input.addEventListener("focus", search);
  input.addEventListener("blur", () => {
    close();
    if (!hidden.value) input.value = "";
  });
  input.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const options = [...list.children];
    const at = options.findIndex((item) => item.ariaSelected === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const next = (at + (event.key === "ArrowDown" ? 1 : options.length - 1)) % options.length;
      options.forEach((item, n) => (item.ariaSelected = String(n === next)));
      input.setAttribute("aria-activedescendant", options[next].id);
      options[next].scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") {
      event.preventDefault();
      options[at]?.dispatchEvent(new MouseEvent("mousedown"));
    } else if (event.key === "Escape") {
      close();
    }
  });
}
