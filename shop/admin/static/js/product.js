// @ts-check
// A product's page: preview of the description, colours, and pictures (upload, describe, order).
import { need } from "./need.js";
import { toast } from "./toasts.js";
import { gettext as _ } from "./words.js";

const AT_ONCE = 2;
const PAUSE_MS = 300;

document.documentElement.classList.add("has-script");
watchPreview();
watchColours();
const place = /** @type {HTMLElement | null} */ (document.querySelector("[data-pictures]"));
if (place) watchPictures(place);

function token() {
  return need(document, 'meta[name="csrf-token"]', HTMLMetaElement).content;
}

function watchPreview() {
  if (!document.querySelector("[data-preview]") || !document.querySelector("textarea[name=description]")) return;
  const box = need(document, "[data-preview]", HTMLDetailsElement);
  const text = need(document, "textarea[name=description]", HTMLTextAreaElement);
  let timer = 0;

  async function render() {
    const body = new FormData();
    body.set("text", text.value);
    body.set("csrf_token", token());
    const response = await fetch(box.dataset.preview ?? "", { method: "POST", body });
    // The server cleans it: the same HTML that the shop shows.
    if (response.ok) need(box, "[data-rendered]", HTMLElement).innerHTML = await response.text();
  }
  box.addEventListener("toggle", () => box.open && render());
  text.addEventListener("input", () => {
    clearTimeout(timer);
    if (box.open) timer = setTimeout(render, PAUSE_MS);
  });
}

function watchColours() {
  document.addEventListener("input", (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    if (!input.matches("[data-colour]")) return;
    const known = /^#[0-9a-f]{6}$/i.test(input.value.trim());
    input.closest("li")?.querySelector("circle")?.setAttribute("fill", known ? input.value.trim() : "none");
  });
}

/** @param {HTMLElement} place */
function watchPictures(place) {
  /** @type {File[]} */
  const waiting = [];
  let running = 0;

  place.addEventListener("change", (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    if (input.type === "file") add([...(input.files ?? [])]);
    const form = /** @type {HTMLFormElement | null} */ (input.closest("form[data-describe]"));
    if (form) describe(form);
  });
  place.addEventListener("submit", async (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (form.matches("[data-describe]")) {
      event.preventDefault();
      describe(form);
    } else if (form.matches("[data-move]")) {
      event.preventDefault();
      move(form);
    }
  });
  watchDropping(place, add);
  watchDragging(place);

  /** @param {File[]} files */
  function add(files) {
    waiting.push(...files);
    next();
  }

  function next() {
    while (running < AT_ONCE) {
      const file = waiting.shift();
      if (!file) return;
      running += 1;
      upload(file).finally(async () => {
        running -= 1;
        if (!running && !waiting.length) await refresh(place);
        next();
      });
    }
  }

  /** @param {File} file */
  async function upload(file) {
    const form = /** @type {HTMLFormElement} */ (place.querySelector("[data-drop]"));
    const line = progressLine(place, file.name);
    if (file.size > Number(form.dataset.maxBytes)) {
      line.refuse(_("%(file)s is larger than 10 MB.", { file: file.name }));
      return;
    }
    const body = new FormData();
    body.set("csrf_token", token());
    body.set("picture", file);
    await send(form.action, body, line);
  }
}

/** One line for a file: its name, how far it is, and why it was refused. @param {HTMLElement} place @param {string} name */
function progressLine(place, name) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  const bar = document.createElement("progress");
  label.className = "name";
  label.textContent = name;
  bar.max = 1;
  bar.setAttribute("aria-label", _("Uploading %(file)s", { file: name }));
  item.append(label, bar);
  need(place, "[data-uploads]", HTMLElement).append(item);
  return {
    /** @param {number} part */
    progress(part) {
      if (part < 1) bar.value = part;
      else bar.removeAttribute("value");
    },
    done() {
      item.remove();
    },
    /** @param {string} sentence */
    refuse(sentence) {
      const why = document.createElement("span");
      const close = document.createElement("button");
      why.className = "why";
      why.textContent = sentence;
      close.type = "button";
      close.className = "btn btn-small btn-ghost";
      close.textContent = _("Dismiss");
      close.addEventListener("click", () => item.remove());
      bar.replaceWith(close);
      item.append(why);
    },
  };
}

/** `fetch` cannot say how far an upload is. @param {string} address @param {FormData} body @param {ReturnType<typeof progressLine>} line */
function send(address, body, line) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => line.progress(event.loaded / event.total));
    request.addEventListener("load", () => {
      if (request.status === 201) line.done();
      else line.refuse(sentenceOf(request));
      resolve(undefined);
    });
    request.addEventListener("error", () => {
      line.refuse(_("The connection was lost. Please try this image again."));
      resolve(undefined);
    });
    request.send(body);
  });
}

/** @param {XMLHttpRequest} request */
function sentenceOf(request) {
  try {
    return JSON.parse(request.responseText).error;
  } catch {
    return _("The image could not be uploaded. Please try again.");
  }
}

/** Take the pictures anew, but keep the lines of files that were refused. @param {HTMLElement} place */
async function refresh(place) {
  const response = await fetch(place.dataset.pictures ?? "");
  if (!response.ok) return;
  const html = await response.text();
  const refused = [...place.querySelectorAll("[data-uploads] li")];
  const typing = document.activeElement instanceof HTMLInputElement && place.contains(document.activeElement) ? document.activeElement : null;
  place.innerHTML = html;
  place.querySelector("[data-uploads]")?.append(...refused);
  const again = typing && place.querySelector(`[id="${typing.id}"]`);
  if (typing && again instanceof HTMLInputElement) {
    again.value = typing.value;
    again.focus();
  }
  say(place, _("The images are up to date."));
}

/** @param {HTMLElement} place @param {string} words */
function say(place, words) {
  need(place, "[data-picture-status]", HTMLElement).textContent = words;
}

/** @param {HTMLFormElement} form */
async function describe(form) {
  const answer = await post(form.action, new FormData(form));
  toast(answer.error ? { title: answer.error, tone: "danger", stay: true } : { title: _("Alt text saved"), tone: "success" });
}

/** @param {HTMLFormElement} form */
async function move(form) {
  const place = /** @type {HTMLElement} */ (form.closest("[data-pictures]"));
  const label = need(form, "button", HTMLButtonElement).getAttribute("aria-label") ?? "";
  const answer = await post(form.action, new FormData(form));
  if (answer.error) {
    toast({ title: answer.error, tone: "danger", stay: true });
    return;
  }
  await refresh(place);
  say(place, answer.message ?? "");
  // The same button is elsewhere now: keep the keyboard on it.
  /** @type {HTMLElement | null} */ (place.querySelector(`button[aria-label="${CSS.escape(label)}"]`))?.focus();
}

/** @param {string} address @param {FormData} body @returns {Promise<{message?: string, error?: string}>} */
async function post(address, body) {
  const response = await fetch(address, { method: "POST", body, headers: { Accept: "application/json" } });
  return response.json().catch(() => ({ error: _("No response from the shop. Please try again.") }));
}

/** @param {HTMLElement} place @param {(files: File[]) => void} add */
function watchDropping(place, add) {
  const zone = () => place.querySelector("[data-drop]");
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event) || !zone()) return;
    event.preventDefault(); // or the browser would open the file
    zone()?.classList.add("is-over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) zone()?.classList.remove("is-over");
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event) || !zone()) return;
    event.preventDefault();
    zone()?.classList.remove("is-over");
    add([...(event.dataTransfer?.files ?? [])]);
  });
}

/** @param {HTMLElement} place */
function watchDragging(place) {
  /** @type {HTMLElement | null} */
  let dragged = null;
  const item = (/** @type {Event} */ event) =>
    /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest?.("[data-image]"));

  place.addEventListener("dragstart", (event) => {
    dragged = item(event);
    dragged?.classList.add("is-dragged");
    if (event.dataTransfer) event.dataTransfer.effectAllowed = "move";
  });
  place.addEventListener("dragover", (event) => {
    const over = item(event);
    if (!dragged || !over) return;
    event.preventDefault();
    for (const one of place.querySelectorAll(".is-target")) one.classList.remove("is-target");
    if (over !== dragged) over.classList.add("is-target");
  });
  place.addEventListener("drop", async (event) => {
    const over = item(event);
    if (!dragged || !over || over === dragged) return;
    event.preventDefault();
    const before = dragged.compareDocumentPosition(over) & Node.DOCUMENT_POSITION_PRECEDING;
    over[before ? "before" : "after"](dragged);
    const order = [...place.querySelectorAll("[data-image]")].map((one) => /** @type {HTMLElement} */ (one).dataset.image);
    const body = new FormData();
    body.set("csrf_token", token());
    body.set("order", order.join(","));
    const answer = await post(place.dataset.order ?? "", body);
    if (answer.error) toast({ title: answer.error, tone: "danger", stay: true });
    await refresh(place);
  });
  place.addEventListener("dragend", () => {
    dragged?.classList.remove("is-dragged");
    for (const one of place.querySelectorAll(".is-target")) one.classList.remove("is-target");
    dragged = null;
  });
}
