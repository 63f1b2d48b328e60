// @ts-check
// Typing is work, too: without a word now and then the sign-in would run out under a long form.

const EVERY_MS = 5 * 60 * 1000;
let told = Date.now();

export function watchTyping() {
  document.addEventListener("input", () => {
    if (Date.now() - told < EVERY_MS) return;
    told = Date.now();
    fetch(location.href, { method: "HEAD", headers: { "X-Typing": "1" } }).catch(() => {}); // the next one will
  });
}
