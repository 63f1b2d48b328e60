// @ts-check
/** The totals follow the way of delivery that is chosen. */

/** @param {HTMLFormElement} form */
export default function delivery(form) {
  const ways = /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll("[data-name]"));
  const names = new Set([...ways].map((way) => way.dataset.name ?? ""));
  const show = () => {
    const facts = form.querySelector("[name=shipping_method]:checked")?.closest("label")?.querySelector("[data-total]");
    if (!(facts instanceof HTMLElement)) return;
    const { total = "", delivery: price = "", name = "" } = facts.dataset;
    for (const sums of document.querySelectorAll("[data-sums]")) {
      const row = [...sums.querySelectorAll("dl > div")].find((one) => names.has(one.querySelector("dt")?.textContent ?? ""));
      /** @type {[string, string][]} */
      const texts = [["dt", name], ["dd", price]];
      for (const [tag, words] of texts) {
        const cell = row?.querySelector(tag);
        if (cell) cell.textContent = words;
      }
      const grand = sums.querySelector(".grand dd");
      if (grand) grand.textContent = total;
    }
    for (const bar of document.querySelectorAll("[data-bar-total]")) bar.textContent = total;
  };
  form.addEventListener("change", show);
  show();
}
