// @ts-check
/** The stock line and the button of a product page follow what others buy. */
import { follow, onState } from "../../static/js/live.js";

/** @param {HTMLElement} page */
export default function liveProduct(page) {
  const tell = (/** @type {{variants?: object}} */ data) => {
    if (data.variants) page.dispatchEvent(new CustomEvent("live-stock", { detail: data.variants }));
  };
  const remark = /** @type {HTMLElement | null} */ (page.querySelector("[data-connection]"));
  onState((state) => {
    if (remark && state !== "connecting") remark.hidden = state !== "waiting";
  });
  follow(`product:${page.dataset.productId}`, { snapshot: tell, event: tell });
}
