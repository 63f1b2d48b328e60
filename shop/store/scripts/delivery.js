// @ts-check
/** Codes, sums and total follow the way of delivery that is chosen; the page brings them for each. */

/** @param {HTMLFormElement} form */
export default function delivery(form) {
  const ways = /** @type {NodeListOf<HTMLTemplateElement>} */ (form.querySelectorAll("template[data-way]"));
  const show = () => {
    const chosen = /** @type {HTMLInputElement | null} */ (form.querySelector("[name=shipping_method]:checked"));
    const way = [...ways].find((one) => one.dataset.way === chosen?.value);
    for (const part of way?.content.querySelectorAll("[data-part]") ?? []) {
      const name = part.getAttribute("data-part");
      for (const shown of document.querySelectorAll(`[data-part=${name}]`)) {
        shown.replaceChildren(...part.cloneNode(true).childNodes);
      }
    }
  };
  // Only then: what is replaced between pressing and letting go of a button in it takes no click.
  form.addEventListener("change", (event) => {
    if (/** @type {HTMLInputElement} */ (event.target).name === "shipping_method") show();
  });
  show();
}
