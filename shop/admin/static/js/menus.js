// @ts-check
// Small menus close when one clicks elsewhere or presses Escape; the sidebar slides in on phones.

export function watchMenus() {
  document.addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target);
    for (const menu of openMenus()) if (!menu.contains(target)) menu.open = false;
    if (target.closest("[data-toggle-rail]")) rail(!document.body.classList.contains("rail-open"));
    else if (target.closest("[data-close-rail]")) rail(false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of openMenus()) {
      menu.open = false;
      menu.querySelector("summary")?.focus();
    }
    rail(false);
  });
}

function openMenus() {
  return /** @type {HTMLDetailsElement[]} */ ([...document.querySelectorAll("details.menu[open]")]);
}

/** @param {boolean} open */
function rail(open) {
  const button = document.querySelector("[data-toggle-rail]");
  if (!button) return;
  document.body.classList.toggle("rail-open", open);
  button.setAttribute("aria-expanded", String(open));
  /** @type {HTMLElement} */ (document.querySelector(".scrim")).hidden = !open;
}
