// @ts-check
// Colours and row height: kept in cookies, so that the server renders them and nothing flashes.

import { gettext as _ } from "./words.js";

const CHOICES = { theme: ["auto", "light", "dark"], density: ["comfortable", "compact"] };
const YEAR = 365 * 24 * 3600;

export function watchPreferences() {
  for (const button of document.querySelectorAll("[data-cycle]")) {
    button.addEventListener("click", () => cycle(/** @type {HTMLElement} */ (button)));
  }
}

/** @param {HTMLElement} button */
function cycle(button) {
  const what = /** @type {"theme" | "density"} */ (button.dataset.cycle);
  const choices = CHOICES[what];
  const root = document.documentElement;
  const next = choices[(choices.indexOf(root.dataset[what] ?? "") + 1) % choices.length];
  const secure = location.protocol === "https:" ? ";secure" : "";
  root.dataset[what] = next;
  const words = what === "theme" ? _("Colours: %(chosen)s", { chosen: next }) : _("Row height: %(chosen)s", { chosen: next });
  button.setAttribute("aria-label", words);
  document.cookie = `${what}=${next};path=/admin;max-age=${YEAR};samesite=lax${secure}`;
}
