// @ts-check
// A short sound for new orders, if the person switched it on. It never is the only signal.
// Browsers let a page sound only after a click or a key: until then the button says that it waits.
import { need } from "./need.js";
import { gettext as _ } from "./words.js";

const SOUND = "admin-sound";
const WORDS = _("Sound for new orders");
const WAITS = _("Sound for new orders: on, and starts with your first click on this page");
const PATIENCE_MS = 400;
const BETWEEN_MS = 1000;

/** @type {AudioContext | undefined} */
let audio;
let sounding = 0;

export function watchSound() {
  const button = /** @type {HTMLButtonElement | null} */ (document.querySelector("[data-sound]"));
  if (!button) return;
  const show = () => button.setAttribute("aria-pressed", String(isOn()));
  show();
  addEventListener("storage", (event) => event.key === SOUND && show());
  button.addEventListener("click", async () => {
    localStorage.setItem(SOUND, isOn() ? "off" : "on");
    show();
    if (isOn()) await sound((output) => play(output));
  });
  const gestures = ["pointerup", "keyup"];
  const prepare = async () => {
    const output = isOn() && (await wake());
    if (!output) return;
    for (const gesture of gestures) removeEventListener(gesture, prepare);
    if (!sounding) output.suspend();
  };
  for (const gesture of gestures) addEventListener(gesture, prepare);
  prepare();
}

/** Two short soft tones; of several open tabs one makes them. */
export async function chime() {
  if (!isOn()) return;
  await sound(async (output) => {
    if (!navigator.locks) return play(output);
    await navigator.locks.request(SOUND, { ifAvailable: true }, async (mine) => {
      if (!mine) return;
      play(output);
      await new Promise((done) => setTimeout(done, BETWEEN_MS));
    });
  });
}

/** Wakes the output for what is about to sound: until then an ending tone must not silence it.
 * @param {(output: AudioContext) => void | Promise<void>} work */
async function sound(work) {
  sounding += 1;
  try {
    const output = await wake();
    if (output) await work(output);
  } finally {
    rest();
  }
}

/** Something has ended: silence costs power too. */
function rest() {
  sounding -= 1;
  if (!sounding) audio?.suspend();
}

function isOn() {
  return localStorage.getItem(SOUND) === "on";
}

/** What this page may sound by now, or null; what may not is never kept for later. */
async function wake() {
  audio ??= new AudioContext();
  const late = new Promise((done) => setTimeout(done, PATIENCE_MS));
  await Promise.race([audio.resume().catch(() => null), late]);
  const may = audio.state === "running";
  const button = need(document, "[data-sound]", HTMLElement);
  button.toggleAttribute("data-waits", !may);
  button.setAttribute("aria-label", may ? WORDS : WAITS);
  button.setAttribute("title", may ? WORDS : WAITS);
  return may ? audio : null;
}

/** @param {AudioContext} output */
function play(output) {
  for (const [n, pitch] of [880, 1174.7].entries()) {
    const tone = output.createOscillator();
    const volume = output.createGain();
    const start = output.currentTime + n * 0.12;
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, start);
    volume.gain.exponentialRampToValueAtTime(0.12, start + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.25);
    tone.connect(volume).connect(output.destination);
    tone.start(start);
    tone.stop(start + 0.3);
    sounding += 1;
    tone.onended = rest;
  }
}
