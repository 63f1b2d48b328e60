// @ts-check
// Sentences in the language of the page: English stands in the scripts, and a page in another language brings
// what it has in <script type="application/json" id="words"> (docs/decisions/0024-words-by-gettext.md).
//
//   import { gettext as _, ngettext } from "./words.js";
//   _("New order %(number)s", { number });
//   ngettext("%(num)s item", "%(num)s items", count);

const { lang } = document.documentElement;
/** @type {Record<string, string | Record<string, string>>} */
const translated = JSON.parse(document.getElementById("words")?.textContent ?? "{}");
const forms = new Intl.PluralRules(lang);

/** How dates are written: as in Britain where the page is in English. */
export const dateLocale = lang === "en" ? "en-GB" : lang;

/** @param {string} message @param {Record<string, unknown>} [values] what its %(name)s stand for */
export function gettext(message, values = {}) {
  return filled(translated[message] ?? message, values);
}

/**
 * The form that fits `count`, which the sentences know as %(num)s.
 * @param {string} one @param {string} many @param {number} count @param {Record<string, unknown>} [values]
 */
export function ngettext(one, many, count, values = {}) {
  const known = /** @type {Record<string, string> | undefined} */ (translated[one]);
  const sentence = known?.[forms.select(count)] ?? known?.other ?? (count === 1 ? one : many);
  return filled(sentence, { num: count, ...values });
}

/** @param {any} sentence @param {Record<string, unknown>} values */
function filled(sentence, values) {
  return sentence.replace(/%\((\w+)\)s/g, (/** @type {string} */ whole, /** @type {string} */ name) => String(values[name] ?? whole));
}
