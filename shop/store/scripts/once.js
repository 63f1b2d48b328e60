// @ts-check
/** A button that sends its form once, however often it is pressed. The server would cope; people should not wonder. */

/** @param {HTMLButtonElement} button */
export default function once(button) {
  button.form?.addEventListener("submit", (event) => {
    if (button.getAttribute("aria-busy") === "true") return event.preventDefault();
    button.setAttribute("aria-busy", "true");
  });
  // The back button may bring the page back as it was left.
  addEventListener("pageshow", () => button.removeAttribute("aria-busy"));
}
