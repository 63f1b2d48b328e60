// @ts-check
// Forms with `data-guard`: say whether something is unsaved, ask before leaving, save with Ctrl+S.

export function watchForms() {
  for (const form of document.querySelectorAll("form[data-guard]")) {
    guard(/** @type {HTMLFormElement} */ (form));
  }
  const wrong = document.querySelector(".has-error .input, .has-error input");
  if (wrong instanceof HTMLElement) wrong.focus();
}

/** @param {HTMLFormElement} form */
function guard(form) {
  const text = form.querySelector("[data-guard-text]");
  let changed = false;
  // A form that came back with errors holds what was typed: that is unsaved too.
  if (form.querySelector(".has-error")) mark();
  form.addEventListener("input", mark);
  form.addEventListener("change", mark);
  form.addEventListener("submit", () => {
    changed = false;
  });
  window.addEventListener("beforeunload", (event) => {
    if (changed) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      event.preventDefault();
      form.requestSubmit();
    }
  });

  function mark() {
    changed = true;
    form.classList.add("is-changed");
    if (text) text.textContent = "Unsaved changes";
  }
}
