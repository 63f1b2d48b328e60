// @ts-check
// Who else of the staff is at the record that [data-presence] names, as "order:12".
import { need } from "./need.js";
import { gettext as _, ngettext } from "./words.js";

const SHOWN = 2;

/** @typedef {{name: string, id: number}} Person */

/** @param {{follow: (topic: string, handlers: object) => () => void}} live */
export function followPresence(live) {
  if (!document.querySelector("[data-presence]")) return;
  const place = need(document, "[data-presence]", HTMLElement);
  let me = 0;
  let stop = () => {};

  function begin() {
    stop = live.follow(`staff:presence:${place.dataset.presence}`, {
      snapshot(/** @type {{people: Person[], you: number}} */ { people, you }) {
        me = you;
        show(people);
      },
      event: (/** @type {{people: Person[]}} */ { people }) => show(people),
      resync() {
        stop();
        begin();
      },
      refused: () => show([]),
    });
  }

  /** @param {Person[]} people */
  function show(people) {
    const words = sentence(people.filter((one) => one.id !== me).map((one) => one.name));
    if (words === place.textContent) return;
    const pill = document.createElement("span");
    pill.className = "pill pill-info";
    pill.textContent = words;
    place.replaceChildren(...(words ? [pill] : []));
  }

  begin();
}

/** "Ana is here too", "Ana and Ben are here too", "Ana, Ben and 2 others are here too". @param {string[]} names */
function sentence(names) {
  if (!names.length) return "";
  const [first, second] = names;
  if (names.length === 1) return _("%(name)s is here too", { name: first });
  if (names.length === SHOWN) return _("%(first)s and %(second)s are here too", { first, second });
  return ngettext(
    "%(first)s, %(second)s and %(num)s other are here too",
    "%(first)s, %(second)s and %(num)s others are here too",
    names.length - SHOWN,
    { first, second },
  );
}
