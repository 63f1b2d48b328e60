// @ts-check
/** The page of an order follows its state: on news, its parts marked data-live-fragment are fetched again. */
import { follow } from "../../static/js/live.js";
import { swap } from "../../static/js/pages.js";
import { toast } from "../../static/js/toasts.js";
import { gettext as _ } from "../../static/js/words.js";

/** Needs data-order (the number), data-version and, for guests, data-token; data-address where it was not opened by its own. @param {HTMLElement} page */
export default function liveOrder(page) {
  let asked = false;
  async function refresh() {
    if (asked) return;
    asked = true;
    // Several events of one change arrive together; one look at the page serves them all.
    await new Promise((resolve) => setTimeout(resolve, 150));
    asked = false;
    const parts = [...document.querySelectorAll("[data-live-fragment]")].map((part) => part.id);
    const before = state();
    if (!(await swap(page.dataset.address ?? location.href, parts))) return;
    toast({ title: state() === before ? _("There is news about your order.") : state() });
  }
  const state = () => document.querySelector("[data-live-words]")?.textContent?.trim() ?? "";
  // Something may have happened after this page was made and before its socket was open.
  let known = Number(page.dataset.version);
  const tell = (/** @type {{version: number}} */ order) => {
    if (order.version <= known) return;
    known = order.version;
    refresh();
  };
  follow(`order:${page.dataset.order}`, { snapshot: tell, event: tell }, { token: page.dataset.token });
}
