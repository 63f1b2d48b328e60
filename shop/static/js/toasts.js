// @ts-check
// Short messages above the page, which are read out. Refusals stay until they are dismissed; the rest goes by
// itself, but not from under the pointer. The page's [data-toasts] says for how many seconds, and how many at once.
import { need } from "./need.js";

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
 * @param {{title: string, text?: string, href?: string, tone?: string, stay?: boolean, seconds?: number}} message
 */
export function toast({ title, text = "", href = "", tone = "info", stay = false, seconds }) {
  const region = document.querySelector("[data-toasts]");
  const template = document.querySelector("[data-toast-template]");
  if (!(region instanceof HTMLElement) || !(template instanceof HTMLTemplateElement)) return;
  const made = need(document.importNode(template.content, true), ".toast", HTMLElement);
  made.classList.add(`toast-${tone}`);
  need(made, "[data-title]", HTMLElement).textContent = title;
  if (text) need(made, "[data-text]", HTMLElement).textContent = text;
  if (href) {
    const link = need(made, "a", HTMLAnchorElement);
    link.href = href;
    link.hidden = false;
  }
  region.append(made);
  while (region.children.length > Number(region.dataset.toasts)) region.firstElementChild?.remove();
  if (!stay) expire(made, seconds);
}

/** @param {Element} made @param {number} [seconds] */
function expire(made, seconds = Number(need(document, "[data-toasts]", HTMLElement).dataset.seconds)) {
  const start = () => setTimeout(() => made.remove(), seconds * 1000);
  let timer = start();
  made.addEventListener("pointerenter", () => clearTimeout(timer));
  made.addEventListener("pointerleave", () => {
    timer = start();
  });
}
