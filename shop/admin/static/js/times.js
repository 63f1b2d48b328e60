// @ts-check
// Times come in UTC and are shown in the reader's own zone; the title keeps the full moment.

import { dateLocale } from "./words.js";

const LONG = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/** @param {ParentNode} root */
export function watchTimes(root = document) {
  for (const time of root.querySelectorAll("time[data-local]")) show(/** @type {HTMLTimeElement} */ (time));
}

/** @param {HTMLTimeElement} time */
function show(time) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.getTime())) return;
  const thisYear = moment.getFullYear() === new Date().getFullYear();
  time.title = LONG.format(moment);
  time.textContent = moment.toLocaleString(dateLocale, {
    day: "numeric",
    month: "short",
    year: thisYear ? undefined : "numeric",
    hour: "2-digit",
    minute: "2-digit",
  });
}
