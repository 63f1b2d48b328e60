// @ts-check
// Everything the pages of the admin can do beyond plain HTML; each module finds its own elements.
import { watchConfirmations } from "./confirm.js";
import { watchForms } from "./forms.js";
import { watchKeys } from "./keys.js";
import { watchLists } from "./lists.js";
import { watchMenus } from "./menus.js";
import { watchPalette } from "./palette.js";
import { watchPreferences } from "./preferences.js";
import { watchSearchSelects } from "./search-select.js";
import { watchTimes } from "./times.js";
import { watchToasts } from "./toasts.js";
import { watchTyping } from "./typing.js";
import { followStaffTopics } from "./live-admin.js";

watchTimes();
document.addEventListener("fresh", (event) => watchTimes(/** @type {Element} */ (event.target)));
watchToasts();
watchMenus();
watchPreferences();
watchConfirmations();
watchLists();
watchForms();
watchTyping();
watchSearchSelects();
watchPalette();
watchKeys();
followStaffTopics();
