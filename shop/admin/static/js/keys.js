// @ts-check
// Keys that work everywhere: “/” searches the list, “g o” goes to orders, “?” explains.

export function watchKeys() {
  let chord = 0;
  const help = /** @type {HTMLDialogElement | null} */ (document.getElementById("shortcuts"));
  help?.querySelector("[data-no]")?.addEventListener("click", () => help.close());
  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("input, textarea, select, dialog")) return;
    const key = event.key.toLowerCase();
    if (chord && Date.now() - chord < 1500) {
      chord = 0;
      /** @type {HTMLElement | null} */ (document.querySelector(`[data-chord="${CSS.escape(key)}"]`))?.click();
    } else if (key === "g") {
      chord = Date.now();
    } else if (key === "/") {
      const box = /** @type {HTMLElement | null} */ (document.querySelector("[data-quick-search]"));
      if (box) {
        event.preventDefault();
        box.focus();
      }
    } else if (event.key === "?" && help) {
      help.showModal();
    }
  });
}
