// @ts-check
// Short messages in the corner. Refusals stay until they are dismissed; the rest goes by itself.
import { need } from "./need.js";

const STAY_MS = 6000;
const MAX_TOASTS = 4;

export function watchToasts() {
  document.addEventListener("click", (event) => {
    const button = /** @type {Element} */ (event.target).closest("[data-dismiss]");
    button?.closest(".toast, .notice")?.remove();
  });
  for (const toast of document.querySelectorAll("[data-toast]")) {
    if (/** @type {HTMLElement} */ (toast).dataset.toast !== "danger") expire(toast);
  }
}

/**
 * Show a message.
 * @param {{title: string, text?: string, href?: string, tone?: string, stay?: boolean}} message
 */
export function toast({ title, text = "", href = "", tone = "info", stay = false }) {
  const region = document.querySelector("[data-toasts]");
  const template = /** @type {HTMLTemplateElement | null} */ (document.querySelector("[data-toast-template]"));
  if (!region || !template) return;
  const made = need(document.importNode(template.content, true), ".toast", HTMLElement);
  made.classList.add(`toast-${tone}`);
  need(made, "b", HTMLElement).textContent = title;
  need(made, "small", HTMLElement).textContent = text;
  const link = need(made, "a", HTMLAnchorElement);
  if (href) {
    link.href = href;
    link.hidden = false;
  }
  region.append(made);
  while (region.children.length > MAX_TOASTS) region.firstElementChild?.remove();
  if (!stay) expire(made);
}

/** @param {Element} made */
function expire(made) {
  let timer = setTimeout(() => made.remove(), STAY_MS);
  made.addEventListener("pointerenter", () => clearTimeout(timer));
  made.addEventListener("pointerleave", () => {
    timer = setTimeout(() => made.remove(), STAY_MS);
  });
}
