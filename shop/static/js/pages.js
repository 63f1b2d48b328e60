// @ts-check
// Parts of a page that are fetched again. Whoever gives parts their behaviour hears "fresh" on document.

/** The document in an answer. @param {Response} answer */
export async function read(answer) {
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/** Fetch a page of ours; null if it is refused. @param {string} address @param {AbortSignal} [signal] */
export async function page(address, signal) {
  const answer = await fetch(address, { signal });
  return answer.ok ? read(answer) : null;
}

/**
 * Put what `fresh` holds in place of what `shown` holds; the focus stays, if its element is there again.
 * @param {Element} shown @param {Element} fresh
 */
export function fill(shown, fresh) {
  const focused = shown.contains(document.activeElement) ? document.activeElement?.id : "";
  shown.replaceChildren(...fresh.childNodes);
  shown.dispatchEvent(new Event("fresh", { bubbles: true }));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

/**
 * Fetch a page of ours and fill the parts of this one that have the same ids; what is being typed stays.
 * @param {string} address @param {string[]} ids @param {AbortSignal} [signal]
 * @returns {Promise<boolean>} whether the page could be read
 */
export async function swap(address, ids, signal) {
  const fresh = await page(address, signal);
  if (!fresh) return false;
  const before = document.activeElement;
  const typed = before instanceof HTMLInputElement && before.value !== before.defaultValue ? before.value : null;
  for (const id of ids) {
    const [shown, part] = [document, fresh].map((one) => one.getElementById(id));
    if (shown && part) fill(shown, part);
  }
  const after = document.activeElement;
  const isSame = after instanceof HTMLInputElement && after.type !== "checkbox" && after.id === before?.id;
  if (isSame && typed !== null) after.value = typed;
  return true;
}
