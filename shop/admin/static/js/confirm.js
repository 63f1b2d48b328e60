// @ts-check
// Asks before a form with `data-confirm` (or a button with it) is sent.
import { need } from "./need.js";
import { gettext as _ } from "./words.js";

/**
 * Shows the dialog; resolves to true when the person agrees.
 * @param {string} text
 * @param {{ok?: string, tone?: string}} options
 * @returns {Promise<boolean>}
 */
export function ask(text, { ok = _("Confirm"), tone = "" } = {}) {
  const dialog = need(document, "#confirm", HTMLDialogElement);
  const yes = need(dialog, "[data-yes]", HTMLElement);
  const no = need(dialog, "[data-no]", HTMLElement);
  need(dialog, "#confirm-text", HTMLElement).textContent = text;
  yes.textContent = ok;
  yes.className = tone === "danger" ? "btn btn-danger" : "btn btn-primary";
  return new Promise((resolve) => {
    const close = (/** @type {boolean} */ agreed) => () => {
      dialog.returnValue = agreed ? "yes" : "no";
      dialog.close();
    };
    const agree = close(true);
    const refuse = close(false);
    yes.addEventListener("click", agree);
    no.addEventListener("click", refuse);
    dialog.addEventListener(
      "close",
      () => {
        yes.removeEventListener("click", agree);
        no.removeEventListener("click", refuse);
        resolve(dialog.returnValue === "yes");
      },
      { once: true },
    );
    dialog.returnValue = "no";
    dialog.showModal();
  });
}

export function watchConfirmations() {
  document.addEventListener("submit", async (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    const button = /** @type {HTMLElement | null} */ (event.submitter);
    const source = button?.dataset.confirm ? button : form;
    if (!source.dataset.confirm || form.dataset.agreed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const ok = source.dataset.ok || button?.textContent?.trim();
    if (!(await ask(source.dataset.confirm, { ok, tone: source.dataset.tone }))) return;
    form.dataset.agreed = "yes";
    form.requestSubmit(/** @type {HTMLButtonElement | null} */ (button) ?? undefined);
    delete form.dataset.agreed;
  });
}
