// @ts-check
/** The page's own behaviours, and the loader of all others: an element asks for them by data-behaviour. */
import "../../static/js/dialogs.js";
import { watchToasts } from "../../static/js/toasts.js";
import { dateLocale } from "../../static/js/words.js";

const HERE = new Set(["theme-switch", "category-menu", "error-summary", "quantity", "own-time"]);
const WHEN_IDLE = /^(live-|express$)/;
const WHEN_FOCUSED = new Set(["search-box"]);

/** @type {Record<string, (element: any) => void>} */
const behaviours = {
  "theme-switch"(button) {
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme === "auto" ? system.matches : root.dataset.theme === "dark");
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      const secure = location.protocol === "https:" ? "; Secure" : "";
      document.cookie = `theme=${root.dataset.theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
      show();
    });
    system.addEventListener("change", show);
    show();
  },

  "category-menu"(nav) {
    const opened = () => nav.querySelector("details[open]");
    nav.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const details = opened();
      if (event.key !== "Escape" || !details) return;
      details.open = false;
      details.querySelector("summary").focus();
    });
    nav.addEventListener("focusout", (/** @type {FocusEvent} */ event) => {
      const details = opened();
      if (details && event.relatedTarget && !details.contains(event.relatedTarget)) details.open = false;
    });
    document.addEventListener("click", (event) => {
      const details = opened();
      if (details && !details.contains(/** @type {Node} */ (event.target))) details.open = false;
    });
  },

  "error-summary"(box) {
    box.focus();
  },

  /** A moment in the reader's own zone; without scripts it stands there in the shop's. */
  "own-time"(/** @type {HTMLTimeElement} */ time) {
    const moment = new Date(time.dateTime);
    const clock = moment.toLocaleTimeString(dateLocale, { hour: "2-digit", minute: "2-digit" });
    const day = moment.toLocaleDateString(dateLocale, { day: "numeric", month: "long", year: "numeric" });
    time.textContent = "hold" in time.dataset && !("day" in time.dataset) ? clock : `${day}, ${clock}`;
  },

  quantity(group) {
    const input = group.querySelector("input");
    const buttons = group.querySelectorAll("button[data-step]");
    const show = () => {
      for (const button of buttons) {
        const next = Number(input.value) + Number(button.dataset.step);
        button.disabled = next < Number(input.min) || next > Number(input.max);
      }
    };
    group.addEventListener("click", (/** @type {MouseEvent} */ event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest("button[data-step]");
      if (!button) return;
      const next = (Number(input.value) || 0) + Number(/** @type {HTMLElement} */ (button).dataset.step);
      input.value = String(Math.min(Math.max(next, Number(input.min)), Number(input.max)));
      input.dispatchEvent(new Event("change", { bubbles: true }));
      show();
    });
    input.addEventListener("input", show);
    show();
  },
};

/** Give every element below `root` what it asks for. @param {ParentNode} [root] */
export function attach(root = document) {
  for (const element of root.querySelectorAll("[data-behaviour]")) {
    for (const name of (/** @type {HTMLElement} */ (element).dataset.behaviour ?? "").split(" ")) {
      if (HERE.has(name)) behaviours[name](element);
      else if (WHEN_FOCUSED.has(name)) whenFocused(element, () => load(name, element));
      else if (WHEN_IDLE.test(name)) whenIdle(() => load(name, element));
      else load(name, element);
    }
  }
}

/** @param {string} name @param {Element} element */
async function load(name, element) {
  const module = await import(`./${name}.js`);
  module.default(element);
}

/** @param {Element} element @param {() => void} work */
function whenFocused(element, work) {
  if (element.contains(document.activeElement)) work();
  else element.addEventListener("focusin", work, { once: true });
}

/** @param {() => void} work */
function whenIdle(work) {
  const later = () => ("requestIdleCallback" in window ? requestIdleCallback(work, { timeout: 2000 }) : setTimeout(work, 200));
  if (document.readyState === "complete") later();
  else addEventListener("load", later, { once: true });
}

/** A card's second picture is fetched when a mouse first comes near it, not before. */
document.addEventListener("pointerover", (event) => {
  const card = event.pointerType === "mouse" && /** @type {Element} */ (event.target).closest?.(".product-card");
  const second = card && card.querySelector("template[data-second]");
  if (second instanceof HTMLTemplateElement) second.replaceWith(second.content);
});

document.addEventListener("fresh", (event) => attach(/** @type {Element} */ (event.target)));
watchToasts();
attach();
