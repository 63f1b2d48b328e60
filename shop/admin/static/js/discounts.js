// @ts-check
// The sentence above the form says what the discount does, while one types.

const PAUSE_MS = 250;

const form = /** @type {HTMLFormElement | null} */ (document.querySelector("form[data-sentence]"));
if (form) follow(form);

/** @param {HTMLFormElement} form */
function follow(form) {
  const words = /** @type {HTMLElement} */ (form.querySelector("[data-sentence-words]"));
  let timer = 0;
  let asked = 0;

  async function ask() {
    const mine = ++asked;
    const answer = await fetch(/** @type {string} */ (form.dataset.sentence), {
      method: "POST",
      body: new FormData(form),
      headers: { Accept: "application/json" },
    });
    if (!answer.ok || mine !== asked) return;
    words.textContent = (await answer.json()).sentence;
  }

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(ask, PAUSE_MS);
  });
}
