// @ts-check
/** Sentences in the language of the page. What the page does not carry is shown as it stands here, in English. */

/** @type {Record<string, string | Record<string, string>>} */
const carried = JSON.parse(document.getElementById("words")?.textContent ?? "{}");
const rules = new Intl.PluralRules(document.documentElement.lang);

/** @param {string} message @param {Record<string, unknown>} [values] what its %(name)s stand for */
export function gettext(message, values = {}) {
  return filled(carried[message] ?? message, values);
}

/** The form that fits `count`, which both sentences know as %(num)s. @param {string} one @param {string} many @param {number} count */
export function ngettext(one, many, count) {
  const forms = /** @type {Record<string, string> | undefined} */ (carried[one]);
  return filled(forms?.[rules.select(count)] ?? (count === 1 ? one : many), { num: count });
}

/** @param {any} sentence @param {Record<string, unknown>} values */
function filled(sentence, values) {
  return sentence.replace(/%\((\w+)\)s/g, (/** @type {string} */ _, /** @type {string} */ name) => String(values[name] ?? ""));
}
