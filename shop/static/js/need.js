// @ts-check
// What a template always brings. A missing one is a fault of ours, and named.

/**
 * The first element inside `root` that fits.
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} kind the class it is of
 * @returns {T}
 */
export function need(root, selector, kind) {
  const found = root.querySelector(selector);
  if (found instanceof kind) return found;
  throw new Error(`There is no ${selector} (${kind.name}) here.`);
}
