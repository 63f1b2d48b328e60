// @ts-check
// Ctrl+K: jump to a page, start an action, or open an order by its number.
import { need } from "./need.js";
import { gettext as _ } from "./words.js";

/** @typedef {{text: string, href: string, group: string, icon: string}} Choice */

const ORDER_NUMBER = /^#?[a-z]{0,4}-?\d{2,}$/i;
const SHOWN = 9;
const GROUPS = { open: _("Open"), page: _("Page"), action: _("Action") };

export function watchPalette() {
  if (!document.getElementById("palette")) return;
  const palette = need(document, "#palette", HTMLDialogElement);
  const input = need(palette, "input", HTMLInputElement);
  const list = need(palette, "#palette-list", HTMLElement);
  const template = need(palette, "[data-palette-template]", HTMLTemplateElement);
  const choices = collect(palette);

  function open() {
    if (palette.open) return;
    input.value = "";
    palette.showModal();
    fill();
    input.focus();
  }

  function fill() {
    const typed = input.value.trim();
    const found = matching(choices, typed);
    const finder = palette.dataset.findOrder;
    if (finder && ORDER_NUMBER.test(typed)) {
      const href = `${finder}?q=${encodeURIComponent(typed.replace("#", ""))}`;
      found.unshift({ text: _("Order %(number)s", { number: typed }), href, group: GROUPS.open, icon: choices[0].icon.replace(/#.*/, "#shopping-bag") });
    }
    list.replaceChildren(...found.slice(0, SHOWN).map(option));
    mark(0);
  }

  /** @param {Choice} choice @param {number} index */
  function option(choice, index) {
    const item = need(document.importNode(template.content, true), "li", HTMLLIElement);
    item.id = `palette-${index}`;
    need(item, "use", SVGUseElement).setAttribute("href", choice.icon);
    need(item, "span", HTMLElement).textContent = choice.text;
    need(item, "small", HTMLElement).textContent = choice.group;
    item.addEventListener("click", () => location.assign(choice.href));
    return item;
  }

  /** @param {number} index */
  function mark(index) {
    const options = [...list.children];
    options.forEach((item, n) => item.setAttribute("aria-selected", String(n === index)));
    options[index]?.scrollIntoView({ block: "nearest" });
    if (options[index]) input.setAttribute("aria-activedescendant", options[index].id);
    else input.removeAttribute("aria-activedescendant");
  }

  input.addEventListener("input", fill);
  input.addEventListener("keydown", (event) => {
    const options = [...list.children];
    const at = options.findIndex((item) => item.getAttribute("aria-selected") === "true");
    if (event.key === "Enter") {
      event.preventDefault();
      /** @type {HTMLElement | undefined} */ (options[at])?.click();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : options.length - 1;
      mark((at + step) % Math.max(1, options.length));
    }
  });
  palette.addEventListener("click", (event) => {
    if (event.target === palette) palette.close();
  });
  document.querySelector("[data-open-palette]")?.addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      open();
    }
  });
}

/** @param {HTMLElement} palette @returns {Choice[]} */
function collect(palette) {
  const pages = [...document.querySelectorAll(".rail .nav-list a")].map((link) => ({
    text: link.textContent.trim(),
    href: /** @type {HTMLAnchorElement} */ (link).href,
    group: GROUPS.page,
    icon: link.querySelector("use")?.getAttribute("href") ?? "",
  }));
  const actions = /** @type {HTMLElement[]} */ ([
    ...palette.querySelectorAll("[data-palette-actions] li"),
  ]).map((item) => ({
    text: item.textContent,
    href: item.dataset.href ?? "",
    group: GROUPS.action,
    icon: item.dataset.icon ?? "",
  }));
  return [...pages, ...actions];
}

/** Those whose words start with what was typed come first. @param {Choice[]} choices @param {string} typed */
function matching(choices, typed) {
  const wanted = typed.replace(/^>/, "").trim().toLowerCase();
  const pool = typed.startsWith(">") ? choices.filter((c) => c.group === GROUPS.action) : choices;
  const rank = (/** @type {Choice} */ c) => {
    const text = c.text.toLowerCase();
    if (text.startsWith(wanted)) return 0;
    return text.split(" ").some((word) => word.startsWith(wanted)) ? 1 : 2;
  };
  return pool
    .filter((c) => c.text.toLowerCase().includes(wanted))
    .sort((a, b) => rank(a) - rank(b));
}
