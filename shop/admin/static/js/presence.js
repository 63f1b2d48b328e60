// @ts-check
// Who else of the staff is at the record that [data-presence] names, as "order:12".
import { need } from "./need.js";

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
  if (names.length === 1) return `${names[0]} is here too`;
  const more = names.length - SHOWN;
  if (!more) return `${names.join(" and ")} are here too`;
  return `${names.slice(0, SHOWN).join(", ")} and ${more} ${more === 1 ? "other" : "others"} are here too`;
}
